"""Printing a tree as canonical PromQL: one line, a space around operators, parentheses where they are needed.

Parsing what is printed gives an equal tree. A tree that was built or rewritten may lack parentheses that its
shape needs; they are printed, and then parsing gives the same tree with those parentheses in it.
"""

import math
import re
from decimal import Decimal

from stakewatch.promql.durations import print_duration
from stakewatch.promql.traversal import fold
from stakewatch.promql.tree import (
    AggregateExpr,
    AtModifier,
    BinaryExpr,
    Boundary,
    Call,
    Duration,
    DurationExpression,
    Expression,
    Grouping,
    LabelMatcher,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatching,
    VectorSelector,
)

# Source: the %left and %right lines of Prometheus' generated_parser.y.
_BINDING = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(("==", "!=", ">", "<", ">=", "<=", "</", ">/"), 3),
    "+": 4,
    "-": 4,
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
_SIGN_BINDING = _BINDING["*"]
_TIGHTEST = 7
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# These words are never read as a metric's name outside of braces.
_NO_METRIC_NAMES = frozenset({"atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FIRST_SURROGATE_BYTE, _LAST_SURROGATE_BYTE = 0xDC80, 0xDCFF


def print_expression(expression: Expression) -> str:
    """Return the canonical text of a tree.

    Raises ValueError when the tree holds what PromQL cannot say (a range of no length, a lone surrogate).
    """
    return fold(expression, _print_node)


def print_number(value: float) -> str:
    """Return the shortest notation without exponent, as Prometheus prints it: 0.85, 1000000, +Inf, NaN."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(float(value))), "f")
    return text.removesuffix(".0")


def print_string(value: str) -> str:
    """Return a double-quoted string literal.

    Raises ValueError for a lone surrogate that does not stand for a byte.
    """
    return f'"{"".join(map(_escape, value))}"'


def print_label(name: str) -> str:
    """Return a label name, quoted where it has to be (`"my.label"`)."""
    return name if _LABEL_NAME.fullmatch(name) else print_string(name)


def print_matcher(matcher: LabelMatcher) -> str:
    """Return one matcher: `instance=~"a|b"`."""
    return f"{print_label(matcher.name)}{matcher.operator}{print_string(matcher.value)}"


def print_grouping(grouping: Grouping) -> str:
    """Return `by (a, b)` or `without (a, b)`."""
    return f"{'without' if grouping.without else 'by'} {_print_labels(grouping.labels)}"


def print_matching(matching: VectorMatching) -> str:
    """Return `on (a) group_left (b) fill (0)`, or what of it there is."""
    parts = []
    if matching.keyword is not None:
        parts.append(f"{matching.keyword} {_print_labels(matching.labels)}")
    if matching.group is not None:
        # Without its own parentheses it would take those of the right side.
        parts.append(f"group_{matching.group} {_print_labels(matching.include)}")
    if matching.fill_left is not None and matching.fill_left == matching.fill_right:
        parts.append(f"fill ({print_expression(matching.fill_left)})")
    else:
        if matching.fill_left is not None:
            parts.append(f"fill_left ({print_expression(matching.fill_left)})")
        if matching.fill_right is not None:
            parts.append(f"fill_right ({print_expression(matching.fill_right)})")
    return " ".join(parts)


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if _FIRST_SURROGATE_BYTE <= code <= _LAST_SURROGATE_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - the surrogates of Unicode
        raise ValueError(f"U+{code:04X} cannot be written in PromQL")
    if character == "�" or not character.isprintable():
        # The lexer takes a bare U+FFFD for broken input.
        return f"\\U{code:08x}"
    return character


def _print_labels(labels: tuple[str, ...]) -> str:
    return f"({', '.join(map(print_label, labels))})"


def _print_selector(selector: VectorSelector) -> str:
    matchers = [print_matcher(matcher) for matcher in selector.matchers]
    name = selector.name or ""
    if name and (not _METRIC_NAME.fullmatch(name) or name.lower() in _NO_METRIC_NAMES):
        matchers.insert(0, print_string(name))
        name = ""
    if name and not matchers:
        return name
    return f"{name}{{{', '.join(matchers)}}}"


def _print_modifiers(
    boundary: Boundary | None, at: AtModifier | None, offset: Duration | DurationExpression | None
) -> str:
    text = "" if boundary is None else f" {boundary}"
    if at is not None:
        text += f" @ {_print_at(at)}"
    if offset is not None:
        text += f" offset {_print_offset(offset)}"
    return text


def _print_at(at: AtModifier) -> str:
    if at.anchor is not None:
        return f"{at.anchor}()"
    if at.milliseconds is None:
        raise ValueError("an @ modifier needs a time or an anchor")
    sign = "-" if at.milliseconds < 0 else ""
    seconds, milliseconds = divmod(abs(at.milliseconds), 1000)
    return f"{sign}{seconds}.{milliseconds:03d}"


def _print_offset(offset: Duration | DurationExpression) -> str:
    if isinstance(offset, DurationExpression):
        # Without the plus, an operator after the closing parenthesis would be taken into the offset.
        return f"+{offset.text}" if offset.text.startswith("(") else offset.text
    return _print_seconds(offset.seconds)


def _print_length(length: Duration | DurationExpression) -> str:
    if isinstance(length, DurationExpression):
        return length.text
    if length.seconds <= 0:
        raise ValueError(f"a range or step must be positive, not {length.seconds} s")
    return _print_seconds(length.seconds)


def _print_seconds(seconds: float) -> str:
    """Durations hold whole milliseconds; a number of seconds may be finer (Prometheus 3)."""
    if round(seconds * 1000) / 1000 != seconds:
        return print_number(seconds)
    return f"-{print_duration(-seconds)}" if seconds < 0 else print_duration(seconds)


def _binding(expression: Expression) -> int:
    """How tightly the outermost operator of an expression binds."""
    match expression:
        case BinaryExpr(operator=operator):
            return _BINDING[operator]
        case UnaryExpr():
            return _SIGN_BINDING
        case NumberLiteral(value=value) if math.copysign(1, value) < 0 or math.isinf(value):
            return _SIGN_BINDING
        case _:
            return _TIGHTEST


def _print_node(node: Expression, inside: tuple[str, ...]) -> str:  # noqa: C901, PLR0911 - one case a kind
    """Print a node around the texts of its children."""
    match node:
        case NumberLiteral(value=value, is_duration=is_duration):
            return _print_seconds(value) if is_duration else print_number(value)
        case StringLiteral(value=value):
            return print_string(value)
        case VectorSelector():
            return _print_selector(node) + _print_modifiers(node.boundary, node.at, node.offset)
        case MatrixSelector(range=length):
            modifiers = _print_modifiers(node.boundary, node.at, node.offset)
            return f"{inside[0]}[{_print_length(length)}]{modifiers}"
        case SubqueryExpr(expression=expression, range=length, step=step):
            steps = "" if step is None else _print_length(step)
            modifiers = _print_modifiers(None, node.at, node.offset)
            operand = _enclose(inside[0], when=_binding(expression) < _TIGHTEST)
            return f"{operand}[{_print_length(length)}:{steps}]{modifiers}"
        case Call(function=function):
            return f"{function}({', '.join(inside)})"
        case AggregateExpr(operator=operator, grouping=grouping):
            groups = "" if grouping is None else f" {print_grouping(grouping)} "
            return f"{operator}{groups}({', '.join(inside)})"
        case BinaryExpr():
            return _print_binary(node, *inside)
        case UnaryExpr(operator=sign, expression=expression):
            # A sign in front of a bare number would become part of the number.
            loose = isinstance(expression, BinaryExpr) and _binding(expression) <= _SIGN_BINDING
            return sign + _enclose(inside[0], when=loose or isinstance(expression, NumberLiteral))
        case ParenExpr():
            return f"({inside[0]})"


def _enclose(text: str, *, when: bool) -> str:
    return f"({text})" if when else text


def _print_binary(node: BinaryExpr, left: str, right: str) -> str:
    binding = _BINDING[node.operator]
    right_associative = node.operator == "^"
    left_binding, right_binding = _binding(node.left), _binding(node.right)
    loose_left = left_binding < binding or (left_binding == binding and right_associative)
    loose_right = right_binding < binding or (right_binding == binding and not right_associative)
    # A sign on the right needs no parentheses: nothing else can be meant.
    signed = isinstance(node.right, UnaryExpr | NumberLiteral)
    parts = [_enclose(left, when=loose_left), f"{node.operator} bool" if node.return_bool else node.operator]
    if node.matching is not None:
        parts.append(print_matching(node.matching))
    return " ".join([*parts, _enclose(right, when=loose_right and not signed)])
