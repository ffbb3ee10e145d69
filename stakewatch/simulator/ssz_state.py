"""The simulated chain's beacon state in its SSZ form, as /eth/v2/debug/beacon/states serves it.

What happened within an epoch is replayed from its blocks, so that the state of any slot that is kept can be
given, not only the newest. Written down independently of `stakewatch.ethereum`, as the presets are. Roots
that nobody can check against anything, and histories, are zero. Source: consensus-specs, deneb and electra.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.blocks import Checkpoint
from stakewatch.simulator.chain import Chain
from stakewatch.simulator.state import HEAD, SOURCE, TARGET

_OFFSET_BYTES = 4
_EXIT_DELAY_EPOCHS = 1 + 4
_VALIDATOR = np.dtype(
    [
        ("pubkey", "S48"),
        ("withdrawal_credentials", "S32"),
        ("effective_balance", "<u8"),
        ("slashed", "u1"),
        ("activation_eligibility_epoch", "<u8"),
        ("activation_epoch", "<u8"),
        ("exit_epoch", "<u8"),
        ("withdrawable_epoch", "<u8"),
    ]
)


@dataclass(frozen=True)
class _Sizes:
    """Lengths of a state's vectors."""

    historical_roots: int
    randao_mixes: int
    slashings: int


_SIZES: Mapping[str, _Sizes] = MappingProxyType(
    {"minimal": _Sizes(64, 64, 64), "mainnet": _Sizes(8192, 65536, 8192)}
)


@dataclass(frozen=True)
class _Variable:
    """A field whose bytes follow after the fixed part."""

    content: bytes


def ssz_state(chain: Chain, slot: int, fork_version: bytes) -> bytes:
    """Return the state after a slot's block.

    Raises KeyError when the slot is in the future, or its epoch or the one before are no longer kept.
    """
    fields = [*_history_fields(chain, slot, fork_version), *_registry_fields(chain, slot)]
    fields += _finality_fields(chain, slot)
    if chain.parameters.fork == "electra":
        fields += _queue_fields(chain, slot)
    position = sum(len(field) if isinstance(field, bytes) else _OFFSET_BYTES for field in fields)
    parts = []
    for field in fields:
        if isinstance(field, bytes):
            parts.append(field)
        else:
            parts.append(position.to_bytes(_OFFSET_BYTES, "little"))
            position += len(field.content)
    return b"".join(parts + [field.content for field in fields if isinstance(field, _Variable)])


def participation(chain: Chain, epoch: int, slot: int) -> npt.NDArray[np.uint8]:
    """Return the flags that the blocks up to a slot have set for the attestations of an epoch, per validator.

    Raises KeyError when blocks of the epoch are no longer kept.
    """
    flags = np.zeros(chain.parameters.validators, dtype=np.uint8)
    for number in range(max(chain.first_slot(epoch), 1), min(slot + 1, chain.first_slot(epoch + 2))):
        block = chain.slots[number].block
        for aggregate in block.aggregates if block else ():
            if chain.epoch_of(aggregate.slot) != epoch:
                continue
            committees = chain.epochs[epoch].committees[aggregate.slot % chain.preset.slots_per_epoch]
            members = committees[aggregate.committee][aggregate.bits]
            delay = number - aggregate.slot
            flags[members] |= 1 << TARGET
            if delay <= isqrt(chain.preset.slots_per_epoch):
                flags[members] |= 1 << SOURCE
            if delay == 1:
                flags[members] |= 1 << HEAD
    return flags


def _history_fields(chain: Chain, slot: int, fork_version: bytes) -> list[bytes | _Variable]:
    sizes = _SIZES[chain.preset.name]
    block = chain.block_at_or_before(slot)
    header = b"".join(
        (
            _uint64(block.slot),
            _uint64(block.proposer_index),
            _root(block.parent_root),
            _root(block.state_root),
            bytes(32),
        )
    )
    return [
        _uint64(chain.parameters.genesis_time),
        _root(chain.genesis_validators_root),
        _uint64(slot),
        fork_version + fork_version + _uint64(0),
        header,
        bytes(32 * sizes.historical_roots),
        bytes(32 * sizes.historical_roots),
        _Variable(b""),
        bytes(32 + 8 + 32),
        _Variable(bytes(72 * (slot % 3))),
        _uint64(chain.parameters.validators),
    ]


def _registry_fields(chain: Chain, slot: int) -> list[bytes | _Variable]:
    sizes = _SIZES[chain.preset.name]
    epoch = chain.epoch_of(slot)
    record = chain.epochs[epoch]
    validators = np.zeros(chain.parameters.validators, dtype=_VALIDATOR)
    validators["pubkey"] = [bytes.fromhex(pubkey[2:]) for pubkey in chain.pubkeys]
    validators["withdrawal_credentials"] = [
        bytes.fromhex(chain.credentials(index)[2:]) for index in range(chain.parameters.validators)
    ]
    validators["effective_balance"] = record.effective_balances
    validators["activation_epoch"] = record.activation_epochs
    validators["exit_epoch"] = record.exit_epochs
    validators["withdrawable_epoch"] = record.withdrawable_epochs
    for number in range(max(chain.first_slot(epoch), 1), slot + 1):
        block = chain.slots[number].block
        for index in block.exits if block else ():
            exit_epoch = epoch + _EXIT_DELAY_EPOCHS
            validators["exit_epoch"][index] = exit_epoch
            validators["withdrawable_epoch"][index] = exit_epoch + chain.preset.withdrawability_delay_epochs
    previous = (
        participation(chain, epoch - 1, slot)
        if epoch
        else np.zeros(chain.parameters.validators, dtype=np.uint8)
    )
    return [
        _Variable(validators.tobytes()),
        _Variable(chain.balances_at(slot).astype("<u8").tobytes()),
        bytes(32 * sizes.randao_mixes),
        bytes(8 * sizes.slashings),
        _Variable(previous.tobytes()),
        _Variable(participation(chain, epoch, slot).tobytes()),
    ]


def _finality_fields(chain: Chain, slot: int) -> list[bytes | _Variable]:
    record = chain.epochs[chain.epoch_of(slot)]
    bits = sum(1 << place for place, bit in enumerate(record.justified_bits) if bit)
    seats, next_seats = (
        b"".join(bytes.fromhex(chain.pubkeys[index][2:]) for index in members)
        for members in (record.sync_committee, record.next_sync_committee)
    )
    return [
        bytes((bits,)),
        _checkpoint(record.previous_justified),
        _checkpoint(record.current_justified),
        _checkpoint(record.finalized),
        _Variable(record.inactivity_scores.astype("<u8").tobytes()),
        seats + bytes(48),
        next_seats + bytes(48),
        _Variable(bytes(584)),
        _uint64(0),
        _uint64(0),
        _Variable(b""),
    ]


def _queue_fields(chain: Chain, slot: int) -> list[bytes | _Variable]:
    deposits = b"".join(
        b"".join(
            (
                bytes.fromhex(chain.pubkeys[deposit.validator_index][2:]),
                bytes.fromhex(chain.credentials(deposit.validator_index)[2:]),
                _uint64(deposit.amount),
                bytes(96),
                _uint64(deposit.slot),
            )
        )
        for deposit in chain.slots[slot].pending_deposits
    )
    return [*(_uint64(0) for _ in range(6)), _Variable(deposits), _Variable(b""), _Variable(b"")]


def _uint64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _root(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _checkpoint(checkpoint: Checkpoint) -> bytes:
    return _uint64(checkpoint.epoch) + _root(checkpoint.root)
