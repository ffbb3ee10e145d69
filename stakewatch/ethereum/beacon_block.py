"""A beacon block of any fork as far as we need it, read from the JSON of `/eth/v2/beacon/blocks`.

Source: consensus-specs, `BeaconBlockBody` of altair to fulu; of a later fork, whose execution payload comes
apart from the block, nothing is said about payload and withdrawals.
"""

import re
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

# msgspec takes bounds of 63 bits; epochs may be 2**64 - 1 (FAR_FUTURE_EPOCH) and are bounded where used.
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Gwei = Annotated[int, Meta(ge=0, le=10**18)]
Root = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{64}$")]
Address = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}$")]
Pubkey = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{96}$")]

_LARGEST_UINT256 = 2**256 - 1
_DECIMAL = re.compile(r"[0-9]{1,78}")
_FORKS_WITHOUT_PAYLOAD = frozenset({"phase0", "altair"})
_FORKS_WITHOUT_WITHDRAWALS = frozenset({"bellatrix"})
_FORKS_WITH_WITHDRAWALS = frozenset({"capella", "deneb", "electra", "fulu"})
_MOST_COMMITTEE_INDEX = 1 << 16


@dataclass(frozen=True)
class Payload:
    """The execution payload of a block, without its transactions; base fee in wei."""

    block_number: int
    block_hash: str
    fee_recipient: str
    base_fee_per_gas: int


@dataclass(frozen=True)
class Attestation:
    """One aggregate in a block: who of the committees of a slot voted for what.

    `bits` is the SSZ bitlist with its delimiting bit, one bit per member of the committees in their order;
    `committees` are indices within the slot (before Electra exactly one).
    """

    slot: int
    committees: tuple[int, ...]
    bits: bytes
    head_root: str
    target_epoch: int
    target_root: str


@dataclass(frozen=True)
class Consolidation:
    """A request to merge one validator into another (EIP-7251), which only `source_address` may make."""

    source_address: str
    source_pubkey: str
    target_pubkey: str


@dataclass(frozen=True)
class Block:
    """What a block moves; withdrawals are (validator index, gwei), deposits are (pubkey, gwei).

    `is_complete` is False when the fork is one whose withdrawals cannot be read here. `sync_bits` is the
    bitvector of the sync committee, empty before Altair. `exits` are validators that exit by their own
    message; `proposer_slashings` and `attester_slashings` the validators that the block has slashed.
    """

    root: str
    slot: int
    proposer_index: int
    parent_root: str
    payload: Payload | None
    withdrawals: tuple[tuple[int, int], ...]
    deposits: tuple[tuple[str, int], ...]
    is_complete: bool
    attestations: tuple[Attestation, ...] = ()
    sync_bits: bytes = b""
    exits: tuple[int, ...] = ()
    proposer_slashings: tuple[int, ...] = ()
    attester_slashings: tuple[int, ...] = ()
    consolidations: tuple[Consolidation, ...] = ()


class _Withdrawal(msgspec.Struct):
    validator_index: Number
    amount: Gwei


class DepositData(msgspec.Struct):
    """A deposit to a public key, in gwei."""

    pubkey: Pubkey
    amount: Gwei


class _Deposit(msgspec.Struct):
    data: DepositData


class _Consolidation(msgspec.Struct):
    source_address: Address
    source_pubkey: Pubkey
    target_pubkey: Pubkey


# What a block holds is kept until it is settled. Source: consensus-specs, MAX_DEPOSIT_REQUESTS_PER_PAYLOAD;
# a payload has 16 withdrawals and a body 16 deposits, with room here for forks that raise them.
class _ExecutionRequests(msgspec.Struct):
    deposits: Annotated[list[DepositData], Meta(max_length=8192)] = []
    consolidations: Annotated[list[_Consolidation], Meta(max_length=1024)] = []


class _Payload(msgspec.Struct):
    fee_recipient: Address
    block_number: Number
    block_hash: Root
    base_fee_per_gas: str
    withdrawals: Annotated[list[_Withdrawal], Meta(max_length=1024)] | None = None


class _Target(msgspec.Struct):
    epoch: Number
    root: Root


class _AttestationData(msgspec.Struct):
    slot: Number
    index: Annotated[int, Meta(ge=0, le=_MOST_COMMITTEE_INDEX)]
    beacon_block_root: Root
    target: _Target


class _Attestation(msgspec.Struct):
    aggregation_bits: Annotated[str, Meta(max_length=1 << 20)]
    data: _AttestationData
    committee_bits: Annotated[str, Meta(max_length=1 << 14)] | None = None


class _HeaderMessage(msgspec.Struct):
    proposer_index: Number


class _SignedHeader(msgspec.Struct):
    message: _HeaderMessage


class _ProposerSlashing(msgspec.Struct):
    signed_header_1: _SignedHeader


class _IndexedAttestation(msgspec.Struct):
    attesting_indices: Annotated[list[Number], Meta(max_length=1 << 18)]


class _AttesterSlashing(msgspec.Struct):
    attestation_1: _IndexedAttestation
    attestation_2: _IndexedAttestation


class _ExitMessage(msgspec.Struct):
    validator_index: Number


class _Exit(msgspec.Struct):
    message: _ExitMessage


class _SyncAggregate(msgspec.Struct):
    sync_committee_bits: Annotated[str, Meta(max_length=1 << 12)]


class _Body(msgspec.Struct):
    deposits: Annotated[list[_Deposit], Meta(max_length=1024)] = []
    execution_payload: _Payload | None = None
    execution_requests: _ExecutionRequests | None = None
    attestations: Annotated[list[_Attestation], Meta(max_length=1024)] = []
    proposer_slashings: Annotated[list[_ProposerSlashing], Meta(max_length=1024)] = []
    attester_slashings: Annotated[list[_AttesterSlashing], Meta(max_length=1024)] = []
    voluntary_exits: Annotated[list[_Exit], Meta(max_length=1024)] = []
    sync_aggregate: _SyncAggregate | None = None


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


# Numbers are strings in this API; `strict=False` reads both.
_BLOCK = msgspec.json.Decoder(_BlockAnswer, strict=False)


def decode_block(content: bytes, root: str) -> Block:
    """Return the block of an answer, which was asked for by its root.

    Raises ValueError (msgspec's errors are) when it cannot be one.
    """
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
    requests = body.execution_requests or _ExecutionRequests()
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
            for deposit in (*(deposit.data for deposit in body.deposits), *requests.deposits)
        ),
        is_complete=is_complete,
        attestations=tuple(_attestation(one, message.slot) for one in body.attestations),
        sync_bits=b"" if body.sync_aggregate is None else _bytes(body.sync_aggregate.sync_committee_bits),
        exits=tuple(one.message.validator_index for one in body.voluntary_exits),
        proposer_slashings=tuple(
            one.signed_header_1.message.proposer_index for one in body.proposer_slashings
        ),
        attester_slashings=tuple(index for one in body.attester_slashings for index in _slashed(one)),
        consolidations=tuple(
            Consolidation(one.source_address.lower(), one.source_pubkey.lower(), one.target_pubkey.lower())
            for one in requests.consolidations
        ),
    )


def _bytes(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError(f"bits are not hex: {text[:20]!r}")
    return bytes.fromhex(text[2:])


def _attestation(entry: _Attestation, block_slot: int) -> Attestation:
    data = entry.data
    if data.slot >= block_slot:
        raise ValueError(f"a block of slot {block_slot} with an attestation of slot {data.slot}")
    if entry.committee_bits is None:
        committees: tuple[int, ...] = (data.index,)
    else:
        field = int.from_bytes(_bytes(entry.committee_bits), "little")
        committees = tuple(number for number in range(field.bit_length()) if field >> number & 1)
    return Attestation(
        slot=data.slot,
        committees=committees,
        bits=_bytes(entry.aggregation_bits),
        head_root=data.beacon_block_root.lower(),
        target_epoch=data.target.epoch,
        target_root=data.target.root.lower(),
    )


def _slashed(entry: _AttesterSlashing) -> list[int]:
    """Return who signed both attestations (phase0, `process_attester_slashing`)."""
    second = set(entry.attestation_2.attesting_indices)
    return sorted(second.intersection(entry.attestation_1.attesting_indices))


def _payload(payload: _Payload) -> Payload:
    if not _DECIMAL.fullmatch(payload.base_fee_per_gas) or int(payload.base_fee_per_gas) > _LARGEST_UINT256:
        raise ValueError("base_fee_per_gas is not a number of 256 bits")
    return Payload(
        block_number=payload.block_number,
        block_hash=payload.block_hash.lower(),
        fee_recipient=payload.fee_recipient.lower(),
        base_fee_per_gas=int(payload.base_fee_per_gas),
    )
