"""An incident under real rules, on the real rule clock."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.bundle.folder import Bundle
from stakewatch.cli.replay import command
from stakewatch.errors import InputError
from stakewatch.rules.replay.incident import FOLDER, load_incident
from stakewatch.rules.replay.replaying import (
    bundle_inhibitions,
    find_incidents,
    replay,
    replay_all,
    replay_report,
)

BUNDLE = Bundle(Path(__file__).parents[4])
RULES = """
groups:
  - name: a
    rules:
      - alert: NodeStands
        expr: changes(stakewatch_execution_head_block[2m]) == 0
        for: 1m
        labels: {severity: critical}
      - alert: Heartbeat
        expr: vector(1)
      - alert: Quiet
        expr: up > 1
"""
INCIDENT = """
title: A node refuses a block
source: [nobody]
interpolated: all of it
begins: 2026-01-01T00:00:00Z
lasts: 12m
warm_up: 10m
noticed: {at: 30m, by: nobody}
fleet:
  pairs: [{beacon: teku, execution: geth}, {beacon: teku, execution: besu}]
  clients: [{implementation: teku, primary: beacon-1, groups: {alpha: 5}}]
faults: [{what: refusing, where: {implementation: geth}, at: 1m, until: 8m}]
expect: {NodeStands: {first: [3m, 6m], ends: [8m, 9m], labels: {instance: [execution-1]}}}
pages: [NodeStands]
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "stands.yaml").write_text(INCIDENT, encoding="utf-8")
    return Bundle(tmp_path)


def test_what_fires_as_expected_is_no_flaw_and_is_found_before_people_do(bundle: Bundle) -> None:
    incidents = find_incidents((), bundle.root / FOLDER)
    verdicts = replay_all(incidents, bundle.rules)
    (verdict,) = verdicts
    assert verdict.flaws == ()
    assert verdict.detection is not None
    assert verdict.detection.labels["instance"] == "execution-1"
    assert verdict.ahead_seconds == 30 * 60 - verdict.detection.first
    report = replay_report(verdicts, bundle.root, 1.0)
    assert report.holds
    assert {one.name: one.value for one in report.figures}["stands_detected"] == verdict.detection.first


def test_another_rule_that_fires_and_one_that_does_not_are_said_and_fail(bundle: Bundle) -> None:
    rules = bundle.rules / "a.yaml"
    rules.write_text(RULES.replace("up > 1", "up == 1").replace("[2m]) == 0", "[2m]) < 0"), encoding="utf-8")
    result = CliRunner().invoke(command, ["stands", "--bundle", str(bundle.root)])
    assert result.exit_code == 1
    assert "NodeStands: it was silent, and had to fire between 3.0 min and 6.0 min" in result.output
    assert "Quiet: it fired after" in result.output
    assert "not at all" in result.output


def test_the_command_prints_json_for_programs(bundle: Bundle) -> None:
    result = CliRunner().invoke(command, ["--json", "--bundle", str(bundle.root)])
    assert result.exit_code == 0
    (one,) = json.loads(result.stdout)
    assert one["detected_by"] == "NodeStands"
    assert one["flaws"] == []


def test_a_file_under_rules_of_ones_own_needs_no_bundle(bundle: Bundle, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = (bundle.root / FOLDER / "stands.yaml").rename(elsewhere / "stands.yaml")
    rules = bundle.rules.rename(elsewhere / "theirs")
    words = [str(file), "--rules", str(rules), "--bundle", str(elsewhere)]
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0
    assert "as expected" in result.output


def test_series_that_the_fleet_does_not_show_are_said_with_their_file(bundle: Bundle) -> None:
    path = bundle.root / FOLDER / "stands.yaml"
    path.write_text(INCIDENT + "series: [{metric: none, at: 1m, until: 2m, value: 1}]\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        replay(load_incident(path), bundle.rules)
    assert raised.value.where == str(path)


def test_an_unknown_incident_is_said_with_the_nearest(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="there is no incident"):
        find_incidents(("stand",), bundle.root / FOLDER)


def test_our_own_rules_live_through_a_slashing() -> None:
    (incident,) = find_incidents(("slashing-staked-2021-02-02",), BUNDLE.root / FOLDER)
    verdict = replay(incident, BUNDLE.rules, bundle_inhibitions(BUNDLE))
    assert verdict.flaws == ()
    assert verdict.detection is not None
    assert verdict.detection.alert == "ValidatorSlashed"
