"""The rules of grafana/dashboard-linter and our own, over the JSON of one board.

Each rule is a function from a board to its flaws and stands in `RULES`. What needs the syntax tree of a query
or the catalogue is in `series`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from grafana_foundation_sdk.models import units

from stakewatch.grafana.boardfile import Placed, annotation_expressions, panels, variable_query, variables
from stakewatch.grafana.current import SCHEMA_VERSION
from stakewatch.grafana.filling import BUILT_IN, used
from stakewatch.grafana.layout import COLUMNS
from stakewatch.grafana.links import TAG
from stakewatch.grafana.queries import DATASOURCE, DATASOURCE_VARIABLE, LOGS_DATASOURCE, LOGS_VARIABLE

REMOVED_KINDS = frozenset(
    {
        "graph",
        "singlestat",
        "table-old",
        "grafana-worldmap-panel",
        "grafana-piechart-panel",
        "flant-statusmap-panel",
    }
)
_WITHOUT_QUERY = frozenset({"row", "text"})
_LONGEST_UID = 40
_UID = re.compile(r"[a-zA-Z0-9_-]+")
_NORMAL = re.compile(r"\bNormal: \S|\bthresholds?\b")
# Grafana takes any text behind these prefixes as a unit.
_FREE_UNIT = re.compile(r"(suffix|prefix|si|time|count|currency):.+")


@dataclass(frozen=True)
class Flaw:
    """What is wrong in a board; `panel` is the title of the panel, empty for the board itself."""

    rule: str
    panel: str
    message: str
    mend: str


Rule = Callable[[Mapping[str, Any]], Iterator[Flaw]]


def lint(board: Mapping[str, Any]) -> tuple[Flaw, ...]:
    """Return the flaws of one board, rule by rule."""
    return tuple(flaw for rule in RULES for flaw in rule(board))


def board_settings(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for the uid, title, description and tag, for UTC, and for the schema of the panels."""
    uid = str(board.get("uid", ""))
    if not _UID.fullmatch(uid) or len(uid) > _LONGEST_UID:
        yield Flaw("board-uid", "", f"the uid {uid!r} is no uid", "use up to 40 letters, digits, _ and -")
    for key in ("title", "description"):
        if not board.get(key):
            yield Flaw(f"board-{key}", "", f"the board has no {key}", f"say it in `{key}`")
    expected = {"schemaVersion": SCHEMA_VERSION, "timezone": "utc", "editable": False}
    for key, value in expected.items():
        if board.get(key) != value:
            yield Flaw(f"board-{key}", "", f"{key} is {board.get(key)!r}", f"it must be {value!r}")
    if TAG not in board.get("tags", []):
        yield Flaw(
            "board-tag", "", f"the board lacks the tag {TAG}", "add it: the menu of boards finds it by that"
        )


def datasource_variable(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for one variable for the data source that every query, variable and annotation uses.

    A board with logs has a second one, for its queries for logs alone.
    """
    names = [variable.get("name") for variable in variables(board) if variable.get("type") == "datasource"]
    if names not in ([DATASOURCE_VARIABLE], [DATASOURCE_VARIABLE, LOGS_VARIABLE]):
        mend = f"have one, named {DATASOURCE_VARIABLE}; with logs, {LOGS_VARIABLE} after it"
        yield Flaw("template-datasource", "", f"the variables for a data source are {names}", mend)
    for panel in panels(board):
        if panel.kind in _WITHOUT_QUERY:
            continue
        sources = [panel.content.get("datasource"), *(target.get("datasource") for target in panel.targets)]
        expected = LOGS_DATASOURCE if panel.log_expressions and LOGS_VARIABLE in names else DATASOURCE
        if any(source != expected for source in sources):
            yield Flaw(
                "panel-datasource",
                panel.title,
                "a data source is fixed or missing",
                _use_the_variable(expected),
            )
    for variable in variables(board):
        if variable.get("type") == "query" and variable.get("datasource") != DATASOURCE:
            name = variable.get("name")
            message = f"the data source of the variable {name} is fixed or missing"
            yield Flaw("template-datasource", "", message, _use_the_variable())
    for annotation in board.get("annotations", {}).get("list", ()):
        if not annotation.get("builtIn") and annotation.get("datasource") != DATASOURCE:
            message = f"the data source of the annotation {annotation.get('name')} is fixed or missing"
            yield Flaw("annotation-datasource", "", message, _use_the_variable())


def variable_settings(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for distinct names, labels, and lists that are filled again when the time range changes."""
    names = Counter(str(variable.get("name")) for variable in variables(board))
    for name, count in names.items():
        if count > 1:
            yield Flaw("template-name", "", f"{count} variables are named {name}", "rename them")
    for variable in variables(board):
        if not variable.get("label"):
            yield Flaw(
                "template-label", "", f"the variable {variable.get('name')} has no label", "give it one"
            )
        on_time_range_change = 2
        if variable.get("type") == "query" and variable.get("refresh") != on_time_range_change:
            message = f"the variable {variable.get('name')} is not filled again when the time range changes"
            yield Flaw("template-on-time-change-reload", "", message, "set refresh to 2")


def variable_names(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for names in queries that are no variables of the board."""
    known = {*(str(variable.get("name")) for variable in variables(board)), *BUILT_IN}
    for panel in panels(board):
        for expression in (*panel.expressions, *panel.log_expressions):
            for name in used(expression):
                if name not in known:
                    message = f"a query uses the variable {name}, which the board does not have"
                    yield Flaw("variable-unknown", panel.title, message, "add the variable or mend the name")
    texts = [variable_query(variable) for variable in variables(board)] + list(annotation_expressions(board))
    for name in (name for text in texts for name in used(text) if name not in known):
        yield Flaw("variable-unknown", "", f"the board has no variable {name}", "add it or mend the name")


def panel_texts(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for titles, distinct for panels of a kind, and for descriptions that say what is normal."""
    seen: set[str] = set()
    for panel in panels(board):
        if not panel.content.get("title"):
            yield Flaw("panel-title", panel.title, "the panel has no title", "give it one")
        if panel.kind == "row":
            continue
        description = str(panel.content.get("description", ""))
        if not description.strip():
            yield Flaw("panel-description", panel.title, "the panel has no description", "say what is normal")
        elif not _NORMAL.search(description):
            message = "the description does not say what is normal"
            yield Flaw("panel-description", panel.title, message, "write `Normal: …`, or name the threshold")
        name = f"{panel.kind} {panel.title}"
        if name in seen:
            yield Flaw("panel-title", panel.title, "two panels of a kind have this title", "say what differs")
        seen.add(name)


def panel_units(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for a unit that Grafana knows on each panel with values."""
    for panel in panels(board):
        if panel.kind in _WITHOUT_QUERY:
            continue
        unit = str(panel.defaults.get("unit", ""))
        if unit not in known_units() and not _FREE_UNIT.fullmatch(unit):
            message = f"the unit {unit!r} is none that Grafana knows" if unit else "the panel has no unit"
            yield Flaw("panel-units", panel.title, message, "use a unit id of Grafana, or `suffix: …`")


def panel_kinds(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for types of panels that Grafana removed."""
    for panel in panels(board):
        if panel.kind in REMOVED_KINDS:
            message = f"Grafana removed the panel type {panel.kind}"
            yield Flaw("panel-kind", panel.title, message, "use timeseries, stat, table, …")


def panel_queries(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for queries of panels with values: none empty, each with its own reference and a legend."""
    for panel in panels(board):
        if panel.kind in _WITHOUT_QUERY:
            continue
        if not panel.targets:
            yield Flaw("panel-no-targets", panel.title, "the panel asks for nothing", "give it a query")
        for target in panel.targets:
            if not str(target.get("expr", "")).strip():
                yield Flaw("target-empty", panel.title, "a query is empty", "write it or leave it out")
            if not target.get("legendFormat") and target.get("format") == "time_series":
                yield Flaw("target-legend", panel.title, "a query has no legend", "use labels: {{instance}}")
        references = Counter(target.get("refId") for target in panel.targets)
        for reference, count in references.items():
            if count > 1 or not reference:
                yield Flaw(
                    "target-reference", panel.title, f"{count} queries are named {reference!r}", "rename them"
                )


def panel_places(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Look for unique ids, and places on the grid without overlap."""
    everything = tuple(panels(board))
    for identity, count in Counter(panel.content.get("id") for panel in everything).items():
        if count > 1 or not isinstance(identity, int):
            yield Flaw("panel-id", "", f"{count} panels have the id {identity}", "number them")
    # What lies in a collapsed row overlaps what follows the row until it is opened; Grafana then moves it.
    for row in {panel.row for panel in everything}:
        occupied: dict[tuple[int, int], str] = {}
        for panel in (panel for panel in everything if panel.row == row):
            yield from _occupy(panel, occupied)


RULES: tuple[Rule, ...] = (
    board_settings,
    datasource_variable,
    variable_settings,
    variable_names,
    panel_texts,
    panel_units,
    panel_kinds,
    panel_queries,
    panel_places,
)


@cache
def known_units() -> frozenset[str]:
    """Return the unit ids of Grafana."""
    values = (getattr(units, name) for name in dir(units) if not name.startswith("_"))
    return frozenset(value for value in values if isinstance(value, str))


def _use_the_variable(source: Mapping[str, str] = DATASOURCE) -> str:
    return f"use {source['uid']}"


def _occupy(panel: Placed, occupied: dict[tuple[int, int], str]) -> Iterator[Flaw]:
    grid = panel.content.get("gridPos")
    grid = grid if isinstance(grid, dict) else {}
    numbers = [grid.get(key) for key in ("x", "y", "w", "h")]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        yield Flaw("panel-grid", panel.title, "the panel has no place on the grid", "give it gridPos")
        return
    left, top, width, height = (int(grid[key]) for key in ("x", "y", "w", "h"))
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > COLUMNS:
        message = f"the panel lies outside of the grid: x {left}, y {top}, {width} wide, {height} high"
        yield Flaw("panel-grid", panel.title, message, f"the grid has {COLUMNS} columns")
        return
    cells = [(x, y) for x in range(left, left + width) for y in range(top, top + height)]
    others = {occupied[cell] for cell in cells if cell in occupied}
    for other in sorted(others):
        yield Flaw("panel-overlap", panel.title, f"the panel overlaps {other!r}", "move one of them")
    occupied.update(dict.fromkeys(cells, panel.title))
