"""Whole epochs of one node: streamed answers, cut off, silent, of another form or another state."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from stakewatch.ethereum.epoch_api import EpochApi, are_keys_moved
from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.state_stream import BeaconState
from stakewatch.ethereum.transport import Outcome, RequestError

from .conftest import Handler, asking
from .states import NETWORK, NO_KEYS, minimal, plain, ssz

SSZ = "application/octet-stream"


def _serving(content: bytes, content_type: str = SSZ, pieces: int = 7) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = content_type
        response.content_length = len(content)
        await response.prepare(request)
        size = max(1, len(content) // pieces)
        for start in range(0, len(content), size):
            await response.write(content[start : start + size])
        return response

    return answer


async def _state(handler: Handler, *, slot: int | None = None, keys: KeyIndices = NO_KEYS) -> BeaconState:
    async with asking(handler, timeout_seconds=0.5) as node:
        wanted = plain().slot if slot is None else slot
        return await EpochApi(node.transport).state(
            wanted, minimal(), genesis_validators_root=NETWORK, keys=keys
        )


async def _refused(handler: Handler, **options: Any) -> RequestError:  # noqa: ANN401 - those of _state
    with pytest.raises(RequestError) as refusal:
        await _state(handler, **options)
    return refusal.value


def _encoded() -> bytes:
    return ssz(minimal(), plain())


async def test_a_state_is_read_while_it_comes() -> None:
    state = await _state(_serving(_encoded()))
    assert len(state.balances) == 20


async def test_a_state_is_asked_for_as_ssz_and_not_compressed() -> None:
    seen: list[tuple[str | None, str | None]] = []
    serving = _serving(_encoded())

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers.get("Accept"), request.headers.get("Accept-Encoding")))
        return await serving(request)

    await _state(answer)
    assert seen == [(SSZ, "identity")]


async def test_a_state_as_json_is_refused() -> None:
    error = await _refused(_serving(b"{}", "application/json"))
    assert error.outcome is Outcome.INVALID
    assert "application/json" in error.what


async def test_a_state_of_another_slot_is_refused() -> None:
    error = await _refused(_serving(_encoded()), slot=plain().slot + 1)
    assert error.outcome is Outcome.INVALID
    assert "slot" in error.what


async def test_a_shorter_state_is_cut_off() -> None:
    content = _encoded()
    error = await _refused(_serving(content[:-1000]))
    assert error.outcome in {Outcome.INVALID, Outcome.TRUNCATED}
    error = await _refused(_serving(content[:100]))
    assert error.outcome is Outcome.TRUNCATED


async def test_moved_keys_are_told_apart() -> None:
    keys = KeyIndices(frozenset({b"x" * 48}), {b"x" * 48: 3}, 10)
    error = await _refused(_serving(_encoded()), keys=keys)
    assert are_keys_moved(error)
    assert not are_keys_moved(await _refused(_serving(b"")))


async def test_a_node_that_falls_silent_times_out() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = SSZ
        await response.prepare(request)
        await response.write(_encoded()[:1000])
        await asyncio.sleep(30)
        return response

    async with asking(answer, timeout_seconds=0.05) as node:
        with pytest.raises(RequestError) as refusal:
            await EpochApi(node.transport).state(1, minimal(), genesis_validators_root=NETWORK, keys=NO_KEYS)
        assert refusal.value.outcome is Outcome.TIMEOUT
        assert [exchange.outcome for exchange in node.exchanges] == [Outcome.TIMEOUT]


async def test_a_connection_that_breaks_is_cut_off() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = SSZ
        response.content_length = 10**6
        await response.prepare(request)
        await response.write(_encoded()[:1000])
        assert request.transport is not None
        request.transport.close()
        return response

    error = await _refused(answer)
    assert error.outcome is Outcome.TRUNCATED


async def test_sync_committees_keep_their_seats(sample: Callable[[str], bytes]) -> None:
    async with asking(_serving(sample("sync_committees.json"), "application/json")) as node:
        seats = await EpochApi(node.transport).sync_committee("head", 7)
    assert seats.tolist()[:3] == [23, 37, 32]
    assert len(seats) == 32


async def test_committees_of_an_epoch_are_asked_for_once(sample: Callable[[str], bytes]) -> None:
    async with asking(_serving(sample("committees.json"), "application/json")) as node:
        committees = await EpochApi(node.transport).committees("head", 7, slots_per_epoch=8)
    assert len(committees.members) == 64


async def test_rewards_and_registry_are_streamed() -> None:
    ideal = [{"effective_balance": "32000000000", "head": "1", "target": "1", "source": "1"}]
    rewards = {"data": {"ideal_rewards": ideal, "total_rewards": []}}
    async with asking(
        _serving(json.dumps(rewards, separators=(",", ":")).encode(), "application/json")
    ) as node:
        await EpochApi(node.transport).attestation_rewards(3, [])
        with pytest.raises(RequestError, match='no "data"'):
            await EpochApi(node.transport).registry("head")
