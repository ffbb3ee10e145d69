"""Scales: the round numbers and times that axes are labelled with."""

import math
import time

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_ROUND_SECONDS = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
    *(86_400, 172_800, 604_800, 1_209_600, 2_592_000),
)
_KIBI = 1024.0
_MINUTE = 60
_DAY = 86_400


def number_marks(low: float, high: float, most: int, *, binary: bool = False) -> tuple[float, ...]:
    """Return at most about `most` round numbers from `low` to `high`, both finite, low < high.

    `binary` ones are round in multiples of 1,024.
    """
    unit = 1.0
    while binary and max(abs(low), abs(high)) >= unit * _KIBI:
        unit *= _KIBI
    rough = (high - low) / unit / max(most, 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(one * magnitude for one in _ROUND if one * magnitude >= rough * (1 - 1e-9)) * unit
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(place * step for place in range(first, last + 1))


def time_marks(start: float, end: float, most: int) -> tuple[tuple[float, str], ...]:
    """Return at most `most` round times between two (Unix seconds), with their texts in UTC."""
    step = next((one for one in _ROUND_SECONDS if (end - start) / one <= most), _ROUND_SECONDS[-1])
    form = "%H:%M:%S" if step < _MINUTE else "%H:%M" if step < _DAY else "%d %b"
    first = math.ceil(start / step)
    return tuple(
        (place * step, time.strftime(form, time.gmtime(place * step)))
        for place in range(first, math.floor(end / step) + 1)
    )
