"""Learning: what a live process exposes, added to what the catalogue knows of its component."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stakewatch.bundle.document import read_text
from stakewatch.bundle.problems import quoted
from stakewatch.catalogue.components import Component, load_component
from stakewatch.catalogue.exposition import Exposed
from stakewatch.catalogue.inventory import load_catalogue
from stakewatch.errors import InputError

# The version of a component that is nothing but a page.
AS_SCRAPED = "as scraped"
# A page shares nine names in ten with its own component, even over years of versions, and less than half with
# any other, even that of the same program's other role.
_LEAST_SHARED = 0.5
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")


@dataclass(frozen=True)
class Learned:
    """What one page taught: metrics that are new, and what is now known otherwise of the others.

    `unseen` are known metrics that the page does not show: many appear with their first use only.
    """

    path: Path
    added: tuple[str, ...]
    changed: tuple[str, ...]
    unseen: tuple[str, ...]
    content: dict[str, Any]


def learn(
    folder: Path,
    name: str,
    page: Sequence[Exposed],
    *,
    version: str,
    source: str,
    implementation: str | None = None,
    role: str | None = None,
    force: bool = False,
) -> Learned:
    """Return what a page adds to the component `name` of the catalogue in `folder`; nothing is written.

    Metrics are added and completed, never removed, and what people wrote about them stays.
    Raises InputError for a name that is none, for a component file that is not right, and, unless `force`,
    for a page that looks like another program's.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{quoted(name)} is no name of a component",
            mend="small letters, digits, _ and -: lighthouse_beacon",
        )
    path = folder / "components" / f"{name}.json"
    if path.exists():
        content = json.loads(read_text(path))
        known = load_component(path)
        if not force:
            _expect_page_of(known, page, folder)
    else:
        content = _new(name, source, implementation, role)
        known = None
    added, changed = [], []
    entries = {entry["name"]: entry for entry in content["metrics"]}
    for one in page:
        entry = entries.get(one.name)
        if entry is not None:
            changed += _complete(entry, one)
        elif known is None or not known.find(one.name):
            added.append(one.name)
            content["metrics"].append(
                {"name": one.name, "type": one.type, "labels": list(one.labels), "source": source}
            )
    content["version"] = version
    shown = {one.name for one in page}
    return Learned(
        path=path,
        added=tuple(added),
        changed=tuple(changed),
        unseen=tuple(name for name in entries if name not in shown),
        content=content,
    )


def save(learned: Learned) -> None:
    """Write what was learned, in one step.

    Raises InputError when it cannot be written.
    """
    partial = learned.path.with_suffix(".json.partial")
    try:
        learned.path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(learned.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(learned.path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(learned.path)) from error


def component_of_page(name: str, page: Sequence[Exposed], folder: Path) -> Component:
    """Return a component of nothing but what a page shows; `folder` is where it may be written for that."""
    learned = learn(folder, name, page, version=AS_SCRAPED, source="a scrape")
    save(learned)
    return load_component(learned.path)


def _expect_page_of(component: Component, page: Sequence[Exposed], folder: Path) -> None:
    """Raise InputError when a page and a component share few of the names of either."""
    shared = _known_names(component, page)
    fewest = min(len(page), len(component.metrics))
    if shared >= _LEAST_SHARED * fewest:
        return
    everyone = load_catalogue(folder).components.values()
    nearest = max(everyone, key=lambda one: _known_names(one, page))
    mend = "name the page's own component, a new one if there is none; --force adds its metrics to this one"
    if _known_names(nearest, page) > shared:
        mend = f"is it --component {nearest.name}, which has {_known_names(nearest, page)} of them? {mend}"
    raise InputError(
        f"only {shared} of the page's {len(page)} metrics are known of {component.name}",
        where="--component",
        mend=mend,
    )


def _known_names(component: Component, page: Sequence[Exposed]) -> int:
    """Return how many families of a page a component has."""
    names = {metric.name for metric in component.metrics}
    return sum(1 for one in page if one.name in names or component.find(one.name))


def _new(name: str, source: str, implementation: str | None, role: str | None) -> dict[str, Any]:
    process = {"implementation": implementation, "role": role} if implementation and role else {}
    return {
        "component": name,
        **process,
        "repository": "not known: learned from what a process serves",
        "commit": "not known",
        "version": "",
        "completeness": f"What one page showed ({source}). Metrics may appear with their first use only.",
        "metrics": [],
        "patterns": [],
    }


def _complete(entry: dict[str, Any], one: Exposed) -> list[str]:
    """Bring a known metric up to date, and return what changed."""
    changed = []
    if one.type not in {entry["type"], "untyped", *entry.get("also_types", ())}:
        changed.append(f"{one.name} is a {one.type}, and was known as a {entry['type']}")
        entry["type"] = one.type
    known = entry["labels"]
    if known is not None:
        variants = [label for some in entry.get("label_variants", ()) for label in some]
        dynamic = re.compile(entry["dynamic_labels"]) if entry.get("dynamic_labels") else None
        fresh = [
            label
            for label in one.labels
            if label not in {*known, *variants} and not (dynamic and dynamic.fullmatch(label))
        ]
        if fresh:
            changed.append(f"{one.name} has the label {', '.join(fresh)} too")
            entry["labels"] = [*known, *fresh]
    return changed
