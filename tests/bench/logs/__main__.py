"""Logs end to end: what is read, how fast an alert comes, what is lost under load, what is kept.

`python -m tests.bench.logs` writes the report `logs-e2e`; it takes about ten minutes.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.logs.compilation import stages_of
from stakewatch.logs.interpretation import interpret
from stakewatch.logs.pipelines import load_pipelines
from stakewatch.logs.samples import load_samples
from tests.bench.logs.alert_delay import alert_delays
from tests.bench.logs.load import run
from tests.bench.logs.retention import kept
from tests.bench.logs.shipping import OLD_LINES, arrived, ship, wait_for
from tests.bench.logs.stack import REPOSITORY, new_stack

_PAUSES = (5.0, 17.3, 11.1, 23.7, 13.9)
_MEBIBYTE = 1024 * 1024
_ARRIVAL_SECONDS = 60.0
_RETENTION_SECONDS = 120.0


def main() -> int:
    """Measure, write the report and return 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=5000, help="lines per second (default: 5000)")
    parser.add_argument("--seconds", type=float, default=300.0, help="for so long (default: 300)")
    parser.add_argument("--folder", type=Path, help="where the data goes (default: a temporary folder)")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="logs-e2e-") as folder:
        figures = [
            *_fields(Path(folder, "fields")),
            *_alerts(Path(folder, "alerts")),
            *_retention(Path(folder, "retention")),
            *_load(Path(folder, "load"), arguments.rate, arguments.seconds),
        ]
    report = Report("logs-e2e", revision(REPOSITORY), round(time.monotonic() - started, 1), tuple(figures))
    return conclude_report(report, Bundle(REPOSITORY).reports, Console())


def _fields(folder: Path) -> Sequence[Figure]:
    """Return how many of the samples come out as they say, in Python and through Promtail and Loki."""
    folder.mkdir()
    samples = load_samples(REPOSITORY / "tests" / "samples" / "logs")
    stages = stages_of(load_pipelines(REPOSITORY / "loki" / "pipelines.yaml"))
    ours = sum(not any(sample.differences(interpret(stages, sample.entry()))) for sample in samples)
    stack = new_stack(folder)
    shipments = ship(stack, samples)
    theirs = 0
    with stack.loki(OLD_LINES) as loki, stack.promtail():
        for shipment in shipments:
            entry = wait_for(lambda one=shipment: arrived(stack, loki, one), bool, _ARRIVAL_SECONDS)  # type: ignore[misc] # bound now
            theirs += entry is not None and not any(shipment.sample.differences(entry))
    return (
        Figure("samples", len(samples), "lines"),
        Figure("fields_percent_python", 100 * ours / len(samples), "%", "== 100"),
        Figure("fields_percent", 100 * theirs / len(samples), "%", "== 100"),
    )


def _alerts(folder: Path) -> Sequence[Figure]:
    folder.mkdir()
    delays = alert_delays(new_stack(folder), _PAUSES)
    return (
        Figure("alert_seconds", round(max(delays), 1), "s", "< 60"),
        Figure("alert_seconds_mean", round(math.fsum(delays) / len(delays), 1), "s"),
    )


def _retention(folder: Path) -> Sequence[Figure]:
    folder.mkdir()
    found = kept(new_stack(folder), _RETENTION_SECONDS)
    return (
        Figure("old_lines_taken", len(found.at_first), "lines", "== 2"),
        Figure("days_89_kept", 89 in found.in_the_end, "lines", "== 1"),
        Figure("days_91_kept", 91 in found.in_the_end, "lines", "== 0"),
    )


def _load(folder: Path, rate: int, seconds: float) -> Sequence[Figure]:
    folder.mkdir()
    outcome = run(new_stack(folder), rate, seconds)
    return (
        Figure("lines_per_second", round(outcome.lines_per_second), "1/s", f">= {round(rate * 0.95)}"),
        Figure("written_for_seconds", round(outcome.seconds), "s", ">= 290"),
        Figure("written_lines", outcome.written, "lines"),
        Figure("lost_lines", outcome.lost, "lines", "== 0"),
        Figure("duplicate_lines", outcome.duplicates, "lines"),
        Figure("catch_up_seconds", round(outcome.catch_up_seconds, 1), "s"),
        Figure("shipper_cpu_us_per_line", round(1e6 * outcome.shipper_cpu_seconds / outcome.written), "us"),
        Figure("shipper_mib", round(outcome.shipper_bytes / _MEBIBYTE, 1), "MiB", "< 200"),
        Figure("streams", outcome.streams, "streams", "< 1000"),
        Figure("streams_of_new_keys", outcome.streams_of_new_keys, "streams", "== 0"),
    )


if __name__ == "__main__":
    sys.exit(main())
