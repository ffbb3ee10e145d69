"""The Beacon API of one node: one method per endpoint, answers as types, implausible ones refused.

Source: ethereum/beacon-APIs; where clients differ (Lodestar 1.5.1 has no POST validators, Teku and Lodestar
leave fields out) the widest form is read and what is missing is None.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from stakewatch.ethereum.specification import Specification, parse_specification
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError, Transport, plain

# msgspec takes bounds of 63 bits; epochs may be 2**64 - 1 (FAR_FUTURE_EPOCH) and are bounded where used.
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Epoch = Annotated[int, Meta(ge=0)]
Gwei = Annotated[int, Meta(ge=0, le=10**18)]
Root = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{64}$")]
Address = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}$")]
Pubkey = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{96}$")]
Version4 = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{8}$")]

_SMALL = 1 << 20
_BLOCK_LIMIT = 64 << 20
_PENDING_LIMIT = 128 << 20
_BYTES_PER_VALIDATOR = 2048
_MOST_QUERY_CHARACTERS = 3500
_MOST_POSTED_IDS = 10_000
_LARGEST_UINT64 = 2**64 - 1
_LARGEST_UINT256 = 2**256 - 1
_SLOW = 5.0
_DECIMAL = re.compile(r"[0-9]{1,78}")
# Forks whose block body we can read; of a later one nothing is said about its payload.
_FORKS_WITHOUT_PAYLOAD = frozenset({"phase0", "altair"})
_FORKS_WITHOUT_WITHDRAWALS = frozenset({"bellatrix"})
_FORKS_WITH_WITHDRAWALS = frozenset({"capella", "deneb", "electra", "fulu"})


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
        return self.value.startswith("active_")


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
class Payload:
    """The execution payload of a block, without its transactions; base fee in wei."""

    block_number: int
    block_hash: str
    fee_recipient: str
    base_fee_per_gas: int


@dataclass(frozen=True)
class Block:
    """What a block moves; withdrawals are (validator index, gwei), deposits are (pubkey, gwei).

    `is_complete` is False when the fork is one whose withdrawals cannot be read here.
    """

    root: str
    slot: int
    proposer_index: int
    parent_root: str
    payload: Payload | None
    withdrawals: tuple[tuple[int, int], ...]
    deposits: tuple[tuple[str, int], ...]
    is_complete: bool


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


class _Withdrawal(msgspec.Struct):
    validator_index: Number
    amount: Gwei


class _DepositData(msgspec.Struct):
    pubkey: Pubkey
    amount: Gwei


class _Deposit(msgspec.Struct):
    data: _DepositData


# What a block holds is kept until it is settled. Source: consensus-specs, MAX_DEPOSIT_REQUESTS_PER_PAYLOAD;
# a payload has 16 withdrawals and a body 16 deposits, with room here for forks that raise them.
class _ExecutionRequests(msgspec.Struct):
    deposits: Annotated[list[_DepositData], Meta(max_length=8192)] = []


class _Payload(msgspec.Struct):
    fee_recipient: Address
    block_number: Number
    block_hash: Root
    base_fee_per_gas: str
    withdrawals: Annotated[list[_Withdrawal], Meta(max_length=1024)] | None = None


class _Body(msgspec.Struct):
    deposits: Annotated[list[_Deposit], Meta(max_length=1024)] = []
    execution_payload: _Payload | None = None
    execution_requests: _ExecutionRequests | None = None


class _BlockMessage(msgspec.Struct):
    slot: Number
    proposer_index: Number
    parent_root: Root
    body: _Body


class _SignedBlock(msgspec.Struct):
    message: _BlockMessage


class _BlockAnswer(msgspec.Struct):
    version: str
    data: _SignedBlock


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
    data: list[_DepositData]


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
_BLOCK = msgspec.json.Decoder(_BlockAnswer, strict=False)
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
            decode=lambda content: _block(content, root),
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


def _payload(payload: _Payload) -> Payload:
    if not _DECIMAL.fullmatch(payload.base_fee_per_gas) or int(payload.base_fee_per_gas) > _LARGEST_UINT256:
        raise ValueError("base_fee_per_gas is not a number of 256 bits")
    return Payload(
        block_number=payload.block_number,
        block_hash=payload.block_hash.lower(),
        fee_recipient=payload.fee_recipient.lower(),
        base_fee_per_gas=int(payload.base_fee_per_gas),
    )


def _block(content: bytes, root: str) -> Block:
    answer = _BLOCK.decode(content)
    message = answer.data.message
    body = message.body
    payload = body.execution_payload
    if answer.version in _FORKS_WITH_WITHDRAWALS:
        if payload is None or payload.withdrawals is None:
            raise ValueError(f"a block of {answer.version} without withdrawals")
        is_complete = True
    else:
        is_complete = answer.version in _FORKS_WITHOUT_PAYLOAD | _FORKS_WITHOUT_WITHDRAWALS
    requested = body.execution_requests.deposits if body.execution_requests else []
    withdrawals = payload.withdrawals if payload and payload.withdrawals else []
    return Block(
        root=root.lower(),
        slot=message.slot,
        proposer_index=message.proposer_index,
        parent_root=message.parent_root.lower(),
        payload=None if payload is None else _payload(payload),
        withdrawals=tuple((withdrawal.validator_index, withdrawal.amount) for withdrawal in withdrawals),
        deposits=tuple(
            (deposit.pubkey.lower(), deposit.amount)
            for deposit in (*(deposit.data for deposit in body.deposits), *requested)
        ),
        is_complete=is_complete,
    )
