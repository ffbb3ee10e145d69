"""The on-call person of the demo: a webhook on loopback that keeps what Alertmanager sends, and a page."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import msgspec

_LARGEST_NOTIFICATION = 4 * 1024 * 1024
_STOP_SECONDS = 0.05
_LENGTH = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Notification:
    """One alert of one webhook call; `status` is firing or resolved."""

    alert: str
    status: str
    labels: tuple[tuple[str, str], ...]


class _Alert(msgspec.Struct):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]


class _Call(msgspec.Struct):
    alerts: list[_Alert]


_CALL = msgspec.json.Decoder(_Call)


@dataclass
class Receiver:
    """What has arrived so far; written by the server's threads, read by the demo."""

    address: str
    page: Path
    _arrived: list[Notification] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def notifications(self) -> tuple[Notification, ...]:
        """All notifications in the order of their arrival."""
        with self._lock:
            return tuple(self._arrived)

    def accept(self, body: bytes) -> None:
        """Keep the alerts of one webhook call.

        Raises ValueError when the body is not what Alertmanager sends.
        """
        try:
            arrived = [
                Notification(
                    alert=alert.labels["alertname"],
                    status=alert.status,
                    labels=tuple(sorted(alert.labels.items())),
                )
                for alert in _CALL.decode(body).alerts
            ]
        except (KeyError, msgspec.DecodeError) as error:
            raise ValueError(f"not an Alertmanager notification: {error}") from error
        with self._lock:
            self._arrived.extend(arrived)


@contextmanager
def receiving(page: Path) -> Iterator[Receiver]:
    """Serve the webhook at /notify and the page at / on a free loopback port until the block ends."""
    receiver: Receiver

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            written = self.headers.get("Content-Length", "")
            length = int(written) if _LENGTH.fullmatch(written) else 0
            if self.path != "/notify" or not 0 < length <= _LARGEST_NOTIFICATION:
                self.send_error(HTTPStatus.BAD_REQUEST)
                return
            try:
                receiver.accept(self.rfile.read(length))
            except ValueError as error:
                self.send_error(HTTPStatus.BAD_REQUEST, explain=str(error))
                return
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def do_GET(self) -> None:
            if self.path != "/" or not receiver.page.exists():
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            content = receiver.page.read_bytes()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
            """Stay silent: the demo prints what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(address=f"http://127.0.0.1:{server.server_port}", page=page)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": _STOP_SECONDS}, name="webhook", daemon=True
    )
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
