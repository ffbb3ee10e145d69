"""Every way in which a node can fail to answer is told apart."""

import asyncio
import email.utils
import ssl
import time
from typing import Never

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from stakewatch.ethereum.transport import Endpoint, Exchange, Outcome, RequestError, Transport

from .conftest import Asked, asking

_DECODER = msgspec.json.Decoder(dict[str, int])


async def _ask(asked: Asked, *, limit_bytes: int = 1000) -> dict[str, int]:
    def decode(content: bytes) -> dict[str, int]:
        return _DECODER.decode(content)

    return await asked.transport.exchange(
        "GET", "/some/path?id=1", endpoint=Endpoint.NODE, decode=decode, limit_bytes=limit_bytes
    )


async def _failure(asked: Asked) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await _ask(asked)
    assert [exchange.outcome for exchange in asked.exchanges] == [caught.value.outcome]
    return caught.value


async def test_a_good_answer_is_counted_with_its_time_and_the_clocks_distance() -> None:
    async def handler(_: web.Request) -> web.Response:
        date = email.utils.formatdate(time.time() - 100, usegmt=True)
        return web.Response(body=b'{"a": 1}', headers={"Date": date})

    async with asking(handler) as asked:
        assert await _ask(asked) == {"a": 1}
        (exchange,) = asked.exchanges
        assert exchange.outcome is Outcome.OK
        assert exchange.endpoint is Endpoint.NODE
        assert 0 < exchange.seconds < 5
        assert exchange.clock_offset_seconds == pytest.approx(-100, abs=1.5)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Outcome.HTTP_4XX),
        (404, Outcome.HTTP_4XX),
        (429, Outcome.RATE_LIMITED),
        (500, Outcome.HTTP_5XX),
        (503, Outcome.HTTP_5XX),
        (204, Outcome.INVALID),
        (301, Outcome.INVALID),
    ],
)
async def test_each_status_has_its_outcome(status: int, outcome: Outcome) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with asking(handler) as asked:
        error = await _failure(asked)
        assert error.outcome is outcome
        assert error.status == status
        assert error.where == "beacon-1 /some/path"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("99999999999", 300.0),
        ("-5", None),
        ("soon", None),
        pytest.param(email.utils.formatdate(time.time() + 10_000, usegmt=True), 300.0, id="a date to come"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
    ],
)
async def test_how_long_to_wait_is_taken_from_the_answer_within_reason(
    value: str, seconds: float | None
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": value})

    async with asking(handler) as asked:
        assert (await _failure(asked)).retry_after_seconds == seconds


@pytest.mark.parametrize(
    "date",
    [
        "yesterday",
        "Mon, 01 Jan 99999999999999 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -9999999999999999999",
    ],
)
async def test_a_date_that_cannot_be_is_passed_over(date: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b'{"a": 1}', headers={"Date": date})

    async with asking(handler) as asked:
        assert await _ask(asked) == {"a": 1}
        assert [exchange.clock_offset_seconds for exchange in asked.exchanges] == [None]


async def test_a_node_that_hangs_is_a_timeout() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with asking(handler, timeout_seconds=0.1) as asked:
        began = time.monotonic()
        assert (await _failure(asked)).outcome is Outcome.TIMEOUT
        assert time.monotonic() - began < 5


async def test_a_node_that_sends_a_byte_now_and_then_is_a_timeout_too() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    async with asking(handler, timeout_seconds=0.2) as asked:
        assert (await _failure(asked)).outcome is Outcome.TIMEOUT


async def test_nobody_listening_is_a_connection_failure() -> None:
    exchanges: list[Exchange] = []
    async with aiohttp.ClientSession() as session:
        transport = Transport(
            session, "http://127.0.0.1:1", name="beacon-1", timeout_seconds=5, observe=exchanges.append
        )
        error = await _failure(Asked(transport, exchanges))
    assert error.outcome is Outcome.CONNECTION
    assert error.what.endswith("no connection: Connection refused")


async def _connection_failure(session: aiohttp.ClientSession, url: str) -> str:
    exchanges: list[Exchange] = []
    transport = Transport(session, url, name="beacon-1", timeout_seconds=5, observe=exchanges.append)
    error = await _failure(Asked(transport, exchanges))
    assert error.outcome is Outcome.CONNECTION
    return error.what


async def test_https_where_http_is_served_says_so() -> None:
    async with TestServer(web.Application()) as server, aiohttp.ClientSession() as session:
        failure = await _connection_failure(session, f"https://127.0.0.1:{server.port}")
    assert "TLS failed, perhaps it serves http" in failure


async def test_a_certificate_that_is_not_trusted_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def distrust(_: object, request: aiohttp.ClientRequest, **_others: object) -> Never:
        refusal = ssl.SSLCertVerificationError(1, "certificate verify failed")
        refusal.verify_message = "self-signed certificate"
        raise aiohttp.ClientConnectorCertificateError(request.connection_key, refusal)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", distrust)
    async with aiohttp.ClientSession() as session:
        failure = await _connection_failure(session, "https://127.0.0.1:1")
    assert failure.endswith("no connection: its certificate is not trusted: self-signed certificate")


async def test_an_answer_cut_off_before_its_length_is_truncated() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"a": 1}')
        assert request.transport is not None
        request.transport.close()
        return response

    async with asking(handler) as asked:
        assert (await _failure(asked)).outcome is Outcome.TRUNCATED


async def test_a_connection_closed_without_an_answer_is_a_connection_failure() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with asking(handler) as asked:
        assert (await _failure(asked)).outcome is Outcome.CONNECTION


@pytest.mark.parametrize(
    ("body", "outcome", "says"),
    [
        (b"<html><body>Bad gateway</body></html>", Outcome.INVALID, "not JSON, it starts '<html>"),
        (b'{"a": 1', Outcome.TRUNCATED, "ends in the middle"),
        (b"", Outcome.TRUNCATED, "ends in the middle"),
        (b'{"a": "text"}', Outcome.INVALID, "another form"),
        (b'["a"]', Outcome.INVALID, "another form"),
        (b'{"a": 1}{"a": 2}', Outcome.INVALID, "not JSON"),
        (b"\xff\xfe\x00", Outcome.INVALID, "not JSON"),
        (b'{"a": ' + b" " * 2000 + b"1}", Outcome.INVALID, "larger than 1000 bytes"),
    ],
)
async def test_an_answer_that_is_not_what_was_asked_for_is_refused(
    body: bytes, outcome: Outcome, says: str
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with asking(handler) as asked:
        error = await _failure(asked)
        assert error.outcome is outcome
        assert says in error.what


async def test_an_answer_nested_a_thousandfold_is_refused() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b'{"data":' + b"[" * 100_000)

    async with asking(handler) as asked:
        with pytest.raises(RequestError) as caught:
            await asked.transport.exchange(
                "GET", "/", endpoint=Endpoint.NODE, decode=msgspec.json.decode, limit_bytes=10**6
            )
        assert caught.value.outcome is Outcome.INVALID


async def test_what_is_not_http_is_refused() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    exchanges: list[Exchange] = []
    async with server, aiohttp.ClientSession() as session:
        port = server.sockets[0].getsockname()[1]
        transport = Transport(
            session, f"http://127.0.0.1:{port}", name="x", timeout_seconds=5, observe=exchanges.append
        )
        assert (await _failure(Asked(transport, exchanges))).outcome is Outcome.INVALID


async def test_a_redirect_is_not_followed() -> None:
    asked_for: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked_for.append(request.path)
        return web.Response(status=302, headers={"Location": "/secret"})

    async with asking(handler) as asked:
        await _failure(asked)
    assert asked_for == ["/some/path"]
