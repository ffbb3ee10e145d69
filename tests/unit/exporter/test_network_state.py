"""What our nodes say of the whole network: the finality delay, and whether it leaks."""

import time
from dataclasses import replace
from types import MappingProxyType

import aiohttp
import pytest

from stakewatch.bundle.configuration import Configuration, ExporterSettings, Node, Role
from stakewatch.ethereum.beacon_api import Checkpoint, Finality, Header
from stakewatch.ethereum.specification import Specification
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.log import Changes
from stakewatch_exporter.nodes import BeaconWatch
from stakewatch_exporter.snapshot import Fleet, Network, network_state

NOW = 1_700_001_200.0
EPOCH = 20
SLOT = EPOCH * 32 + 5
CHAIN = Chain("0xaa", int(NOW) - SLOT * 12, Specification(12_000, 32, 17_000, 4, MappingProxyType({})))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


async def beacon(finalised: int, head: int = SLOT) -> BeaconWatch:
    node = Node("beacon-1", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r")
    async with aiohttp.ClientSession() as session:
        watch = BeaconWatch(node, session, ExporterSettings(), Changes())
    watch.contact.is_tried = watch.contact.is_up = True
    watch.chain.set(CHAIN)
    watch.head.set(Header("0x01", head, 7, "0x00"))
    checkpoint = Checkpoint(finalised, "0x02")
    watch.finality.set(Finality(justified=checkpoint, finalized=checkpoint))
    return watch


def state(*watches: BeaconWatch, chain: Chain | None = CHAIN) -> Network:
    return network_state(Fleet(Configuration(), watches, ()), chain)


@pytest.mark.parametrize(
    ("finalised", "delay", "is_leaking"),
    [(EPOCH - 2, 1, False), (EPOCH - 5, 4, False), (EPOCH - 6, 5, True), (EPOCH, 0, False)],
)
async def test_a_leak_begins_with_the_fifth_epoch_of_delay(
    finalised: int,
    delay: int,
    is_leaking: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    assert state(await beacon(finalised)) == Network(delay, is_leaking)


async def test_the_node_that_has_finalised_most_is_believed() -> None:
    assert state(await beacon(EPOCH - 9), await beacon(EPOCH - 2)) == Network(1, is_leaking=False)


async def test_a_node_that_stands_still_says_nothing_about_the_network() -> None:
    assert state(await beacon(EPOCH - 6, SLOT - 32)) == Network(5, is_leaking=True)
    assert state(await beacon(EPOCH - 6, SLOT - 33)) == Network(None, None)


async def test_neither_does_one_that_is_down_or_on_another_chain() -> None:
    down, other = await beacon(EPOCH - 6), await beacon(EPOCH - 6)
    down.contact.is_up = False
    other.chain.set(replace(CHAIN, validators_root="0xbb"))
    assert state(down, other) == Network(None, None)


async def test_without_a_chain_nothing_is_known() -> None:
    assert state(await beacon(EPOCH - 2), chain=None) == Network(None, None)
