"""Scenarios are read as written, and samples from what promtool prints."""

from pathlib import Path

import pytest

from stakewatch.errors import InputError
from stakewatch.rules.questions import parse_samples
from stakewatch.rules.scenarios import find_rule_files, find_scenarios

RULES = "groups: [{name: g, rules: [{alert: A, expr: a > 1}, {record: r, expr: a}]}]\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_scalars_stay_the_text_that_was_written(tmp_path: Path) -> None:
    written(tmp_path, "rules.yaml", RULES)
    test = """\
rule_files: [rules.yaml]
tests:
  - external_labels: {a: 1_000, b: no, c: 12:30, d: 0x10}
    start_timestamp: 2020-01-01T00:00:00Z
    input_series: [{series: a, values: 010}]
"""
    (scenario,) = find_scenarios(written(tmp_path, "a.yaml", test))
    assert scenario.world == {
        "external_labels": {"a": "1_000", "b": "no", "c": "12:30", "d": "0x10"},
        "start_timestamp": "2020-01-01T00:00:00Z",
        "input_series": [{"series": "a", "values": "010"}],
    }


def test_anchors_and_merges_are_followed(tmp_path: Path) -> None:
    test = """\
rule_files: []
tests:
  - &first
    interval: 30s
    input_series: [{series: a, values: 1x5}]
  - <<: *first
    name: second
"""
    first, second = find_scenarios(written(tmp_path, "a.yaml", test))
    assert first.world == second.world
    assert (first.title, second.title) == ("a.yaml:3", "second")


def test_an_assertion_between_two_evaluations_looks_at_the_one_before(tmp_path: Path) -> None:
    test = """\
evaluation_interval: 30s
tests:
  - alert_rule_test:
      - {eval_time: 1m29s, alertname: A}
      - {eval_time: 1m, alertname: A}
      - {eval_time: 5m, alertname: B}
    promql_expr_test: [{eval_time: 9m, expr: a}]
"""
    (scenario,) = find_scenarios(written(tmp_path, "a.yaml", test))
    assert scenario.looks == {"A": (60.0,), "B": (300.0,)}


def test_evaluations_less_than_a_second_apart_are_told_apart(tmp_path: Path) -> None:
    test = "evaluation_interval: 100ms\ntests: [{alert_rule_test: [{eval_time: 300ms, alertname: A}]}]\n"
    (scenario,) = find_scenarios(written(tmp_path, "a.yaml", test))
    assert scenario.looks == {"A": (0.3,)}


@pytest.mark.parametrize("interval", ["", "evaluation_interval: 0s\n"])
def test_without_an_interval_rules_are_evaluated_every_minute(tmp_path: Path, interval: str) -> None:
    (scenario,) = find_scenarios(written(tmp_path, "a.yaml", f"{interval}tests: [{{name: a}}]\n"))
    assert scenario.step_seconds == 60


def test_rules_and_tests_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    written(tmp_path, "alerts/tests.yaml", RULES)
    written(tmp_path, "alerts/unit.yml", "rule_files: [tests.yaml]\ntests: [{name: a}]\n")
    written(tmp_path, "values.yaml", "replicas: 2\n")
    written(tmp_path, "list.yaml", "- 1\n")
    written(tmp_path, "empty.yaml", "")
    written(tmp_path, "README.md", "groups: tests:\n")
    (rule_file,) = find_rule_files(tmp_path)
    (scenario,) = find_scenarios(tmp_path)
    assert rule_file.path.name == "tests.yaml"
    assert [one.path for one in scenario.rule_files] == [rule_file.path.resolve()]


def test_a_single_file_of_any_name_can_be_named(tmp_path: Path) -> None:
    assert len(find_rule_files(written(tmp_path, "alerts.rules", RULES))) == 1


def test_a_folder_without_rules_or_tests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rule files here"):
        find_rule_files(tmp_path)
    with pytest.raises(InputError, match="no tests of rules here"):
        find_scenarios(tmp_path)


def test_a_wrong_time_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a.yaml", "tests:\n  - alert_rule_test:\n      - {eval_time: x, alertname: A}\n")
    with pytest.raises(InputError) as caught:
        find_scenarios(path)
    assert caught.value.where == f"{path}:3"


def test_samples_are_read_whatever_stands_in_a_label() -> None:
    hostile = r'{__name__="up", a="x\"y, {}\n\\", "my.label"="ü\u00a0"} 1E+00, {} -2E-03, {b="} 1, {"} NaN'
    assert [(dict(sample.labels), sample.value) for sample in parse_samples(hostile)] == [
        ({"__name__": "up", "a": 'x"y, {}\n\\', "my.label": "ü\u00a0"}, "1E+00"),
        ({}, "-2E-03"),
        ({"b": "} 1, {"}, "NaN"),
    ]


def test_no_samples_are_none() -> None:
    assert parse_samples("nil") == ()
