"""Prometheus' notation of durations: `1h30m`, `625ms`, `0s`.

Source: `ParseDuration` and `Duration.String` of github.com/prometheus/common/model.
"""

import re

from stakewatch.errors import InputError

_UNITS_MILLISECONDS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS_MILLISECONDS))
# Prometheus never prints 1w1d or 1y1w: weeks and years only where they divide what is left.
_ONLY_WHOLE = ("y", "w")
_MOST_MILLISECONDS = (2**63 - 1) // 1_000_000


def parse_duration(text: str, *, where: str | None = None) -> float:
    """Return the seconds of a duration such as `5m`, `1h30m`, `625ms` or `0`.

    Raises InputError, which names `where`, when Prometheus would not read it.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise InputError(
            f"{text[:100]!r} is not a duration",
            where=where,
            mend="write it like 30s, 5m or 1h30m, the largest unit first (y, w, d, h, m, s, ms)",
        )
    given = {
        unit: digits.lstrip("0")[:20] for unit, digits in match.groupdict().items() if digits is not None
    }
    milliseconds = sum(int(digits or 0) * _UNITS_MILLISECONDS[unit] for unit, digits in given.items())
    if milliseconds > _MOST_MILLISECONDS:
        raise InputError(
            f"the duration {text[:100]} is too long",
            where=where,
            mend="Prometheus' limit is about 292 years",
        )
    return milliseconds / 1000


def print_duration(seconds: float) -> str:
    """Return the duration in Prometheus' canonical notation, rounded to whole milliseconds.

    Raises ValueError when `seconds` is negative, not finite, or beyond Prometheus' 292 years.
    """
    if not 0 <= seconds * 1000 <= _MOST_MILLISECONDS:
        raise ValueError(f"not a duration that Prometheus can hold: {seconds} s")
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS_MILLISECONDS.items():
        if unit in _ONLY_WHOLE and rest % size:
            continue
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
