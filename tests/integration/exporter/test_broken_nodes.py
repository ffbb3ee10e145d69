"""Nodes broken in every way at once: each is named with its reason, the others' figures stay right."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, Group, ValidatorClient

from .exporting import Page, configured, exporting

# What goes wrong, and what the exporter is to call it.
OUTCOMES = {
    "down": "connection",
    "hang": "timeout",
    "http_500": "http_5xx",
    "http_404": "http_4xx",
    "http_429": "rate_limited",
    "html": "invalid",
    "truncated": "truncated",
    "wrong_types": "invalid",
}
FAULTS = (*OUTCOMES, "other_network")
KEYS = 40
CHECKS = ("synced", "execution_synced", "peers", "head_advancing", "same_chain")

PLAN = FleetPlan(
    # The broken ones stand first, so that the exporter would prefer them.
    beacon_nodes=(
        *(
            BeaconNode(f"beacon-{fault.replace('_', '-')}", "lighthouse", "execution-good", "m")
            for fault in FAULTS
        ),
        BeaconNode("beacon-good", "teku", "execution-good", "m"),
        BeaconNode("beacon-spare", "lodestar", "execution-good", "m"),
    ),
    execution_nodes=(
        *(ExecutionNode(f"execution-{fault.replace('_', '-')}", "geth", "m") for fault in FAULTS),
        ExecutionNode("execution-good", "geth", "m"),
    ),
    validator_clients=(ValidatorClient("validators-1", "lighthouse", ("beacon-good", "beacon-spare"), "m"),),
    groups=(Group("alpha", "validators-1", KEYS - 10), Group("bravo", "validators-1", 10)),
    validators=128,
)
HEALTHY = ("beacon-good", "beacon-spare", "execution-good")


@dataclass(frozen=True)
class Observed:
    """What the exporter showed while nodes were broken, and after they were mended."""

    broken: Page
    clock_slot: int
    earned: Mapping[str, int]
    balance: Mapping[str, int]
    mended: Page
    health: Mapping[str, tuple[int, dict[str, object]]]
    statuses: Mapping[str, int]
    log: str


async def _observe() -> Observed:
    async with Fleet(PLAN) as fleet:
        for fault in FAULTS:
            for role in ("beacon", "execution"):
                await fleet.inject(fault, instance=f"{role}-{fault.replace('_', '-')}")
        async with exporting(configured(fleet, timeout_seconds=2.0)) as exporter:
            first = await exporter.wait_for(
                "a first state", lambda page: bool(page.values("stakewatch_last_processed_epoch"))
            )
            began = int(first.value("stakewatch_last_processed_epoch"))
            broken = await exporter.wait_for(
                "three more states",
                lambda page: page.value("stakewatch_last_processed_epoch") >= began + 3,
                90,
            )
            clock_slot = fleet.chain.slot_at(time.time())
            epoch = int(broken.value("stakewatch_last_processed_epoch"))
            earned = fleet.truth.earned_by_all(began, epoch)
            balances = fleet.truth.balances(epoch)
            paths = [f"/health/{node.instance}" for node in PLAN.nodes]
            health = {}
            for path in paths:
                status, text = await exporter.text(path)
                health[path.removeprefix("/health/")] = (status, json.loads(text))
            statuses = {
                path: (await exporter.text(path))[0] for path in ("/healthz", "/readyz", "/health/nobody")
            }
            logged = exporter.logged.getvalue()
            await fleet.clear()
            mended = await exporter.wait_for(
                "all nodes are up again", lambda page: set(page.values("stakewatch_node_up")) == {1.0}
            )
        indices = {group.name: PLAN.indices(group.name) for group in PLAN.groups}
        return Observed(
            broken=broken,
            clock_slot=clock_slot,
            earned={name: int(earned[list(own)].sum()) for name, own in indices.items()},
            balance={name: int(balances[list(own)].sum()) for name, own in indices.items()},
            mended=mended,
            health=health,
            statuses=statuses,
            log=logged,
        )


@pytest.fixture(scope="module")
def observed() -> Observed:
    return asyncio.run(_observe())


@pytest.mark.parametrize("role", ["beacon", "execution"])
@pytest.mark.parametrize("fault", OUTCOMES)
def test_a_broken_node_is_down_and_its_requests_say_why(observed: Observed, role: str, fault: str) -> None:
    instance = f"{role}-{fault.replace('_', '-')}"
    page = observed.broken
    assert page.value("stakewatch_node_up", instance=instance) == 0
    assert page.value("stakewatch_node_healthy", instance=instance) == 0
    assert set(page.values("stakewatch_node_check", instance=instance)) == {0.0}
    counted = {
        labels["outcome"]
        for name, labels, value in page.samples
        if name == "stakewatch_requests_total" and labels["instance"] == instance and value > 0
    }
    if (role, fault) == ("beacon", "wrong_types"):
        counted.discard("ok")  # node/version has no number that could be wrong
    assert counted == {OUTCOMES[fault]}


@pytest.mark.parametrize("role", ["beacon", "execution"])
@pytest.mark.parametrize("fault", OUTCOMES)
def test_a_broken_node_shows_no_figure_of_its_own(observed: Observed, role: str, fault: str) -> None:
    instance = f"{role}-{fault.replace('_', '-')}"
    for name in ("node_peers", "beacon_head_slot", "execution_head_block", "beacon_finalized_epoch"):
        assert observed.broken.values(f"stakewatch_{name}", instance=instance) == []


@pytest.mark.parametrize("role", ["beacon", "execution"])
@pytest.mark.parametrize("fault", OUTCOMES)
def test_the_log_names_a_broken_node_and_the_reason_once(observed: Observed, role: str, fault: str) -> None:
    instance = f"{role}-{fault.replace('_', '-')}"
    lines = [
        line
        for line in observed.log.splitlines()
        if f"node_does_not_answer instance={instance} " in line and f"outcome={OUTCOMES[fault]} " in line
    ]
    assert len(lines) == 1
    assert "reason=" in lines[0]
    assert "next=" in lines[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_health_page_of_a_broken_node_is_503_with_a_reason(observed: Observed, fault: str) -> None:
    status, content = observed.health[f"beacon-{fault.replace('_', '-')}"]
    assert status == 503
    assert content["healthy"] is False
    checks = content["checks"]
    assert isinstance(checks, dict)
    assert set(checks) == set(CHECKS)
    failing = [check["reason"] for check in checks.values() if not check["passes"]]
    assert failing
    assert all(failing)


def test_a_node_of_another_network_is_up_but_not_of_our_chain(observed: Observed) -> None:
    page = observed.broken
    for role in ("beacon", "execution"):
        instance = f"{role}-other-network"
        assert page.value("stakewatch_node_up", instance=instance) == 1
        assert page.value("stakewatch_node_check", instance=instance, check="same_chain") == 0
        assert page.value("stakewatch_node_healthy", instance=instance) == 0
    _, content = observed.health["beacon-other-network"]
    assert "follows another chain" in json.dumps(content)


def test_the_data_of_another_network_are_never_asked_for(observed: Observed) -> None:
    for endpoint in ("blocks", "duties", "rewards"):
        asked = observed.broken.values(
            "stakewatch_requests_total", instance="beacon-other-network", endpoint=endpoint
        )
        assert sum(asked) == 0
    receipts = observed.broken.values(
        "stakewatch_requests_total", instance="execution-other-network", endpoint="receipts"
    )
    assert sum(receipts) == 0


@pytest.mark.parametrize("instance", HEALTHY)
def test_a_healthy_node_stays_healthy_and_in_step(observed: Observed, instance: str) -> None:
    page = observed.broken
    assert page.value("stakewatch_node_up", instance=instance) == 1
    assert page.value("stakewatch_node_healthy", instance=instance) == 1
    assert set(page.values("stakewatch_node_check", instance=instance)) == {1.0}
    assert observed.health[instance][0] == 200
    if instance.startswith("beacon"):
        assert observed.clock_slot - 2 <= page.value("stakewatch_beacon_head_slot", instance=instance)
        assert page.value("stakewatch_beacon_sync_distance_slots", instance=instance) <= 2
        assert page.value("stakewatch_beacon_root_disagreement", instance=instance) == 0
    else:
        assert page.value("stakewatch_execution_behind_blocks", instance=instance) == 0


@pytest.mark.parametrize("group", ["alpha", "bravo"])
def test_the_figures_of_our_keys_are_right_all_the_same(observed: Observed, group: str) -> None:
    page = observed.broken
    assert page.value("stakewatch_validators_earned_gwei", group=group) == observed.earned[group]
    assert page.value("stakewatch_validators_balance_gwei", group=group) == observed.balance[group]
    assert page.value("stakewatch_validators_not_earning", group=group) == 0
    assert page.value("stakewatch_network_inactivity_leak") == 0


def test_the_exporter_itself_is_alive_and_ready(observed: Observed) -> None:
    assert observed.statuses == {"/healthz": 200, "/readyz": 200, "/health/nobody": 404}


def test_mended_nodes_are_healthy_again(observed: Observed) -> None:
    assert set(observed.mended.values("stakewatch_node_up")) == {1.0}
