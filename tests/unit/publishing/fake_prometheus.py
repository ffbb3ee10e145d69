"""A Prometheus as far as publishing sees one: it loads the rule files of a folder when it is told to."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml

from tests.unit.publishing.loopback import listening

Json = Any
GETS = (
    "/api/v1/status/buildinfo",
    "/api/v1/status/runtimeinfo",
    "/api/v1/status/flags",
    "/api/v1/rules",
)


@dataclass
class FakePrometheus:
    """What it has loaded, and what a test lets go wrong."""

    folder: Path
    version: str = "3.15.0"
    clock: Callable[[], float] = time.time
    refuses: bool = False
    # Whether it was started with --web.enable-lifecycle.
    lifecycle: bool = True
    down: bool = False
    succeeded: bool = True
    loaded_at: float = 0.0
    groups: list[dict[str, Json]] = field(default_factory=list)
    reloads: int = 0
    # Answered instead, by path.
    instead: dict[str, Json] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    url: str = ""

    def load(self) -> bool:
        """Load the folder; return whether that succeeded."""
        self.reloads += 1
        self.succeeded = not self.refuses
        if self.succeeded:
            self.groups = [
                {"name": group["name"], "file": str(path), "rules": [_rule(one) for one in group["rules"]]}
                for path in sorted(self.folder.glob("rules/*.yaml"))
                for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
            ]
            self.loaded_at = self.clock()
        return self.succeeded

    def answer(self, method: str, path: str) -> tuple[int, Json]:
        """Answer one request."""
        if (method, path) == ("POST", "/-/reload"):
            if not self.lifecycle:
                return 403, "Lifecycle API is not enabled."
            return (200, None) if self.load() else (500, "failed to reload config: it is broken")
        if method != "GET" or path not in GETS:
            self.wrong.append(f"{method} {path}")
            return 404, "404 page not found"
        if path in self.instead:
            return 200, self.instead[path]
        data: Json = {"groups": self.groups}
        if path.endswith("buildinfo"):
            data = {"version": self.version}
        elif path.endswith("flags"):
            data = {"web.enable-lifecycle": str(self.lifecycle).lower(), "web.listen-address": "0.0.0.0:9090"}
        elif path.endswith("runtimeinfo"):
            # As Prometheus tells it, in whole seconds.
            at = datetime.fromtimestamp(int(self.loaded_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            data = {"reloadConfigSuccess": self.succeeded, "lastConfigTime": at}
        return 200, {"status": "success", "data": data}


def _rule(rule: dict[str, Json]) -> dict[str, Json]:
    name = rule.get("alert") or rule.get("record")
    return {"name": name, "query": rule["expr"], "health": "unknown", "type": "alerting"}


@contextmanager
def serving(prometheus: FakePrometheus) -> Iterator[FakePrometheus]:
    """Serve `prometheus` on a free loopback port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1

        def do_GET(self) -> None:
            if prometheus.down:
                self.close_connection = True
                return
            status, content = prometheus.answer(self.command, self.path)
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            if content is None:
                body = b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names of the base class

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    with listening(Handler) as prometheus.url:
        yield prometheus
