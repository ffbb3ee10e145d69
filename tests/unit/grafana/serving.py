"""A server on loopback that answers what a test tells it to: a Prometheus API, or pages to scrape."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """A request that came: its path, its parameters and its headers."""

    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class Api:
    """What is answered: a status and a body by path and parameters; and what was asked."""

    answer: Callable[[str, Mapping[str, str]], tuple[int, object]]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""


def vector(*samples: tuple[Mapping[str, str], float]) -> object:
    """Return the body of an answer to an instant query."""
    result = [{"metric": dict(labels), "value": [1_700_000_000, str(value)]} for labels, value in samples]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def matrix(*series: tuple[Mapping[str, str], list[tuple[float, float]]]) -> object:
    """Return the body of an answer to a query over time."""
    result = [
        {"metric": dict(labels), "values": [[moment, str(value)] for moment, value in points]}
        for labels, points in series
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


@contextmanager
def serving(answer: Callable[[str, Mapping[str, str]], tuple[int, object]]) -> Iterator[Api]:
    """Serve what `answer` says; a body that is bytes is sent as it is, else as JSON.

    The body of the status 302 is the address that it leads to.
    """
    api = Api(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
            api.asked.append(Asked(parts.path, parameters, dict(self.headers)))
            status, content = api.answer(parts.path, parameters)
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            if status == HTTPStatus.FOUND:
                self.send_header("Location", body.decode())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
            """Say nothing about each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
