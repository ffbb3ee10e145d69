"""A beacon node that 10,000 keys share dies, or lives and is late with everything: what reaches on-call.

`python -m tests.bench.rules.storm` writes the report `storm`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.rules.clock import Evaluation
from stakewatch.rules.replay.fleet import shared_fleet
from stakewatch.rules.replay.happenings import Fault
from stakewatch.rules.replay.rounds import evaluations
from stakewatch.rules.replay.truth import Truth, load_noise
from tests.bench.rules.on_call import Call, notifications

_REPOSITORY = Path(__file__).parents[3]
_NODE = "beacon-1"
# Enough for every range but the longest, which look at hours.
_WARM_UP_SECONDS = 40 * 60
_FAULT_SECONDS = 25 * 60
_AFTERWARDS_SECONDS = 45 * 60
# Not at the beginning of anything: an epoch, a slot, a round.
_ODD_SECONDS = 97
Kind = Literal["dead", "sick"]
_CAUSE = {"dead": "BeaconNodeDown", "sick": "SharedBeaconNodeFault"}


@dataclass(frozen=True)
class Storm:
    """What a fault led to: all notifications from it on, and the most alerts that fired at once."""

    truth: Truth
    fault: Fault
    calls: tuple[Call, ...]
    most_firing: int

    @property
    def pages(self) -> tuple[Call, ...]:
        """The notifications that woke a person, while the fault lasted and after it was mended."""
        return tuple(call for call in self.calls if call.receiver == "pager" and call.status == "firing")

    @property
    def names_the_node(self) -> bool:
        """Whether every page is about the cause and names the node."""
        return bool(self.pages) and all(
            alert["alertname"] == _CAUSE[self.fault.kind] and alert["beacon_node"] == _NODE
            for call in self.pages
            for alert in call.alerts
        )

    @property
    def seconds(self) -> float:
        """From the fault to the first page, in rule time; not a number without one."""
        return self.pages[0].at - self.fault.at if self.pages else float("nan")


def fault_of(kind: Kind) -> Truth:
    """Return a truth in which the shared node breaks after the warm-up and is mended later."""
    quiet = replace(
        load_noise(),
        upgrade_begins=None,
        reorganisations=(),
        hours=(_WARM_UP_SECONDS + _FAULT_SECONDS + _AFTERWARDS_SECONDS) / 3600,
    )
    truth = Truth(shared_fleet(), quiet)
    fault = Fault(kind, _NODE, truth.start + _WARM_UP_SECONDS + _ODD_SECONDS, _FAULT_SECONDS)
    return replace(truth, faults=(fault,))


def break_node(kind: Kind, bundle: Bundle, console: Console) -> Storm:
    """Live through the fault, and return what reached people."""
    truth = fault_of(kind)
    (fault,) = truth.faults
    rounds = []
    for evaluation in evaluations(truth, bundle.rules):
        rounds.append(evaluation)
        minute = (evaluation.at - truth.start) // 60
        if minute % 20 == 0 and evaluation.at % 60 < 30:
            console.print(f"{kind}: minute {minute:.0f} of {truth.noise.hours * 60:.0f}", style="dim")
    shown = [one for one in rounds if one.at >= fault.at - 60]
    console.print(f"{kind}: the alerts of {len(shown)} rounds go to Alertmanager", style="dim")
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        calls = notifications(
            _with_earlier(rounds, shown), bundle.alertmanager / "alertmanager.yaml", Path(folder)
        )
    calls = tuple(call for call in calls if call.at >= fault.at)
    return Storm(truth, fault, calls, _most_firing(rounds))


def _with_earlier(rounds: Sequence[Evaluation], shown: Sequence[Evaluation]) -> list[Evaluation]:
    """Let the first round shown begin with all that fired before it."""
    firing = {}
    for one in rounds:
        if one.at >= shown[0].at:
            break
        for change in one.changes:
            key = tuple(sorted(change.labels.items()))
            if change.state == "firing":
                firing[key] = change
            else:
                firing.pop(key, None)
    first = replace(shown[0], changes=(*firing.values(), *shown[0].changes))
    return [first, *shown[1:]]


def _most_firing(rounds: Sequence[Evaluation]) -> int:
    firing: set[tuple[tuple[str, str], ...]] = set()
    most = 0
    for one in rounds:
        for change in one.changes:
            key = tuple(sorted(change.labels.items()))
            if change.state == "firing":
                firing.add(key)
            else:
                firing.discard(key)
        most = max(most, len(firing))
    return most


def print_calls(storm: Storm, console: Console) -> None:
    """Print every notification but the heartbeat's."""
    for call in storm.calls:
        if call.receiver == "heartbeat":
            continue
        names = {alert["alertname"] for alert in call.alerts}
        nodes = {alert.get("beacon_node", "") for alert in call.alerts}
        console.print(
            f"{storm.fault.kind}: {(call.at - storm.fault.at) / 60:6.1f} min  {call.receiver:8} "
            f"{call.status:9}{len(call.alerts):4} x {', '.join(sorted(names))} {', '.join(sorted(nodes))}"
        )


def figures(dead: Storm, sick: Storm) -> tuple[Figure, ...]:
    """Return the report's figures."""
    return (
        Figure("pages", len(dead.pages), "pages", "== 1"),
        Figure("right_node", int(dead.names_the_node), "of 1", "== 1"),
        Figure("seconds", dead.seconds, "s", "<= 180"),
        Figure("alerts_held_back", dead.most_firing - 1, "alerts"),
        Figure("sick_pages", len(sick.pages), "pages", "== 1"),
        Figure("sick_right_node", int(sick.names_the_node), "of 1", "== 1"),
        Figure("sick_seconds", sick.seconds, "s", "<= 900"),
        Figure("keys", sum(group.keys for group in dead.truth.fleet.groups_behind(_NODE)), "keys"),
    )


def main() -> int:
    """Live through both faults at the same time, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rules.storm", description=__doc__)
    parser.parse_args()
    console = Console()
    bundle = Bundle(_REPOSITORY)
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=2) as executor:
        kinds: tuple[Kind, ...] = ("dead", "sick")
        dead, sick = executor.map(lambda kind: break_node(kind, bundle, console), kinds)
    for storm in (dead, sick):
        print_calls(storm, console)
    report = Report(
        report="storm",
        revision=revision(bundle.root),
        seconds=time.monotonic() - started,
        figures=figures(dead, sick),
    )
    return conclude_report(report, bundle.reports, console)


if __name__ == "__main__":
    sys.exit(main())
