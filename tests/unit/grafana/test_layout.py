"""Panels stand on the grid side by side, and nothing lies on anything else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from stakewatch.errors import InputError
from stakewatch.grafana.board import Board
from stakewatch.grafana.boardfile import panels
from stakewatch.grafana.layout import Cell, Row, row
from stakewatch.grafana.lint import lint
from stakewatch.grafana.panels import Stat
from stakewatch.grafana.queries import Query
from stakewatch.grafana.setting import Setting


def stat(title: str) -> Stat:
    return Stat(
        title=title, description="Normal: 1.", unit="none", queries=(Query('up{cluster=~"$cluster"}'),)
    )


def places(board: Board, setting: Setting) -> dict[str, tuple[int, int, int, int]]:
    found = {}
    for panel in panels(board.generate(setting)):
        grid = panel.content["gridPos"]
        found[panel.title] = (grid["x"], grid["y"], grid["w"], grid["h"])
    return found


def test_the_first_row_has_no_title_bar_and_the_others_follow_below(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    board = board_of(row("First", stat("a"), stat("b"), width=12, height=4), row("Second", stat("c")))
    assert places(board, setting) == {
        "a": (0, 0, 12, 4),
        "b": (12, 0, 12, 4),
        "Second": (0, 4, 24, 1),
        "c": (0, 5, 8, 8),
    }


def test_what_does_not_fit_beside_goes_on_below_the_highest_of_its_line(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    cells = (Cell(stat("a"), 12, 4), Cell(stat("b"), 12, 6), Cell(stat("c"), 24, 2), Cell(stat("d"), 8, 2))
    assert places(board_of(Row("First", cells)), setting) == {
        "a": (0, 0, 12, 4),
        "b": (12, 0, 12, 6),
        "c": (0, 6, 24, 2),
        "d": (0, 8, 8, 2),
    }


def test_the_links_of_a_row_are_those_of_its_panels_without_own_ones() -> None:
    ours, own = {"title": "ours"}, {"title": "own"}
    cells = row("First", stat("a"), replace(stat("b"), links=(own,)), links=(ours,)).cells
    assert [cell.panel.links for cell in cells] == [(ours,), (own,)]


def test_a_collapsed_row_holds_its_panels_and_takes_one_line(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    board = board_of(row("First", stat("a")), row("More", stat("b"), collapsed=True), row("Last", stat("c")))
    content = board.generate(setting)
    more = next(panel for panel in content["panels"] if panel["title"] == "More")
    assert more["collapsed"]
    assert [panel["title"] for panel in more["panels"]] == ["b"]
    assert places(board, setting)["More"][1] + 1 == places(board, setting)["Last"][1]
    assert lint(content) == ()


def test_ids_are_unique_in_collapsed_rows_too(board_of: Callable[..., Board], setting: Setting) -> None:
    board = board_of(row("First", stat("a")), row("More", stat("b"), stat("c"), collapsed=True))
    identities = [panel.content["id"] for panel in panels(board.generate(setting))]
    assert sorted(identities) == [1, 2, 3, 4]


@pytest.mark.parametrize(("width", "height"), [(25, 8), (0, 8), (8, 0), (-1, 8)])
def test_a_panel_that_fits_nowhere_is_refused(
    width: int, height: int, board_of: Callable[..., Board], setting: Setting
) -> None:
    with pytest.raises(InputError, match="the panel 'a' is"):
        board_of(Row("First", (Cell(stat("a"), width, height),))).generate(setting)


def test_an_empty_row_is_only_its_title(board_of: Callable[..., Board], setting: Setting) -> None:
    board = board_of(row("First"), row("Second"), row("Third", stat("a")))
    assert places(board, setting) == {"Second": (0, 0, 24, 1), "Third": (0, 1, 24, 1), "a": (0, 2, 8, 8)}
