"""Each rule of the lint finds what it is for."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from stakewatch.grafana.lint import known_units, lint

Change = Callable[[dict[str, Any]], object]


def panel(board: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = board["panels"][0]
    return found


def second(board: dict[str, Any], **changes: object) -> None:
    """Add a second panel beside the first that differs by `changes`."""
    added = deepcopy(panel(board))
    added.update({"id": 2, "title": "Second", "gridPos": {"h": 8, "w": 8, "x": 8, "y": 0}, **changes})
    board["panels"].append(added)


def in_collapsed_row(board: dict[str, Any]) -> None:
    second(board, title="", type="row", collapsed=True, panels=[{**panel(board), "id": 3, "title": "In"}])


def test_a_right_board_has_no_flaw(content: dict[str, Any]) -> None:
    second(content)
    assert lint(content) == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda b: b.update(uid=""), "board-uid"),
        (lambda b: b.update(uid="a b"), "board-uid"),
        (lambda b: b.update(uid="x" * 41), "board-uid"),
        (lambda b: b.update(title=""), "board-title"),
        (lambda b: b.pop("description"), "board-description"),
        (lambda b: b.update(schemaVersion=12), "board-schemaVersion"),
        (lambda b: b.update(timezone="browser"), "board-timezone"),
        (lambda b: b.update(editable=True), "board-editable"),
        (lambda b: b.update(tags=["geth"]), "board-tag"),
        (lambda b: panel(b).update(datasource={"type": "prometheus", "uid": "abc"}), "panel-datasource"),
        (lambda b: panel(b)["targets"][0].pop("datasource"), "panel-datasource"),
        (lambda b: b["templating"]["list"].pop(0), "template-datasource"),
        (lambda b: b["templating"]["list"][1].update(datasource="prometheus"), "template-datasource"),
        (lambda b: b["annotations"]["list"][1].update(datasource="prometheus"), "annotation-datasource"),
        (lambda b: b["templating"]["list"].append(deepcopy(b["templating"]["list"][1])), "template-name"),
        (lambda b: b["templating"]["list"][1].update(label=""), "template-label"),
        (lambda b: b["templating"]["list"][1].update(refresh=1), "template-on-time-change-reload"),
        (lambda b: panel(b)["targets"][0].update(expr="up{a=~'$pod'}"), "variable-unknown"),
        (lambda b: b["annotations"]["list"][1].update(expr="up{a='${pod:regex}'}"), "variable-unknown"),
        (lambda b: panel(b).pop("title"), "panel-title"),
        (lambda b: second(b, title="Peers"), "panel-title"),
        (lambda b: panel(b).update(description=" "), "panel-description"),
        (lambda b: panel(b).update(description="Peers. Normal:"), "panel-description"),
        (lambda b: panel(b)["fieldConfig"]["defaults"].pop("unit"), "panel-units"),
        (lambda b: panel(b)["fieldConfig"]["defaults"].update(unit="percentunits"), "panel-units"),
        (lambda b: panel(b).update(type="graph"), "panel-kind"),
        (lambda b: panel(b).update(targets=[]), "panel-no-targets"),
        (lambda b: panel(b)["targets"][0].update(expr="  "), "target-empty"),
        (lambda b: panel(b)["targets"][0].update(legendFormat=""), "target-legend"),
        (lambda b: panel(b)["targets"].append(deepcopy(panel(b)["targets"][0])), "target-reference"),
        (lambda b: second(b, id=1), "panel-id"),
        (lambda b: panel(b).pop("id"), "panel-id"),
        (lambda b: panel(b).pop("gridPos"), "panel-grid"),
        (lambda b: panel(b)["gridPos"].update(x=20), "panel-grid"),
        (lambda b: panel(b)["gridPos"].update(h=0), "panel-grid"),
        (lambda b: panel(b)["gridPos"].update(w="8"), "panel-grid"),
        (lambda b: second(b, gridPos={"h": 8, "w": 8, "x": 7, "y": 7}), "panel-overlap"),
    ],
)
def test_a_flaw_is_found_once_by_the_rule_that_is_for_it(
    content: dict[str, Any], change: Change, rule: str
) -> None:
    change(content)
    assert [flaw.rule for flaw in lint(content)] == [rule]


def test_panels_in_collapsed_rows_are_looked_at_too(content: dict[str, Any]) -> None:
    in_collapsed_row(content)
    content["panels"][1]["title"] = "Row"
    content["panels"][1]["panels"][0]["fieldConfig"]["defaults"]["unit"] = "metres"
    assert {flaw.rule for flaw in lint(content)} == {"panel-units"}


def test_the_units_are_those_of_grafana_and_free_text_behind_a_prefix(content: dict[str, Any]) -> None:
    assert {"percentunit", "bytes", "s", "ns", "reqps", "none"} <= known_units()
    content["panels"][0]["fieldConfig"]["defaults"]["unit"] = "suffix: blocks"
    assert lint(content) == ()
    content["panels"][0]["fieldConfig"]["defaults"]["unit"] = "suffix:"
    assert [flaw.rule for flaw in lint(content)] == ["panel-units"]
