"""Mutants: a rule with one small change, made in the person's own text so that it reads as a diff."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from stakewatch.promql import Replacement, parse, parse_duration, print_duration, splice, walk
from stakewatch.promql.printing import print_grouping, print_matcher, print_matching, print_number
from stakewatch.promql.tree import (
    NAME_LABEL,
    AggregateExpr,
    BinaryExpr,
    Duration,
    Expression,
    Grouping,
    LabelMatcher,
    MatchOperator,
    MatrixSelector,
    NumberLiteral,
    SubqueryExpr,
    VectorMatching,
    VectorSelector,
)
from stakewatch.rules.files import Rule


class Operator(StrEnum):
    """What a mutant changes."""

    COMPARISON = "comparison"
    NUMBER = "number"
    RANGE = "range"
    MATCHER = "matcher"
    AGGREGATION = "aggregation"
    GROUPING = "grouping"
    SET_OPERATOR = "set operator"
    FOR = "for"
    SEVERITY = "severity"
    LABEL = "label"
    ANNOTATION = "annotation"


# Texts for people, not the alert's logic: measured, but no part of the score.
APART = frozenset({Operator.LABEL, Operator.ANNOTATION})

_BOUNDARY: Mapping[str, str] = MappingProxyType(
    {">": ">=", ">=": ">", "<": "<=", "<=": "<", "==": "!=", "!=": "=="}
)
_DIRECTION = MappingProxyType({">": "<", ">=": "<=", "<": ">", "<=": ">="})
_OTHER_MATCH: Mapping[MatchOperator, MatchOperator] = MappingProxyType(
    {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
)
_OTHER_AGGREGATION = MappingProxyType(
    {
        "sum": "max",
        "avg": "max",
        "max": "min",
        "min": "max",
        "count": "sum",
        "topk": "bottomk",
        "bottomk": "topk",
        "stddev": "avg",
        "stdvar": "avg",
    }
)
_OTHER_SET_OPERATORS = MappingProxyType(
    {"and": ("or", "unless"), "or": ("and", "unless"), "unless": ("and", "or")}
)
_OTHER_SEVERITY = MappingProxyType({"critical": "warning"})
_TENTH = 0.1
_SHORTEST_SECONDS = 0.001


@dataclass(frozen=True)
class Mutant:
    """A changed rule: `before` and `after` are the text that differs.

    `change` says so in one line, and tells it from all other mutants of its rule. `start` and `end` are where
    `before` stands in the expression, -1 where the change is elsewhere.
    """

    operator: Operator
    rule: Rule
    before: str
    after: str
    change: str
    start: int = -1
    end: int = -1


@dataclass(frozen=True)
class _Edit:
    operator: Operator
    replacement: Replacement


def mutants(rule: Rule, step_seconds: float) -> tuple[Mutant, ...]:
    """Return the mutants of a rule that is evaluated every `step_seconds`, in the order of its text.

    Raises PromqlError when its expression is none, InputError for a wrong `for`.
    """
    found = [*_of_expression(rule), *_of_duration(rule, step_seconds), *_of_texts(rule)]
    counted: dict[str, int] = {}
    named = []
    for mutant in found:
        counted[mutant.change] = counted.get(mutant.change, 0) + 1
        if counted[mutant.change] > 1:
            # The same words in another place of the expression.
            mutant = replace(mutant, change=f"{mutant.change} #{counted[mutant.change]}")  # noqa: PLW2901
        named.append(mutant)
    return tuple(named)


def _of_expression(rule: Rule) -> Iterator[Mutant]:
    text = rule.expression
    seen = {text}
    for edit in _edits(parse(text), text):
        changed = splice(text, [edit.replacement])
        if changed in seen:
            continue
        seen.add(changed)
        start, end = edit.replacement.start, edit.replacement.end
        before, after = text[start:end], edit.replacement.text
        yield Mutant(
            operator=edit.operator,
            rule=replace(rule, expression=changed),
            before=before,
            after=after,
            change=f"{edit.operator}: {_flat(before)} -> {_flat(after) or 'nothing'}",
            start=start,
            end=end,
        )


def _of_duration(rule: Rule, step_seconds: float) -> Iterator[Mutant]:
    if rule.alert is None or not rule.duration:
        return
    seconds = parse_duration(rule.duration)
    others = (None, seconds - step_seconds, seconds + step_seconds, seconds * 2)
    for other in dict.fromkeys(one for one in others if one is None or one >= 0):
        if not seconds or other in {seconds, 0.0}:
            continue
        after = "" if other is None else print_duration(other)
        yield Mutant(
            operator=Operator.FOR,
            rule=replace(rule, duration=after or None),
            before=f"for: {rule.duration}",
            after=f"for: {after}" if after else "",
            change=f"for: {rule.duration} -> {after or 'nothing'}",
        )


def _of_texts(rule: Rule) -> Iterator[Mutant]:
    for name, value in rule.labels.items():
        if name == "severity":
            after = _OTHER_SEVERITY.get(value, "critical")
            changed = {**rule.labels, name: after}
            yield Mutant(
                operator=Operator.SEVERITY,
                rule=replace(rule, labels=MappingProxyType(changed)),
                before=f"severity: {value}",
                after=f"severity: {after}",
                change=f"severity: {value} -> {after}",
            )
            continue
        kept = {key: text for key, text in rule.labels.items() if key != name}
        yield Mutant(
            operator=Operator.LABEL,
            rule=replace(rule, labels=MappingProxyType(kept)),
            before=f"{name}: {value}",
            after="",
            change=f"label {name} -> nothing",
        )
    for name, value in rule.annotations.items():
        kept = {key: text for key, text in rule.annotations.items() if key != name}
        yield Mutant(
            operator=Operator.ANNOTATION,
            rule=replace(rule, annotations=MappingProxyType(kept)),
            before=f"{name}: {value}",
            after="",
            change=f"annotation {name} -> nothing",
        )


def _edits(expression: Expression, text: str) -> Iterator[_Edit]:
    for node in walk(expression):
        match node:
            case BinaryExpr():
                yield from _of_operation(node)
            case NumberLiteral():
                yield from _of_number(node, text)
            case MatrixSelector() | SubqueryExpr():
                yield from _of_length(node.range)
                yield from _of_length(node.offset)
            case VectorSelector():
                yield from _of_selector(node, text)
            case AggregateExpr():
                yield from _of_aggregation(node)
            case _:
                pass


def _of_operation(node: BinaryExpr) -> Iterator[_Edit]:
    def said(operator: Operator, new: str) -> _Edit:
        return _Edit(operator, Replacement(node.operator_start, node.operator_end, new))

    if node.is_comparison:
        yield said(Operator.COMPARISON, _BOUNDARY[node.operator])
        if node.operator in _DIRECTION:
            yield said(Operator.COMPARISON, _DIRECTION[node.operator])
        if not node.return_bool and isinstance(node.right, NumberLiteral):
            # The comparison forgotten: everything fires.
            yield _Edit(Operator.COMPARISON, Replacement(node.operator_start, node.end, ""))
    elif node.is_set_operation:
        for other in _OTHER_SET_OPERATORS[node.operator]:
            yield said(Operator.SET_OPERATOR, other)
        yield _Edit(Operator.SET_OPERATOR, Replacement(node.left.end, node.end, ""))
        if node.operator == "or":
            yield _Edit(Operator.SET_OPERATOR, Replacement(node.start, node.right.start, ""))
    if node.matching is not None:
        yield from _of_matching(node.matching)


def _of_matching(matching: VectorMatching) -> Iterator[_Edit]:
    fewer = [replace(matching, labels=_but(label, matching.labels)) for label in matching.labels]
    fewer += [replace(matching, include=_but(label, matching.include)) for label in matching.include]
    for one in fewer:
        yield _Edit(Operator.GROUPING, Replacement(matching.start, matching.end, print_matching(one)))


def _of_number(node: NumberLiteral, text: str) -> Iterator[_Edit]:
    value = node.value
    if value in {float("inf"), float("-inf")} or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return
    if node.is_duration:
        for factor in (0.5, 2.0):
            new = print_duration(value * factor)
            yield _Edit(Operator.NUMBER, Replacement(node.start, node.end, new))
        return
    # Counts are whole numbers: between 5 and 5.5 there is nothing to tell apart.
    step = max(1.0, round(abs(value) * _TENTH)) if value.is_integer() else abs(value) * _TENTH
    for other in (value + step, value - step):
        new = print_number(float(f"{other:.12g}"))
        space = " " if new.startswith("-") and text[node.start - 1 : node.start] == "-" else ""
        yield _Edit(Operator.NUMBER, Replacement(node.start, node.end, space + new))


def _of_length(length: object) -> Iterator[_Edit]:
    if not isinstance(length, Duration):
        return
    for seconds in (length.seconds / 2, length.seconds * 2):
        if abs(seconds) >= _SHORTEST_SECONDS:
            new = print_duration(abs(seconds))
            sign = "-" if seconds < 0 else ""
            yield _Edit(Operator.RANGE, Replacement(length.start, length.end, sign + new))


def _of_selector(node: VectorSelector, text: str) -> Iterator[_Edit]:
    yield from _of_length(node.offset)
    for number, matcher in enumerate(node.matchers):
        if matcher.name == NAME_LABEL:
            continue
        negated = print_matcher(replace(matcher, operator=_OTHER_MATCH[matcher.operator]))
        yield _Edit(Operator.MATCHER, Replacement(matcher.start, matcher.end, negated))
        others = tuple(one for one in node.matchers if one is not matcher)
        if node.name is not None or _selects(others):
            yield _Edit(Operator.MATCHER, _without(node, number, text))


def _selects(matchers: tuple[LabelMatcher, ...]) -> bool:
    """Tell whether Prometheus takes a selector of these: one of them must refuse the empty text."""
    return any(
        matcher.name == NAME_LABEL or (matcher.operator == "=" and matcher.value != "")
        for matcher in matchers
    )


def _without(node: VectorSelector, number: int, text: str) -> Replacement:
    """Take a matcher out, with the comma that goes with it; empty braces stay, they change nothing."""
    matcher = node.matchers[number]
    if number + 1 < len(node.matchers):
        return Replacement(matcher.start, node.matchers[number + 1].start, "")
    if number:
        return Replacement(node.matchers[number - 1].end, matcher.end, "")
    end = (
        node.braces_end - 1 if text[matcher.end : node.braces_end - 1].strip(" \n\t,") == "" else matcher.end
    )
    return Replacement(matcher.start, end, "")


def _of_aggregation(node: AggregateExpr) -> Iterator[_Edit]:
    other = _OTHER_AGGREGATION.get(node.operator)
    if other is not None:
        length = len(node.operator)
        yield _Edit(Operator.AGGREGATION, Replacement(node.start, node.start + length, other))
    if node.grouping is not None:
        yield from _of_grouping(node.grouping)


def _of_grouping(grouping: Grouping) -> Iterator[_Edit]:
    for label in grouping.labels:
        new = print_grouping(replace(grouping, labels=_but(label, grouping.labels)))
        yield _Edit(Operator.GROUPING, Replacement(grouping.start, grouping.end, new))


def _but(label: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for one in labels if one != label)


def _flat(text: str) -> str:
    return " ".join(text.split())
