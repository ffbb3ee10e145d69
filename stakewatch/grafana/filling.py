"""Grafana's variables in a text, filled in as a Prometheus needs it."""

import re
from collections.abc import Mapping
from types import MappingProxyType

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::\w+)?\}|(?P<plain>[A-Za-z_]\w*))")

# Grafana knows these in every query; a test or a check gives them durations of its own.
RATE_INTERVAL = "__rate_interval"
RANGE = "__range"
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        RATE_INTERVAL: "5m",
        "__interval": "1m",
        RANGE: "3h",
        "__interval_ms": "60000",
        "__range_s": "10800",
        # The range of a query for logs.
        "__auto": "5m",
    }
)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with `$name` and `${name}` replaced; a name that `values` lacks stays as it is."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        return values.get(name, match[0])

    return _VARIABLE.sub(value, text)


def used(text: str) -> tuple[str, ...]:
    """Return the names of the variables in `text`, each once, in order."""
    return tuple(dict.fromkeys(match["braced"] or match["plain"] for match in _VARIABLE.finditer(text)))
