"""Differences of two versions of a component, and which rules, runbooks and panels the newer would break."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from stakewatch.bundle.checks import Finding, checks, run_checks
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.document import read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue.components import Component, Metric

_CHECKS = ("rules/catalogue", "rules/pitfalls", "rules/runbook-queries", "grafana/catalogue")
_CATALOGUE = "catalogue"


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
        overlay = Bundle(Path(temporary))
        _lay_over(bundle, overlay, component, name)
        outcomes = run_checks(overlay, configuration, names)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [
        Broken(outcome.check.name, _moved(finding, overlay.root, bundle.root))
        for outcome in outcomes
        for finding in outcome.findings
    ]


def _lay_over(bundle: Bundle, overlay: Bundle, component: Path, name: str) -> None:
    """Make a bundle of links to another, with one component's file in place of its own."""
    for path in bundle.root.iterdir():
        if path.name != _CATALOGUE and not path.name.startswith("."):
            (overlay.root / path.name).symlink_to(path.resolve())
    components = overlay.catalogue / "components"
    components.mkdir(parents=True)
    for path in bundle.catalogue.iterdir():
        if path.name != components.name:
            (overlay.catalogue / path.name).symlink_to(path.resolve())
    for path in (bundle.catalogue / "components").glob("*.json"):
        if path.stem != name:
            (components / path.name).symlink_to(path.resolve())
    content = json.loads(read_text(component))
    known = bundle.catalogue / "components" / f"{name}.json"
    if known.exists():
        # A page says nothing about which process it is of.
        process = json.loads(read_text(known))
        content = {**{key: process[key] for key in ("implementation", "role") if key in process}, **content}
    (components / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def _moved(finding: Finding, old: Path, new: Path) -> Finding:
    path = finding.path
    return replace(finding, path=new / path.relative_to(old)) if path.is_relative_to(old) else finding


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
