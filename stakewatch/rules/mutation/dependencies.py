"""Dependencies: which rules read what another rule records, and what that makes of a mutant."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from stakewatch.promql import Replacement, parse, splice, walk
from stakewatch.promql.printing import print_string
from stakewatch.promql.tree import NAME_LABEL, MatrixSelector, SubqueryExpr, VectorSelector
from stakewatch.rules.files import Group, Rule, RuleFile

# A rule by its file and its place among the rules of that file.
Place: TypeAlias = tuple[Path, int]

_FIRING = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


@dataclass(frozen=True, eq=False)
class RuleSet:
    """The rules that a test loads, in the order in which they are evaluated within their files.

    `records` maps a series to the rules that record it, `readers` a series to the rules that read it.
    """

    rules: Mapping[Place, Rule]
    records: Mapping[str, tuple[Place, ...]]
    readers: Mapping[str, tuple[Place, ...]]
    _reached: dict[tuple[str, Place], frozenset[Place]] = field(default_factory=dict, compare=False)

    def upstream(self, place: Place) -> frozenset[Place]:
        """Return the rule and all that what it says depends on.

        What reads the ALERTS series depends on every alert.
        """
        return self._reach("up", place, self._sources)

    def downstream(self, place: Place) -> frozenset[Place]:
        """Return the rule and all that what it records has an effect on."""
        return self._reach("down", place, self._dependents)

    def read_by(self, expression: str) -> Iterator[Place]:
        """Yield the rules whose series an expression reads; raises PromqlError when it is none."""
        for name in read_names(expression):
            if name in _FIRING:
                yield from (place for place, rule in self.rules.items() if rule.alert is not None)
            yield from self.records.get(name, ())

    def _reach(
        self, direction: str, place: Place, following: Callable[[Place], Iterable[Place]]
    ) -> frozenset[Place]:
        known = self._reached.get((direction, place))
        if known is None:
            known = self._reached[direction, place] = _closure(place, following)
        return known

    def _sources(self, place: Place) -> Iterator[Place]:
        return self.read_by(self.rules[place].expression)

    def _dependents(self, place: Place) -> Iterable[Place]:
        record = self.rules[place].record
        return self.readers.get(record, ()) if record is not None else ()


def rule_set(rule_files: Iterable[RuleFile]) -> RuleSet:
    """Return the rules of some files; raises PromqlError when an expression is none."""
    rules = {
        (rule_file.path, position): rule
        for rule_file in rule_files
        for position, rule in enumerate(rule_file.rules)
    }
    records: dict[str, tuple[Place, ...]] = {}
    readers: dict[str, tuple[Place, ...]] = {}
    for place, rule in rules.items():
        if rule.record is not None:
            records[rule.record] = (*records.get(rule.record, ()), place)
        for name in read_names(rule.expression):
            readers[name] = (*readers.get(name, ()), place)
    return RuleSet(MappingProxyType(rules), MappingProxyType(records), MappingProxyType(readers))


def placed(rule_file: RuleFile) -> Iterator[tuple[Group, list[tuple[Place, Rule]]]]:
    """Yield the groups of a file, each with its rules and their places."""
    position = 0
    for group in rule_file.groups:
        places = [(rule_file.path, position + number) for number in range(len(group.rules))]
        position += len(group.rules)
        yield group, list(zip(places, group.rules, strict=True))


@lru_cache(maxsize=20_000)
def read_names(expression_text: str) -> frozenset[str]:
    """Return the series that an expression selects by name; raises PromqlError when it is none."""
    return frozenset(
        node.metric_name
        for node in walk(parse(expression_text))
        if isinstance(node, VectorSelector) and node.metric_name is not None
    )


@lru_cache(maxsize=20_000)
def depends_on_edges(expression_text: str) -> bool:
    """Tell whether the two majors of Prometheus may answer otherwise.

    Ranges and subqueries lost their oldest sample in Prometheus 3 where it lies exactly on the edge.
    """
    return any(isinstance(node, MatrixSelector | SubqueryExpr) for node in walk(parse(expression_text)))


def renamed(expression_text: str, names: Mapping[str, str]) -> str:
    """Return the expression with series of these names selected by other names."""
    if not names.keys() & read_names(expression_text):
        return expression_text
    replacements = []
    for node in walk(parse(expression_text)):
        new = names.get(node.metric_name or "") if isinstance(node, VectorSelector) else None
        if not isinstance(node, VectorSelector) or new is None:
            continue
        if node.name is not None and expression_text.startswith(node.name, node.start):
            replacements.append(Replacement(node.start, node.start + len(node.name), new))
            continue
        replacements += [
            Replacement(matcher.start, matcher.end, f"{NAME_LABEL}={print_string(new)}")
            for matcher in node.matchers
            if matcher.name == NAME_LABEL and matcher.operator == "="
        ]
    return splice(expression_text, replacements)


def copies(
    rules: RuleSet, place: Place, changed: Rule, wanted: frozenset[Place], prefix: str
) -> dict[Place, Rule]:
    """Return what stands beside the rules so that a changed rule shows its effect without touching any.

    `wanted` are the rules below `place` to take along: alerts, and what leads to them. Copies are named by
    `prefix` and a number; an alert's copy fires under that name, a record's is read by the copies alone.
    """
    names: dict[str, str] = {}
    taken = sorted(wanted | {place})
    for one in list(taken):
        record = rules.rules[one].record
        if record is not None and record not in names:
            names[record] = f"{prefix}_{len(names)}:record"
            taken += [other for other in rules.records[record] if other not in taken]
    found = {}
    for number, one in enumerate(taken):
        rule = changed if one == place else rules.rules[one]
        copied = replace(rule, expression=renamed(rule.expression, names), annotations=MappingProxyType({}))
        if copied.record is not None:
            found[one] = replace(copied, record=names[copied.record])
        else:
            found[one] = replace(copied, alert=f"{prefix}_{number}")
    return found


def _closure(start: Place, following: Callable[[Place], Iterable[Place]]) -> frozenset[Place]:
    found = {start}
    waiting = [start]
    while waiting:
        for one in following(waiting.pop()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return frozenset(found)
