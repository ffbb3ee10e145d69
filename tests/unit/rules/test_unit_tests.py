"""Test files, and the broken tests that promtool lets pass."""

from pathlib import Path

import pytest

from stakewatch.errors import InputError
from stakewatch.rules.unit_tests import guard, load_unit_tests, unit_test_paths, unsaid

RULES = """\
groups:
  - name: one
    rules:
      - {alert: Down, expr: up == 0, for: 1m}
      - {alert: Slow, expr: latency > 1}
"""
GOOD = """\
rule_files: [rules/*.yaml]
evaluation_interval: 30s
tests:
  - name: fires
    interval: 15s
    alert_rule_test:
      - {eval_time: 1m30s, alertname: Down}
      - {eval_time: 1m30s, alertname: Slow}
    promql_expr_test:
      - {expr: up, eval_time: 17s}
"""


def found(tmp_path: Path, text: str, rules: str = RULES) -> list[tuple[int, str]]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "one.yaml").write_text(rules, encoding="utf-8")
    path = tmp_path / "one.test.yaml"
    path.write_text(text, encoding="utf-8")
    findings = list(guard(load_unit_tests(path)))
    assert all(finding.mend and finding.path == path for finding in findings)
    return [(finding.line, finding.message) for finding in findings]


def test_a_good_test_is_let_through(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("rules/*.yaml", "rule/*.yaml", 1, "no file matches"),
        ("rules/*.yaml", "rules/two.yaml", 1, "no file matches"),
        ("alertname: Down", "alertname: Dwon", 7, 'no alert is named "Dwon"'),
        ("    interval: 15s\n", "", 4, "has no interval"),
        (
            "eval_time: 1m30s, alertname: Down",
            "eval_time: 1m31s, alertname: Down",
            7,
            "between two evaluations",
        ),
        ("eval_time: 1m30s, alertname: Down", "eval_time: soon, alertname: Down", 7, "eval_time"),
    ],
)
def test_what_promtool_lets_pass_is_found(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    ((found_line, found_message),) = found(tmp_path, GOOD.replace(old, new, 1))[:1]
    assert found_line == line
    assert message in found_message


def test_two_groups_need_an_order_that_names_both(tmp_path: Path) -> None:
    rules = RULES + "  - name: two\n    rules: [{record: 'a:b:c', expr: up}]\n"
    assert "2 groups run in random order" in found(tmp_path, GOOD, rules)[0][1]


def test_an_order_that_names_all_groups_is_let_through_and_an_unknown_group_is_not(tmp_path: Path) -> None:
    rules = RULES + "  - name: two\n    rules: [{record: 'a:b:c', expr: up}]\n"
    assert found(tmp_path, f"group_eval_order: [two, one]\n{GOOD}", rules) == []
    path = tmp_path / "one.test.yaml"
    path.write_text(f"group_eval_order: [two, one, tow]\n{GOOD}", encoding="utf-8")
    (finding,) = guard(load_unit_tests(path))
    assert "which is no group" in finding.message


def test_tests_of_one_name_are_both_named(tmp_path: Path) -> None:
    twice = GOOD + GOOD[GOOD.index("  - name: fires") :]
    assert [message for _, message in found(tmp_path, twice)] == ['2 tests are named "fires"'] * 2


def test_a_test_that_asserts_nothing_is_found(tmp_path: Path) -> None:
    text = "rule_files: [rules/one.yaml]\ntests: [{name: nothing, interval: 1m}]"
    assert found(tmp_path, text) == [(2, 'the test "nothing" asserts nothing')]


@pytest.mark.parametrize(
    "text", ["rule_files: [rules/one.yaml]\n", "rule_files: [rules/one.yaml]\ntests: []\n"]
)
def test_a_file_without_tests_is_found(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == [(1, "it has no tests")]


def test_a_rule_file_is_found_through_folders_above_and_by_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "tests" / "deep").mkdir(parents=True)
    (tmp_path / "rules").mkdir()
    rules = tmp_path / "rules" / "one.yaml"
    rules.write_text(RULES, encoding="utf-8")
    path = tmp_path / "tests" / "deep" / "one.test.yaml"
    path.write_text(GOOD, encoding="utf-8")
    test_file = load_unit_tests(path)
    for pattern in ("../../rules/*.yaml", "../../rules/one.yaml", str(rules), f"{rules.parent}/o*.yaml"):
        assert test_file.rule_paths(pattern) == (rules.resolve(),)


def test_a_test_that_is_silent_about_an_alert_or_has_no_name_is_found(tmp_path: Path) -> None:
    text = GOOD.replace("      - {eval_time: 1m30s, alertname: Slow}\n", "").replace(
        "name: fires", "interval: 15s"
    )
    assert found(tmp_path, text.replace("    interval: 15s\n", "", 1)) == []
    messages = [one.message for one in unsaid(load_unit_tests(tmp_path / "one.test.yaml"))]
    assert messages == [
        "a test without a name cannot be told from others in a report",
        "the test in line 4 does not say whether Slow fires",
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "tests: {}", "tests: [3]", "rule_files: a", "evaluation_interval: x"]
)
def test_what_is_no_test_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.test.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.test\.yaml:1"):
        load_unit_tests(path)


def test_test_files_are_found_by_their_endings(tmp_path: Path) -> None:
    for name in ("a.test.yaml", "b_test.yml", "c-test.yaml", "d.yaml"):
        (tmp_path / name).write_text("", encoding="utf-8")
    assert [path.name for path in unit_test_paths(tmp_path)] == ["a.test.yaml", "b_test.yml", "c-test.yaml"]


def test_a_folder_without_tests_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no test files here"):
        unit_test_paths(tmp_path)
