"""What a pitfall is, and what is known around the rule that it is looked for in."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from stakewatch.catalogue import Catalogue, Metric
from stakewatch.promql import parse, walk
from stakewatch.promql.tree import (
    AggregateExpr,
    Call,
    Expression,
    MatrixSelector,
    ParenExpr,
    UnaryExpr,
    VectorSelector,
)
from stakewatch.rules.files import Rule, RuleFile, records_by_name
from stakewatch.rules.result_labels import ResultLabels
from stakewatch.rules.series import selects


@dataclass(frozen=True)
class Pitfall:
    """One finding: `start` is where in the expression (-1: not there), `part` where in the rule."""

    code: str
    message: str
    mend: str
    start: int = -1
    part: str = "expr"


@dataclass(frozen=True)
class Surroundings:
    """What is known beside the rule itself: the catalogue, labels of results, and what rules record.

    `records` holds the expressions of each recorded series.
    """

    catalogue: Catalogue
    result_labels: ResultLabels
    recorded: frozenset[str]
    records: Mapping[str, tuple[Expression, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def metrics(self, selector: VectorSelector) -> tuple[Metric, ...]:
        """Return what the catalogue knows of a selected series; nothing where a rule records it."""
        name = selector.metric_name
        if name is None or name in self.recorded:
            return ()
        return tuple(
            one for one in self.catalogue.find(name) if selects(selector.matchers, one, self.catalogue)
        )


Finder = Callable[[Rule, Expression, Surroundings], Iterator[Pitfall]]


def surroundings_of(rule_files: Iterable[RuleFile], catalogue: Catalogue) -> Surroundings:
    """Return what there is to know about some rule files.

    Raises PromqlError when a recorded expression is none.
    """
    files = tuple(rule_files)
    records = {
        name: tuple(parse(rule.expression) for rule in several)
        for name, several in records_by_name(files).items()
    }
    return Surroundings(
        catalogue, ResultLabels(files, catalogue), frozenset(records), MappingProxyType(records)
    )


def selectors_in(expression: Expression) -> Iterator[VectorSelector]:
    """Yield every selector of an expression."""
    for node in walk(expression):
        if isinstance(node, VectorSelector):
            yield node


def measured(expression: Expression) -> VectorSelector | None:
    """Return the selector whose values these are, summed up or picked from time perhaps."""
    match expression:
        case VectorSelector():
            return expression
        case MatrixSelector(selector=selector):
            return selector
        case ParenExpr(expression=inner) | UnaryExpr(expression=inner):
            return measured(inner)
        case AggregateExpr(operator="sum" | "max" | "min" | "avg", expression=inner):
            return measured(inner)
        case Call(
            function="max_over_time" | "min_over_time" | "avg_over_time" | "last_over_time",
            arguments=arguments,
        ):
            return measured(arguments[0])
        case _:
            return None
