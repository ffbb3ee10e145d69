"""What a test asserts of recorded values is held against copies of the rules, for many mutants at once."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from stakewatch.rules.files import Rule
from stakewatch.rules.mutation import confirmation, trying
from stakewatch.rules.mutation.dependencies import Place, RuleSet, rule_set
from stakewatch.rules.mutation.memory import Memory
from stakewatch.rules.mutation.trials import Candidate, Trial, fails, run_difference_trial, run_trial
from stakewatch.rules.promtool import MAJORS
from stakewatch.rules.scenarios import Scenario, find_scenarios
from tests.integration.rules.editing import answers, edit, measured

RULES = """groups:
  - name: load
    rules:
      - {record: "load:percent", expr: 'load{job="node"} * 100'}
      - {record: "load:worst", expr: "max by (instance) (load:percent)"}
      - {record: "load:often", expr: "count_over_time(load:worst[1m])"}
"""
TESTS = """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: the worst of each is recorded
    interval: 30s
    input_series:
      - {series: 'load{job="node", instance="a"}', values: 0.5 0.7x5}
      - {series: 'load{job="node", instance="b"}', values: 0.25x6}
      - {series: 'load{job="other", instance="c"}', values: 1x6}
    promql_expr_test:
      - eval_time: 2m
        expr: load:percent
        exp_samples:
          - {labels: 'load:percent{job="node", instance="a"}', value: 70}
          - {labels: 'load:percent{job="node", instance="b"}', value: 25}
      - eval_time: 1m10s
        expr: load:worst - load:worst offset 1m
        exp_samples: [{labels: '{instance="a"}', value: 20}, {labels: '{instance="b"}', value: 0}]
  - name: it is counted
    interval: 30s
    input_series: [{series: 'load{job="node", instance="a"}', values: 1x6}]
    promql_expr_test:
      - {eval_time: 2m, expr: 'load:often', exp_samples: [{labels: 'load:often{instance="a"}', value: EDGE}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    # The count is another under Prometheus 2, so there the file does not pass, and only the newer is asked.
    (tmp_path / "rules.test.yaml").write_text(TESTS.replace("EDGE", "2"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the expressions of which a test was run alone."""
    noted: list[str] = []

    def run_alone(scenario: Scenario, place: Place, changed: Rule, program: str) -> bool:
        noted.append(changed.expression)
        return fails(scenario, place, changed, program)

    monkeypatch.setattr(confirmation, "fails", run_alone)
    return noted


def test_copies_tell_what_a_run_of_each_mutant_alone_tells(folder: Path, alone: list[str]) -> None:
    mutation = measured(folder, Memory(None))
    assert alone == []
    scenarios = find_scenarios(folder)
    places = {rule.name: place for place, rule in rule_set(scenarios[0].rule_files).rules.items()}
    alike = {
        (one.rule.name, one.mutant.change): any(
            fails(scenario, places[one.rule.name], one.mutant.rule, "promtool") for scenario in scenarios
        )
        for one in mutation.outcomes
    }
    assert answers(mutation) == alike
    assert {True, False} == set(alike.values())
    assert alike["load:worst", "aggregation: max -> min"] is False
    assert alike["load:percent", 'matcher: job="node" -> nothing']


@pytest.mark.parametrize("program", MAJORS)
def test_an_asserted_value_is_otherwise_at_its_own_time(folder: Path, program: str) -> None:
    scenario, _ = find_scenarios(folder)
    rules = rule_set(scenario.rule_files)
    percent, worst, _ = rules.rules
    at = {text: time for time, text in scenario.asserted}
    mutation = measured(folder, Memory(None))
    candidates = [
        Candidate(one.mutant, percent, frozenset({percent, worst}), frozenset(), frozenset(scenario.asserted))
        for one in mutation.outcomes
        if one.mutant.change in {"number: 100 -> 110", 'matcher: job="node" -> nothing'}
    ]
    trial = run_trial(scenario, rules, candidates, program)
    assert set(at.values()) == {120.0, 70.0}
    assert {frozenset(by.items()) for by in trial.by.values()} == {frozenset(at.items())}


@pytest.mark.parametrize(
    "expression", ['{__name__=~"load:worst|nothing"}', '{__name__!="load", instance="a"}']
)
def test_what_selects_without_a_name_is_run_alone(folder: Path, alone: list[str], expression: str) -> None:
    tests = f"""rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: what there is
    interval: 30s
    input_series: [{{series: 'load{{job="node", instance="b"}}', values: 1x6}}]
    promql_expr_test: [{{eval_time: 1m, expr: 'count({expression} > 100)', exp_samples: []}}]
"""
    (folder / "rules.test.yaml").write_text(tests, encoding="utf-8")
    mutation = measured(folder, Memory(None))
    assert 'load{job="node"} * 110' in alone
    assert answers(mutation)["load:percent", "number: 100 -> 110"] is ("worst" in expression)


def test_the_assertion_that_noticed_before_is_asked_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, frozenset[tuple[float, str]], float | None]] = []

    def tried(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
        asked.extend((one.mutant.change, one.asserted, one.at) for one in candidates)
        return run_trial(scenario, rules, candidates, program)

    monkeypatch.setattr(trying, "run_trial", tried)
    memory = Memory(folder / "memory.sqlite")
    more = "number: 100 -> 110"
    first = measured(folder, memory)
    assert max(len(asserted) for change, asserted, _ in asked if change == more) == 2
    asked.clear()
    edit(folder, "* 100", "* (100)")
    second = measured(folder, memory)
    (_, asserted, at), *others = [one for one in asked if one[0] == more]
    assert asserted == {(at, "load:worst - load:worst offset 1m")}
    assert others == []
    assert answers(second) == answers(first)
    assert measured(folder, memory).asked == 0
    # What is asserted otherwise is another question.
    tests = folder / "rules.test.yaml"
    tests.write_text(tests.read_text().replace("expr: load:percent\n", "expr: load:percent + 0\n"))
    tests.write_text(tests.read_text().replace("'load:percent{", "'{"))
    asked.clear()
    assert answers(measured(folder, memory)) == answers(first)
    assert asked


def test_what_survived_is_first_asked_whether_it_records_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def whether_same(
        scenario: Scenario, rules: RuleSet, changed: Sequence[tuple[Place, Rule]], program: str
    ) -> Trial:
        compared.extend(rule.expression for _, rule in changed)
        return run_difference_trial(scenario, rules, changed, program)

    monkeypatch.setattr(trying, "run_difference_trial", whether_same)
    memory = Memory(folder / "memory.sqlite")
    first = answers(measured(folder, memory))
    survivor = ("load:worst", "aggregation: max -> min")
    # Last of all, so that nobody asks again when what reads it is edited.
    assert not first[survivor]
    assert set(compared) >= {"min by (instance) (load:percent)"}
    assert 'load{job="node"} * 110' not in compared
    compared.clear()
    edit(folder, "count_over_time(load:worst[1m])", "count_over_time(load:worst[60s])")
    assert answers(measured(folder, memory)).items() >= {survivor: False}.items()
    assert "min by (instance) (load:percent)" not in compared
    edit(folder, "max by (instance)", "max by (instance )")
    assert not answers(measured(folder, memory))[survivor]
    assert "min by (instance ) (load:percent)" in compared
