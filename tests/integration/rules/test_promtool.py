"""The real promtool of both majors, on good and broken files; our suite and the command around it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.bundle.configuration import Configuration, ExporterSettings, Override
from stakewatch.bundle.folder import Bundle
from stakewatch.cli.test import command
from stakewatch.rules import promtool
from stakewatch.rules.checks import syntax
from stakewatch.rules.files import rule_paths
from stakewatch.rules.scaling import scale_rule_files
from stakewatch.rules.suite import run_suite
from stakewatch.rules.targets import build_prometheus, build_rules

REPOSITORY = Path(__file__).parents[3]
RULES = """\
groups:
  - name: g
    rules:
      - alert: Down
        expr: up == 0
        for: 1m
"""
TESTS = """\
rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: fires
    interval: 30s
    input_series:
      - {series: 'up{a="1"}', values: 0x10}
    alert_rule_test:
      - {eval_time: 30s, alertname: Down}
      - {eval_time: 1m, alertname: Down, exp_alerts: [{exp_labels: {a: "1"}}]}
"""


@pytest.fixture(params=promtool.MAJORS)
def major(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_rule_of_this_bundle_passes_its_tests_on_both_majors() -> None:
    outcome = run_suite(REPOSITORY / "rules", REPOSITORY / "tests" / "rules")
    assert outcome.passed, [failure for run in outcome.runs for failure in run.failures] + [*outcome.guarded]
    assert outcome.files >= 5
    assert [version.split(".")[0] for version in outcome.versions] == ["3", "2"]


def test_every_rule_file_of_this_bundle_is_accepted_by_both_majors() -> None:
    assert list(syntax(Bundle(root=REPOSITORY), Configuration())) == []


def test_a_failed_test_has_test_alert_time_and_both_sides(tmp_path: Path, major: str) -> None:
    written(tmp_path, "rules.yaml", RULES.replace("for: 1m", "for: 30s"))
    outcome = promtool.run_unit_tests(written(tmp_path, "a.test.yaml", TESTS), major)
    (failure,) = outcome.failures
    assert (failure.test, failure.alert, failure.at) == ("fires", "Down", "30s")
    assert failure.expected == "nothing"
    assert failure.got is not None
    assert 'alertname="Down"' in failure.got


def test_a_good_file_passes(tmp_path: Path, major: str) -> None:
    rules = written(tmp_path, "rules.yaml", RULES)
    assert promtool.run_unit_tests(written(tmp_path, "a.test.yaml", TESTS), major).failures == ()
    assert promtool.check_rules(rules, major).failures == ()


def test_a_broken_rule_is_found_with_its_line_and_name(tmp_path: Path, major: str) -> None:
    path = written(tmp_path, "rules.yaml", RULES.replace("up == 0", "up =="))
    (failure,) = promtool.check_rules(path, major).failures
    assert (failure.line, failure.alert) == (5, "Down")


def test_two_equal_rules_are_a_failure(tmp_path: Path, major: str) -> None:
    twice = RULES + RULES[RULES.index("      - alert") :]
    (failure,) = promtool.check_rules(written(tmp_path, "rules.yaml", twice), major).failures
    assert failure.message == "duplicate rules: Down"


@pytest.mark.parametrize(
    "text",
    [
        TESTS.replace("rules.yaml", "nothing*.yaml"),
        TESTS.replace("alert_rule_test", "alert_test"),
        "tests: [",
    ],
)
def test_a_broken_test_file_never_passes(tmp_path: Path, major: str, text: str) -> None:
    written(tmp_path, "rules.yaml", RULES)
    assert not promtool.run_unit_tests(written(tmp_path, "a.test.yaml", text), major).passed


def test_a_missing_file_is_a_failure(tmp_path: Path, major: str) -> None:
    assert not promtool.check_rules(tmp_path / "missing.yaml", major).passed


def test_a_hostile_file_name_is_only_a_name(tmp_path: Path, major: str) -> None:
    path = written(tmp_path, "--help; $(touch x) \u2603.yaml", RULES)
    assert promtool.check_rules(path, major).passed
    assert not (tmp_path / "x").exists()


def test_what_the_builds_write_is_accepted_by_both_majors(tmp_path: Path, major: str) -> None:
    configuration = Configuration(
        exporter=ExporterSettings(listen_port=9999),
        overrides={
            "BeaconNodePeersLow": Override(
                threshold=3, duration="30m", severity="info", labels={"team": "blue"}
            ),
            "ContainerMemoryHigh": Override(enabled=False),
        },
    )
    bundle = Bundle(root=REPOSITORY)
    build_prometheus(bundle, configuration, tmp_path)
    outcome = promtool.check_config(tmp_path / "prometheus.yaml", major)
    assert outcome.failures == ()
    assert f"{len(rule_paths(bundle.rules))} rule files found" in outcome.output
    text = (tmp_path / "rules" / "beacon.yaml").read_text(encoding="utf-8")
    assert ") < 3\n" in text
    assert "team: blue" in text
    assert "ContainerMemoryHigh" not in (tmp_path / "rules" / "resources.yaml").read_text(encoding="utf-8")
    assert "127.0.0.1:9999" in (tmp_path / "targets" / "exporter.yaml").read_text(encoding="utf-8")


def test_the_built_rules_pass_the_same_tests_when_nothing_is_overridden(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "tests" / "rules").mkdir(parents=True)
    build_rules(Bundle(root=REPOSITORY), Configuration(), tmp_path / "rules")
    for path in (REPOSITORY / "tests" / "rules").glob("*.yaml"):
        written(tmp_path / "tests" / "rules", path.name, path.read_text(encoding="utf-8"))
    assert run_suite(tmp_path / "rules", tmp_path / "tests").passed


def test_scaled_rules_are_accepted_by_both_majors(tmp_path: Path, major: str) -> None:
    for path in scale_rule_files(REPOSITORY / "rules", tmp_path, 1 / 48, 3.0):
        assert promtool.check_rules(path, major).failures == ()


def test_the_command_prints_each_failure_once_for_both_majors_and_exits_1(tmp_path: Path) -> None:
    written(tmp_path, "rules.yaml", RULES.replace("for: 1m", "for: 30s"))
    written(tmp_path, "untested.yaml", RULES)
    written(tmp_path, "a.test.yaml", TESTS)
    result = CliRunner().invoke(command, ["--rules", str(tmp_path), "--tests", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.count("Down at 30s is not what was expected") == 1
    assert "no test loads untested.yaml" in result.output
    assert "1 files, 1 tests, 2 assertions" in result.output


def test_the_command_answers_json_for_programs(tmp_path: Path) -> None:
    written(tmp_path, "rules.yaml", RULES)
    written(tmp_path, "a.test.yaml", TESTS)
    result = CliRunner().invoke(command, ["--rules", str(tmp_path), "--tests", str(tmp_path), "--json"])
    answer = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (answer["passed"], answer["tests"], answer["failures"], answer["hollow"]) == (True, 1, [], [])
