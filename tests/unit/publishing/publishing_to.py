"""Targets as the commands use them: a small bundle, a plan, and what comes of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.publishing.applying import Outcome, apply_changes, make_plan, prune_changes
from stakewatch.publishing.plans import Plan
from stakewatch.publishing.target import Source, Target, find_type


@dataclass(frozen=True)
class Published:
    """A plan and what came of it."""

    plan: Plan
    outcomes: tuple[Outcome, ...]

    @property
    def changed(self) -> list[str]:
        """The objects that were to be changed."""
        return [str(change.item) for change in self.plan.applied]

    @property
    def errors(self) -> list[str]:
        """The messages of those that failed."""
        return [str(outcome.error) for outcome in self.outcomes if outcome.error is not None]

    @property
    def done(self) -> dict[str, str]:
        """What was done, by object."""
        return {str(one.change.item): one.done for one in self.outcomes if one.error is None}


def source_of(root: Path, kind: str, options: Mapping[str, Any]) -> Source:
    """Return what is published: the bundle at `root`, to one destination."""
    destination = Destination("there", kind, options, place="stakewatch.yaml:9")
    return Source(Bundle(root), Configuration(publish=(destination,)), destination)


def make(root: Path, kind: str, **options: object) -> Target:
    """Return a target of this type."""
    return find_type(kind).make(source_of(root, kind, options))


def plan(target: Target, *, adopt: bool = False) -> Plan:
    """Return what would change."""
    with target:
        return make_plan("there", "any", target, lambda _: None, adopt=adopt)


def publish(target: Target, *, adopt: bool = False) -> Published:
    """Plan, and apply the plan unless it has fatal flaws."""
    with target:
        made = make_plan("there", "any", target, lambda _: None, adopt=adopt)
        changes = () if any(flaw.fatal for flaw in made.flaws) else made.applied
        return Published(made, tuple(apply_changes(target, changes, lambda _change, _what: None)))


def prune(target: Target) -> Published:
    """Plan, and remove what is left over."""
    with target:
        made = make_plan("there", "any", target, lambda _: None, adopt=False)
        return Published(made, tuple(prune_changes(target, made.leftovers, lambda _change, _what: None)))


def write_board(root: Path, uid: str, title: str = "", **more: object) -> Path:
    """Write a small board as `stakewatch build dashboards` would."""
    content = {
        "uid": uid,
        "title": title or uid.capitalize(),
        "tags": ["stakewatch", "beacon"],
        "schemaVersion": 39,
        "version": 0,
        "templating": {
            "list": [{"type": "datasource", "name": "datasource", "query": "prometheus", "current": {}}]
        },
        "panels": [{"id": 1, "title": "Peers", "fieldConfig": {"defaults": {"max": 1.0, "min": None}}}],
        **more,
    }
    path = root / "build" / "dashboards" / f"{uid.replace('/', '_')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
