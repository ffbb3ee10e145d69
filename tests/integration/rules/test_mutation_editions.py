"""Editions with the real promtool: what an edit of a rule changes, and that nothing else is asked anew."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from stakewatch.rules.files import Rule
from stakewatch.rules.mutation import confirmation, measurement, trying
from stakewatch.rules.mutation.dependencies import Place, RuleSet, rule_set
from stakewatch.rules.mutation.editions import yields_the_same
from stakewatch.rules.mutation.memory import Memory
from stakewatch.rules.mutation.trials import Candidate, Trial, fails, run_trial, run_value_trial
from stakewatch.rules.promtool import MAJORS
from stakewatch.rules.scenarios import Scenario, find_scenarios
from tests.integration.rules.editing import answers, edit, measured

RULES = """groups:
  - name: load
    rules:
      - record: load:percent
        expr: load * 100
      - record: load:capped
        expr: clamp_max(load:percent, 90)
        labels: {kind: capped}
      - record: load:is_odd
        expr: (load:capped - 40) / (load:capped - 40)
      - record: load:beyond
        expr: load:percent > 1000
      - alert: LoadHigh
        expr: load:capped > 50
        for: 1m
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.instance }} is busy"}
      - alert: LoadHighForLong
        expr: min_over_time(ALERTS{alertname="LoadHigh", alertstate="firing"}[1m]) == 1
        annotations: {summary: still busy}
      - alert: Unrelated
        expr: other > 3
        annotations: {summary: it is not about load}
"""
TESTS = """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: gets busy
    interval: 30s
    input_series:
      - {series: 'load{instance="a"}', values: '0.4x2 0.6x5 stale'}
      - {series: 'load{instance="b"}', values: '0.4x9'}
      - {series: 'other', values: '3x2 4x7'}
    alert_rule_test:
      - eval_time: 4m30s
        alertname: LoadHigh
      - eval_time: 2m
        alertname: LoadHigh
      - eval_time: 2m30s
        alertname: LoadHigh
        exp_alerts:
          - exp_labels: {severity: warning, kind: capped, instance: a}
            exp_annotations: {summary: a is busy}
      - eval_time: 3m30s
        alertname: LoadHighForLong
        exp_alerts:
          - exp_labels: {alertstate: firing, severity: warning, kind: capped, instance: a}
            exp_annotations: {summary: still busy}
      - eval_time: 2m
        alertname: Unrelated
        exp_alerts: [{exp_annotations: {summary: it is not about load}}]
      - {eval_time: 1m, alertname: Unrelated}
"""
ODD = "(load:capped - 40) / (load:capped - 40)"
CAPPED, HIGH = "clamp_max(load:percent, 90)", "load:capped > 50"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "rules.test.yaml").write_text(TESTS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the rules about whose mutants promtool was asked."""
    noted: set[str] = set()

    def tried(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
        noted.update(one.mutant.rule.name for one in candidates)
        return run_trial(scenario, rules, candidates, program)

    def valued(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
        noted.update(one.mutant.rule.name for one in candidates)
        return run_value_trial(scenario, rules, candidates, program)

    def alone(scenario: Scenario, place: Place, changed: Rule, program: str) -> bool:
        noted.add(changed.name)
        return fails(scenario, place, changed, program)

    monkeypatch.setattr(trying, "run_trial", tried)
    monkeypatch.setattr(confirmation, "run_value_trial", valued)
    monkeypatch.setattr(confirmation, "fails", alone)
    return noted


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (CAPPED, "clamp_max(load:percent, 80)", True),
        (CAPPED, "load:percent", True),
        # A series that ends is gone in both, one that is there for longer is not the same.
        (CAPPED, "last_over_time(load:percent[2m])", False),
        (CAPPED, "clamp_max(load:percent, 59)", False),
        (CAPPED, 'load:percent{instance="a"}', False),
        # The first step alone, and the last one alone.
        (CAPPED, "load:percent and on () vector(time()) > 0", False),
        (CAPPED, "load:percent and on () vector(time()) < 270", False),
        ("labels: {kind: capped}", "labels: {kind: other}", False),
        # At 40 neither is a number, and only then.
        (ODD, "(load:capped - 40) / abs(load:capped - 40)", True),
        (ODD, "load:capped * 0 / 0", False),
        ("load:percent > 1000", "load:percent > 2000", True),
        # What cannot be evaluated yields nothing either.
        ("load:percent > 1000", "load:percent * on () load:percent", False),
        (HIGH, "load:capped > 59", True),
        (HIGH, "load:capped >= 60", True),
        (HIGH, "load:capped >= 40", False),
        ("for: 1m", "for: 90s", False),
        ("for: 1m", "for: 60s", True),
        ("for: 1m", "keep_firing_for: 1m\n        for: 1m", False),
        ("severity: warning", "severity: critical", False),
    ],
)
@pytest.mark.parametrize("program", MAJORS)
def test_an_edit_makes_a_difference_to_a_test_or_none(
    folder: Path, before: str, after: str, *, same: bool, program: str
) -> None:
    (earlier,) = find_scenarios(folder)
    edit(folder, before, after)
    (scenario,) = find_scenarios(folder)
    rules, then = rule_set(scenario.rule_files), rule_set(earlier.rule_files)
    (place,) = (place for place, rule in rules.rules.items() if _said(rule) != _said(then.rules[place]))
    assert yields_the_same(scenario, rules, place, then.rules[place], program) is same
    assert yields_the_same(earlier, then, place, rules.rules[place], program) is same


def _said(rule: Rule) -> tuple[object, ...]:
    return rule.expression, rule.duration, rule.keep_firing_for, dict(rule.labels)


def test_after_an_edit_that_makes_no_difference_only_what_flows_through_it_is_asked(
    folder: Path, asked: set[str]
) -> None:
    memory = Memory(folder / "memory.sqlite")
    first = measured(folder, memory)
    assert first.remarks == ()
    assert asked == {"load:percent", "load:capped", "LoadHigh", "LoadHighForLong", "Unrelated"}
    asked.clear()
    edit(folder, CAPPED, "clamp_max(load:percent, 80)")
    second = measured(folder, Memory(folder / "memory.sqlite"))
    assert asked == {"load:percent", "load:capped"}
    assert answers(second) == answers(measured(folder, Memory(None)))
    asked.clear()
    # What was carried over is remembered, and so is what was asked before the edit.
    assert measured(folder, Memory(folder / "memory.sqlite")).asked == 0
    edit(folder, "clamp_max(load:percent, 80)", CAPPED)
    assert measured(folder, Memory(folder / "memory.sqlite")).asked == 0
    assert asked == set()


def test_what_reads_a_firing_alert_is_asked_only_where_it_fires_otherwise(
    folder: Path, asked: set[str]
) -> None:
    memory = Memory(folder / "memory.sqlite")
    measured(folder, memory)
    asked.clear()
    edit(folder, HIGH, "load:capped >= 60")
    second = measured(folder, memory)
    # The record below the alert has an effect that flows through it.
    assert asked == {"load:percent", "load:capped", "LoadHigh"}
    assert answers(second) == answers(measured(folder, Memory(None)))
    asked.clear()
    edit(folder, "severity: warning", "severity: critical")
    third = measured(folder, memory)
    assert len(third.remarks) == 1
    edit(folder, "severity: critical", "severity: warning")
    assert measured(folder, memory).asked == 0


def test_what_a_mutant_shows_only_since_the_edit_is_seen(folder: Path) -> None:
    # The cap hides it when the record yields ten times as much; without the cap a value would show it.
    text = RULES.replace("{{ $labels.instance }} is busy", "{{ $value }}")
    (folder / "rules.yaml").write_text(text.replace(CAPPED, "clamp_max(load:percent, 60)"), encoding="utf-8")
    test = folder / "rules.test.yaml"
    test.write_text(TESTS.replace("summary: a is busy", "summary: 60"), encoding="utf-8")
    change = ("load:percent", "number: 100 -> 110")
    memory = Memory(folder / "memory.sqlite")
    first = answers(measured(folder, memory))
    assert change in first
    edit(folder, "clamp_max(load:percent, 60)", "load:percent")
    second = answers(measured(folder, memory))
    assert (first[change], second[change]) == (False, True)
    assert second == answers(measured(folder, Memory(None)))


def test_a_run_that_is_stopped_loses_no_edition(
    folder: Path, asked: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(folder, Memory(folder / "memory.sqlite"))
    asked.clear()
    edit(folder, CAPPED, "clamp_max(load:percent, 80)")
    with monkeypatch.context() as patch:
        patch.setattr(measurement, "confirm", _stopped)
        with pytest.raises(KeyboardInterrupt):
            measured(folder, Memory(folder / "memory.sqlite"))
    measured(folder, Memory(folder / "memory.sqlite"))
    assert asked == {"load:percent", "load:capped"}


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_rule_that_read_another_record_before_the_edit_is_carried_over(
    folder: Path, asked: set[str], runs: list[str]
) -> None:
    text = RULES.replace("load:capped > 50", "load:capped > 50 and on (instance) load:is_odd")
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    memory = Memory(folder / "memory.sqlite")
    first = measured(folder, memory)
    assert "load:is_odd" in asked
    asked.clear()
    runs.clear()
    edit(folder, "load:capped > 50 and on (instance) load:is_odd", "load:capped > 50")
    second = measured(folder, memory)
    assert asked == {"load:percent", "load:capped", "LoadHigh"}
    assert runs == ["LoadHigh,LoadHigh,LoadHigh"] * 2
    assert first.remarks == second.remarks == ()
    assert answers(second) == answers(measured(folder, Memory(None)))


def test_what_a_mutant_flowed_through_only_before_the_edit_is_asked_anew(tmp_path: Path) -> None:
    rules = """groups:
  - name: load
    rules:
      - {record: "load:double", expr: load * 2}
      - {record: "load:single", expr: "load:double / 2"}
      - {alert: Uneven, expr: "load:double - 2 * load:single > 0", annotations: {summary: uneven}}
"""
    tests = """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: stays even
    interval: 30s
    input_series: [{series: load, values: 1x9}]
    alert_rule_test: [{eval_time: 2m, alertname: Uneven}]
"""
    (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
    (tmp_path / "rules.test.yaml").write_text(tests, encoding="utf-8")
    memory = Memory(tmp_path / "memory.sqlite")
    more = ("load:double", "number: 2 -> 3")
    # A half of it was just as wrong, so nobody saw.
    assert not answers(measured(tmp_path, memory))[more]
    edit(tmp_path, '"load:double / 2"', "load")
    second = answers(measured(tmp_path, memory))
    assert second[more]
    assert second == answers(measured(tmp_path, Memory(None)))


def test_what_a_mutant_shows_through_a_firing_alert_is_asked_anew(tmp_path: Path) -> None:
    rules = """groups:
  - name: load
    rules:
      - {record: "load:percent", expr: load * 100}
      - {alert: High, expr: "load:percent > 50", annotations: {summary: high}}
      - {alert: Reader, expr: 'ALERTS{alertname="High"} == 1', annotations: {summary: it is high}}
"""
    tests = """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: is quiet
    interval: 30s
    input_series: [{series: load, values: 0 0.48x9}]
    alert_rule_test: [{eval_time: 2m, alertname: Reader}]
    promql_expr_test:
      - {eval_time: 0s, expr: 'ALERTS{alertname="High"}', exp_samples: []}
"""
    (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
    (tmp_path / "rules.test.yaml").write_text(tests, encoding="utf-8")
    memory = Memory(tmp_path / "memory.sqlite")
    more = ("load:percent", "number: 100 -> 110")
    assert answers(measured(tmp_path, memory))[more]
    edit(tmp_path, "== 1", "== 2")
    assert not answers(measured(tmp_path, memory))[more]


def test_a_text_that_an_edit_adds_is_noticed_when_it_is_left_out(folder: Path) -> None:
    memory = Memory(folder / "memory.sqlite")
    measured(folder, memory)
    edit(folder, "{summary: still busy}", "{summary: still busy, more: '{{ $value }}'}")
    tests = folder / "rules.test.yaml"
    text = tests.read_text(encoding="utf-8")
    tests.write_text(
        text.replace("{summary: still busy}", '{summary: still busy, more: "1"}'), encoding="utf-8"
    )
    found = answers(measured(folder, memory))
    assert found["LoadHighForLong", "annotation more -> nothing"]
    assert found == answers(measured(folder, Memory(None)))
