"""Which series an expression reads, and through which functions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stakewatch.promql.parser import parse
from stakewatch.promql.traversal import walk_with_ancestors
from stakewatch.promql.tree import (
    NAME_LABEL,
    AggregateExpr,
    Call,
    Expression,
    LabelMatcher,
    MatrixSelector,
    VectorSelector,
)

_NAMES = re.compile(r"\(?([a-zA-Z_:][a-zA-Z0-9_:]*(?:\|[a-zA-Z_:][a-zA-Z0-9_:]*)*)\)?")


@dataclass(frozen=True)
class Selector:
    """One selector of an expression; `ancestors` are the nodes it stands in, the root first."""

    selector: VectorSelector
    ancestors: tuple[Expression, ...]

    @property
    def start(self) -> int:
        """Character offset of the selector in the text."""
        return self.selector.start

    @property
    def end(self) -> int:
        """Character offset after the selector and its modifiers."""
        return self.selector.end

    @property
    def matchers(self) -> tuple[LabelMatcher, ...]:
        """The conditions in the braces."""
        return self.selector.matchers

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that are selected: one, or those of a plain `__name__=~"a|b"`; empty when unknown."""
        if self.selector.metric_name is not None:
            return (self.selector.metric_name,)
        for matcher in self.matchers:
            if matcher.name == NAME_LABEL and matcher.operator == "=~" and (found := _names(matcher.value)):
                return found
        return ()

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions and aggregations around it, the innermost first: `("rate", "sum")`."""
        return tuple(_function_names(reversed(self.ancestors)))

    @property
    def range_seconds(self) -> float | None:
        """The length of the range directly on it; None for an instant selector or a calculated range."""
        parent = self.ancestors[-1] if self.ancestors else None
        if isinstance(parent, MatrixSelector):
            return getattr(parent.range, "seconds", None)
        return None


def selectors(text: str) -> tuple[Selector, ...]:
    """Return every selector of an expression in the order of the text.

    Raises PromqlError when the text is no expression.
    """
    return tuple(
        Selector(node, ancestors)
        for node, ancestors in walk_with_ancestors(parse(text))
        if isinstance(node, VectorSelector)
    )


def _names(pattern: str) -> tuple[str, ...]:
    match = _NAMES.fullmatch(pattern)
    balanced = pattern.startswith("(") == pattern.endswith(")")
    return tuple(match[1].split("|")) if match and balanced else ()


def _function_names(nodes: Iterator[Expression]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Call):
            yield node.function
        elif isinstance(node, AggregateExpr):
            yield node.operator
