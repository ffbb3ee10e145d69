"""Pitfalls: rules that parse, load and evaluate, and do not do what was meant."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType

from stakewatch.bundle.problems import quoted
from stakewatch.catalogue import Metric
from stakewatch.promql import parse, parse_duration, walk
from stakewatch.promql.traversal import without_parentheses
from stakewatch.promql.tree import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Duration,
    Expression,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)
from stakewatch.rules import pitfalls_in_joins, pitfalls_in_texts, pitfalls_in_values
from stakewatch.rules.files import Rule
from stakewatch.rules.pitfall_surroundings import Finder, Pitfall, Surroundings, measured, selectors_in

SCRAPE_SECONDS = 15
EVALUATION_SECONDS = 30

_RATES = frozenset({"rate", "irate", "increase"})
_OF_COUNTERS = ("_total", "_count", "_sum", "_bucket")
_ABSENCES = frozenset({"absent", "absent_over_time"})
_REGEX_SIGNS = re.compile(r"\.[*+]|\||\(\?")
_DISABLE = re.compile(
    r"#\s*stakewatch disable (?P<code>[a-z-]+)(?P<reason>.*?)(?:\s+until (?P<until>\d{4}-\d{2}-\d{2}))?\s*$"
)


@dataclass(frozen=True)
class Waiver:
    """A comment `# stakewatch disable CODE reason [until YYYY-MM-DD]` inside or right above a rule."""

    code: str
    reason: str
    until: date | None
    line: int

    def expired(self, today: date) -> bool:
        """Whether its date has passed."""
        return self.until is not None and today > self.until


def pitfalls(rule: Rule, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Yield what a rule does otherwise than was meant.

    Raises PromqlError when its expression is none, InputError when its `for` is no duration.
    """
    expression = parse(rule.expression)
    for find in FINDERS.values():
        yield from find(rule, expression, surroundings)


def waivers(lines: list[str], rule: Rule, end: int) -> Iterator[Waiver]:
    """Yield the waivers of a rule that ends before line `end`: in it, or in the comment right above."""
    first = rule.line
    while first > 1 and lines[first - 2].strip().startswith("#"):
        first -= 1
    for number in range(first, min(end, len(lines) + 1)):
        match = _DISABLE.search(lines[number - 1])
        if match:
            until = match["until"]
            yield Waiver(
                code=match["code"],
                reason=match["reason"].strip(" :"),
                until=date.fromisoformat(until) if until else None,
                line=number,
            )


def today() -> date:
    """Return the date in UTC."""
    return datetime.now(tz=UTC).date()


def _always_fires(rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find an alert whose expression leaves nothing out: it fires for every series there is."""
    if rule.alert is not None and not _filters(expression):
        yield Pitfall(
            "always-fires",
            "nothing is compared: this fires for every series that there is",
            "compare with a threshold, or join with what does (`and`, `unless`)",
            start=expression.start,
        )


def _filters(expression: Expression) -> bool:  # noqa: PLR0911 - one case a kind
    match expression:
        case ParenExpr(expression=inner) | UnaryExpr(expression=inner):
            return _filters(inner)
        case BinaryExpr(operator="or", left=left, right=right):
            return _filters(left) and _filters(right)
        case BinaryExpr() if expression.is_set_operation:
            return expression.operator == "unless" or _filters(expression.left) or _filters(expression.right)
        case BinaryExpr(left=left, right=right):
            compares = expression.is_comparison and not expression.return_bool
            return compares or _filters(left) or _filters(right)
        case Call(function=function, arguments=arguments):
            return function in _ABSENCES or any(_filters(one) for one in arguments)
        case AggregateExpr(expression=inner) | SubqueryExpr(expression=inner):
            return _filters(inner)
        case VectorSelector(name=name):
            # A rule that records only what is wrong, or the firing alerts themselves.
            return name is not None and (":" in name or name in {"ALERTS", "ALERTS_FOR_STATE"})
        case MatrixSelector(selector=selector):
            return _filters(selector)
        case _:
            return False


def _rate_of_gauge(_rule: Rule, expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find the rate of a gauge: every fall is taken for a restart from 0, and counted as a rise."""
    for node in walk(expression):
        if not isinstance(node, Call) or node.function not in _RATES:
            continue
        for selector in selectors_in(node):
            metrics = surroundings.metrics(selector)
            if metrics and not any(_grows(one, selector) for one in metrics):
                yield Pitfall(
                    "rate-of-gauge",
                    f"{selector.metric_name} is a gauge: {node.function}() takes each fall for a restart",
                    "use delta(), deriv() or the value itself",
                    start=node.start,
                )


def _grows(metric: Metric, selector: VectorSelector) -> bool:
    """Tell whether it is a counter, whatever its declared type: many clients keep counters in gauges."""
    return metric.type != "gauge" or metric.monotonic or (selector.metric_name or "").endswith(_OF_COUNTERS)


def _counter_compared(_rule: Rule, expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a counter compared with a number: true from the first event until the process restarts."""
    for node in walk(expression):
        if not isinstance(node, BinaryExpr) or not node.is_comparison:
            continue
        if not isinstance(node.right, NumberLiteral):
            continue
        selector = measured(node.left)
        if selector is None:
            continue
        metrics = surroundings.metrics(selector)
        if metrics and all(one.type == "counter" and not one.also_types for one in metrics):
            yield Pitfall(
                "counter-compared",
                f"{selector.metric_name} is a counter: once beyond the number it stays there until a restart",
                "compare its increase() or rate() over a range",
                start=node.start,
            )


def _short_range(_rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a rate over so few scrapes that it has no result when one is late."""
    for node in walk(expression):
        if not isinstance(node, Call) or node.function not in _RATES:
            continue
        for argument in node.arguments:
            length = argument.range if isinstance(argument, MatrixSelector) else None
            if isinstance(length, Duration) and length.seconds < 4 * SCRAPE_SECONDS:
                yield Pitfall(
                    "short-range",
                    f"{length.seconds:g} s hold too few scrapes for {node.function}(): it has gaps",
                    f"use at least four scrape intervals, {4 * SCRAPE_SECONDS} s",
                    start=length.start,
                )


def _short_for(rule: Rule, _expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a `for` shorter than an evaluation: it waits for one evaluation, whatever it says."""
    if rule.duration and 0 < parse_duration(rule.duration) < EVALUATION_SECONDS:
        yield Pitfall(
            "short-for",
            f"`for: {rule.duration}` is shorter than an evaluation ({EVALUATION_SECONDS} s)",
            f"leave it out, or write at least {EVALUATION_SECONDS}s",
            part="for",
        )


def _space_in_matcher(_rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a label value with a space at its end: no label has it, and nothing is selected."""
    for selector in selectors_in(expression):
        for matcher in selector.matchers:
            if matcher.value != matcher.value.strip():
                yield Pitfall(
                    "space-in-matcher",
                    f"{matcher.name} is matched against {quoted(matcher.value)}, with a space at an end",
                    "remove the space",
                    start=matcher.start,
                )


def _regex_as_text(_rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a regular expression behind `=`: it is compared letter by letter."""
    for selector in selectors_in(expression):
        for matcher in selector.matchers:
            if matcher.operator in {"=", "!="} and _REGEX_SIGNS.search(matcher.value):
                pattern = "=~" if matcher.operator == "=" else "!~"
                yield Pitfall(
                    "regex-as-text",
                    f"{matcher.name}{matcher.operator}{quoted(matcher.value)} compares letter by letter",
                    f"write {matcher.name}{pattern}{quoted(matcher.value)} for a pattern",
                    start=matcher.start,
                )


def _quantile_without_le(
    _rule: Rule, expression: Expression, surroundings: Surroundings
) -> Iterator[Pitfall]:
    """Find a quantile of an aggregation that lost `le`: there are no buckets left."""
    for node in walk(expression):
        if not isinstance(node, Call) or node.function != "histogram_quantile":
            continue
        inside = without_parentheses(node.arguments[1])
        if isinstance(inside, AggregateExpr) and "le" not in surroundings.result_labels.of_expression(inside):
            yield Pitfall(
                "quantile-without-le",
                "the aggregation inside of histogram_quantile() drops the label le",
                "aggregate by (le, …)",
                start=node.start,
            )


def _rate_after_sum(_rule: Rule, expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find the rate of a sum of counters: one process restarts, the sum falls, and all is counted again."""
    for node in walk(expression):
        if not isinstance(node, Call) or node.function not in _RATES:
            continue
        argument = node.arguments[0]
        summed: tuple[Expression, ...] = ()
        if isinstance(argument, SubqueryExpr):
            summed = (argument.expression,)
        elif isinstance(argument, MatrixSelector):
            summed = surroundings.records.get(argument.selector.metric_name or "", ())
        if any(_sums_counters(one, surroundings) for one in summed):
            yield Pitfall(
                "rate-after-sum",
                f"{node.function}() of a sum takes the restart of one process for a restart of all",
                f"sum the {node.function}(), not the other way round",
                start=node.start,
            )


def _sums_counters(expression: Expression, surroundings: Surroundings) -> bool:
    expression = without_parentheses(expression)
    if not isinstance(expression, AggregateExpr) or expression.operator not in {"sum", "avg"}:
        return False
    inside = without_parentheses(expression.expression)
    if not isinstance(inside, VectorSelector):
        return False
    metrics = surroundings.metrics(inside)
    by_name = not metrics and (inside.metric_name or "").endswith(_OF_COUNTERS)
    return by_name or any(one.type == "counter" for one in metrics)


FINDERS: Mapping[str, Finder] = MappingProxyType(
    {
        "always-fires": _always_fires,
        "rate-of-gauge": _rate_of_gauge,
        "counter-compared": _counter_compared,
        "short-range": _short_range,
        "short-for": _short_for,
        "space-in-matcher": _space_in_matcher,
        "regex-as-text": _regex_as_text,
        "quantile-without-le": _quantile_without_le,
        "rate-after-sum": _rate_after_sum,
        **pitfalls_in_joins.FINDERS,
        **pitfalls_in_texts.FINDERS,
        **pitfalls_in_values.FINDERS,
    }
)
