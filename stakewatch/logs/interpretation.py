"""Interpretation: what stages make of an entry, as Promtail and Alloy do it, without either of them.

Lines are text with the bytes that are no UTF-8 kept as surrogates (`errors="surrogateescape"`).
Not modelled: what depends on the entries before (partial CRI lines, the limit, a runtime's broken time),
and control characters that Promtail lets pass in JSON behind an escape.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NoReturn

from stakewatch.logs.expressions import compiled
from stakewatch.logs.stages import (
    LAYOUTS,
    Cri,
    Decolorize,
    Docker,
    Fixed,
    Hexadecimal,
    Json,
    LabelMatcher,
    Labels,
    LabelsKept,
    Limit,
    Match,
    Regex,
    Replace,
    Selector,
    Stage,
    StructuredMetadata,
    Timestamp,
    WithoutSeparators,
    Words,
)

_CRI = re.compile(r"^(?P<time>\S+?) (?P<stream>stdout|stderr) (?P<flags>\S+?) (?P<content>.*)\Z", re.DOTALL)
# What both shippers take for a colour or another command to a terminal, one that is cut off too.
_COLOUR = re.compile(
    r"[\x1b\x9b][\[\]()#;?]*"
    r"(?:(?:[a-zA-Z\d]*(?:;[a-zA-Z\d]*)*)?\x07|(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PRZcf-ntqry=><~])",
    re.ASCII,
)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_PATH_STEP = re.compile(r'"([^"\\]+)"|([A-Za-z_][A-Za-z0-9_]*)')
_SECOND = 10**9


@dataclass(frozen=True)
class Entry:
    """A line with its labels and metadata; `time_ns` is Unix nanoseconds, None for the time of reading."""

    line: str
    labels: Mapping[str, str]
    time_ns: int | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def interpret(stages: Iterable[Stage], entry: Entry) -> Entry:
    """Return what `stages` make of `entry`. No line is too broken: what cannot be read stays as it is."""
    values: dict[str, Any] = {}
    return _run(stages, entry, values)


def _run(stages: Iterable[Stage], entry: Entry, values: dict[str, Any]) -> Entry:
    values |= entry.labels
    for stage in stages:
        entry = _step(stage, entry, values)
    return entry


def _step(stage: Stage, entry: Entry, values: dict[str, Any]) -> Entry:  # noqa: C901, PLR0911, PLR0912 - one case a stage
    match stage:
        case Cri():
            return _from_cri(entry, values)
        case Docker():
            return _from_docker(entry, values)
        case Decolorize():
            return replace(entry, line=_COLOUR.sub("", entry.line))
        case Replace():
            return replace(entry, line=_replaced(stage, entry.line))
        case Json():
            values |= _read_json(stage, entry.line)
        case Regex():
            _search(stage, entry, values)
        case Words() | WithoutSeparators() | Hexadecimal() | Fixed():
            _change(stage, values)
        case Timestamp():
            return _timed(entry, values.get(stage.source), stage.layout)
        case Labels():
            found = {name: text for name in stage.names if (text := _text(values.get(name))) is not None}
            return replace(entry, labels={**entry.labels, **found})
        case LabelsKept():
            return replace(
                entry, labels={name: entry.labels[name] for name in stage.names if name in entry.labels}
            )
        case StructuredMetadata():
            found = {name: text for name in stage.names if (text := _text(values.get(name))) is not None}
            return replace(entry, metadata={**entry.metadata, **found})
        case Limit():
            pass
        case Match():
            if takes(stage.selector, entry):
                return _run(stage.stages, entry, values)
    return entry


def takes(selector: Selector, entry: Entry) -> bool:
    """Return whether a selector takes an entry."""
    if not all(_matches(matcher, entry.labels.get(matcher.name, "")) for matcher in selector.labels):
        return False
    if selector.line is None:
        return True
    found = compiled(selector.line.expression).search(entry.line) is not None
    return found is (selector.line.operator == "|~")


def _matches(matcher: LabelMatcher, value: str) -> bool:
    if matcher.operator in ("=", "!="):
        return (value == matcher.value) is (matcher.operator == "=")
    found = compiled(matcher.value).fullmatch(value) is not None
    return found is (matcher.operator == "=~")


def _from_cri(entry: Entry, values: dict[str, Any]) -> Entry:
    found = _CRI.match(entry.line)
    if not found:
        return entry
    values |= found.groupdict()
    labels = {**entry.labels, "stream": found["stream"]}
    return _timed(replace(entry, line=found["content"], labels=labels), found["time"])


def _from_docker(entry: Entry, values: dict[str, Any]) -> Entry:
    data = _object(entry.line)
    if data is None:
        return entry
    values |= {"output": data.get("log"), "stream": data.get("stream"), "timestamp": data.get("time")}
    line, stream = _text(data.get("log")), _text(data.get("stream"))
    labels = entry.labels if stream is None else {**entry.labels, "stream": stream}
    wrapped = replace(entry, line=entry.line if line is None else line, labels=labels)
    return _timed(wrapped, data.get("time"))


def _replaced(stage: Replace, line: str) -> str:
    pieces: list[str] = []
    end = 0
    for found in compiled(stage.expression).finditer(line):
        for number in range(1, found.re.groups + 1):
            start, stop = found.span(number)
            if start >= end:
                pieces += (line[end:start], stage.replacement)
                end = stop
    return "".join([*pieces, line[end:]])


def _read_json(stage: Json, line: str) -> dict[str, Any]:
    data = _object(line)
    return {} if data is None else {name: _at(data, path) for name, path in stage.paths.items()}


def _object(line: str) -> dict[str, Any] | None:
    """Return the JSON object that a line is, with all numbers as floats, or None where it is none."""
    try:
        data = json.loads(line, parse_int=_number, parse_float=_number, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _number(written: str) -> float:
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"{written[:20]} is out of range")
    return number


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _at(data: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what a JMESPath of names, dots and || finds; None where there is nothing."""
    found: Any = None
    for alternative in path.split(" || "):
        found = data
        for quoted, plain in _PATH_STEP.findall(alternative):
            found = found.get(quoted or plain) if isinstance(found, dict) else None
        if found is not False and found not in (None, "", [], {}):
            break
    return found


def _search(stage: Regex, entry: Entry, values: dict[str, Any]) -> None:
    text = _text(values.get(stage.source)) if stage.source else entry.line
    found = compiled(stage.expression).search(text) if text is not None else None
    if found:
        values |= {name: value or "" for name, value in found.groupdict().items()}


def _change(stage: Words | WithoutSeparators | Hexadecimal | Fixed, values: dict[str, Any]) -> None:
    """Change a value as the stage's template would; one that becomes empty is forgotten."""
    value = _text(values.get(stage.source)) or ""
    match stage:
        case Words():
            changed = next((word for word, known in stage.words.items() if value.lower() in known), "")
        case WithoutSeparators():
            changed = value.replace(",", "").replace("_", "")
        case Hexadecimal():
            changed = f"0x{value.lower().removeprefix('0x')}" if value else ""
        case Fixed():
            changed = stage.value
    if changed:
        values[stage.source] = changed
    else:
        values.pop(stage.source, None)


def _text(value: Any) -> str | None:  # noqa: ANN401 - JSON
    """Return a value as a shipper writes it, or None where it has no text."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case float():
            return f"{Decimal(repr(value)):f}".removesuffix(".0")
        case str():
            return value
        case _:
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _timed(entry: Entry, written: Any, layout: str = "RFC3339Nano") -> Entry:  # noqa: ANN401 - JSON
    nanoseconds = time_ns(written, layout) if isinstance(written, str) else None
    return entry if nanoseconds is None else replace(entry, time_ns=nanoseconds)


def time_ns(written: str, layout: str = "RFC3339Nano") -> int | None:
    """Return a time in a layout of LAYOUTS as Unix nanoseconds, or None where it has another."""
    found = _TIME.fullmatch(written)
    if not found or not compiled(LAYOUTS[layout]).fullmatch(written):
        return None
    day, clock, fraction, zone = found.groups()
    try:
        seconds = datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except (ValueError, OverflowError):
        return None
    return int(seconds) * _SECOND + int((fraction or "").ljust(9, "0"))
