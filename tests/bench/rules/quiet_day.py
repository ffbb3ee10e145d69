"""A healthy day under all rules: nothing may page, and every ticket must have its cause in the truth.

`python -m tests.bench.rules.quiet_day` writes the report `quiet-day`.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, conclude_report, print_report, revision
from stakewatch.rules.replay.fleet import spread_fleet
from stakewatch.rules.replay.rounds import evaluations
from stakewatch.rules.replay.truth import Truth, load_noise

_REPOSITORY = Path(__file__).parents[3]
_KEYS = 10_000
_ALWAYS_FIRING = frozenset({"Watchdog"})
# How many misses in a row each alert on a key speaks of, and for how many epochs a miss is seen afterwards.
_MISSES = {"ValidatorBalanceNotGrowing": 2, "ValidatorConsecutiveMisses": 2, "ValidatorMissingRepeatedly": 3}
_SEEN_FOR_EPOCHS = 6


@dataclass(frozen=True)
class Fired:
    """An alert that fired; `at` is Unix seconds, `cause` empty where the truth holds none."""

    labels: Mapping[str, str]
    at: float
    cause: str

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]

    @property
    def severity(self) -> str:
        """Its severity."""
        return self.labels["severity"]

    @property
    def subject(self) -> str:
        """What it speaks about."""
        names = ("validator_index", "group", "validator_client", "instance", "pod", "role", "network")
        return next((f"{name} {self.labels[name]}" for name in names if self.labels.get(name)), "all")


def cause_of(truth: Truth, labels: Mapping[str, str], at: float) -> str:
    """Return what in the truth explains an alert, or nothing: restarts and reorganisations explain none."""
    name = labels["alertname"]
    pubkey = labels.get("pubkey")
    if name in _MISSES and pubkey is not None:
        key = int(pubkey, 16) - 1
        last = truth.epoch_at(at)
        for epoch in range(last, max(0, last - _SEEN_FOR_EPOCHS) - 1, -1):
            if truth.streaks[epoch, key] >= _MISSES[name]:
                return f"it missed {truth.streaks[epoch, key]} in a row up to epoch {epoch}"
    if name == "ValidatorDutyUpcoming":
        return "a duty is near"
    return ""


def live_through(truth: Truth, rules: Path, console: Console) -> tuple[Fired, ...]:
    """Return every alert that fired, in the order of time."""
    fired: list[Fired] = []
    started = time.monotonic()

    def report(hour: float) -> None:
        spent = time.monotonic() - started
        console.print(
            f"hour {hour:4.1f} of {truth.noise.hours:g}: {len(fired)} alerts so far, {spent:.0f} s",
            style="dim",
        )

    for evaluation in evaluations(truth, rules, report=report):
        for change in evaluation.changes:
            if change.state == "firing" and change.name not in _ALWAYS_FIRING:
                cause = cause_of(truth, change.labels, evaluation.at)
                fired.append(Fired(change.labels, evaluation.at, cause))
    return tuple(fired)


def figures(fired: tuple[Fired, ...], truth: Truth) -> tuple[Figure, ...]:
    """Return the report's figures."""
    by_severity = Counter(one.severity for one in fired)
    false = [one for one in fired if one.severity == "warning" and not one.cause]
    return (
        Figure("critical", by_severity["critical"], "alerts", "== 0"),
        Figure("false_warning", len(false), "alerts", "== 0"),
        Figure("warning", by_severity["warning"], "alerts"),
        Figure("info", by_severity["info"], "alerts"),
        Figure("keys", truth.fleet.keys, "keys"),
        Figure("missed", int(truth.missed.sum()), "attestations"),
        Figure("hours", truth.noise.hours, "h"),
    )


def print_alerts(fired: tuple[Fired, ...], truth: Truth, console: Console) -> None:
    """Print all alerts that fired, each with its cause."""
    table = Table("hour", "severity", "alert", "about", "cause in the truth", highlight=False)
    for one in fired:
        bad = one.severity == "critical" or (one.severity == "warning" and not one.cause)
        table.add_row(
            f"{(one.at - truth.start) / 3600:.2f}",
            one.severity,
            one.name,
            one.subject,
            one.cause or "none",
            style="bold red" if bad else "",
        )
    console.print(table)


def main() -> int:
    """Live through the day and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rules.quiet_day", description=__doc__)
    parser.add_argument("--hours", type=float, default=None, help="a shorter time; writes no report")
    parser.add_argument("--keys", type=int, default=_KEYS, help="fewer keys; writes no report")
    arguments = parser.parse_args()
    noise = load_noise()
    is_trial = arguments.hours is not None or arguments.keys != _KEYS
    if arguments.hours is not None:
        noise = replace(noise, hours=arguments.hours)
    console = Console()
    bundle = Bundle(_REPOSITORY)
    truth = Truth(spread_fleet(keys=arguments.keys), noise)
    started = time.monotonic()
    fired = live_through(truth, bundle.rules, console)
    print_alerts(fired, truth, console)
    report = Report(
        report="quiet-day",
        revision=revision(bundle.root),
        seconds=time.monotonic() - started,
        figures=figures(fired, truth),
    )
    if is_trial:
        print_report(report, console)
        return 0 if report.holds else 1
    return conclude_report(report, bundle.reports, console)


if __name__ == "__main__":
    sys.exit(main())
