"""Components: which metrics one program exposes, with their types, labels and oddities."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stakewatch.bundle.document import read_text
from stakewatch.errors import InputError

_SUFFIXES: Mapping[str | None, tuple[str, ...]] = MappingProxyType(
    {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
)
_NO_VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True)
class Metric:
    """One metric family of one component.

    `component` is the component's name in the catalogue, such as `lighthouse_beacon`.
    `type` is counter, gauge, histogram, summary, untyped, or None where a run-time name's is not known.
    `labels` are those that the component sets itself, None where they are not known; `dynamic_labels` matches
    the names of further ones. `label_values` lists all values of a label, where they are known.
    `series` are the sample names.
    `resets_on_scrape`: rate() is wrong. `monotonic`: a gauge that only grows; rate() is right.
    `constant_zero`: exposed, and never changes. `default_enabled`: false where a flag must switch it on.
    `by_pattern`: its name is made at run time, and only a pattern knows it.
    """

    component: str
    name: str
    type: str | None
    labels: tuple[str, ...] | None
    series: tuple[str, ...]
    label_values: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_VALUES)
    dynamic_labels: re.Pattern[str] | None = None
    also_types: tuple[str, ...] = ()
    resets_on_scrape: bool = False
    monotonic: bool = False
    constant_zero: bool = False
    default_enabled: bool = True
    synthetic: bool = False
    by_pattern: bool = False
    condition: str | None = None
    confidence: str | None = None
    note: str | None = None
    source: str = ""

    def has_label(self, sample: str, label: str) -> bool | None:
        """Return whether the series named `sample` can have `label`; None where the labels are not known.

        Target labels, which Prometheus adds, are not the component's and count as not there.
        """
        if label == "le" and self.type == "histogram":
            return sample.endswith("_bucket")
        if label == "quantile" and self.type == "summary":
            return sample == self.name
        if self.dynamic_labels is not None and self.dynamic_labels.fullmatch(label):
            return True
        return None if self.labels is None else label in self.labels


@dataclass(frozen=True)
class Pattern:
    """Metrics whose names are made at run time; `suffixes` are those of the sample names."""

    component: str
    pattern: re.Pattern[str]
    type: str | None
    labels: tuple[str, ...] | None
    suffixes: tuple[str, ...]
    weak: bool
    resets_on_scrape: bool
    monotonic: bool
    note: str | None
    source: str

    def metric(self, sample: str) -> Metric | None:
        """Return the metric that the sample name belongs to, or None where this pattern does not know it."""
        for suffix in self.suffixes:
            name = sample.removesuffix(suffix)
            if sample.endswith(suffix) and self.pattern.fullmatch(name):
                return Metric(
                    component=self.component,
                    name=name,
                    type=self.type,
                    labels=self.labels,
                    series=tuple(name + one for one in self.suffixes),
                    resets_on_scrape=self.resets_on_scrape,
                    monotonic=self.monotonic,
                    by_pattern=True,
                    note=self.note,
                    source=self.source,
                )
        return None


@dataclass(frozen=True)
class Component:
    """Everything known of what one program exposes.

    `name` is the catalogue's, such as `lighthouse_beacon`; `title` is for people.
    `implementation` and `role` are a staking process's labels, None for platform components.
    A `specification` lists names that somebody proposed, and proves none.
    """

    name: str
    title: str
    version: str
    path: Path
    implementation: str | None
    role: str | None
    specification: bool
    metrics: tuple[Metric, ...]
    patterns: tuple[Pattern, ...]

    def find(self, sample: str) -> tuple[Metric, ...]:
        """Return the metrics that expose a series named `sample`; weak patterns prove none."""
        if self.specification:
            return ()
        if known := self._by_sample.get(sample):
            exact = tuple(metric for metric in known if metric.name == sample)
            return exact or tuple(known)
        found = (pattern.metric(sample) for pattern in self.patterns if not pattern.weak)
        return tuple(metric for metric in found if metric is not None)[:1]

    @cached_property
    def _by_sample(self) -> Mapping[str, list[Metric]]:
        samples: dict[str, list[Metric]] = {}
        for metric in self.metrics:
            for sample in metric.series:
                samples.setdefault(sample, []).append(metric)
        return samples


def sample_names(name: str, kind: str | None) -> tuple[str, ...]:
    """Return the sample names that a family of type `kind` has in the text format."""
    return tuple(name + suffix for suffix in _SUFFIXES.get(kind, ("",)))


def load_component(path: Path) -> Component:
    """Return the component at `path`, a JSON file as `stakewatch/catalogue/schema.json` has it.

    Raises InputError when it is unreadable, no JSON, or lacks what every component has.
    """
    try:
        content = json.loads(read_text(path))
        return _component(path, content)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}", mend="check commas and quotes"
        ) from error
    except KeyError as error:
        raise InputError(
            f"{error} is missing", where=str(path), mend="run `stakewatch check catalogue` for the place"
        ) from error
    except (TypeError, ValueError, AttributeError, RecursionError, re.error) as error:
        raise InputError(
            f"not a component: {error}",
            where=str(path),
            mend="run `stakewatch check catalogue` for the place",
        ) from error


def _component(path: Path, content: dict[str, Any]) -> Component:
    name = path.stem
    return Component(
        name=name,
        title=content["component"],
        version=content["version"],
        path=path,
        implementation=content.get("implementation"),
        role=content.get("role"),
        specification=content.get("specification", False),
        metrics=tuple(_metric(name, entry) for entry in content["metrics"]),
        patterns=tuple(_pattern(name, entry) for entry in content["patterns"]),
    )


def _metric(component: str, entry: dict[str, Any]) -> Metric:
    series = entry.get("series")
    values = entry.get("label_values")
    dynamic = entry.get("dynamic_labels")
    return Metric(
        component=component,
        name=entry["name"],
        type=entry["type"],
        labels=_labels(entry),
        series=tuple(series) if series else sample_names(entry["name"], entry["type"]),
        label_values=MappingProxyType({label: tuple(every) for label, every in values.items()})
        if values
        else _NO_VALUES,
        dynamic_labels=re.compile(dynamic) if dynamic else None,
        also_types=tuple(entry.get("also_types", ())),
        resets_on_scrape=entry.get("resets_on_scrape", False),
        monotonic=entry.get("monotonic", False),
        constant_zero=entry.get("linked_in_constant_zero", False),
        default_enabled=entry.get("default_enabled", True),
        synthetic=entry.get("synthetic", False),
        condition=entry.get("condition"),
        confidence=entry.get("confidence"),
        note=entry.get("note"),
        source=entry["source"],
    )


def _pattern(component: str, entry: dict[str, Any]) -> Pattern:
    return Pattern(
        component=component,
        pattern=re.compile(entry["pattern"]),
        type=entry["type"],
        labels=_labels(entry),
        suffixes=tuple(entry.get("suffixes") or _SUFFIXES.get(entry["type"], ("",))),
        weak=entry.get("weak", False),
        resets_on_scrape=entry.get("resets_on_scrape", False),
        monotonic=entry.get("monotonic", False),
        note=entry.get("note"),
        source=entry["source"],
    )


def _labels(entry: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the labels of a metric in all its variants, each once."""
    if entry["labels"] is None:
        return None
    every = [*entry["labels"], *(label for variant in entry.get("label_variants", ()) for label in variant)]
    return tuple(dict.fromkeys(every))
