"""Pages of metrics from servers that behave badly, on loopback."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stakewatch.catalogue import exposition
from stakewatch.catalogue.exposition import read_page
from stakewatch.errors import InputError, StakewatchError


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers = {
            "/metrics": (200, b"up 1\n"),
            "/huge": (200, b"up 1\n" * 100_000),
            "/binary": (200, b"\x1f\x8b\x08\x00\xff\xfe"),
            "/broken": (503, b"later"),
        }
        path = self.path.partition("?")[0]
        if path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/metrics")
            self.end_headers()
            return
        if path == "/drips":
            self.send_response(200)
            self.end_headers()
            # Whoever asked goes away in the middle.
            with contextlib.suppress(OSError):
                for _ in range(20):
                    self.wfile.write(b"up 1\n")
                    self.wfile.flush()
                    time.sleep(0.05)
            return
        code, content = answers[path]
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_page_is_fetched(server: str) -> None:
    assert read_page(f"{server}/metrics?x=1") == "up 1\n"


def test_a_page_without_an_end_is_left(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MAXIMUM_BYTES", 10_000)
    with pytest.raises(InputError, match="more than 10,000 bytes"):
        read_page(f"{server}/huge")


def test_a_server_that_drips_is_left(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "_WHOLE_SECONDS", 0.2)
    monkeypatch.setattr(exposition, "_CHUNK_BYTES", 5)
    with pytest.raises(StakewatchError, match="it takes longer"):
        read_page(f"{server}/drips")


def test_what_is_no_text_is_refused(server: str) -> None:
    with pytest.raises(InputError, match="this is no text"):
        read_page(f"{server}/binary")


@pytest.mark.parametrize(("path", "code"), [("/moved", 302), ("/broken", 503)])
def test_an_answer_that_is_no_page_is_said(server: str, path: str, code: int) -> None:
    with pytest.raises(StakewatchError, match=f"answers {code}") as raised:
        read_page(f"{server.replace('//', '//user:secret@')}{path}?token=secret")
    assert "secret" not in str(raised.value)


def test_a_server_that_is_not_there_is_said_without_its_secrets() -> None:
    with pytest.raises(StakewatchError, match="cannot be fetched") as raised:
        read_page("http://user:secret@127.0.0.1:1/metrics")
    assert "secret" not in str(raised.value)
