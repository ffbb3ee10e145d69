"""The exporter's contract, `catalogue/exporter-metrics.yaml`: all that it serves and nothing else."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from stakewatch.bundle.document import read_document, read_text
from stakewatch.bundle.problems import Problem, as_error, quoted
from stakewatch.bundle.validation import schema_problems
from stakewatch.catalogue.components import Component, Metric, sample_names

NETWORK_LABEL = "network"
_MOST_PROBLEMS = 1000


@dataclass(frozen=True)
class Family:
    """One metric family of the exporter.

    `labels` are all its labels but `le`, in order, each with all its values, or None where any may stand.
    `label_prefixes` are beginnings of names of further labels (`label_` for those of a group).
    `buckets` are a histogram's upper bounds without +Inf. `meaning` is one sentence, or empty. `lowest_tier`
    is the lowest of the exporter's source tiers that gives it, None where it comes from none of them.
    """

    name: str
    section: str
    type: Literal["counter", "gauge", "histogram"]
    labels: Mapping[str, tuple[str, ...] | None]
    label_prefixes: tuple[str, ...]
    buckets: tuple[float, ...]
    cadence: Literal["scrape", "slot", "epoch", "event"]
    basis: Literal["head", "settled"] | None
    capped: bool
    meaning: str
    lowest_tier: str | None = None


@dataclass(frozen=True)
class Contract:
    """All families by name; a twin is a family of its own."""

    path: Path
    families: Mapping[str, Family]

    def component(self) -> Component:
        """Return the contract as the component `stakewatch` of the catalogue."""
        return Component(
            name="stakewatch",
            title="stakewatch exporter",
            version="this bundle's",
            path=self.path,
            implementation="stakewatch",
            role="exporter",
            specification=False,
            metrics=tuple(_metric(family) for family in self.families.values()),
            patterns=(),
        )


def load_contract(path: Path) -> Contract:
    """Return the contract at `path`.

    Raises InputError with file, line and mend of everything that is wrong with it.
    """
    document = read_document(read_text(path), path)
    problems = [*document.problems, *islice(schema_problems(document, contract_schema()), _MOST_PROBLEMS)]
    if problems:
        raise as_error(problems)
    data: Any = document.data
    families: dict[str, Family] = {}
    for section, entries in data.items():
        if section == "common_labels":
            continue
        common = data["common_labels"].get(section, [])
        for number, entry in enumerate(entries):
            for name, labels in ((entry["name"], common), (entry.get("twin"), [])):
                if name is None:
                    continue
                if name in families:
                    problems.append(
                        Problem(
                            path=path,
                            line=document.line((section, number)),
                            what=f"the family {quoted(name)} stands a second time",
                            mend="remove one of the two",
                        )
                    )
                families[name] = _family(name, section, entry, labels)
            if (entry["type"] == "histogram") != ("buckets" in entry):
                problems.append(
                    Problem(
                        path=path,
                        line=document.line((section, number)),
                        what=f"{quoted(entry['name'])}: histograms, and only they, have buckets",
                        mend="add or remove buckets",
                    )
                )
    if problems:
        raise as_error(problems)
    return Contract(path=path, families=MappingProxyType(families))


@cache
def contract_schema() -> dict[str, Any]:
    """Return the JSON Schema of the contract."""
    text = resources.files("stakewatch.catalogue").joinpath("contract.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _family(name: str, section: str, entry: dict[str, Any], common: list[str]) -> Family:
    own: dict[str, list[str] | str] = entry.get("labels", {})
    lowest_tier = entry.get("lowest_tier")
    labels: dict[str, tuple[str, ...] | None] = {NETWORK_LABEL: None, **dict.fromkeys(common)}
    labels |= {
        label: tuple(values) if isinstance(values, list) else None
        for label, values in own.items()
        if not label.endswith("*")
    }
    return Family(
        name=name,
        section=section,
        type=entry["type"],
        labels=MappingProxyType(labels),
        label_prefixes=tuple(label.removesuffix("*") for label in own if label.endswith("*")),
        buckets=tuple(float(bound) for bound in entry.get("buckets", ())),
        cadence=entry["cadence"],
        basis=entry.get("basis"),
        capped=entry.get("capped", False),
        meaning=entry.get("meaning", ""),
        lowest_tier=entry.get("twin_lowest_tier", lowest_tier) if name != entry["name"] else lowest_tier,
    )


def _metric(family: Family) -> Metric:
    prefixes = "|".join(re.escape(prefix) for prefix in family.label_prefixes)
    return Metric(
        component="stakewatch",
        name=family.name,
        type=family.type,
        labels=tuple(family.labels),
        series=sample_names(family.name, family.type),
        label_values=MappingProxyType(
            {label: values for label, values in family.labels.items() if values is not None}
        ),
        dynamic_labels=re.compile(f"({prefixes})[a-zA-Z0-9_]+") if prefixes else None,
        note=family.meaning or None,
        source="catalogue/exporter-metrics.yaml",
    )
