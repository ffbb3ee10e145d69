"""A YAML file as plain data that knows its lines: what a person may write, and nothing that surprises them.

Scalars are resolved as in YAML 1.2 (`no` is text, `0x…` stays as written, times are text); a key without a
value counts as not written where the schema allows it. Anchors, aliases, tags and several documents in one
file are refused, so that the size of the data is bounded by the size of the file.
"""

import math
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from stakewatch.bundle.problems import Problem, quoted
from stakewatch.errors import InputError

MAXIMUM_BYTES = 10 * 1024 * 1024
MAXIMUM_DEPTH = 20
MAXIMUM_VALUES = 300_000
_MOST_PROBLEMS = 1000

Scalar = str | int | float | bool | None
Data = Scalar | list["Data"] | dict[str, "Data"]
Place = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


@dataclass(frozen=True)
class Node:
    """One value and where it starts; `text` is a scalar as written, `entries` what stands below it."""

    line: int
    text: str | None = None
    entries: dict[str | int, "Node"] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """The data of one YAML file, where each value stands, and what was wrong with the writing."""

    path: Path
    data: Data
    root: Node
    problems: tuple[Problem, ...]

    def line(self, place: Sequence[str | int]) -> int:
        """Return the line (from 1) of the key at `place`, or of the nearest value above that exists."""
        return self._node(place).line

    def text(self, place: Sequence[str | int]) -> str | None:
        """Return the scalar at `place` as it is written, or None where no scalar stands."""
        return self._node(place).text

    def _node(self, place: Sequence[str | int]) -> Node:
        node = self.root
        for step in place:
            if step not in node.entries:
                break
            node = node.entries[step]
        return node


def read_text(path: Path, *, maximum_bytes: int = MAXIMUM_BYTES) -> str:
    """Return the text of the UTF-8 file at `path`.

    Raises InputError when it is missing, unreadable, no regular file, larger than `maximum_bytes`
    (found out before it is read) or not UTF-8.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError("is a folder, not a file", where=str(path), mend="name the file in it")
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is not a regular file", where=str(path), mend="name an ordinary file")
        if status.st_size > maximum_bytes:
            raise InputError(
                f"the file has {status.st_size:,} bytes; at most {maximum_bytes:,} are read",
                where=str(path),
                mend="is it the right file? Long lists of keys go into key files, one per group",
            )
        with path.open("rb") as file:
            content = file.read(maximum_bytes)
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), mend="check the name, or create it") from error
    except PermissionError as error:
        raise InputError(
            "may not be read", where=str(path), mend="give this user permission to read it"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read: {error}", where=str(path), mend="check the name and disk"
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"byte {error.start} is not UTF-8 text", where=f"{path}:{line}", mend="save the file as UTF-8"
        ) from error


def read_document(text: str, path: Path) -> Document:
    """Return the YAML `text` as a document; `path` is only named in messages.

    Raises InputError for what ends the reading (syntax, depth, aliases); what does not, such as a key that
    stands twice, is in `problems`.
    """
    try:
        return _Reader(path=path, events=iter(_events(text))).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.problem, error.context) if part)
        written = text.splitlines()[mark.line : mark.line + 1] if mark else []
        raise InputError(
            f"not valid YAML: {what}",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
            mend="YAML forbids tabs for indentation: use spaces"
            if any("\t" in line for line in written)
            else "check indentation, brackets and quotes on this line and the one above",
        ) from error
    except yaml.reader.ReaderError as error:
        raise InputError(
            f"character {error.position} may not stand in a text file: {error.reason}",
            where=f"{path}:{text.count(chr(10), 0, error.position) + 1}",
            mend="is it the right file? YAML is plain text",
        ) from error
    except UnicodeEncodeError as error:
        raise InputError(
            "holds a character that cannot be encoded", where=str(path), mend="save it as UTF-8"
        ) from error


def _events(text: str) -> Iterator[Event]:
    loader = _LOADER(text)
    try:
        while loader.check_event():
            event = loader.get_event()
            assert event is not None  # noqa: S101 - check_event has just said that there is one
            yield event
    finally:
        loader.dispose()


class _Reader:
    """Turns the events of one YAML stream into a document, without recursion deeper than MAXIMUM_DEPTH."""

    def __init__(self, *, path: Path, events: Iterator[Event]) -> None:
        self._path = path
        self._events = events
        self._problems: list[Problem] = []
        self._values = 0

    def read(self) -> Document:
        data: Data = None
        root = Node(line=1)
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refused(
                        event, "a second document starts here", "keep one and remove the line ---"
                    )
                data, root = self._value(next(self._events), depth=0)
        return Document(path=self._path, data=data, root=root, problems=tuple(self._problems))

    def _value(self, event: Event, *, depth: int) -> tuple[Data, Node]:
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise self._refused(
                event, "anchors and aliases (& and *) are not supported", "write the value out"
            )
        if tag := getattr(event, "tag", None):
            raise self._refused(event, f"the tag {quoted(tag)} is not supported", "remove it")
        self._values += 1
        if self._values > MAXIMUM_VALUES:
            raise self._refused(
                event,
                f"holds more than {MAXIMUM_VALUES:,} values",
                "is it the right file? Long lists of keys go into key files, one per group",
            )
        if depth > MAXIMUM_DEPTH:
            raise self._refused(event, f"nested deeper than {MAXIMUM_DEPTH} levels", "is it the right file?")
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, depth=depth)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(event, depth=depth)
        assert isinstance(event, ScalarEvent)  # noqa: S101 - the grammar of events leaves nothing else
        plain = bool(event.implicit[0])
        line = _line(event)
        return _scalar(event.value) if plain else event.value, Node(line=line, text=event.value)

    def _sequence(self, start: SequenceStartEvent, *, depth: int) -> tuple[list[Data], Node]:
        values: list[Data] = []
        entries: dict[str | int, Node] = {}
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            value, node = self._value(event, depth=depth + 1)
            entries[len(values)] = node
            values.append(value)
        return values, Node(line=_line(start), entries=entries)

    def _mapping(self, start: MappingStartEvent, *, depth: int) -> tuple[dict[str, Data], Node]:
        values: dict[str, Data] = {}
        entries: dict[str | int, Node] = {}
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            if not isinstance(event, ScalarEvent):
                raise self._refused(event, "a key must be a word", "write KEY: VALUE")
            if event.anchor or event.tag:
                raise self._refused(event, "anchors and tags are not supported", "remove them")
            key, line = event.value, _line(event)
            value, node = self._value(next(self._events), depth=depth + 1)
            if key in entries:
                self._repeated(key, line, entries[key].line)
                continue
            values[key] = value
            entries[key] = Node(line=line, text=node.text, entries=node.entries)
        return values, Node(line=_line(start), entries=entries)

    def _repeated(self, key: str, line: int, first: int) -> None:
        if len(self._problems) < _MOST_PROBLEMS:
            what = f"the key {quoted(key)} stands a second time, first on line {first}"
            self._problems.append(Problem(self._path, line, what, "remove one of the two"))

    def _refused(self, event: Event, what: str, mend: str) -> InputError:
        return InputError(what, where=f"{self._path}:{_line(event)}", mend=mend)


def _line(event: Event) -> int:
    """Return the line, from 1, where `event` begins; only events made by hand have no mark."""
    return event.start_mark.line + 1 if event.start_mark else 1


def _scalar(text: str) -> Scalar:
    """Resolve a plain scalar; a number that Python would round to infinity stays text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
