"""What a workspace of Amazon Managed Service for Prometheus should hold: rule namespaces, one definition.

A rule file is a namespace of its own, so that no group is ever split between two: the service evaluates
groups in no order that can be relied on.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stakewatch.bundle.destinations import Destination
from stakewatch.errors import StakewatchError
from stakewatch.publishing.normal_form import normal_alertmanager, normal_rules
from stakewatch.publishing.objects import Item
from stakewatch.rules.files import RuleFile, load_rule_file, load_rule_files, print_rule_file

NAMESPACE = "rule namespace"
DEFINITION = "Alertmanager definition"
DEFINITION_NAME = "default"
_GROUP_IN_REASON = re.compile(r'group "(?P<group>(?:[^"\\]|\\.)*)"')
_RULE_IN_REASON = re.compile(r'rule (?P<number>\d+), "(?P<name>(?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Naming:
    """How what is ours is called: what namespaces begin with, and the owner that marks all of it."""

    prefix: str = "stakewatch-"
    owner: str = "stakewatch"

    @classmethod
    def of(cls, destination: Destination) -> Self:
        """Return what a destination of type `amp` says."""
        options = destination.options
        return cls(options.get("prefix", cls.prefix), options.get("owner", cls.owner))


def desired_namespaces(folder: Path, naming: Naming, skipped_groups: Collection[str]) -> list[Item]:
    """Return a namespace for each rule file in the folder, without groups that others evaluate.

    A file of which nothing is left is left out. Raises InputError (file:line) for a broken rule file.
    """
    items = (
        desired_namespace(rule_file, folder, naming, skipped_groups) for rule_file in load_rule_files(folder)
    )
    return [item for item in items if item is not None]


def desired_namespace(
    rule_file: RuleFile, folder: Path, naming: Naming, skipped_groups: Collection[str]
) -> Item | None:
    """Return the namespace of one rule file in the folder, None where nothing is left of it."""
    groups = [group for group in rule_file.groups if group.name not in skipped_groups]
    if not groups:
        return None
    inside = rule_file.path.relative_to(folder)
    heading = f"Published by stakewatch from rules/{inside.as_posix()} and stakewatch.yaml: change those."
    text = print_rule_file(groups, heading=heading)
    return Item(NAMESPACE, namespace_name(inside, naming.prefix), normal_rules(text), payload=text)


def namespace_name(inside: Path, prefix: str) -> str:
    """Return the name of the namespace of a rule file, given inside of the rules' folder."""
    return prefix + re.sub(r"[^-.0-9A-Z_a-z]", "-", inside.with_suffix("").as_posix())


def desired_definition(built: Path, naming: Naming) -> Item | None:
    """Return the Alertmanager definition that is built into the folder, None where the bundle has none."""
    path = built / "definition.yaml"
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    return Item(DEFINITION, DEFINITION_NAME, normal_alertmanager(text), payload=f"{_mark(naming)}\n{text}")


def definition_is_ours(data: str, naming: Naming) -> bool:
    """Return whether a definition carries our mark: it can have no tags, but comes back as it was sent."""
    return data.startswith(f"{_mark(naming)}\n")


def place_of_rule(reason: str, name: str, rules: Path, prefix: str) -> str | None:
    """Return `file:line` of the rule that the service's reason for refusing a namespace is about.

    `rules` is the folder of the bundle's rule files. None where the reason names no group of that namespace.
    """
    group_named = _GROUP_IN_REASON.search(reason)
    if group_named is None:
        return None
    rule_named = _RULE_IN_REASON.search(reason)
    for rule_file in _sources(name, rules, prefix):
        for group in rule_file.groups:
            if group.name != group_named["group"]:
                continue
            if rule_named is None:
                return f"{rule_file.path}:{group.line}"
            for rule in group.rules:
                if rule.name == rule_named["name"]:
                    return rule_file.place(rule, "expr")
    return None


def _mark(naming: Naming) -> str:
    return f"# managed-by: {naming.owner}"


def _sources(name: str, rules: Path, prefix: str) -> Iterator[RuleFile]:
    for path in sorted(rules.rglob("*.y*ml")):
        if path.is_file() and namespace_name(path.relative_to(rules), prefix) == name:
            try:
                yield load_rule_file(path)
            except StakewatchError:
                # The place is a help beside the reason: what is broken here now was not when it was built.
                continue
