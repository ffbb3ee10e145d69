"""The round trip finds what Grafana does not know, loses or types otherwise."""

from collections.abc import Callable
from typing import Any

import pytest

from stakewatch.grafana.round_trip import differences

Change = Callable[[dict[str, Any]], object]


def panel(board: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = board["panels"][0]
    return found


def test_a_right_board_comes_back_as_it_went(content: dict[str, Any]) -> None:
    assert list(differences(content)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda b: b.update(rows=[]), "rows: lost"),
        (lambda b: b.update(title=3), "title: 3 is not of type str"),
        (lambda b: b.update(tags="x"), "tags: 'x' is not of type list"),
        (lambda b: b.update(graphTooltip=7), "graph_tooltip: 7 is not one of 0, 1, 2"),
        (lambda b: panel(b)["options"].update(graphMod="none"), "panels[0].options.graphMod: lost"),
        (lambda b: panel(b)["options"].update(graphMode="lots"), "graph_mode: 'lots' is not one of"),
        (lambda b: panel(b)["targets"][0].update(step=10), "panels[0].targets[0].step: lost"),
        (lambda b: panel(b)["targets"][0].update(format="tabel"), "format_val: 'tabel' is not one of"),
        (lambda b: panel(b)["targets"][0].update(instant="yes"), "instant: 'yes' is not of type bool"),
        (lambda b: panel(b)["datasource"].update(type="promtheus"), "a data source that has no model"),
        (lambda b: panel(b).update(type="graph"), "no panel of current Grafana is of type 'graph'"),
        (lambda b: panel(b).update(links=[{"title": "a", "url": 3}]), "links[0].url: 3 is not of type str"),
        (lambda b: panel(b).update(links=[{"title": "a", "uri": "/"}]), "links[0].uri: lost"),
        (
            lambda b: panel(b).update(transformations=[{"id": 3}]),
            "transformations[0].id_val: 3 is not of type",
        ),
        (lambda b: panel(b)["gridPos"].update(w="8"), "grid_pos.w: '8' is not a number"),
        (lambda b: panel(b)["gridPos"].update(w=True), "grid_pos.w: True is not a number"),
        (lambda b: panel(b).update(gridPos="x"), "cannot be read by the model"),
        (lambda b: b["templating"]["list"][1].update(refresh=7), "refresh: 7 is not one of 0, 1, 2"),
        (lambda b: b["templating"]["list"][1].update(definition="x"), "definition: lost"),
        (lambda b: b["annotations"]["list"][1].update(tagKeys="x"), "tagKeys: lost"),
    ],
)
def test_a_broken_board_is_told_with_the_place(
    content: dict[str, Any], change: Change, expected: str
) -> None:
    change(content)
    found = list(differences(content))
    assert len(found) == 1
    assert expected in found[0]


def test_the_text_of_an_annotation_is_allowed_although_the_model_lacks_it(content: dict[str, Any]) -> None:
    assert content["annotations"]["list"][1]["titleFormat"] == "{{alertname}}"
    assert list(differences(content)) == []
