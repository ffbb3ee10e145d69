"""The node of a large chain answers as a real one: up to its head, block after block back to the first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from stakewatch.ethereum.beacon_api import BeaconApi
from stakewatch.ethereum.transport import RequestError, Transport
from stakewatch.simulator.mainnet.api import MainnetApi
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.registry import MainnetParameters
from stakewatch.simulator.servers import Server

CHAIN = MainnetChain(
    MainnetParameters(validators=3000, active=2400, watched=60, groups=3, epochs=3, missed_proposal_ratio=0.2)
)


@asynccontextmanager
async def asked(**options: object) -> AsyncIterator[tuple[MainnetApi, BeaconApi, str]]:
    node = MainnetApi(CHAIN, seconds_per_slot=12, epochs_past=2, **options)  # type: ignore[arg-type]
    server = Server(node.application)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            transport = Transport(session, server.url, name="node", timeout_seconds=5, observe=lambda _: None)
            yield node, BeaconApi(transport), server.url
    finally:
        await server.stop()


async def test_blocks_lead_back_to_the_first_over_empty_slots() -> None:
    async with asked() as (_, api, _url):
        header = await api.head()
        root, slots = header.root, []
        while root != CHAIN.root(CHAIN.first_slot - 1):
            block = await api.block(root)
            slots.append(block.slot)
            root = block.parent_root
    expected = [slot for slot, record in CHAIN.slots.items() if record.has_block and slot <= header.slot]
    assert slots == expected[::-1]
    assert len(slots) < header.slot - CHAIN.first_slot


async def test_an_empty_slot_has_no_header_and_the_future_has_nothing() -> None:
    async with asked() as (node, api, _url):
        empty = next(slot for slot, record in CHAIN.slots.items() if not record.has_block)
        assert await api.header_at(empty) is None
        assert await api.header_at(node.head + 5) is None
        with pytest.raises(RequestError):
            await api.finality(str(node.head + 5))


async def test_validators_are_found_by_index_and_by_watched_key() -> None:
    async with asked() as (node, api, _url):
        index = int(CHAIN.registry.watched[7])
        key = CHAIN.registry.pubkey(index)
        found = await api.validators(str(node.head), [key, "0"])
        assert found[index].pubkey == key
        assert found[index].balance == CHAIN.balances_at(node.head)[index]
        assert set(found) == {0, index}


async def test_what_is_not_served_is_not_found() -> None:
    async with asked(allow=lambda asked_for: "peer_count" not in asked_for) as (_, api, _url):
        with pytest.raises(RequestError) as caught:
            await api.peer_count()
        assert caught.value.status == 404
        assert (await api.version()).startswith("Lighthouse")


async def test_whole_answers_are_the_same_as_streamed_ones() -> None:
    texts = []
    for whole in (False, True):
        async with asked(whole=whole) as (node, _, url), aiohttp.ClientSession() as session:
            node.genesis_time = 0
            for path, accept in (
                (f"/eth/v2/debug/beacon/states/{CHAIN.first_slot + 40}", "application/octet-stream"),
                (f"/eth/v1/beacon/states/{CHAIN.first_slot + 40}/validators", "application/json"),
            ):
                async with session.get(url + path, headers={"Accept": accept}) as response:
                    assert response.status == 200
                    texts.append(await response.read())
    assert texts[:2] == texts[2:]
