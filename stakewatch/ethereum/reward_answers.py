"""What nodes answer about the attestation rewards of an epoch, told apart into votes, rewards and penalties.

Source: beacon-APIs `rewards/attestations/{epoch}`. A vote is seen in its reward: who hit source or target got
something or nothing, who missed lost; who hit the head got something. In an inactivity leak nobody gets
anything, so there the head vote cannot be seen and the answer is refused.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from stakewatch.ethereum.attestation_rewards import HEAD, SOURCE, TARGET, ValidatorRewards
from stakewatch.ethereum.json_rows import RowStream

_MOST_VALIDATORS = 10_000_000
# Two ether in an epoch: nobody gets or loses that, and it fits into 32 bits.
_LARGEST_REWARD = 2 * 10**9
_IDEAL = b'"ideal_rewards":'
_TOTAL = b'"total_rewards":['
_ABSENT = np.int32(-(2**31))

# Some clients write fractions (Lodestar 1.22), so amounts are read as text and cut where they must be whole.
Amount = Annotated[float, Meta(ge=-_LARGEST_REWARD, le=_LARGEST_REWARD)]


class _Ideal(msgspec.Struct):
    effective_balance: Annotated[int, Meta(ge=0, le=10**18)]
    head: Amount
    target: Amount
    source: Amount


class _Total(msgspec.Struct):
    validator_index: Annotated[int, Meta(ge=0, lt=_MOST_VALIDATORS)]
    head: Amount
    target: Amount
    source: Amount
    inactivity: Amount = 0.0


_IDEALS = msgspec.json.Decoder(list[_Ideal], strict=False)


class RewardAnswer:
    """Takes an answer piece by piece; `finish` gives it, and `of` the rewards of validators."""

    def __init__(self) -> None:
        self._rows = RowStream(_TOTAL, b"}", _Total, self._take)
        self._parts: list[npt.NDArray[np.int32]] = []
        self._table = np.empty((0, 4), dtype=np.int32)
        self._ideals: dict[int, int] = {}

    def feed(self, chunk: bytes, /) -> None:
        """Take the next bytes. Raises ValueError."""
        self._rows.feed(chunk)

    def finish(self) -> "RewardAnswer":
        """Return itself, complete. Raises ValueError when a validator is there twice, or in a leak."""
        self._rows.finish()
        begin = self._rows.preamble.find(_IDEAL)
        end = self._rows.preamble.rfind(b"]")
        if not 0 <= begin < end:
            raise ValueError("the ideal rewards do not stand before the total rewards")
        ideals = _IDEALS.decode(self._rows.preamble[begin + len(_IDEAL) : end + 1])
        self._ideals = {
            one.effective_balance: int(one.head) + int(one.target) + int(one.source) for one in ideals
        }
        if not any(self._ideals.values()):
            raise ValueError("in an inactivity leak rewards do not tell who voted for the head")
        rows = np.concatenate(self._parts) if self._parts else np.empty((0, 5), dtype=np.int32)
        self._parts.clear()
        table = np.full((int(rows[:, 0].max(initial=-1)) + 1, 4), _ABSENT, dtype=np.int32)
        table[rows[:, 0]] = rows[:, 1:]
        if int((table[:, 0] != _ABSENT).sum()) != len(rows):
            raise ValueError("a validator is there twice")
        self._table = table
        return self

    def _take(self, rows: list[_Total]) -> None:
        self._parts.append(
            np.array(
                [(row.validator_index, row.source, row.target, row.head, row.inactivity) for row in rows],
                dtype=np.float64,
            ).astype(np.int32)
        )

    def of(
        self,
        indices: npt.NDArray[np.integer],
        *,
        has_duty: npt.NDArray[np.bool_],
        effective_balances: npt.NDArray[np.int64],
    ) -> ValidatorRewards:
        """Return the rewards of validators of whom it is known who had a duty and was not slashed.

        `effective_balances` (int64) are gwei, as of the epoch after. Raises ValueError when one with a duty
        is not in the answer, or the ideal reward of an effective balance is not.
        """
        known = np.full((len(indices), 4), _ABSENT, dtype=np.int32)
        inside = indices < len(self._table)
        known[inside] = self._table[indices[inside]]
        is_known = known[:, 0] != _ABSENT
        if (has_duty & ~is_known).any():
            raise ValueError(f"{int((has_duty & ~is_known).sum())} validators with a duty are not in it")
        amounts = np.where(is_known[:, None], known, np.int32(0))
        flags = np.zeros(len(indices), dtype=np.uint8)
        for flag in (SOURCE, TARGET):
            flags |= np.where(has_duty & (amounts[:, flag] >= 0), 1 << flag, 0).astype(np.uint8)
        flags |= np.where(has_duty & (amounts[:, HEAD] > 0), 1 << HEAD, 0).astype(np.uint8)
        return ValidatorRewards(
            has_duty=has_duty,
            flags=flags,
            source=amounts[:, SOURCE].astype(np.int64),
            target=amounts[:, TARGET].astype(np.int64),
            head=amounts[:, HEAD].astype(np.int64),
            inactivity=np.minimum(amounts[:, 3], 0).astype(np.int64),
            ideal=np.where(has_duty, self._ideal(effective_balances, has_duty), 0),
        )

    def _ideal(
        self, balances: npt.NDArray[np.int64], has_duty: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        found, places = np.unique(balances, return_inverse=True)
        wanted = set(np.unique(balances[has_duty]).tolist())
        missing = wanted - self._ideals.keys()
        if missing:
            raise ValueError(f"the ideal reward of {min(missing)} gwei is not in it")
        table = np.array([self._ideals.get(int(balance), 0) for balance in found], dtype=np.int64)
        return table[places] if len(table) else np.zeros(len(balances), dtype=np.int64)


def indices_body(indices: Sequence[int]) -> bytes:
    """Return the body of a request about these validators, about all of them when there are none."""
    return msgspec.json.encode([str(index) for index in indices])
