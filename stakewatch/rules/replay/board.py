"""All series of a fleet as arrays: a model writes values, and what has changed goes to the rule clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stakewatch.rules.clock import RuleClock

Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass
class Board:
    """Series in the order in which they were added; a series that is not live is not scraped.

    `labels` grow until `freeze`; `values` (float64) and `live` (bool) exist from then on.
    """

    labels: list[Mapping[str, str]] = field(default_factory=list)
    values: Values = field(default_factory=lambda: np.zeros(0))
    live: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    _sent: Values = field(default_factory=lambda: np.zeros(0))
    _was_live: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def add(self, name: str, labels: Mapping[str, str], /, **more: str) -> int:
        """Add one series and return its number."""
        self.labels.append({"__name__": name, **labels, **more})
        return len(self.labels) - 1

    def add_all(self, name: str, labels: Iterable[Mapping[str, str]]) -> Numbers:
        """Add a series for each set of labels and return their numbers."""
        return np.array([self.add(name, one) for one in labels], dtype=np.int64)

    def freeze(self) -> None:
        """Make the arrays; everything is 0 and not live."""
        count = len(self.labels)
        self.values = np.zeros(count)
        self.live = np.zeros(count, dtype=np.bool_)
        self._sent = np.full(count, np.nan)
        self._was_live = np.zeros(count, dtype=np.bool_)

    def put(self, numbers: Numbers | int, values: Values | float) -> None:
        """Give series values, and let them be scraped."""
        self.values[numbers] = values
        self.live[numbers] = True

    def announce(self, clock: RuleClock) -> None:
        """Tell the clock which series there are; it must not know any yet."""
        clock.define(self.labels)

    def scrape(self, clock: RuleClock, at: float) -> None:
        """Send what has changed since the last scrape, and let the clock store a sample of all."""
        changed = np.flatnonzero(self.live & ((self.values != self._sent) | ~self._was_live))
        ended = np.flatnonzero(self._was_live & ~self.live)
        if changed.size:
            clock.set(changed, self.values[changed])
            self._sent[changed] = self.values[changed]
        if ended.size:
            clock.end(ended)
        self._was_live = self.live.copy()
        clock.scrape(at)
