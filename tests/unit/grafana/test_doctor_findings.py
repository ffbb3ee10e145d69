"""What the doctor makes of what it sees: statuses, the fleet, the cost, the account."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from stakewatch.catalogue import load_catalogue
from stakewatch.errors import StakewatchError
from stakewatch.grafana.doctor.account import as_data, print_diagnosis
from stakewatch.grafana.doctor.blindness import blind_for
from stakewatch.grafana.doctor.cost import Cost, cost_of
from stakewatch.grafana.doctor.diagnosis import Diagnosis
from stakewatch.grafana.doctor.examination import (
    Finding,
    Kind,
    Status,
    Subject,
    alerts_of,
    examine,
    panels_of,
)
from stakewatch.grafana.fleet import Fleet, Gap, Process, survey
from stakewatch.grafana.reasons import Judge
from stakewatch.grafana.remote import LoadedRule, connect
from stakewatch.grafana.supply import Records, Wanted, wanted_by
from stakewatch.promql import parse
from stakewatch.rules.files import parse_rule_file

from .serving import serving, vector

CATALOGUE = load_catalogue(Path(__file__).parents[3] / "catalogue")
GETH = Process("execution", "geth")
SEES_GETH = Fleet(
    names=frozenset({"up", "p2p_peers"}),
    targets={GETH: 2},
    answering={GETH: 1},
    watched=frozenset(),
    components=frozenset({"geth"}),
    gaps=(Gap("geth", "cluster", "", "", "my-geth"),),
)
RULES = """
groups:
  - name: some
    rules:
      - {record: "r:peers:max", expr: "max(p2p_peers)"}
      - {alert: Works, expr: "r:peers:max < 5", labels: {severity: critical}}
      - {alert: Beacon, expr: "libp2p_peers == 0", labels: {severity: critical}}
      - {alert: Erigon, expr: "sync == 0", labels: {severity: critical}}
      - {alert: Either, expr: "p2p_peers == 0 or libp2p_peers == 0"}
      - {alert: OnlyGethHere, expr: "p2p_peers == 0 or sync == 0"}
      - {alert: Later, expr: "eth_db_chaindata_compact_writedelay_duration > 0"}
      - {alert: Always, expr: "vector(1)"}
"""
RULE_FILE = parse_rule_file(RULES, Path("some.yaml"))
COST = Cost(10, 2.5, 1, 8, 0.25, measured=True)


def examined(*subjects: Subject, loaded: frozenset[str] | None = None) -> dict[str, Finding]:
    records = Records({"r:peers:max": (parse("max(p2p_peers)"),)}, loaded)
    judge = Judge(SEES_GETH, CATALOGUE, records.expressions)
    there = frozenset({Wanted("p2p_peers", frozenset())})
    return {one.name: one for one in examine(subjects, there, records, judge)}


@pytest.mark.parametrize(
    ("alert", "status"),
    [
        ("Works", Status.WORKS),
        ("Always", Status.WORKS),
        ("Beacon", Status.CANNOT),
        ("Erigon", Status.NEEDLESS),
        ("Either", Status.PARTLY),
        ("OnlyGethHere", Status.WORKS),
        ("Later", Status.UNTOLD),
    ],
)
def test_an_alert_has_its_status(alert: str, status: Status) -> None:
    # Whether the rules are loaded is no matter of theirs: they can be.
    for loaded in (None, frozenset[str]()):
        assert examined(*alerts_of((RULE_FILE,)), loaded=loaded)[alert].status is status


def test_a_panel_works_when_one_of_its_queries_does_and_needs_the_rules() -> None:
    def panel(name: str, *expressions: str) -> Subject:
        return Subject(Kind.PANEL, name, "board", tuple(map(parse, expressions)))

    found = examined(
        panel("one", "p2p_peers", "libp2p_peers"),
        panel("none", "libp2p_peers"),
        panel("recorded", "r:peers:max"),
        loaded=frozenset(),
    )
    assert {name: one.status for name, one in found.items()} == {
        "one": Status.PARTLY,
        "none": Status.CANNOT,
        "recorded": Status.CANNOT,
    }
    assert [reason.said for reason in found["recorded"].reasons] == ["the bundle's rules are not loaded"]


def test_an_alert_is_blind_for_implementations_that_it_reads_nothing_of() -> None:
    fleet = replace(
        SEES_GETH, targets={GETH: 1, Process("execution", "besu"): 1, Process("beacon", "teku"): 1}
    )

    def blind(*wanted: str) -> list[str]:
        read = wanted_by(map(parse, wanted), Records({}))
        return [one.implementation for one in blind_for(read, fleet, CATALOGUE)]

    assert blind("chain_head_block") == ["besu"]
    assert blind('p2p_peers{implementation="geth"}', "ethereum_peer_count") == []
    assert blind('up{role="execution"}', "chain_head_block") == []
    assert blind("stakewatch_node_up", "chain_head_block") == []
    assert blind("node_load1") == []
    assert blind() == []


def test_only_an_alert_that_works_is_called_blind() -> None:
    subjects = alerts_of((RULE_FILE,))
    besu = Process("execution", "besu")
    fleet = replace(SEES_GETH, targets={GETH: 1, besu: 1})
    there = frozenset({Wanted("chain_head_block", frozenset())})
    records = Records({})
    working = Subject(Kind.ALERT, "Head", "", (parse("chain_head_block == 0"),))
    found = examine([working, *subjects], there, records, Judge(fleet, CATALOGUE, {}))
    assert {one.name for one in found if one.blind} == {"Head"}
    assert found[0].blind == (besu,)
    text = printed(diagnosis(*found))
    assert "besu (execution): Head" in text


def test_panels_that_ask_for_logs_or_nothing_are_not_examined() -> None:
    target = {"expr": 'up{cluster=~"$cluster"}', "datasource": {"type": "prometheus"}}
    logs = {"expr": '{cluster=~"$cluster"}', "datasource": {"type": "loki"}}
    board = {
        "uid": "x",
        "panels": [
            {"title": "Row", "type": "row", "panels": [{"title": "Inside", "targets": [target]}]},
            {"title": "Metrics", "targets": [target]},
            {"title": "Logs", "targets": [logs]},
            {"title": "Text"},
        ],
    }
    assert [one.name for one in panels_of(board, {"cluster": ".*"})] == ["Inside", "Metrics"]


def diagnosis(*findings: Finding) -> Diagnosis:
    return Diagnosis(SEES_GETH, findings, COST, None)


def printed(found: Diagnosis) -> str:
    text = io.StringIO()
    print_diagnosis(found, CATALOGUE, "http://somewhere", Console(file=text, width=200))
    return text.getvalue()


def test_the_account_tells_who_is_scraped_what_is_missing_and_what_mends_it() -> None:
    text = printed(diagnosis(*examined(*alerts_of((RULE_FILE,))).values()))
    assert "geth (execution): 2 targets, 1 up" in text
    assert "Geth of the job my-geth has no cluster" in text
    assert "no beacon node is scraped\n    alerts: Beacon (critical)\n    mend: scrape it with" in text
    assert "10 series read, 2 samples/s; 8 rules add 1 series and take 0.250 s a round" in text
    assert text.rstrip().endswith("Critical alerts that cannot work: Beacon")
    assert "does not tell which rules" in text


def test_where_everything_works_nothing_critical_is_said() -> None:
    found = diagnosis(*(one for one in examined(*alerts_of((RULE_FILE,))).values() if one.name == "Works"))
    assert found.critical == ()
    assert "Cannot work" not in printed(found)
    assert "Critical" not in printed(found)


def test_the_data_has_every_finding_with_its_lacks() -> None:
    data = as_data(diagnosis(*examined(*alerts_of((RULE_FILE,))).values()), CATALOGUE)
    (beacon,) = (one for one in data["alerts"] if one["name"] == "Beacon")
    assert beacon == {
        "name": "Beacon",
        "severity": "critical",
        "status": "cannot work",
        "blind_for": [],
        "lacks": [
            {
                "series": "libp2p_peers",
                "cause": "not scraped",
                "why": "no beacon node is scraped",
                "mend": beacon["lacks"][0]["mend"],
            }
        ],
    }
    assert data["critical_alerts_that_cannot_work"] == ["Beacon"]


def test_a_survey_of_nothing_is_an_empty_fleet() -> None:
    with serving(lambda path, _: (200, {"data": []} if "label" in path else vector())) as api:
        found = survey(connect(api.url), CATALOGUE, 0)
    assert found == Fleet(frozenset(), {}, {}, frozenset(), frozenset(), ())


def test_a_program_is_known_by_metrics_that_only_it_has_and_not_by_an_odd_one() -> None:
    names = ["chain_head_block", "chain_head_header", "chain_head_receipt", "reth_info", "go_goroutines"]

    def answer(path: str, asked: Mapping[str, str]) -> tuple[int, object]:
        if "label" in path:
            return 200, {"data": [*names, "somebodys_own"]}
        query = asked["query"]
        if query.startswith("count by (__name__)"):
            assert "somebodys_own" not in query
            return 200, vector(*(({"__name__": name}, 1) for name in names))
        if "chain_head_block" in query:
            return 200, vector(({"job": "el", "cluster": "eu-1", "role": "execution"}, 3))
        return 200, vector()

    with serving(answer) as api:
        found = survey(connect(api.url), CATALOGUE, 0)
    assert found.components == {"geth"}
    assert {(gap.label, gap.expected, gap.found) for gap in found.gaps} == {
        ("region", "", ""),
        ("network", "", ""),
        ("implementation", "geth", ""),
    }


def test_the_cost_of_rules_that_are_loaded_is_what_prometheus_says() -> None:
    def answer(_: str, asked: Mapping[str, str]) -> tuple[int, object]:
        if asked["query"].startswith("max by (job)"):
            return 200, vector(({"job": "a"}, 20), ({"job": "b"}, 10))
        if asked["query"].startswith("count by (job)"):
            return 200, vector(({"job": "a"}, 30), ({"job": "b"}, 60))
        assert asked["query"] == 'count({__name__=~"r:peers:max"})'
        return 200, vector(({}, 7))

    loaded = [LoadedRule(rule.name, bool(rule.alert), 0.5) for rule in RULE_FILE.rules]
    loaded.append(LoadedRule("SomebodyElses", alerting=True, seconds=100))
    with serving(answer) as api:
        cost = cost_of(connect(api.url), {"p2p_peers"}, (RULE_FILE,), loaded, lambda _: None)
    assert cost == Cost(90, 4.0, 7, 8, 4.0, measured=True)


def test_rules_that_are_not_loaded_are_asked_for_once_and_a_refused_one_is_told() -> None:
    said: list[str] = []

    def answer(_: str, asked: Mapping[str, str]) -> tuple[int, object]:
        if asked["query"] == "sync == 0":
            return 422, {"error": "too much"}
        return 200, vector(({}, 1), ({"x": "2"}, 1)) if asked["query"] == "max(p2p_peers)" else vector()

    with serving(answer) as api:
        cost = cost_of(connect(api.url), (), (RULE_FILE,), (), said.append)
        assert len(api.asked) == 1 + len(RULE_FILE.rules)
    assert (cost.measured, cost.recorded_series, cost.rules) == (False, 2, 8)
    assert cost.refused == (("Erigon", "refused with 422: too much"),)
    assert said[-1] == "rule 8 of 8: Always"


def test_a_prometheus_that_goes_away_is_an_error_and_no_cost() -> None:
    with serving(lambda *_: (200, b"")) as api, pytest.raises(StakewatchError):
        cost_of(connect(api.url), (), (RULE_FILE,), (), lambda _: None)
