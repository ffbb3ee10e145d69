"""The comparison of boards notices a panel that is dead, half dead, refused, or alive against expectation."""

from pathlib import Path
from typing import Any

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.grafana.boardfile import panels
from stakewatch.grafana.preview.explaining import Why
from stakewatch.grafana.preview.results import Answer, BoardResult, Result
from stakewatch.grafana.preview.run import boards_of
from stakewatch.grafana.preview.window import Window
from stakewatch.grafana.remote import Series
from tests.e2e.boards import Known, compare_boards, known_of
from tests.e2e.ledger import Ledger

ROOT = Path(__file__).parents[2]
BOARD: dict[str, Any] = {
    "uid": "a_board",
    "panels": [
        {"title": "Peers", "type": "stat", "targets": [{"refId": "A"}]},
        {"title": "Disk", "type": "timeseries", "targets": [{"refId": "A"}, {"refId": "B"}]},
        {"title": "A row", "type": "row"},
    ],
}
NOTHING_KNOWN = Known({}, {})
SERIES = (Series({}, ((1.0, 1.0),)),)


def shown(peers: str, disk: str, error: str = "") -> BoardResult:
    """Return the board with data for these queries: "AB"."""
    results = [
        Result(
            panel,
            tuple(
                Answer(letter, f"{panel.title} {letter}", "", SERIES * (letter in filled), 0.1, error)
                for letter in (target["refId"] for target in panel.targets)
            ),
        )
        for panel, filled in zip(panels(BOARD), (peers, disk, ""), strict=True)
    ]
    return BoardResult(BOARD, Window(0.0, 120.0), {}, tuple(results))


def failed(board: BoardResult, known: Known = NOTHING_KNOWN) -> dict[str, str]:
    ledger = Ledger()
    compare_boards(ledger.chapter("boards"), (board,), known, lambda _: (Why("the reason"),))
    assert ledger.checks
    return {check.name: check.seen for check in ledger.failed()}


def test_a_board_with_data_everywhere_holds() -> None:
    assert failed(shown("A", "AB")) == {}


def test_a_dead_panel_fails_and_says_why() -> None:
    assert failed(shown("", "AB")) == {"panels of a_board that are dead": "{'Peers': 'the reason'}"}


def test_a_panel_of_which_one_query_is_dead_fails_with_the_query() -> None:
    assert failed(shown("A", "A")) == {"panels of a_board that are dead": "{'Disk (B)': 'Disk B'}"}


def test_a_refused_query_fails_also_where_no_data_are_expected() -> None:
    known = Known({("a_board", "Peers"): "x"}, {("a_board", "Disk"): "x"})
    refused = failed(shown("", "", error="refused: too many samples"), known)
    assert list(refused) == ["queries of a_board that Prometheus refuses"]
    assert "Disk (B)" in refused["queries of a_board that Prometheus refuses"]


@pytest.mark.parametrize("names", [("Peers", "Disk"), ("Peers", "Disk (B)")])
def test_what_is_known_to_have_no_data_holds(names: tuple[str, ...]) -> None:
    known = Known({("a_board", name): "x" for name in names}, {})
    assert failed(shown("", "A" if "Disk (B)" in names else ""), known) == {}


@pytest.mark.parametrize("name", ["Disk", "Disk (A)"])
def test_what_is_known_to_have_no_data_and_has_some_fails(name: str) -> None:
    known = Known({("a_board", name): "x", ("a_board", "Disk (B)"): "x"}, {})
    assert failed(shown("A", "A"), known) == {
        "panels of a_board that have data and are known to have none": str({name})
    }


def test_what_is_known_to_have_none_at_times_holds_with_data_and_without() -> None:
    known = Known({}, {("a_board", "Disk"): "x"})
    for filled in ("", "A", "AB"):
        assert failed(shown("A", filled), known) == {}


def test_what_is_known_of_one_board_excuses_no_other() -> None:
    known = Known({("another", "Peers"): "x"}, {("another", "Disk"): "x"})
    assert failed(shown("", "A"), known)["panels of a_board that are dead"].count(":") == 2


def test_the_lists_name_only_what_the_boards_have_and_nothing_twice() -> None:
    boards = boards_of(Bundle(ROOT), Configuration())
    known = known_of(boards)
    assert known.never
    assert known.at_times
    assert set(known.never) & set(known.at_times) == set()


def test_a_list_that_names_a_query_that_there_is_not_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "panels_without_data.yaml").write_text(
        "- {board: a_board, panels: [Disk (C)], reason: x}\n", encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"panels_without_data.yaml:1: .*Disk \(C\)"):
        known_of([BOARD], tmp_path)
