"""The grid: rows of panels with widths, placed without overlap on Grafana's 24 columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap

from grafanalib import core

from stakewatch.errors import InputError
from stakewatch.grafana.panels import Panel
from stakewatch.grafana.setting import Setting

COLUMNS = 24


@dataclass(frozen=True)
class Cell:
    """A panel and the room that it gets: `width` of 24 columns, `height` in grid units of 30 pixels."""

    panel: Panel
    width: int = 8
    height: int = 8


@dataclass(frozen=True)
class Row:
    """A part of a board's story: a title, and the panels below it from left to right.

    Panels that do not fit beside each other go on below; a collapsed row shows its panels on demand.
    """

    title: str
    cells: tuple[Cell, ...]
    collapsed: bool = False


def row(
    title: str,
    *panels: Panel,
    width: int | tuple[int, ...] = 8,
    height: int | tuple[int, ...] = 8,
    collapsed: bool = False,
    links: tuple[Mapping[str, object], ...] = (),
) -> Row:
    """Return a row of panels of one width and height, or one each.

    `links` are those of the panels that have none of their own.
    """
    linked = (replace(panel, links=panel.links or links) for panel in panels)
    sizes = ((size,) * len(panels) if isinstance(size, int) else size for size in (width, height))
    return Row(title, tuple(starmap(Cell, zip(linked, *sizes, strict=True))), collapsed=collapsed)


def place(rows: Sequence[Row], setting: Setting) -> list[dict[str, object]]:
    """Return the panels of `rows` in Grafana's form, each with its id and its place on the grid.

    The first row has no title bar: it is what a reader sees without scrolling, on a phone too.
    Raises InputError (where: the panel's title) when one is wider than the grid or has no extent.
    """
    placed: list[dict[str, object]] = []
    identities = iter(range(1, 1_000_000))
    top = 0
    for position, current in enumerate(rows):
        if position == 0:
            panels, top = _row_panels(current, top, identities, setting)
            placed.extend(panels)
            continue
        bar = core.RowPanel(
            title=current.title,
            id=next(identities),
            gridPos=core.GridPos(h=1, w=COLUMNS, x=0, y=top),
            collapsed=current.collapsed,
        ).to_json_data()
        panels, bottom = _row_panels(current, top + 1, identities, setting)
        if current.collapsed:
            placed.append({**bar, "panels": panels})
            top += 1
        else:
            placed.extend([bar, *panels])
            top = bottom
    return placed


def _row_panels(
    current: Row, top: int, identities: Iterator[int], setting: Setting
) -> tuple[list[dict[str, object]], int]:
    panels: list[dict[str, object]] = []
    left = 0
    line_height = 0
    for cell in current.cells:
        if not (0 < cell.width <= COLUMNS and cell.height > 0):
            raise InputError(
                f"the panel {cell.panel.title!r} is {cell.width} wide and {cell.height} high",
                where=cell.panel.title,
                mend=f"a panel is 1 to {COLUMNS} columns wide and at least 1 high",
            )
        if left + cell.width > COLUMNS:
            top += line_height
            left = line_height = 0
        grid = core.GridPos(h=cell.height, w=cell.width, x=left, y=top)
        panels.append({**cell.panel.render(setting), "id": next(identities), "gridPos": grid})
        left += cell.width
        line_height = max(line_height, cell.height)
    return panels, top + line_height
