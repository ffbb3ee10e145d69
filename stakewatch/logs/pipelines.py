"""Pipelines: `loki/pipelines.yaml` as types, what is read from the log lines of each program."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from stakewatch.bundle.document import Document, Place, read_document, read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import Problem, as_error, did_you_mean, quoted
from stakewatch.bundle.validation import schema_problems
from stakewatch.logs.expressions import compiled

VALUE = "{value}"
# Names that stages of Promtail and Alloy, or targets, give to values of their own.
_RESERVED = frozenset(
    {"content", "container", "filename", "flags", "log", "namespace", "output", "pod", "priority", "runtime"}
    | {"stream", "time", "timestamp", "error_class", "level"}
)
# What follows the name of a secret: = or :, also as the audit log or JSON in JSON writes it, and the value,
# which is no path. Between quotes it may have any character, without them it ends where most values end.
_ASSIGNED = (
    r"""["\\']{0,7}[ \t]{0,3}(?:[=:]|%3D)[=>]?[ \t]{0,3}"""
    r"""(?:["']([^\s"'\\/.<>{}\[\]%=:][^"'\\]{3,300})["']"""
    r"""|["\\']{0,7}([^\s"'\\,;&/.<>{}\[\]%=:][^\s"'\\,;&<>{}\[\]]{3,300}))"""
)
_MEND = "use what RE2 and Python read alike: no look-around, no back references"


@dataclass(frozen=True)
class Field:
    """A name of structured metadata; `kind` is what its values look like."""

    name: str
    kind: Literal["integer", "hexadecimal", "name", "word"]
    describes: str


@dataclass(frozen=True)
class Time:
    """Where a line's own time stands, a path or an expression with `{value}`, and Go's layout of it."""

    source: str
    layout: str


@dataclass(frozen=True)
class JsonFormat:
    """How a program's JSON is read: JMESPaths of the level and of each field.

    A `message` that is named is searched for the other fields as text would be.
    """

    level: str | None = None
    message: str | None = None
    time: Time | None = None
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class TextFormat:
    """How a program's text is read: an expression with `{value}` for the level and for each field.

    `level_label` names a label that holds the level instead.
    """

    level: str | None = None
    level_label: str | None = None
    time: Time | None = None
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class ErrorPattern:
    """Lines that report the error class `name`; below a warning only where `any_level`."""

    name: str
    expression: str
    any_level: bool = False


@dataclass(frozen=True)
class Pipeline:
    """What is read from the lines of one `implementation`; without `roles` it belongs to the platform."""

    implementation: str
    roles: tuple[str, ...]
    describes: str
    json: JsonFormat | None = None
    text: TextFormat | None = None
    errors: tuple[ErrorPattern, ...] = ()


@dataclass(frozen=True)
class Storm:
    """How many lines per second of `levels` one process may send before the rest is dropped."""

    levels: tuple[str, ...]
    lines_per_second: int
    burst: int


@dataclass(frozen=True)
class Pipelines:
    """All of `loki/pipelines.yaml`.

    `labels` are the only labels of a stream; `platform` are labels that become structured metadata.
    `levels` has our word and the programs' words for it. `secrets` are expressions whose groups are masked.
    `crashes` finds a crash in a line that has no level, `errors` what any program may report.
    `fallback` reads programs that have no pipeline.
    """

    labels: tuple[str, ...]
    platform: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    fields: tuple[Field, ...]
    secrets: Mapping[str, str]
    crashes: str
    errors: tuple[ErrorPattern, ...]
    storm: Storm | None
    error_classes: Mapping[str, str]
    pipelines: tuple[Pipeline, ...]
    fallback: Pipeline

    @property
    def metadata(self) -> tuple[str, ...]:
        """The names of all structured metadata."""
        return (*(one.name for one in self.fields), "error_class", *self.platform)


FALLBACK = "any"


def pipelines_path(bundle: Bundle) -> Path:
    """Return where a bundle has its pipelines; it may have none."""
    return bundle.root / "loki" / "pipelines.yaml"


def load_pipelines(path: Path) -> Pipelines:
    """Return the pipelines of the file at `path`.

    Raises InputError with file, line and mend of everything that is wrong with it.
    """
    document = read_document(read_text(path), path)
    problems = [*document.problems, *schema_problems(document, _schema())]
    if not problems:
        problems += _reference_problems(document)
    if problems:
        raise as_error(problems)
    data: Any = document.data
    storm = data.get("storm")
    pipelines = tuple(_pipeline(name, entry) for name, entry in data["pipelines"].items())
    return Pipelines(
        labels=tuple(data["labels"]),
        platform=tuple(data.get("platform") or ()),
        levels=MappingProxyType({word: tuple(aliases) for word, aliases in data["levels"].items()}),
        fields=tuple(Field(name=name, **entry) for name, entry in data["fields"].items()),
        secrets=MappingProxyType(
            {name: expression.replace(VALUE, _ASSIGNED) for name, expression in data["secrets"].items()}
        ),
        crashes=data["crashes"],
        errors=_errors(data),
        storm=Storm(tuple(storm["levels"]), int(storm["lines_per_second"]), int(storm["burst"]))
        if storm
        else None,
        error_classes=MappingProxyType(data["error_classes"]),
        pipelines=tuple(one for one in pipelines if one.implementation != FALLBACK),
        fallback=next(one for one in pipelines if one.implementation == FALLBACK),
    )


@cache
def _schema() -> dict[str, Any]:
    text = resources.files("stakewatch.logs").joinpath("schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _pipeline(name: str, entry: dict[str, Any]) -> Pipeline:
    structured, text = entry.get("json"), entry.get("text")
    return Pipeline(
        implementation=name,
        roles=tuple(entry["roles"]),
        describes=entry["describes"],
        json=None
        if structured is None
        else JsonFormat(
            level=structured.get("level"),
            message=structured.get("message"),
            time=_time(structured.get("time")),
            fields=MappingProxyType(structured.get("fields") or {}),
        ),
        text=None
        if text is None
        else TextFormat(
            level=text.get("level"),
            level_label=text.get("level_label"),
            time=_time(text.get("time")),
            fields=MappingProxyType(text.get("fields") or {}),
        ),
        errors=_errors(entry),
    )


def _time(entry: dict[str, Any] | None) -> Time | None:
    return None if entry is None else Time(source=entry["from"], layout=entry["layout"])


def _errors(entry: dict[str, Any]) -> tuple[ErrorPattern, ...]:
    return tuple(_error(name, value) for name, value in (entry.get("errors") or {}).items())


def _error(name: str, value: str | dict[str, Any]) -> ErrorPattern:
    if isinstance(value, str):
        return ErrorPattern(name=name, expression=value)
    return ErrorPattern(name=name, expression=value["expression"], any_level=value.get("any_level", False))


def _reference_problems(document: Document) -> Iterator[Problem]:
    """Yield what the schema cannot say: names that must be known or free, and expressions."""
    data: Any = document.data
    if FALLBACK not in data["pipelines"]:
        mend = f"add an entry {FALLBACK}, for programs that have no entry of their own"
        yield _problem(document, ("pipelines",), f"pipelines has no {FALLBACK}", mend)
    for name in data["fields"]:
        if name in _RESERVED or name in data["labels"]:
            yield _problem(
                document,
                ("fields", name),
                f"{quoted(name)} is taken by a label or a stage",
                "take another name",
            )
    yield from _repeated_words(document, data["levels"])
    for number, level in enumerate((data.get("storm") or {}).get("levels", ())):
        if level not in data["levels"]:
            yield _unknown(document, ("storm", "levels", number), level, data["levels"])
    for name, expression in data["secrets"].items():
        whole = expression.replace(VALUE, _ASSIGNED)
        yield from _expression_problems(document, ("secrets", name), whole, groups=True)
    yield from _expression_problems(document, ("crashes",), data["crashes"])
    yield from _error_problems(document, (), data)
    for name, entry in data["pipelines"].items():
        yield from _pipeline_problems(document, ("pipelines", name), entry)


def _pipeline_problems(document: Document, place: Place, entry: dict[str, Any]) -> Iterator[Problem]:
    data: Any = document.data
    for kind in ("json", "text"):
        for name in (entry.get(kind) or {}).get("fields") or {}:
            if name not in data["fields"]:
                yield _unknown(document, (*place, kind, "fields", name), name, data["fields"])
    text: dict[str, Any] = entry.get("text") or {}
    valued = {("level",): text.get("level"), ("time", "from"): (text.get("time") or {}).get("from")}
    valued |= {("fields", name): value for name, value in (text.get("fields") or {}).items()}
    for below, expression in valued.items():
        if expression is not None:
            yield from _expression_problems(document, (*place, "text", *below), expression, value=True)
    yield from _error_problems(document, place, entry)


def _error_problems(document: Document, place: Place, entry: dict[str, Any]) -> Iterator[Problem]:
    data: Any = document.data
    for name, value in (entry.get("errors") or {}).items():
        where = (*place, "errors", name)
        if name not in data["error_classes"]:
            yield _unknown(document, where, name, data["error_classes"])
        expression = value if isinstance(value, str) else value["expression"]
        yield from _expression_problems(document, where, expression)


def _expression_problems(
    document: Document, place: Place, expression: str, *, groups: bool = False, value: bool = False
) -> Iterator[Problem]:
    """Yield what is wrong with an expression that must have groups, none, or one `{value}`."""
    if value and expression.count(VALUE) != 1:
        what, mend = "has not one {value}", "write {value} where the value stands"
        yield _problem(document, place, f"{place[-1]} {what}", mend)
        return
    try:
        pattern = compiled(expression.replace(VALUE, "x") if value else expression)
    except ValueError as error:
        yield _problem(document, place, f"{place[-1]} is no expression for all shippers: {error}", _MEND)
        return
    if bool(pattern.groups) != groups:
        what = "has no group: nothing would be masked" if groups else "has a group of its own"
        yield _problem(document, place, f"{place[-1]} {what}", "write (…)" if groups else "write (?:…)")
    if pattern.search(""):
        yield _problem(document, place, f"{place[-1]} matches every line", "leave no way to match nothing")


def _repeated_words(document: Document, levels: dict[str, list[str]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for level, words in levels.items():
        for number, word in enumerate(words):
            if word in seen:
                what = f"{quoted(word)} stands for {seen[word]} already"
                yield _problem(document, ("levels", level, number), what, "remove one of the two")
            seen[word] = level


def _unknown(document: Document, place: Place, name: str, known: Mapping[str, Any]) -> Problem:
    mend = did_you_mean(name, list(known), "known are")
    return _problem(document, place, f"{quoted(name)} is not declared above", mend)


def _problem(document: Document, place: Place, what: str, mend: str) -> Problem:
    return Problem(path=document.path, line=document.line(place), what=what, mend=mend)
