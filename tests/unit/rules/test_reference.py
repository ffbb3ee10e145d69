"""The reference of the alerts, and the command that writes it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.cli.alerts import command
from stakewatch.errors import InputError
from stakewatch.rules import checks
from stakewatch.rules.reference import alert_page, alert_reference

REPOSITORY = Path(__file__).parents[3]
RULES = """\
groups:
  - name: example
    rules:
      - record: node:peers:max
        expr: max by (instance) (libp2p_peers{implementation="teku"} or stakewatch_node_peers)
      - alert: PeersLow
        expr: node:peers:max < 20
        for: 10m
        labels: {severity: warning, area: example}
        annotations: {summary: "Few | peers", threshold: "20"}
      - alert: Down
        expr: up == 0
        labels: {severity: critical, area: example}
"""
TESTS = """\
rule_files: [../../rules/example.yaml]
tests:
  - interval: 1m
    alert_rule_test:
      - {eval_time: 1m, alertname: PeersLow}
      - {eval_time: 20m, alertname: PeersLow, exp_alerts: [{exp_labels: {instance: a}}]}
      - {eval_time: 30m, alertname: PeersLow, exp_alerts: [{exp_labels: {instance: a}}]}
  - interval: 1m
    alert_rule_test:
      - {eval_time: 1m, alertname: PeersLow}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "catalogue").symlink_to(REPOSITORY / "catalogue")
    for folder, name, text in (("rules", "example.yaml", RULES), ("tests/rules", "example.test.yaml", TESTS)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    return Bundle(root=tmp_path)


def row(bundle: Bundle, alert: str) -> list[str]:
    line = next(line for line in alert_reference(bundle).splitlines() if line.startswith(f"| [{alert}]"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_an_alert_has_a_row_with_all_that_a_person_asks(bundle: Bundle) -> None:
    assert row(bundle, "PeersLow") == [
        "[PeersLow](runbooks/PeersLow.md)",
        "Few &#124; peers",
        "warning",
        "10m",
        "20",
        "exporter, Teku",
        "1 of 2",
    ]


def test_what_is_not_there_is_said(bundle: Bundle) -> None:
    assert row(bundle, "Down") == [
        "[Down](runbooks/Down.md)",
        "",
        "critical",
        "-",
        "",
        "every scrape",
        "none",
    ]


def test_the_page_counts_alerts_and_files(bundle: Bundle) -> None:
    assert "2 alerts in 1 files" in alert_reference(bundle)


def test_a_broken_test_file_is_an_error(bundle: Bundle) -> None:
    (bundle.rule_tests / "example.test.yaml").write_text("tests: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"example\.test\.yaml"):
        alert_reference(bundle)


def test_the_check_finds_a_page_that_is_out_of_date_and_needs_none(bundle: Bundle) -> None:
    assert list(checks.reference(bundle, Configuration())) == []
    page = alert_page(bundle)
    page.parent.mkdir()
    page.write_text("old\n", encoding="utf-8")
    (finding,) = checks.reference(bundle, Configuration())
    assert finding.mend == "run `stakewatch alerts`"
    page.write_text(alert_reference(bundle), encoding="utf-8")
    assert list(checks.reference(bundle, Configuration())) == []


def test_the_command_writes_the_page_once_and_checks_it(bundle: Bundle) -> None:
    arguments = ["--bundle", str(bundle.root)]
    assert CliRunner().invoke(command, [*arguments, "--check"]).exit_code == 1
    assert not alert_page(bundle).exists()
    assert "written" in CliRunner().invoke(command, arguments).output
    assert alert_page(bundle).read_text(encoding="utf-8") == alert_reference(bundle)
    assert "unchanged" in CliRunner().invoke(command, arguments).output
    assert CliRunner().invoke(command, [*arguments, "--check"]).exit_code == 0
