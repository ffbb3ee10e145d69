"""Prometheus and Alertmanager as real servers on a free loopback port, and what they answer, as types."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import locate
from stakewatch.programs.process import Process, free_port, tail

_POLL_SECONDS = 0.05
_REQUEST_SECONDS = 10.0
_ATTEMPTS = 3
_NO_LABELS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Sample:
    """One element of a query's answer; a scalar has no labels. `time` is Unix seconds."""

    labels: Mapping[str, str]
    value: float
    time: float


@dataclass(frozen=True)
class PrometheusAlert:
    """An alert as Prometheus has it; `state` is `pending` or `firing`."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    value: float

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


@dataclass(frozen=True)
class Rule:
    """A loaded rule; `state` is empty for a recording rule, `error` is the last evaluation's.

    `health` is `ok`, `err`, or `unknown` before the first evaluation, within an interval of its group.
    """

    name: str
    group: str
    file: str
    expression: str
    health: str
    error: str
    state: str
    interval_seconds: float
    evaluation_seconds: float


@dataclass(frozen=True)
class Target:
    """A scrape target; `health` is `up`, `down` or `unknown`."""

    labels: Mapping[str, str]
    url: str
    health: str
    error: str


@dataclass(frozen=True)
class AlertmanagerAlert:
    """An alert as Alertmanager has it; `inhibited_by` are fingerprints."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    inhibited_by: tuple[str, ...]
    receivers: tuple[str, ...]
    fingerprint: str

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


def loopback_session() -> requests.Session:
    """Return a session for servers that we started."""
    session = requests.Session()
    # These servers are on loopback: no proxy of the environment, no netrc.
    session.trust_env = False
    return session


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus at `url` (no trailing slash)."""

    url: str
    process: Process
    _http: requests.Session = field(default_factory=loopback_session, repr=False, compare=False)

    def query(self, expression: str, at: float | None = None) -> tuple[Sample, ...]:
        """Evaluate an instant query that gives a vector or a scalar, now or at a Unix time.

        Raises StakewatchError when Prometheus refuses it or does not answer.
        """
        client = PrometheusConnect(url=self.url, session=self._http, timeout=int(_REQUEST_SECONDS))
        parameters = {} if at is None else {"time": repr(at)}
        try:
            result = client.custom_query(expression, params=parameters)
        except PrometheusApiClientException as error:
            raise StakewatchError(f"the query was refused: {error}", where=self.url) from error
        except requests.RequestException as error:
            raise StakewatchError(f"Prometheus does not answer: {error}", where=self.url) from error
        if result and not isinstance(result[0], dict):
            return (Sample(_NO_LABELS, float(result[1]), float(result[0])),)
        return tuple(
            Sample(MappingProxyType(item["metric"]), float(item["value"][1]), float(item["value"][0]))
            for item in result
        )

    def alerts(self) -> tuple[PrometheusAlert, ...]:
        """Return all pending and firing alerts.

        Raises StakewatchError when Prometheus does not answer.
        """
        data = get_json(self._http, f"{self.url}/api/v1/alerts")["data"]
        return tuple(
            PrometheusAlert(
                labels=MappingProxyType(alert["labels"]),
                annotations=MappingProxyType(alert["annotations"]),
                state=alert["state"],
                value=float(alert["value"]),
            )
            for alert in data["alerts"]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Return all loaded rules in the order of their evaluation.

        Raises StakewatchError when Prometheus does not answer.
        """
        data = get_json(self._http, f"{self.url}/api/v1/rules")["data"]
        return tuple(
            Rule(
                name=rule["name"],
                group=group["name"],
                file=group["file"],
                expression=rule["query"],
                health=rule["health"],
                error=rule.get("lastError", ""),
                state=rule.get("state", ""),
                interval_seconds=float(group["interval"]),
                evaluation_seconds=float(rule["evaluationTime"]),
            )
            for group in data["groups"]
            for rule in group["rules"]
        )

    def targets(self) -> tuple[Target, ...]:
        """Return all active scrape targets.

        Raises StakewatchError when Prometheus does not answer.
        """
        data = get_json(self._http, f"{self.url}/api/v1/targets?state=active")["data"]
        return tuple(
            Target(
                labels=MappingProxyType(target["labels"]),
                url=target["scrapeUrl"],
                health=target["health"],
                error=target["lastError"],
            )
            for target in data["activeTargets"]
        )


@dataclass(frozen=True)
class Alertmanager:
    """An Alertmanager at `url` (no trailing slash)."""

    url: str
    process: Process
    _http: requests.Session = field(default_factory=loopback_session, repr=False, compare=False)

    def alerts(self) -> tuple[AlertmanagerAlert, ...]:
        """Return all alerts that have not ended, the inhibited and silenced included.

        Raises StakewatchError when Alertmanager does not answer.
        """
        return tuple(
            AlertmanagerAlert(
                labels=MappingProxyType(alert["labels"]),
                annotations=MappingProxyType(alert["annotations"]),
                state=alert["status"]["state"],
                inhibited_by=tuple(alert["status"]["inhibitedBy"]),
                receivers=tuple(receiver["name"] for receiver in alert["receivers"]),
                fingerprint=alert["fingerprint"],
            )
            for alert in get_json(self._http, f"{self.url}/api/v2/alerts")
        )


@contextlib.contextmanager
def prometheus(
    configuration: Path,
    folder: Path,
    *,
    port: int | None = None,
    flags: Sequence[str] = (),
    ready_seconds: float = 30.0,
) -> Iterator[Prometheus]:
    """Run a Prometheus with this configuration file; its data and log go to `folder`.

    It is stopped when the block ends. Relative paths in the configuration are relative to that file.
    Raises StakewatchError with the end of its log when it does not become ready.
    """
    program = locate("prometheus").path

    def arguments(chosen: int) -> list[str | Path]:
        return [
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'prometheus-data'}",
            # What it says before it has found its Alertmanager is lost, and else not said again for a minute.
            "--rules.alert.resend-delay=10s",
            f"--web.listen-address=127.0.0.1:{chosen}",
            *flags,
        ]

    with serving(arguments, folder / "prometheus.log", port, ready_seconds) as (url, process):
        server = Prometheus(url, process)
        with server._http:  # noqa: SLF001 - ours, closed where it was made
            yield server


@contextlib.contextmanager
def alertmanager(
    configuration: Path,
    folder: Path,
    *,
    port: int | None = None,
    flags: Sequence[str] = (),
    ready_seconds: float = 30.0,
) -> Iterator[Alertmanager]:
    """Run an Alertmanager, alone and not in a cluster, with this configuration file.

    Its data and log go to `folder`. It is stopped when the block ends.
    Raises StakewatchError with the end of its log when it does not become ready.
    """
    program = locate("alertmanager").path

    def arguments(chosen: int) -> list[str | Path]:
        return [
            program,
            f"--config.file={configuration}",
            f"--storage.path={folder / 'alertmanager-data'}",
            f"--web.listen-address=127.0.0.1:{chosen}",
            "--cluster.listen-address=",
            *flags,
        ]

    with serving(arguments, folder / "alertmanager.log", port, ready_seconds) as (url, process):
        server = Alertmanager(url, process)
        with server._http:  # noqa: SLF001 - ours, closed where it was made
            yield server


@contextlib.contextmanager
def serving(
    arguments: Callable[[int], list[str | Path]],
    log: Path,
    port: int | None,
    ready_seconds: float,
    ready_path: str = "/-/ready",
) -> Iterator[tuple[str, Process]]:
    """Start a server, give its address and process when `ready_path` says so, and stop it afterwards.

    `arguments` makes its command line of a port; without one it gets a free port, and another where a program
    took that in between. Raises StakewatchError with the end of its log when it does not become ready.
    """
    attempts = _ATTEMPTS if port is None else 1
    for attempt in range(1, attempts + 1):
        chosen = free_port() if port is None else port
        url = f"http://127.0.0.1:{chosen}"
        with Process.start(arguments(chosen), log=log) as process:
            try:
                _wait_until_ready(f"{url}{ready_path}", process, ready_seconds)
            except StakewatchError:
                if attempt < attempts and not process.running and "address already in use" in tail(log):
                    continue
                raise
            yield url, process
            return


def _wait_until_ready(url: str, process: Process, ready_seconds: float) -> None:
    deadline = time.monotonic() + ready_seconds
    with loopback_session() as http:
        while True:
            process.expect_running()
            with contextlib.suppress(requests.RequestException):
                if http.get(url, timeout=1.0).ok:
                    # Another program may hold the port while ours is about to fail.
                    process.expect_running()
                    return
            if time.monotonic() > deadline:
                raise StakewatchError(
                    f"{process.name} is not ready after {ready_seconds:g} s; the end of its log:\n"
                    f"{tail(process.log)}",
                    where=url,
                    mend=f"the whole log is {process.log}",
                )
            time.sleep(_POLL_SECONDS)


def get_json(http: requests.Session, url: str, parameters: Mapping[str, str | int] = _NO_LABELS) -> Any:  # noqa: ANN401 - JSON, typed by the caller
    """Return the JSON that a server answers.

    Raises StakewatchError when it does not answer, or not with success and JSON.
    """
    try:
        answer = http.get(url, params=parameters, timeout=_REQUEST_SECONDS)
        answer.raise_for_status()
        return answer.json()
    except requests.RequestException as error:
        raise StakewatchError(f"no good answer: {error}", where=url) from error
