"""Going through a tree and making a changed one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from stakewatch.promql.tree import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expression,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

Result = TypeVar("Result")


def children(expression: Expression) -> tuple[Expression, ...]:
    """Return the expressions directly inside, in the order of the text."""
    match expression:
        case MatrixSelector(selector=selector):
            return (selector,)
        case Call(arguments=arguments):
            return arguments
        case AggregateExpr(parameter=parameter, expression=inner):
            return (inner,) if parameter is None else (parameter, inner)
        case BinaryExpr(left=left, right=right):
            return (left, right)
        case SubqueryExpr(expression=inner) | UnaryExpr(expression=inner) | ParenExpr(expression=inner):
            return (inner,)
        case NumberLiteral() | StringLiteral() | VectorSelector():
            return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """Yield the expression and everything inside it, parents first, in the order of the text."""
    for node, _ in walk_with_ancestors(expression):
        yield node


def walk_with_ancestors(expression: Expression) -> Iterator[tuple[Expression, tuple[Expression, ...]]]:
    """Like `walk`, each node with what it stands in, the root first."""
    waiting: list[tuple[Expression, tuple[Expression, ...]]] = [(expression, ())]
    while waiting:
        node, ancestors = waiting.pop()
        yield node, ancestors
        inside = (*ancestors, node)
        waiting.extend((child, inside) for child in reversed(children(node)))


def without_parentheses(expression: Expression) -> Expression:
    """Return what stands inside of all parentheses around an expression."""
    while isinstance(expression, ParenExpr):
        expression = expression.expression
    return expression


def fold(expression: Expression, combine: Callable[[Expression, tuple[Result, ...]], Result]) -> Result:
    """Return `combine(node, results of its children)` of the root, computed children first.

    Not recursive, so that the deepest tree leaves the caller's stack alone.
    """
    results: list[Result] = []
    for node in reversed(list(walk(expression))):
        inside = tuple(results.pop() for _ in children(node))
        results.append(combine(node, inside))
    return results.pop()


def rewrite(expression: Expression, function: Callable[[Expression], Expression]) -> Expression:
    """Return the tree with `function` applied to every node, children first.

    `function` gets a node whose children are already rewritten and returns it or its replacement. Positions
    stay those of the text that was parsed. Raises TypeError when a range would stand on what is no selector.
    """

    def combine(node: Expression, new: tuple[Expression, ...]) -> Expression:
        unchanged = all(before is after for before, after in zip(children(node), new, strict=True))
        return function(node if unchanged else _with_children(node, new))

    return fold(expression, combine)


def _with_children(expression: Expression, new: tuple[Expression, ...]) -> Expression:
    match expression:
        case NumberLiteral() | StringLiteral() | VectorSelector():
            return expression
        case MatrixSelector():
            (selector,) = new
            if not isinstance(selector, VectorSelector):
                raise TypeError(f"only a selector can have a range, not {type(selector).__name__}")
            return replace(expression, selector=selector)
        case Call():
            return replace(expression, arguments=new)
        case AggregateExpr():
            parameter = new[0] if expression.parameter is not None else None
            return replace(expression, parameter=parameter, expression=new[-1])
        case BinaryExpr():
            left, right = new
            return replace(expression, left=left, right=right)
        case SubqueryExpr() | UnaryExpr() | ParenExpr():
            (inner,) = new
            return replace(expression, expression=inner)
