"""The sync committees: which seats are ours, and what a block's sync aggregate says of them.

Source: consensus-specs, altair `process_sync_aggregate`; a key may hold several seats, each counts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.committees import bitvector
from stakewatch.ethereum.state_layout import specification_number
from stakewatch_exporter.membership import Membership

_SYNC_WEIGHT = 2
_WEIGHT_DENOMINATOR = 64


@dataclass(frozen=True)
class SeatParameters:
    """The values of `config/spec` that sync committees depend on."""

    epochs_per_period: int
    effective_balance_increment: int
    base_reward_factor: int

    def period(self, epoch: int) -> int:
        """Return the period that an epoch lies in."""
        return epoch // self.epochs_per_period


def seat_parameters(values: Mapping[str, object]) -> SeatParameters:
    """Return the parameters from the `data` of `config/spec`. Raises SpecificationError."""
    return SeatParameters(
        epochs_per_period=specification_number(values, "EPOCHS_PER_SYNC_COMMITTEE_PERIOD"),
        effective_balance_increment=specification_number(values, "EFFECTIVE_BALANCE_INCREMENT"),
        base_reward_factor=specification_number(values, "BASE_REWARD_FACTOR"),
    )


@dataclass(frozen=True)
class SyncVotes:
    """Seats that took part and that did not, by group and of the whole network."""

    hits: Mapping[str, int]
    misses: Mapping[str, int]
    network_hits: int
    network_misses: int


def sync_votes(bits: bytes, seats: Sequence[int], membership: Membership) -> SyncVotes:
    """Return what a block's sync bits say of the seats, given as validator indices.

    Raises ValueError when there are not as many bits as seats.
    """
    members = np.asarray(seats, dtype=np.int64)
    present = bitvector(bits, len(members))
    return SyncVotes(
        hits=membership.counts(members[present]),
        misses=membership.counts(members[~present]),
        network_hits=int(present.sum()),
        network_misses=int((~present).sum()),
    )


def seats_by_group(seats: npt.NDArray[np.int64] | Sequence[int], membership: Membership) -> Mapping[str, int]:
    """Return how many seats each group holds; groups without any are left out."""
    return Counter(membership.counts(np.asarray(seats, dtype=np.int64)))


def seat_reward(active_balance: int, parameters: SeatParameters, *, seats: int, slots_per_epoch: int) -> int:
    """Return what a seat gets for each slot that it takes part in, and loses for each other, in gwei."""
    increment = parameters.effective_balance_increment
    per_increment = increment * parameters.base_reward_factor // isqrt(active_balance)
    total = per_increment * (active_balance // increment)
    return total * _SYNC_WEIGHT // _WEIGHT_DENOMINATOR // slots_per_epoch // seats
