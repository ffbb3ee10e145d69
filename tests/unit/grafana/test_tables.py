"""Tables with several numbers join the rows of their queries."""

from collections.abc import Callable
from typing import Any

from stakewatch.grafana.board import Board
from stakewatch.grafana.boardfile import panels
from stakewatch.grafana.lint import lint
from stakewatch.grafana.queries import Query
from stakewatch.grafana.round_trip import differences
from stakewatch.grafana.setting import Setting
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed

UP = Query('up{cluster=~"$cluster"}')


def rendered(table: Table, board_of: Callable[..., Board], setting: Setting) -> dict[str, Any]:
    board = board_of(table).generate(setting)
    assert list(differences(board)) == []
    assert lint(board) == ()
    (only,) = panels(board)
    return dict(only.content)


def table(*queries: Query, values: tuple[Value, ...]) -> Table:
    return Table(
        title="Pods",
        description="Normal: few.",
        unit="none",
        queries=queries,
        columns={"pod": "Pod"},
        values=values,
    )


def test_each_query_gets_a_column_with_its_own_unit(board_of: Callable[..., Board], setting: Setting) -> None:
    values = (Value("Cores", "none"), Value("Memory", "bytes"))
    panel = rendered(table(UP, UP, values=values), board_of, setting)
    assert [one["id"] for one in panel["transformations"]] == ["merge", "filterFieldsByName", "organize"]
    renamed = panel["transformations"][2]["options"]["renameByName"]
    assert renamed == {"pod": "Pod", "Value #A": "Cores", "Value #B": "Memory"}
    units = {
        override["matcher"]["options"]: override["properties"][0]["value"]
        for override in panel["fieldConfig"]["overrides"]
    }
    assert units == {"Cores": "none", "Memory": "bytes"}


def test_the_number_of_a_single_query_has_no_name_behind_it(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    panel = rendered(table(UP, values=(Value("Memory", "bytes"),)), board_of, setting)
    assert panel["transformations"][2]["options"]["renameByName"] == {"pod": "Pod", "Value": "Memory"}


def test_a_column_may_have_decimals_of_its_own(board_of: Callable[..., Board], setting: Setting) -> None:
    values = (Value("Keys", "none", 0), Value("Share", "percentunit"))
    panel = rendered(table(UP, UP, values=values), board_of, setting)
    properties = [override["properties"] for override in panel["fieldConfig"]["overrides"]]
    assert properties == [
        [{"id": "unit", "value": "none"}, {"id": "decimals", "value": 0}],
        [{"id": "unit", "value": "percentunit"}],
    ]


def test_columns_stand_in_the_order_given_under_their_usual_headings_or_another() -> None:
    columns = headed("pod", "persistentvolumeclaim", instance="Machine")
    assert list(columns.items()) == [
        ("pod", "Pod"),
        ("persistentvolumeclaim", "Claim"),
        ("instance", "Machine"),
    ]


def test_firing_alerts_say_what_they_are_about_and_begin_with_name_and_severity() -> None:
    panel = firing_alerts("Alerts on pods", 'ALERTS{pod!=""}', "pod", normal="one")
    assert panel.title == "Firing alerts"
    assert panel.description == "Alerts on pods; a click on the name opens the runbook. Normal: one."
    assert list(panel.columns) == ["alertname", "severity", "pod"]
    assert firing_alerts("Alerts", 'ALERTS{pod!=""}').description.endswith("Normal: none.")


def test_the_most_severe_of_the_firing_alerts_come_first() -> None:
    (query,) = firing_alerts("Alerts on pods", 'ALERTS{pod!=""}').queries
    assert query.expression == (
        'sort_desc(ALERTS{pod!="",severity="critical"} + 2 or ALERTS{pod!="",severity="warning"} + 1'
        ' or ALERTS{pod!=""})'
    )
