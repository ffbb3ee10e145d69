"""Explanations: why a panel has no data."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from stakewatch.catalogue.inventory import Catalogue
from stakewatch.grafana.fleet import survey
from stakewatch.grafana.preview.results import Answer, Result
from stakewatch.grafana.reasons import Judge, Lack, Reason
from stakewatch.grafana.remote import RefusedError, Remote
from stakewatch.grafana.supply import Records, State, Wanted, present, records_of, supply_of, wanted_by
from stakewatch.promql import PromqlError, parse, selectors
from stakewatch.rules.files import RuleFile

_MOST = 4


@dataclass(frozen=True)
class Why:
    """Why a query has no data, and what mends it, empty where nothing has to be."""

    said: str
    mend: str = ""


@dataclass(frozen=True)
class Explainer:
    """Finds out why queries have no data, by asking what of the series that they read is there."""

    remote: Remote
    catalogue: Catalogue
    rule_files: tuple[RuleFile, ...]
    at: float

    def explain(self, result: Result) -> tuple[Why, ...]:
        """Return why a panel has no data, each reason once.

        Raises StakewatchError when Prometheus does not answer or the parser of PromQL is not there.
        """
        lacks: dict[Reason, list[str]] = {}
        others: list[Why] = []
        for found in (one for answer in result.answers for one in self._of(answer)):
            if isinstance(found, Lack):
                lacks.setdefault(found.reason, []).append(found.wanted.name or found.wanted.selector)
            else:
                others.append(found)
        named = [Why(f"{_listed(names)}: {reason.said}", reason.mend) for reason, names in lacks.items()]
        return tuple(dict.fromkeys((*named, *others)))[:_MOST]

    @cached_property
    def _judge(self) -> Judge:
        fleet = survey(self.remote, self.catalogue, self.at)
        return Judge(fleet, self.catalogue, self._recorded.expressions)

    @cached_property
    def _recorded(self) -> Records:
        """What is recorded, with the names that this Prometheus has of it."""
        expressions = records_of(self.rule_files).expressions
        wanted = (Wanted(name, frozenset()) for name in expressions)
        names = {one.name for one in present(self.remote, wanted, expressions, self.at)}
        return Records(expressions, self._loaded() | names)

    def _loaded(self) -> frozenset[str]:
        try:
            return frozenset(rule.name for rule in self.remote.rules())
        except RefusedError:
            # Some services keep their rules to themselves: then what is there counts.
            return frozenset()

    def _of(self, answer: Answer) -> Iterable[Why | Lack]:
        if not answer.is_empty:
            return
        if answer.error:
            yield Why(f"the query was {answer.error}", "mend the query, or ask for less at a time")
            return
        if answer.of_logs:
            yield Why("Loki has no line in this time that it asks for")
            return
        try:
            expression = parse(answer.expression)
        except PromqlError as error:
            yield Why(f"the query does not parse: {error.message}", "mend the query")
            return
        there = self._there(wanted_by((expression,), self._recorded))
        supply = supply_of(expression, there.__contains__, self._recorded)
        if supply.state is State.LACKING:
            yield from map(self._judge.lack, supply.lacks)
            return
        yield from self._filtered(answer.expression)

    @cached_property
    def _asked(self) -> dict[Wanted, bool]:
        """What was asked for before, and whether it is there."""
        return {}

    def _there(self, wanted: Collection[Wanted]) -> set[Wanted]:
        new = [one for one in wanted if one not in self._asked]
        found = present(self.remote, new, self._judge.fleet.names, self.at)
        self._asked.update({one: one in found for one in new})
        return {one for one in wanted if self._asked[one]}

    def _filtered(self, expression: str) -> Iterable[Why]:
        """Name the selectors that find nothing although their metric is there; else it is a condition."""
        found = False
        for selector in selectors(expression):
            text = expression[selector.start : selector.end]
            node = selector.selector
            own = expression[node.start : node.braces_end if node.braces_end >= 0 else node.end]
            if not self.remote.query(f"count({own})", self.at):
                found = True
                yield Why(self._nothing_found(selector.metric_names, " ".join(text.split())))
        if not found:
            yield Why("all that it reads is there, and nothing meets its condition now")

    def _nothing_found(self, names: tuple[str, ...], text: str) -> str:
        if names == ("ALERTS",):
            return "no alert of those that it asks for fires now"
        if any(name in self._recorded.expressions for name in names):
            return f"the rule that records {' or '.join(names)} has given nothing so far"
        return f"{text} finds nothing: no series has these labels now"


def _listed(names: list[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = len(distinct) - _MOST
    return ", ".join(distinct[:_MOST]) + (f" and {more} more" if more > 0 else "")
