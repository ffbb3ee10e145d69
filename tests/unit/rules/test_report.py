"""The report of the static checks."""

from pathlib import Path

from stakewatch.bundle.checks import Check, Finding, Outcome
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import StakewatchError
from stakewatch.rules.report import rules_report

RULES = """
groups:
  - name: a
    rules:
      - {alert: First, expr: up == 0}
      - {alert: Second, expr: up == 0}
      - {record: 'a:b:c', expr: up}
"""


def outcome(name: str, findings: int = 0, error: StakewatchError | None = None) -> Outcome:
    return Outcome(
        check=Check(name=name, describes="", run=lambda _bundle, _configuration: ()),
        findings=(Finding(Path("a"), 1, "wrong", "mend"),) * findings,
        error=error,
        seconds=0.5,
    )


def figures(tmp_path: Path, *outcomes: Outcome) -> dict[str, float]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "docs" / "runbooks").mkdir(parents=True)
    (tmp_path / "docs" / "runbooks" / "First.md").write_text("# First\n", encoding="utf-8")
    report = rules_report(Bundle(tmp_path), outcomes)
    return {figure.name: figure.value for figure in report.figures}


def test_alerts_and_missing_runbooks_are_counted(tmp_path: Path) -> None:
    counted = figures(tmp_path)
    assert (counted["alerts"], counted["alerts_without_runbook"]) == (2, 1)


def test_only_what_is_not_in_the_catalogue_is_an_unknown_metric(tmp_path: Path) -> None:
    counted = figures(
        tmp_path, outcome("rules/catalogue", 2), outcome("grafana/catalogue", 1), outcome("rules/labels", 4)
    )
    assert (counted["unknown_metrics"], counted["findings"], counted["checks"]) == (3, 7, 3)


def test_a_check_that_was_not_carried_out_misses_its_bar(tmp_path: Path) -> None:
    counted = figures(tmp_path, outcome("rules/syntax", error=StakewatchError("promtool is missing")))
    assert counted["not_carried_out"] == 1
