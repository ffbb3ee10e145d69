"""Mutation with the real promtool: what a test notices and what it does not, once and from memory."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.cli.mutate import command
from stakewatch.rules.files import Rule
from stakewatch.rules.mutation import confirmation, trying
from stakewatch.rules.mutation.dependencies import Place, RuleSet
from stakewatch.rules.mutation.equivalents import load_equivalents
from stakewatch.rules.mutation.measurement import measure_mutation
from stakewatch.rules.mutation.memory import Memory
from stakewatch.rules.mutation.mutants import Operator
from stakewatch.rules.mutation.page import print_mutation_page
from stakewatch.rules.mutation.scoring import Mutation
from stakewatch.rules.mutation.trials import Candidate, Trial, fails, run_trial
from stakewatch.rules.scenarios import Scenario, find_scenarios

RULES = """groups:
  - name: load
    rules:
      - record: instance:load:ratio
        expr: load{job="node"} / 10
      - alert: LoadHigh
        expr: instance:load:ratio > 0.5
        for: 1m
        labels: {severity: warning}
        annotations: {summary: "Load is {{ $value }}"}
"""
TESTS = """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: fires and tells instances and jobs apart
    interval: 30s
    input_series:
      - {series: 'load{job="node", instance="a"}', values: '4x2 6x10'}
      - {series: 'load{job="other", instance="b"}', values: '9x20'}
    alert_rule_test:
      - {eval_time: 2m, alertname: LoadHigh}
      - eval_time: 2m30s
        alertname: LoadHigh
        exp_alerts:
          - exp_labels: {severity: warning, job: node, instance: a}
            exp_annotations: {summary: Load is 0.6}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "rules.test.yaml").write_text(TESTS, encoding="utf-8")
    return tmp_path


RECORDED = 'load{job="node"} / 10'
# Another value of a load below 4.1 of a job that is only in the first test; the same ones everywhere.
OTHER_BELOW = 'clamp_min(load{job="node"} / 10, 0.41)'
OTHERWISE_WRITTEN = 'load{job="node"} / (10)'

LEFT = {"comparison: > -> >=", "number: 0.5 -> 0.55", "number: 0.5 -> 0.45"}


def measured(folder: Path, memory: Memory | None = None) -> Mutation:
    path = folder / "mutation.yaml"
    return measure_mutation(
        folder / "rules.yaml",
        folder / "rules.test.yaml",
        memory=memory or Memory(None),
        equivalents=load_equivalents(path),
        equivalents_path=path,
    )


def survivors(mutation: Mutation) -> set[tuple[str, str]]:
    return {(one.rule.name, one.mutant.change) for one in mutation.survivors}


def test_what_survives_is_what_the_test_does_not_look_at(folder: Path) -> None:
    # No value is at the threshold or just beyond it.
    assert survivors(measured(folder)) == {("LoadHigh", change) for change in LEFT}


def test_a_step_of_for_is_that_of_the_finest_test(folder: Path) -> None:
    (folder / "slow.test.yaml").write_text(
        TESTS.replace("evaluation_interval: 30s", "evaluation_interval: 30m")
    )
    mutation = measure_mutation(folder / "rules.yaml", folder, memory=Memory(None))
    changes = {one.mutant.change for one in mutation.outcomes if one.mutant.operator is Operator.FOR}
    assert {"for: 1m -> 30s", "for: 1m -> 1m30s"} <= changes


def test_a_recording_rule_is_judged_by_the_alerts_that_read_it(folder: Path) -> None:
    mutation = measured(folder)
    of_record = [one for one in mutation.outcomes if one.rule.record is not None]
    assert {one.mutant.operator for one in of_record} == {Operator.NUMBER, Operator.MATCHER}
    assert all(one.killed for one in of_record)


def test_a_value_in_an_annotation_kills_what_labels_do_not_show(folder: Path) -> None:
    change = ("instance:load:ratio", "number: 10 -> 11")
    assert change not in survivors(measured(folder))
    (folder / "rules.yaml").write_text(RULES.replace("{{ $value }}", "0.6"), encoding="utf-8")
    assert change in survivors(measured(folder))


def test_a_test_is_run_on_a_mutant_alone_only_where_a_text_may_show_another_value(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[str] = []

    def counted(scenario: Scenario, place: Place, changed: Rule, program: str) -> bool:
        alone.append(changed.expression)
        return fails(scenario, place, changed, program)

    monkeypatch.setattr(confirmation, "fails", counted)
    before = measured(folder)
    assert {one.mutant.rule.expression for one in before.survivors}.isdisjoint(alone)
    assert alone
    assert len(alone) < len(before.outcomes) / 2
    # What goes on firing after its expression has ended shows a value of then, which nobody can ask for.
    (folder / "rules.yaml").write_text(
        RULES.replace("for: 1m", "for: 1m\n        keep_firing_for: 1m"), encoding="utf-8"
    )
    alone.clear()
    assert {one.mutant.rule.expression for one in measured(folder).survivors} <= set(alone)


@pytest.mark.parametrize("value", ["0.6", "6e-1", "0.60"])
@pytest.mark.parametrize("program", ["promtool", "promtool2"])
def test_a_test_that_asserts_values_passes_on_rules_that_are_not_changed(
    folder: Path, value: str, program: str
) -> None:
    asserted = (
        "    promql_expr_test:\n"
        "      - eval_time: 2m\n"
        "        expr: instance:load:ratio / (instance:load:ratio - 0.6)\n"
        '        exp_samples: [{labels: \'{job="node", instance="a"}\', value: +Inf}]\n'
        "      - eval_time: 2m\n"
        "        expr: instance:load:ratio\n"
        "        exp_samples:\n"
        '          - labels: \'instance:load:ratio{job="node", instance="a"}\'\n'
        f"            value: {value}\n"
    )
    (folder / "rules.test.yaml").write_text(TESTS + asserted.replace("+Inf", "+.inf"), encoding="utf-8")
    (scenario,) = find_scenarios(folder / "rules.test.yaml")
    (rule_file,) = scenario.rule_files
    place = (rule_file.path, 0)
    assert not fails(scenario, place, rule_file.rules[0], program)
    assert fails(scenario, place, replace(rule_file.rules[0], expression='load{job="node"} / 9'), program)


def test_a_second_run_asks_nothing_and_an_edit_only_what_it_touches(folder: Path) -> None:
    path = folder / "memory.sqlite"
    first = measured(folder, Memory(path))
    second = measured(folder, Memory(path))
    assert first.asked > 0
    assert (second.asked, survivors(second)) == (0, survivors(first))
    more = RULES + "      - {alert: Idle, expr: 'load < 1'}\n"
    (folder / "rules.yaml").write_text(more, encoding="utf-8")
    third = measured(folder, Memory(path))
    of_idle = [one for one in third.outcomes if one.rule.name == "Idle"]
    # Nobody looks at the new alert, so there is nothing to ask about it, nor anew about the others.
    assert (third.asked, len(of_idle) > 0) == (0, True)
    assert ("Idle", "comparison: < -> >") in survivors(third)


TWO_RULES = (
    RULES
    + """      - alert: Idle
        expr: load{job="idle"} < 1
        annotations: {summary: nothing to do}
"""
)
TWO_TESTS = (
    TESTS
    + """  - name: is idle
    interval: 30s
    input_series: [{series: 'load{job="idle"}', values: '0x9'}]
    alert_rule_test:
      - {eval_time: 1m, alertname: LoadHigh}
      - eval_time: 1m
        alertname: Idle
        exp_alerts: [{exp_labels: {job: idle}, exp_annotations: {summary: nothing to do}}]
"""
)


def test_after_an_edit_only_what_looks_at_it_is_run_as_it_is(folder: Path, runs: list[str]) -> None:
    rules, tests = folder / "rules.yaml", folder / "rules.test.yaml"
    rules.write_text(TWO_RULES, encoding="utf-8")
    tests.write_text(TWO_TESTS, encoding="utf-8")
    memory = Memory(folder / "memory.sqlite")
    measured(folder, memory)
    assert runs == ["all", "all"]
    runs.clear()
    # A text is compared by promtool too. What fails is run once more as a person would, for what it says.
    rules.write_text(TWO_RULES.replace("nothing to do", "nothing to do here"), encoding="utf-8")
    wrong = measured(folder, memory)
    assert [remark.message.split(" does not count")[0] for remark in wrong.remarks] == ["the test is idle"]
    assert sorted(runs) == ["Idle", "Idle", "all", "all", "all"]
    runs.clear()
    # That it fails is remembered; it is run for what it says alone.
    assert measured(folder, memory).remarks == wrong.remarks
    assert runs == ["all"]
    runs.clear()
    tests.write_text(TWO_TESTS.replace("nothing to do", "nothing to do here"), encoding="utf-8")
    assert measured(folder, memory).remarks == ()
    assert runs == ["Idle", "Idle"]
    runs.clear()
    # The record decides about the other alert alone, and is not there in the other test.
    rules.write_text(rules.read_text().replace(RECORDED, OTHER_BELOW), encoding="utf-8")
    assert measured(folder, memory).remarks == ()
    assert runs == ["LoadHigh,LoadHigh"] * 2
    runs.clear()
    rules.write_text(rules.read_text().replace(OTHER_BELOW, OTHERWISE_WRITTEN), encoding="utf-8")
    assert measured(folder, memory).remarks == ()
    assert runs == []
    rules.write_text(rules.read_text().replace(OTHERWISE_WRITTEN, f"{RECORDED}0"), encoding="utf-8")
    assert len(measured(folder, memory).remarks) == 1
    assert sorted(runs) == ["LoadHigh,LoadHigh"] * 2 + ["all"] * 3


def test_after_an_edit_the_test_that_noticed_before_is_asked_first(folder: Path) -> None:
    for number in range(4):
        silent = TESTS.split("      - eval_time: 2m30s", maxsplit=1)[0].replace("4x2 6x10", f"{number}x20")
        (folder / f"{number}.test.yaml").write_text(silent, encoding="utf-8")
    memory = Memory(folder / "memory.sqlite")
    first = measure_mutation(folder / "rules.yaml", folder, memory=memory)
    edited = RULES.replace("ratio > 0.5", "ratio > (0.5)")
    (folder / "rules.yaml").write_text(edited, encoding="utf-8")
    second = measure_mutation(folder / "rules.yaml", folder, memory=memory)
    third = measure_mutation(folder / "rules.yaml", folder, memory=Memory(None))
    assert survivors(first) == survivors(second) == survivors(third)
    assert 0 < second.asked < third.asked


def test_after_an_edit_what_a_test_noticed_alone_is_asked_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
        asked.extend(one.mutant.change for one in candidates)
        return run_trial(scenario, rules, candidates, program)

    monkeypatch.setattr(trying, "run_trial", noted)
    memory = Memory(folder / "memory.sqlite")
    first = measured(folder, memory)
    # The alert fires as it did, its text shows another value.
    assert "number: 10 -> 11" in asked
    asked.clear()
    (folder / "rules.yaml").write_text(RULES.replace(RECORDED, OTHER_BELOW), encoding="utf-8")
    second = measured(folder, memory)
    assert "number: 10 -> 11" not in asked
    assert "comparison: > -> <" in asked
    assert survivors(first) <= survivors(second)
    third = measured(folder, memory)
    assert (third.asked, survivors(third)) == (0, survivors(second))
    # What is noticed no more is asked of all, as if nobody ever had.
    (folder / "rules.yaml").write_text(RULES.replace("{{ $value }}", "0.6"), encoding="utf-8")
    assert ("instance:load:ratio", "number: 10 -> 11") in survivors(measured(folder, memory))


def test_values_that_a_file_compares_loosely_are_so_compared_for_a_mutant(folder: Path) -> None:
    loosely = (
        "fuzzy_compare: true\n"
        + TESTS
        + "    promql_expr_test:\n"
        + "      - eval_time: 2m\n"
        + "        expr: instance:load:ratio\n"
        + "        exp_samples:\n"
        + '          - labels: \'instance:load:ratio{job="node", instance="a"}\'\n'
        + "            value: 0.6000000000000001\n"
    )
    (folder / "rules.test.yaml").write_text(loosely, encoding="utf-8")
    (scenario,) = find_scenarios(folder / "rules.test.yaml")
    (rule_file,) = scenario.rule_files
    assert not fails(scenario, (rule_file.path, 0), rule_file.rules[0], "promtool")
    assert measured(folder).remarks == ()


def test_tests_that_load_no_file_with_a_mutant_are_not_run(folder: Path) -> None:
    (folder / "other.yaml").write_text(RULES.replace("LoadHigh", "Other"), encoding="utf-8")
    (folder / "other.test.yaml").write_text(
        TESTS.replace("rules.yaml", "other.yaml").replace("LoadHigh", "Wrong"), encoding="utf-8"
    )
    changed = measure_mutation(
        folder, folder, memory=Memory(None), only=lambda rule_file, _: rule_file.path.name == "rules.yaml"
    )
    assert (changed.tests, changed.remarks) == (1, ())
    nothing = measure_mutation(folder, folder, memory=Memory(None), only=lambda _file, _rule: False)
    assert (nothing.tests, nothing.outcomes, nothing.asked) == (0, (), 0)


def test_an_equivalent_does_not_survive_and_a_stale_one_is_named(folder: Path) -> None:
    (folder / "mutation.yaml").write_text(
        "equivalents:\n"
        "  - {rule: LoadHigh, change: 'comparison: > -> >=', reason: loads are never whole}\n"
        "  - {rule: LoadHigh, change: 'comparison: > -> <', reason: wrong}\n"
        "  - {rule: LoadHigh, change: 'number: 7 -> 8', reason: gone}\n"
        "  - {rule: Elsewhere, change: 'number: 7 -> 8', reason: of a rule that is not measured here}\n",
        encoding="utf-8",
    )
    mutation = measured(folder)
    assert survivors(mutation) == {("LoadHigh", change) for change in LEFT if "number" in change}
    messages = [remark.message for remark in mutation.remarks]
    assert len(messages) == 2
    assert "it is not equivalent" in messages[0]
    assert "has no mutant" in messages[1]


def test_a_test_that_fails_does_not_count(folder: Path) -> None:
    (folder / "rules.test.yaml").write_text(TESTS.replace("Load is 0.6", "wrong"), encoding="utf-8")
    mutation = measured(folder)
    assert "does not count" in mutation.remarks[0].message
    assert not any(one.killed for one in mutation.outcomes)


def test_a_range_at_the_edge_is_noticed_by_one_major_only(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "groups: [{name: a, rules: [{alert: Moved, expr: 'changes(x[1m]) > 0'}]}]", encoding="utf-8"
    )
    (tmp_path / "rules.test.yaml").write_text(
        """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: forgets a change
    interval: 30s
    input_series: [{series: x, values: '1 2 2 2 2 2 2'}]
    alert_rule_test: [{eval_time: 2m, alertname: Moved}]
""",
        encoding="utf-8",
    )
    (doubled,) = [one for one in measured(tmp_path).outcomes if one.mutant.change == "range: 1m -> 2m"]
    assert doubled.noticed == {"promtool2"}
    assert doubled.disagreed


def test_the_command_exits_with_1_below_the_score_and_shows_survivors_as_diffs(folder: Path) -> None:
    arguments = ["--rules", str(folder / "rules.yaml"), "--tests", str(folder), "--fresh"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 1
    assert "- instance:load:ratio > 0.5" in done.output
    assert "+ instance:load:ratio >= 0.5" in done.output
    assert "to kill it: a value exactly at the threshold" in done.output
    lenient = CliRunner().invoke(command, [*arguments, "--min-score", "40", "--json"])
    assert lenient.exit_code == 0
    data = json.loads(lenient.stdout)
    assert {one["change"] for one in data["mutants"] if not one["killed"]} == LEFT


def test_one_rule_alone_can_be_asked_for_and_a_wrong_name_is_an_error(folder: Path) -> None:
    arguments = ["--rules", str(folder / "rules.yaml"), "--tests", str(folder), "--fresh", "--json"]
    one = CliRunner().invoke(command, [*arguments, "--rule", "instance:load:ratio"])
    assert one.exit_code == 0
    assert {mutant["rule"] for mutant in json.loads(one.stdout)["mutants"]} == {"instance:load:ratio"}
    assert CliRunner().invoke(command, [*arguments, "--rule", "Wrong"]).exit_code != 0


def test_the_page_escapes_what_comes_from_rules(folder: Path) -> None:
    (folder / "rules.yaml").write_text(RULES.replace('job="node"', 'job=~"node|<script>"'), encoding="utf-8")
    page = print_mutation_page(measured(folder))
    assert "<script>" not in page
    assert "comparison: &gt; -&gt; &gt;=" in page
