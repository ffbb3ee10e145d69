"""Each kind of panel renders what current Grafana reads, and nothing of what grafanalib leaves behind."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from stakewatch.errors import InputError
from stakewatch.grafana.board import Board
from stakewatch.grafana.boardfile import panels
from stakewatch.grafana.lint import lint
from stakewatch.grafana.panels import BarGauge, Gauge, Heatmap, Panel, Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import DATASOURCE, LOGS_DATASOURCE, LogQuery, Query, reference
from stakewatch.grafana.round_trip import differences
from stakewatch.grafana.setting import Setting
from stakewatch.grafana.tables import Table, firing_alerts
from stakewatch.grafana.text_panels import Logs, Text
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import LOGS, contract_variables

QUERIES = (Query('up{cluster=~"$cluster"}'), Query('2 * up{cluster=~"$cluster"}', "{{job}}"))
COMMON: Mapping[str, Any] = {"description": "Normal: 1.", "unit": "percentunit", "queries": QUERIES}

KINDS: tuple[Panel, ...] = (
    Timeseries(title="over time", alerts=("MemoryHigh", "MemoryCritical"), minimum=0, maximum=1, **COMMON),
    Timeseries(title="bars", draw="bars", stack=True, connect=True, decimals=1, **COMMON),
    Stat(
        title="stat",
        states={0: State("Down", "red"), 1: State("Up", "green")},
        alerts=("NodeDown",),
        **COMMON,
    ),
    Stat(title="stat with a graph", graph="area", colour="value", named=True, **COMMON),
    Gauge(title="gauge", alerts=("MemoryHigh",), minimum=0, maximum=1, **COMMON),
    BarGauge(title="bar gauge", steps=steps(start="green", red=3), **COMMON),
    Heatmap(title="heat map", **COMMON),
    StateTimeline(title="states", states={0: State("no", "red")}, **COMMON),
    Table(
        title="table",
        columns={"instance": "Instance"},
        value="Value now",
        column_links={"Instance": ({"title": "Board", "url": "/d/x", "targetBlank": False},)},
        **COMMON,
    ),
    firing_alerts("Alerts of a test", QUERIES[0].expression, "instance", normal="one"),
    Text(title="text", description="Normal: read once.", content="**Read** on."),
)
LINES = LogQuery('{cluster=~"$cluster"}')


def test_panels_of_logs_ask_loki(board_of: Callable[..., Board], setting: Setting) -> None:
    kinds: tuple[Panel, ...] = (
        Logs(title="lines", description="Normal: few.", queries=(LINES,)),
        Timeseries(title="lines over time", description="Normal: few.", unit="cps", queries=(LINES,)),
        Stat(title="lines now", description="Normal: few.", unit="cps", queries=(LINES,)),
    )
    board = replace(board_of(*kinds), variables=(*contract_variables()[:1], LOGS, *contract_variables()[1:]))
    content = board.generate(setting)
    assert list(differences(content)) == []
    assert lint(content) == ()
    asked = [(one.content["datasource"], one.targets[0]["queryType"]) for one in panels(content)]
    assert asked == [(LOGS_DATASOURCE, "range"), (LOGS_DATASOURCE, "range"), (LOGS_DATASOURCE, "instant")]


def rendered(panel: Panel, board_of: Callable[..., Board], setting: Setting) -> dict[str, Any]:
    (only,) = panels(board_of(panel).generate(setting))
    return dict(only.content)


@pytest.mark.parametrize("panel", KINDS, ids=lambda panel: panel.title)
def test_every_kind_survives_the_models_and_the_linter(
    panel: Panel, board_of: Callable[..., Board], setting: Setting
) -> None:
    board = board_of(panel).generate(setting)
    assert list(differences(board)) == []
    assert lint(board) == ()


@pytest.mark.parametrize("panel", KINDS, ids=lambda panel: panel.title)
def test_no_kind_has_a_null_but_the_start_of_its_colours(
    panel: Panel, board_of: Callable[..., Board], setting: Setting
) -> None:
    def nulls(value: object, path: str = "") -> list[str]:
        if isinstance(value, dict):
            return [found for key, inner in value.items() for found in nulls(inner, f"{path}.{key}")]
        if isinstance(value, list):
            return [found for place, inner in enumerate(value) for found in nulls(inner, f"{path}.{place}")]
        return [path] if value is None else []

    found = nulls(rendered(panel, board_of, setting))
    assert all(path == ".fieldConfig.defaults.thresholds.steps.0.value" for path in found)


def test_the_thresholds_of_alerts_are_colours_and_lines(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    defaults = rendered(KINDS[0], board_of, setting)["fieldConfig"]["defaults"]
    assert defaults["thresholds"] == {
        "mode": "absolute",
        "steps": [
            {"color": "green", "value": None},
            {"color": "orange", "value": 0.85},
            {"color": "red", "value": 0.95},
        ],
    }
    assert defaults["custom"]["thresholdsStyle"] == {"mode": "dashed"}


def test_the_runbooks_of_alerts_are_links_of_the_panel(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    links = rendered(KINDS[0], board_of, setting)["links"]
    assert [link["url"] for link in links] == [
        "https://runbooks.example/MemoryHigh",
        "https://runbooks.example/MemoryCritical",
    ]


def test_a_click_on_a_firing_alert_opens_its_runbook(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    overrides = rendered(KINDS[9], board_of, setting)["fieldConfig"]["overrides"]
    (link,) = overrides[0]["properties"][0]["value"]
    assert overrides[0]["matcher"]["options"] == "Alert"
    assert link["url"] == "https://runbooks.example/${__value.raw}"


def test_a_panel_without_thresholds_draws_no_line(board_of: Callable[..., Board], setting: Setting) -> None:
    custom = rendered(KINDS[1], board_of, setting)["fieldConfig"]["defaults"]["custom"]
    assert custom["thresholdsStyle"] == {"mode": "off"}


NOW = {"instant": True, "range": False, "format": "time_series"}
ROWS = {**NOW, "format": "table"}
OVER_TIME = {"instant": False, "range": True, "format": "time_series"}
BUCKETS = {**OVER_TIME, "format": "heatmap"}
FORMS = (OVER_TIME, OVER_TIME, NOW, OVER_TIME, NOW, NOW, BUCKETS, OVER_TIME, ROWS, ROWS)


@pytest.mark.parametrize(("panel", "form"), tuple(zip(KINDS, FORMS, strict=False)))
def test_single_numbers_ask_for_now_and_graphs_for_the_time_range(
    panel: Panel, form: dict[str, object], board_of: Callable[..., Board], setting: Setting
) -> None:
    for target in rendered(panel, board_of, setting)["targets"]:
        assert {key: target[key] for key in form} == form


def test_queries_use_the_data_source_variable_and_have_names(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    targets = rendered(KINDS[0], board_of, setting)["targets"]
    assert [target["refId"] for target in targets] == ["A", "B"]
    assert all(target["datasource"] == DATASOURCE for target in targets)


def test_the_indentation_of_a_module_is_not_part_of_a_query() -> None:
    query = Query("""
        sum(
          up
        )
    """)
    assert query.text == "sum(\n  up\n)"


def test_states_give_words_and_colours_to_values(board_of: Callable[..., Board], setting: Setting) -> None:
    (mapping,) = rendered(KINDS[2], board_of, setting)["fieldConfig"]["defaults"]["mappings"]
    assert mapping["options"]["0"] == {"color": "red", "index": 0, "text": "Down"}
    assert mapping["options"]["1"] == {"color": "green", "index": 1, "text": "Up"}


def test_an_alert_that_no_rule_file_has_is_refused_with_a_proposal(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    panel = Stat(title="Memory", alerts=("MemoryHihg",), **COMMON)
    with pytest.raises(
        InputError, match="the panel 'Memory': no rule file has the alert MemoryHihg"
    ) as caught:
        board_of(panel).generate(setting)
    assert caught.value.mend == "did you mean MemoryHigh?"


def test_steps_beside_alerts_are_refused(board_of: Callable[..., Board], setting: Setting) -> None:
    panel = Stat(title="Memory", alerts=("MemoryHigh",), steps=steps(start="green", red=0.8), **COMMON)
    with pytest.raises(InputError, match="has steps of its own and alerts"):
        board_of(panel).generate(setting)


def test_an_alert_without_a_threshold_leaves_the_colours_to_the_panel(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    panel = Stat(title="Down", alerts=("NodeDown",), steps=steps(start="green", red=1), **COMMON)
    content = rendered(panel, board_of, setting)
    assert [step["color"] for step in content["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [
        "green",
        "red",
    ]
    assert [link["title"] for link in content["links"]] == ["Runbook: NodeDown"]


def test_names_of_queries_go_on_after_z() -> None:
    assert [reference(place) for place in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        "A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA",
    ]  # fmt: skip


def test_a_number_that_is_named_says_what_it_is_of_even_alone(setting: Setting) -> None:
    modes = {
        named: Stat(title="stat", named=named, **COMMON).render(setting)["options"]["textMode"]
        for named in (False, True)
    }
    assert modes == {False: "auto", True: "value_and_name"}
