"""One JSON API over HTTP: each failure is one clear line, and the token goes to nobody else."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from stakewatch.publishing import json_api
from stakewatch.publishing.json_api import ApiError, JsonApi, UnusableApiError, segment
from stakewatch.publishing.target import UnusableTargetError
from tests.unit.publishing.loopback import listening

TOKEN = "glsa_very-secret"  # noqa: S105 - an example
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(*answers: Answer, **options: object) -> Iterator[tuple[JsonApi, list[str], list[float]]]:
    """Serve these answers in turn, the last again and again; give what asks, the requests, and the pauses."""
    requests: list[str] = []
    pauses: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1

        def do_GET(self) -> None:
            requests.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answers[min(len(requests), len(answers)) - 1](self)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names of the base class

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    with listening(Handler) as url:
        api = JsonApi(url, token=lambda: TOKEN, pause=pauses.append, **options)  # type: ignore[arg-type]
        yield api, requests, pauses
        api.close()


def reply(status: int, body: object = None, kind: str = "application/json", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"a":')


def test_the_answer_is_returned_as_data() -> None:
    with answering(reply(200, {"a": [1]}), reply(204), reply(200, b"")) as (api, requests, _):
        assert api.ask("GET", f"/api/{segment('a/b?c')}", query={"limit": "1 &"}) == {"a": [1]}
        assert api.ask("DELETE", "/api/x") is None
        assert api.ask("POST", "/api/x", body={"b": 1}) is None
        assert requests == ["GET /api/a%2Fb%3Fc?limit=1+%26", "DELETE /api/x", "POST /api/x"]


@pytest.mark.parametrize(
    ("answer", "said", "unusable"),
    [
        (reply(400, {"message": "bad\nbody"}), r"it refused \(400\): bad body", False),
        (reply(401, {"message": "Invalid API key"}), r"not signed in \(401\): Invalid API key", True),
        (reply(403, {"message": "needs x"}), r"not allowed \(403\): needs x", False),
        (reply(403, b"<html>", "text/html"), r"refused with a page \(403\)", True),
        (reply(401, b"  <!DOCTYPE html>", "text/plain"), r"refused with a page \(401\)", True),
        (reply(404, b"", "text/plain"), r"it refused \(404\)", False),
        (
            reply(302, b"", Location="https://elsewhere/login"),
            r"sends us elsewhere \(302\): https://els",
            True,
        ),
        (reply(500, {"error": "broken"}), r"it failed \(500\): broken", False),
        (reply(200, b"<html>hello"), r"its answer is a page, it starts '<html>hello'", False),
        (reply(200, b"nonsense"), r"its answer is no JSON, it starts 'nonsense'", False),
        (reply(200, b"[" * 100_000), "its answer is no JSON", False),
        (reply(418, b"\x1b[31mred\x00"), r"it refused \(418\): \?\[31mred\?", False),
        (reply(400, b"x" * 10_000), r"it refused \(400\): x{300}…", False),
    ],
)
def test_each_bad_answer_is_one_line(answer: Answer, said: str, *, unusable: bool) -> None:
    with answering(answer) as (api, requests, _), pytest.raises(ApiError, match=said) as raised:
        api.ask("POST", "/api/x", body={})
    assert isinstance(raised.value, UnusableTargetError) is unusable
    assert len(requests) == 1
    assert str(raised.value).startswith(f"POST {api.url}/api/x: ")
    assert len(str(raised.value).splitlines()) == 2
    assert TOKEN not in str(raised.value)


def test_only_what_has_a_body_says_that_it_is_json() -> None:
    kinds: list[str | None] = []

    def listen(handler: BaseHTTPRequestHandler) -> None:
        kinds.append(handler.headers.get("Content-Type"))
        reply(204)(handler)

    with answering(listen) as (api, _, _):
        api.ask("GET", "/")
        api.ask("POST", "/", body={})
        api.ask("POST", "/")
    assert kinds == [None, "application/json", None]


def test_what_only_reads_is_asked_again_and_what_writes_is_not() -> None:
    for bad in (reply(503), hang_up, reply(502), cut_off):
        with answering(bad, reply(200, 1)) as (api, requests, pauses):
            assert api.ask("GET", "/") == 1
            assert (len(requests), pauses) == (2, [0.5])
        with answering(bad, reply(200, 1)) as (api, requests, _):
            with pytest.raises(ApiError):
                api.ask("PUT", "/", body=1)
            assert len(requests) == 1


def test_what_does_not_get_better_is_given_up() -> None:
    with answering(reply(503, {"message": "starting"})) as (api, requests, pauses):
        with pytest.raises(ApiError, match="starting"):
            api.ask("GET", "/")
        assert (len(requests), pauses) == (3, [0.5, 1.0])


def test_a_limit_is_waited_for_as_the_server_asks_also_when_writing() -> None:
    in_a_while = (datetime.now(UTC) + timedelta(seconds=20)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    limited = [
        reply(429, Retry_After=asked) for asked in ("7", in_a_while, "soon", "99999", "-1", "Mon, 99 Foo")
    ]
    with answering(*limited, reply(200, 1)) as (api, _, pauses):
        assert api.ask("POST", "/", body=1) == 1
    assert pauses[0] == 7.0
    assert 15 < pauses[1] <= 20
    assert pauses[2:] == [2.0, 60.0, 8.0, 16.0]


def test_a_limit_that_stays_is_told() -> None:
    with answering(reply(429, {"message": "too many"})) as (api, requests, _):
        with pytest.raises(ApiError, match=r"it limits our requests \(429\): too many, still after 8"):
            api.ask("POST", "/", body=1)
        assert len(requests) == 8


def test_an_answer_that_drips_is_not_waited_for_longer_than_one_that_does_not_come() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000000")
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 70_000)
            handler.wfile.flush()
            time.sleep(0.05)

    def stay_silent(_: BaseHTTPRequestHandler) -> None:
        time.sleep(3)

    for slow in (drip, stay_silent):
        started = time.monotonic()
        with answering(slow, timeout_seconds=0.5) as (api, _, _):
            with pytest.raises(UnusableApiError, match=r"no complete answer within 0\.5 s"):
                api.ask("POST", "/", body=1)
            assert time.monotonic() - started < 2.5


def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_api, "_LARGEST_ANSWER_BYTES", 1000)
    with answering(reply(200, b" " * 1001)) as (api, _, _), pytest.raises(ApiError, match="larger than 1000"):
        api.ask("POST", "/", body=1)


def test_no_connection_is_told_with_its_reason() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for api, said in (
            (JsonApi(url, attempts=1), "no connection: Connection refused"),
            (JsonApi("http://nowhere.invalid", attempts=1), "no connection: "),
        ):
            with pytest.raises(UnusableApiError, match=said) as raised:
                api.ask("GET", "/")
            assert len(str(raised.value).splitlines()) == 2
            api.close()


def test_http_where_https_is_expected_is_told() -> None:
    with answering(reply(200, 1)) as (plain, _, _):
        api = JsonApi(plain.url.replace("http://", "https://"), attempts=1)
        with pytest.raises(UnusableApiError, match="what answers there speaks no TLS"):
            api.ask("GET", "/")
        api.close()


def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    seen: list[str | None] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Cookie"))
        reply(200, 1, Set_Cookie="grafana_session=1; Path=/")(handler)

    with answering(note) as (api, _, _):
        api.ask("GET", "/")
        api.ask("GET", "/")
    assert seen == [None, None]
    with answering(note) as (other, asked, _), answering(reply(307, b"", Location=other.url)) as (api, _, _):
        with pytest.raises(UnusableApiError):
            api.ask("GET", "/")
        assert asked == []


def test_a_netrc_file_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen: list[str | None] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Authorization"))
        reply(200, 1)(handler)

    with answering(note) as (api, _, _):
        # As for a server elsewhere, where proxies of the environment count.
        api._session.trust_env = True
        api.ask("GET", "/")
    assert seen == [f"Bearer {TOKEN}"]


def test_several_threads_may_ask_at_once() -> None:
    with answering(reply(200, 1)) as (api, requests, _):
        threads = [threading.Thread(target=api.ask, args=("GET", f"/{number}")) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(requests) == 20


def test_an_error_about_an_object_keeps_what_it_is() -> None:
    error = UnusableApiError("no", where="GET x", mend="wait", status=401, reason="r", code="c")
    about = error.about("folder a")
    assert isinstance(about, UnusableApiError)
    assert (about.where, about.mend, about.status, about.reason, about.code) == (
        "folder a, GET x",
        "wait",
        401,
        "r",
        "c",
    )
    assert error.about("folder a", "do that").mend == "do that"
