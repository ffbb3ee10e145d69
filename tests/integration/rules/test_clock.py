"""Rules over simulated time, in the real program."""

from pathlib import Path

import numpy as np
import pytest

from stakewatch.errors import StakewatchError
from stakewatch.programs.servers import prometheus
from stakewatch.rules.clock import Evaluation, RuleClock, rule_clock

RULES = """
groups:
  - name: example
    rules:
      - record: instance:up:max
        expr: max by (instance) (up)
      - alert: Down
        expr: instance:up:max == 0
        for: 1m
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance }} is down"}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "example.yaml"
    path.write_text(RULES, encoding="utf-8")
    return path


def steps(clock: RuleClock, first: int, last: int) -> list[Evaluation]:
    """Scrape every 15 s and evaluate every 30 s, the times given included."""
    rounds = []
    for at in range(first, last + 1, 15):
        clock.scrape(at)
        if at % 30 == 0:
            rounds.append(clock.evaluate(at))
    return rounds


def states(rounds: list[Evaluation]) -> list[tuple[float, str, str]]:
    return [(one.at, change.labels["instance"], change.state) for one in rounds for change in one.changes]


def test_an_alert_is_pending_fires_at_its_for_and_ends(rules: Path) -> None:
    with rule_clock([rules]) as clock:
        clock.define({"__name__": "up", "instance": name} for name in ("one", "two"))
        clock.set(np.array([0, 1]), np.array([0.0, 1.0]))
        rounds = steps(clock, 60, 150)
        clock.set(np.array([0]), np.array([1.0]))
        rounds += steps(clock, 165, 210)
    assert states(rounds) == [(60, "one", "pending"), (120, "one", "firing"), (180, "one", "inactive")]
    (firing,) = (change for one in rounds for change in one.changes if change.state == "firing")
    assert firing.name == "Down"
    assert firing.labels["severity"] == "critical"
    assert firing.annotations == {"summary": "one is down"}
    assert all(0 < one.groups["example"] <= one.seconds for one in rounds)


def test_a_pending_alert_that_goes_away_is_reported_too(rules: Path) -> None:
    with rule_clock([rules]) as clock:
        clock.define([{"__name__": "up", "instance": "one"}])
        clock.set(np.array([0]), np.array([0.0]))
        rounds = steps(clock, 60, 90)
        clock.set(np.array([0]), np.array([1.0]))
        rounds += steps(clock, 120, 120)
    assert states(rounds) == [(60, "one", "pending"), (120, "one", "inactive")]


def test_a_series_that_ends_is_stale_at_once_and_may_come_back(rules: Path) -> None:
    with rule_clock([rules]) as clock:
        clock.define([{"__name__": "up", "instance": "one"}])
        clock.set(np.array([0]), np.array([0.0]))
        rounds = steps(clock, 60, 60)
        clock.end(np.array([0]))
        rounds += steps(clock, 90, 90)
        clock.set(np.array([0]), np.array([0.0]))
        rounds += steps(clock, 120, 120)
    assert states(rounds) == [(60, "one", "pending"), (90, "one", "inactive"), (120, "one", "pending")]


def test_a_real_prometheus_reads_what_the_clock_stored(rules: Path, tmp_path: Path) -> None:
    server = tmp_path / "server"
    server.mkdir()
    with rule_clock([rules], server / "prometheus-data") as clock:
        clock.define([{"__name__": "up", "instance": "one"}])
        clock.set(np.array([0]), np.array([0.0]))
        steps(clock, 1_700_000_010, 1_700_000_070)
    configuration = server / "prometheus.yaml"
    configuration.write_text("{}", encoding="utf-8")
    with prometheus(configuration, server, flags=("--storage.tsdb.retention.time=100y",)) as running:
        (sample,) = running.query("instance:up:max", at=1_700_000_070)
    assert (sample.labels["instance"], sample.value) == ("one", 0.0)


def test_a_broken_rule_file_is_refused_with_what_the_program_said(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("groups: [{name: broken, rules: [{record: a, expr: '1 +'}]}]", encoding="utf-8")
    with pytest.raises(StakewatchError, match="could not parse expression"), rule_clock([path]) as clock:
        clock.evaluate(30)


def test_a_rule_that_fails_is_no_silence(tmp_path: Path) -> None:
    path = tmp_path / "failing.yaml"
    path.write_text(
        "groups: [{name: failing, rules: [{record: a, expr: 'up * on () up'}]}]", encoding="utf-8"
    )

    def run() -> None:
        with rule_clock([path]) as clock:
            clock.define({"__name__": "up", "instance": name} for name in ("one", "two"))
            clock.set(np.array([0, 1]), np.array([1.0, 1.0]))
            clock.scrape(30)
            clock.evaluate(30)

    with pytest.raises(StakewatchError, match="a rule cannot be evaluated"):
        run()


def test_a_time_that_goes_back_ends_the_run(rules: Path) -> None:
    def run() -> None:
        with rule_clock([rules]) as clock:
            clock.define([{"__name__": "up"}])
            clock.set(np.array([0]), np.array([1.0]))
            clock.scrape(60)
            clock.scrape(30)
            clock.evaluate(60)

    with pytest.raises(StakewatchError, match="out of order"):
        run()


def test_as_many_values_as_series_are_wanted(rules: Path) -> None:
    with rule_clock([rules]) as clock, pytest.raises(ValueError, match="values"):
        clock.set(np.array([0]), np.array([]))
