"""Pitfalls of numbers: comparisons that always or never hold, wrong units, divisions by nothing."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from stakewatch.promql import parse_duration, walk, walk_with_ancestors
from stakewatch.promql.traversal import without_parentheses
from stakewatch.promql.tree import (
    BinaryExpr,
    Call,
    Expression,
    NumberLiteral,
    ParenExpr,
    VectorSelector,
)
from stakewatch.rules.files import Rule
from stakewatch.rules.pitfall_surroundings import Finder, Pitfall, Surroundings, measured, selectors_in
from stakewatch.rules.value_spans import span_of

_MORE = frozenset({">", ">="})
_LESS = frozenset({"<", "<="})
_KILOBYTE = 1024
_PERCENT = 100
_LEAST_SHARE = 0.5
# What may be 0 because it is not limited.
_LIMIT = re.compile(r"(^|_)(limits?|max|maximum|quota|hard|resourcequota|capacity)(_|$)")
_SAYS_LITTLE = re.compile(r"Low$|Low[A-Z]|TooFew|Insufficient|Below|LessTh[ae]n|NotEnough")
_SAYS_MUCH = re.compile(r"TooMany|TooHigh|TooLarge|Exceeds?|MoreThan")
_SAYS_NONE = re.compile(r"\b(?:has|have|there (?:is|are)|with) no\b", re.IGNORECASE)
# The kernel and these programs always have a limit.
_ALWAYS_LIMITED = ("node_", "process_", "prometheus_", "go_")
# Of these, more is worse, whatever the name says.
_BAD = re.compile(
    r"miss|fail|err|lost|drop|down|unavailable|distance|behind|age|delay|latency|above|not_|burn",
    re.IGNORECASE,
)
_AGE = re.compile(r"uptime(_seconds)?$")
_START = re.compile(r"start(ed)?_time(stamp)?_seconds$|boot_time_seconds$")


def _impossible(_rule: Rule, expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a comparison that never holds: the alert cannot fire."""
    for node, number in _comparisons(expression):
        span = span_of(node.left, surroundings)
        if span.never(node.operator, number):
            yield Pitfall(
                "never-true",
                f"the left side lies between {span.low:g} and {span.high:g}: "
                f"{node.operator} {number:g} never holds",
                "mend the number or its unit, or the side of the comparison",
                start=node.operator_start,
            )


def _inevitable(_rule: Rule, expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a comparison that always holds: the alert fires for every series that there is."""
    for node, number in _comparisons(expression):
        span = span_of(node.left, surroundings)
        if span.always(node.operator, number):
            yield Pitfall(
                "always-true",
                f"the left side lies between {span.low:g} and {span.high:g}: "
                f"{node.operator} {number:g} always holds",
                "mend the number or its unit, or leave the comparison out",
                start=node.operator_start,
            )


def _wrong_unit(_rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a number in another unit than what it is compared with."""
    for node, number in _comparisons(expression):
        selector = measured(node.left)
        name = (selector.metric_name or "") if selector is not None else ""
        if name.endswith("_bytes") and 0 < number < _KILOBYTE:
            yield Pitfall(
                "wrong-unit",
                f"{name} counts bytes, and {number:g} bytes are next to nothing",
                f"write {number:g} * 1024^3 for GiB, or the number of bytes",
                start=node.operator_start,
            )
        # Less is a small percentage, and 1 % is one too.
        if _is_percent(node.left) and _LEAST_SHARE <= number < 1:
            yield Pitfall(
                "wrong-unit",
                f"the left side is a percentage, and {number:g} % is meant as a share of 1",
                f"write {number * _PERCENT:g}, or leave out the * 100",
                start=node.operator_start,
            )


def _division_by_zero(rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a share of a limit that is 0 where there is none: infinity is more than any threshold."""
    if rule.alert is None:
        return
    guarded = {
        node.left.metric_name
        for node in walk(expression)
        if isinstance(node, BinaryExpr) and node.is_comparison and isinstance(node.left, VectorSelector)
    }
    for node, ancestors in walk_with_ancestors(expression):
        if not isinstance(node, BinaryExpr) or node.operator != "/":
            continue
        if not any(isinstance(one, BinaryExpr) and one.operator in _MORE for one in ancestors):
            continue
        limit = measured(node.right)
        name = limit.metric_name or "" if limit is not None else ""
        if limit is None or name in guarded or name.startswith(_ALWAYS_LIMITED):
            continue
        texts = [name, *(one.value for one in limit.matchers if one.operator == "=")]
        if any(_LIMIT.search(text) for text in texts):
            yield Pitfall(
                "division-by-zero",
                f"{limit.metric_name} is 0 where nothing is limited, and a share of 0 is infinite: it fires",
                f"divide by ({limit.metric_name} > 0)",
                start=limit.start,
            )


def _inverted(rule: Rule, expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find an alert on too little that fires when there is much, or the other way round."""
    del surroundings
    expression = without_parentheses(expression)
    if rule.alert is None or not isinstance(expression, BinaryExpr):
        return
    # Only where the number is compared with what was measured: of what is worked out, more may be worse.
    if not isinstance(expression.right, NumberLiteral) or measured(expression.left) is None:
        return
    names = " ".join(one.metric_name or "" for one in selectors_in(expression))
    if _BAD.search(names):
        return
    texts = " ".join(rule.annotations.values())
    none = expression.right.value == 0 and _SAYS_NONE.search(texts)
    little = _SAYS_LITTLE.search(rule.alert) or none
    if (little and expression.operator in _MORE) or (
        _SAYS_MUCH.search(rule.alert) and expression.operator in _LESS
    ):
        yield Pitfall(
            "inverted-comparison",
            f"{rule.alert} speaks of too {'little' if little else 'much'}, and fires when there is "
            f"{'more' if little else 'less'}",
            "turn the comparison round, or mend the name or the text",
            start=expression.operator_start,
        )


def _for_too_long(rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find an alert on a young process that waits until the process is old."""
    waits = parse_duration(rule.duration) if rule.duration else 0.0
    for node, number in _comparisons(expression):
        factor = _age_factor(node.left) if node.operator in _LESS else None
        if factor is not None and waits >= number * factor:
            yield Pitfall(
                "for-too-long",
                f"after `for: {rule.duration}` the age is beyond {number * factor:g} s: it can never fire",
                f"wait for less than {number * factor:g} s, or not at all",
                part="for",
            )


def _age_factor(expression: Expression) -> float | None:
    """Return how many seconds one unit of an age is; None where the expression is no age."""
    match expression:
        case ParenExpr(expression=inner):
            return _age_factor(inner)
        case BinaryExpr(operator="/", left=left, right=NumberLiteral(value=value)):
            factor = _age_factor(left)
            return None if factor is None else factor * value
        case BinaryExpr(operator="-", left=Call(function="time"), right=right):
            started = measured(right)
            return 1.0 if started is not None and _START.search(started.metric_name or "") else None
        case VectorSelector():
            return 1.0 if _AGE.search(expression.metric_name or "") else None
        case _:
            return None


def _comparisons(expression: Expression) -> Iterator[tuple[BinaryExpr, float]]:
    """Yield the comparisons with a number that filter."""
    for node in walk(expression):
        if isinstance(node, BinaryExpr) and node.is_comparison and not node.return_bool:
            right = without_parentheses(node.right)
            if isinstance(right, NumberLiteral):
                yield node, right.value


def _is_percent(expression: Expression) -> bool:
    expression = without_parentheses(expression)
    if not isinstance(expression, BinaryExpr) or expression.operator != "*":
        return False
    return any(
        isinstance(side, NumberLiteral) and side.value == _PERCENT
        for side in (expression.left, expression.right)
    )


FINDERS: Mapping[str, Finder] = MappingProxyType(
    {
        "never-true": _impossible,
        "always-true": _inevitable,
        "wrong-unit": _wrong_unit,
        "division-by-zero": _division_by_zero,
        "inverted-comparison": _inverted,
        "for-too-long": _for_too_long,
    }
)
