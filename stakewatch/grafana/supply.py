"""Supply: whether a Prometheus has the series that an expression reads, and which are missing.

A branch of `or` may be missing where another has what it needs, and what `unless` takes away need not be
there; everything else that an expression reads must be.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from stakewatch.grafana.remote import Remote
from stakewatch.promql import Expression, fold, parse, walk
from stakewatch.promql.printing import print_matcher
from stakewatch.promql.selection import Selector
from stakewatch.promql.tree import (
    NAME_LABEL,
    BinaryExpr,
    Call,
    LabelMatcher,
    NumberLiteral,
    StringLiteral,
    VectorSelector,
)
from stakewatch.rules.files import RuleFile, records_by_name
from stakewatch.rules.series import TARGET_LABELS

# What Grafana fills in for "All": it asks for nothing.
_ALL = frozenset({".*", ".*|"})
# Where any alert is, those that do not fire are only absent for now.
_COMING_AND_GOING = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
_ABOUT_ABSENCE = frozenset({"absent", "absent_over_time"})
# Well below what proxies in front of a Prometheus take for the address of a request.
_LONGEST_PATTERN = 3000


class State(StrEnum):
    """Whether an expression has what it reads; a constant reads nothing."""

    CONSTANT = "constant"
    FED = "fed"
    LACKING = "lacking"


@dataclass(frozen=True)
class Wanted:
    """Series that an expression reads: a metric, and the conditions on labels that targets have.

    `name` is empty for a pattern of names, which is then one of the `matchers`.
    """

    name: str
    matchers: frozenset[LabelMatcher]

    @property
    def selector(self) -> str:
        """The selector as PromQL."""
        inner = ",".join(sorted(map(print_matcher, self.matchers)))
        return f"{self.name}{{{inner}}}" if inner else self.name


@dataclass(frozen=True)
class Supply:
    """What an expression has, and what of it is missing; `lacks` of one that is fed are missing branches."""

    state: State
    lacks: tuple[Wanted, ...] = ()


_CONSTANT = Supply(State.CONSTANT)
_FED = Supply(State.FED)


@dataclass(frozen=True)
class Records:
    """The expressions that record a series, by its name.

    `loaded` are the names that the Prometheus records itself, None where that is not looked at: then a series
    is there when what its rule reads is.
    """

    expressions: Mapping[str, tuple[Expression, ...]]
    loaded: frozenset[str] | None = None


def records_of(rule_files: Iterable[RuleFile]) -> Records:
    """Return what the rule files record.

    Raises PromqlError for an expression that is none, StakewatchError when the parser is not there.
    """
    return Records(
        {
            name: tuple(parse(rule.expression) for rule in several)
            for name, several in records_by_name(rule_files).items()
        }
    )


def wanted_by(expressions: Iterable[Expression], records: Records) -> frozenset[Wanted]:
    """Return all series that the expressions read, what is recorded replaced by what its rules read."""
    found: set[Wanted] = set()
    seen: set[str] = set()
    waiting = list(expressions)
    while waiting:
        for node in walk(waiting.pop()):
            for wanted in _wanted(node):
                if wanted.name not in records.expressions:
                    found.add(wanted)
                elif wanted.name not in seen:
                    seen.add(wanted.name)
                    waiting += records.expressions[wanted.name]
    return frozenset(found)


def supply_of(expression: Expression, is_there: Callable[[Wanted], bool], records: Records) -> Supply:
    """Return what an expression has of what it reads, following what is recorded to what its rules read."""
    return _supply(expression, is_there, records, ())


def present(remote: Remote, wanted: Iterable[Wanted], names: Collection[str], at: float) -> frozenset[Wanted]:
    """Return those of the wanted series that a Prometheus has at a time (Unix seconds).

    `names` are the metrics that it may have: others are not asked for. Raises as `Remote.query` does.
    """
    found: set[Wanted] = set()
    by_matchers: dict[frozenset[LabelMatcher], set[str]] = {}
    for one in wanted:
        if not one.name:
            if remote.query(f"count({one.selector})", at):
                found.add(one)
        elif one.name in _COMING_AND_GOING:
            found.update({one} if one.name in names else ())
        elif one.name in names:
            by_matchers.setdefault(one.matchers, set()).add(one.name)
    for matchers, asked in by_matchers.items():
        for pattern in name_patterns(asked):
            every = LabelMatcher(name=NAME_LABEL, operator="=~", value=pattern)
            selector = Wanted("", matchers | {every}).selector
            for series in remote.query(f"count by (__name__) ({selector})", at):
                found.add(Wanted(series.labels.get(NAME_LABEL, ""), matchers))
    return frozenset(found)


def name_patterns(names: Iterable[str]) -> Iterator[str]:
    """Yield patterns that together match the names, each short enough for the address of a request."""
    some: list[str] = []
    length = 0
    for name in sorted(names):
        if some and length + len(name) > _LONGEST_PATTERN:
            yield "|".join(some)
            some, length = [], 0
        some.append(name)
        length += len(name) + 1
    if some:
        yield "|".join(some)


def _supply(
    expression: Expression,
    is_there: Callable[[Wanted], bool],
    records: Records,
    inside: tuple[str, ...],
) -> Supply:
    def of_one(wanted: Wanted) -> Supply:
        rules = records.expressions.get(wanted.name)
        if rules is None or wanted.name in inside:
            return _FED if is_there(wanted) else Supply(State.LACKING, (wanted,))
        source = _either(tuple(_supply(rule, is_there, records, (*inside, wanted.name)) for rule in rules))
        if source.state is State.LACKING or records.loaded is None or wanted.name in records.loaded:
            # A rule that records a constant is read like any series.
            return replace(source, state=State.FED) if source.state is State.CONSTANT else source
        return Supply(State.LACKING, (wanted,))

    def combine(node: Expression, inner: tuple[Supply, ...]) -> Supply:
        match node:
            case NumberLiteral() | StringLiteral():
                return _CONSTANT
            case VectorSelector():
                return _either(tuple(of_one(wanted) for wanted in _wanted(node)))
            case BinaryExpr(operator="or"):
                return _either(inner)
            case BinaryExpr(operator="unless"):
                return inner[0]
            case Call(function=function) if function in _ABOUT_ABSENCE:
                return _FED
            case _:
                return _all_of(inner)

    return fold(expression, combine)


def _either(several: tuple[Supply, ...]) -> Supply:
    lacks = _lacks(several)
    states = {one.state for one in several}
    if State.FED in states:
        return Supply(State.FED, lacks)
    return Supply(State.LACKING, lacks) if State.LACKING in states else _CONSTANT


def _all_of(several: tuple[Supply, ...]) -> Supply:
    lacking = tuple(one for one in several if one.state is State.LACKING)
    if lacking:
        return Supply(State.LACKING, _lacks(lacking))
    if any(one.state is State.FED for one in several):
        return Supply(State.FED, _lacks(several))
    return _CONSTANT


def _lacks(several: Iterable[Supply]) -> tuple[Wanted, ...]:
    return tuple(dict.fromkeys(wanted for one in several for wanted in one.lacks))


def _wanted(node: Expression) -> tuple[Wanted, ...]:
    """Return what a selector reads, one for each metric; nothing for other nodes."""
    if not isinstance(node, VectorSelector):
        return ()
    names = Selector(node, ()).metric_names
    matchers = frozenset(
        replace(matcher, start=-1, end=-1)
        for matcher in node.matchers
        if not (matcher.operator == "=~" and matcher.value in _ALL)
        and (matcher.name in TARGET_LABELS or (not names and matcher.name == NAME_LABEL))
    )
    return tuple(Wanted(name, matchers) for name in names) or (Wanted("", matchers),)
