"""The states of a large chain in SSZ (mainnet preset, fulu), piece by piece so that none is whole in memory.

Written down independently of `stakewatch.ethereum`. Roots that nobody can check and histories are zero.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.mainnet.blocks import Deposit
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from stakewatch.simulator.presets import GWEI

FORK_VERSION = bytes.fromhex("06000000")
_BLOCK = 1 << 15
_OFFSET_BYTES = 4
_HISTORICAL_ROOTS = 758
_SUMMARIES = 1_000
_ETH1_VOTES = 64


@dataclass(frozen=True)
class _Variable:
    """A field whose bytes follow after the fixed part."""

    length: int
    pieces: Iterator[bytes]


def state_pieces(chain: MainnetChain, slot: int, genesis_time: int) -> tuple[int, Iterator[bytes]]:
    """Return the length of the state after a slot, and its bytes in pieces.

    Raises KeyError for a slot that is not there.
    """
    fields = _fields(chain, slot, genesis_time)
    fixed_length = sum(len(one) if isinstance(one, bytes) else _OFFSET_BYTES for one in fields)
    parts, position = [], fixed_length
    for one in fields:
        if isinstance(one, bytes):
            parts.append(one)
        else:
            parts.append(position.to_bytes(_OFFSET_BYTES, "little"))
            position += one.length
    variables = [one for one in fields if isinstance(one, _Variable)]

    def pieces() -> Iterator[bytes]:
        yield b"".join(parts)
        for variable in variables:
            yield from variable.pieces

    return position, pieces()


def _fields(chain: MainnetChain, slot: int, genesis_time: int) -> list[bytes | _Variable]:
    count = chain.parameters.validators
    epoch = slot // SLOTS_PER_EPOCH
    record = chain.epochs[epoch]
    balances = chain.balances_at(slot)
    last_block = slot
    while last_block > chain.first_slot and not chain.slots[last_block].has_block:
        last_block -= 1
    header = (
        _uint64(last_block)
        + _uint64(chain.slots[last_block].proposer_index)
        + _root(chain.parent_root(last_block))
        + bytes(64)
    )
    seats = b"".join(
        chain.registry.records["pubkey"][index].tobytes() for index in chain.sync_committee
    ) + bytes(48)
    lookahead = (*record.proposers, *chain.proposers(epoch + 1))
    return [
        _uint64(genesis_time),
        _root(chain.genesis_validators_root),
        _uint64(slot),
        FORK_VERSION + FORK_VERSION + _uint64(0),
        header,
        bytes(32 * 8192),
        bytes(32 * 8192),
        _constant(bytes(32 * _HISTORICAL_ROOTS)),
        bytes(32 + 8 + 32),
        _constant(bytes(72 * _ETH1_VOTES)),
        _uint64(count),
        _Variable(121 * count, _validators(chain, slot)),
        _Variable(8 * count, _numbers(balances)),
        bytes(32 * 65536),
        bytes(8 * 8192),
        _constant(chain.participation(epoch - 1, slot).tobytes()),
        _constant(chain.participation(epoch, slot).tobytes()),
        bytes((0b1111,)),
        _checkpoint(chain, epoch - 2),
        _checkpoint(chain, epoch - 1),
        _checkpoint(chain, epoch - 2),
        _Variable(8 * count, _numbers(record.scores)),
        seats,
        seats,
        _constant(bytes(584)),
        _uint64(0),
        _uint64(0),
        _constant(bytes(64 * _SUMMARIES)),
        *(_uint64(0) for _ in range(6)),
        _constant(_pending_deposits(chain, slot)),
        _constant(bytes(24 * 64)),
        _constant(bytes(16 * 10)),
        b"".join(_uint64(index) for index in lookahead),
    ]


def _validators(chain: MainnetChain, slot: int) -> Iterator[bytes]:
    records = chain.registry.records
    effective = chain.epochs[slot // SLOTS_PER_EPOCH].effective
    leaves = {leave.validator_index: leave for leave in chain.leaves(slot)}
    for first in range(0, len(records), _BLOCK):
        block = records[first : first + _BLOCK].copy()
        block["effective_balance"] = effective[first : first + _BLOCK].astype(np.uint64) * np.uint64(GWEI)
        for index, leave in leaves.items():
            if first <= index < first + len(block):
                block["exit_epoch"][index - first] = leave.exit_epoch
                block["withdrawable_epoch"][index - first] = leave.withdrawable_epoch
                block["slashed"][index - first] = leave.is_slashed
        yield block.tobytes()


def _numbers(values: npt.NDArray[np.integer]) -> Iterator[bytes]:
    for first in range(0, len(values), _BLOCK * 4):
        yield values[first : first + _BLOCK * 4].astype("<u8").tobytes()


def _pending_deposits(chain: MainnetChain, slot: int) -> bytes:
    parts = []
    for deposit in pending_deposits(chain, slot):
        record = chain.registry.records[deposit.validator_index]
        parts += [record["pubkey"].tobytes(), record["withdrawal_credentials"].tobytes()]
        parts += [_uint64(deposit.amount), bytes(96), _uint64(deposit.slot)]
    return b"".join(parts)


def pending_deposits(chain: MainnetChain, slot: int) -> list[Deposit]:
    """Return the deposit queue after a slot."""
    epoch = slot // SLOTS_PER_EPOCH
    queued = list(chain.epochs[epoch].pending_deposits)
    for number in range(epoch * SLOTS_PER_EPOCH, slot + 1):
        queued += [Deposit(index, amount, number) for index, amount in chain.slots[number].deposits]
    return queued


def _constant(content: bytes) -> _Variable:
    return _Variable(len(content), iter((content,)))


def _uint64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _root(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _checkpoint(chain: MainnetChain, epoch: int) -> bytes:
    return _uint64(epoch) + _root(chain.checkpoint_root(epoch))
