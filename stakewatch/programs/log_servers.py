"""Loki and Promtail as real servers on free loopback ports, and what they answer, as types."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import requests

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import locate
from stakewatch.programs.process import Process, free_port
from stakewatch.programs.servers import get_json, loopback_session, serving

_SECOND = 1_000_000_000
_POST_SECONDS = 30.0
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Line:
    """One log line; `labels` make the stream, `metadata` belongs to the line, `time` is Unix nanoseconds."""

    labels: Mapping[str, str]
    time: int
    text: str
    metadata: Mapping[str, str] = field(default_factory=lambda: _NO_METADATA)


@dataclass(frozen=True)
class RecordingRule:
    """A rule as Loki's ruler has it; `error` is the last evaluation's."""

    group: str
    name: str
    health: str
    error: str


@dataclass(frozen=True)
class Loki:
    """A Loki at `url` (no trailing slash), of one tenant."""

    url: str
    process: Process
    _http: requests.Session = field(default_factory=loopback_session, repr=False, compare=False)

    def push(self, lines: Sequence[Line]) -> None:
        """Write lines as a shipper does.

        Raises StakewatchError with Loki's reason when it takes them not, or not all.
        """
        streams = [
            {
                "stream": dict(line.labels),
                "values": [[str(line.time), line.text, dict(line.metadata)]],
            }
            for line in lines
        ]
        self._post("/loki/api/v1/push", {"streams": streams})

    def flush(self) -> None:
        """Have it write what it holds to its store: lines that are hours old are looked for only there.

        Raises StakewatchError when it does not.
        """
        self._post("/flush", None)

    def _post(self, path: str, content: object) -> None:
        where = f"{self.url}{path}"
        try:
            answer = self._http.post(where, json=content, timeout=_POST_SECONDS)
        except requests.RequestException as error:
            raise StakewatchError(f"no answer: {error}", where=where) from error
        if not answer.ok:
            raise StakewatchError(f"Loki refused: {answer.text.strip()[:500]}", where=where)

    def count(self, selector: str, start: int, end: int | None = None) -> int:
        """Return how many lines a log query finds between two times (Unix nanoseconds).

        Raises StakewatchError when Loki refuses the query or does not answer.
        """
        end = time.time_ns() if end is None else end
        seconds = max(1, -(-(end - start) // _SECOND))
        parameters: dict[str, str | int] = {
            "query": f"sum(count_over_time({selector}[{seconds}s]))",
            "time": end,
        }
        result = get_json(self._http, f"{self.url}/loki/api/v1/query", parameters)["data"]["result"]
        return int(float(result[0]["value"][1])) if result else 0

    def streams(self, selector: str, start: int, end: int | None = None) -> tuple[Mapping[str, str], ...]:
        """Return the labels of all streams that a selector matches between two times (Unix nanoseconds).

        Raises StakewatchError when Loki refuses the selector or does not answer.
        """
        parameters: dict[str, str | int] = {
            "match[]": selector,
            "start": start,
            "end": time.time_ns() if end is None else end,
        }
        data = get_json(self._http, f"{self.url}/loki/api/v1/series", parameters)["data"]
        return tuple(MappingProxyType(labels) for labels in data)

    def rules(self) -> tuple[RecordingRule, ...]:
        """Return all rules that the ruler evaluates.

        Raises StakewatchError when Loki does not answer.
        """
        data = get_json(self._http, f"{self.url}/prometheus/api/v1/rules")["data"]
        return tuple(
            RecordingRule(group["name"], rule["name"], rule["health"], rule.get("lastError", ""))
            for group in data["groups"]
            for rule in group["rules"]
        )


@dataclass(frozen=True)
class Promtail:
    """A Promtail at `url` (no trailing slash)."""

    url: str
    process: Process


@contextlib.contextmanager
def loki(
    configuration: Path,
    folder: Path,
    *,
    port: int | None = None,
    flags: Sequence[str] = (),
    ready_seconds: float = 60.0,
) -> Iterator[Loki]:
    """Run a Loki of one process with this configuration file; its log goes to `folder`.

    Flags win over the file. It waits for no other process that could join. It is stopped when the block ends.
    Raises StakewatchError with the end of its log when it does not become ready.
    """
    program = locate("loki").path
    grpc_port = free_port()

    def arguments(chosen: int) -> list[str | Path]:
        return [
            program,
            f"-config.file={configuration}",
            "-target=all",
            "-server.http-listen-address=127.0.0.1",
            f"-server.http-listen-port={chosen}",
            "-server.grpc-listen-address=127.0.0.1",
            f"-server.grpc-listen-port={grpc_port}",
            "-ingester.min-ready-duration=0s",
            "-ingester.final-sleep=0s",
            *flags,
        ]

    with serving(arguments, folder / "loki.log", port, ready_seconds, "/ready") as (url, process):
        server = Loki(url, process)
        with server._http:  # noqa: SLF001 - ours, closed where it was made
            yield server


@contextlib.contextmanager
def promtail(
    configuration: Path,
    folder: Path,
    *,
    port: int | None = None,
    flags: Sequence[str] = (),
    ready_seconds: float = 30.0,
) -> Iterator[Promtail]:
    """Run a Promtail with this configuration file; its log and positions go to `folder`.

    It is ready when it has found a file to read. It is stopped when the block ends.
    Raises StakewatchError with the end of its log when it does not become ready.
    """
    program = locate("promtail").path

    def arguments(chosen: int) -> list[str | Path]:
        return [
            program,
            f"-config.file={configuration}",
            f"-positions.file={folder / 'positions.yaml'}",
            "-server.http-listen-address=127.0.0.1",
            f"-server.http-listen-port={chosen}",
            "-server.grpc-listen-address=127.0.0.1",
            "-server.grpc-listen-port=0",
            *flags,
        ]

    with serving(arguments, folder / "promtail.log", port, ready_seconds, "/ready") as (url, process):
        yield Promtail(url, process)
