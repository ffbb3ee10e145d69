"""Samples: log lines of real programs, and what their pipelines must read from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stakewatch.bundle.document import read_document, read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import as_error
from stakewatch.bundle.validation import schema_problems
from stakewatch.logs.interpretation import Entry, time_ns

# What every process has besides; only what tells samples apart stands in their files.
PLACE = MappingProxyType(
    {"cluster": "staking-1", "region": "eu-west-1", "network": "mainnet", "instance": "sample-1"}
)
_LABELS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "labels of the target",
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["labels", "samples"],
    "properties": {
        "labels": _LABELS,
        "samples": {
            "type": "array",
            "minItems": 1,
            "description": "the lines",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["source", "line", "expected"],
                "properties": {
                    "source": {"type": "string", "minLength": 1, "description": "where the line is from"},
                    "labels": _LABELS,
                    "line": {"type": "string", "description": "the line as it was written"},
                    "shown": {"type": "string", "description": "the line as it is kept, if other"},
                    "expected": {
                        "type": "object",
                        "additionalProperties": {"type": ["string", "integer"]},
                        "description": "its level and all of its structured metadata",
                    },
                    "time": {"type": "string", "description": "its time, where one is read from it"},
                },
            },
        },
    },
}


@dataclass(frozen=True)
class Sample:
    """A line with the labels of its target, and what must come of it; `number` is its line in the file.

    `expected` is the level and all structured metadata; `time_ns` is None where the time of reading counts.
    """

    path: Path
    number: int
    source: str
    line: str
    labels: Mapping[str, str]
    shown: str
    expected: Mapping[str, str]
    time_ns: int | None

    def entry(self) -> Entry:
        """Return the line as a shipper finds it."""
        return Entry(line=self.line, labels=self.labels)

    def differences(self, entry: Entry) -> Iterator[str]:
        """Yield what is other than expected in what a pipeline made of the line."""
        found = dict(entry.metadata)
        if level := entry.labels.get("level"):
            found["level"] = level
        for name in sorted(found.keys() | self.expected.keys()):
            if found.get(name) != self.expected.get(name):
                yield f"{name} is {found.get(name, 'missing')}, expected {self.expected.get(name, 'none')}"
        if entry.line != self.shown:
            yield f"the line is kept as {entry.line!r}"
        if entry.time_ns != self.time_ns:
            yield f"the time is {entry.time_ns}, expected {self.time_ns} ns"


def samples_path(bundle: Bundle) -> Path:
    """Return where a bundle has its sample lines; it may have none."""
    return bundle.root / "tests" / "samples" / "logs"


def load_samples(folder: Path) -> tuple[Sample, ...]:
    """Return the samples of all files `*.yaml` in `folder`.

    Raises InputError with file and line of everything that is wrong with them.
    """
    return tuple(sample for path in sorted(folder.glob("*.yaml")) for sample in _samples(path))


def _samples(path: Path) -> Iterator[Sample]:
    document = read_document(read_text(path), path)
    if problems := [*document.problems, *schema_problems(document, _SCHEMA)]:
        raise as_error(problems)
    data: Any = document.data
    for number, entry in enumerate(data["samples"]):
        labels = {**PLACE, **data["labels"], **entry.get("labels", {})}
        yield Sample(
            path=path,
            number=document.line(("samples", number, "line")),
            source=entry["source"],
            line=entry["line"],
            labels=MappingProxyType({name: value for name, value in labels.items() if value}),
            shown=entry.get("shown", entry["line"]),
            expected=MappingProxyType({name: str(value) for name, value in entry["expected"].items()}),
            time_ns=time_ns(entry["time"]) if "time" in entry else None,
        )
