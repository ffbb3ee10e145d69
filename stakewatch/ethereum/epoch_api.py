"""The endpoints of one beacon node that speak of a whole epoch: states, committees, rewards of everybody."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from stakewatch.ethereum.committees import Committees, decode_committees
from stakewatch.ethereum.credential_search import CredentialSearch
from stakewatch.ethereum.key_indices import KeyIndices, KeysMovedError
from stakewatch.ethereum.registry_answer import JsonRegistry, RegistryAnswer
from stakewatch.ethereum.reward_answers import RewardAnswer, indices_body
from stakewatch.ethereum.state_layout import StateError, StateLayout
from stakewatch.ethereum.state_stream import BeaconState, StateReader, TruncatedStateError
from stakewatch.ethereum.transport import Announcement, Consumer, Endpoint, Outcome, RefusalError, Transport

_Answer = TypeVar("_Answer")

_SSZ = "application/octet-stream"
_LARGEST_STATE = 2 << 30
_LARGEST_REGISTRY = 8 << 30
_LARGEST_REWARDS = 1 << 30
_LARGEST_COMMITTEES = 256 << 20
_SMALL = 1 << 20
# A state that a node has to make first is long silent; then it comes as fast as the wire is.
_IDLE = 8.0
_TOTAL = 75.0
_SLOW = 8.0


class _SyncCommittee(msgspec.Struct):
    validators: Annotated[
        list[Annotated[int, Meta(ge=0, lt=10_000_000)]], Meta(min_length=1, max_length=8192)
    ]


class _SyncCommitteeAnswer(msgspec.Struct):
    data: _SyncCommittee


_SYNC_COMMITTEE = msgspec.json.Decoder(_SyncCommitteeAnswer, strict=False)


class _StateConsumer:
    """A state reader whose errors are refusals, told apart by their outcome."""

    def __init__(self, reader: StateReader) -> None:
        self._reader = reader

    def feed(self, chunk: bytes, /) -> None:
        try:
            self._reader.feed(chunk)
        except StateError as error:
            raise _refusal(error) from error

    def finish(self) -> BeaconState:
        try:
            return self._reader.finish()
        except StateError as error:
            raise _refusal(error) from error


def _refusal(error: StateError) -> RefusalError:
    is_cut = isinstance(error, TruncatedStateError)
    return RefusalError(error.what, Outcome.TRUNCATED if is_cut else Outcome.INVALID)


def are_keys_moved(error: BaseException) -> bool:
    """Whether a failed request failed because a known key is no longer where it was."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeysMovedError):
            return True
        cause = cause.__cause__
    return False


class EpochApi:
    """The endpoints of one beacon node about whole epochs; every method raises RequestError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def state(
        self, slot: int, layout: StateLayout, *, genesis_validators_root: bytes, keys: KeyIndices
    ) -> BeaconState:
        """`/eth/v2/debug/beacon/states/{slot}` as SSZ, some 140 bytes per validator ever."""

        def consume(announced: Announcement) -> _StateConsumer:
            try:
                return _StateConsumer(
                    StateReader(
                        layout,
                        slot=slot,
                        genesis_validators_root=genesis_validators_root,
                        content_length=announced.content_length,
                        keys=keys,
                    )
                )
            except StateError as error:
                raise _refusal(error) from error

        return await self._encoded_state(slot, consume)

    async def keys_by_credentials(
        self, slot: int, layout: StateLayout, wanted: frozenset[bytes]
    ) -> dict[bytes, tuple[str, ...]]:
        """`/eth/v2/debug/beacon/states/{slot}` as SSZ: all public keys by withdrawal credentials."""
        return await self._encoded_state(slot, lambda _: CredentialSearch(layout, wanted, slot=slot))

    async def _encoded_state(
        self, slot: int, consume: Callable[[Announcement], Consumer[_Answer]]
    ) -> _Answer:
        def consume_ssz(announced: Announcement) -> Consumer[_Answer]:
            if announced.content_type != _SSZ:
                raise RefusalError(f"a state as {announced.content_type}, not {_SSZ}", Outcome.INVALID)
            return consume(announced)

        return await self._transport.stream(
            "GET",
            f"/eth/v2/debug/beacon/states/{slot}",
            endpoint=Endpoint.STATES,
            consume=consume_ssz,
            limit_bytes=_LARGEST_STATE,
            accept=_SSZ,
            idle_factor=_IDLE,
            total_factor=_TOTAL,
        )

    async def registry(self, state: str) -> JsonRegistry:
        """`/eth/v1/beacon/states/{state}/validators` without a filter: everybody, streamed."""
        return await self._transport.stream(
            "GET",
            f"/eth/v1/beacon/states/{state}/validators",
            endpoint=Endpoint.STATES,
            consume=lambda _: RegistryAnswer(),
            limit_bytes=_LARGEST_REGISTRY,
            idle_factor=_IDLE,
            total_factor=_TOTAL,
        )

    async def attestation_rewards(self, epoch: int, indices: Sequence[int]) -> RewardAnswer:
        """`/eth/v1/beacon/rewards/attestations/{epoch}` of some validators, of all when none is named."""
        return await self._transport.stream(
            "POST",
            f"/eth/v1/beacon/rewards/attestations/{epoch}",
            endpoint=Endpoint.REWARDS,
            consume=lambda _: RewardAnswer(),
            limit_bytes=_LARGEST_REWARDS,
            body=indices_body(indices),
            idle_factor=_IDLE,
            total_factor=_TOTAL,
        )

    async def committees(self, state: str, epoch: int, *, slots_per_epoch: int) -> Committees:
        """`/eth/v1/beacon/states/{state}/committees?epoch=`: 10 bytes per active validator."""
        return await self._transport.exchange(
            "GET",
            f"/eth/v1/beacon/states/{state}/committees?epoch={epoch}",
            endpoint=Endpoint.STATES,
            decode=lambda content: decode_committees(content, epoch=epoch, slots_per_epoch=slots_per_epoch),
            limit_bytes=_LARGEST_COMMITTEES,
            timeout_factor=_SLOW,
        )

    async def sync_committee(self, state: str, epoch: int) -> npt.NDArray[np.int64]:
        """`/eth/v1/beacon/states/{state}/sync_committees?epoch=`: validator indices (int64) seat by seat."""
        return await self._transport.exchange(
            "GET",
            f"/eth/v1/beacon/states/{state}/sync_committees?epoch={epoch}",
            endpoint=Endpoint.STATES,
            decode=lambda content: np.array(_SYNC_COMMITTEE.decode(content).data.validators, dtype=np.int64),
            limit_bytes=_SMALL,
            timeout_factor=_SLOW,
        )
