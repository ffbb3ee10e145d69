"""What goes wrong in a simulated time: processes, the network's course, keys that are slashed, single series.

Times are Unix seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

# dead: the process does not run. sick: a beacon node hears every block some seconds late.
# refusing: an execution node calls a good block invalid; its head and its beacon node's stand.
# halted: an execution node answers and takes in no block; its beacon node turns optimistic.
# forked: a beacon node follows another chain than the exporter's nodes.
FaultKind = Literal["dead", "sick", "refusing", "halted", "forked"]
# Epochs after which a slashed key has left the active set: the exit queue is short in most weeks.
EXITED_AFTER_EPOCHS = 5


@dataclass(frozen=True)
class Fault:
    """What breaks, and when; it is mended after `seconds`."""

    kind: FaultKind
    instance: str
    at: float
    seconds: float

    @property
    def end(self) -> float:
        """When it is mended."""
        return self.at + self.seconds

    def lasts(self, at: float) -> bool:
        """Tell whether it is there at a time."""
        return self.at <= at < self.end


@dataclass(frozen=True)
class Course:
    """How the whole network fared: shares of 1 by epoch of the truth; epochs that are not named are healthy.

    `participation` is the share of the stake that voted for the right target, `blocks` the share of slots
    that have a block. `ours` says how much of what the network misses our keys miss too: 1 is as much.
    """

    participation: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    blocks: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    ours: float = 0.0


@dataclass(frozen=True)
class Slashing:
    """Keys of a group that are slashed one after the other, `every` seconds; numbers are those of the keys.

    `penalty_gwei` is what each loses at once.
    """

    group: str
    keys: range
    at: float
    every: float
    penalty_gwei: int


@dataclass(frozen=True)
class SeriesChange:
    """Series that say something else from `at` on, for `seconds`: `value`, and `rate` more each second.

    Those of `metric` with all of `labels`. Where the fleet shows none, `of` names the process (or the
    exporter) that shows a new one with these labels beside its own.
    """

    metric: str
    labels: Mapping[str, str]
    of: str | None
    at: float
    seconds: float
    value: float
    rate: float

    def value_at(self, at: float) -> float | None:
        """Return what it says at a time, None where it does not speak."""
        since = at - self.at
        return self.value + self.rate * since if 0 <= since < self.seconds else None
