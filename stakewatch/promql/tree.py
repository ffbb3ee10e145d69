"""The syntax tree of a PromQL expression, as Prometheus' parser sees it.

Every node has `start` and `end`: character offsets into the text that was parsed, the end exclusive; -1 in a
node that was built by hand. Two nodes are equal when they say the same, wherever they stand.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

ValueType: TypeAlias = Literal["vector", "scalar", "matrix", "string"]
MatchOperator: TypeAlias = Literal["=", "!=", "=~", "!~"]
Boundary: TypeAlias = Literal["anchored", "smoothed"]

NAME_LABEL = "__name__"
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SET_OPERATORS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Positioned:
    """Something that stands at a place in the text."""

    start: int = field(default=-1, compare=False)
    end: int = field(default=-1, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Node(Positioned):
    """An expression of any kind; equal to another that says the same (NaN to NaN), however deep both are."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and _signature(self) == _signature(other)

    def __hash__(self) -> int:
        return hash(_signature(self))


def _signature(root: Node) -> tuple[object, ...]:
    """Return all that the tree says, flat: comparing nested tuples would exhaust Python's stack."""
    parts: list[object] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        parts.append(type(node))
        for value in (getattr(node, each.name) for each in fields(node) if each.compare):
            if isinstance(value, Node):
                parts.append(Node)
                waiting.append(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], Node):
                parts.append(len(value))
                waiting += value
            else:
                parts.append("NaN" if isinstance(value, float) and math.isnan(value) else value)
    return tuple(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMatcher(Positioned):
    """One condition in a selector's braces; `{"my.metric"}` is a matcher of `__name__`."""

    name: str
    operator: MatchOperator
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration(Positioned):
    """A range, step or offset written as a literal; negative only as an offset."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DurationExpression(Positioned):
    """A range, step or offset that is calculated (experimental): its canonical text.

    `uses_context` says that it depends on the query through `step()` or `range()`.
    """

    text: str
    uses_context: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AtModifier(Positioned):
    """`@ 1609746000` (then `milliseconds`, since 1970) or `@ start()`, `@ end()` (then `anchor`)."""

    milliseconds: int | None = None
    anchor: Literal["start", "end"] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping(Positioned):
    """`by (...)` or `without (...)` of an aggregation."""

    without: bool
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NumberLiteral(Node):
    """A number, its signs included; `is_duration` says that it is written like `5m` (Prometheus 3)."""

    value: float
    is_duration: bool = field(default=False)

    @property
    def value_type(self) -> ValueType:
        """A number is a scalar."""
        return "scalar"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StringLiteral(Node):
    """A quoted string; bytes that are not UTF-8 stand as lone surrogates (PEP 383)."""

    value: str

    @property
    def value_type(self) -> ValueType:
        """A string is a string."""
        return "string"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VectorSelector(Node):
    """`name{matchers} offset 5m @ end()`.

    `name` is the one in front of the braces, None when there is none. Inside a MatrixSelector the modifiers
    belong to that one. `braces_start` and `braces_end` span the braces; without braces, both follow the name.
    """

    name: str | None
    matchers: tuple[LabelMatcher, ...] = ()
    offset: Duration | DurationExpression | None = None
    at: AtModifier | None = None
    boundary: Boundary | None = None
    braces_start: int = field(default=-1, compare=False)
    braces_end: int = field(default=-1, compare=False)

    @property
    def value_type(self) -> ValueType:
        """A selector is an instant vector."""
        return "vector"

    @property
    def metric_name(self) -> str | None:
        """The one metric that is selected, wherever its name stands; None when it is a pattern or missing."""
        if self.name is not None:
            return self.name
        for matcher in self.matchers:
            if matcher.name == NAME_LABEL and matcher.operator == "=":
                return matcher.value
        return None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MatrixSelector(Node):
    """`selector[range] offset 5m @ end()`."""

    selector: VectorSelector
    range: Duration | DurationExpression
    offset: Duration | DurationExpression | None = None
    at: AtModifier | None = None
    boundary: Boundary | None = None

    @property
    def value_type(self) -> ValueType:
        """A selector with a range is a range vector."""
        return "matrix"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SubqueryExpr(Node):
    """`expression[range:step] offset 5m @ end()`; without `step` the evaluation interval is taken."""

    expression: "Expression"
    range: Duration | DurationExpression
    step: Duration | DurationExpression | None = None
    offset: Duration | DurationExpression | None = None
    at: AtModifier | None = None

    @property
    def value_type(self) -> ValueType:
        """A subquery is a range vector."""
        return "matrix"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Call(Node):
    """`function(arguments)`; `returns` is what Prometheus' table of functions says."""

    function: str
    arguments: "tuple[Expression, ...]"
    returns: ValueType

    @property
    def value_type(self) -> ValueType:
        """What the function returns."""
        return self.returns


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AggregateExpr(Node):
    """`operator by (labels) (parameter, expression)`; `parameter` is topk's k, the label of count_values."""

    operator: str
    expression: "Expression"
    parameter: "Expression | None" = None
    grouping: Grouping | None = None

    @property
    def value_type(self) -> ValueType:
        """An aggregation is an instant vector."""
        return "vector"


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorMatching(Positioned):
    """What is written between a binary operator and its right side, `bool` apart.

    `group` "left" means many on the left. `fill` sets both fills (experimental).
    """

    keyword: Literal["on", "ignoring"] | None = None
    labels: tuple[str, ...] = ()
    group: Literal["left", "right"] | None = None
    include: tuple[str, ...] = ()
    fill_left: NumberLiteral | None = None
    fill_right: NumberLiteral | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BinaryExpr(Node):
    """`left operator bool matching right`; `matching` is None when nothing is written."""

    operator: str
    left: "Expression"
    right: "Expression"
    return_bool: bool = False
    matching: VectorMatching | None = None
    operator_start: int = field(default=-1, compare=False)
    operator_end: int = field(default=-1, compare=False)

    @property
    def value_type(self) -> ValueType:
        """Scalar when both sides are."""
        both_scalar = self.left.value_type == "scalar" and self.right.value_type == "scalar"
        return "scalar" if both_scalar else "vector"

    @property
    def is_comparison(self) -> bool:
        """Whether it filters (or with `bool` tells) by comparing."""
        return self.operator in COMPARISONS

    @property
    def is_set_operation(self) -> bool:
        """Whether it is `and`, `or` or `unless`."""
        return self.operator in SET_OPERATORS


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UnaryExpr(Node):
    """A sign in front of anything but a number (a number contains its signs)."""

    operator: Literal["+", "-"]
    expression: "Expression"

    @property
    def value_type(self) -> ValueType:
        """That of what follows the sign."""
        return self.expression.value_type


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ParenExpr(Node):
    """`(expression)`."""

    expression: "Expression"

    @property
    def value_type(self) -> ValueType:
        """That of what stands inside."""
        return self.expression.value_type


Expression: TypeAlias = (
    NumberLiteral
    | StringLiteral
    | VectorSelector
    | MatrixSelector
    | SubqueryExpr
    | Call
    | AggregateExpr
    | BinaryExpr
    | UnaryExpr
    | ParenExpr
)
