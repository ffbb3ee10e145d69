"""The Beacon API of one node: one method per endpoint, answers as types, implausible ones refused.

Source: ethereum/beacon-APIs; where clients differ (Lodestar 1.5.1 has no POST validators, Teku and Lodestar
leave fields out) the widest form is read and what is missing is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from stakewatch.ethereum.beacon_block import Block, DepositData, Gwei, Number, Pubkey, Root, decode_block
from stakewatch.ethereum.specification import Specification, parse_specification
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError, Transport, plain

Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Epoch = Annotated[int, Meta(ge=0)]
Version4 = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{8}$")]

_SMALL = 1 << 20
_BLOCK_LIMIT = 64 << 20
_PENDING_LIMIT = 128 << 20
_BYTES_PER_VALIDATOR = 2048
_MOST_QUERY_CHARACTERS = 3500
_MOST_POSTED_IDS = 10_000
_LARGEST_UINT64 = 2**64 - 1
_SLOW = 5.0


class Status(StrEnum):
    """Validator statuses of the Beacon API."""

    PENDING_INITIALIZED = "pending_initialized"
    PENDING_QUEUED = "pending_queued"
    ACTIVE_ONGOING = "active_ongoing"
    ACTIVE_EXITING = "active_exiting"
    ACTIVE_SLASHED = "active_slashed"
    EXITED_UNSLASHED = "exited_unslashed"
    EXITED_SLASHED = "exited_slashed"
    WITHDRAWAL_POSSIBLE = "withdrawal_possible"
    WITHDRAWAL_DONE = "withdrawal_done"

    @property
    def is_active(self) -> bool:
        """Whether the validator has duties."""
        return self in _ACTIVE

    @property
    def is_pending(self) -> bool:
        """Whether the validator is not active yet."""
        return self.value.startswith("pending_")


_ACTIVE = frozenset({Status.ACTIVE_ONGOING, Status.ACTIVE_EXITING, Status.ACTIVE_SLASHED})


@dataclass(frozen=True)
class Genesis:
    """Where and when a chain begins."""

    validators_root: str
    time_seconds: int


@dataclass(frozen=True)
class Syncing:
    """What a node says of itself; `execution_offline` is None where it does not say."""

    head_slot: int
    is_syncing: bool
    is_optimistic: bool | None
    execution_offline: bool | None


@dataclass(frozen=True)
class Header:
    """A block's header."""

    root: str
    slot: int
    proposer_index: int
    parent_root: str


@dataclass(frozen=True)
class Checkpoint:
    """An epoch and the root of the last block at or before its first slot."""

    epoch: int
    root: str


@dataclass(frozen=True)
class Finality:
    """The finality checkpoints of a state."""

    justified: Checkpoint
    finalized: Checkpoint


@dataclass(frozen=True)
class Validator:
    """A validator in one state; amounts in gwei."""

    index: int
    pubkey: str
    status: Status
    balance: int
    effective_balance: int
    is_slashed: bool
    activation_epoch: int
    exit_epoch: int


@dataclass(frozen=True)
class Duties:
    """Who proposes in an epoch: validator index by slot; `dependent_root` fixes the shuffling."""

    dependent_root: str | None
    proposers: Mapping[int, int]


class _GenesisData(msgspec.Struct):
    genesis_validators_root: Root
    genesis_time: Annotated[int, Meta(ge=0, le=2**40)]


class _GenesisAnswer(msgspec.Struct):
    data: _GenesisData


class _SpecificationAnswer(msgspec.Struct):
    data: dict[str, Any]


class _Fork(msgspec.Struct):
    previous_version: Version4
    current_version: Version4
    epoch: Epoch


class _ForkScheduleAnswer(msgspec.Struct):
    data: list[_Fork]


class _VersionData(msgspec.Struct):
    version: Annotated[str, Meta(max_length=400)]


class _VersionAnswer(msgspec.Struct):
    data: _VersionData


class _SyncingData(msgspec.Struct):
    head_slot: Number
    is_syncing: bool
    is_optimistic: bool | None = None
    el_offline: bool | None = None


class _SyncingAnswer(msgspec.Struct):
    data: _SyncingData


class _PeerCountData(msgspec.Struct):
    connected: Count


class _PeerCountAnswer(msgspec.Struct):
    data: _PeerCountData


class _HeaderMessage(msgspec.Struct):
    slot: Number
    proposer_index: Number
    parent_root: Root


class _SignedHeader(msgspec.Struct):
    message: _HeaderMessage


class _HeaderData(msgspec.Struct):
    root: Root
    header: _SignedHeader


class _HeaderAnswer(msgspec.Struct):
    data: _HeaderData


class _Checkpoint(msgspec.Struct):
    epoch: Number
    root: Root


class _FinalityData(msgspec.Struct):
    current_justified: _Checkpoint
    finalized: _Checkpoint


class _FinalityAnswer(msgspec.Struct):
    data: _FinalityData


class _ValidatorRecord(msgspec.Struct):
    pubkey: Pubkey
    effective_balance: Gwei
    slashed: bool
    activation_epoch: Epoch
    exit_epoch: Epoch


class _ValidatorEntry(msgspec.Struct):
    index: Number
    balance: Gwei
    status: Status
    validator: _ValidatorRecord


class _ValidatorsAnswer(msgspec.Struct):
    data: list[_ValidatorEntry]


class _BlockRewardsData(msgspec.Struct):
    proposer_index: Number
    total: Gwei
    attestations: Gwei
    sync_aggregate: Gwei
    proposer_slashings: Gwei
    attester_slashings: Gwei


class _BlockRewardsAnswer(msgspec.Struct):
    data: _BlockRewardsData


class _ProposerDuty(msgspec.Struct):
    slot: Number
    validator_index: Number


class _DutiesAnswer(msgspec.Struct):
    data: list[_ProposerDuty]
    dependent_root: Root | None = None


class _PendingDepositsAnswer(msgspec.Struct):
    data: list[DepositData]


# Numbers are strings in this API; `strict=False` reads both.
_GENESIS = msgspec.json.Decoder(_GenesisAnswer, strict=False)
_SPECIFICATION = msgspec.json.Decoder(_SpecificationAnswer)
_FORK_SCHEDULE = msgspec.json.Decoder(_ForkScheduleAnswer, strict=False)
_VERSION = msgspec.json.Decoder(_VersionAnswer)
_SYNCING = msgspec.json.Decoder(_SyncingAnswer, strict=False)
_PEER_COUNT = msgspec.json.Decoder(_PeerCountAnswer, strict=False)
_HEADER = msgspec.json.Decoder(_HeaderAnswer, strict=False)
_FINALITY = msgspec.json.Decoder(_FinalityAnswer, strict=False)
_VALIDATORS = msgspec.json.Decoder(_ValidatorsAnswer, strict=False)
_BLOCK_REWARDS = msgspec.json.Decoder(_BlockRewardsAnswer, strict=False)
_DUTIES = msgspec.json.Decoder(_DutiesAnswer, strict=False)
_PENDING_DEPOSITS = msgspec.json.Decoder(_PendingDepositsAnswer, strict=False)


class BeaconApi:
    """The endpoints of one beacon node that we use; every method raises RequestError."""

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self._transport = transport
        self._answers_post = True

    async def genesis(self) -> Genesis:
        """`/eth/v1/beacon/genesis`."""

        def decode(content: bytes) -> Genesis:
            data = _GENESIS.decode(content).data
            return Genesis(data.genesis_validators_root.lower(), data.genesis_time)

        return await self._transport.exchange(
            "GET", "/eth/v1/beacon/genesis", endpoint=Endpoint.CONFIG, decode=decode, limit_bytes=_SMALL
        )

    async def specification(self) -> Specification:
        """`/eth/v1/config/spec`."""
        return await self._transport.exchange(
            "GET",
            "/eth/v1/config/spec",
            endpoint=Endpoint.CONFIG,
            decode=lambda content: parse_specification(_SPECIFICATION.decode(content).data),
            limit_bytes=_SMALL,
        )

    async def fork_schedule(self) -> tuple[tuple[str, int], ...]:
        """`/eth/v1/config/fork_schedule`: (version, epoch) of each scheduled fork, in order."""

        def decode(content: bytes) -> tuple[tuple[str, int], ...]:
            forks = _FORK_SCHEDULE.decode(content).data
            return tuple(
                sorted(
                    (
                        (fork.current_version.lower(), fork.epoch)
                        for fork in forks
                        if fork.epoch < _LARGEST_UINT64
                    ),
                    key=lambda fork: (fork[1], fork[0]),
                )
            )

        return await self._transport.exchange(
            "GET", "/eth/v1/config/fork_schedule", endpoint=Endpoint.CONFIG, decode=decode, limit_bytes=_SMALL
        )

    async def version(self) -> str:
        """`/eth/v1/node/version`."""
        return await self._transport.exchange(
            "GET",
            "/eth/v1/node/version",
            endpoint=Endpoint.NODE,
            decode=lambda content: plain(_VERSION.decode(content).data.version),
            limit_bytes=_SMALL,
        )

    async def syncing(self) -> Syncing:
        """`/eth/v1/node/syncing`."""

        def decode(content: bytes) -> Syncing:
            data = _SYNCING.decode(content).data
            return Syncing(data.head_slot, data.is_syncing, data.is_optimistic, data.el_offline)

        return await self._transport.exchange(
            "GET", "/eth/v1/node/syncing", endpoint=Endpoint.NODE, decode=decode, limit_bytes=_SMALL
        )

    async def peer_count(self) -> int:
        """`/eth/v1/node/peer_count`: connected peers."""
        return await self._transport.exchange(
            "GET",
            "/eth/v1/node/peer_count",
            endpoint=Endpoint.NODE,
            decode=lambda content: _PEER_COUNT.decode(content).data.connected,
            limit_bytes=_SMALL,
        )

    async def head(self, *, newest_slot: int | None = None) -> Header:
        """`/eth/v1/beacon/headers/head`; a slot beyond `newest_slot` is refused as impossible."""

        def decode(content: bytes) -> Header:
            header = _header(content)
            if newest_slot is not None and header.slot > newest_slot:
                raise ValueError(f"its head is slot {header.slot}, by our clock at most {newest_slot} can be")
            return header

        return await self._transport.exchange(
            "GET", "/eth/v1/beacon/headers/head", endpoint=Endpoint.HEADERS, decode=decode, limit_bytes=_SMALL
        )

    async def header_at(self, slot: int) -> Header | None:
        """`/eth/v1/beacon/headers/{slot}`: the canonical block of a slot, None when the slot is empty."""

        def decode(content: bytes) -> Header:
            header = _header(content)
            if header.slot != slot:
                raise ValueError(f"asked for slot {slot}, it answered slot {header.slot}")
            return header

        try:
            return await self._transport.exchange(
                "GET",
                f"/eth/v1/beacon/headers/{slot}",
                endpoint=Endpoint.HEADERS,
                decode=decode,
                limit_bytes=_SMALL,
            )
        except RequestError as error:
            if error.status == 404:  # noqa: PLR2004 - the API's answer for an empty slot
                return None
            raise

    async def finality(self, state: str = "head") -> Finality:
        """`/eth/v1/beacon/states/{state}/finality_checkpoints`."""

        def decode(content: bytes) -> Finality:
            data = _FINALITY.decode(content).data
            justified, finalized = data.current_justified, data.finalized
            if finalized.epoch > justified.epoch:
                raise ValueError(
                    f"finalised epoch {finalized.epoch} is newer than justified {justified.epoch}"
                )
            return Finality(
                justified=Checkpoint(justified.epoch, justified.root.lower()),
                finalized=Checkpoint(finalized.epoch, finalized.root.lower()),
            )

        return await self._transport.exchange(
            "GET",
            f"/eth/v1/beacon/states/{state}/finality_checkpoints",
            endpoint=Endpoint.STATES,
            decode=decode,
            limit_bytes=_SMALL,
        )

    async def validators(self, state: str, identities: Sequence[str]) -> dict[int, Validator]:
        """`/eth/v1/beacon/states/{state}/validators` by index; unknown ones are left out.

        `identities` are indices or pubkeys. POST first; where a client has none, GET with the id repeated, in
        pieces that fit into a URL.
        """
        if not identities:
            return {}
        if self._answers_post:
            try:
                return await self._posted_validators(state, identities)
            except RequestError as error:
                if error.outcome is not Outcome.HTTP_4XX:
                    raise
            answer = await self._queried_validators(state, identities)
            self._answers_post = False
            return answer
        return await self._queried_validators(state, identities)

    async def _posted_validators(self, state: str, identities: Sequence[str]) -> dict[int, Validator]:
        found: dict[int, Validator] = {}
        for start in range(0, len(identities), _MOST_POSTED_IDS):
            asked = identities[start : start + _MOST_POSTED_IDS]
            found.update(
                await self._transport.exchange(
                    "POST",
                    f"/eth/v1/beacon/states/{state}/validators",
                    endpoint=Endpoint.STATES,
                    decode=partial(_validators, asked=asked),
                    limit_bytes=_SMALL + _BYTES_PER_VALIDATOR * len(asked),
                    body=msgspec.json.encode({"ids": asked}),
                    timeout_factor=_SLOW,
                )
            )
        return found

    async def _queried_validators(self, state: str, identities: Sequence[str]) -> dict[int, Validator]:
        found: dict[int, Validator] = {}
        for asked in _pieces(identities):
            query = urlencode([("id", identity) for identity in asked])
            found.update(
                await self._transport.exchange(
                    "GET",
                    f"/eth/v1/beacon/states/{state}/validators?{query}",
                    endpoint=Endpoint.STATES,
                    decode=partial(_validators, asked=asked),
                    limit_bytes=_SMALL + _BYTES_PER_VALIDATOR * len(asked),
                    timeout_factor=_SLOW,
                )
            )
        return found

    async def pending_deposits(self, state: str) -> dict[str, int]:
        """`/eth/v1/beacon/states/{state}/pending_deposits` (from Electra): gwei in the queue by pubkey."""

        def decode(content: bytes) -> dict[str, int]:
            amounts: dict[str, int] = {}
            for deposit in _PENDING_DEPOSITS.decode(content).data:
                pubkey = deposit.pubkey.lower()
                amounts[pubkey] = amounts.get(pubkey, 0) + deposit.amount
            return amounts

        return await self._transport.exchange(
            "GET",
            f"/eth/v1/beacon/states/{state}/pending_deposits",
            endpoint=Endpoint.STATES,
            decode=decode,
            limit_bytes=_PENDING_LIMIT,
            timeout_factor=_SLOW,
        )

    async def block(self, root: str) -> Block:
        """`/eth/v2/beacon/blocks/{root}`."""
        return await self._transport.exchange(
            "GET",
            f"/eth/v2/beacon/blocks/{root}",
            endpoint=Endpoint.BLOCKS,
            decode=lambda content: decode_block(content, root),
            limit_bytes=_BLOCK_LIMIT,
            timeout_factor=_SLOW,
        )

    async def block_reward(self, root: str, *, proposer_index: int) -> int:
        """`/eth/v1/beacon/rewards/blocks/{root}`: the proposer's consensus reward in gwei.

        Some clients answer nonsense, so the parts must add up and stay below what a block can pay.
        """

        def decode(content: bytes) -> int:
            data = _BLOCK_REWARDS.decode(content).data
            parts = (
                data.attestations + data.sync_aggregate + data.proposer_slashings + data.attester_slashings
            )
            if data.proposer_index != proposer_index:
                raise ValueError(
                    f"asked for the block of {proposer_index}, it answered {data.proposer_index}"
                )
            if data.total != parts:
                raise ValueError(f"a total of {data.total} gwei, but its parts add up to {parts}")
            if data.attestations + data.sync_aggregate >= 10**9:
                raise ValueError(f"a reward of {data.total} gwei is more than a block can pay")
            return data.total

        return await self._transport.exchange(
            "GET",
            f"/eth/v1/beacon/rewards/blocks/{root}",
            endpoint=Endpoint.REWARDS,
            decode=decode,
            limit_bytes=_SMALL,
            timeout_factor=_SLOW,
        )

    async def proposer_duties(self, epoch: int, *, slots_per_epoch: int) -> Duties:
        """`/eth/v1/validator/duties/proposer/{epoch}`."""

        def decode(content: bytes) -> Duties:
            answer = _DUTIES.decode(content)
            proposers = {duty.slot: duty.validator_index for duty in answer.data}
            if len(proposers) != len(answer.data):
                raise ValueError("two proposers in one slot")
            if any(slot // slots_per_epoch != epoch for slot in proposers):
                raise ValueError(f"duties of another epoch than {epoch}")
            return Duties(answer.dependent_root and answer.dependent_root.lower(), proposers)

        return await self._transport.exchange(
            "GET",
            f"/eth/v1/validator/duties/proposer/{epoch}",
            endpoint=Endpoint.DUTIES,
            decode=decode,
            limit_bytes=_SMALL,
            timeout_factor=_SLOW,
        )


def _header(content: bytes) -> Header:
    data = _HEADER.decode(content).data
    message = data.header.message
    return Header(data.root.lower(), message.slot, message.proposer_index, message.parent_root.lower())


def _pieces(identities: Sequence[str]) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    length = 0
    for identity in identities:
        length += len(identity) + len("&id=")
        if length > _MOST_QUERY_CHARACTERS and pieces[-1]:
            pieces.append([])
            length = len(identity) + len("&id=")
        pieces[-1].append(identity)
    return pieces


def _validators(content: bytes, asked: Sequence[str]) -> dict[int, Validator]:
    wanted = {identity.lower() for identity in asked}
    found: dict[int, Validator] = {}
    for entry in _VALIDATORS.decode(content).data:
        record = entry.validator
        pubkey = record.pubkey.lower()
        if pubkey not in wanted and str(entry.index) not in wanted:
            raise ValueError(f"validator {entry.index} was not asked for")
        if entry.index in found:
            raise ValueError(f"validator {entry.index} is there twice")
        if record.activation_epoch > _LARGEST_UINT64 or record.exit_epoch > _LARGEST_UINT64:
            raise ValueError(f"an epoch of validator {entry.index} is larger than 64 bits")
        found[entry.index] = Validator(
            index=entry.index,
            pubkey=pubkey,
            status=entry.status,
            balance=entry.balance,
            effective_balance=record.effective_balance,
            is_slashed=record.slashed,
            activation_epoch=record.activation_epoch,
            exit_epoch=record.exit_epoch,
        )
    return found
