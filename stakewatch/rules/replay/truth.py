"""What really happens to a fleet in a simulated time: duties, restarts, reorganisations, a fault.

Times are Unix seconds; epochs are counted from 0 at `Truth.genesis`. Arrays have one row per epoch and one
column per key.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from stakewatch.rules.replay.fleet import Fleet
from stakewatch.rules.replay.happenings import EXITED_AFTER_EPOCHS, Course, Fault, SeriesChange, Slashing

SLOT_SECONDS = 12
EPOCH_SECONDS = 384
SLOTS_PER_EPOCH = 32
Flags = npt.NDArray[np.bool_]
# A boundary of an epoch on mainnet, whose genesis is at 1606824023.
GENESIS = 1606824023 + 400_000 * EPOCH_SECONDS
_ATTESTS_AFTER_SECONDS = 4
_CHANGE_OVER_SECONDS = 12
_BLOCK_ARRIVES_SECONDS = 4
_TWO_THIRDS = 2 / 3
_LUCKY_SHARE = 0.05
_EPOCHS_TO_LEAK = 4


@dataclass(frozen=True)
class Noise:
    """A healthy day's rates, as `noise.yaml` explains them."""

    hours: float
    seed: int
    missed_share: float
    late_share: float
    network_missed_share: float
    network_late_share: float
    reorganisations: tuple[float, ...]
    days_between_withdrawals: float
    network_validators: int
    upgrade_begins: float | None
    upgrade_seconds_between: int
    upgrade_seconds_down: dict[str, int]
    seconds_to_sync: int


def load_noise() -> Noise:
    """Return the rates that were fixed beforehand."""
    content = yaml.safe_load(Path(__file__).with_name("noise.yaml").read_text(encoding="utf-8"))
    attestations, upgrade = content["attestations"], content["upgrade"]
    return Noise(
        hours=content["hours"],
        seed=content["seed"],
        missed_share=attestations["missed_share"],
        late_share=attestations["late_share"],
        network_missed_share=attestations["network_missed_share"],
        network_late_share=attestations["network_late_share"],
        reorganisations=tuple(content["reorganisations"]),
        days_between_withdrawals=content["days_between_withdrawals"],
        network_validators=int(content["network_validators"]),
        upgrade_begins=upgrade["begins"],
        upgrade_seconds_between=upgrade["seconds_between"],
        upgrade_seconds_down=upgrade["seconds_down"],
        seconds_to_sync=upgrade["seconds_to_sync"],
    )


@dataclass(frozen=True)
class Outage:
    """A process that does not run from `start` to `end`; `upgrade` says that it comes back newer."""

    instance: str
    start: float
    end: float
    upgrade: bool = False


@dataclass(frozen=True)
class Proposal:
    """A slot in which a key of ours proposes; it is never missed on a healthy day."""

    key: int
    slot: int


@dataclass(frozen=True)
class Truth:
    """What happens from `start` on, for so many hours; `noise` says how often, `faults` what breaks."""

    fleet: Fleet
    noise: Noise
    faults: tuple[Fault, ...] = ()
    genesis: int = GENESIS
    course: Course = field(default_factory=Course)
    slashings: tuple[Slashing, ...] = ()
    changes: tuple[SeriesChange, ...] = ()
    outages: tuple[Outage, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "outages", tuple(self._outages()))

    @property
    def start(self) -> int:
        """The first moment: the beginning of epoch 4, so that there are settled epochs."""
        return self.genesis + 4 * EPOCH_SECONDS

    @property
    def end(self) -> int:
        """The last moment."""
        return self.start + int(self.noise.hours * 3600)

    @property
    def epochs(self) -> int:
        """How many epochs there are, the last one begun."""
        return (self.end - self.genesis) // EPOCH_SECONDS + 2

    def epoch_at(self, at: float) -> int:
        """Return the epoch at a time."""
        return int((at - self.genesis) // EPOCH_SECONDS)

    def slot_at(self, at: float) -> int:
        """Return the slot at a time."""
        return int((at - self.genesis) // SLOT_SECONDS)

    def is_down(self, instance: str, at: float) -> bool:
        """Tell whether a process does not run."""
        return any(one.start <= at < one.end for one in self._by_instance.get(instance, ()))

    def started(self, instance: str, at: float) -> float:
        """Return when a process was started last."""
        ends = [one.end for one in self._by_instance.get(instance, ()) if one.end <= at]
        return max(ends, default=self.genesis - 40 * 86_400.0)

    def is_upgraded(self, instance: str, at: float) -> bool:
        """Tell whether a process runs the newer version."""
        return any(one.upgrade and one.end <= at for one in self._by_instance.get(instance, ()))

    def is_sick(self, instance: str, at: float) -> bool:
        """Tell whether a beacon node lives and is late with everything."""
        return self._has_fault(instance, at, "sick")

    def is_forked(self, instance: str, at: float) -> bool:
        """Tell whether a beacon node follows another chain."""
        return self._has_fault(instance, at, "forked")

    def is_optimistic(self, beacon_node: str, at: float) -> bool:
        """Tell whether a beacon node's head is not verified by its execution node, which lives."""
        return self._has_fault(self.fleet.pairs[beacon_node], at, "halted")

    def stands_since(self, instance: str, at: float) -> float | None:
        """Return since when a node's head stands still although it lives, None where it moves."""
        pair = self.fleet.pairs.get(instance)
        kinds = ("refusing",) if pair is not None else ("refusing", "halted")
        return next(
            (one.at for one in self._faults_of(pair or instance) if one.kind in kinds and one.lasts(at)),
            None,
        )

    def head_of(self, instance: str, at: float) -> int:
        """Return the slot of a node's head: of the newest block that it had time to take in."""
        since = self.stands_since(instance, at)
        if since is not None:
            return self.newest_block(since)
        age = at - self.started(instance, at)
        behind = max(0, int((self.noise.seconds_to_sync - age) // SLOT_SECONDS))
        return self.newest_block(at) - behind

    def newest_block(self, at: float) -> int:
        """Return the newest slot with a block that a healthy node has taken in."""
        slot = self.slot_at(at - _BLOCK_ARRIVES_SECONDS)
        while slot > 0 and not self.has_block[min(slot, self.has_block.size - 1)]:
            slot -= 1
        return slot

    def is_usable(self, beacon_node: str, at: float) -> bool:
        """Tell whether clients can work with a beacon node: it and its execution node run in step."""
        return not any(start <= at < end for start, end in self._unusable(beacon_node))

    def in_use(self, validator_client: str, at: float) -> str | None:
        """Return the beacon node that a client works with, None where it finds none."""
        return next(
            (
                node
                for node in self.fleet.uses[validator_client]
                if node is not None and self.is_usable(node, at)
            ),
            None,
        )

    @cached_property
    def missed(self) -> Flags:
        """Which attestations were in no block; slashed keys have no duty, and miss none."""
        missed = self._random.random((self.epochs, self.fleet.keys)) < self.noise.missed_share
        shared = np.random.default_rng(self.noise.seed + 9).random(missed.shape)
        for epoch, share in self.course.participation.items():
            missed[epoch] |= shared[epoch] < self.course.ours * (1 - share)
        for group in self.fleet.groups:
            columns = slice(group.first_key, group.first_key + group.keys)
            missed[:, columns] |= self._prevented(group.validator_client, self._attesting_times[:, columns])
        return missed & ~self.has_left_duty

    @cached_property
    def late(self) -> Flags:
        """Which attestations were in a block and lost their head vote: late ones, and those of a reorg."""
        late = np.random.default_rng(self.noise.seed + 1).random(self.missed.shape) < self.noise.late_share
        slots = ((self._attesting_times - self.genesis) // SLOT_SECONDS).astype(np.int64)
        for slot in self.reorganised_slots:
            late |= slots == slot
        # Without a block in the next slot nobody is in time.
        late |= ~self.has_block[np.minimum(slots + 1, self.has_block.size - 1)]
        for fault in self.faults:
            for group in self.fleet.groups_behind(fault.instance) if fault.kind == "sick" else ():
                columns = slice(group.first_key, group.first_key + group.keys)
                # A few get through: nothing is ever wrong with all of it.
                lucky = (
                    np.random.default_rng(self.noise.seed + 2).random((self.epochs, group.keys))
                    < _LUCKY_SHARE
                )
                times = self._attesting_times[:, columns]
                late[:, columns] |= (times >= fault.at) & (times < fault.end) & ~lucky
        return late & ~self.missed & ~self.has_left_duty

    @cached_property
    def has_block(self) -> Flags:
        """Which slots have a block, one entry per slot; those that are reorganised away have one at first."""
        slots = np.ones(self.epochs * SLOTS_PER_EPOCH, dtype=np.bool_)
        random = np.random.default_rng(self.noise.seed + 8).random(slots.size)
        for epoch, share in self.course.blocks.items():
            part = slice(epoch * SLOTS_PER_EPOCH, (epoch + 1) * SLOTS_PER_EPOCH)
            # Exactly that share: the least random numbers.
            order = np.argsort(random[part])
            slots[part] = order < round(share * SLOTS_PER_EPOCH)
        return slots

    @cached_property
    def slashed_at(self) -> npt.NDArray[np.float64]:
        """When each key is slashed, one entry per key; infinity for those that are not."""
        times = np.full(self.fleet.keys, np.inf)
        for slashing in self.slashings:
            for number, key in enumerate(slashing.keys):
                times[key] = slashing.at + number * slashing.every
        return times

    @cached_property
    def has_left_duty(self) -> Flags:
        """Which keys have no duty in which epoch, since they are slashed."""
        epochs = self.genesis + (np.arange(self.epochs) + 1) * EPOCH_SECONDS
        return np.asarray(self.slashed_at[None, :] < epochs[:, None])

    def exits_at(self, key: int) -> float:
        """Return when a slashed key has left the active set."""
        return float(self.slashed_at[key]) + EXITED_AFTER_EPOCHS * EPOCH_SECONDS

    @cached_property
    def finalised(self) -> tuple[int, ...]:
        """The finalised epoch that the chain knows in each epoch, by the protocol's rule of two thirds.

        An epoch is justified by two thirds of the stake, seen when it is over; of two justified in a row the
        first is final.
        """
        justified = [self.participation(epoch) >= _TWO_THIRDS for epoch in range(self.epochs)]
        known = [0, 0]
        for epoch in range(2, self.epochs):
            both = justified[epoch - 2] and justified[epoch - 1]
            known.append(epoch - 2 if both else known[-1])
        return tuple(known[: self.epochs])

    def justified(self, epoch: int) -> int:
        """Return the newest justified epoch that the chain knows in an epoch."""
        past = range(epoch - 1, 0, -1)
        return next((one for one in past if self.participation(one) >= _TWO_THIRDS), 0)

    def finality_delay(self, epoch: int) -> int:
        """Return the previous epoch less the finalised one: 1 when all is well."""
        return epoch - 1 - self.finalised[min(epoch, self.epochs - 1)]

    def leaks(self, epoch: int) -> bool:
        """Tell whether stakes leak in an epoch (consensus-specs: MIN_EPOCHS_TO_INACTIVITY_PENALTY is 4)."""
        return self.finality_delay(epoch) > _EPOCHS_TO_LEAK

    def participation(self, epoch: int) -> float:
        """Return the share of the network's stake that voted for the right target in an epoch."""
        if epoch in self.course.participation:
            return self.course.participation[epoch]
        return 1 - self.noise.network_missed_share * (1 + 0.1 * float(np.sin(epoch / 5)))

    @cached_property
    def reorganised_slots(self) -> tuple[int, ...]:
        """The slots whose blocks a reorganisation took away."""
        return tuple(self.slot_at(self.start + hour * 3600) for hour in self.noise.reorganisations)

    @cached_property
    def streaks(self) -> npt.NDArray[np.int64]:
        """How many attestations in a row each key has missed, this epoch's included."""
        streaks = np.zeros(self.missed.shape, dtype=np.int64)
        for epoch in range(1, self.epochs):
            streaks[epoch] = np.where(self.missed[epoch], streaks[epoch - 1] + 1, 0)
        return streaks

    @cached_property
    def withdrawals(self) -> npt.NDArray[np.int64]:
        """The epoch in which the sweep comes by each key; one entry per key, beyond the end for most."""
        days = np.random.default_rng(self.noise.seed + 3).random(self.fleet.keys)
        seconds = days * self.noise.days_between_withdrawals * 86_400
        return (seconds // EPOCH_SECONDS).astype(np.int64) + self.epoch_at(self.start)

    @cached_property
    def proposals(self) -> tuple[Proposal, ...]:
        """The slots in which our keys propose, in their order; not those that are reorganised."""
        slots = self.epochs * SLOTS_PER_EPOCH
        random = np.random.default_rng(self.noise.seed + 4)
        ours = np.flatnonzero(random.random(slots) < self.fleet.keys / self.noise.network_validators)
        keys = random.integers(0, self.fleet.keys, ours.size)
        return tuple(
            Proposal(int(key), int(slot))
            for key, slot in zip(keys, ours, strict=True)
            if slot not in self.reorganised_slots
        )

    @cached_property
    def seats(self) -> npt.NDArray[np.int64]:
        """The keys that sit in the sync committee, one entry per seat."""
        count = max(1, round(512 * self.fleet.keys / self.noise.network_validators))
        return np.random.default_rng(self.noise.seed + 5).integers(0, self.fleet.keys, count)

    @cached_property
    def _random(self) -> np.random.Generator:
        return np.random.default_rng(self.noise.seed)

    @cached_property
    def _attesting_times(self) -> npt.NDArray[np.float64]:
        """When each key attests in each epoch."""
        random = np.random.default_rng(self.noise.seed + 6)
        slots = random.integers(0, SLOTS_PER_EPOCH, (self.epochs, self.fleet.keys))
        epochs = np.arange(self.epochs)[:, None] * EPOCH_SECONDS
        times = self.genesis + epochs + slots * SLOT_SECONDS + _ATTESTS_AFTER_SECONDS
        return times.astype(np.float64)

    @cached_property
    def _by_instance(self) -> dict[str, list[Outage]]:
        found: dict[str, list[Outage]] = {}
        for outage in self.outages:
            found.setdefault(outage.instance, []).append(outage)
        return found

    def _prevented(self, client: str, times: npt.NDArray[np.float64]) -> Flags:
        """Tell which attestations a client could not make: it was down, or had no usable beacon node.

        What it votes for on another chain is in no block of this one.
        """
        prevented = np.zeros(times.shape, dtype=np.bool_)
        primary, backup = self.fleet.uses[client]
        for outage in self._by_instance.get(client, ()):
            prevented |= _within(times, outage.start, outage.end)
        without_backup = np.zeros(times.shape, dtype=np.bool_)
        for start, end in self._unusable(backup) if backup is not None else [(0.0, np.inf)]:
            without_backup |= _within(times, start, end)
        for start, end in self._unusable(primary):
            away = _within(times, start, end)
            prevented |= away & (without_backup | (times < start + _CHANGE_OVER_SECONDS))
        for fault in self.faults:
            if fault.kind == "forked" and fault.instance == primary:
                prevented |= _within(times, fault.at, fault.end)
        return prevented

    def _unusable(self, beacon_node: str) -> list[tuple[float, float]]:
        """Return the times, start and end, in which clients cannot work with a beacon node."""
        pair = self.fleet.pairs[beacon_node]
        found = [
            (outage.start, outage.end + self.noise.seconds_to_sync)
            for instance in (beacon_node, pair)
            for outage in self._by_instance.get(instance, ())
        ]
        found += [
            (fault.at, fault.end) for fault in self._faults_of(pair) if fault.kind in {"refusing", "halted"}
        ]
        return found

    def _faults_of(self, instance: str) -> list[Fault]:
        return [fault for fault in self.faults if fault.instance == instance]

    def _has_fault(self, instance: str, at: float, kind: str) -> bool:
        return any(one.kind == kind and one.lasts(at) for one in self._faults_of(instance))

    def _outages(self) -> list[Outage]:
        outages: list[Outage] = []
        if self.noise.upgrade_begins is not None:
            at = self.start + self.noise.upgrade_begins * 3600
            order = [one for beacon, execution in self.fleet.pairs.items() for one in (execution, beacon)]
            order += [process.instance for process in self.fleet.of_role("validator")]
            for instance in order:
                down = self.noise.upgrade_seconds_down[self.fleet.processes[instance].role]
                outages.append(Outage(instance, at, at + down, upgrade=True))
                at += self.noise.upgrade_seconds_between
        outages += [Outage(one.instance, one.at, one.end) for one in self.faults if one.kind == "dead"]
        return outages


def _within(times: npt.NDArray[np.float64], start: float, end: float) -> Flags:
    return np.asarray((times >= start) & (times < end))
