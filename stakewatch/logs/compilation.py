"""Compilation: pipelines as the stages that a shipper runs, in their order."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from stakewatch.logs.pipelines import VALUE, ErrorPattern, JsonFormat, Pipeline, Pipelines, TextFormat
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
    LineFilter,
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

MASK = "<masked>"
_RUNTIME = "runtime"
_JSON_LINE = r"^\s*\{"
_LEVEL = "[A-Za-z]+"
_KINDS = MappingProxyType(
    {
        "integer": "-?[0-9]{1,20}",
        # Clients shorten keys in text; seven digits are what Teku leaves.
        "hexadecimal": "(?:0x)?[0-9a-fA-F]{7,128}",
        "name": "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,199}",
        "word": "[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,199}",
    }
)
_WITH_SEPARATORS = f"{_KINDS['integer']}(?:[,_][0-9]{{3}}){{0,6}}"


def stages_of(pipelines: Pipelines) -> tuple[Stage, ...]:
    """Return the stages for the lines of all programs, however they are wrapped.

    A target says in its label `runtime` who wrote its files: `cri`, `docker`, or nobody but the program.
    Secrets are masked before anything else is read, so that no value can hold one.
    """
    return (
        Match(_where(_RUNTIME, "cri"), (Cri(),)),
        Match(_where(_RUNTIME, "docker"), (Docker(), Replace(r"(\n)$", ""))),
        Decolorize(),
        *(Replace(expression, MASK) for expression in pipelines.secrets.values()),
        *(_formats(pipelines, one) for one in (*pipelines.pipelines, pipelines.fallback)),
        Words("level", pipelines.levels),
        Labels(("level",)),
        _crashes(pipelines),
        *_classes(pipelines.errors, (LabelMatcher("instance", "=~", ".+"),)),
        *(
            Match(_of(pipelines, one), tuple(_classes(one.errors, _of(pipelines, one).labels)))
            for one in (*pipelines.pipelines, pipelines.fallback)
            if one.errors
        ),
        *_storm(pipelines),
        LabelsKept(pipelines.labels),
        StructuredMetadata(pipelines.metadata),
    )


def _where(label: str, value: str) -> Selector:
    return Selector((LabelMatcher(label, "=", value),))


def _of(pipelines: Pipelines, one: Pipeline, *more: LabelMatcher, line: LineFilter | None = None) -> Selector:
    """Return the selector of a program's lines; LogQL wants a matcher that an absent label does not meet."""
    if one is not pipelines.fallback:
        return Selector((LabelMatcher("implementation", "=", one.implementation), *more), line)
    others = "|".join(other.implementation for other in pipelines.pipelines)
    named = (LabelMatcher("implementation", "!~", others), LabelMatcher("instance", "=~", ".+"))
    return Selector((*named, *more), line)


def _formats(pipelines: Pipelines, one: Pipeline) -> Match:
    """Return what reads a program's lines, each as JSON or as text by what it looks like."""
    inside: list[Stage] = []
    if one.json:
        line = LineFilter("|~", _JSON_LINE)
        inside.append(Match(_of(pipelines, one, line=line), tuple(_json(pipelines, one, one.json))))
    if one.text:
        line = LineFilter("!~", _JSON_LINE)
        inside.append(Match(_of(pipelines, one, line=line), tuple(_text(pipelines, one, one.text))))
    return Match(_of(pipelines, one), tuple(inside))


def _json(pipelines: Pipelines, one: Pipeline, how: JsonFormat) -> Iterator[Stage]:
    paths: dict[str, str] = {}
    if how.level:
        # Read from the text first, so that a line that was cut off keeps its level.
        keys = "|".join(path.rpartition(".")[2].strip('"') for path in how.level.split(" || "))
        yield Regex(rf'"(?:{keys})"\s*:\s*"(?P<level>{_LEVEL})"')
        paths["json_level"] = how.level
    if how.message:
        paths["json_message"] = how.message
    if how.time:
        paths["json_time"] = how.time.source
    paths |= {f"json_{name}": path for name, path in how.fields.items()}
    if paths:
        yield Json(MappingProxyType(paths))
    if how.level:
        yield Regex(f"^(?P<level>{_LEVEL})$", source="json_level")
    kinds = {field.name: field.kind for field in pipelines.fields}
    if one.text and how.message:
        found = {name: value for name, value in one.text.fields.items() if name not in how.fields}
        yield from _found(pipelines, found, source="json_message")
    for name in how.fields:
        # A number is shown without quotes, and an object or a list never passes as a value.
        yield Regex(f"^(?P<{name}>{_KINDS[kinds[name]]})$", source=f"json_{name}")
        if kinds[name] == "hexadecimal":
            yield Hexadecimal(name)
    if how.time:
        yield from _own_time(pipelines, one, "json_time", how.time.layout)


def _text(pipelines: Pipelines, one: Pipeline, how: TextFormat) -> Iterator[Stage]:
    if how.level_label:
        yield Regex(f"^(?P<level>{_LEVEL})$", source=how.level_label)
    if how.level:
        yield Regex(how.level.replace(VALUE, f"(?P<level>{_LEVEL})"))
    yield from _found(pipelines, how.fields)
    if how.time:
        yield Regex(how.time.source.replace(VALUE, f"(?P<text_time>{LAYOUTS[how.time.layout]})"))
        yield from _own_time(pipelines, one, "text_time", how.time.layout)


def _found(pipelines: Pipelines, expressions: Mapping[str, str], source: str = "") -> Iterator[Stage]:
    """Return what finds fields in the line, or in the value `source`."""
    kinds = {field.name: field.kind for field in pipelines.fields}
    for name, expression in expressions.items():
        kind = kinds[name]
        value = _WITH_SEPARATORS if kind == "integer" else _KINDS[kind]
        yield Regex(expression.replace(VALUE, f"(?P<{name}>{value})"), source)
        if kind == "integer":
            yield WithoutSeparators(name)
        if kind == "hexadecimal":
            yield Hexadecimal(name)


def _own_time(pipelines: Pipelines, one: Pipeline, source: str, layout: str) -> Iterator[Stage]:
    """Take the program's own time only where no container runtime wrote down a better one."""
    yield Match(_of(pipelines, one, LabelMatcher(_RUNTIME, "=", "")), (Timestamp(source, layout),))


def _crashes(pipelines: Pipelines) -> Match:
    """Return what gives a level to a program's last words, which come from its language and have none."""
    labels = (LabelMatcher("instance", "=~", ".+"), LabelMatcher("level", "=", ""))
    selector = Selector(labels, LineFilter("|~", pipelines.crashes))
    return Match(selector, (Fixed("level", "fatal"), Labels(("level",))))


def _classes(errors: Sequence[ErrorPattern], where: tuple[LabelMatcher, ...]) -> Iterator[Stage]:
    """Return what finds error classes; the first of the list is looked for last, and so it counts."""
    # Lines without a level are mostly the rest of one that had a level, and would count twice.
    loud = LabelMatcher("level", "=~", "warn|error|fatal")
    for error in reversed(errors):
        labels = where if error.any_level else (*where, loud)
        selector = Selector(labels, LineFilter("|~", error.expression))
        yield Match(selector, (Fixed("error_class", error.name),))


def _storm(pipelines: Pipelines) -> Iterator[Stage]:
    if pipelines.storm:
        levels = LabelMatcher("level", "=~", "|".join(pipelines.storm.levels))
        limit = Limit(pipelines.storm.lines_per_second, pipelines.storm.burst, "instance")
        yield Match(Selector((levels,)), (limit,))
