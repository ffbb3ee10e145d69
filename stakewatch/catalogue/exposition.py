"""Pages of metrics, as a process serves them: which families there are, with their types and labels.

Both text formats of Prometheus, 0.0.4 and OpenMetrics. What is read may come from anywhere: its size is
bounded, and what is no page of metrics, or only the beginning of one, is refused.
"""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import requests

from stakewatch.bundle.document import read_text
from stakewatch.bundle.http_access import failure_of
from stakewatch.bundle.problems import quoted
from stakewatch.errors import InputError, StakewatchError

MAXIMUM_BYTES = 64 * 1024 * 1024
MAXIMUM_FAMILIES = 20_000
_LONGEST_LINE = 100_000
_MOST_LABELS = 100
_CONNECT_SECONDS = 5
_READ_SECONDS = 15
_WHOLE_SECONDS = 60
_CHUNK_BYTES = 256 * 1024
_ACCEPT = "text/plain;version=0.0.4"
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TYPE = re.compile(rf"# TYPE (?P<name>{_NAME}) (?P<type>[a-z]+)\s*")
_LABEL = re.compile(r'\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*(?:,|(?=\}))')
_START = re.compile(rf"(?P<name>{_NAME})\s*(?P<brace>\{{)?")
_NUMBER = (
    r"[-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[iI]nf(?:inity)?|[nN]a[nN])"
)
_VALUE = re.compile(rf"\s*{_NUMBER}(?:\s+-?[0-9.eE+]+)?\s*(?:#.*)?")
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "counter": "counter",
        "gauge": "gauge",
        "histogram": "histogram",
        "summary": "summary",
        "untyped": "untyped",
        "unknown": "untyped",
        "info": "gauge",
        "stateset": "gauge",
        "gaugehistogram": "histogram",
    }
)
_SUFFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"histogram": ("_bucket", "_sum", "_count", "_gsum", "_gcount"), "summary": ("_sum", "_count")}
)
_IMPLIED: Mapping[str, str] = MappingProxyType({"histogram": "le", "summary": "quantile"})


@dataclass(frozen=True)
class Exposed:
    """One family of a page: its name as Prometheus stores it, its type, its own labels in their order."""

    name: str
    type: str
    labels: tuple[str, ...]


def read_page(place: str) -> str:
    """Return the text at a path or at an http or https address.

    Raises InputError when it is missing, too large or no text, StakewatchError when a server does not answer
    well.
    """
    if "://" not in place:
        return read_text(Path(place), maximum_bytes=MAXIMUM_BYTES)
    if urlsplit(place).scheme not in {"http", "https"}:
        raise InputError("only http and https are fetched", where=shown_place(place), mend="or name a file")
    try:
        return _fetched(place)
    except requests.RequestException as error:
        raise StakewatchError(
            f"it cannot be fetched: {failure_of(error)}",
            where=shown_place(place),
            mend="check address and port; or save the page and name the file",
        ) from error


def shown_place(place: str) -> str:
    """Return a path or an address without what may be secret in it: user, password and query."""
    if "://" not in place:
        return place
    parts = urlsplit(place)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def parse_page(text: str, where: str) -> tuple[Exposed, ...]:
    """Return the families of a page, by name; `where` is only named in messages.

    Raises InputError (with the line) when it is no page of metrics, or is cut off.
    """
    if text and not text.endswith("\n"):
        raise InputError(
            "the last line does not end: the page is cut off", where=where, mend="fetch it once more"
        )
    types: dict[str, str] = {}
    labels: dict[str, dict[str, None]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        _read_line(line, f"{where}:{number}", types, labels)
        if len(types) > MAXIMUM_FAMILIES or len(labels) > 10 * MAXIMUM_FAMILIES:
            raise InputError(
                f"more than {MAXIMUM_FAMILIES:,} families", where=where, mend="is it one process?"
            )
    if not labels:
        raise InputError("no metrics here", where=where, mend="name what a process serves under /metrics")
    return tuple(_families(types, labels))


def _read_line(line: str, where: str, types: dict[str, str], labels: dict[str, dict[str, None]]) -> None:
    if len(line) > _LONGEST_LINE:
        raise InputError(f"a line of {len(line):,} characters", where=where, mend="is it a page of metrics?")
    if line.startswith("#"):
        match = _TYPE.fullmatch(line)
        if match:
            types[match["name"]] = _TYPES.get(match["type"], "untyped")
        return
    if line.strip():
        name, found = _sample(line, where)
        known = labels.setdefault(name, {})
        known.update(dict.fromkeys(found))
        if len(known) > _MOST_LABELS:
            raise InputError(f"{name} has more than {_MOST_LABELS} labels", where=where, mend="look at it")


def _sample(line: str, where: str) -> tuple[str, list[str]]:
    """Return the name and the labels of a sample line."""
    start = _START.match(line)
    position = start.end() if start else 0
    found: list[str] = []
    if start and start["brace"]:
        while match := _LABEL.match(line, position):
            found.append(match["name"])
            position = match.end()
        if line[position : position + 1] != "}":
            start = None
        position += 1
    if start is None or not _VALUE.fullmatch(line, position):
        raise InputError(
            f"{quoted(line)} is no sample",
            where=where,
            mend="name what a process serves under /metrics, as text and whole",
        )
    return start["name"], found


def _families(types: Mapping[str, str], labels: Mapping[str, Mapping[str, None]]) -> Iterable[Exposed]:
    owners: dict[str, str] = {}
    for name, kind in types.items():
        for suffix in _SUFFIXES.get(kind, ()):
            owners[name + suffix] = name
    found: dict[str, dict[str, None]] = {}
    kinds: dict[str, str] = {}
    for sample, own in labels.items():
        family = owners.get(sample, sample) if sample not in types else sample
        # OpenMetrics declares a counter without its suffix; Prometheus stores it with it.
        bare = family.removesuffix("_total").removesuffix("_info")
        kind = types.get(family) or types.get(bare, "untyped")
        kinds[family] = kind
        implied = _IMPLIED.get(kind)
        found.setdefault(family, {}).update({label: None for label in own if label != implied})
    return (Exposed(name, kinds[name], tuple(found[name])) for name in sorted(found))


def _fetched(address: str) -> str:
    began = time.monotonic()
    where = shown_place(address)
    with (
        requests.Session() as session,
        session.get(
            address,
            headers={"Accept": _ACCEPT},
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
            stream=True,
            allow_redirects=False,
        ) as answer,
    ):
        if answer.status_code != requests.codes.ok:
            raise StakewatchError(
                f"the server answers {answer.status_code}", where=where, mend="check the path; name its end"
            )
        content = bytearray()
        for chunk in answer.iter_content(_CHUNK_BYTES):
            content += chunk
            if len(content) > MAXIMUM_BYTES:
                raise InputError(
                    f"more than {MAXIMUM_BYTES:,} bytes", where=where, mend="is it a page of metrics?"
                )
            if time.monotonic() - began > _WHOLE_SECONDS:
                raise StakewatchError(f"it takes longer than {_WHOLE_SECONDS} s", where=where)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            "this is no text", where=where, mend="is it a page of metrics, and not compressed?"
        ) from error
