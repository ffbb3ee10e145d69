"""Trying with the real promtool: what a mutant has no effect on is not asked, who noticed before is first."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stakewatch.rules.files import Rule
from stakewatch.rules.mutation import editions, trying
from stakewatch.rules.mutation.dependencies import Place, RuleSet, rule_set
from stakewatch.rules.mutation.editions import yields_the_same
from stakewatch.rules.mutation.memory import Memory
from stakewatch.rules.mutation.mutants import Mutant, Operator
from stakewatch.rules.mutation.trials import Candidate, Trial, run_difference_trial, run_trial
from stakewatch.rules.promtool import MAJORS
from stakewatch.rules.scenarios import Scenario, find_scenarios
from tests.integration.rules.editing import answers, edit, measured

RULES = """groups:
  - name: load
    rules:
      - {record: "load:capped", expr: "clamp_max(load, 0.9)"}
      - {record: "load:percent", expr: "load:capped * 100"}
      - {alert: Busy, expr: "load:percent > 50", annotations: {summary: busy}}
      - {alert: Idle, expr: "load:percent < 10", annotations: {summary: idle}}
      - {alert: Odd, expr: "load:percent > 40 < 45", annotations: {summary: odd}}
"""
TESTS = """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: gets busy
    interval: 30s
    input_series: [{series: load, values: 0.4x2 0.6x6}]
    alert_rule_test:
      - {eval_time: 2m, alertname: Busy, exp_alerts: [{exp_annotations: {summary: busy}}]}
      - {eval_time: 2m, alertname: Idle}
      - {eval_time: 0m, alertname: Odd}
  - name: gets idle
    interval: 30s
    input_series: [{series: load, values: 0.4x2 0.05x6}]
    alert_rule_test:
      - {eval_time: 2m, alertname: Busy}
      - {eval_time: 2m, alertname: Idle, exp_alerts: [{exp_annotations: {summary: idle}}]}
      - {eval_time: 2m, alertname: Odd}
"""


MORE = "number: 100 -> 110"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "rules.test.yaml").write_text(TESTS, encoding="utf-8")
    return tmp_path


class Asked:
    """Of which changes promtool was asked whether they record the same, and of which what alerts do."""

    def __init__(self) -> None:
        self.same: list[str] = []
        self.alerts: list[tuple[str, frozenset[str]]] = []
        self.times: set[float | None] = set()

    def clear(self) -> None:
        self.same.clear()
        self.alerts.clear()
        self.times.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    noted = Asked()

    def whether_same(
        scenario: Scenario, rules: RuleSet, changed: Sequence[tuple[Place, Rule]], program: str
    ) -> Trial:
        noted.same += [rule.expression for _, rule in changed]
        return run_difference_trial(scenario, rules, changed, program)

    def tried(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
        noted.alerts += [
            (one.mutant.change, frozenset(rules.rules[place].name for place in one.telling))
            for one in candidates
        ]
        noted.times |= {one.at for one in candidates if one.mutant.change == MORE}
        return run_trial(scenario, rules, candidates, program)

    monkeypatch.setattr(trying, "run_difference_trial", whether_same)
    monkeypatch.setattr(trying, "run_trial", tried)
    return noted


@pytest.mark.parametrize("program", MAJORS)
def test_a_changed_record_is_told_from_one_that_records_the_same(folder: Path, program: str) -> None:
    scenario, _ = find_scenarios(folder)
    rules = rule_set(scenario.rule_files)
    places = {rule.record: place for place, rule in rules.rules.items() if rule.record is not None}
    changes = [
        ("load:capped", "load"),
        ("load:capped", "clamp_max(load, 0.59)"),
        ("load:percent", "100 * load:capped"),
        ("load:percent", "load:capped * on () group_left () {__name__=~'load|load:capped'}"),
        # Before it is known, and after the last look, nothing differs.
        ("load:percent", "load:capped * 100 and on () vector(time()) > 0"),
        ("load:percent", "load:capped * 100 and on () vector(time()) < 150"),
        ("load:percent", "load:capped * 100 and on () vector(time()) < 90"),
    ]
    changed = [
        (places[record], replace(rules.rules[places[record]], expression=expression))
        for record, expression in changes
    ]
    trial = run_difference_trial(scenario, rules, changed, program)
    assert (trial.problem, trial.noticed) == (None, frozenset({1, 3, 4, 6}))


def test_a_record_that_stays_the_same_is_not_tried_on_the_alerts(folder: Path, asked: Asked) -> None:
    memory = Memory(folder / "memory.sqlite")
    first = measured(folder, memory)
    same = "number: 0.9 -> 0.99"
    assert "clamp_max(load, 0.99)" in asked.same
    assert same not in {change for change, _ in asked.alerts}
    assert "load:capped * 110" in asked.same
    assert MORE in {change for change, _ in asked.alerts}
    assert not answers(first)["load:capped", same]
    asked.clear()
    # What reads the record has no say in what it is.
    edit(folder, "load:percent > 50", "load:percent > 40")
    second = measured(folder, memory)
    assert "clamp_max(load, 0.99)" not in asked.same
    assert asked.alerts
    assert answers(second) == answers(measured(folder, Memory(None)))


def test_the_alert_that_noticed_before_is_asked_alone_and_of_then(folder: Path, asked: Asked) -> None:
    memory = Memory(folder / "memory.sqlite")
    measured(folder, memory)
    assert (MORE, frozenset({"Busy", "Idle", "Odd"})) in asked.alerts
    asked.clear()
    edit(folder, "load:percent > 50", "load:percent > (50)")
    # What another alert said by itself holds.
    assert answers(measured(folder, memory))["load:percent", MORE]
    assert MORE not in {change for change, _ in asked.alerts}
    edit(folder, "load:percent > 40 < 45", "load:percent > 40 < (45)")
    assert answers(measured(folder, memory))["load:percent", MORE]
    assert [alerts for change, alerts in asked.alerts if change == MORE] == [{"Odd"}]
    assert asked.times == {0.0}
    asked.clear()
    assert measured(folder, memory).asked == 0
    # Where it notices no more, all others are asked.
    edit(folder, "load:percent > 40 < (45)", "load:percent > 4000")
    (folder / "rules.test.yaml").write_text(TESTS.replace("0.05x6", "0.095x6"), encoding="utf-8")
    third = measured(folder, memory)
    assert next(alerts for change, alerts in asked.alerts if change == MORE) == {"Odd"}
    assert answers(third)["load:percent", MORE]
    assert answers(third) == answers(measured(folder, Memory(None)))


def test_a_record_that_a_test_gives_is_given_of_its_copies_too(tmp_path: Path) -> None:
    # A day of it is too long for a test, so a part of the record is given as it would have been recorded.
    rules = """groups:
  - name: load
    rules:
      - {record: "load:limit", expr: "limit"}
      - {record: "load:share", expr: "load / on (instance) load:limit"}
      - alert: Busy
        expr: load:share * on (instance) group_left () load:limit > 0
        annotations: {summary: busy}
"""
    tests = """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: is busy
    interval: 30s
    input_series:
      - {series: 'load:share{instance="a"}', values: 1x9}
      - {series: 'limit{instance="a"}', values: 5x9}
    alert_rule_test:
      - eval_time: 2m
        alertname: Busy
        exp_alerts: [{exp_labels: {instance: a}, exp_annotations: {summary: busy}}]
"""
    (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
    (tmp_path / "rules.test.yaml").write_text(tests, encoding="utf-8")
    mutation = measured(tmp_path, Memory(None))
    # However it is matched nothing is recorded, and what is given is there all the same.
    assert not answers(mutation)["load:share", "grouping: on (instance) -> on ()"]


def test_an_alert_that_nobody_reads_is_not_compared_with_what_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def noted(scenario: Scenario, rules: RuleSet, place: Place, earlier: Rule, program: str) -> bool:
        compared.append(earlier.name)
        return yields_the_same(scenario, rules, place, earlier, program)

    monkeypatch.setattr(editions, "yields_the_same", noted)
    memory = Memory(folder / "memory.sqlite")
    measured(folder, memory)
    edit(folder, "load:percent > 50", "load:percent > 55")
    assert measured(folder, memory).remarks == ()
    assert compared == []
    edit(folder, "load:capped * 100", "100 * load:capped")
    measured(folder, memory)
    # Once in each test by each major, however much reads it.
    assert compared == ["load:percent"] * 4


def test_a_candidate_is_looked_at_when_it_says(folder: Path) -> None:
    scenario, _ = find_scenarios(folder)
    rules = rule_set(scenario.rule_files)
    (busy,) = (place for place, rule in rules.rules.items() if rule.alert == "Busy")
    # It never fires, and the test looks two minutes after the beginning alone.
    changed = replace(rules.rules[busy], expression="load:percent > 70")
    one = Candidate(
        Mutant(Operator.NUMBER, changed, "50", "70", "50 -> 70"), busy, frozenset({busy}), frozenset({busy})
    )
    candidates = [one, replace(one, at=120.0), replace(one, at=60.0)]
    assert run_trial(scenario, rules, candidates, "promtool").noticed == {0, 1}
    assert run_trial(scenario, rules, candidates, "promtool").by == {0: {busy: 120.0}, 1: {busy: 120.0}}


def test_what_is_looked_at_early_does_not_wait_for_what_is_looked_at_late(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[set[float]] = []

    def tried(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
        runs.append({max(at for at, _ in one.looks(scenario, rules)) for one in candidates})
        return run_trial(scenario, rules, candidates, program)

    monkeypatch.setattr(trying, "run_trial", tried)
    late = TESTS.replace("eval_time: 2m, alertname: Idle", "eval_time: 20m, alertname: Idle")
    assert late != TESTS
    (folder / "rules.test.yaml").write_text(late, encoding="utf-8")
    measured(folder, Memory(None))
    assert {frozenset(ends) for ends in runs if 1200.0 in ends} == {frozenset({1200.0})}
    assert any(1200.0 not in ends for ends in runs)
