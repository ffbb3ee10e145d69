"""What all rules cost in a real Prometheus: 10,000 keys, 40 groups, 60 nodes, hours of history.

`python -m tests.bench.rules.speed` writes the report `bench-rules`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from rich.console import Console

from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.programs.servers import Prometheus, prometheus
from stakewatch.rules.clock import rule_clock
from stakewatch.rules.files import rule_paths
from stakewatch.rules.replay.fleet import spread_fleet
from stakewatch.rules.replay.rounds import EVALUATION_SECONDS, SCRAPE_SECONDS, Model
from stakewatch.rules.replay.truth import EPOCH_SECONDS, Truth, load_noise

_REPOSITORY = Path(__file__).parents[3]
# The longest ranges that look at many series are of six hours; records are looked back at for less than one.
_HISTORY_HOURS = 6.2
_RECORDED_SECONDS = 2400
_WARM_UP_SECONDS = 75
_ROUNDS = 6
_SLOWEST = 5


class _Exposition:
    """The text of a scrape, made anew for each: all series of the model, their labels rendered once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._lines = [_rendered(labels) for labels in model.board.labels]

    def text(self) -> bytes:
        """Return what a scrape gets now."""
        with self._lock:
            board = self._model.board
            self._model.update(time.time())
            pairs = zip(self._lines, board.values.tolist(), board.live.tolist(), strict=True)
            return "".join(f"{line} {value!r}\n" for line, value, live in pairs if live).encode()


def _rendered(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
    return f"{labels['__name__']}{{{inner}}}"


@contextmanager
def _serving(exposition: _Exposition) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = exposition.text()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_history(model: Model, rules: Path, folder: Path, console: Console) -> None:
    """Write samples from the truth's start until now as a Prometheus database; records for its last part."""
    truth = model.truth
    with rule_clock(rule_paths(rules), folder) as clock:
        model.board.announce(clock)
        at = truth.start
        # Writing takes time, in which more history passes: the end is chased.
        while at < time.time():
            model.update(at)
            model.board.scrape(clock, at)
            recorded = at > truth.start + _HISTORY_HOURS * 3600 - _RECORDED_SECONDS
            if recorded and (at - truth.start) % EVALUATION_SECONDS == 0:
                clock.evaluate(at + 1)
            if (at - truth.start) % 3600 == 0:
                console.print(f"history: hour {(at - truth.start) / 3600:.0f}", style="dim")
            at += SCRAPE_SECONDS


def measure(server: Prometheus, console: Console) -> tuple[list[float], Mapping[str, float], float]:
    """Return the seconds of each round, each group's mean, and the CPU seconds of a round and its scrapes."""
    time.sleep(_WARM_UP_SECONDS)
    rounds: list[float] = []
    groups: defaultdict[str, float] = defaultdict(float)
    cpu = _cpu_seconds(server.process.pid)
    for number in range(_ROUNDS):
        time.sleep(EVALUATION_SECONDS)
        rules = server.rules()
        broken = [rule for rule in rules if rule.health == "err"]
        if broken:
            raise AssertionError(f"{broken[0].name} fails: {broken[0].error}")
        rounds.append(sum(rule.evaluation_seconds for rule in rules))
        for rule in rules:
            groups[rule.group] += rule.evaluation_seconds / _ROUNDS
        console.print(f"round {number + 1} of {_ROUNDS}: {rounds[-1]:.3f} s", style="dim")
    return rounds, groups, (_cpu_seconds(server.process.pid) - cpu) / _ROUNDS


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def configuration(target: str, rules: Path) -> str:
    """Return a Prometheus configuration that scrapes the model and evaluates the rules."""
    return yaml.safe_dump(
        {
            "global": {
                "scrape_interval": f"{SCRAPE_SECONDS}s",
                "scrape_timeout": "14s",
                "evaluation_interval": f"{EVALUATION_SECONDS}s",
            },
            "rule_files": [str(path) for path in rule_paths(rules)],
            "scrape_configs": [
                {"job_name": "fleet", "honor_labels": True, "static_configs": [{"targets": [target]}]}
            ],
        }
    )


def main() -> int:
    """Write the history, measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rules.speed", description=__doc__)
    parser.parse_args()
    console = Console()
    bundle = Bundle(_REPOSITORY)
    started = time.monotonic()
    noise = replace(load_noise(), hours=_HISTORY_HOURS + 3, upgrade_begins=None)
    now = int(time.time()) // EVALUATION_SECONDS * EVALUATION_SECONDS
    genesis = now - int(_HISTORY_HOURS * 3600) - 4 * EPOCH_SECONDS
    model = Model(Truth(spread_fleet(), noise, genesis=genesis))
    with tempfile.TemporaryDirectory(prefix="bench-rules-") as temporary:
        folder = Path(temporary)
        write_history(model, bundle.rules, folder / "prometheus-data", console)
        with _serving(_Exposition(model)) as target:
            file = folder / "prometheus.yaml"
            file.write_text(configuration(target, bundle.rules), encoding="utf-8")
            with prometheus(file, folder, ready_seconds=120) as server:
                rounds, groups, cpu = measure(server, console)
                (live,) = server.query('count({__name__=~".+", job!="fleet"})')
    slowest = sorted(groups.items(), key=lambda one: -one[1])[:_SLOWEST]
    for name, seconds in slowest:
        console.print(f"{seconds:8.4f} s  {name}")
    figures = (
        Figure("seconds_per_round", statistics.median(rounds), "s", "< 1"),
        Figure("slowest_group_seconds", slowest[0][1], "s"),
        Figure("cpu_seconds_per_round", cpu, "s"),
        Figure("series", live.value, "series"),
        Figure("groups", len(groups), "rule groups"),
        Figure("history", _HISTORY_HOURS, "h"),
    )
    report = Report("bench-rules", revision(bundle.root), time.monotonic() - started, figures)
    return conclude_report(report, bundle.reports, console)


if __name__ == "__main__":
    sys.exit(main())
