"""What really happens to a fleet in a simulated time: duties, restarts, reorganisations, a fault.

Times are Unix seconds; epochs are counted from 0 at `Truth.genesis`. Arrays have one row per epoch and one
column per key.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import yaml

from stakewatch.rules.replay.fleet import Fleet

SLOT_SECONDS = 12
EPOCH_SECONDS = 384
SLOTS_PER_EPOCH = 32
Flags = npt.NDArray[np.bool_]
# A boundary of an epoch on mainnet, whose genesis is at 1606824023.
GENESIS = 1606824023 + 400_000 * EPOCH_SECONDS
_ATTESTS_AFTER_SECONDS = 4
_CHANGE_OVER_SECONDS = 12


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
class Fault:
    """What breaks, and when: a beacon node that dies, or one that lives and is late with everything.

    It is mended after `seconds`.
    """

    kind: Literal["dead", "sick"]
    instance: str
    at: float
    seconds: float

    @property
    def end(self) -> float:
        """When it is mended."""
        return self.at + self.seconds


@dataclass(frozen=True)
class Proposal:
    """A slot in which a key of ours proposes; it is never missed on a healthy day."""

    key: int
    slot: int


@dataclass(frozen=True)
class Truth:
    """What happens from `start` on, for so many hours; `noise` says how often, `fault` what breaks."""

    fleet: Fleet
    noise: Noise
    fault: Fault | None = None
    genesis: int = GENESIS
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
        fault = self.fault
        if fault is None or (fault.kind, fault.instance) != ("sick", instance):
            return False
        return fault.at <= at < fault.end

    def is_usable(self, beacon_node: str, at: float) -> bool:
        """Tell whether clients can work with a beacon node: it and its execution node run in step."""
        both = (beacon_node, self.fleet.pairs[beacon_node])
        return all(
            not self.is_down(one, at) and at - self.started(one, at) >= self.noise.seconds_to_sync
            for one in both
        )

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
        """Which attestations were in no block."""
        missed = self._random.random((self.epochs, self.fleet.keys)) < self.noise.missed_share
        for group in self.fleet.groups:
            columns = slice(group.first_key, group.first_key + group.keys)
            missed[:, columns] |= self._prevented(group.validator_client, self._attesting_times[:, columns])
        return missed

    @cached_property
    def late(self) -> Flags:
        """Which attestations were in a block and lost their head vote: late ones, and those of a reorg."""
        late = np.random.default_rng(self.noise.seed + 1).random(self.missed.shape) < self.noise.late_share
        slots = (self._attesting_times - self.genesis) // SLOT_SECONDS
        for slot in self.reorganised_slots:
            late |= slots == slot
        fault = self.fault
        if fault is not None and fault.kind == "sick":
            for group in self.fleet.groups_behind(fault.instance):
                columns = slice(group.first_key, group.first_key + group.keys)
                # A few get through: nothing is ever wrong with all of it.
                lucky = np.random.default_rng(self.noise.seed + 2).random((self.epochs, group.keys)) < 0.05
                times = self._attesting_times[:, columns]
                late[:, columns] |= (times >= fault.at) & (times < fault.end) & ~lucky
        return late & ~self.missed

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
        """Tell which attestations a client could not make: it was down, or had no usable beacon node."""
        prevented = np.zeros(times.shape, dtype=np.bool_)
        primary, backup = self.fleet.uses[client]
        for outage in self._by_instance.get(client, ()):
            prevented |= (times >= outage.start) & (times < outage.end)
        for instance in (primary, self.fleet.pairs[primary]):
            for outage in self._by_instance.get(instance, ()):
                back = outage.end + self.noise.seconds_to_sync
                without = outage.start + _CHANGE_OVER_SECONDS if backup is not None else back
                prevented |= (times >= outage.start) & (times < min(without, back))
        return prevented

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
        if self.fault is not None and self.fault.kind == "dead":
            outages.append(Outage(self.fault.instance, self.fault.at, self.fault.end))
        return outages
