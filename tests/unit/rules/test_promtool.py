"""What promtool prints, as typed failures; the texts are those of promtool 3.15 and 2.55."""

import stat
from pathlib import Path

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import Located
from stakewatch.rules import promtool
from stakewatch.rules.promtool import Failure, parse_output

PATH = Path("tests/one.test.yaml")

MISMATCHES = """\
  FAILED:
    name: it: fails, mostly,
    alertname: Down, time: 30s, 
        exp:[
            0:
              Labels:{a="1", alertname="Down"}
              Annotations:{}
            ], 
        got:[]

    expr: "r:x", time: 1m,
        exp: {__name__="r:x"} 1E+00
        got: {__name__="r:x"} 0E+00, {__name__="r:x", a="2"} 0E+00

    expr: "bad(", time: 1m, err: 1:5: parse error: unclosed left parenthesis

"""  # noqa: W291 - promtool prints the spaces
MISMATCHES_OF_STDERR = MISMATCHES.replace("\n\n", "\n")
RULES = """\
Checking bad.yaml
  FAILED:
bad.yaml: 5:15: group "g", rule 1, "A": could not parse expression: 1:6: parse error: unexpected end
bad.yaml: group "g", rule 4, "T": annotation "summary": template: __alert_T:1: unclosed action
"""
DUPLICATES = """\
Checking dup.yaml
  FAILED:
lint error 1 duplicate rule(s) found.
Metric: A
Label(s):
Might cause inconsistency while recording expressions

"""


def failures(output: str) -> list[Failure]:
    return list(parse_output(output, PATH))


@pytest.mark.parametrize("output", [MISMATCHES, MISMATCHES_OF_STDERR])
def test_each_mismatch_has_its_test_alert_time_and_both_sides(output: str) -> None:
    alert, expression, broken = failures(output)
    assert (alert.test, alert.alert, alert.at) == ("it: fails, mostly", "Down", "30s")
    assert alert.expected == 'Labels:{a="1", alertname="Down"}\nAnnotations:{}'
    assert alert.got == "nothing"
    assert (expression.alert, expression.at) == (None, "1m")
    assert expression.got == '{__name__="r:x"} 0E+00, {__name__="r:x", a="2"} 0E+00'
    assert broken.message == '"bad(" at 1m: 1:5: parse error: unclosed left parenthesis'
    assert (broken.expected, broken.got) == (None, None)


def test_a_name_belongs_to_the_mismatch_below_it_only() -> None:
    assert [failure.test for failure in failures(MISMATCHES)] == ["it: fails, mostly", None, None]


def test_a_broken_rule_has_its_file_line_and_name() -> None:
    first, second = failures(RULES)
    assert (first.path, first.line, first.column, first.alert) == (Path("bad.yaml"), 5, 15, "A")
    assert first.message == "could not parse expression: 1:6: parse error: unexpected end"
    assert (second.line, second.alert) == (None, "T")


def test_duplicate_rules_are_one_failure_with_their_names() -> None:
    assert failures(DUPLICATES) == [Failure(PATH, "duplicate rules: A")]


def test_a_pattern_without_files_is_a_failure_even_beside_success() -> None:
    (failure,) = failures("  WARNING: no file match pattern rules/nothing*.yaml\n  SUCCESS\n\n")
    assert failure.message == "rule_files: no file matches rules/nothing*.yaml"


def test_unknown_fields_have_their_lines() -> None:
    field = "field nonsense not found in type main.unitTestFile"
    (failure,) = failures(f"  FAILED:\nyaml: unmarshal errors:\n  line 2: {field}\n")
    assert (failure.line, failure.message) == (2, field)


def test_yaml_errors_of_a_named_file_have_its_line_and_come_once() -> None:
    (failure,) = failures("  FAILED:\n" + "cut.yaml: yaml: line 3: did not find expected node content\n" * 2)
    assert (failure.path, failure.line) == (Path("cut.yaml"), 3)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "  SUCCESS\n\n",
        "Checking a.yaml\n  SUCCESS: 2 rules found\n\n",
        " SUCCESS: a.yml is valid prometheus config file syntax\n",
        '  WARNING: file "x" for file_sd in scrape job "y" does not exist\n',
    ],
)
def test_success_is_no_failure(output: str) -> None:
    assert failures(output) == []


def test_whatever_else_is_said_is_a_failure() -> None:
    (failure,) = failures("panic: runtime error: index out of range\n")
    assert failure.message.startswith("panic:")


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "promtool"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    located = Located(name="promtool", path=program, version="3.15.0", origin="PATH")
    monkeypatch.setattr(promtool, "locate", lambda _name: located)


def test_a_crash_without_a_word_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "kill -SEGV $$")
    (failure,) = promtool.check_rules(PATH).failures
    assert failure.message == "promtool was ended by signal 11 without a word"


def test_an_exit_code_without_a_known_word_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, "echo '  SUCCESS'; exit 3")
    (failure,) = promtool.run_unit_tests(PATH).failures
    assert failure.message == "promtool ended with exit code 3: SUCCESS"


def test_a_promtool_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "exec sleep 60")
    outcome = promtool.run_unit_tests(PATH, timeout_seconds=0.2)
    assert not outcome.passed
    assert "did not end within 0.2 s" in outcome.failures[0].message
    assert outcome.seconds < 10


def test_a_flood_of_output_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "head -c 5000000 /dev/zero | tr '\\0' 'x'; exit 1")
    outcome = promtool.check_config(PATH)
    assert not outcome.passed
    assert len(outcome.output) < 100_000


def test_a_promtool_that_cannot_be_started_says_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, "")
    (tmp_path / "promtool").chmod(0o600)
    with pytest.raises(StakewatchError, match="cannot be started") as raised:
        promtool.check_rules(PATH)
    assert "stakewatch tools --install promtool" in str(raised.value)
