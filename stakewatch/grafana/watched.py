"""Watched: panels that show what an alert compares with its threshold, and whether they show that threshold.

A panel shows what an alert watches when both expressions have the same shape, and the panel selects no more.
To the shape belong the metrics, the arithmetic, and the range of functions whose value grows with it; what
only chooses among values (max, and, a comparison) or adds labels does not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from stakewatch.grafana.boardfile import Placed, panels
from stakewatch.grafana.filling import fill
from stakewatch.grafana.lint import Flaw
from stakewatch.grafana.opening import typed_in
from stakewatch.grafana.rulefiles import alert_rules
from stakewatch.grafana.series import filled
from stakewatch.grafana.thresholds import Alert
from stakewatch.promql import Expression, PromqlError, fold, parse, walk
from stakewatch.promql.tree import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Duration,
    MatrixSelector,
    NumberLiteral,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

# They have numbers on a scale; a table has columns, a band states.
_WITH_SCALE = frozenset({"timeseries", "stat", "gauge", "bargauge"})
_CHOOSING = frozenset({"max", "min", "topk", "bottomk"})
_LABELLING = frozenset(
    {"label_replace", "label_join", "round", "sort", "sort_desc", "clamp_min", "clamp_max", "last_over_time"}
)
# Of these, a longer range only makes the value smoother.
_SMOOTHING = frozenset(
    {"rate", "irate", "deriv", "avg_over_time", "max_over_time", "min_over_time", "quantile_over_time"}
)
_SUFFIXES_OF_LABELS = ("_info", ":info")

_Shape = tuple[object, ...]


@dataclass(frozen=True)
class Subject:
    """What an expression, or one branch of it, is about: its shape, and the labels that it fixes."""

    shape: _Shape
    fixed: frozenset[tuple[str, str]] = frozenset()

    @property
    def only_labels(self) -> bool:
        """Whether it is a series of value 1 that only brings labels."""
        return len(self.shape) == 1 and str(self.shape[0]).endswith(_SUFFIXES_OF_LABELS)


def subjects_of_alerts(folder: Path) -> Mapping[str, frozenset[Subject]]:
    """Return by alert what the rule files in `folder` compare with its threshold.

    Raises InputError (file:line) for what is no rule file, PromqlError for an expression that is none.
    """
    found: dict[str, frozenset[Subject]] = {}
    for _, rule in alert_rules(folder):
        annotations = rule.get("annotations")
        if isinstance(annotations, dict) and "threshold" in annotations:
            threshold = float(str(annotations["threshold"]))
            found[str(rule["alert"])] = frozenset(_compared(parse(str(rule.get("expr", ""))), threshold))
    return found


def lint_thresholds(
    board: Mapping[str, Any], subjects: Mapping[str, frozenset[Subject]], alerts: Mapping[str, Alert]
) -> Iterator[Flaw]:
    """Yield the panels of a board that show what an alert watches, and not its threshold.

    Raises StakewatchError when the parser of PromQL is not there.
    """
    values = typed_in(board)
    for panel in panels(board):
        if panel.kind not in _WITH_SCALE:
            continue
        shown = frozenset().union(*(_shown(one, values) for one in panel.expressions))
        for name, watched in subjects.items():
            alert = alerts[name]
            if alert.enabled and _is_among(watched, shown) and not _draws(panel, alert):
                message = f"the panel shows what {name} watches, and not its threshold {alert.threshold:g}"
                yield Flaw("panel-threshold", panel.title, message, f'write alerts=("{name}",)')


def _compared(expression: Expression, threshold: float) -> Iterator[Subject]:
    for node in walk(expression):
        if isinstance(node, BinaryExpr) and node.is_comparison:
            right = node.right
            if isinstance(right, NumberLiteral) and right.value == threshold:
                yield from _subjects(node.left)


def _shown(expression: str, values: Mapping[str, str]) -> frozenset[Subject]:
    try:
        return _subjects(parse(filled(fill(expression, values))))
    except PromqlError:
        # The check on the catalogue tells of it.
        return frozenset()


def _is_among(watched: Iterable[Subject], shown: Iterable[Subject]) -> bool:
    return any(
        one.shape == other.shape and one.fixed <= other.fixed for one, other in product(watched, shown)
    )


def _draws(panel: Placed, alert: Alert) -> bool:
    defaults = panel.defaults
    drawn = {step.get("value") for step in defaults.get("thresholds", {}).get("steps", ())}
    style = defaults.get("custom", {}).get("thresholdsStyle", {}).get("mode", "off")
    return alert.threshold in drawn and (panel.kind != "timeseries" or style != "off")


def _subjects(expression: Expression) -> frozenset[Subject]:
    return fold(expression, _combined)


def _combined(node: Expression, inner: tuple[frozenset[Subject], ...]) -> frozenset[Subject]:
    head: _Shape | None = None
    match node:
        case NumberLiteral(value=value) | StringLiteral(value=value):
            head = (value,)
        case VectorSelector():
            return frozenset({_selected(node)})
        case BinaryExpr():
            return _joined(node, *inner)
        case Call(function=function, arguments=arguments) if function not in _LABELLING:
            ranges = () if function in _SMOOTHING else tuple(map(_range_seconds, arguments))
            head = (function, ranges)
        case AggregateExpr(operator=operator) if operator in _CHOOSING:
            # The parameter of topk stands before what it chooses from.
            return inner[-1]
        case AggregateExpr(operator=operator) | UnaryExpr(operator=operator):
            head = (operator,)
    return inner[0] if head is None else _shaped(head, inner)


def _joined(node: BinaryExpr, left: frozenset[Subject], right: frozenset[Subject]) -> frozenset[Subject]:
    if node.operator == "or":
        return left | right
    if node.is_set_operation or node.is_comparison or all(one.only_labels for one in right):
        return left
    return right if all(one.only_labels for one in left) else _shaped((node.operator,), (left, right))


def _shaped(head: _Shape, inner: tuple[frozenset[Subject], ...]) -> frozenset[Subject]:
    return frozenset(
        Subject((*head, *(one.shape for one in several)), frozenset().union(*(one.fixed for one in several)))
        for several in product(*inner)
    )


def _selected(selector: VectorSelector) -> Subject:
    patterns = (matcher.value for matcher in selector.matchers if matcher.name == "__name__")
    name = selector.metric_name or next(patterns, "")
    fixed = ((one.name, one.value) for one in selector.matchers if one.operator == "=")
    return Subject((name,), frozenset(pair for pair in fixed if pair[0] != "__name__"))


def _range_seconds(argument: Expression) -> float | None:
    if isinstance(argument, MatrixSelector | SubqueryExpr) and isinstance(argument.range, Duration):
        return argument.range.seconds
    return None
