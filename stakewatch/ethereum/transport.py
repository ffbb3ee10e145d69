"""One node asked over HTTP: bounded in time and size, with every way to fail told apart."""

import asyncio
import email.utils
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol, TypeVar

import aiohttp
import msgspec

from stakewatch.errors import StakewatchError

_Answer = TypeVar("_Answer")
_Taken_co = TypeVar("_Taken_co", covariant=True)
_CHUNK_BYTES = 256 * 1024
_LARGE_BYTES = 1024 * 1024
_STREAM_BYTES = 2 * 1024 * 1024
_JSON = "application/json"
_LONGEST_WAIT_SECONDS = 300.0
_SHOWN_CHARACTERS = 120


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TRUNCATED = "truncated"
    INVALID = "invalid"


class Endpoint(StrEnum):
    """Classes of endpoints; few, because each is a label value of several series."""

    NODE = "node"
    CONFIG = "config"
    HEADERS = "headers"
    STATES = "states"
    BLOCKS = "blocks"
    REWARDS = "rewards"
    DUTIES = "duties"
    RECEIPTS = "receipts"
    KEYS = "keys"


class RequestError(StakewatchError):
    """A node did not answer a request with something that can be used.

    `retry_after_seconds` is what the node asked us to wait (429 or 503), bounded, else None.
    """

    def __init__(
        self,
        what: str,
        *,
        outcome: Outcome,
        endpoint: Endpoint,
        where: str | None = None,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(what, where=where)
        self.outcome = outcome
        self.endpoint = endpoint
        self.status = status
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class Exchange:
    """One request as it went; `clock_offset_seconds` is the node's clock minus ours, where it sent a Date."""

    endpoint: Endpoint
    outcome: Outcome
    seconds: float
    clock_offset_seconds: float | None


class RefusalError(ValueError):
    """Raised by a decoder when a well-formed answer is a refusal; `outcome` is how it counts."""

    def __init__(self, what: str, outcome: Outcome) -> None:
        super().__init__(what)
        self.outcome = outcome


@dataclass(frozen=True)
class Announcement:
    """What the head of a streamed answer says; `content_length` is None where the length is open."""

    content_type: str
    content_length: int | None
    headers: Mapping[str, str]


class Consumer(Protocol[_Taken_co]):
    """Takes an answer piece by piece; both verbs raise ValueError when it is not what was asked for."""

    def feed(self, chunk: bytes, /) -> None:
        """Take the next bytes."""

    def finish(self) -> _Taken_co:
        """Return what the whole answer comes to."""


class _FailureError(Exception):
    """Why an answer cannot be used, before it is known where it came from."""

    def __init__(
        self, what: str, outcome: Outcome, status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.outcome = outcome
        self.status = status
        self.retry_after_seconds = retry_after_seconds


def plain(text: str) -> str:
    """Return what a node wrote on one line, without what could steer a terminal or turn the writing round."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(one if one.isprintable() else "?" for one in line)


def _shown(text: str) -> str:
    flat = plain(text)
    return flat if len(flat) <= _SHOWN_CHARACTERS else flat[:_SHOWN_CHARACTERS] + "..."


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3), at most five minutes."""
    if value is not None and value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_WAIT_SECONDS)
    moment = _unix_seconds(value)
    return None if moment is None else min(max(moment - time.time(), 0.0), _LONGEST_WAIT_SECONDS)


def _clock_offset(value: str | None) -> float | None:
    """Return the node's clock minus ours; a Date has whole seconds, so its middle is taken."""
    moment = _unix_seconds(value)
    return None if moment is None else moment + 0.5 - time.time()


def _unix_seconds(value: str | None) -> float | None:
    """Return the moment of an HTTP date, None where there is none or it cannot be read."""
    if value is None:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == HTTPStatus.OK:
        return
    retry_after = _retry_after(response.headers.get("Retry-After"))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise _FailureError("it limits our requests (429)", Outcome.RATE_LIMITED, status, retry_after)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _FailureError(f"it answered {status}", Outcome.HTTP_4XX, status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _FailureError(f"it answered {status}", Outcome.HTTP_5XX, status, retry_after)
    raise _FailureError(f"it answered {status}, which is no answer of this API", Outcome.INVALID, status)


class Transport:
    """Asks one node; `exchange` is its one verb, and every exchange is told to `observe`.

    Redirects are not followed and proxies of the environment are not used: we talk to the node itself.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        name: str,
        timeout_seconds: float,
        observe: Callable[[Exchange], None],
    ) -> None:
        self.name = name
        self.timeout_seconds = timeout_seconds
        self._session = session
        self._url = url
        self._observe = observe

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        endpoint: Endpoint,
        decode: Callable[[bytes], _Answer],
        limit_bytes: int,
        body: bytes | None = None,
        timeout_factor: float = 1.0,
        subject: str | None = None,
        authorization: str | None = None,
    ) -> _Answer:
        """Send one request and return its decoded answer.

        `decode` raises ValueError (msgspec's errors are) when the answer is not what was asked for.
        `subject` names the request in messages where the path does not; `authorization` is a secret that is
        sent as the header of this name and told nowhere.
        Raises RequestError.
        """
        where = f"{self.name} {subject or path.partition('?')[0]}"
        limit = self.timeout_seconds * timeout_factor
        with self._observed(endpoint, where, limit) as seen:
            async with asyncio.timeout(limit):
                content = await self._fetch(
                    method, path, body=body, limit_bytes=limit_bytes, seen=seen, authorization=authorization
                )
                return await _decoded(content, decode)

    async def stream(
        self,
        method: str,
        path: str,
        *,
        endpoint: Endpoint,
        consume: Callable[[Announcement], Consumer[_Answer]],
        limit_bytes: int,
        accept: str = _JSON,
        body: bytes | None = None,
        idle_factor: float = 1.0,
        total_factor: float = 1.0,
    ) -> _Answer:
        """Send one request and hand its answer on piece by piece, so that it is never whole in memory.

        `consume` gives the taker once the head of the answer is there. The node may be silent for
        `idle_factor` and take `total_factor` times the time-out. Raises RequestError.
        """
        where = f"{self.name} {path.partition('?')[0]}"
        total = self.timeout_seconds * total_factor
        patience = aiohttp.ClientTimeout(total=None, sock_read=self.timeout_seconds * idle_factor)
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = _JSON
        with self._observed(endpoint, where, total) as seen, _failures_told_apart():
            async with (
                asyncio.timeout(total),
                self._session.request(
                    method,
                    self._url + path,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=patience,
                    read_bufsize=_STREAM_BYTES,
                ) as response,
            ):
                seen[0] = _clock_offset(response.headers.get("Date"))
                _check_status(response)
                announced = Announcement(response.content_type, response.content_length, response.headers)
                with _errors_of_decoders(b""):
                    consumer = consume(announced)
                size = 0
                async for part in response.content.iter_chunked(_STREAM_BYTES):
                    size += len(part)
                    _check_size(size, limit_bytes, response.status)
                    with _errors_of_decoders(part):
                        consumer.feed(part)
                with _errors_of_decoders(b""):
                    return consumer.finish()

    @contextmanager
    def _observed(self, endpoint: Endpoint, where: str, limit_seconds: float) -> Iterator[list[float | None]]:
        """Tell how an exchange went and word its failure; yields the place for the clock's offset."""
        started = time.monotonic()
        seen: list[float | None] = [None]
        outcome: Outcome | None = Outcome.OK
        try:
            yield seen
        except _FailureError as failure:
            outcome = failure.outcome
            raise RequestError(
                failure.what,
                outcome=outcome,
                endpoint=endpoint,
                where=where,
                status=failure.status,
                retry_after_seconds=failure.retry_after_seconds,
            ) from failure
        except TimeoutError as error:
            outcome = Outcome.TIMEOUT
            raise RequestError(
                f"no complete answer within {limit_seconds:g} s",
                outcome=outcome,
                endpoint=endpoint,
                where=where,
            ) from error
        except asyncio.CancelledError:
            outcome = None
            raise
        finally:
            if outcome is not None:
                self._observe(Exchange(endpoint, outcome, time.monotonic() - started, seen[0]))

    async def _fetch(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None,
        limit_bytes: int,
        seen: list[float | None],
        authorization: str | None,
    ) -> bytes:
        headers = {"Accept": _JSON}
        if authorization is not None:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = _JSON
        with _failures_told_apart():
            async with self._session.request(
                method, self._url + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                seen[0] = _clock_offset(response.headers.get("Date"))
                _check_status(response)
                return await _read(response, limit_bytes)


@contextmanager
def _failures_told_apart() -> Iterator[None]:
    """Word what the HTTP client raises."""
    try:
        yield
    except _FailureError:
        raise
    except aiohttp.ServerTimeoutError as error:
        raise TimeoutError from error
    except aiohttp.ClientPayloadError as error:
        raise _FailureError(f"its answer was cut off: {_shown(str(error))}", Outcome.TRUNCATED) from error
    except aiohttp.ClientConnectorError as error:
        raise _FailureError(f"no connection: {_shown(_reason(error))}", Outcome.CONNECTION) from error
    except (aiohttp.ClientConnectionError, ConnectionError) as error:
        raise _FailureError(f"no connection: {_shown(str(error))}", Outcome.CONNECTION) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise _FailureError(
            f"its answer is not HTTP as we know it: {_shown(str(error))}", Outcome.INVALID
        ) from error


def _reason(error: aiohttp.ClientConnectorError) -> str:
    """Return why a connection failed; aiohttp's own text speaks of TLS also where there is none."""
    cause = error.os_error
    # Their numbers are OpenSSL's and would be read as the system's: "Operation not permitted".
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed, perhaps it serves http: {cause.reason}"
    number = cause.errno
    # A failed look-up of a name has a negative number and a text of its own.
    return os.strerror(number) if number is not None and number > 0 else str(cause.strerror)


async def _read(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(_CHUNK_BYTES):
        size += len(part)
        _check_size(size, limit_bytes, response.status)
        parts.append(part)
    return b"".join(parts)


def _check_size(size: int, limit_bytes: int, status: int) -> None:
    if size > limit_bytes:
        raise _FailureError(f"its answer is larger than {limit_bytes} bytes", Outcome.INVALID, status)


async def _decoded(content: bytes, decode: Callable[[bytes], _Answer]) -> _Answer:
    with _errors_of_decoders(content):
        if len(content) > _LARGE_BYTES:
            return await asyncio.to_thread(decode, content)
        return decode(content)


@contextmanager
def _errors_of_decoders(content: bytes) -> Iterator[None]:
    """Word what decoders raise over an answer or a piece of it."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise _FailureError(f"its answer has another form: {_shown(str(error))}", Outcome.INVALID) from error
    except msgspec.DecodeError as error:
        # msgspec words it so when the text ends before its brackets do.
        if "truncated" in str(error):
            raise _FailureError("its answer ends in the middle", Outcome.TRUNCATED) from error
        start = content[:40].decode("utf-8", "replace")
        raise _FailureError(
            f"its answer is not JSON, it starts {_shown(start)!r}", Outcome.INVALID
        ) from error
    except RecursionError as error:
        raise _FailureError("its answer is nested too deeply", Outcome.INVALID) from error
    except RefusalError as error:
        raise _FailureError(_shown(str(error)), error.outcome) from error
    except ValueError as error:
        raise _FailureError(f"its answer cannot be right: {_shown(str(error))}", Outcome.INVALID) from error
