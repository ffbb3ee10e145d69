"""Colours: of thresholds, of value mappings, and of series, as a board's JSON has them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_NAMED: Mapping[str, str] = MappingProxyType(
    {
        "green": "#3a9d5d",
        "red": "#d64545",
        "orange": "#e08a1e",
        "yellow": "#d9b310",
        "blue": "#3d7fd6",
        "purple": "#8a5cc2",
        "text": "#8a93a3",
        "transparent": "#8a93a3",
    }
)
_OTHERWISE = "#8a93a3"
_OF_SERIES = (
    "#5b9f4f",
    "#d9a521",
    "#4f93c9",
    "#d9713a",
    "#c94f4f",
    "#6a6fc4",
    "#b85c9e",
    "#4a9e9a",
    "#96822a",
    "#8c6bb1",
    "#4b7f3a",
    "#a8642a",
)


@dataclass(frozen=True)
class Look:
    """How a value is shown: a colour as CSS has it, and the words that stand for it, if any do."""

    colour: str
    text: str = ""


def of_series(place: int) -> str:
    """Return the colour of the series at a place."""
    return _OF_SERIES[place % len(_OF_SERIES)]


def css(name: str) -> str:
    """Return a colour of Grafana as CSS has it: the shades of a colour are one here."""
    for word in ("super-light-", "semi-dark-", "light-", "dark-"):
        name = name.removeprefix(word)
    return _NAMED.get(name, _OTHERWISE)


def steps(defaults: Mapping[str, Any]) -> tuple[tuple[float, str], ...]:
    """Return the thresholds of a panel as (from this value, colour as CSS has it), the lowest first."""
    return tuple(
        (-math.inf if step.get("value") is None else float(step["value"]), css(str(step.get("color"))))
        for step in defaults.get("thresholds", {}).get("steps", ())
    )


def look(value: float | str, defaults: Mapping[str, Any]) -> Look:
    """Return how a panel shows a value: by its mappings, else by its thresholds."""
    key = value if isinstance(value, str) else f"{value:g}"
    for mapping in defaults.get("mappings", ()):
        options = mapping.get("options", {})
        if mapping.get("type") == "value" and key in options:
            return Look(css(str(options[key].get("color", ""))), str(options[key].get("text", "")))
    colour = _OTHERWISE
    if not isinstance(value, str):
        for least, its_colour in steps(defaults):
            if value >= least:
                colour = its_colour
    return Look(colour)
