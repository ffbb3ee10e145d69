"""What the queries of a board ask Loki, held against the labels and fields that our log pipelines set."""

from collections.abc import Iterator, Mapping
from typing import Any

from stakewatch.grafana.boardfile import Placed, panels
from stakewatch.grafana.filling import BUILT_IN, fill
from stakewatch.grafana.lint import Flaw
from stakewatch.grafana.logql import LogqlError, LogSelector, parse_logql
from stakewatch.grafana.opening import typed_in

# Few labels, so that there are few streams; all else is in a line's structured metadata.
STREAM_LABELS = frozenset({"cluster", "region", "network", "role", "implementation", "instance", "level"})
_CHOICE = 'cluster=~"$cluster"'


def lint_log_queries(board: Mapping[str, Any]) -> Iterator[Flaw]:
    """Yield what is wrong with the queries for logs of a board's JSON."""
    values = {**BUILT_IN, **typed_in(board)}
    for panel in panels(board):
        for expression in panel.log_expressions:
            yield from _of_expression(expression, panel, values)


def _of_expression(expression: str, panel: Placed, values: Mapping[str, str]) -> Iterator[Flaw]:
    try:
        selectors = parse_logql(fill(expression, values))
    except LogqlError as error:
        yield Flaw("target-logql", panel.title, f"a query for logs does not parse: {error}", "mend it")
        return
    for selector in selectors:
        yield from _of_selector(selector, panel.title)
    if expression.count(_CHOICE) != len(selectors):
        yield Flaw("target-cluster", panel.title, "a query reads logs of all clusters", f"add {_CHOICE}")


def _of_selector(selector: LogSelector, title: str) -> Iterator[Flaw]:
    for label in selector.labels:
        if label not in STREAM_LABELS:
            message = f"no stream has the label {label}"
            yield Flaw("target-logql", title, message, f"filter by it behind the selector: | {label}=…")
    for label in selector.filtered:
        if label in STREAM_LABELS:
            message = f"{label} is a label of streams, and a filter behind the selector reads all of them"
            yield Flaw("target-logql", title, message, "put it into the braces")
