"""Changing an expression in the person's own text, so that comments and layout stay."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stakewatch.promql.durations import print_duration
from stakewatch.promql.errors import PromqlError
from stakewatch.promql.parser import parse
from stakewatch.promql.printing import print_number
from stakewatch.promql.traversal import walk, without_parentheses
from stakewatch.promql.tree import (
    BinaryExpr,
    Duration,
    DurationExpression,
    Expression,
    MatrixSelector,
    NumberLiteral,
    SubqueryExpr,
    VectorSelector,
)

_SHORTEST_SECONDS = 0.001


@dataclass(frozen=True)
class Replacement:
    """New text for the characters from `start` to `end`; equal offsets insert."""

    start: int
    end: int
    text: str


def splice(text: str, replacements: Iterable[Replacement]) -> str:
    """Return the text with all replacements made; their offsets are those of the given text, in any order.

    Insertions at one place stay in the order given. Raises ValueError when two overlap or one lies outside.
    """
    parts = []
    done = 0
    for replacement in sorted(replacements, key=lambda one: (one.start, one.end)):
        if not done <= replacement.start <= replacement.end <= len(text):
            raise ValueError(f"{replacement} overlaps another or lies outside of the text")
        parts += [text[done : replacement.start], replacement.text]
        done = replacement.end
    return "".join([*parts, text[done:]])


def scale_durations(text: str, factor: float, minimum_seconds: float = _SHORTEST_SECONDS) -> str:
    """Return the expression with its durations multiplied by `factor` and rounded to whole milliseconds.

    Scaled are ranges (never below `minimum_seconds`), steps of subqueries (never below 1 ms), offsets, and
    numbers written as durations (`> 5m`); plain numbers are not, since what they count is unknown.
    Raises PromqlError when the text is no expression or a duration depends on `step()` or `range()`, and
    ValueError when `factor` is not a positive number.
    """
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"not a factor to scale by: {factor}")
    minimum = max(minimum_seconds, _SHORTEST_SECONDS)
    replacements = []
    for duration, is_range, least in _durations(parse(text), minimum):
        if isinstance(duration, DurationExpression):
            new = _scale_expression(duration, factor, least, text)
        else:
            seconds = duration.seconds if isinstance(duration, Duration) else duration.value
            new = _print_scaled(seconds * factor, least)
        space = " " if not is_range and text[duration.start - 1 : duration.start].isalnum() else ""
        replacements.append(Replacement(duration.start, duration.end, space + new))
    return splice(text, replacements)


def replace_threshold(text: str, old: float, new: float) -> str:
    """Return the expression with the number `old`, the right side of one comparison, replaced by `new`.

    Parentheses around the number do not matter. Raises PromqlError when the text is no expression or `old`
    is not the right side of exactly one comparison, and ValueError when `new` is not finite.
    """
    if not math.isfinite(new):
        raise ValueError(f"not a threshold: {new}")
    thresholds = list(_thresholds(parse(text)))
    found = [number for number in thresholds if number.value == old]
    if len(found) != 1:
        there = ", ".join(print_number(number.value) for number in thresholds) or "none"
        times = f"{len(found)} times" if found else "not"
        place = found[1] if found else NumberLiteral(value=old, start=0, end=len(text))
        raise PromqlError(
            f"the threshold {print_number(old)} stands {times} as the right side of a comparison",
            text=text,
            start=place.start,
            end=place.end,
            mend=f"it must stand there exactly once; the numbers compared with are: {there}",
        )
    return splice(text, [Replacement(found[0].start, found[0].end, print_number(new))])


def _durations(
    expression: Expression, minimum_seconds: float
) -> Iterator[tuple[Duration | DurationExpression | NumberLiteral, bool, float]]:
    """Yield each duration, whether it stands in brackets, and the least seconds that it may become."""
    for node in walk(expression):
        if isinstance(node, MatrixSelector | SubqueryExpr):
            yield node.range, True, minimum_seconds
        if isinstance(node, SubqueryExpr) and node.step is not None:
            yield node.step, True, _SHORTEST_SECONDS
        if isinstance(node, MatrixSelector | SubqueryExpr | VectorSelector) and node.offset is not None:
            yield node.offset, False, -math.inf
        if isinstance(node, NumberLiteral) and node.is_duration:
            yield node, False, -math.inf


def _print_scaled(seconds: float, least_seconds: float) -> str:
    seconds = max(round(seconds, 3), least_seconds)
    return f"-{print_duration(-seconds)}" if seconds < 0 else print_duration(seconds)


def _scale_expression(duration: DurationExpression, factor: float, least_seconds: float, text: str) -> str:
    if duration.uses_context:
        raise PromqlError(
            "a duration that depends on step() or range() cannot be scaled",
            text=text,
            start=duration.start,
            end=duration.end,
            mend="write the duration out",
        )
    scaled = f"({duration.text}) * {print_number(factor)}"
    if math.isinf(least_seconds):
        # After an offset only a sign makes the parentheses the whole of it.
        return f"+({scaled})"
    return f"max_of({scaled}, {print_duration(least_seconds)})"


def _thresholds(expression: Expression) -> Iterator[NumberLiteral]:
    for node in walk(expression):
        if isinstance(node, BinaryExpr) and node.is_comparison:
            right = without_parentheses(node.right)
            if isinstance(right, NumberLiteral):
                yield right
