"""A board opens with the values that Grafana chooses by itself."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from stakewatch.grafana.board import Board
from stakewatch.grafana.lint import lint
from stakewatch.grafana.opening import as_pattern, opening_values, typed_in
from stakewatch.grafana.panels import Stat
from stakewatch.grafana.round_trip import differences
from stakewatch.grafana.setting import Setting
from stakewatch.grafana.variables import (
    DatasourceVariable,
    LabelNameVariable,
    LabelVariable,
    TextVariable,
    Variable,
)

EVERYTHING = LabelVariable("cluster", "cluster", "up", "Clusters")
CHOICES: tuple[Variable, ...] = (
    DatasourceVariable(),
    EVERYTHING,
    LabelNameVariable("by", "up", "label_.+|job", "job", "What to compare by"),
    LabelVariable("first", "$by", 'up{cluster=~"$cluster"}', "One of them", everything=False),
    TextVariable("limit", "3000", "What it may do", "Limit"),
)


def test_all_the_default_the_first_value_and_the_number_are_chosen(
    board_of: Callable[..., Board], peers: Stat, setting: Setting
) -> None:
    asked = []

    def label_values(selector: str, label: str) -> Iterable[str]:
        asked.append((selector, label))
        return ("node", "kubelet (v1.31)")

    board = replace(board_of(peers), variables=CHOICES).generate(setting)
    assert list(differences(board)) == []
    assert lint(board) == ()
    assert opening_values(board, label_values) == {
        "cluster": ".*",
        "by": "job",
        "first": r"kubelet\\ \\(v1\\.31\\)",
        "limit": "3000",
    }
    assert asked == [('up{cluster=~".*"}', "job")]
    assert typed_in(board) == {"limit": "3000"}


def test_an_empty_list_chooses_nothing(board_of: Callable[..., Board], peers: Stat, setting: Setting) -> None:
    board = replace(board_of(peers), variables=CHOICES).generate(setting)
    assert opening_values(board, lambda *_: ())["first"] == ""


def test_an_empty_text_box_opens_empty(board_of: Callable[..., Board], peers: Stat, setting: Setting) -> None:
    boxes = (*CHOICES, TextVariable("remark", "", "What to look for", "Remark"))
    board = replace(board_of(peers), variables=boxes).generate(setting)
    assert opening_values(board, lambda *_: ("a",))["remark"] == ""


def test_a_value_is_no_pattern_of_its_own() -> None:
    assert as_pattern("a.b") == r"a\\.b"
