"""Emptiness: which expressions surely yield nothing in a test, because nothing of what they need is given.

Most tests of a file give the series of one alert and look at all. Where neither a rule nor what it was
changed into can yield anything at any time, nobody notices the change, and nobody needs to be asked.
"""

import threading
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

from stakewatch.promql import Expression, PromqlError, parse, walk
from stakewatch.promql.tree import (
    NAME_LABEL,
    AggregateExpr,
    BinaryExpr,
    Call,
    LabelMatcher,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)
from stakewatch.rules.files import Rule
from stakewatch.rules.mutation.dependencies import Place, RuleSet, may_match
from stakewatch.rules.scenarios import Scenario

# Those that yield something of nothing.
_OF_NOTHING = frozenset({"absent", "absent_over_time", "vector"})


@dataclass(frozen=True)
class _Selected:
    """The series that a selector finds."""

    name: str | None
    matchers: tuple[LabelMatcher, ...]


@dataclass(frozen=True)
class _Either:
    """What is empty where any of two parts is."""

    one: "_Need"
    other: "_Need"


@dataclass(frozen=True)
class _Both:
    """What is empty where both of two parts are."""

    one: "_Need"
    other: "_Need"


# What must be empty so that an expression is; None where nothing ensures it.
_Need: TypeAlias = _Selected | _Either | _Both | None


class Emptiness:
    """What surely yields nothing in a test at any time, told by the names and labels of what is given."""

    def __init__(self, scenario: Scenario, rules: RuleSet) -> None:
        """Tell it of a scenario; there a series that our parser does not know leaves all open."""
        self._scenario = scenario
        self._rules = rules
        self._lock = threading.Lock()
        self._alive: frozenset[Place] | None = None
        self._selected: dict[_Selected, bool] = {}

    def stays(self, place: Place, changed: Rule) -> bool:
        """Tell whether a rule yields nothing, and nothing when it is changed."""
        alive = self._living()
        return place not in alive and self._is_empty(_need(changed.expression), alive, self._selected)

    @cached_property
    def _given(self) -> Mapping[str, list[Mapping[str, str]]] | None:
        return _given(self._scenario)

    def _living(self) -> frozenset[Place]:
        """Return the rules that may yield something: what reads nothing but what is not there does not."""
        with self._lock:
            if self._alive is None:
                alive: frozenset[Place] = frozenset()
                while more := frozenset(self._more_than(alive)):
                    alive |= more
                self._alive = alive
            return self._alive

    def _more_than(self, alive: frozenset[Place]) -> Iterator[Place]:
        selected: dict[_Selected, bool] = {}
        for place, rule in self._rules.rules.items():
            if place not in alive and not self._is_empty(_need(rule.expression), alive, selected):
                yield place

    def _is_empty(self, need: _Need, alive: Container[Place], selected: dict[_Selected, bool]) -> bool:
        match need:
            case None:
                return False
            case _Either(one, other):
                return self._is_empty(one, alive, selected) or self._is_empty(other, alive, selected)
            case _Both(one, other):
                return self._is_empty(one, alive, selected) and self._is_empty(other, alive, selected)
        if need not in selected:
            selected[need] = self._finds_nothing(need, alive)
        return selected[need]

    def _finds_nothing(self, selected: _Selected, alive: Container[Place]) -> bool:
        if self._given is None or selected.name is None:
            return False
        for labels in self._given.get(selected.name, ()):
            if all(may_match(matcher, labels.get(matcher.name, "")) for matcher in selected.matchers):
                return False
        selector = VectorSelector(name=selected.name, matchers=selected.matchers)
        return not any(place in alive for place in self._rules.read_by_selector(selector))


def _given(scenario: Scenario) -> Mapping[str, list[Mapping[str, str]]] | None:
    """Return the labels of the series that a test gives, by name."""
    given: dict[str, list[Mapping[str, str]]] = {}
    for one in scenario.world.get("input_series") or ():
        try:
            series = parse(str(one.get("series", "")))
        except PromqlError:
            return None
        if not isinstance(series, VectorSelector) or series.metric_name is None:
            return None
        labels = {matcher.name: matcher.value for matcher in series.matchers if matcher.name != NAME_LABEL}
        given.setdefault(series.metric_name, []).append(labels)
    return given


@lru_cache(maxsize=20_000)
def _need(expression_text: str) -> _Need:
    expression = parse(expression_text)
    needs: dict[int, _Need] = {}
    # From the inside to the outside, so that no depth exhausts Python's stack.
    for node in reversed(list(walk(expression))):
        needs[id(node)] = _need_of(node, needs)
    return needs[id(expression)]


def _need_of(node: Expression, needs: Mapping[int, _Need]) -> _Need:
    match node:
        case VectorSelector():
            matchers = tuple(matcher for matcher in node.matchers if matcher.name != NAME_LABEL)
            return _Selected(node.metric_name, matchers)
        case MatrixSelector(selector=inner):
            return needs[id(inner)]
        case (
            SubqueryExpr(expression=inner)
            | AggregateExpr(expression=inner)
            | ParenExpr(expression=inner)
            | UnaryExpr(expression=inner)
        ):
            return needs[id(inner)]
        case Call(function=function, arguments=arguments, returns="vector") if function not in _OF_NOTHING:
            series = [one for one in arguments if one.value_type in {"vector", "matrix"}]
            return needs[id(series[0])] if series else None
        case BinaryExpr():
            return _need_of_both(node, needs)
        case _:
            return None


def _need_of_both(node: BinaryExpr, needs: Mapping[int, _Need]) -> _Need:
    left, right = needs[id(node.left)], needs[id(node.right)]
    matching = node.matching
    if matching is not None and (matching.fill_left is not None or matching.fill_right is not None):
        return None
    if node.operator == "unless":
        return left
    if node.operator == "or":
        return _Both(left, right)
    # A number has no need, so what stands beside it decides.
    return _Either(left, right)
