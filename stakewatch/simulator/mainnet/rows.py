"""Long JSON lists as arrays of bytes: every entry has the same width, so that millions take a second.

JSON allows blanks between its signs, so numbers of fewer digits stand behind blanks.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from stakewatch.simulator.presets import FAR_FUTURE_EPOCH, GWEI

Bytes = npt.NDArray[np.uint8]
BLOCK = 1 << 15
_SIX_DIGITS = 10**6
_QUOTE, _BLANK, _ZERO, _MINUS = b'" 0-'
# Both digits of a byte as one number, so that a byte costs one look-up.
_HEX = np.frombuffer(b"".join(b"%02x" % number for number in range(256)), dtype="<u2")
_NEVER = np.frombuffer(f'"{FAR_FUTURE_EPOCH}"'.encode(), dtype=np.uint8)
_STATUSES = (
    "pending_queued",
    "active_ongoing",
    "active_exiting",
    "active_slashed",
    "exited_unslashed",
    "exited_slashed",
    "withdrawal_possible",
    "withdrawal_done",
)
_STATUS_WIDTH = 21


def _make_digits() -> Bytes:
    numbers = np.arange(_SIX_DIGITS)
    places = [numbers // 10**place % 10 + _ZERO for place in reversed(range(6))]
    return np.stack(places, axis=1).astype(np.uint8)


_DIGITS = _make_digits()


def quoted(values: npt.NDArray[np.integer], digits: int) -> Bytes:
    """Return numbers in quotes, right-aligned, one row each of `digits` + 3 bytes; the sign has a place."""
    amounts = np.abs(values.astype(np.int64))
    powers = reversed(range(-(-digits // 6)))
    pieces = [_DIGITS[amounts // _SIX_DIGITS**power % _SIX_DIGITS] for power in powers]
    rows = np.full((len(amounts), digits + 3), _BLANK, dtype=np.uint8)
    rows[:, 2:-1] = np.concatenate(pieces, axis=1)[:, -digits:]
    lengths = np.maximum(np.searchsorted(10 ** np.arange(digits), amounts, side="right"), 1)
    first = digits + 2 - lengths
    blank = np.arange(digits + 3)[None, :] < first[:, None]
    rows[blank] = _BLANK
    own = np.arange(len(amounts))
    negative = np.asarray(values) < 0
    rows[own[negative], first[negative] - 1] = _MINUS
    rows[own, first - 1 - negative] = _QUOTE
    rows[:, -1] = _QUOTE
    return rows


def epochs(values: npt.NDArray[np.uint64]) -> Bytes:
    """Return epochs in quotes, right-aligned, the one that never comes among them."""
    rows = np.full((len(values), len(_NEVER)), _BLANK, dtype=np.uint8)
    is_never = values == np.uint64(FAR_FUTURE_EPOCH)
    near = quoted(np.where(is_never, np.uint64(0), values), 7)
    rows[:, -near.shape[1] :] = near
    rows[is_never] = _NEVER
    return rows


def hexadecimal(values: Bytes) -> Bytes:
    """Return rows of bytes as lower-case hex digits."""
    return np.take(_HEX, values).view(np.uint8)


def _joined(parts: Sequence[bytes | Bytes], count: int) -> Bytes:
    """Return rows that consist of constant and of changing parts."""
    width = sum(len(part) if isinstance(part, bytes) else part.shape[1] for part in parts)
    rows = np.empty((count, width), dtype=np.uint8)
    at = 0
    for part in parts:
        if isinstance(part, bytes):
            rows[:, at : at + len(part)] = np.frombuffer(part, dtype=np.uint8)
            at += len(part)
        else:
            rows[:, at : at + part.shape[1]] = part
            at += part.shape[1]
    return rows


def _text(rows: Bytes, *, is_last: bool) -> bytes:
    """Return rows as text, each of which ends with a comma but the last of a list."""
    text = rows.tobytes()
    return text[:-1] if is_last else text


class ValidatorRows:
    """The validators of one state as JSON, any of them in any order."""

    def __init__(self, chain: MainnetChain, slot: int) -> None:
        records = chain.registry.records
        self._records = records
        self._epoch = epoch = slot // SLOTS_PER_EPOCH
        self._balances = chain.balances_at(slot)
        self._effective = chain.epochs[epoch].effective
        self._exits = records["exit_epoch"].copy()
        self._withdrawable = records["withdrawable_epoch"].copy()
        self._slashed = records["slashed"].astype(np.bool_)
        for leave in chain.leaves(slot):
            self._exits[leave.validator_index] = leave.exit_epoch
            self._withdrawable[leave.validator_index] = leave.withdrawable_epoch
            self._slashed[leave.validator_index] = leave.is_slashed

    def status_numbers(self, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return the place of each validator's status in the Beacon API's list."""
        epoch = np.uint64(self._epoch)
        exits, slashed = self._exits[indices], self._slashed[indices]
        active = np.where(slashed, 3, np.where(exits == np.uint64(FAR_FUTURE_EPOCH), 1, 2))
        gone = np.where(slashed, 5, 4)
        withdrawable = np.where(self._balances[indices] > 0, 6, 7)
        found = np.where(
            epoch < exits, active, np.where(epoch < self._withdrawable[indices], gone, withdrawable)
        )
        return np.where(epoch < self._records["activation_epoch"][indices], 0, found).astype(np.int64)

    def statuses(self, indices: npt.NDArray[np.integer]) -> list[str]:
        """Return each validator's status."""
        return [_STATUSES[number] for number in self.status_numbers(indices)]

    def text(self, indices: npt.NDArray[np.integer], *, is_last: bool) -> bytes:
        """Return validators as entries of a JSON list."""
        records = self._records[indices]
        statuses = np.frombuffer(
            b"".join(f'"{status}"'.encode().ljust(_STATUS_WIDTH) for status in _STATUSES), dtype=np.uint8
        ).reshape(-1, _STATUS_WIDTH)
        slashed = np.frombuffer(b"falsetrue ", dtype=np.uint8).reshape(2, 5)
        parts: list[bytes | Bytes] = [
            b'{"index":',
            quoted(np.asarray(indices), 7),
            b',"balance":',
            quoted(self._balances[indices], 13),
            b',"status":',
            statuses[self.status_numbers(indices)],
            b',"validator":{"pubkey":"0x',
            hexadecimal(records["pubkey"]),
            b'","withdrawal_credentials":"0x',
            hexadecimal(records["withdrawal_credentials"]),
            b'","effective_balance":',
            quoted(self._effective[indices].astype(np.int64) * GWEI, 13),
            b',"slashed":',
            slashed[self._slashed[indices].astype(np.int64)],
            b',"activation_eligibility_epoch":',
            epochs(records["activation_eligibility_epoch"]),
            b',"activation_epoch":',
            epochs(records["activation_epoch"]),
            b',"exit_epoch":',
            epochs(self._exits[indices]),
            b',"withdrawable_epoch":',
            epochs(self._withdrawable[indices]),
            b"}},",
        ]
        return _text(_joined(parts, len(records)), is_last=is_last)

    def pieces(self) -> Iterator[bytes]:
        """Yield all validators as entries of a JSON list."""
        count = len(self._records)
        for first in range(0, count, BLOCK):
            last = min(first + BLOCK, count)
            yield self.text(np.arange(first, last), is_last=last == count)


def balance_rows(indices: npt.NDArray[np.integer], balances: npt.NDArray[np.int64]) -> bytes:
    """Return index and balance as entries of a JSON list."""
    if not len(indices):
        return b""
    parts: list[bytes | Bytes] = [
        b'{"index":',
        quoted(indices, 7),
        b',"balance":',
        quoted(balances, 13),
        b"},",
    ]
    return _text(_joined(parts, len(indices)), is_last=True)


def number_list(values: npt.NDArray[np.integer]) -> bytes:
    """Return numbers in quotes as a whole JSON list."""
    if not len(values):
        return b"[]"
    return b"[" + _text(_joined([quoted(values, 7), b","], len(values)), is_last=True) + b"]"


def reward_rows(indices: npt.NDArray[np.integer], rewards: dict[str, npt.NDArray[np.int64]]) -> bytes:
    """Return the attestation rewards of validators as entries of a JSON list that go on with others."""
    parts: list[bytes | Bytes] = [b'{"validator_index":', quoted(indices, 7)]
    for name in ("head", "target", "source", "inactivity"):
        parts += [f',"{name}":'.encode(), quoted(rewards[name], 8)]
    parts.append(b"},")
    return _text(_joined(parts, len(indices)), is_last=False)
