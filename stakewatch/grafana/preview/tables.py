"""Tables: rows of a table panel after the transformations that our boards use."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stakewatch.grafana.preview.colours import look
from stakewatch.grafana.preview.results import Result
from stakewatch.grafana.preview.units import show
from stakewatch.promql.tree import NAME_LABEL

_VALUE = "Value"


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and its colour as CSS has it, empty where it has none of its own."""

    text: str
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """Headings, and rows of as many cells."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def table_of(result: Result) -> Table:
    """Return the table of a panel: labels as texts, numbers in their units."""
    content = result.panel.content
    rows = list(_merged(result) if _transformation(content, "merge") is not None else _rows(result))
    columns = _columns(content, rows)
    headings = {name: str(_organized(content, "renameByName").get(name) or name) for name in columns}
    overrides = _overrides(content)
    rows = _sorted(rows, content, {heading: name for name, heading in headings.items()})
    return Table(
        tuple(headings.values()),
        tuple(
            tuple(
                _cell(row.get(name, ""), {**result.panel.defaults, **overrides.get(heading, {})})
                for name, heading in headings.items()
            )
            for row in rows
        ),
    )


_Row = Mapping[str, str | float]


def _rows(result: Result) -> Iterator[_Row]:
    for answer in result.answers:
        name = _VALUE if len(result.answers) == 1 else f"{_VALUE} #{answer.reference}"
        for series in answer.series:
            labels = {label: value for label, value in series.labels.items() if label != NAME_LABEL}
            yield {**labels, name: series.newest}


def _merged(result: Result) -> Iterator[_Row]:
    """Yield one row for all rows of the same labels."""
    merged: dict[frozenset[tuple[str, str]], dict[str, str | float]] = {}
    for row in _rows(result):
        labels = frozenset((name, value) for name, value in row.items() if isinstance(value, str))
        merged.setdefault(labels, {}).update(row)
    yield from merged.values()


def _columns(content: Mapping[str, Any], rows: list[_Row]) -> list[str]:
    every = list(dict.fromkeys(name for row in rows for name in row))
    chosen = _transformation(content, "filterFieldsByName")
    if chosen is not None:
        names = chosen.get("include", {}).get("names", ())
        every = [name for name in names if name in every or not rows]
    hidden = _organized(content, "excludeByName")
    places = _organized(content, "indexByName")
    return sorted(
        (name for name in every if not hidden.get(name)), key=lambda name: places.get(name, len(places))
    )


def _transformation(content: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    found = (one for one in content.get("transformations") or () if one.get("id") == kind)
    first = next(found, None)
    return None if first is None else first.get("options") or {}


def _organized(content: Mapping[str, Any], option: str) -> Mapping[str, Any]:
    return (_transformation(content, "organize") or {}).get(option) or {}


def _overrides(content: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the field options that hold for a heading alone."""
    return {
        str(override["matcher"].get("options")): {
            str(one["id"]): one.get("value") for one in override.get("properties", ())
        }
        for override in content.get("fieldConfig", {}).get("overrides", ())
        if override.get("matcher", {}).get("id") == "byName"
    }


def _cell(value: str | float, options: Mapping[str, Any]) -> Cell:
    coloured = "custom.cellOptions" in options
    if not isinstance(value, str):
        seen = look(value, options)
        text = seen.text or show(value, str(options.get("unit", "none")), options.get("decimals"))
        return Cell(text, seen.colour if coloured or seen.text else "")
    seen = look(value, options)
    return Cell(seen.text or value, seen.colour if coloured and value else "")


def _sorted(rows: list[_Row], content: Mapping[str, Any], names: Mapping[str, str]) -> list[_Row]:
    for by in reversed(content.get("options", {}).get("sortBy") or ()):
        name = names.get(str(by.get("displayName")), str(by.get("displayName")))
        rows = sorted(rows, key=lambda row: _order(row.get(name, "")), reverse=bool(by.get("desc")))
    return rows


def _order(value: str | float) -> tuple[bool, float, str]:
    if not isinstance(value, str):
        return False, -math.inf if math.isnan(value) else value, ""
    return True, 0.0, value
