"""A state of mainnet's size and layout (electra), made block by block and never whole in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SLOT = 14_000_000 // 32 * 32 + 31
EPOCH = SLOT // 32
GENESIS_VALIDATORS_ROOT = bytes(range(32))
FORK_VERSION = bytes.fromhex("05000000")
GWEI = 10**9
FIXED_BYTES = 2_736_713
_FAR_FUTURE_EPOCH = 2**64 - 1
_BLOCK = 1 << 15
_PENDING_DEPOSITS = 40_000
_SUMMARIES = 1_000

# As a mainnet node tells them in config/spec, as far as a state depends on them.
SPECIFICATION = {
    "PRESET_BASE": "mainnet",
    "SLOTS_PER_EPOCH": "32",
    "SLOTS_PER_HISTORICAL_ROOT": "8192",
    "EPOCHS_PER_HISTORICAL_VECTOR": "65536",
    "EPOCHS_PER_SLASHINGS_VECTOR": "8192",
    "SYNC_COMMITTEE_SIZE": "512",
    "HISTORICAL_ROOTS_LIMIT": "16777216",
    "MIN_SEED_LOOKAHEAD": "1",
    "PTC_SIZE": "512",
    "EFFECTIVE_BALANCE_INCREMENT": "1000000000",
    "BASE_REWARD_FACTOR": "64",
    "INACTIVITY_PENALTY_QUOTIENT_ALTAIR": "50331648",
    "INACTIVITY_PENALTY_QUOTIENT_BELLATRIX": "16777216",
    "INACTIVITY_SCORE_BIAS": "4",
    "INACTIVITY_SCORE_RECOVERY_RATE": "16",
    "MIN_EPOCHS_TO_INACTIVITY_PENALTY": "4",
    "GENESIS_FORK_VERSION": "0x00000000",
    "ALTAIR_FORK_VERSION": "0x01000000",
    "ALTAIR_FORK_EPOCH": "74240",
    "BELLATRIX_FORK_VERSION": "0x02000000",
    "BELLATRIX_FORK_EPOCH": "144896",
    "CAPELLA_FORK_VERSION": "0x03000000",
    "CAPELLA_FORK_EPOCH": "194048",
    "DENEB_FORK_VERSION": "0x04000000",
    "DENEB_FORK_EPOCH": "269568",
    "ELECTRA_FORK_VERSION": "0x05000000",
    "ELECTRA_FORK_EPOCH": "364032",
    "FULU_FORK_VERSION": "0x06000000",
    "FULU_FORK_EPOCH": "18446744073709551615",
    "GLOAS_FORK_VERSION": "0x07000000",
    "GLOAS_FORK_EPOCH": "18446744073709551615",
}
_VALIDATOR = np.dtype(
    [
        ("pubkey", "u1", 48),
        ("withdrawal_credentials", "u1", 32),
        ("effective_balance", "<u8"),
        ("slashed", "u1"),
        ("activation_eligibility_epoch", "<u8"),
        ("activation_epoch", "<u8"),
        ("exit_epoch", "<u8"),
        ("withdrawable_epoch", "<u8"),
    ]
)


@dataclass(frozen=True)
class Validators:
    """Some validators with consecutive indices; `records` as in the state, one entry each in every array."""

    records: npt.NDArray[np.void]
    balances: npt.NDArray[np.uint64]
    previous: npt.NDArray[np.uint8]
    current: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.uint64]


def validators(first: int, count: int) -> Validators:
    """Return validators: of 21 eleven have exited; every 97th of the rest is slashed, every 5th compounds.

    One in a hundred votes for the wrong head, one in 211 misses and has an inactivity score.
    """
    random = np.random.default_rng([first, count])
    indices = np.arange(first, first + count)
    records = np.zeros(count, dtype=_VALIDATOR)
    records["pubkey"] = random.integers(0, 256, (count, 48), dtype=np.uint8)
    exited = indices % 21 < 11
    compounds = indices % 5 == 0
    records["withdrawal_credentials"][:, 0] = np.where(compounds, 2, 1)
    effective = np.where(compounds, 32 + indices % 2017, 32)
    records["effective_balance"] = np.where(exited, 0, effective) * GWEI
    records["slashed"] = ~exited & (indices % 97 == 0)
    records["activation_epoch"] = indices % 100_000
    records["exit_epoch"] = np.where(exited, np.uint64(EPOCH - 1000), np.uint64(_FAR_FUTURE_EPOCH))
    records["withdrawable_epoch"] = np.where(exited, np.uint64(EPOCH - 500), np.uint64(_FAR_FUTURE_EPOCH))
    missed = indices % 211 == 0
    flags = np.where(indices % 100 == 7, 3, 7)
    return Validators(
        records=records,
        balances=records["effective_balance"] + (indices % 1000).astype(np.uint64),
        previous=np.where(exited | missed, 0, flags).astype(np.uint8),
        current=np.where(exited | missed, 0, 7).astype(np.uint8),
        scores=np.where(missed & ~exited, indices % 64, 0).astype(np.uint64),
    )


def blocks(count: int) -> Iterator[Validators]:
    """Yield all validators in the order of their indices, the same ones each time."""
    for first in range(0, count, _BLOCK):
        yield validators(first, min(_BLOCK, count - first))


def list_bytes(count: int) -> dict[str, int]:
    """Return how many bytes each variable field has, in their order."""
    return {
        "historical_roots": 32 * 758,
        "eth1_data_votes": 72 * 64,
        "validators": 121 * count,
        "balances": 8 * count,
        "previous_epoch_participation": count,
        "current_epoch_participation": count,
        "inactivity_scores": 8 * count,
        "latest_execution_payload_header": 584,
        "historical_summaries": 64 * _SUMMARIES,
        "pending_deposits": 192 * _PENDING_DEPOSITS,
        "pending_partial_withdrawals": 24 * 64,
        "pending_consolidations": 16 * 10,
    }


def state_bytes(count: int) -> int:
    """Return the length of the state."""
    return FIXED_BYTES + sum(list_bytes(count).values())


def chunks(count: int) -> Iterator[bytes]:
    """Yield the state of `count` validators in pieces."""
    lengths = list_bytes(count)
    yield _fixed_part(lengths)
    yield bytes(lengths["historical_roots"] + lengths["eth1_data_votes"])
    for block in blocks(count):
        yield block.records.tobytes()
    for block in blocks(count):
        yield block.balances.astype("<u8").tobytes()
    for block in blocks(count):
        yield block.previous.tobytes()
    for block in blocks(count):
        yield block.current.tobytes()
    for block in blocks(count):
        yield block.scores.astype("<u8").tobytes()
    yield bytes(sum(list(lengths.values())[7:]))


def _fixed_part(lengths: dict[str, int]) -> bytes:
    """Return the fixed part, its fields at the positions that were read off real states."""
    part = bytearray(FIXED_BYTES)
    part[8:40] = GENESIS_VALIDATORS_ROOT
    part[40:48] = SLOT.to_bytes(8, "little")
    part[52:56] = FORK_VERSION
    part[2687256] = 0b1111
    for position, epoch in ((2687257, EPOCH - 2), (2687297, EPOCH - 1), (2687337, EPOCH - 2)):
        part[position : position + 8] = epoch.to_bytes(8, "little")
    words = [524464, 524540, 524552, 524556, 2687248, 2687252, 2687377, 2736629]
    words += [2736649, 2736701, 2736705, 2736709]
    offset = FIXED_BYTES
    for position, length in zip(words, lengths.values(), strict=True):
        part[position : position + 4] = offset.to_bytes(4, "little")
        offset += length
    return bytes(part)
