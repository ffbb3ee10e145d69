"""A JSON API over HTTP: one request, its answer, and every way in which it can fail as one clear line."""

import email.utils
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self
from urllib.parse import quote, urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from stakewatch.bundle.http_access import AUTHORITIES, Bearer, is_loopback
from stakewatch.bundle.problems import plain
from stakewatch.bundle.tls import tls_failure
from stakewatch.errors import StakewatchError
from stakewatch.publishing.target import UnusableTargetError

Json = Any

_CONNECT_SECONDS = 10.0
_LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_ATTEMPTS = 3
_ATTEMPTS_WHEN_LIMITED = 8
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_PASSING = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


class ApiError(StakewatchError):
    """A server did not do what it was asked.

    `status` is the HTTP status, None where no answer came; `reason` is the server's own message, and `code`
    the `status` that Grafana writes into its refusals (`version-mismatch`), both empty where there is none.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        mend: str | None = None,
        status: int | None = None,
        reason: str = "",
        code: str = "",
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.status = status
        self.reason = reason
        self.code = code

    def about(self, subject: object, mend: str | None = None) -> Self:
        """Return the same error as one that befell `subject`, with what to do about it in this case."""
        return type(self)(
            self.what,
            where=f"{subject}, {self.where}",
            mend=mend or self.mend,
            status=self.status,
            reason=self.reason,
            code=self.code,
        )


class UnusableApiError(ApiError, UnusableTargetError):
    """No answer at all, or none that depends on what was asked: the next request would fare the same."""


@dataclass(frozen=True)
class Hints:
    """What a person can do about failures that only the API's owner can explain."""

    unauthorized: str = "check the token: it may be wrong, expired or deleted"
    forbidden: str = "give the token's owner this permission"
    html_forbidden: str = "a proxy or firewall before the server refuses: ask from a network that it admits"


class _TooLargeError(requests.RequestException):
    """An answer that nobody sends in earnest."""


@dataclass(frozen=True)
class _Answer:
    """What a server sent back; `retry_after` is the header of this name."""

    status: int
    body: bytes
    content_type: str
    retry_after: str | None
    location: str | None

    @property
    def is_page(self) -> bool:
        """Whether it is written for a browser, which no JSON API does itself."""
        return "html" in self.content_type.lower() or self.body.lstrip()[:1] == b"<"


class JsonApi:
    """Asks one server, from several threads if need be; `ask` is its one verb.

    Redirects are not followed: the token is for this server. What was certainly not carried out (429), and
    what changes nothing (GET), is tried again after the pause that the server asks for.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str] | None = None,
        auth: AuthBase | None = None,
        timeout_seconds: float = 30.0,
        attempts: int = _ATTEMPTS,
        hints: Hints | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the server's base address, without a trailing slash; `token` is asked before each request.

        `auth` signs requests where a token does not.
        """
        self.url = url
        self._token = token
        self._auth = auth
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._hints = hints or Hints()
        self._pause = pause
        self._session = requests.Session()
        # What runs on this machine is asked directly, whatever proxy the environment names.
        self._session.trust_env = not is_loopback(urlsplit(url).hostname)
        # Authorities of the user's own hold there too.
        self._session.verify = os.environ.get(AUTHORITIES) or True
        # A session of the server's own would outlive the token.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Json = None
    ) -> Json:
        """Send one request and return the JSON of its answer, None where it has no content.

        Segments of `path` that come from outside have to be quoted (`segment`).
        Raises ApiError.
        """
        where = f"{method} {self.url}{path}"
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        attempt = 1
        while True:
            pause = _backoff(attempt)
            try:
                answer = self._exchange(method, path, query, content, where)
            except ApiError:
                if method != "GET" or attempt >= self._attempts:
                    raise
            else:
                limited = answer.status == HTTPStatus.TOO_MANY_REQUESTS
                passing = method == "GET" and answer.status in _PASSING
                most = _ATTEMPTS_WHEN_LIMITED if limited else self._attempts if passing else 1
                if attempt >= most:
                    return self._content(answer, where)
                pause = _asked_pause(answer.retry_after, pause)
            self._pause(pause)
            attempt += 1

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        content: bytes | None,
        where: str,
    ) -> _Answer:
        """Send one request and read its whole answer. Raises ApiError where none comes, or not in time."""
        deadline = time.monotonic() + self._timeout_seconds
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            with self._session.request(
                method,
                self.url + path,
                params=query,
                data=content,
                headers=headers,
                auth=self._signed_in(),
                allow_redirects=False,
                timeout=(min(_CONNECT_SECONDS, self._timeout_seconds), self._timeout_seconds),
                stream=True,
            ) as response:
                return _Answer(
                    status=response.status_code,
                    body=_read(response, deadline),
                    content_type=response.headers.get("Content-Type", ""),
                    retry_after=response.headers.get("Retry-After"),
                    location=response.headers.get("Location"),
                )
        except (requests.RequestException, TimeoutError) as error:
            raise self._failure(error, where) from error

    def _failure(self, error: Exception, where: str) -> ApiError:
        """Return what a request that brought no whole answer comes to."""
        cause = _innermost(error)
        if isinstance(error, requests.Timeout) or isinstance(
            cause, TimeoutError | urllib3.exceptions.TimeoutError
        ):
            return UnusableApiError(
                f"no complete answer within {self._timeout_seconds:g} s",
                where=where,
                mend="is the server overloaded, or a firewall in between?",
            )
        said = plain(getattr(cause, "strerror", None) or str(cause))
        if isinstance(error, requests.exceptions.SSLError):
            what, mend = tls_failure(error, variable=AUTHORITIES)
            return UnusableApiError(what, where=where, mend=mend)
        if isinstance(error, requests.exceptions.ChunkedEncodingError | _TooLargeError):
            return ApiError(f"its answer cannot be read: {said}", where=where, mend="ask again")
        return UnusableApiError(
            f"no connection: {said}", where=where, mend="is the url right, and the server running?"
        )

    def _signed_in(self) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
        """Return what says who asks; also for nobody there is one, so that no netrc file speaks up."""
        if self._auth is not None:
            return self._auth
        return _unsigned if self._token is None else Bearer(self._token())

    def _content(self, answer: _Answer, where: str) -> Json:
        """Return the JSON of a good answer. Raises ApiError with the mend for a bad one."""
        status = answer.status
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return self._decoded(answer, where)
        if answer.is_page and status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise UnusableApiError(
                f"refused with a page ({status}), not by the API itself",
                where=where,
                mend=self._hints.html_forbidden,
                status=status,
            )
        reason, code = _reason(answer)
        said = f": {reason}" if reason else ""
        kind: type[ApiError] = ApiError
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            kind = UnusableApiError
            what = f"it sends us elsewhere ({status}): {plain(answer.location or 'without saying where')}"
            mend = "write the final address as url: with https:// and the path, if it has one"
        elif status == HTTPStatus.UNAUTHORIZED:
            kind, what, mend = UnusableApiError, f"not signed in (401){said}", self._hints.unauthorized
        elif status == HTTPStatus.FORBIDDEN:
            what, mend = f"not allowed (403){said}", self._hints.forbidden
        elif status == HTTPStatus.TOO_MANY_REQUESTS:
            what = f"it limits our requests (429){said}, still after {_ATTEMPTS_WHEN_LIMITED} attempts"
            mend = "try again later, or ask its owner for more"
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            what, mend = f"it failed ({status}){said}", "its log may say why; then try again"
        else:
            what, mend = f"it refused ({status}){said}", "is the url right, with its path if it has one?"
        raise kind(what, where=where, mend=mend, status=status, reason=reason, code=code)

    @staticmethod
    def _decoded(answer: _Answer, where: str) -> Json:
        if answer.status == HTTPStatus.NO_CONTENT or not answer.body.strip():
            return None
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            kind = "a page" if answer.is_page else "no JSON"
            raise ApiError(
                f"its answer is {kind}, it starts {plain(answer.body[:40].decode(errors='replace'))!r}",
                where=where,
                mend="is the url that of the API, with its path behind a proxy, if it has one?",
                status=answer.status,
            ) from error


def segment(text: str) -> str:
    """Return `text` as one segment of a path, whatever stands in it."""
    return quote(text, safe="")


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _backoff(attempt: int) -> float:
    return float(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))


def _asked_pause(header: str | None, otherwise: float) -> float:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3), at most a minute."""
    if header is None:
        return otherwise
    if header.isascii() and header.isdigit():
        return min(float(header), _LONGEST_PAUSE_SECONDS)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return otherwise
    seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - time.time()
    return min(max(seconds, 0.0), _LONGEST_PAUSE_SECONDS)


def _read(response: requests.Response, deadline: float) -> bytes:
    """Return the whole body. Raises TimeoutError after the deadline, which a drip of bytes cannot move."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(_CHUNK_BYTES):
        size += len(part)
        if size > _LARGEST_ANSWER_BYTES:
            raise _TooLargeError(f"it is larger than {_LARGEST_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError
        parts.append(part)
    return b"".join(parts)


def _reason(answer: _Answer) -> tuple[str, str]:
    """Return a server's message and Grafana's word for it, each empty where there is none."""
    if answer.is_page:
        return "", ""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return plain(answer.body.decode(errors="replace")), ""
    if not isinstance(content, dict):
        return "", ""
    # `message` is Grafana's, `error` that of Prometheus.
    said = content.get("message") or content.get("error") or ""
    return plain(str(said)), str(content.get("status") or "")


def _innermost(error: BaseException) -> BaseException:
    """Return the first reason of a failed connection; what wraps it repeats the address."""
    while True:
        reason = getattr(error, "reason", None)
        inside = (
            reason
            if isinstance(reason, BaseException)
            else next((one for one in error.args if isinstance(one, BaseException)), None)
        )
        following = inside or error.__cause__
        if following is None:
            return error
        error = following
