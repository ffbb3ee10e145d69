"""Pitfalls: rules that parse, load and evaluate, and do not do what was meant."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType

from stakewatch.bundle.problems import quoted
from stakewatch.catalogue import Catalogue, Metric
from stakewatch.promql import parse, parse_duration, walk, walk_with_ancestors
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
from stakewatch.rules.files import Rule, RuleFile
from stakewatch.rules.result_labels import ResultLabels
from stakewatch.rules.series import selects

SCRAPE_SECONDS = 15
EVALUATION_SECONDS = 30

_RATES = frozenset({"rate", "irate", "increase"})
_OF_COUNTERS = ("_total", "_count", "_sum", "_bucket")
_ABSENCES = frozenset({"absent", "absent_over_time"})
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_USED_LABEL = re.compile(r"\$labels\.(\w+)|\.Labels\.(\w+)|index\s+\$labels\s+\"([^\"]+)\"")
_REGEX_SIGNS = re.compile(r"\.[*+]|\||\(\?")
_DISABLE = re.compile(
    r"#\s*stakewatch disable (?P<code>[a-z-]+)(?P<reason>.*?)(?:\s+until (?P<until>\d{4}-\d{2}-\d{2}))?\s*$"
)


@dataclass(frozen=True)
class Pitfall:
    """One finding: `start` is where in the expression (-1: not there), `part` where in the rule."""

    code: str
    message: str
    mend: str
    start: int = -1
    part: str = "expr"


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


@dataclass(frozen=True)
class Surroundings:
    """What is known beside the rule itself: the catalogue, and what labels expressions can yield."""

    catalogue: Catalogue
    result_labels: ResultLabels
    recorded: frozenset[str]

    def metrics(self, selector: VectorSelector) -> tuple[Metric, ...]:
        """Return what the catalogue knows of a selected series; nothing where a rule records it."""
        name = selector.metric_name
        if name is None or name in self.recorded:
            return ()
        return tuple(
            one for one in self.catalogue.find(name) if selects(selector.matchers, one, self.catalogue)
        )


Finder = Callable[[Rule, Expression, Surroundings], Iterator[Pitfall]]


def pitfalls(rule: Rule, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Yield what a rule does otherwise than was meant.

    Raises PromqlError when its expression is none, InputError when its `for` is no duration.
    """
    expression = parse(rule.expression)
    for find in FINDERS.values():
        yield from find(rule, expression, surroundings)


def surroundings_of(rule_files: Iterable[RuleFile], catalogue: Catalogue) -> Surroundings:
    """Return what there is to know about some rule files."""
    files = tuple(rule_files)
    recorded = frozenset(rule.name for rule_file in files for rule in rule_file.records)
    return Surroundings(catalogue, ResultLabels(files, catalogue), recorded)


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
        for selector in _selectors(node):
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
        selector = _bare(node.left)
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


def _label_lost(rule: Rule, _expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find a label used in a text that no result can carry: the text has a hole."""
    there = surroundings.result_labels.of_rule(rule)
    texts = [(f"annotations.{name}", text) for name, text in rule.annotations.items()]
    texts += [(f"labels.{name}", text) for name, text in rule.labels.items()]
    for part, text in texts:
        for name in dict.fromkeys(_used_labels(text)):
            if name not in there:
                yield Pitfall(
                    "label-lost",
                    f"no result carries the label {name} that {part.partition('.')[2]} shows",
                    "keep it in `by (…)` or take it over with group_left (…)",
                    part=part,
                )


def _used_labels(text: str) -> Iterator[str]:
    for template in _TEMPLATE.findall(text):
        for match in _USED_LABEL.finditer(template):
            yield next(name for name in match.groups() if name)


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
    for selector in _selectors(expression):
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
    for selector in _selectors(expression):
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
        inside = node.arguments[1]
        while isinstance(inside, ParenExpr):
            inside = inside.expression
        if isinstance(inside, AggregateExpr) and "le" not in surroundings.result_labels.of_expression(inside):
            yield Pitfall(
                "quantile-without-le",
                "the aggregation inside of histogram_quantile() drops the label le",
                "aggregate by (le, …)",
                start=node.start,
            )


def _rate_after_sum(_rule: Rule, expression: Expression, surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find the rate of a sum of counters: one process restarts, the sum falls, and all is counted again."""
    for node, ancestors in walk_with_ancestors(expression):
        if not isinstance(node, SubqueryExpr) or not ancestors:
            continue
        parent = ancestors[-1]
        inside = node.expression
        while isinstance(inside, ParenExpr):
            inside = inside.expression
        if (
            isinstance(parent, Call)
            and parent.function in _RATES
            and isinstance(inside, AggregateExpr)
            and inside.operator in {"sum", "avg"}
            and any(
                one.type == "counter" for each in _selectors(inside) for one in surroundings.metrics(each)
            )
        ):
            yield Pitfall(
                "rate-after-sum",
                f"{parent.function}() of a sum takes the restart of one process for a restart of all",
                f"sum the {parent.function}(), not the other way round",
                start=parent.start,
            )


def _never_match(_rule: Rule, expression: Expression, _surroundings: Surroundings) -> Iterator[Pitfall]:
    """Find two sides of different labels without `on` or `ignoring`: no pair is ever found."""
    for node in walk(expression):
        if not isinstance(node, BinaryExpr) or node.operator == "or" or node.matching is not None:
            continue
        left, right = _exact_labels(node.left), _exact_labels(node.right)
        if left is None or right is None or left == right:
            continue
        yield Pitfall(
            "never-match",
            f"the left side has the labels ({', '.join(sorted(left))}), the right side "
            f"({', '.join(sorted(right))}): no two are equal",
            "say which labels must agree: `on (…)`",
            start=node.operator_start,
        )


def _exact_labels(expression: Expression) -> frozenset[str] | None:
    """Return the labels that every result of an aggregation has; None where that is not known."""
    match expression:
        case ParenExpr(expression=inner) | UnaryExpr(expression=inner):
            return _exact_labels(inner)
        case AggregateExpr(operator=operator) if operator in {"topk", "bottomk", "limitk", "limit_ratio"}:
            return None
        case AggregateExpr(grouping=None):
            return frozenset()
        case AggregateExpr(grouping=grouping) if grouping is not None and not grouping.without:
            return frozenset(grouping.labels)
        case BinaryExpr(left=left, right=NumberLiteral()):
            return _exact_labels(left)
        case _:
            return None


def _selectors(expression: Expression) -> Iterator[VectorSelector]:
    for node in walk(expression):
        if isinstance(node, VectorSelector):
            yield node


def _bare(expression: Expression) -> VectorSelector | None:
    """Return the selector whose plain value this is, through signs, parentheses and aggregations."""
    match expression:
        case VectorSelector():
            return expression
        case ParenExpr(expression=inner) | UnaryExpr(expression=inner):
            return _bare(inner)
        case AggregateExpr(operator="sum" | "max" | "min" | "avg", expression=inner):
            return _bare(inner)
        case _:
            return None


FINDERS: Mapping[str, Finder] = MappingProxyType(
    {
        "always-fires": _always_fires,
        "rate-of-gauge": _rate_of_gauge,
        "counter-compared": _counter_compared,
        "label-lost": _label_lost,
        "short-range": _short_range,
        "short-for": _short_for,
        "space-in-matcher": _space_in_matcher,
        "regex-as-text": _regex_as_text,
        "quantile-without-le": _quantile_without_le,
        "rate-after-sum": _rate_after_sum,
        "never-match": _never_match,
    }
)
