"""Sample lines through a real Promtail into a real Loki, and what comes out there."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from stakewatch.logs.interpretation import Entry
from stakewatch.logs.loki_api import LogLine, find_lines
from stakewatch.logs.samples import Sample
from stakewatch.logs.trace import SECOND
from stakewatch.programs.log_servers import Loki
from tests.bench.logs.stack import Stack

# Lines keep the time that their programs gave them, years back: all of it can be asked for.
OLD_LINES = {
    "schema_config": {
        "configs": [
            {
                "from": "2015-01-01",
                "store": "tsdb",
                "object_store": "filesystem",
                "schema": "v13",
                "index": {"prefix": "index_", "period": "24h"},
            }
        ]
    },
    "limits_config": {"max_query_lookback": "0s", "retention_period": "0s", "reject_old_samples": False},
    "compactor": {"retention_enabled": False},
}
_DAY = 86_400 * SECOND
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Shipment:
    """A sample as the only line of a log file of its own, so that its instance says which it is."""

    sample: Sample
    instance: str


def ship(stack: Stack, samples: Iterable[Sample]) -> tuple[Shipment, ...]:
    """Write each sample to a log file of its own, which Promtail will find."""
    shipments = []
    for number, sample in enumerate(samples):
        instance = f"sample-{number}"
        own = replace(sample, labels={**sample.labels, "instance": instance})
        labels = {name: value for name, value in own.labels.items() if value}
        stack.log_file(instance, labels).write_bytes(own.line.encode("utf-8", "surrogateescape") + b"\n")
        shipments.append(Shipment(own, instance))
    return tuple(shipments)


def in_container(sample: Sample, time_ns: int) -> Sample:
    """Return a sample as a container runtime writes it down at a time (Unix nanoseconds)."""
    line = f"{rfc3339(time_ns)} stderr F {sample.line}"
    return replace(sample, line=line, labels={**sample.labels, "runtime": "cri"}, time_ns=time_ns)


def arrived(stack: Stack, loki: Loki, shipment: Shipment) -> Entry | None:
    """Return what Loki has of a shipped sample, None as long as it has nothing.

    Its time is None where the sample's is: then it is that of reading.
    """
    sample = shipment.sample
    start = time.time_ns() - _DAY if sample.time_ns is None else sample.time_ns
    end = time.time_ns() + _DAY if sample.time_ns is None else sample.time_ns + SECOND
    found = find_lines(stack.address, f'{{instance="{shipment.instance}"}}', start, end, 10).lines
    if not found:
        loki.flush()
    return as_entry(found[0], timed=sample.time_ns is not None) if found else None


def as_entry(line: LogLine, *, timed: bool) -> Entry:
    """Return a line of Loki's in the form in which our own interpreter gives it."""
    return Entry(line.text, line.labels, line.time_ns if timed else None, line.metadata)


def wait_for(
    ask: Callable[[], _Answer], good: Callable[[_Answer], bool], seconds: float, poll_seconds: float = 0.1
) -> _Answer:
    """Return the first good answer, or the last one when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if good(answer) or time.monotonic() > deadline:
            return answer
        time.sleep(poll_seconds)


def rfc3339(time_ns: int) -> str:
    """Return a time as container runtimes write it."""
    seconds, rest = divmod(time_ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
