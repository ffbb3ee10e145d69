"""Publishing: whether it comes out right whatever happened, and how long a plan takes.

`python -m tests.bench.publish` writes the report `publish`. Everything is on loopback and ends by itself:
500 random sequences of edits and failures, a kill at every call of a publication, and plans of 100 rule
namespaces and 50 dashboards at services that take 50 ms for each call.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from rich.console import Console

from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.publishing.plans import Plan
from stakewatch.publishing.sessions import Prepared, plan_each
from tests.unit.publishing import fake_grafana
from tests.unit.publishing.amp_scene import Scene, amp_scene, rules
from tests.unit.publishing.kill_points import CASES, kill_points
from tests.unit.publishing.publishing_to import make, publish, write_board
from tests.unit.publishing.sequences import Verdict, run_sequence

_REPOSITORY = Path(__file__).parents[2]
_NAMESPACES = 100
_DASHBOARDS = 50
_CALL_SECONDS = 0.05
# The default of the quota of the service: API operations per second in a region.
_CALLS_PER_SECOND = 10
_TOLD = 50


@dataclass(frozen=True)
class Plans:
    """Seconds that plans took, and the most calls that reached the service in any second."""

    seconds: float
    unremembered_seconds: float
    most_calls: int


def sequences(count: int, console: Console) -> list[Verdict]:
    """Run `count` sequences and tell of each that did not come out right."""
    verdicts = []
    for seed in range(count):
        with tempfile.TemporaryDirectory(prefix="publish-") as folder:
            verdict = run_sequence(seed, Path(folder))
        verdicts.append(verdict)
        if verdict.wrong or verdict.second_round:
            console.print(f"sequence {seed}: {verdict}")
        if len(verdicts) % _TOLD == 0:
            console.print(f"{len(verdicts)} of {count} sequences")
    return verdicts


def unconverged(step: int, console: Console) -> tuple[int, int]:
    """Kill publications at their calls; return how many kills there were and after how many it went wrong."""
    points = wrong = 0
    with tempfile.TemporaryDirectory(prefix="publish-") as folder:
        for case in sorted(CASES):
            for point in kill_points(case, Path(folder), step=step):
                points += 1
                if point.wrong:
                    wrong += 1
                    console.print(str(point))
    return points, wrong


def plans() -> Plans:
    """Publish all of a large bundle, change some of it there, and time a plan of it."""
    with tempfile.TemporaryDirectory(prefix="publish-") as temporary, _both(Path(temporary)) as both:
        scene, grafana = both
        for number in range(0, _NAMESPACES, 10):
            scene.fake.write(f"stakewatch-file{number}", rules("edited", number))
        for number in range(0, _DASHBOARDS, 10):
            grafana.save_in_browser(f"board{number}", title="edited")
        scene.fake.seconds = grafana.delay_seconds = _CALL_SECONDS
        seconds, most = _timed(scene, grafana)
        for stored in scene.fake.namespaces.values():
            stored.tags.pop("stakewatch-content", None)
        unremembered, most_then = _timed(scene, grafana)
    return Plans(seconds, unremembered, max(most, most_then))


@contextmanager
def _both(folder: Path) -> Iterator[tuple[Scene, fake_grafana.FakeGrafana]]:
    """Serve a workspace and a Grafana that hold all that the bundle in `folder` says."""
    token = patch.dict(os.environ, {"GRAFANA_TOKEN": fake_grafana.ADMIN})
    with amp_scene(folder) as scene, fake_grafana.serving(fake_grafana.FakeGrafana()) as grafana, token:
        for number in range(_NAMESPACES):
            scene.write_rules(f"file{number}.yaml", rules(f"group{number}"))
        for number in range(_DASHBOARDS):
            write_board(folder, f"board{number}")
        scene.remove_rules("beacon.yaml")
        scene.remove_rules("storage.yaml")
        failed = [str(one.error) for one in scene.apply() if one.error is not None]
        failed += publish(make(folder, "grafana", url=grafana.url)).errors
        if failed:
            raise RuntimeError(failed)
        yield scene, grafana
        if grafana.wrong:
            raise RuntimeError(grafana.wrong)


def _timed(scene: Scene, grafana: fake_grafana.FakeGrafana) -> tuple[float, int]:
    """Return the seconds that a plan of both targets takes, and the most calls in any second."""
    scene.fake.calls.clear()
    targets = (
        Prepared(Destination("amp", "amp"), scene.target(calls_per_second=_CALLS_PER_SECOND)),
        Prepared(Destination("grafana", "grafana"), make(scene.folder, "grafana", url=grafana.url)),
    )
    started = time.monotonic()
    made = plan_each(targets)
    seconds = time.monotonic() - started
    changes = [len(plan.applied) for plan in made if isinstance(plan, Plan)]
    if changes != [_NAMESPACES // 10, _DASHBOARDS // 10]:
        raise RuntimeError(f"the plans are not right: {made}")
    # Service Quotas is a service of its own, with a limit of its own.
    times = [moment for moment, name in scene.fake.calls if not name.endswith("ServiceQuotas")]
    return seconds, max(sum(1 for one in times if first <= one < first + 1) for first in times)


def main() -> int:
    """Measure and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.publish", description=__doc__)
    parser.add_argument("--sequences", type=int, default=500, help="random sequences (default: 500)")
    parser.add_argument("--step", type=int, default=1, help="kill at every STEPth call (default: each)")
    arguments = parser.parse_args()
    console = Console(width=120)
    bundle = Bundle(_REPOSITORY)
    started = time.monotonic()
    timed = plans()
    console.print(f"plans: {timed}")
    points, wrong = unconverged(arguments.step, console)
    console.print(f"{points} kills")
    verdicts = sequences(arguments.sequences, console)
    figures = (
        Figure("second_apply_changes", sum(len(one.second_round) for one in verdicts), "calls", "== 0"),
        Figure("wrong_in_the_end", sum(len(one.wrong) for one in verdicts), "objects", "== 0"),
        Figure("sequences", len(verdicts), "sequences"),
        Figure("kill_points_unconverged", wrong, "kills", "== 0"),
        Figure("kill_points", points, "kills"),
        Figure("plan_seconds", timed.seconds, "s", "< 10"),
        Figure("plan_seconds_unremembered", timed.unremembered_seconds, "s"),
        Figure("calls_per_second", timed.most_calls, "calls", f"<= {_CALLS_PER_SECOND}"),
    )
    report = Report("publish", revision(bundle.root), time.monotonic() - started, figures)
    return conclude_report(report, bundle.reports, console)


if __name__ == "__main__":
    sys.exit(main())
