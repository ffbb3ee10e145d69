"""Loki's HTTP API: the lines that a log query finds.

Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any

import requests

from stakewatch.bundle.http_access import Bearer, address_parts, failure_of, read_token
from stakewatch.bundle.problems import plain
from stakewatch.errors import InputError, StakewatchError

_OPTION = "--loki"
_PAGE = 1000
_SECONDS = 60.0
_SHOWN_BYTES = 1200
_WITH_METADATA = 3
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Address:
    """A Loki at `url`, of one tenant where it has several; the token is read from its file at each use.

    Raises InputError for a URL that is none, or that has credentials in it.
    """

    url: str
    tenant: str = ""
    token_file: Path | None = None

    def __post_init__(self) -> None:
        parts = address_parts(self.url)
        if parts is None or parts.query or parts.fragment:
            raise InputError(
                "this is no address of a Loki",
                where=_OPTION,
                mend="write http://HOST:PORT, without a path of the API",
            )
        if parts.username is not None or parts.password is not None:
            # Not repeated: it holds a password.
            raise InputError(
                "the address of Loki has credentials in it",
                where=_OPTION,
                mend="put a token into a file and name that with --token-file",
            )


@dataclass(frozen=True)
class LogLine:
    """One line; `labels` are its stream's, `metadata` its own, `time_ns` is Unix nanoseconds."""

    time_ns: int
    labels: Mapping[str, str]
    text: str
    metadata: Mapping[str, str] = field(default_factory=lambda: _NO_METADATA)


@dataclass(frozen=True)
class Found:
    """The lines that were found, in order; `cut_off` where there are more."""

    lines: tuple[LogLine, ...]
    cut_off: bool = False


def find_lines(address: Address, query: str, start_ns: int, end_ns: int, most: int) -> Found:
    """Return the first `most` lines that a log query finds between two times (Unix nanoseconds).

    Raises StakewatchError when Loki does not answer, refuses the query, or answers something else than lines.
    """
    lines: dict[tuple[int, str, str], LogLine] = {}
    is_whole = True
    with _session(address) as http:
        while start_ns < end_ns and len(lines) <= most:
            page = sorted(_page(http, address, query, start_ns, end_ns), key=lambda line: line.time_ns)
            before = len(lines)
            for line in page:
                # A page begins with the last time of the one before, which may not have had all of it.
                lines.setdefault((line.time_ns, repr(sorted(line.labels.items())), line.text), line)
            # A short page is not always the last: Loki cuts it first and then drops what is in it twice.
            stuck = len(lines) == before
            if stuck and len(page) < _PAGE:
                break
            # More lines of one time than a page holds: only the first of them can be asked for.
            is_whole = is_whole and not stuck
            start_ns = page[-1].time_ns + int(stuck)
    ordered = sorted(lines.values(), key=lambda line: line.time_ns)
    return Found(tuple(ordered[:most]), cut_off=len(ordered) > most or not is_whole)


def _session(address: Address) -> requests.Session:
    session = requests.Session()
    # Metadata apart from the stream's labels.
    session.headers["X-Loki-Response-Encoding-Flags"] = "categorize-labels"
    if address.tenant:
        session.headers["X-Scope-OrgID"] = address.tenant
    if address.token_file is not None:
        session.auth = Bearer(read_token(address.token_file))
    return session


def _page(
    http: requests.Session, address: Address, query: str, start_ns: int, end_ns: int
) -> Iterator[LogLine]:
    parameters: dict[str, str | int] = {
        "query": query,
        "start": start_ns,
        "end": end_ns,
        "limit": _PAGE,
        "direction": "forward",
    }
    url = f"{address.url.rstrip('/')}/loki/api/v1/query_range"
    try:
        # A redirection would carry the token to where it leads.
        answer = http.get(url, params=parameters, timeout=_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise StakewatchError(
            f"Loki does not answer: {failure_of(error)}",
            where=url,
            mend="does it run, and is the address right?",
        ) from error
    if answer.status_code != HTTPStatus.OK:
        raise StakewatchError(
            f"Loki answered {answer.status_code}: {_said(answer.content)}",
            where=url,
            mend=_mend(answer.status_code),
        )
    try:
        yield from _lines(answer.json())
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StakewatchError(
            "the answer is not what Loki answers to a log query",
            where=url,
            mend="is this the address of a Loki?",
        ) from error


def _lines(answer: Any) -> Iterator[LogLine]:  # noqa: ANN401 - JSON
    data = answer["data"]
    if data["resultType"] != "streams":
        raise ValueError(data["resultType"])
    for stream in data["result"]:
        labels = MappingProxyType({str(name): str(value) for name, value in stream["stream"].items()})
        for entry in stream["values"]:
            more = entry[2] if len(entry) >= _WITH_METADATA else {}
            metadata = {**more.get("structuredMetadata", {}), **more.get("parsed", {})}
            yield LogLine(
                time_ns=int(entry[0]),
                labels=labels,
                text=str(entry[1]),
                metadata=MappingProxyType({str(name): str(value) for name, value in metadata.items()}),
            )


def _said(content: bytes) -> str:
    """Return the start of what a server said; it need not be what its headers claim."""
    return plain(content[:_SHOWN_BYTES].decode("utf-8", errors="replace")) or "nothing"


def _mend(status: int) -> str:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return "give a token with --token-file, and the tenant with --tenant"
    if status == HTTPStatus.NOT_FOUND or status < HTTPStatus.BAD_REQUEST:
        return "is this the address of a Loki? Write it without a path of the API"
    return "ask for less: a shorter time, or one cluster"
