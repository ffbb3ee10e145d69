"""A state asked for over HTTP, read as it arrives, gives the rewards that the simulated chain paid."""

from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest

from stakewatch.ethereum.attestation_rewards import AttestationRewards, reward_parameters
from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.state_layout import fork_at, state_layout
from stakewatch.ethereum.state_stream import BeaconState, OtherStateError, StateReader
from stakewatch.simulator.fleet import Fleet
from tests.unit.simulator.small import SMALL

SSZ = {"Accept": "application/octet-stream"}


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(SMALL, clock="hand") as fleet:
        yield fleet


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def specification(session: aiohttp.ClientSession, url: str) -> dict[str, str]:
    async with session.get(url + "/eth/v1/config/spec") as response:
        values: dict[str, str] = (await response.json())["data"]
        return values


async def fetch(
    session: aiohttp.ClientSession, fleet: Fleet, slot: int, *, asked: int | None = None
) -> tuple[BeaconState, dict[str, str]]:
    """Return the state of a slot; `asked` is the slot that the reader is told of."""
    url = fleet.apis["beacon-1"].url
    values = await specification(session, url)
    keys = KeyIndices(frozenset(bytes.fromhex(pubkey[2:]) for pubkey in fleet.chain.pubkeys[:40]))
    async with session.get(f"{url}/eth/v2/debug/beacon/states/{slot}", headers=SSZ) as response:
        assert response.status == 200
        assert response.headers["Eth-Consensus-Version"] == fork_at(values, slot // 8)
        reader = StateReader(
            state_layout(values, response.headers["Eth-Consensus-Version"]),
            slot=slot if asked is None else asked,
            genesis_validators_root=bytes.fromhex(fleet.chain.genesis_validators_root[2:]),
            content_length=response.content_length,
            keys=keys,
        )
        async for chunk in response.content.iter_chunked(1000):
            reader.feed(chunk)
    return reader.finish(), values


async def test_the_rewards_of_an_epoch_are_known_as_soon_as_the_next_one_ends(
    fleet: Fleet, session: aiohttp.ClientSession
) -> None:
    chain = fleet.chain
    epoch = chain.epoch_of(chain.slot) + 1
    last = chain.first_slot(epoch + 2) - 1
    fleet.advance_to(chain.first_slot(epoch + 2))
    state, values = await fetch(session, fleet, last)
    rewards = AttestationRewards(state, reward_parameters(values, state.fork))
    paid = fleet.truth.attestation_deltas(epoch)
    assert rewards.of(slice(None)).total.tolist() == paid.tolist()
    indices = np.array([state.keys.indices[bytes.fromhex(key[2:])] for key in chain.pubkeys[:40]])
    totals = rewards.totals(indices)
    lost = totals.source_penalty + totals.target_penalty + totals.inactivity_penalty
    assert totals.reward - lost == int(paid[:40].sum())
    assert totals.duties == 40


async def test_an_answer_for_another_slot_is_told_from_the_one_asked_for(
    fleet: Fleet, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(OtherStateError, match="not of slot"):
        await fetch(session, fleet, fleet.chain.slot - 1, asked=fleet.chain.slot)


@pytest.mark.parametrize(
    ("state", "headers", "status"),
    [("999999", SSZ, 404), ("nonsense", SSZ, 400), ("head", {"Accept": "application/json"}, 406)],
)
async def test_what_the_node_does_not_have_it_refuses(
    fleet: Fleet, session: aiohttp.ClientSession, state: str, headers: dict[str, str], status: int
) -> None:
    url = f"{fleet.apis['beacon-1'].url}/eth/v2/debug/beacon/states/{state}"
    async with session.get(url, headers=headers) as response:
        assert response.status == status
