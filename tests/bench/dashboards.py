"""The boards: how many, what is wrong with them, how long they take, and whether any panel is dead.

`python -m tests.bench.dashboards` starts the demo's fleet itself and writes the report `dashboards`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from stakewatch.bundle.checks import run_checks
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.demo.quiet import WARM_UP_SECONDS, warmed_up
from stakewatch.grafana.generation import generate, load_boards
from stakewatch.grafana.preview.allowed import allowances_of
from stakewatch.grafana.preview.page import Preview
from stakewatch.grafana.preview.results import Sources
from stakewatch.grafana.preview.run import Board, boards_of, not_allowed, preview_now
from stakewatch.grafana.remote import connect
from stakewatch.grafana.setting import setting_of

_REPOSITORY = Path(__file__).parents[2]
_BOARDS = 21
_PASSES = 3


def generate_seconds(bundle: Bundle) -> float:
    """Return how long it takes to make all boards' JSON from their modules and the rule files."""
    started = time.perf_counter()
    generate(load_boards(bundle), setting_of(bundle, Configuration()))
    return time.perf_counter() - started


def findings(bundle: Bundle, console: Console) -> float:
    """Return how much the checks on boards find, and print it; NaN where one could not be carried out."""
    found = 0
    for outcome in run_checks(bundle, Configuration(), ("grafana",), lambda _: None):
        for finding in outcome.findings:
            console.print(f"{finding.path.name}:{finding.line}: {finding.message}", soft_wrap=True)
        if outcome.error is not None:
            console.print(f"{outcome.check.name}: {outcome.error}", soft_wrap=True)
            return float("nan")
        found += len(outcome.findings)
    return found


def ask(bundle: Bundle, boards: Sequence[Board], console: Console) -> list[tuple[Preview, ...]]:
    """Return what the demo's Prometheus answers to all boards, several times."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-dashboards-") as folder,
        warmed_up(bundle, Path(folder) / "demo", console.print) as fleet,
    ):
        remote = connect(fleet.prometheus.url)
        passes = []
        for number in range(_PASSES):
            console.print(f"all queries of all boards, time {number + 1} of {_PASSES}", style="dim")
            passes.append(
                preview_now(Sources(remote), bundle, boards, lambda _: None, seconds=float(WARM_UP_SECONDS))
            )
        return passes


def main() -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dashboards", description=__doc__)
    parser.parse_args()
    console = Console(highlight=False)
    bundle = Bundle(_REPOSITORY)
    started = time.monotonic()
    seconds = generate_seconds(bundle)
    wrong = findings(bundle, console)
    boards = boards_of(bundle, Configuration())
    passes = ask(bundle, boards, console)
    dead = not_allowed(passes[-1], allowances_of(bundle, boards))
    for uid, panel in dead:
        console.print(f"{uid}: {panel} has no data", soft_wrap=True)
    took = {
        # What else the machine does only adds to it.
        preview.board.uid: min(each[place].board.seconds for each in passes)
        for place, preview in enumerate(passes[0])
    }
    heaviest = max(took, key=lambda uid: took[uid])
    console.print(f"the heaviest board is {heaviest}", style="dim")
    figures = (
        Figure("count", len(boards), "boards", f"== {_BOARDS}"),
        Figure("findings", wrong, "findings", "== 0"),
        Figure("empty_panels", len(dead), "panels", "== 0"),
        Figure("generate_seconds", seconds, "s", "< 2"),
        Figure("heaviest_board_seconds", took[heaviest], "s", "< 1"),
        Figure("all_boards_seconds", sum(took.values()), "s"),
        Figure("panels", sum(preview.panels for preview in passes[0]), "panels"),
    )
    report = Report("dashboards", revision(bundle.root), time.monotonic() - started, figures)
    return conclude_report(report, bundle.reports, console)


if __name__ == "__main__":
    sys.exit(main())
