"""A real Promtail that is killed while Loki does not answer, and the lines that it had read by then."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from stakewatch.logs.loki_api import find_lines
from stakewatch.logs.trace import SECOND
from stakewatch.programs.log_servers import Loki
from tests.bench.logs import stack as stacks
from tests.bench.logs.shipping import rfc3339, wait_for
from tests.bench.logs.stack import Stack, new_stack

LONGEST_SECONDS = 60.0
HOUR = 3600 * SECOND
# Before Loki falls silent, and after.
DELIVERED, ON_THE_WAY = 100, 1000
EVERY_LINE = list(range(DELIVERED + ON_THE_WAY))
LABELS = {"cluster": "eks-1", "role": "beacon", "implementation": "teku", "level": "info"}
FLAGS = ["-positions.sync-period=200ms"]


@dataclass(frozen=True)
class Log:
    """A file in the form of a runtime; so long are the first lines apart, in nanoseconds."""

    name: str
    runtime: str
    apart_ns: int

    def line(self, time_ns: int, text: str) -> str:
        if self.runtime == "cri":
            return f"{rfc3339(time_ns)} stderr F {text}\n"
        content = {"log": f"{text}\n", "stream": "stderr", "time": rfc3339(time_ns)}
        return f"{json.dumps(content, separators=(',', ':'))}\n"

    def text(self, numbers: range, start_ns: int) -> str:
        ages = (max(0, DELIVERED - number) * self.apart_ns - number for number in numbers)
        return "".join(
            self.line(start_ns - age, f"number={number}") for number, age in zip(numbers, ages, strict=True)
        )


# Loki refuses what is more than an hour behind its stream's newest line: most of what comes again of `slow`.
LOGS = (Log("cri", "cri", SECOND), Log("docker", "docker", SECOND), Log("slow", "cri", 2 * HOUR // DELIVERED))


@contextmanager
def silent(loki: Loki) -> Iterator[None]:
    """Let Loki hang, with all that it has in memory."""
    os.kill(loki.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(loki.process.pid, signal.SIGCONT)


def write(stack: Stack, numbers: range, start_ns: int) -> None:
    """Write lines of these numbers to each file."""
    for log in LOGS:
        path = stack.log_file(log.name, {**LABELS, "instance": log.name}, runtime=log.runtime)
        with path.open("a", encoding="utf-8") as file:
            file.write(log.text(numbers, start_ns))


def arrived(stack: Stack, log: Log) -> list[int]:
    """Return the numbers of a file's lines that Loki has, in order, each as often as it has it."""
    now = time.time_ns()
    found = find_lines(stack.address, f'{{instance="{log.name}"}}', now - 3 * HOUR, now, 10_000)
    return sorted(int(re.findall(r"number=(\d+)", line.text)[0]) for line in found.lines)


def noted(stack: Stack) -> dict[str, int]:
    """Return how far the shipper says that it has read each file."""
    found = re.findall(r"/(\w+)\.log: \"(\d+)\"", stack.positions.read_text(encoding="utf-8"))
    return {name: int(position) for name, position in found}


def killed_on_the_way(stack: Stack, loki: Loki) -> None:
    """Have lines delivered, Loki silent, more lines read, and the shipper killed when it has noted that."""
    start_ns = time.time_ns()
    write(stack, range(DELIVERED), start_ns)
    with stack.promtail(FLAGS) as shipper:
        for log in LOGS:
            wait_for(partial(arrived, stack, log), lambda found: len(found) == DELIVERED, LONGEST_SECONDS)
        ends = {log.name: (stack.logs / f"{log.name}.log").stat().st_size for log in LOGS}
        with silent(loki):
            write(stack, range(DELIVERED, DELIVERED + ON_THE_WAY), start_ns)
            ahead = wait_for(
                lambda: [log.name for log in LOGS if noted(stack).get(log.name, 0) > ends[log.name]],
                lambda names: len(names) == len(LOGS),
                LONGEST_SECONDS,
            )
            assert len(ahead) == len(LOGS)
            shipper.process.kill()


def test_lines_that_were_read_and_not_delivered_when_the_shipper_was_killed_come_once(tmp_path: Path) -> None:
    stack = new_stack(tmp_path)
    with stack.loki() as loki:
        killed_on_the_way(stack, loki)
        with stack.promtail(FLAGS):
            for log in LOGS:
                found = wait_for(
                    partial(arrived, stack, log),
                    lambda found: len(found) >= len(EVERY_LINE),
                    LONGEST_SECONDS,
                )
                assert found == EVERY_LINE, log.name


def test_without_going_back_such_lines_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "REWIND", "/dev/null")
    stack = new_stack(tmp_path)
    with stack.loki() as loki:
        killed_on_the_way(stack, loki)
        last = len(EVERY_LINE)
        write(stack, range(last, last + 1), time.time_ns())
        with stack.promtail(FLAGS):
            found = wait_for(partial(arrived, stack, LOGS[0]), lambda found: last in found, LONGEST_SECONDS)
            assert last in found
            assert len(found) < last
