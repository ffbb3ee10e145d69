"""Publishing: whether it comes out right whatever happened, and how long a plan takes.

`python -m tests.bench.publish` writes the report `publish`. Everything is on loopback and ends by itself:
at a workspace, a Grafana and a Prometheus 500 random sequences each of edits and failures, and a kill at
every call of a publication; and plans of 100 rule namespaces and 50 dashboards at services that take 50 ms
for each call.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from unittest.mock import patch

from rich.console import Console

from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.publishing.plans import Plan
from stakewatch.publishing.sessions import Prepared, plan_each
from tests.unit.publishing import (
    fake_grafana,
    grafana_kill_points,
    grafana_sequences,
    kill_points,
    prometheus_kill_points,
    prometheus_sequences,
    sequences,
)
from tests.unit.publishing.amp_scene import Scene, amp_scene, rules
from tests.unit.publishing.killing import KillPoint, KillPoints
from tests.unit.publishing.publishing_to import make, publish, write_board
from tests.unit.publishing.sequences import Verdict

_REPOSITORY = Path(__file__).parents[2]
_NAMESPACES = 100
_DASHBOARDS = 50
_CALL_SECONDS = 0.05
# The default of the quota of the service: API operations per second in a region.
_CALLS_PER_SECOND = 10
_TOLD = 100
_SEQUENCES: Mapping[str, Callable[[int, Path], Verdict]] = {
    "amp": sequences.run_sequence,
    "grafana": grafana_sequences.run_sequence,
    "prometheus": prometheus_sequences.run_sequence,
}
_KILLS: Mapping[str, KillPoints] = {
    "amp": kill_points.kill_points,
    "grafana": grafana_kill_points.kill_points,
    "prometheus": prometheus_kill_points.kill_points,
}
_CASES = ("empty", "published")


@dataclass(frozen=True)
class Plans:
    """Seconds that plans took, and the most calls that reached the service in any second."""

    seconds: float
    unremembered_seconds: float
    most_calls: int


def run_sequences(pool: ProcessPoolExecutor, count: int, console: Console) -> list[Verdict]:
    """Run `count` sequences at each type of target and tell of each that did not come out right."""
    verdicts = []
    todo = [(name, seed) for name in _SEQUENCES for seed in range(count)]
    for (name, seed), verdict in zip(todo, pool.map(_sequence, *zip(*todo, strict=True)), strict=True):
        verdicts.append(verdict)
        if verdict.wrong or verdict.second_round:
            console.print(f"{name}, sequence {seed}: {verdict}")
        if (seed + 1) % _TOLD == 0:
            console.print(f"{name}: {seed + 1} of {count} sequences")
    return verdicts


def _end_with_parent() -> None:
    """Let this process end when the one that measures is killed."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _sequence(name: str, seed: int) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="publish-") as folder:
        return _SEQUENCES[name](seed, Path(folder))


def run_kills(pool: ProcessPoolExecutor, step: int, console: Console) -> Mapping[str, list[KillPoint]]:
    """Kill publications at each type of target at their calls and tell after which it went wrong."""
    points: dict[str, list[KillPoint]] = {name: [] for name in _KILLS}
    todo = [(name, case, step) for name in _KILLS for case in _CASES]
    for (name, _, _), found in zip(todo, pool.map(_killed, *zip(*todo, strict=True)), strict=True):
        points[name] += found
        for point in found:
            if point.wrong:
                console.print(f"{name}: {point}")
    console.print(", ".join(f"{name}: {len(found)} kills" for name, found in points.items()))
    return points


def _killed(name: str, case: str, step: int) -> list[KillPoint]:
    with tempfile.TemporaryDirectory(prefix="publish-") as folder:
        return list(_KILLS[name](case, Path(folder), step))


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
    parser.add_argument("--sequences", type=int, default=500, help="at each type of target (default: 500)")
    parser.add_argument("--step", type=int, default=1, help="kill at every STEPth call (default: each)")
    arguments = parser.parse_args()
    console = Console(width=120)
    bundle = Bundle(_REPOSITORY)
    started = time.monotonic()
    timed = plans()
    console.print(f"plans: {timed}")
    context = get_context("forkserver")
    with ProcessPoolExecutor(mp_context=context, initializer=_end_with_parent) as pool:
        kills = run_kills(pool, arguments.step, console)
        verdicts = run_sequences(pool, arguments.sequences, console)
    unconverged = sum(1 for points in kills.values() for point in points if point.wrong)
    figures = (
        Figure("second_apply_changes", sum(len(one.second_round) for one in verdicts), "calls", "== 0"),
        Figure("wrong_in_the_end", sum(len(one.wrong) for one in verdicts), "objects", "== 0"),
        Figure("sequences", len(verdicts), "sequences"),
        Figure("kill_points_unconverged", unconverged, "kills", "== 0"),
        *(Figure(f"kill_points_{name}", len(points), "kills") for name, points in kills.items()),
        Figure("plan_seconds", timed.seconds, "s", "< 10"),
        Figure("plan_seconds_unremembered", timed.unremembered_seconds, "s"),
        Figure("calls_per_second", timed.most_calls, "calls", f"<= {_CALLS_PER_SECOND}"),
    )
    report = Report("publish", revision(bundle.root), time.monotonic() - started, figures)
    return conclude_report(report, bundle.reports, console)


if __name__ == "__main__":
    sys.exit(main())
