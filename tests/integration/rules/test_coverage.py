"""Coverage with the real promtool: a full suite, and the same with each case missing in turn."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from stakewatch.cli.coverage import command
from stakewatch.errors import InputError
from stakewatch.rules.coverage import Coverage, measure_coverage
from stakewatch.rules.files import load_rule_file, print_rule_file
from stakewatch.rules.promtool import run_unit_tests
from stakewatch.rules.twins import Case, twins

REPOSITORY = Path(__file__).parents[3]
RULES = """\
groups:
  - name: disks
    rules:
      - alert: DiskFull
        expr: used{kind="disk"} > 80 unless on (instance) maintenance == 1
        for: 2m
        labels: {severity: warning, text: "{{ $value }}"}
        annotations: {summary: "{{ $labels.instance }} is full"}
"""
FULL = "disk-1"
QUIET = "disk-2"


def used(instance: str, values: str, kind: str = "disk") -> dict[str, str]:
    return {"series": f'used{{kind="{kind}", instance="{instance}"}}', "values": values}


def looks(at: str, *firing: tuple[str, int], alert: str = "DiskFull") -> dict[str, Any]:
    return {
        "eval_time": at,
        "alertname": alert,
        "exp_alerts": [
            {
                "exp_labels": {
                    "severity": "warning",
                    "kind": "disk",
                    "instance": instance,
                    "text": str(value),
                },
                "exp_annotations": {"summary": f"{instance} is full"},
            }
            for instance, value in firing
        ],
    }


def test_of(name: str, series: list[dict[str, str]], *assertions: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "interval": "30s", "input_series": series, "alert_rule_test": list(assertions)}


test_of.__test__ = False  # type: ignore[attr-defined] # it makes a test of promtool and is none of pytest

EXACT = test_of("at", [used(FULL, "80x20")], looks("5m"))
AT_FOR = test_of("for", [used(FULL, "81x20")], looks("2m", (FULL, 81)))
BEFORE = test_of("before", [used(FULL, "81x20")], looks("1m30s"))
DECOY = test_of("decoy", [used(FULL, "99x20", "memory")], looks("5m"))
TWO = test_of("two", [used(FULL, "81x20"), used(QUIET, "79x20")], looks("5m", (FULL, 81)))
CARED_FOR = test_of(
    "cared for",
    [used(FULL, "81x20"), {"series": f'maintenance{{instance="{FULL}"}}', "values": "1x20"}],
    looks("5m"),
)
OF_CASE = {
    Case.FIRES: AT_FOR,
    Case.BEFORE: BEFORE,
    Case.THRESHOLD: EXACT,
    Case.DECOY: DECOY,
    Case.INSTANCES: TWO,
    Case.BRANCHES: CARED_FOR,
}


def written(folder: Path, tests: list[dict[str, Any]], rules: str = RULES, **more: object) -> Path:
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    content = {"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": tests, **more}
    (folder / "suite.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def measured(folder: Path) -> Coverage:
    return measure_coverage(folder, folder)


def missing(coverage: Coverage) -> list[Case]:
    return [verdict.point.case for alert in coverage.alerts for verdict in alert.missing]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


def test_every_case_of_our_own_alerts_is_proved() -> None:
    coverage = measure_coverage(REPOSITORY / "rules", REPOSITORY / "tests" / "rules")
    assert coverage.complete, [(alert.name, alert.missing) for alert in coverage.alerts] + [*coverage.remarks]
    assert len(coverage.alerts) >= 9


def test_a_suite_with_every_case_is_complete(tmp_path: Path) -> None:
    coverage = measured(written(tmp_path, list(OF_CASE.values())))
    assert missing(coverage) == []
    assert coverage.complete
    assert coverage.percent == 100
    (alert,) = coverage.alerts
    assert (alert.name, alert.line, alert.tests) == ("DiskFull", 4, 6)
    proofs = {verdict.point.case: verdict.proof for verdict in alert.verdicts}
    assert proofs[Case.BEFORE] == "before"
    assert proofs[Case.THRESHOLD] == "at"
    assert proofs[Case.DECOY] == "decoy"


@pytest.mark.parametrize("case", list(Case))
def test_the_case_that_is_taken_out_is_missing(tmp_path: Path, case: Case) -> None:
    coverage = measured(written(tmp_path, [test for of, test in OF_CASE.items() if of is not case]))
    assert missing(coverage) == [case]
    assert not coverage.complete


@pytest.mark.parametrize("left_out", [None, *Case])
def test_a_twin_in_the_place_of_the_alert_fails_the_suite_where_its_point_is_proved(
    tmp_path: Path, left_out: Case | None
) -> None:
    folder = written(tmp_path, [test for case, test in OF_CASE.items() if case is not left_out])
    proved = {one.point: one.proved for alert in measured(folder).alerts for one in alert.verdicts}
    rule_file = load_rule_file(folder / "rules.yaml")
    (group,) = rule_file.groups
    (rule,) = group.rules
    noticed = {}
    for twin in twins(rule, 30):
        if twin.point is not None:
            changed = replace(group, rules=(replace(twin.rule, annotations=rule.annotations),))
            (folder / "rules.yaml").write_text(print_rule_file([changed]), encoding="utf-8")
            noticed[twin.point] = not run_unit_tests(folder / "suite.yaml").passed
    assert len(noticed) == 5
    assert noticed == {point: proved[point] for point in noticed}


def test_an_alert_that_no_test_names_has_nothing_proved(tmp_path: Path) -> None:
    coverage = measured(written(tmp_path, [test_of("other", [used(FULL, "81x20")], looks("5m", alert="X"))]))
    (alert,) = coverage.alerts
    assert alert.tests == 0
    assert coverage.proved == 0
    assert coverage.percent == 0


def test_a_value_that_only_just_reached_the_threshold_proves_nothing(tmp_path: Path) -> None:
    young = test_of("young", [used(FULL, "79x9 80x5")], looks("5m"))
    coverage = measured(written(tmp_path, [young, *(test for test in OF_CASE.values() if test is not EXACT)]))
    assert missing(coverage) == [Case.THRESHOLD]


def test_a_decoy_that_would_not_fire_proves_nothing(tmp_path: Path) -> None:
    harmless = test_of("harmless", [used(FULL, "10x20", "memory")], looks("5m"))
    coverage = measured(
        written(tmp_path, [harmless, *(test for test in OF_CASE.values() if test is not DECOY)])
    )
    assert missing(coverage) == [Case.DECOY]


def test_two_instances_that_are_there_at_different_times_prove_nothing(tmp_path: Path) -> None:
    later = test_of("later", [used(FULL, "81x9 stale"), used(QUIET, "_x10 79x9")], looks("4m", (FULL, 81)))
    coverage = measured(written(tmp_path, [later, *(test for test in OF_CASE.values() if test is not TWO)]))
    assert missing(coverage) == [Case.INSTANCES]


def test_two_instances_that_both_fire_are_told_apart(tmp_path: Path) -> None:
    both = test_of("both", [used(FULL, "81x20"), used(QUIET, "82x20")], looks("5m", (FULL, 81), (QUIET, 82)))
    coverage = measured(written(tmp_path, [both, *(test for test in OF_CASE.values() if test is not TWO)]))
    assert missing(coverage) == []


def test_a_threshold_that_is_part_of_the_range_is_proved_by_firing(tmp_path: Path) -> None:
    rules = RULES.replace("> 80", ">= 80")
    fires = test_of("at", [used(FULL, "80x20")], looks("5m", (FULL, 80)))
    coverage = measured(
        written(tmp_path, [fires, *(test for test in OF_CASE.values() if test is not EXACT)], rules)
    )
    assert missing(coverage) == []


def test_a_failing_test_does_not_count_and_is_told(tmp_path: Path) -> None:
    wrong = {**EXACT, "alert_rule_test": [*EXACT["alert_rule_test"], looks("6m", (FULL, 80))]}
    coverage = measured(written(tmp_path, [wrong, *(test for test in OF_CASE.values() if test is not EXACT)]))
    assert missing(coverage) == [Case.THRESHOLD]
    (remark,) = coverage.remarks
    assert "the test at does not count: DiskFull at 6m" in remark.message


def test_a_failure_without_a_test_makes_all_of_its_file_suspect(tmp_path: Path) -> None:
    broken = {
        "name": "expression",
        "interval": "30s",
        "promql_expr_test": [{"expr": "1", "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": 2}]}],
    }
    coverage = measured(written(tmp_path, [*OF_CASE.values(), broken]))
    assert coverage.proved == 0
    assert len(coverage.remarks) == 7


def test_tests_that_only_the_older_promtool_passes_are_run_with_it(tmp_path: Path) -> None:
    # Prometheus 2 counts the sample on the left edge of a range, Prometheus 3 does not.
    rules = "groups: [{name: g, rules: [{alert: A, expr: 'sum(count_over_time(a[1m])) >= 3'}]}]\n"
    fires = {"eval_time": "5m", "alertname": "A", "exp_alerts": [{}]}
    test = test_of("edge", [{"series": "a", "values": "1x20"}], fires)
    coverage = measured(written(tmp_path, [test], rules))
    assert coverage.complete
    assert [version.split(".")[0] for version in coverage.versions] == ["2"]


@pytest.mark.parametrize("duration", ["", ", for: 0s"])
def test_without_for_it_fires_where_it_fires(tmp_path: Path, duration: str) -> None:
    rules = f"groups: [{{name: g, rules: [{{alert: A, expr: vector(1){duration}}}]}}]\n"
    late = {"eval_time": "5m", "alertname": "A", "exp_alerts": [{}]}
    assert measured(written(tmp_path, [test_of("a", [], late)], rules)).complete


def test_a_twin_that_cannot_be_evaluated_is_noticed(tmp_path: Path) -> None:
    rules = """\
groups:
  - name: g
    rules:
      - alert: A
        expr: a * on (x) b{kind="real"} == 0
"""
    series = [
        {"series": 'a{x="1"}', "values": "0x5"},
        {"series": 'b{x="1", kind="real"}', "values": "1x5"},
        {"series": 'b{x="1", kind="decoy"}', "values": "1x5"},
    ]
    fires = {"eval_time": "1m", "alertname": "A", "exp_alerts": [{"exp_labels": {"x": "1"}}]}
    coverage = measured(written(tmp_path, [test_of("a", series, fires)], rules))
    assert missing(coverage) == [Case.INSTANCES]


def test_two_alerts_of_one_name_are_judged_one_by_one(tmp_path: Path) -> None:
    rules = """\
groups:
  - name: g
    rules:
      - {alert: A, expr: a > 5, labels: {severity: warning}}
      - {alert: A, expr: a > 9, labels: {severity: critical}}
"""
    warning = {"exp_labels": {"severity": "warning"}}
    at_9 = {"eval_time": "1m", "alertname": "A", "exp_alerts": [warning]}
    coverage = measured(written(tmp_path, [test_of("nine", [{"series": "a", "values": "9x9"}], at_9)], rules))
    assert [[one.point.case for one in alert.missing] for alert in coverage.alerts] == [
        [Case.THRESHOLD, Case.INSTANCES],
        [Case.FIRES, Case.INSTANCES],
    ]


def test_an_alert_on_alerts_counts_no_twins(tmp_path: Path) -> None:
    rules = """\
groups:
  - name: g
    rules:
      - {alert: A, expr: a == 0}
      - {alert: Many, expr: 'count(ALERTS{alertname="A"}) >= 2'}
"""
    alone = {"eval_time": "5m", "alertname": "Many"}
    two = {"eval_time": "5m", "alertname": "Many", "exp_alerts": [{}]}
    one_series = [{"series": 'a{x="1"}', "values": "0x20"}]
    two_series = [*one_series, {"series": 'a{x="2"}', "values": "0x20"}]
    tests = [test_of("one", one_series, alone), test_of("two", two_series, two)]
    coverage = measured(written(tmp_path, tests, rules))
    many = coverage.alerts[1]
    assert {verdict.point.case: verdict.proved for verdict in many.verdicts} == {
        Case.FIRES: True,
        Case.THRESHOLD: True,
        Case.DECOY: False,
    }


def test_a_group_that_reads_another_is_evaluated_after_it(tmp_path: Path) -> None:
    rules = """\
groups:
  - {name: alerts, rules: [{alert: A, expr: doubled > 4}]}
  - {name: records, rules: [{record: doubled, expr: sum(a) * 2}]}
"""
    at = {"eval_time": "0s", "alertname": "A"}
    above = {"eval_time": "30s", "alertname": "A", "exp_alerts": [{}]}
    tests = [test_of("a", [{"series": "a", "values": "2 3"}], at, above)]
    coverage = measured(written(tmp_path, tests, rules, group_eval_order=["records", "alerts"]))
    assert coverage.complete


def test_a_broken_expression_is_an_error_with_its_place(tmp_path: Path) -> None:
    written(tmp_path, [EXACT], RULES.replace("> 80", ">"))
    with pytest.raises(InputError) as caught:
        measured(tmp_path)
    assert caught.value.where == f"{tmp_path / 'rules.yaml'}:4"


def test_rules_without_alerts_are_an_error(tmp_path: Path) -> None:
    written(tmp_path, [EXACT], "groups: [{name: g, rules: [{record: a, expr: b}]}]\n")
    with pytest.raises(InputError, match="no alerts"):
        measured(tmp_path)


def test_the_command_shows_marks_and_what_is_missing_and_exits_1(tmp_path: Path) -> None:
    written(tmp_path, [test for test in OF_CASE.values() if test is not DECOY])
    result = run("--rules", tmp_path / "rules.yaml", "--tests", tmp_path / "suite.yaml")
    assert result.exit_code == 1
    assert "No test proves that a matcher keeps a decoy out: add a series that this matcher" in result.output
    assert 'rules.yaml:4: DiskFull: kind="disk"' in result.output
    assert "1 alerts, 5 tests: 5 of 6 points proved, 83.3 %" in result.output


def test_the_command_prints_json_and_exits_0_when_all_is_proved(tmp_path: Path) -> None:
    folder = written(tmp_path, list(OF_CASE.values()))
    result = run("--rules", folder, "--tests", folder, "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert (data["percent"], data["points"], data["complete"]) == (100, 6, True)
    (threshold,) = [one for one in data["alerts"][0]["points"] if one["case"] == "threshold"]
    assert threshold["of"] == 'used{kind="disk"} > 80'
    assert threshold["by"] == "at"


def test_the_page_is_written_beside_the_table(tmp_path: Path) -> None:
    folder = written(tmp_path, [test for test in OF_CASE.values() if test is not EXACT])
    page = tmp_path / "coverage.html"
    result = run("--rules", folder, "--tests", folder, "--html", page)
    assert "5 of 6 points proved" in result.output
    assert '<mark class="missing" title="threshold: no test proves' in page.read_text(encoding="utf-8")


def test_the_report_is_written_for_a_bundle_and_held_to_100(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "tests" / "rules").mkdir(parents=True)
    (tmp_path / "rules" / "disks.yaml").write_text(RULES, encoding="utf-8")
    content = {"rule_files": ["../../rules/disks.yaml"], "evaluation_interval": "30s", "tests": [AT_FOR]}
    (tmp_path / "tests" / "rules" / "disks.test.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    result = run("--bundle", tmp_path, "--report")
    assert result.exit_code == 1
    report = json.loads((tmp_path / "build" / "reports" / "coverage.json").read_text(encoding="utf-8"))
    (percent,) = [figure for figure in report["figures"] if figure["name"] == "percent"]
    assert (percent["bar"], percent["holds"]) == ("== 100", False)
    assert percent["value"] == pytest.approx(100 / 6)


def test_the_report_is_only_about_a_bundle(tmp_path: Path) -> None:
    assert run("--report", "--rules", tmp_path, "--tests", tmp_path).exit_code == 2
