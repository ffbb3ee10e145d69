"""Twins: copies of an alert with one thing changed, by which it shows what the tests of the alert look at.

Where a twin fires otherwise than the alert at a time that a passing test looks at, that test would fail if
the rule were changed like this: the case that the twin stands for is proved.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from types import MappingProxyType

from stakewatch.promql import (
    Expression,
    fold,
    parse,
    parse_duration,
    print_duration,
    print_expression,
    rewrite,
    walk,
)
from stakewatch.promql.printing import print_matcher
from stakewatch.promql.tree import (
    NAME_LABEL,
    AggregateExpr,
    BinaryExpr,
    Call,
    LabelMatcher,
    NumberLiteral,
    StringLiteral,
    VectorSelector,
)
from stakewatch.rules.files import Rule

_AT_THE_THRESHOLD = MappingProxyType({">": ">=", ">=": ">", "<": "<=", "<=": "<"})
_WITHOUT_LABELS_OF_SERIES = frozenset({"absent", "absent_over_time", "vector"})
_KEEPING_ALL_LABELS = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_FIRING_OF_RULES = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


class Case(StrEnum):
    """What a suite should prove of an alert."""

    FIRES = "fires"
    BEFORE = "before for"
    THRESHOLD = "threshold"
    DECOY = "decoy"
    INSTANCES = "instances"
    BRANCHES = "branches"


@dataclass(frozen=True)
class Point:
    """One thing to prove: a case, and of which comparison, matcher or branch (its text; else empty)."""

    case: Case
    subject: str = ""


@dataclass(frozen=True)
class Twin:
    """A changed rule and what it proves; `point` is None for the unchanged copy.

    `ignoring` is a label in which the two may differ without proving anything.
    """

    rule: Rule
    point: Point | None
    ignoring: str | None = None


def points(rule: Rule, recorded: Mapping[str, bool]) -> tuple[Point, ...]:
    """Return what there is to prove of an alert, derived from its expression and its `for`.

    `recorded` says of each recorded series whether it can have instances. An alert without `for` has no step
    before it, an equality or an absence no threshold, an expression without matchers no decoy, one value
    without labels no instances. Both sides of each `or` and the condition of each `and` and `unless` are a
    branch. Raises PromqlError when the expression is none, InputError for a wrong `for`.
    """
    expression = parse(rule.expression)
    found = [Point(Case.FIRES)]
    if for_seconds(rule):
        found.append(Point(Case.BEFORE))
    found += [Point(Case.THRESHOLD, _text(one)) for one in _comparisons(expression)]
    found += [Point(Case.DECOY, print_matcher(one)) for one in _matchers(expression)]
    if has_instances(expression, recorded):
        found.append(Point(Case.INSTANCES))
    found += [Point(Case.BRANCHES, subject) for subject, _, _ in _branches(expression)]
    return tuple(found)


def twins(rule: Rule, step_seconds: float) -> tuple[Twin, ...]:
    """Return the unchanged copy of an alert, then its twins for rules evaluated every `step_seconds`.

    Annotations are left out. Raises PromqlError when the expression is none.
    """
    plain = replace(rule, annotations=MappingProxyType({}))
    expression = parse(rule.expression)
    found = [Twin(plain, None)]
    seconds = for_seconds(rule)
    if seconds:
        later, earlier = seconds + step_seconds, max(0.0, seconds - step_seconds)
        found.append(Twin(replace(plain, duration=print_duration(later)), Point(Case.FIRES)))
        found.append(Twin(replace(plain, duration=print_duration(earlier)), Point(Case.BEFORE)))
    for comparison in _comparisons(expression):
        changed = print_expression(rewrite(expression, partial(_at_threshold, comparison)))
        found.append(Twin(replace(plain, expression=changed), Point(Case.THRESHOLD, _text(comparison))))
    for matcher in _matchers(expression):
        changed = print_expression(rewrite(expression, partial(_without, matcher)))
        point = Point(Case.DECOY, print_matcher(matcher))
        found.append(Twin(replace(plain, expression=changed), point, ignoring=matcher.name))
    for subject, operation, kept in _branches(expression):
        changed = print_expression(rewrite(expression, partial(_only, operation, kept)))
        found.append(Twin(replace(plain, expression=changed), Point(Case.BRANCHES, subject)))
    return tuple(found)


def places(expression_text: str) -> tuple[tuple[int, int, Point], ...]:
    """Return where the points of an expression stand: start, end and point, by start; none overlap in part.

    A comparison stands at its operator and number, a matcher at itself, a branch at its operator.
    Raises PromqlError when the text is no expression.
    """
    expression = parse(expression_text)
    found: list[tuple[int, int, Point]] = []
    for node in walk(expression):
        if isinstance(node, VectorSelector):
            found += [
                (one.start, one.end, Point(Case.DECOY, print_matcher(one)))
                for one in node.matchers
                if one.name != NAME_LABEL
            ]
        elif isinstance(node, BinaryExpr) and node.operator in _AT_THE_THRESHOLD:
            end = node.right.end if isinstance(node.right, NumberLiteral) else node.operator_end
            found.append((node.operator_start, end, Point(Case.THRESHOLD, _text(node))))
        elif isinstance(node, BinaryExpr) and node.is_set_operation:
            found += [
                (node.operator_start, node.operator_end, Point(Case.BRANCHES, subject))
                for subject, operation, _ in _branches(node)
                if operation == node
            ]
    return tuple(sorted(found, key=lambda each: each[:2]))


def candidates(expression_text: str) -> str:
    """Return the expression without its conditions: what it yields are the instances that could fire.

    Comparisons become their vector side, `and` and `unless` their left side.
    Raises PromqlError when the text is no expression.
    """
    return print_expression(rewrite(parse(expression_text), _unconditional))


def unaware_of(expression_text: str, alerts: str) -> str:
    """Return the expression with every selector of ALERTS blind to the alerts that match a pattern.

    Raises PromqlError when the text is no expression.
    """
    if not any(name in expression_text for name in _FIRING_OF_RULES):
        return expression_text
    blind = LabelMatcher(name="alertname", operator="!~", value=alerts)

    def blinded(node: Expression) -> Expression:
        if isinstance(node, VectorSelector) and node.metric_name in _FIRING_OF_RULES:
            return replace(node, matchers=(*node.matchers, blind))
        return node

    return print_expression(rewrite(parse(expression_text), blinded))


def recorded_instances(rules: Iterable[Rule]) -> Mapping[str, bool]:
    """Return of each recorded series whether it can have instances.

    Rules may stand in any order. Raises PromqlError when an expression is none.
    """
    parsed = [(rule.name, parse(rule.expression)) for rule in rules if rule.record is not None]
    found: dict[str, bool] = {}
    changed = True
    while changed:
        # Series that are not known yet count as many; each round can only find fewer.
        now = dict.fromkeys((name for name, _ in parsed), False)
        for name, expression in parsed:
            now[name] = now[name] or has_instances(expression, found)
        changed, found = now != found, now
    return found


def has_instances(expression: Expression, recorded: Mapping[str, bool]) -> bool:
    """Tell whether the labels of the result come from series, so that there can be two of them."""

    def combine(node: Expression, inside: tuple[bool, ...]) -> bool:
        match node:
            case NumberLiteral() | StringLiteral():
                return False
            case VectorSelector():
                return recorded.get(node.metric_name or "", True)
            case Call():
                keeps = node.returns != "scalar" and node.function not in _WITHOUT_LABELS_OF_SERIES
                return keeps and any(inside)
            case AggregateExpr():
                return _aggregation_has_instances(node, any(inside))
            case BinaryExpr():
                return _pair_has_instances(node, *inside)
            case _:
                return any(inside)

    return fold(expression, combine)


def _aggregation_has_instances(node: AggregateExpr, inside: bool) -> bool:  # noqa: FBT001 - a result of fold
    if node.operator == "count_values":
        return True
    if node.operator in _KEEPING_ALL_LABELS:
        return inside
    if node.grouping is None:
        return False
    return inside and (node.grouping.without or bool(node.grouping.labels))


def _pair_has_instances(node: BinaryExpr, left: bool, right: bool) -> bool:  # noqa: FBT001 - results of fold
    if node.operator in {"and", "unless"}:
        return left
    matching = node.matching
    if matching is None or node.operator == "or":
        return left or right
    if matching.group is not None:
        return left if matching.group == "left" else right
    return (left or right) and (matching.keyword != "on" or bool(matching.labels))


def for_seconds(rule: Rule) -> float:
    """Return how long an alert waits, 0 without `for`; raises InputError when that is no duration."""
    return parse_duration(rule.duration) if rule.duration else 0.0


def _comparisons(expression: Expression) -> Iterator[BinaryExpr]:
    """Yield the comparisons with a threshold; those that say the same only once."""
    found = (
        node
        for node in walk(expression)
        if isinstance(node, BinaryExpr) and node.operator in _AT_THE_THRESHOLD
    )
    yield from dict.fromkeys(found)


def _matchers(expression: Expression) -> Iterator[LabelMatcher]:
    """Yield the matchers of labels; those that say the same only once."""
    found = (
        matcher
        for node in walk(expression)
        if isinstance(node, VectorSelector)
        for matcher in node.matchers
        if matcher.name != NAME_LABEL
    )
    yield from dict.fromkeys(found)


def _branches(expression: Expression) -> Iterator[tuple[str, BinaryExpr, Expression]]:
    """Yield each branch: its text, the operation that it is a side of, and what stays without it."""
    operations = (node for node in walk(expression) if isinstance(node, BinaryExpr) and node.is_set_operation)
    for node in dict.fromkeys(operations):
        if node.operator == "or":
            yield f"{_text(node.left)} or", node, node.right
        yield f"{node.operator} {_text(node.right)}", node, node.left


def _only(operation: BinaryExpr, kept: Expression, node: Expression) -> Expression:
    return kept if node == operation else node


def _at_threshold(comparison: BinaryExpr, node: Expression) -> Expression:
    if isinstance(node, BinaryExpr) and node == comparison:
        return replace(node, operator=_AT_THE_THRESHOLD[node.operator])
    return node


def _without(matcher: LabelMatcher, node: Expression) -> Expression:
    if not isinstance(node, VectorSelector) or matcher not in node.matchers:
        return node
    kept = tuple(one for one in node.matchers if one != matcher)
    if node.metric_name is None and not any(one.name == NAME_LABEL for one in kept):
        # A selector must name something.
        kept = (*kept, LabelMatcher(name=NAME_LABEL, operator="=~", value=".+"))
    return replace(node, matchers=kept)


def _unconditional(node: Expression) -> Expression:
    if not isinstance(node, BinaryExpr):
        return node
    if node.operator in {"and", "unless"}:
        return node.left
    if node.is_comparison and not node.return_bool:
        return node.right if node.left.value_type == "scalar" else node.left
    return node


def _text(expression: Expression) -> str:
    return " ".join(print_expression(expression).split())
