"""Panels that show what an alert compares with its threshold are found, and no others."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.bundle.configuration import Configuration, Override
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana import checks
from stakewatch.grafana.board import Board
from stakewatch.grafana.panels import BarGauge, Gauge, Panel, Stat, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.setting import Setting
from stakewatch.grafana.tables import Table
from stakewatch.grafana.watched import lint_thresholds, subjects_of_alerts

WATCHED = 'max by (instance) (p2p_peers{role="execution"}) < 10'


def subjects(folder: Path, expression: str) -> Mapping[str, Any]:
    """Return what an alert of this expression and the threshold 10 watches."""
    rule = {"alert": "PeersLow", "expr": expression, "annotations": {"threshold": "10"}}
    other = {"alert": "NodeDown", "expr": "up == 0"}
    rules = {"groups": [{"name": "g", "rules": [rule, other, {"record": "a", "expr": "b"}]}]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    return subjects_of_alerts(folder)


@pytest.fixture
def found(
    board_of: Callable[..., Board], setting: Setting, tmp_path: Path
) -> Callable[..., list[tuple[str, str]]]:
    """Give a function that returns the rule and panel of each flaw of a board of one panel."""

    def lint(
        query: str, kind: type[Panel] = Stat, watched: str = WATCHED, **settings: object
    ) -> list[tuple[str, str]]:
        described = {"title": "Peers", "description": "Normal: 50.", "unit": "none", **settings}
        panel = kind(queries=(Query(query),), **described)  # type: ignore[arg-type] # each kind has its own
        board = board_of(panel).generate(setting)
        flaws = lint_thresholds(board, subjects(tmp_path, watched), setting.alerts)
        return [(flaw.rule, flaw.panel) for flaw in flaws]

    return lint


Found = Callable[..., list[tuple[str, str]]]
FLAW = [("panel-threshold", "Peers")]


@pytest.mark.parametrize("kind", [Stat, Gauge, BarGauge, Timeseries])
def test_a_panel_on_what_an_alert_watches_has_to_show_its_threshold(found: Found, kind: type[Panel]) -> None:
    query = 'p2p_peers{role="execution",cluster=~"$cluster"}'
    assert found(query, kind) == FLAW
    assert found(query, kind, alerts=("PeersLow",)) == []


def test_states_and_tables_have_no_scale_to_show_a_threshold_on(found: Found) -> None:
    query = 'p2p_peers{role="execution"}'
    assert found(query, StateTimeline) == []
    assert found(query, Table, columns={"instance": "Instance"}) == []


@pytest.mark.parametrize(
    ("watched", "query"),
    [
        (WATCHED, 'min by (cluster) (p2p_peers{role="execution",implementation="geth"})'),
        (WATCHED, 'sort_desc(topk(3, p2p_peers{role="execution"} > 0))'),
        (WATCHED, 'p2p_peers{role="execution"} * on (instance) group_left (version) geth_info{}'),
        (WATCHED, 'libp2p_peers or p2p_peers{role="execution"}'),
        ("used_bytes / size_bytes > 10", 'label_replace(used_bytes, "a", "b", "", "") / size_bytes'),
        ("sum by (a) (rate(calls_total[5m])) > 10", "sum by (b) (rate(calls_total[$__rate_interval]))"),
        ("increase(calls_total[1h]) > 10", "increase(calls_total[1h])"),
        ("(a or b) > 10 unless on (c) d", "b"),
        ("-a > 10", "-a"),
    ],
)
def test_what_only_chooses_names_or_smooths_leaves_it_the_same_thing(
    found: Found, watched: str, query: str
) -> None:
    assert found(query, watched=watched) == FLAW


@pytest.mark.parametrize(
    ("watched", "query"),
    [
        (WATCHED, "p2p_peers"),
        (WATCHED, 'p2p_peers{role="beacon"}'),
        (WATCHED, 'libp2p_peers{role="execution"}'),
        (WATCHED, 'sum(p2p_peers{role="execution"})'),
        (WATCHED, 'p2p_peers{role="execution"} / 2'),
        (WATCHED, 'rate(p2p_peers{role="execution"}[5m])'),
        (WATCHED, 'p2p_peers{role="execution"'),
        ("used_bytes / size_bytes > 10", "size_bytes / used_bytes"),
        ("increase(calls_total[1h]) > 10", "increase(calls_total[$__range])"),
        ("sum(rate(calls_total[5m])) > 10", "rate(calls_total[5m])"),
        ("a > 10 unless on (c) b", "b"),
        ("(a > 5) + 0 * (b > 10)", "a"),
    ],
)
def test_another_metric_selection_arithmetic_or_range_is_another_thing(
    found: Found, watched: str, query: str
) -> None:
    assert found(query, watched=watched) == []


def test_our_own_boards_show_all_thresholds_and_miss_one_that_is_taken_away(bundle: Bundle) -> None:
    assert list(checks.thresholds(bundle, Configuration())) == []
    path = bundle.dashboards / "eks_storage.py"
    text = path.read_text(encoding="utf-8")
    assert 'alerts=("DiskLatencyHigh",),' in text
    path.write_text(text.replace('alerts=("DiskLatencyHigh",),', ""), encoding="utf-8")
    messages = [finding.message for finding in checks.thresholds(bundle, Configuration())]
    assert messages
    assert all("what DiskLatencyHigh watches, and not its threshold" in message for message in messages)
    switched_off = Configuration(overrides={"DiskLatencyHigh": Override(enabled=False)})
    assert list(checks.thresholds(bundle, switched_off)) == []


def test_the_threshold_is_the_owners(bundle: Bundle) -> None:
    tuned = Configuration(overrides={"DiskLatencyHigh": Override(threshold=7.0)})
    assert list(checks.thresholds(bundle, tuned)) == []
