"""Units: a number as Grafana shows it, for the unit ids that boards use; others are shown plainly."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

# Units whose round numbers are powers of two.
BINARY = frozenset({"bytes", "Bps", "binBps", "binbps"})
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL = ("", "K", "M", "G", "T", "P")
_THOUSAND = 1000
_KIBI = 1024
_FOUR_DIGITS = 10_000
# Beyond, a float has no units.
_LARGEST_EXACT = 10**15
# Each duration in seconds.
_DURATIONS = (
    (1e-9, "ns"),
    (1e-6, "µs"),
    (1e-3, "ms"),
    (1.0, "s"),
    (60.0, "min"),
    (3600.0, "h"),
    (86_400.0, "d"),
)

_Show = Callable[[float, int | None], str]


def show(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a number in a unit; NaN and the infinite are words."""
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if unit in _SHOWN:
        return _SHOWN[unit](value, decimals)
    kind, _, word = unit.partition(":")
    plain = _plain(value, decimals)
    return {"suffix": f"{plain} {word.strip()}", "prefix": f"{word.strip()}{plain}"}.get(kind, plain)


def _plain(value: float, decimals: int | None) -> str:
    """Return a number with the digits that tell something: four, where none are asked for."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value.is_integer() and abs(value) < _LARGEST_EXACT:
        return str(int(value))
    whole = _FOUR_DIGITS <= abs(value) < _LARGEST_EXACT
    return f"{value:.0f}" if whole else f"{value:.4g}"


def _short(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return f"{value:.3g}" if abs(value) < _THOUSAND else f"{value:.0f}"


def _scaled(base: int, names: tuple[str, ...], per: str = "") -> _Show:
    def shown(value: float, decimals: int | None) -> str:
        place = 0
        while abs(value) >= base and place < len(names) - 1:
            value /= base
            place += 1
        return f"{_short(value, decimals)} {names[place]}{per}".rstrip()

    return shown


def _duration(seconds: float) -> _Show:
    def shown(value: float, decimals: int | None) -> str:
        value *= seconds
        if value == 0:
            return "0 s"
        size, name = _DURATIONS[0]
        for larger, its_name in _DURATIONS:
            if abs(value) >= larger:
                size, name = larger, its_name
        return f"{_short(value / size, decimals)} {name}"

    return shown


def _followed_by(word: str, factor: float = 1.0) -> _Show:
    return lambda value, decimals: f"{_plain(value * factor, decimals)}{word}"


def _one_of(no: str, yes: str) -> _Show:
    return lambda value, _: yes if value else no


_SHOWN: Mapping[str, _Show] = MappingProxyType(
    {
        "Bps": _scaled(_KIBI, _BYTES, "/s"),
        "binBps": _scaled(_KIBI, _BYTES, "/s"),
        "binbps": _scaled(_KIBI, ("b", "Kib", "Mib", "Gib"), "/s"),
        "bool": _one_of("False", "True"),
        "bool_on_off": _one_of("Off", "On"),
        "bool_yes_no": _one_of("No", "Yes"),
        "bps": _scaled(_THOUSAND, tuple(f"{one}b" for one in _DECIMAL), "/s"),
        "bytes": _scaled(_KIBI, _BYTES),
        "cps": _followed_by(" c/s"),
        "d": _duration(86_400.0),
        "decbytes": _scaled(_THOUSAND, tuple(f"{one}B" for one in _DECIMAL)),
        "dtdurations": _duration(1.0),
        "h": _duration(3600.0),
        "iops": _followed_by(" io/s"),
        "m": _duration(60.0),
        "ms": _duration(1e-3),
        "ns": _duration(1e-9),
        "ops": _followed_by(" ops/s"),
        "percent": _followed_by("%"),
        "percentunit": _followed_by("%", 100.0),
        "pps": _followed_by(" p/s"),
        "reqps": _followed_by(" req/s"),
        "s": _duration(1.0),
        "short": _scaled(_THOUSAND, _DECIMAL),
        "µs": _duration(1e-6),
    }
)
