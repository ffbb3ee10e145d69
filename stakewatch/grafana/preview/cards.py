"""Cards: what a page shows of each panel, worked out from its JSON and the answers to its queries."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from stakewatch.grafana.preview import drawing
from stakewatch.grafana.preview.colours import look, of_series
from stakewatch.grafana.preview.explaining import Why
from stakewatch.grafana.preview.markdown import html
from stakewatch.grafana.preview.results import Answer, BoardResult, Result
from stakewatch.grafana.preview.tables import Table, table_of
from stakewatch.grafana.preview.units import show
from stakewatch.grafana.preview.window import Window
from stakewatch.grafana.remote import Series

MOST_TILES = 24
MOST_ROWS = 200
_MOST_VALUES = 50
_MOST_NAMES = 12
_LEGEND_ROW = 19
_COLUMN = 64
_ROW = 38
# What stands in a card beside its picture: title, padding, and the line for its queries.
_FRAME = 66
_SHORTEST_PICTURE = 70


@dataclass(frozen=True)
class Tile:
    """A value with its name, colour and picture; `share` is where it lies between its limits, in per cent."""

    name: str
    text: str
    colour: str
    picture: Markup = Markup()  # noqa: RUF009 - it cannot be changed
    share: float = 0.0


@dataclass(frozen=True)
class Name:
    """A row of a legend: a series' colour and name, and what is calculated of it."""

    colour: str
    name: str
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A query as it stands behind a panel, and the newest values that it got."""

    reference: str
    expression: str
    milliseconds: float
    error: str
    values: tuple[tuple[str, str], ...]
    more: int


@dataclass(frozen=True)
class Card:
    """A panel: its place on the grid (from 1), what is drawn, and what stands behind it.

    `kind` is how it is shown; `why` says of one without data why that is.
    """

    title: str
    description: str
    kind: str
    column: int
    row: int
    width: int
    height: int
    runbooks: tuple[tuple[str, str], ...]
    asked: tuple[Asked, ...]
    picture: Markup = Markup()  # noqa: RUF009 - it cannot be changed
    tiles: tuple[Tile, ...] = ()
    table: Table | None = None
    calculations: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    more: int = 0
    text: Markup = Markup()  # noqa: RUF009 - it cannot be changed
    filled: bool = False
    no_value: str = ""
    why: tuple[Why, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of a board: its heading, and the cards below it."""

    title: str
    cards: tuple[Card, ...]


def sections_of(board: BoardResult, why: Mapping[int, tuple[Why, ...]]) -> tuple[Section, ...]:
    """Return a board as sections; `why` are the reasons of the panels without data, by their place."""
    sections: list[tuple[str, list[tuple[int, Result]]]] = [("", [])]
    for place, result in enumerate(board.results):
        if result.panel.kind == "row":
            sections.append((result.panel.title, []))
        else:
            sections[-1][1].append((place, result))
    return tuple(
        Section(board.shown(title), tuple(_cards(members, board, why)))
        for title, members in sections
        if members
    )


def _cards(
    members: Sequence[tuple[int, Result]], board: BoardResult, why: Mapping[int, tuple[Why, ...]]
) -> Iterator[Card]:
    top = min(_place(result, "y") for _, result in members)
    for place, result in members:
        yield _card(result, board, top, why.get(place, ()))


def _place(result: Result, name: str) -> int:
    return int(result.panel.content.get("gridPos", {}).get(name, 0))


def _card(result: Result, board: BoardResult, top: int, why: tuple[Why, ...]) -> Card:
    panel = result.panel
    width, height = _place(result, "w"), _place(result, "h")
    parts = _parts(result, board.window, width * _COLUMN - 24, height * _ROW - _FRAME)
    if result.unasked and not result.answers:
        parts = {"no_value": "asks Loki, and none is given"}
    elif result.is_empty:
        parts = {"no_value": str(panel.defaults.get("noValue") or "no data")}
    content: dict[str, Any] = {
        "kind": panel.kind,
        "column": _place(result, "x") + 1,
        "row": _place(result, "y") - top + 1,
        "width": width,
        "height": height,
        **parts,
    }
    return Card(
        title=board.shown(panel.title),
        description=board.shown(str(panel.content.get("description", ""))),
        runbooks=tuple(
            (str(link.get("title", "")), str(link.get("url", "")))
            for link in panel.content.get("links") or ()
            if str(link.get("url", "")).startswith(("https://", "http://"))
        ),
        asked=tuple(_asked(answer, panel.defaults) for answer in result.answers),
        why=why,
        **content,
    )


def _asked(answer: Answer, defaults: Mapping[str, Any]) -> Asked:
    unit = str(defaults.get("unit", "none"))
    return Asked(
        reference=answer.reference,
        expression=answer.expression,
        milliseconds=answer.seconds * 1000,
        error=answer.error,
        values=tuple(
            (answer.name(series), show(series.newest, unit)) for series in answer.series[:_MOST_VALUES]
        ),
        more=max(0, len(answer.series) - _MOST_VALUES),
    )


def _parts(result: Result, window: Window, width: int, height: int) -> dict[str, Any]:
    """Return what is shown of a panel of this kind, in a picture of so many pixels."""
    defaults = result.panel.defaults
    named = list(_named(result))
    height = max(height, _SHORTEST_PICTURE)
    match result.panel.kind:
        case "text" | "logs":
            text = html(str(result.panel.content.get("options", {}).get("content", "")))
            return {"text": text, "lines": tuple(_lines_of_logs(result))}
        case "table":
            table = table_of(result)
            return {
                "table": Table(table.headings, table.rows[:MOST_ROWS]),
                "more": max(0, len(table.rows) - MOST_ROWS),
            }
        case "stat" | "gauge" | "bargauge":
            return {
                "tiles": tuple(_tiles(result, named[:MOST_TILES], window)),
                "more": max(0, len(named) - MOST_TILES),
                "filled": result.panel.content.get("options", {}).get("colorMode") == "background",
            }
        case "state-timeline" | "status-history":
            picture = drawing.bands(_lines(named), defaults, window, width, height)
            return {"picture": picture, "more": max(0, len(named) - drawing.MOST_BANDS)}
        case "heatmap":
            return {"picture": drawing.heatmap(_buckets(named), defaults, window, width, height)}
        case _:
            # At most half of the card is for the legend.
            most = min(_MOST_NAMES, max(2, height // 2 // _LEGEND_ROW - 1))
            most -= len(named) > most
            names = tuple(_names(result, named[:most]))
            rows = len(names) + 1 + (len(named) > most)
            height = max(height - _LEGEND_ROW * rows, _SHORTEST_PICTURE)
            return {
                "picture": drawing.timeseries(_lines(named), defaults, window, width, height),
                "calculations": tuple(map(_heading, _calculations(result, "legend"))),
                "names": names,
                "more": max(0, len(named) - most),
            }


def _named(result: Result) -> Iterator[tuple[str, Series]]:
    for answer in result.answers:
        for series in answer.series:
            yield answer.name(series), series


def _lines_of_logs(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the time (UTC) and the text of each line, the newest first."""
    every = sorted((line for answer in result.answers for line in answer.lines), reverse=True)
    for moment, text in every[:_MOST_VALUES]:
        yield time.strftime("%H:%M:%S", time.gmtime(moment)), text


def _lines(named: Iterable[tuple[str, Series]]) -> list[drawing.Line]:
    return [drawing.Line(name, series.points) for name, series in named]


def _buckets(named: Iterable[tuple[str, Series]]) -> Mapping[float, drawing.Line]:
    found = {}
    for name, series in named:
        try:
            found[float(series.labels.get("le", ""))] = drawing.Line(name, series.points)
        except ValueError:
            continue
    return found


def _tiles(result: Result, named: Iterable[tuple[str, Series]], window: Window) -> Iterator[Tile]:
    defaults = result.panel.defaults
    options = result.panel.content.get("options", {})
    named = list(named)
    calculation = next(iter(_calculations(result, "reduceOptions")), "lastNotNull")
    values = [calculate(calculation, series) for _, series in named]
    finite = [value for value in values if math.isfinite(value)]
    low = float(defaults.get("min", min([0.0, *finite])))
    high = float(defaults.get("max", max(finite, default=1.0)))
    for (name, series), value in zip(named, values, strict=True):
        seen = look(value, defaults)
        picture = Markup()
        if result.panel.kind == "gauge":
            picture = drawing.gauge(value, defaults, low, high)
        elif options.get("graphMode") == "area":
            colour = "#fff" if options.get("colorMode") == "background" else seen.colour
            picture = drawing.sparkline(series.points, colour, window)
        inside = math.isfinite(value) and high > low
        yield Tile(
            name=name if len(named) > 1 or options.get("textMode") == "value_and_name" else "",
            text=seen.text or show(value, str(defaults.get("unit", "none")), defaults.get("decimals")),
            colour=seen.colour,
            picture=picture,
            share=min(max((value - low) / (high - low), 0.0), 1.0) * 100 if inside else 0.0,
        )


def _names(result: Result, named: Sequence[tuple[str, Series]]) -> Iterator[Name]:
    unit = str(result.panel.defaults.get("unit", "none"))
    decimals = result.panel.defaults.get("decimals")
    for place, (name, series) in enumerate(named):
        numbers = tuple(
            show(calculate(one, series), unit, decimals) for one in _calculations(result, "legend")
        )
        yield Name(of_series(place), name, numbers)


def _calculations(result: Result, option: str) -> tuple[str, ...]:
    options = result.panel.content.get("options", {}).get(option) or {}
    return tuple(map(str, options.get("calcs") or ()))


def _heading(calculation: str) -> str:
    return {"lastNotNull": "last"}.get(calculation, calculation)


def calculate(calculation: str, series: Series) -> float:
    """Return what Grafana calls a calculation of a series' values; the last one for those we do not know."""
    values = [value for _, value in series.points if not math.isnan(value)]
    return _CALCULATIONS.get(calculation, _last)(values) if values else math.nan


def _last(values: Sequence[float]) -> float:
    return values[-1]


_CALCULATIONS: Mapping[str, Callable[[Sequence[float]], float]] = MappingProxyType(
    {
        "count": lambda values: float(len(values)),
        "diff": lambda values: values[-1] - values[0],
        "first": lambda values: values[0],
        "firstNotNull": lambda values: values[0],
        "max": max,
        "mean": fmean,
        "min": min,
        "range": lambda values: max(values) - min(values),
        "sum": sum,
    }
)
