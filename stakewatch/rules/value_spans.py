"""Spans: between which numbers the value of an expression lies, as far as its text tells."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from stakewatch.promql.traversal import fold, without_parentheses
from stakewatch.promql.tree import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expression,
    LabelMatcher,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)
from stakewatch.rules.pitfall_surroundings import Surroundings

_COUNTS = frozenset(
    {"rate", "irate", "increase", "changes", "resets", "count_over_time", "stddev_over_time", "abs", "time"}
)
_KEEPS = frozenset(
    {
        "max_over_time",
        "min_over_time",
        "avg_over_time",
        "last_over_time",
        "sort",
        "sort_desc",
        "label_replace",
    }
    | {"label_join", "vector", "scalar"}
)
_ONES = frozenset({"absent", "absent_over_time", "present_over_time"})
_KEEPING = frozenset({"max", "min", "avg", "topk", "bottomk", "quantile", "limitk", "limit_ratio"})
_NOT_NEGATIVE = ("_total", "_count", "_bucket", "_bytes")
_DEEPEST_RECORDS = 5


@dataclass(frozen=True)
class Span:
    """All values from `low` to `high`, both included."""

    low: float = -math.inf
    high: float = math.inf

    def always(self, operator: str, number: float) -> bool:
        """Tell whether every value compares like that."""
        return {
            ">": self.low > number,
            ">=": self.low >= number,
            "<": self.high < number,
            "<=": self.high <= number,
            "==": self.low == number == self.high,
            "!=": number < self.low or number > self.high,
        }[operator]

    def never(self, operator: str, number: float) -> bool:
        """Tell whether no value compares like that."""
        opposite = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}
        return self.always(opposite[operator], number)

    def __or__(self, other: "Span") -> "Span":
        return Span(min(self.low, other.low), max(self.high, other.high))


ANY = Span()
_POSITIVE = Span(0.0)


def span_of(expression: Expression, surroundings: Surroundings, depth: int = 0) -> Span:
    """Return the span of an expression's values; NaN, which nothing compares with, is left out.

    Series that rules record are looked through, `depth` says how many already were.
    """

    def combine(node: Expression, inside: tuple[Span, ...]) -> Span:  # noqa: PLR0911 - one case a kind
        match node:
            case NumberLiteral(value=value):
                return Span(value, value)
            case ParenExpr() | SubqueryExpr() | MatrixSelector():
                return inside[0]
            case UnaryExpr(operator=operator):
                return inside[0] if operator == "+" else Span(-inside[0].high, -inside[0].low)
            case VectorSelector():
                return _of_series(node, surroundings, depth)
            case Call():
                return _of_call(node, inside)
            case AggregateExpr():
                return _of_aggregation(node, inside[-1])
            case BinaryExpr():
                return _of_operator(node, *inside)
            case StringLiteral():
                return ANY

    return fold(expression, combine)


def _of_series(selector: VectorSelector, surroundings: Surroundings, depth: int) -> Span:
    name = selector.metric_name or ""
    if name in surroundings.records:
        if depth >= _DEEPEST_RECORDS:
            return ANY
        spans = [span_of(one, surroundings, depth + 1) for one in surroundings.records[name]]
        return Span(min(one.low for one in spans), max(one.high for one in spans))
    if name == "up":
        return Span(0.0, 1.0)
    metrics = surroundings.metrics(selector)
    counted = bool(metrics) and all(one.type == "counter" for one in metrics)
    return _POSITIVE if counted or name.endswith(_NOT_NEGATIVE) else ANY


def _of_call(node: Call, inside: tuple[Span, ...]) -> Span:  # noqa: PLR0911 - one case a kind
    name = node.function
    if name in _COUNTS:
        return _POSITIVE
    if name in _ONES:
        return Span(1.0, 1.0)
    if name in _KEEPS and inside:
        return inside[0]
    if name in {"round", "floor", "ceil"} and len(inside) == 1:
        return Span(_whole(inside[0].low, math.floor), _whole(inside[0].high, math.ceil))
    if name == "sum_over_time":
        return _POSITIVE if inside[0].low >= 0 else ANY
    if name == "clamp_min":
        return Span(max(inside[0].low, inside[1].low), max(inside[0].high, inside[1].high))
    if name == "clamp_max":
        return Span(min(inside[0].low, inside[1].low), min(inside[0].high, inside[1].high))
    return ANY


def _of_aggregation(node: AggregateExpr, inner: Span) -> Span:
    if node.operator in _KEEPING:
        return inner
    if node.operator == "group":
        return Span(1.0, 1.0)
    if node.operator == "count":
        return Span(1.0)
    if node.operator == "sum":
        return Span(inner.low if inner.low >= 0 else -math.inf, math.inf if inner.high > 0 else inner.high)
    return _POSITIVE if node.operator in {"stddev", "stdvar"} else ANY


def _of_operator(node: BinaryExpr, left: Span, right: Span) -> Span:  # noqa: PLR0911 - one case a kind
    if node.operator in {"and", "unless"}:
        return left
    if node.operator == "or":
        return left | right
    if node.is_comparison:
        return Span(0.0, 1.0) if node.return_bool else _narrowed(node.operator, left, right)
    if node.operator == "+":
        return _checked(left.low + right.low, left.high + right.high)
    if node.operator == "-":
        return _checked(left.low - right.high, left.high - right.low)
    if node.operator == "*":
        products = [one * other for one in (left.low, left.high) for other in (right.low, right.high)]
        return ANY if any(math.isnan(one) for one in products) else Span(min(products), max(products))
    if node.operator == "/":
        return _of_division(node, left, right)
    return ANY


def _of_division(node: BinaryExpr, left: Span, right: Span) -> Span:
    if _is_part(node.left, node.right):
        return Span(0.0, 1.0)
    if right.low == right.high and right.low > 0:
        return Span(left.low / right.low, left.high / right.low)
    return _POSITIVE if left.low >= 0 and right.low >= 0 else ANY


def _narrowed(operator: str, left: Span, right: Span) -> Span:
    if operator in {">", ">="}:
        return Span(max(left.low, right.low), max(left.high, right.low))
    if operator in {"<", "<="}:
        return Span(min(left.low, right.high), min(left.high, right.high))
    return right if operator == "==" and right.low == right.high else left


def _is_part(part: Expression, whole: Expression) -> bool:
    """Tell whether one expression counts some of what the other counts all of."""
    part, whole = without_parentheses(part), without_parentheses(whole)
    match part, whole:
        case AggregateExpr(operator="sum" | "count"), AggregateExpr():
            same = part.operator == whole.operator and part.grouping == whole.grouping
            return same and _is_part(part.expression, whole.expression)
        case Call(function="rate" | "increase"), Call():
            return part.function == whole.function and _is_part(part.arguments[0], whole.arguments[0])
        case MatrixSelector(), MatrixSelector():
            return part.range == whole.range and _is_part(part.selector, whole.selector)
        case VectorSelector(), VectorSelector():
            names = (part.metric_name or "", whole.metric_name or "-")
            same = names[0] == names[1] or names[0] == names[1].removesuffix("_count") + "_bucket"
            return same and _conditions(whole.matchers) < _conditions(part.matchers)
        case _:
            return False


def _conditions(matchers: tuple[LabelMatcher, ...]) -> frozenset[tuple[str, str, str]]:
    return frozenset((one.name, one.operator, one.value) for one in matchers)


def _checked(low: float, high: float) -> Span:
    return Span(-math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)


def _whole(value: float, rounded: Callable[[float], int]) -> float:
    return float(rounded(value)) if math.isfinite(value) else value
