"""Tables of a preview: the transformations that our boards use."""

from typing import Any

from stakewatch.grafana.boardfile import Placed
from stakewatch.grafana.preview.results import Answer, Result
from stakewatch.grafana.preview.tables import table_of
from stakewatch.grafana.remote import Series


def answer(reference: str, *rows: tuple[dict[str, str], float]) -> Answer:
    return Answer(reference, "x", "", tuple(Series(labels, ((0, value),)) for labels, value in rows), 0.0)


def shown(content: dict[str, Any], *answers: Answer) -> tuple[tuple[str, ...], list[list[str]]]:
    table = table_of(Result(Placed({"type": "table", **content}), answers))
    return table.headings, [[cell.text for cell in row] for row in table.rows]


def organized(**names: str) -> list[dict[str, Any]]:
    return [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(names)}}},
        {
            "id": "organize",
            "options": {
                "indexByName": {name: place for place, name in enumerate(names)},
                "renameByName": dict(names),
            },
        },
    ]


def test_the_chosen_labels_are_columns_in_their_order_with_their_headings() -> None:
    content = {"transformations": organized(b="Second", a="First")}
    rows = answer("A", ({"a": "1", "b": "2", "c": "3", "__name__": "x"}, 5))
    assert shown(content, rows) == (("Second", "First"), [["2", "1"]])


def test_without_transformations_all_labels_and_the_value_are_shown() -> None:
    rows = answer("A", ({"a": "1", "__name__": "x"}, 5), ({"b": "2"}, 6))
    assert shown({}, rows) == (("a", "Value", "b"), [["1", "5", ""], ["", "6", "2"]])


def test_rows_of_several_queries_with_the_same_labels_become_one() -> None:
    names = {"pod": "Pod", "Value #A": "Cores", "Value #B": "Memory"}
    content = {
        "transformations": [{"id": "merge", "options": {}}, *organized(**names)],
        "fieldConfig": {
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": "Memory"},
                    "properties": [{"id": "unit", "value": "bytes"}],
                }
            ]
        },
    }
    first = answer("A", ({"pod": "one"}, 0.5), ({"pod": "two"}, 1.5))
    second = answer("B", ({"pod": "two"}, 2048.0))
    assert shown(content, first, second) == (
        ("Pod", "Cores", "Memory"),
        [["one", "0.5", ""], ["two", "1.5", "2 KiB"]],
    )


def test_a_table_without_rows_has_its_headings() -> None:
    assert shown({"transformations": organized(a="First")}, answer("A")) == (("First",), [])


def test_a_severity_has_its_colour_and_other_labels_have_none() -> None:
    mapping = {"type": "value", "options": {"critical": {"color": "red"}}}
    content: dict[str, Any] = {
        "fieldConfig": {
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": "severity"},
                    "properties": [
                        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
                        {"id": "mappings", "value": [mapping]},
                    ],
                }
            ]
        }
    }
    table = table_of(Result(Placed(content), (answer("A", ({"severity": "critical", "alertname": "X"}, 1)),)))
    colours = dict(zip(table.headings, (cell.colour for cell in table.rows[0]), strict=True))
    assert colours["severity"] == "#d64545"
    assert colours["alertname"] == colours["Value"] == ""


def test_a_board_may_sort_by_a_heading() -> None:
    rows = answer("A", ({"a": "x"}, 2), ({"a": "y"}, 10), ({"a": "z"}, float("nan")))
    content: dict[str, Any] = {
        "transformations": organized(a="Name", Value="Number"),
        "options": {"sortBy": [{"displayName": "Number", "desc": True}]},
    }
    assert [row[0] for row in shown(content, rows)[1]] == ["y", "x", "z"]
    content["options"] = {"sortBy": [{"displayName": "Name", "desc": True}]}
    assert [row[0] for row in shown(content, rows)[1]] == ["z", "y", "x"]
