"""The committees of an epoch of a large chain, how each member votes, and when its vote is in a block."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.mainnet.registry import MainnetParameters, Registry
from stakewatch.simulator.state import HEAD, SOURCE, TARGET

SLOTS_PER_EPOCH = 32
CORRECT, WRONG_HEAD, WRONG_TARGET = 0, 1, 2
_MOST_COMMITTEES = 64
_TARGET_COMMITTEE_SIZE = 128
_SOURCE_SLOTS = 5
# Late votes come so many slots later; the last ones too late for the timely source flag.
_LATE_DELAYS = (2, 5, 7)


@dataclass(frozen=True)
class Votes:
    """The votes of an epoch by position in the shuffled active set.

    `members` are validator indices (int32); committee c of the epoch has positions bounds[c] to bounds[c+1].
    `ready` is after how many slots a vote can be in a block, 0 for never (uint8); `kind` is CORRECT,
    WRONG_HEAD or WRONG_TARGET (uint8); `included` is the slot that it got into, 0 for none (int64).
    """

    epoch: int
    members: npt.NDArray[np.int32]
    bounds: npt.NDArray[np.int64]
    ready: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    included: npt.NDArray[np.int64]

    @property
    def committees_per_slot(self) -> int:
        """How many committees each slot has."""
        return (len(self.bounds) - 1) // SLOTS_PER_EPOCH

    def of_slot(self, slot: int) -> slice:
        """Return the positions whose duty is in a slot."""
        first = slot % SLOTS_PER_EPOCH * self.committees_per_slot
        return slice(int(self.bounds[first]), int(self.bounds[first + self.committees_per_slot]))

    def committee_bounds(self, slot: int) -> npt.NDArray[np.int64]:
        """Return where the committees of a slot begin and end within `of_slot`."""
        first = slot % SLOTS_PER_EPOCH * self.committees_per_slot
        bounds = self.bounds[first : first + self.committees_per_slot + 1]
        relative: npt.NDArray[np.int64] = bounds - bounds[0]
        return relative

    def duty_slots(self) -> npt.NDArray[np.int64]:
        """Return the slot of each position's duty."""
        lengths = np.diff(self.bounds[:: self.committees_per_slot])
        first = self.epoch * SLOTS_PER_EPOCH
        return np.repeat(np.arange(first, first + SLOTS_PER_EPOCH), lengths)

    def distances(self, last_slot: int) -> npt.NDArray[np.int64]:
        """Return the inclusion distance by position for votes in blocks up to a slot, 0 for none."""
        there = (self.included > 0) & (self.included <= last_slot)
        return np.where(there, self.included - self.duty_slots(), 0)

    def flags(self, last_slot: int) -> npt.NDArray[np.uint8]:
        """Return the participation flags by position that blocks up to a slot have set (altair, deneb)."""
        distance = self.distances(last_slot)
        there = distance > 0
        source = there & (distance <= _SOURCE_SLOTS)
        target = there & (self.kind != WRONG_TARGET)
        head = (distance == 1) & (self.kind == CORRECT)
        bits = source * (1 << SOURCE) + target * (1 << TARGET) + head * (1 << HEAD)
        flags: npt.NDArray[np.uint8] = bits.astype(np.uint8)
        return flags


def flags_of(kind: int, distance: int) -> tuple[int, ...]:
    """Return the flags that a vote of a kind earns when it is included after so many slots."""
    earned = []
    if distance <= _SOURCE_SLOTS:
        earned.append(SOURCE)
    if kind != WRONG_TARGET:
        earned.append(TARGET)
    if distance == 1 and kind == CORRECT:
        earned.append(HEAD)
    return tuple(earned)


def make_votes(
    parameters: MainnetParameters, registry: Registry, epoch: int, active: npt.NDArray[np.int64]
) -> Votes:
    """Shuffle the active validators of an epoch into committees and decide how each will vote."""
    random = np.random.default_rng([parameters.seed, 2, epoch])
    members = random.permutation(active).astype(np.int32)
    count = len(members)
    per_slot = max(1, min(_MOST_COMMITTEES, count // SLOTS_PER_EPOCH // _TARGET_COMMITTEE_SIZE))
    committees = SLOTS_PER_EPOCH * per_slot
    luck = random.random(count)
    ready = np.ones(count, dtype=np.uint8)
    share = parameters.late_ratio / len(_LATE_DELAYS)
    for number, delay in enumerate(_LATE_DELAYS):
        ready[(luck >= number * share) & (luck < (number + 1) * share)] = delay
    on_time = luck >= parameters.late_ratio
    opinion = random.random(count)
    kind = np.zeros(count, dtype=np.uint8)
    kind[on_time & (opinion < parameters.wrong_head_ratio)] = WRONG_HEAD
    kind[on_time & (opinion > 1 - parameters.wrong_target_ratio)] = WRONG_TARGET
    ready[random.random(count) < parameters.miss_ratio] = 0
    ready[registry.offline[members]] = 0
    return Votes(
        epoch=epoch,
        members=members,
        bounds=np.arange(committees + 1, dtype=np.int64) * count // committees,
        ready=ready,
        kind=kind,
        included=np.zeros(count, dtype=np.int64),
    )
