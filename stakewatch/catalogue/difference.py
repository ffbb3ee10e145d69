"""Differences of two versions of a component, and which rules, runbooks and panels the newer would break."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.checks import Finding, checks, run_checks
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.document import read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.overlay import laid_over, moved
from stakewatch.catalogue.components import Component, Metric

_CHECKS = ("rules/catalogue", "rules/pitfalls", "rules/runbook-queries", "grafana/catalogue")


@dataclass(frozen=True)
class Change:
    """One metric that is not as it was; `what` says how."""

    metric: str
    what: str


@dataclass(frozen=True)
class Broken:
    """A finding that a bundle has with the newer version and not with the older one."""

    check: str
    finding: Finding


def changes(old: Component, new: Component) -> Iterator[Change]:
    """Yield what differs, by name: metrics gone and new, their types, labels, values and oddities."""
    before, after = ({one.name: one for one in each.metrics} for each in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            if not new.find(name):
                yield Change(name, "is gone")
        elif name not in before:
            if not old.find(name):
                yield Change(name, f"is new ({after[name].type})")
        else:
            for what in _differences(before[name], after[name]):
                yield Change(name, what)


def broken_by(
    bundle: Bundle, configuration: Configuration, old: Path, new: Path, name: str
) -> tuple[Broken, ...]:
    """Return what of a bundle is right with a component's file `old` and no longer with `new`.

    The checks of the catalogue run twice on the bundle, with each in the place of the component `name`.
    Raises StakewatchError when one cannot be carried out.
    """
    before = {(one.check, _identity(one.finding)) for one in _findings(bundle, configuration, old, name)}
    after = _findings(bundle, configuration, new, name)
    return tuple(one for one in after if (one.check, _identity(one.finding)) not in before)


def _findings(bundle: Bundle, configuration: Configuration, component: Path, name: str) -> list[Broken]:
    names = [one.name for one in checks() if one.name in _CHECKS]
    with tempfile.TemporaryDirectory(prefix="catalogue-") as temporary:
        path = _as_process(bundle, component, name, Path(temporary))
        with laid_over(bundle, {f"catalogue/components/{name}.json": path}) as overlay:
            outcomes = run_checks(overlay, configuration, names)
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
            return [
                Broken(outcome.check.name, moved(finding, overlay.root, bundle.root))
                for outcome in outcomes
                for finding in outcome.findings
            ]


def _as_process(bundle: Bundle, component: Path, name: str, folder: Path) -> Path:
    """Write the component's file with the implementation and role that the bundle knows of it.

    A page says nothing about which process it is of.
    """
    content = json.loads(read_text(component))
    known = bundle.catalogue / "components" / f"{name}.json"
    if known.exists():
        process = json.loads(read_text(known))
        content = {**{key: process[key] for key in ("implementation", "role") if key in process}, **content}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _identity(finding: Finding) -> tuple[str, int, str]:
    return str(finding.path), finding.line, finding.message


def _differences(before: Metric, after: Metric) -> Iterator[str]:
    if before.type != after.type:
        yield f"is a {after.type}, and was a {before.type}"
    yield from _of_labels(before, after)
    for then, now, what in (
        (before.constant_zero, after.constant_zero, "is always 0 now"),
        (before.resets_on_scrape, after.resets_on_scrape, "starts at 0 with every scrape now"),
        (not before.default_enabled, not after.default_enabled, "needs a flag now"),
    ):
        if now and not then:
            yield what


def _of_labels(before: Metric, after: Metric) -> Iterator[str]:
    if before.labels is not None and after.labels is not None:
        for label in (one for one in before.labels if one not in after.labels):
            yield f"has no label {label} any more"
        for label in (one for one in after.labels if one not in before.labels):
            yield f"has the label {label} now"
    for label in sorted(before.label_values.keys() & after.label_values.keys()):
        gone = sorted(set(before.label_values[label]) - set(after.label_values[label]))
        if gone:
            yield f"never has {label} {', '.join(gone)} any more"
