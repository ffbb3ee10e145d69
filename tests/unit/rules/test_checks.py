"""The checks on rules, each with what it must find and what it must let through."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.rules import checks

Run = Callable[[Bundle, Configuration], Iterable[Finding]]
REPOSITORY = Path(__file__).parents[3]
GOOD = """\
groups:
  - name: beacon
    rules:
      # Why two minutes.
      - alert: Down
        expr: stakewatch_node_peers{role="beacon"} < 20
        for: 2m
        labels: {severity: critical, area: beacon}
        annotations:
          summary: It is down
          description: It has {{ $value | printf "%.0f" }} peers.
          runbook_url: https://stakewatch.example/runbooks/Down
          dashboard_url: https://grafana.example/d/fleet
          threshold: "20"
"""
RUNBOOK = """\
# Down
## Meaning
## Impact
## Diagnosis
```promql
# A comment.
stakewatch_node_up{role="beacon"}

max by (instance) (
  stakewatch_node_peers
)
```
## Mitigation
## What not to do
"""
TESTS = """\
rule_files: [../../rules/beacon.yaml]
tests:
  - name: silent without data
    interval: 1m
    alert_rule_test:
      - {eval_time: 2m, alertname: Down}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "catalogue").symlink_to(REPOSITORY / "catalogue")
    for folder, name, text in (
        ("rules", "beacon.yaml", GOOD),
        ("docs/runbooks", "Down.md", RUNBOOK),
        ("tests/rules", "beacon.test.yaml", TESTS),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    return Bundle(root=tmp_path)


def run(check: Run, bundle: Bundle) -> list[Finding]:
    return list(check(bundle, Configuration()))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


ALL: tuple[Run, ...] = (
    checks.names,
    checks.labels,
    checks.annotations,
    checks.comments,
    checks.thresholds,
    checks.runbooks,
    checks.runbook_queries,
    checks.catalogue,
    checks.tests_guards,
    checks.tests_scenarios,
    checks.tests_files,
)


@pytest.mark.parametrize("check", ALL)
def test_a_good_bundle_is_let_through(check: Run, bundle: Bundle) -> None:
    assert run(check, bundle) == []


@pytest.mark.parametrize("check", ALL)
def test_this_bundle_is_good(check: Run) -> None:
    assert run(check, Bundle(root=REPOSITORY)) == []


@pytest.mark.parametrize(
    ("check", "change_to", "line", "message"),
    [
        (checks.labels, ("severity: critical", "severity: urgent"), 8, 'has the severity "urgent"'),
        (checks.labels, ("severity: critical, ", ""), 8, "has the severity"),
        (checks.labels, (", area: beacon", ""), 8, "has no area"),
        (checks.labels, ("area: beacon", "area: b, v: '{{ $value }}'"), 8, "changes with the value"),
        (checks.annotations, ("          summary: It is down\n", ""), 9, "annotation summary is missing"),
        (checks.annotations, ("It is down", "It {{ is }} down"), 10, "has a template"),
        (checks.annotations, ("It is down", "It is döwn"), 10, "not ASCII"),
        (checks.annotations, ("It is down", "down " * 21), 10, "characters"),
        (checks.annotations, ('{{ $value | printf "%.0f" }}', "{{$value}}"), 11, "not rounded"),
        (checks.annotations, ("runbooks/Down", "runbooks/Up"), 12, "link is another's"),
        (checks.annotations, ("grafana.example/d/", "graphs.example/d/"), 13, "another base"),
        (checks.comments, ("      # Why two minutes.\n", ""), 4, "no comment above it"),
        (checks.thresholds, ('threshold: "20"', 'threshold: "21"'), 14, "the threshold 21 stands not"),
        (checks.thresholds, ('threshold: "20"', "threshold: many"), 14, "is no number"),
        (checks.catalogue, ("node_peers{", "node_pears{"), 6, "no component of the catalogue exposes"),
        (checks.catalogue, ("< 20", "<"), 6, "Down: "),
        (checks.runbooks, ("alert: Down", "alert: Gone"), 5, "Gone has no runbook"),
    ],
)
def test_a_flaw_of_a_rule_is_found_with_its_line(
    bundle: Bundle, check: Run, change_to: tuple[str, str], line: int, message: str
) -> None:
    path = bundle.rules / "beacon.yaml"
    change(path, *change_to)
    finding = run(check, bundle)[0]
    assert (finding.path, finding.line) == (path, line)
    assert message in finding.message
    assert finding.mend


def test_an_alert_of_a_name_that_another_file_has_is_found(bundle: Bundle) -> None:
    (bundle.rules / "execution.yaml").write_text(GOOD, encoding="utf-8")
    (finding,) = run(checks.names, bundle)
    assert "Down stands in beacon.yaml:5 already" in finding.message


def test_a_rule_file_without_tests_is_found(bundle: Bundle) -> None:
    (bundle.rules / "execution.yaml").write_text(GOOD, encoding="utf-8")
    (finding,) = run(checks.tests_files, bundle)
    assert finding.path.name == "execution.yaml"
    assert "tests/rules/execution.test.yaml" in finding.mend


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("## Impact\n", "", 1, "no part 'Impact'"),
    ],
)
def test_a_runbook_that_lacks_a_part_is_found(
    bundle: Bundle, old: str, new: str, line: int, message: str
) -> None:
    page = bundle.runbooks / "Down.md"
    change(page, old, new)
    (finding,) = run(checks.runbooks, bundle)
    assert (finding.path, finding.line) == (page, line)
    assert message in finding.message


def test_a_runbook_without_an_alert_is_found(bundle: Bundle) -> None:
    (bundle.runbooks / "Gone.md").write_text(RUNBOOK, encoding="utf-8")
    (finding,) = run(checks.runbooks, bundle)
    assert finding.message == "there is no alert Gone"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [("stakewatch_node_up", "stakewatch_node_upp", 7), ("  stakewatch_node_peers", "  (", 11)],
)
def test_a_query_to_paste_that_is_wrong_is_found_with_its_line(
    bundle: Bundle, old: str, new: str, line: int
) -> None:
    change(bundle.runbooks / "Down.md", old, new)
    (finding,) = run(checks.runbook_queries, bundle)
    assert abs(finding.line - line) <= 1


def test_a_hollow_test_and_one_that_is_silent_about_an_alert_are_found(bundle: Bundle) -> None:
    change(bundle.rule_tests / "beacon.test.yaml", "alertname: Down", "alertname: Dwon")
    assert "always passes" in run(checks.tests_guards, bundle)[0].message
    assert "does not say whether Down fires" in run(checks.tests_scenarios, bundle)[0].message


def test_a_test_file_that_cannot_be_read_is_a_finding(bundle: Bundle) -> None:
    (bundle.rule_tests / "beacon.test.yaml").write_text("tests: [", encoding="utf-8")
    (finding,) = run(checks.tests_guards, bundle)
    assert finding.message.startswith("this is no YAML")
