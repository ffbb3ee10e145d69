"""Random trees without parentheses, of every kind of node, that Prometheus' type check accepts."""

import random
from collections.abc import Callable

from stakewatch.promql.tree import (
    AggregateExpr,
    AtModifier,
    BinaryExpr,
    Call,
    Duration,
    Expression,
    Grouping,
    LabelMatcher,
    MatchOperator,
    MatrixSelector,
    NumberLiteral,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatching,
    VectorSelector,
)

_NAMES = ("up", "a:b", "sum", "offset", "and", "start", "fill", "eth_balance_gwei")
_LABELS = ("instance", "by", "on", "my.label", "clé", "_x", "0digit")
_VALUES = ("", "a", 'quote"', "back\\slash", "line\nbreak", "é😀", "\x00", "\ufffd", "a{b}#c", "\udcff")
_ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")


class Trees:
    """Draws trees, reproducibly by its seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing secret is drawn

    def draw(self, depth: int) -> Expression:
        """Return a tree of any type, about `depth` levels deep."""
        return self._pick(self._vector, self._scalar, self._matrix)(depth)

    def _pick(self, *makers: Callable[[int], Expression]) -> Callable[[int], Expression]:
        return self._random.choice(makers)

    def _maybe(self) -> bool:
        return self._random.random() < 0.3

    def _vector(self, depth: int) -> Expression:
        if depth <= 0:
            return self._selector(modifiers=True)
        maker = self._pick(
            self._vector_operation, self._vector_operation, self._mixed_operation, self._sign_of_vector,
            self._aggregation, self._function, self._range_function,
        )  # fmt: skip
        return maker(depth - 1)

    def _scalar(self, depth: int) -> Expression:
        if depth <= 0:
            return self._number()
        return self._pick(self._scalar_operation, self._sign_of_scalar, self._scalar_function)(depth - 1)

    def _matrix(self, depth: int) -> Expression:
        length = self._duration()
        if depth <= 0 or self._maybe():
            return MatrixSelector(
                selector=self._selector(modifiers=False),
                range=length,
                offset=self._offset() if self._maybe() else None,
                at=self._at() if self._maybe() else None,
            )
        return SubqueryExpr(
            expression=self._vector(depth - 1),
            range=length,
            step=self._duration() if self._maybe() else None,
            offset=self._offset() if self._maybe() else None,
            at=self._at() if self._maybe() else None,
        )

    def _selector(self, *, modifiers: bool) -> VectorSelector:
        count = self._random.randrange(3)
        return VectorSelector(
            name=self._random.choice(_NAMES),
            matchers=tuple(self._matcher() for _ in range(count)),
            offset=self._offset() if modifiers and self._maybe() else None,
            at=self._at() if modifiers and self._maybe() else None,
        )

    def _matcher(self) -> LabelMatcher:
        operators: tuple[MatchOperator, ...] = ("=", "!=", "=~", "!~")
        operator = self._random.choice(operators)
        value = self._random.choice(_VALUES if "~" not in operator else ("", "a|b", "a.*\\.b"))
        return LabelMatcher(name=self._random.choice(_LABELS), operator=operator, value=value)

    def _duration(self) -> Duration:
        return Duration(seconds=self._random.choice((0.001, 0.625, 1, 59, 60, 300, 5400, 86400, 1e6 + 0.5)))

    def _offset(self) -> Duration:
        return Duration(seconds=self._duration().seconds * self._random.choice((1, -1)))

    def _at(self) -> AtModifier:
        choices = (
            AtModifier(anchor="start"), AtModifier(anchor="end"),
            AtModifier(milliseconds=1609746000123), AtModifier(milliseconds=-1),
        )  # fmt: skip
        return self._random.choice(choices)

    def _number(self) -> NumberLiteral:
        if self._maybe():
            return NumberLiteral(value=self._random.choice((300.0, -60.0, 0.001)), is_duration=True)
        values = (0.0, -0.0, 1.0, -1.0, 0.85, 1e-10, 1e300, -2.5, float("inf"), float("-inf"), float("nan"))
        return NumberLiteral(value=self._random.choice(values))

    def _labels(self) -> tuple[str, ...]:
        return tuple(self._random.sample(_LABELS, self._random.randrange(3)))

    def _matching(self, operator: str) -> VectorMatching | None:
        if self._maybe():
            return None
        matching = VectorMatching(keyword="on" if self._maybe() else "ignoring", labels=self._labels())
        if operator in ("and", "or", "unless") or self._maybe():
            return matching
        return VectorMatching(
            keyword=matching.keyword,
            labels=matching.labels,
            group="left" if self._maybe() else "right",
            include=() if self._maybe() else ("included",),
            fill_left=self._number() if self._maybe() else None,
            fill_right=self._number() if self._maybe() else None,
        )

    def _vector_operation(self, depth: int) -> Expression:
        operator = self._random.choice((*_ARITHMETIC, *_COMPARISONS, "and", "or", "unless"))
        return BinaryExpr(
            operator=operator,
            left=self._vector(depth),
            right=self._vector(depth),
            return_bool=operator in _COMPARISONS and self._maybe(),
            matching=self._matching(operator),
        )

    def _mixed_operation(self, depth: int) -> Expression:
        operator = self._random.choice((*_ARITHMETIC, *_COMPARISONS))
        sides = [self._vector(depth), self._scalar(depth)]
        self._random.shuffle(sides)
        return_bool = operator in _COMPARISONS and self._maybe()
        return BinaryExpr(operator=operator, left=sides[0], right=sides[1], return_bool=return_bool)

    def _scalar_operation(self, depth: int) -> Expression:
        operator = self._random.choice((*_ARITHMETIC, *_COMPARISONS))
        return BinaryExpr(
            operator=operator,
            left=self._scalar(depth),
            right=self._scalar(depth),
            return_bool=operator in _COMPARISONS,
        )

    def _sign_of_vector(self, depth: int) -> Expression:
        return UnaryExpr(operator="-" if self._maybe() else "+", expression=self._vector(depth))

    def _sign_of_scalar(self, depth: int) -> Expression:
        return UnaryExpr(operator="-" if self._maybe() else "+", expression=self._scalar(depth))

    def _aggregation(self, depth: int) -> Expression:
        grouping = Grouping(without=self._maybe(), labels=self._labels()) if self._maybe() else None
        operator = self._random.choice(("sum", "max", "topk", "quantile", "count_values"))
        parameter: Expression | None = None
        if operator == "count_values":
            parameter = StringLiteral(value=self._random.choice(_LABELS))
        elif operator in ("topk", "quantile"):
            parameter = self._scalar(depth)
        return AggregateExpr(
            operator=operator, parameter=parameter, expression=self._vector(depth), grouping=grouping
        )

    def _function(self, depth: int) -> Expression:
        return Call(function="abs", arguments=(self._vector(depth),), returns="vector")

    def _range_function(self, depth: int) -> Expression:
        if self._maybe():
            arguments = (self._scalar(depth), self._matrix(depth))
            return Call(function="quantile_over_time", arguments=arguments, returns="vector")
        return Call(function="rate", arguments=(self._matrix(depth),), returns="vector")

    def _scalar_function(self, depth: int) -> Expression:
        if self._maybe():
            return Call(function="time", arguments=(), returns="scalar")
        return Call(function="scalar", arguments=(self._vector(depth),), returns="scalar")
