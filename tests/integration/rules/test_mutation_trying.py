"""Trying with the real promtool: what a mutant has no effect on is not asked, who noticed before is first."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stakewatch.rules.mutation import trying
from stakewatch.rules.mutation.dependencies import RuleSet, rule_set
from stakewatch.rules.mutation.measurement import measure_mutation
from stakewatch.rules.mutation.memory import Memory
from stakewatch.rules.mutation.mutants import Mutant, Operator
from stakewatch.rules.mutation.scoring import Mutation
from stakewatch.rules.mutation.trials import Candidate, Trial, run_difference_trial, run_trial
from stakewatch.rules.promtool import MAJORS
from stakewatch.rules.scenarios import Scenario, find_scenarios

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

    def clear(self) -> None:
        self.same.clear()
        self.alerts.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    noted = Asked()

    def whether_same(
        scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str
    ) -> Trial:
        noted.same += [one.mutant.change for one in candidates]
        return run_difference_trial(scenario, rules, candidates, program)

    def tried(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
        noted.alerts += [
            (one.mutant.change, frozenset(rules.rules[place].name for place in one.telling))
            for one in candidates
        ]
        return run_trial(scenario, rules, candidates, program)

    monkeypatch.setattr(trying, "run_difference_trial", whether_same)
    monkeypatch.setattr(trying, "run_trial", tried)
    return noted


def measured(folder: Path, memory: Memory) -> Mutation:
    return measure_mutation(folder / "rules.yaml", folder, memory=memory)


def edit(folder: Path, before: str, after: str) -> None:
    text = (folder / "rules.yaml").read_text(encoding="utf-8")
    assert text.count(before) == 1
    (folder / "rules.yaml").write_text(text.replace(before, after), encoding="utf-8")


def answers(mutation: Mutation) -> dict[tuple[str, str], bool]:
    return {(one.rule.name, one.mutant.change): one.killed for one in mutation.outcomes}


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
    candidates = []
    for record, expression in changes:
        changed = replace(rules.rules[places[record]], expression=expression)
        mutant = Mutant(Operator.NUMBER, changed, "before", "after", "change")
        candidates.append(Candidate(mutant, places[record], frozenset(), frozenset()))
    trial = run_difference_trial(scenario, rules, candidates, program)
    assert (trial.problem, trial.noticed) == (None, frozenset({1, 3, 4, 6}))


def test_a_record_that_stays_the_same_is_not_tried_on_the_alerts(folder: Path, asked: Asked) -> None:
    memory = Memory(folder / "memory.sqlite")
    first = measured(folder, memory)
    same = "number: 0.9 -> 0.99"
    assert same in asked.same
    assert same not in {change for change, _ in asked.alerts}
    assert "number: 100 -> 110" in asked.same
    assert "number: 100 -> 110" in {change for change, _ in asked.alerts}
    assert not answers(first)["load:capped", same]
    asked.clear()
    # What reads the record has no say in what it is.
    edit(folder, "load:percent > 50", "load:percent > 40")
    second = measured(folder, memory)
    assert same not in asked.same
    assert asked.alerts
    assert answers(second) == answers(measured(folder, Memory(None)))


def test_the_alert_that_noticed_before_is_asked_alone(folder: Path, asked: Asked) -> None:
    memory = Memory(folder / "memory.sqlite")
    measured(folder, memory)
    more = "number: 100 -> 110"
    assert (more, frozenset({"Busy", "Idle", "Odd"})) in asked.alerts
    asked.clear()
    edit(folder, "load:percent > 50", "load:percent > (50)")
    second = measured(folder, memory)
    assert answers(second)["load:percent", more]
    assert [alerts for change, alerts in asked.alerts if change == more] == [{"Odd"}]
    asked.clear()
    assert measured(folder, memory).asked == 0
    # Where it notices no more, all others are asked.
    edit(folder, "load:percent > 40 < 45", "load:percent > 4000")
    (folder / "rules.test.yaml").write_text(TESTS.replace("0.05x6", "0.095x6"), encoding="utf-8")
    third = measured(folder, memory)
    assert next(alerts for change, alerts in asked.alerts if change == more) == {"Odd"}
    assert answers(third)["load:percent", more]
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
    # With other labels matched the record would still not be recorded, and what is given is there all the same.
    assert not answers(mutation)["load:share", "grouping: on (instance) -> on ()"]
