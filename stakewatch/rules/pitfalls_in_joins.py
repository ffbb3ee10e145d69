"""Pitfalls where two sides are joined: pairs that are never found, and pairs that are not one to one."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from stakewatch.promql import walk
from stakewatch.promql.tree import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expression,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    UnaryExpr,
    VectorMatching,
    VectorSelector,
)
from stakewatch.rules.files import Rule
from stakewatch.rules.pitfall_surroundings import Finder, Pitfall, Surroundings

_MOST_SHOWN = 3


def _never_match(_rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find two sides of different labels without `on` or `ignoring`: no pair is ever found."""
    for node in walk(expression):
        if not isinstance(node, BinaryExpr) or node.operator == "or" or node.matching is not None:
            continue
        left, right = _exact_labels(node.left), _exact_labels(node.right)
        if left is None or right is None or left == right:
            continue
        yield Pitfall(
            "never-match",
            f"the left side has the labels ({', '.join(sorted(left))}), the right side "
            f"({', '.join(sorted(right))}): no two are equal",
            "say which labels must agree: `on (…)`",
            start=node.operator_start,
        )


def _exact_labels(expression: Expression) -> frozenset[str] | None:
    """Return the labels that every result of an aggregation has; None where that is not known."""
    match expression:
        case ParenExpr(expression=inner) | UnaryExpr(expression=inner):
            return _exact_labels(inner)
        case AggregateExpr(operator=operator) if operator in {"topk", "bottomk", "limitk", "limit_ratio"}:
            return None
        case AggregateExpr(grouping=None):
            return frozenset()
        case AggregateExpr(grouping=grouping) if grouping is not None and not grouping.without:
            return frozenset(grouping.labels)
        case BinaryExpr(left=left, right=NumberLiteral()):
            return _exact_labels(left)
        case _:
            return None


def _many_to_many(_rule: Rule, expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a join whose one side can have two series for a pair: then the whole rule fails."""
    for node in walk(expression):
        if not isinstance(node, BinaryExpr) or node.is_set_operation or node.matching is None:
            continue
        if node.matching.keyword is None:
            continue
        sides = {"left": (node.right,), "right": (node.left,)}.get(
            node.matching.group or "", (node.left, node.right)
        )
        for side in sides:
            selector = _plain_series(side)
            lost = sorted(_lost(selector, node.matching, surroundings)) if selector is not None else []
            if selector is not None and lost:
                yield Pitfall(
                    "many-to-many",
                    f"two series of {selector.metric_name} that differ in "
                    f"{', '.join(lost[:_MOST_SHOWN])} make a pair ambiguous, and the rule fails",
                    "aggregate that side first: `max by (…)` or `group by (…)` of the labels that must agree",
                    start=selector.start,
                )


def _lost(selector: VectorSelector, matching: VectorMatching, surroundings: Surroundings) -> set[str]:
    """Return the labels in which two series of a selector may differ that the matching does not look at."""
    metrics = surroundings.metrics(selector)
    if not metrics or any(one.labels is None or one.dynamic_labels is not None for one in metrics):
        return set()
    pinned = {matcher.name for matcher in selector.matchers if matcher.operator == "="}
    own = {label for one in metrics if not one.synthetic for label in one.labels or ()} | {"instance"}
    seen = set(matching.labels)
    return (own - seen if matching.keyword == "on" else own & seen) - pinned


def _plain_series(expression: Expression) -> VectorSelector | None:
    """Return the selector whose series these are, one to one; None where something aggregates them."""
    match expression:
        case VectorSelector():
            return expression
        case MatrixSelector(selector=selector):
            return selector
        case ParenExpr(expression=inner) | UnaryExpr(expression=inner):
            return _plain_series(inner)
        case BinaryExpr(left=left, right=NumberLiteral()):
            return _plain_series(left)
        case Call(arguments=arguments, returns="vector") if len(arguments) == 1:
            return _plain_series(arguments[0])
        case _:
            return None


FINDERS: Mapping[str, Finder] = MappingProxyType({"never-match": _never_match, "many-to-many": _many_to_many})
