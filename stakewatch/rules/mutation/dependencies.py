"""Dependencies: which rules read what another rule records, and what that makes of a mutant."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from stakewatch.promql import Replacement, parse, splice, walk
from stakewatch.promql.printing import print_string
from stakewatch.promql.tree import NAME_LABEL, LabelMatcher, MatrixSelector, SubqueryExpr, VectorSelector
from stakewatch.rules.files import Group, Rule, RuleFile
from stakewatch.rules.series import matches

# A rule by its file and its place among the rules of that file.
Place: TypeAlias = tuple[Path, int]

_FIRING = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
_PLAIN_PATTERN = re.compile(r"(?:[\w:|-]|\.[*+]?)*")


@dataclass(frozen=True, eq=False)
class RuleSet:
    """The rules that a test loads, in the order in which they are evaluated within their files.

    `records` maps a series to the rules that record it, `readers` a rule to the rules that read its series.
    """

    rules: Mapping[Place, Rule]
    records: Mapping[str, tuple[Place, ...]]
    readers: Mapping[Place, tuple[Place, ...]]
    _reached: dict[tuple[str, Place], frozenset[Place]] = field(default_factory=dict, compare=False)
    _decisive: dict[frozenset[Place], frozenset[Place]] = field(default_factory=dict, compare=False)
    _others: dict[frozenset[tuple[Place, int]], "RuleSet"] = field(default_factory=dict, compare=False)

    def replaced(self, instead: Mapping[Place, Rule]) -> "RuleSet":
        """Return the set with other rules at some places; the same rules give the same set."""
        key = frozenset((place, id(rule)) for place, rule in instead.items())
        if key not in self._others:
            self._others[key] = _rule_set({**self.rules, **instead})
        return self._others[key]

    def upstream(self, place: Place) -> frozenset[Place]:
        """Return the rule and all that what it says depends on, alerts among them where it reads ALERTS."""
        return self._reach("up", place, lambda one: self.read_by(self.rules[one].expression))

    def downstream(self, place: Place) -> frozenset[Place]:
        """Return the rule and all that what it records has an effect on; an alert has none."""
        return self._reach("down", place, self._dependents)

    def affected(self, place: Place) -> frozenset[Place]:
        """Return the rule and all that what it says has an effect on, what reads the ALERTS series too."""
        return self._reach("all the way down", place, lambda one: self.readers.get(one, ()))

    def decisive(
        self, telling: Iterable[Place], changed: Iterable[Rule] = (), beside: Iterable[Place] = ()
    ) -> frozenset[Place]:
        """Return all that decides about some alerts where rules are changed, or stand beside these places.

        A changed matcher of ALERTS may ask for other alerts than the rule did.
        """
        more = [*beside]
        for rule in changed:
            if reads_alerts(rule.expression):
                more += self.read_by(rule.expression)
        places = frozenset(telling)
        if more:
            places = places.union(more)
        if places not in self._decisive:
            self._decisive[places] = frozenset[Place]().union(*(self.upstream(place) for place in places))
        return self._decisive[places]

    def read_by(self, expression: str) -> Iterator[Place]:
        """Yield the rules whose series an expression reads; raises PromqlError when it is none."""
        for selector in _selectors(expression):
            yield from self.read_by_selector(selector)

    def read_by_selector(self, selector: VectorSelector) -> Iterator[Place]:
        """Yield the rules whose series a selector may find."""
        yield from _read_by(selector, self.rules, self.records)

    def _reach(
        self, direction: str, place: Place, following: Callable[[Place], Iterable[Place]]
    ) -> frozenset[Place]:
        known = self._reached.get((direction, place))
        if known is None:
            known = self._reached[direction, place] = _closure(place, following)
        return known

    def _dependents(self, place: Place) -> Iterable[Place]:
        return self.readers.get(place, ()) if self.rules[place].record is not None else ()


def rule_set(rule_files: Iterable[RuleFile]) -> RuleSet:
    """Return the rules of some files; raises PromqlError when an expression is none."""
    return _rule_set(
        {
            (rule_file.path, position): rule
            for rule_file in rule_files
            for position, rule in enumerate(rule_file.rules)
        }
    )


def _rule_set(rules: Mapping[Place, Rule]) -> RuleSet:
    records: dict[str, tuple[Place, ...]] = {}
    for place, rule in rules.items():
        if rule.record is not None:
            records[rule.record] = (*records.get(rule.record, ()), place)
    readers: dict[Place, dict[Place, None]] = {}
    for place, rule in rules.items():
        for selector in _selectors(rule.expression):
            for read in _read_by(selector, rules, records):
                readers.setdefault(read, {})[place] = None
    return RuleSet(
        MappingProxyType(rules),
        MappingProxyType(records),
        MappingProxyType({place: tuple(some) for place, some in readers.items()}),
    )


def _read_by(
    selector: VectorSelector, rules: Mapping[Place, Rule], records: Mapping[str, tuple[Place, ...]]
) -> Iterator[Place]:
    """Yield the rules whose series a selector may find."""
    if selector.metric_name is not None:
        names = {selector.metric_name}
    else:
        asked = [matcher for matcher in selector.matchers if matcher.name == NAME_LABEL]
        names = {name for name in (*records, *_FIRING) if all(may_match(matcher, name) for matcher in asked)}
    for name in names & records.keys():
        yield from records[name]
    if names & _FIRING:
        alerts = (place for place, rule in rules.items() if rule.alert is not None)
        yield from (place for place in alerts if _told(selector, rules[place]))


def _told(selector: VectorSelector, alert: Rule) -> bool:
    """Tell whether a selector of ALERTS may find an alert, by its name and the labels that it always has."""
    fixed = {name: text for name, text in alert.labels.items() if "{{" not in text}
    fixed["alertname"] = alert.name
    return all(
        may_match(matcher, fixed[matcher.name]) for matcher in selector.matchers if matcher.name in fixed
    )


def may_match(matcher: LabelMatcher, value: str) -> bool:
    """Tell whether a matcher may find series with this value of its label."""
    # What Prometheus' patterns and Python's may read in two ways is taken to match.
    is_plain = matcher.operator in {"=", "!="} or _PLAIN_PATTERN.fullmatch(matcher.value)
    return not is_plain or matches(matcher, value)


def placed(rule_file: RuleFile) -> Iterator[tuple[Group, list[tuple[Place, Rule]]]]:
    """Yield the groups of a file, each with its rules and their places."""
    position = 0
    for group in rule_file.groups:
        places = [(rule_file.path, position + number) for number in range(len(group.rules))]
        position += len(group.rules)
        yield group, list(zip(places, group.rules, strict=True))


def read_names(expression_text: str) -> frozenset[str]:
    """Return the series that an expression selects by name; raises PromqlError when it is none."""
    names = (selector.metric_name for selector in _selectors(expression_text))
    return frozenset(name for name in names if name is not None)


def reads_alerts(expression_text: str) -> bool:
    """Tell whether an expression may read that alerts fire."""
    return any(name in expression_text for name in _FIRING)


def selects_by_name(expression_text: str) -> bool:
    """Tell whether an expression selects all by name, no alerts, and has no other use for names.

    Raises PromqlError when it is none.
    """
    names = {selector.metric_name for selector in _selectors(expression_text)}
    return names.isdisjoint({None, *_FIRING}) and NAME_LABEL not in expression_text


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


@lru_cache(maxsize=20_000)
def _selectors(expression_text: str) -> tuple[VectorSelector, ...]:
    return tuple(node for node in walk(parse(expression_text)) if isinstance(node, VectorSelector))
