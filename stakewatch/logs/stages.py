"""Stages: the steps of a pipeline, each one that Promtail and Alloy both have and treat alike.

A stage reads and writes the line, its labels, its time, its structured metadata, and values that were taken
from the line under a name. Where a pipeline begins, also inside of a `Match`, the labels are such values too.
Expressions are RE2. Source: Promtail's "Pipelines" and "Stages", and Alloy's reference of `loki.process`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

# Go's layouts of times that are read, each with what it looks like; all have year and zone.
LAYOUTS: Mapping[str, str] = MappingProxyType(
    {
        "RFC3339Nano": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})",
        "2006-01-02 15:04:05.000Z07:00": (
            r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]{3}(?:Z|[+-][0-9]{2}:[0-9]{2})"
        ),
    }
)


@dataclass(frozen=True)
class LabelMatcher:
    """One matcher of a selector; a label that is not there counts as empty."""

    name: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str


@dataclass(frozen=True)
class LineFilter:
    """Which lines a selector takes: those that hold the expression (`|~`), or those that do not (`!~`)."""

    operator: Literal["|~", "!~"]
    expression: str


@dataclass(frozen=True)
class Selector:
    """A LogQL selector of streams, and of lines where it has a filter."""

    labels: tuple[LabelMatcher, ...]
    line: LineFilter | None = None

    def text(self) -> str:
        """Return the selector as LogQL."""
        matchers = ", ".join(f"{one.name}{one.operator}{_quoted(one.value)}" for one in self.labels)
        tail = f" {self.line.operator} {_quoted(self.line.expression)}" if self.line else ""
        return f"{{{matchers}}}{tail}"


@dataclass(frozen=True)
class Cri:
    """Takes line and time out of what containerd and CRI-O write, and joins what they cut into parts."""


@dataclass(frozen=True)
class Docker:
    """Takes line and time out of what Docker's driver json-file writes."""


@dataclass(frozen=True)
class Decolorize:
    """Removes the colours that a terminal would show."""


@dataclass(frozen=True)
class Replace:
    """Puts `replacement` where a group of `expression` matched, everywhere in the line."""

    expression: str
    replacement: str


@dataclass(frozen=True)
class Json:
    """Reads the line as a JSON object: each name gets the value of its JMESPath; other lines pass."""

    paths: Mapping[str, str]


@dataclass(frozen=True)
class Regex:
    """Each named group of `expression` becomes a value; it reads the line, or the value `source`."""

    expression: str
    source: str = ""


@dataclass(frozen=True)
class Words:
    """Replaces the value `source`, whatever its case, by the word that `words` has for it, or forgets it."""

    source: str
    words: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class WithoutSeparators:
    """Removes the `,` and `_` between the thousands of the value `source`."""

    source: str


@dataclass(frozen=True)
class Hexadecimal:
    """Writes the value `source` in lower case and with `0x` before it."""

    source: str


@dataclass(frozen=True)
class Fixed:
    """Sets the value `source` to `value`."""

    source: str
    value: str


@dataclass(frozen=True)
class Timestamp:
    """Takes the time of the entry from the value `source` in a layout of LAYOUTS, or leaves it as it is."""

    source: str
    layout: str


@dataclass(frozen=True)
class Limit:
    """Drops what exceeds `rate` lines per second of one value of `label`; dropped lines are counted."""

    rate: int
    burst: int
    label: str


@dataclass(frozen=True)
class Labels:
    """Makes labels of the values of these names."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class LabelsKept:
    """Removes all labels but these."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class StructuredMetadata:
    """Makes structured metadata of the values of these names; no label may have one of them any more."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """Sends the entries that `selector` takes through `stages`; all others pass."""

    selector: Selector
    stages: "tuple[Stage, ...]"


Stage: TypeAlias = (
    Cri
    | Docker
    | Decolorize
    | Replace
    | Json
    | Regex
    | Words
    | WithoutSeparators
    | Hexadecimal
    | Fixed
    | Timestamp
    | Limit
    | Labels
    | LabelsKept
    | StructuredMetadata
    | Match
)


def template(stage: Words | WithoutSeparators | Hexadecimal | Fixed) -> str:
    """Return the Go template that does what a stage says; it yields nothing for a value that is not there."""
    match stage:
        case Words():
            branches = " else ".join(
                f"if eq $word {' '.join(map(_quoted, aliases))} }}}}{word}{{{{"
                for word, aliases in stage.words.items()
            )
            return (
                f"{{{{ if .Value }}}}{{{{ $word := ToLower .Value }}}}{{{{ {branches} end }}}}{{{{ end }}}}"
            )
        case WithoutSeparators():
            return '{{ if .Value }}{{ Replace (Replace .Value "," "" -1) "_" "" -1 }}{{ end }}'
        case Hexadecimal():
            return '{{ if .Value }}0x{{ TrimPrefix (ToLower .Value) "0x" }}{{ end }}'
        case Fixed():
            return stage.value


def _quoted(text: str) -> str:
    """Return `text` as a string of Go; Promtail's reader of selectors knows none between backticks."""
    return json.dumps(text, ensure_ascii=False)
