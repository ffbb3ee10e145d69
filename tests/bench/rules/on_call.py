"""What reaches people: the alerts of a simulated time, sent to a real Alertmanager in compressed time."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from stakewatch.programs.servers import Alertmanager, alertmanager
from stakewatch.rules.clock import Change, Evaluation
from stakewatch.rules.routing import routes_to_webhook

# group_wait, 10 s in the routes, becomes one second: the shortest that is scaled.
FACTOR = 1 / 10
_VALID_ROUNDS = 4
_POLL_SECONDS = 0.05
_LAST_SECONDS = 3.0


@dataclass(frozen=True)
class Call:
    """One notification; `at` is the rule time of its arrival in Unix seconds."""

    at: float
    receiver: str
    status: str
    alerts: tuple[Mapping[str, str], ...]


@dataclass
class _Arrivals:
    url: str
    calls: list[tuple[float, str, str, tuple[Mapping[str, str], ...]]]


def notifications(
    rounds: Sequence[Evaluation], routes: Path, folder: Path, *, interval_seconds: int = 30
) -> tuple[Call, ...]:
    """Return what Alertmanager sends while the rounds' alerts come and go, in the order of time.

    `routes` is an Alertmanager configuration; its receivers become one webhook on loopback and its times
    are compressed like the rounds. Alerts are sent anew each round, as Prometheus does.
    Raises StakewatchError when Alertmanager does not start.
    """
    with _webhook() as arrivals:
        configuration = folder / "alertmanager.yaml"
        configuration.write_text(routes_to_webhook(routes, url=arrivals.url, factor=FACTOR), encoding="utf-8")
        with alertmanager(configuration, folder) as server:
            began = time.monotonic()
            first = rounds[0].at
            _send_all(server, rounds, began, interval_seconds)
            time.sleep(_LAST_SECONDS)
        calls = list(arrivals.calls)
    return tuple(
        Call(first + (at - began) / FACTOR, receiver, status, alerts)
        for at, receiver, status, alerts in calls
    )


def _send_all(
    server: Alertmanager, rounds: Sequence[Evaluation], began: float, interval_seconds: int
) -> None:
    firing: dict[tuple[tuple[str, str], ...], Change] = {}
    with requests.Session() as http:
        http.trust_env = False
        for one in rounds:
            due = began + (one.at - rounds[0].at) * FACTOR
            while time.monotonic() < due:
                time.sleep(min(_POLL_SECONDS, max(0.0, due - time.monotonic())))
            ended = []
            for change in one.changes:
                key = tuple(sorted(change.labels.items()))
                if change.state == "firing":
                    firing[key] = change
                elif (gone := firing.pop(key, None)) is not None:
                    ended.append(gone)
            valid = interval_seconds * _VALID_ROUNDS * FACTOR
            sent = [_posted(change, valid) for change in firing.values()]
            sent += [_posted(change, 0.0) for change in ended]
            if sent:
                http.post(f"{server.url}/api/v2/alerts", json=sent, timeout=10).raise_for_status()


def _posted(change: Change, valid_seconds: float) -> dict[str, object]:
    ends = datetime.fromtimestamp(time.time() + valid_seconds, UTC).isoformat()
    return {"labels": dict(change.labels), "annotations": dict(change.annotations), "endsAt": ends}


@contextmanager
def _webhook() -> Iterator[_Arrivals]:
    arrivals = _Arrivals("", [])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            alerts = tuple(one["labels"] for one in content["alerts"])
            arrivals.calls.append((time.monotonic(), content["receiver"], content["status"], alerts))
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    arrivals.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield arrivals
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
