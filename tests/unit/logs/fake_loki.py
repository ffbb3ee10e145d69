"""A server on loopback that answers log queries as a Loki, or something else, would."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class FakeLoki:
    """Answers log queries over `lines` (time, text), by pages, unless `answer` is something else.

    As a Loki does, it cuts a page first, and then drops what is in it twice.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.answer: tuple[int, str] | None = None
        self.redirect = ""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def respond(self, path: str) -> tuple[int, str]:
        if self.answer is not None:
            return self.answer
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        start, end, limit = int(asked["start"]), int(asked["end"]), int(asked["limit"])
        page = dict.fromkeys(
            [(str(at), text) for at, text in sorted(self.lines) if start <= at < end][:limit]
        )
        return 200, json.dumps(
            {
                "data": {
                    "resultType": "streams",
                    "result": [{"stream": {"role": "beacon"}, "values": list(page)}],
                }
            }
        )


@contextmanager
def fake_loki() -> Iterator[FakeLoki]:
    """Serve until the block ends."""
    fake = FakeLoki()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.requests.append((self.path, dict(self.headers)))
            status, body = fake.respond(self.path)
            self.send_response(status)
            if fake.redirect:
                self.send_header("Location", fake.redirect)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        fake.url = f"http://127.0.0.1:{http.server_port}"
        yield fake
        http.shutdown()
        thread.join()
