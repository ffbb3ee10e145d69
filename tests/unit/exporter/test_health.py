"""The checks of a node, at their limits and where a figure is unknown."""

import time
from dataclasses import replace
from types import MappingProxyType

import aiohttp
import pytest

from stakewatch.bundle.configuration import ExporterSettings, Health, Node, Role
from stakewatch.ethereum.beacon_api import Header, Syncing
from stakewatch.ethereum.json_rpc import ExecutionBlock, ExecutionSyncing
from stakewatch.ethereum.specification import Specification
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.health import Check, beacon_checks, execution_checks
from stakewatch_exporter.log import Changes
from stakewatch_exporter.nodes import BeaconWatch, ExecutionWatch

NOW = 1_700_001_200.0
SLOT = 100
CHAIN = Chain("0xaa", int(NOW) - SLOT * 12, Specification(12_000, 32, 17_000, 4, MappingProxyType({})))
HEALTH = Health(minimum_beacon_peers=20, minimum_execution_peers=10, maximum_head_age_slots=4)
SYNCED = Syncing(head_slot=SLOT, is_syncing=False, is_optimistic=False, execution_offline=False)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


async def beacon() -> BeaconWatch:
    """Return the watch of a beacon node that is well."""
    node = Node("beacon-1", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r", execution_node="execution-1")
    async with aiohttp.ClientSession() as session:
        watch = BeaconWatch(node, session, ExporterSettings(), Changes())
    watch.chain.set(CHAIN)
    watch.syncing.set(SYNCED)
    watch.head.set(Header("0x01", SLOT, 7, "0x00"))
    watch.peers.set(20)
    return watch


async def execution() -> ExecutionWatch:
    """Return the watch of an execution node that is well."""
    node = Node("execution-1", Role.EXECUTION, "geth", "http://127.0.0.1:2", "c", "r")
    async with aiohttp.ClientSession() as session:
        watch = ExecutionWatch(node, session, ExporterSettings(), Changes())
    watch.contact.is_tried = watch.contact.is_up = True
    watch.syncing.set(ExecutionSyncing(current_block=None, highest_block=None))
    watch.head.set(ExecutionBlock(number=90, block_hash="0x02", timestamp=int(NOW)))
    watch.chain_id.set(17_000)
    watch.peers.set(10)
    return watch


def of_beacon(
    watch: BeaconWatch, pair: ExecutionWatch | None = None, chain: Chain | None = CHAIN
) -> dict[str, Check]:
    return dict(beacon_checks(watch, chain=chain, pair=pair, health=HEALTH))


def of_execution(
    watch: ExecutionWatch, chain: Chain | None = CHAIN, usual_chain_id: int | None = None
) -> dict[str, Check]:
    return dict(execution_checks(watch, chain=chain, health=HEALTH, usual_chain_id=usual_chain_id))


def failing(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if not check.passes}


async def test_a_node_that_is_well_passes_every_check() -> None:
    assert failing(of_beacon(await beacon(), await execution())) == set()
    assert failing(of_beacon(await beacon())) == set()
    assert failing(of_execution(await execution())) == set()


async def test_one_peer_too_few_fails() -> None:
    node, pair = await beacon(), await execution()
    node.peers.set(19)
    pair.peers.set(9)
    assert failing(of_beacon(node)) == {"peers"}
    assert failing(of_execution(pair)) == {"peers"}
    assert of_beacon(node)["peers"].reason == "19 peers, at least 20 are wanted"


@pytest.mark.parametrize(
    ("behind", "failed"),
    [
        (-1, set()),
        (4, set()),
        (5, {"head_advancing"}),
        (32, {"head_advancing"}),
        (33, {"head_advancing", "synced"}),
    ],
)
async def test_a_head_is_judged_by_our_clock(behind: int, failed: set[str]) -> None:
    node = await beacon()
    node.head.set(Header("0x01", SLOT - behind, 7, "0x00"))
    assert failing(of_beacon(node)) == failed


async def test_a_node_that_says_that_it_syncs_is_not_in_sync_however_new_its_head() -> None:
    node = await beacon()
    node.syncing.set(replace(SYNCED, is_syncing=True))
    assert failing(of_beacon(node)) == {"synced"}


async def test_without_a_clock_neither_head_nor_sync_can_be_judged() -> None:
    assert failing(of_beacon(await beacon(), chain=None)) == {"same_chain", "synced", "head_advancing"}


async def test_a_node_of_another_chain_is_not_judged_by_our_clock() -> None:
    node = await beacon()
    node.chain.set(replace(CHAIN, validators_root="0xbb"))
    checks = of_beacon(node)
    assert failing(checks) == {"same_chain", "synced", "head_advancing"}
    assert "0xbb" in checks["same_chain"].reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"execution_offline": True}, "cannot reach"),
        ({"is_optimistic": True}, "optimistic"),
    ],
)
async def test_a_beacon_node_without_its_execution_node_fails_that_check_alone(
    change: dict[str, bool], reason: str
) -> None:
    node = await beacon()
    node.syncing.set(replace(SYNCED, **change))
    checks = of_beacon(node)
    assert failing(checks) == {"execution_synced"}
    assert reason in checks["execution_synced"].reason


@pytest.mark.parametrize(("says", "failed"), [(None, {"execution_synced"}), (False, set())])
async def test_a_dead_pair_counts_only_where_the_beacon_node_does_not_say_better(
    says: bool | None,  # noqa: FBT001 - a column of the table above
    failed: set[str],
) -> None:
    node, pair = await beacon(), await execution()
    node.syncing.set(replace(SYNCED, execution_offline=says))
    pair.contact.is_up = False
    assert failing(of_beacon(node, pair)) == failed
    pair.contact.is_tried = False
    assert failing(of_beacon(node, pair)) == set()


async def test_a_pair_that_syncs_fails_both() -> None:
    node, pair = await beacon(), await execution()
    pair.syncing.set(ExecutionSyncing(current_block=5, highest_block=90))
    assert failing(of_beacon(node, pair)) == {"execution_synced"}
    assert failing(of_execution(pair)) == {"synced", "execution_synced"}
    assert of_execution(pair)["synced"].reason == "it is syncing: block 5 of 90"


@pytest.mark.parametrize(("age", "passes"), [(60, True), (61, False)])
async def test_the_newest_block_may_be_as_old_as_the_running_slot_and_four_more(
    age: int,
    passes: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    node = await execution()
    node.head.set(ExecutionBlock(number=90, block_hash="0x02", timestamp=int(NOW) - age))
    assert of_execution(node)["head_advancing"].passes is passes


async def test_an_execution_node_of_another_network_is_found() -> None:
    node = await execution()
    node.chain_id.set(1)
    checks = of_execution(node)
    assert failing(checks) == {"same_chain"}
    assert checks["same_chain"].reason == "chain id 1, ours is 17000"


async def test_where_the_chain_names_no_id_the_usual_one_is_wanted() -> None:
    node = await execution()
    chain = replace(CHAIN, specification=replace(CHAIN.specification, deposit_chain_id=None))
    assert failing(of_execution(node, chain, usual_chain_id=17_000)) == set()
    assert failing(of_execution(node, chain, usual_chain_id=1)) == {"same_chain"}


async def test_what_is_unknown_does_not_pass_and_says_why() -> None:
    async with aiohttp.ClientSession() as session:
        node = BeaconWatch((await beacon()).node, session, ExporterSettings(), Changes())
        pair = ExecutionWatch((await execution()).node, session, ExporterSettings(), Changes())
    for checks in (of_beacon(node), of_execution(pair)):
        assert failing(checks) == {"synced", "execution_synced", "peers", "head_advancing", "same_chain"}
        assert all(check.reason for check in checks.values())
        assert "not asked yet" in checks["peers"].reason
