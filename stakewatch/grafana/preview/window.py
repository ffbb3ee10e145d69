"""The window: which time a board shows, how finely, and what Grafana fills in for it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from stakewatch.errors import InputError
from stakewatch.promql import parse_duration

DEFAULT_INTERVAL_SECONDS = 15
# As Grafana: about one point for two pixels of a wide panel, and a rate over at least four scrapes.
_POINTS = 400
_SCRAPES_OF_A_RATE = 4
_DEFAULT_SECONDS = 10_800
_LONGEST_SECONDS = 2 * 366 * 86_400
_OPTION = "--range"
_RELATIVE = re.compile(r"now-(\w+)")


@dataclass(frozen=True)
class Window:
    """The time from `start` to `end` (Unix seconds), and the seconds between two scrapes."""

    start: float
    end: float
    interval: int = DEFAULT_INTERVAL_SECONDS

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start

    @property
    def step(self) -> int:
        """The seconds between two points of a query over time."""
        return max(self.interval, math.ceil(self.seconds / _POINTS))

    @property
    def built_in(self) -> Mapping[str, str]:
        """What Grafana fills in by itself."""
        rate = max(self.step + self.interval, _SCRAPES_OF_A_RATE * self.interval)
        return MappingProxyType(
            {
                "__rate_interval": f"{rate}s",
                "__interval": f"{self.step}s",
                "__interval_ms": str(self.step * 1000),
                "__range": f"{round(self.seconds)}s",
                "__range_s": str(round(self.seconds)),
                "__auto": f"{rate}s",
            }
        )


def window_of(board: Mapping[str, Any], end: float, interval: int, seconds: float | None = None) -> Window:
    """Return the window that a board opens with, or one of `seconds`, that ends at `end` (Unix seconds)."""
    return Window(end - (seconds or _opens_with(board)), end, interval)


def shown_seconds(duration: str) -> float:
    """Return the seconds of a duration that can be shown.

    Raises InputError when it is none, too short or too long.
    """
    seconds = parse_duration(duration, where=_OPTION)
    if not 1 <= seconds <= _LONGEST_SECONDS:
        raise InputError(f"{duration} cannot be shown", where=_OPTION, mend="give 1s to 2y")
    return seconds


def _opens_with(board: Mapping[str, Any]) -> float:
    match = _RELATIVE.fullmatch(str(board.get("time", {}).get("from", "")))
    try:
        return parse_duration(match[1]) if match else _DEFAULT_SECONDS
    except InputError:
        return _DEFAULT_SECONDS
