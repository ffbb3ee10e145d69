"""The examination: each alert and each panel held against what a Prometheus has."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from stakewatch.grafana.boardfile import panels
from stakewatch.grafana.doctor.blindness import blind_for
from stakewatch.grafana.filling import BUILT_IN, fill
from stakewatch.grafana.fleet import Process
from stakewatch.grafana.reasons import Cause, Judge, Lack, Reason
from stakewatch.grafana.supply import Records, State, Supply, Wanted, supply_of, wanted_by
from stakewatch.promql import Expression, parse
from stakewatch.rules.files import RuleFile

CRITICAL = "critical"


class Status(StrEnum):
    """Whether something can work; `untold` waits for what its program has not said yet."""

    WORKS = "works"
    PARTLY = "works in part"
    UNTOLD = "cannot be told yet"
    NEEDLESS = "nothing to watch"
    CANNOT = "cannot work"


class Kind(StrEnum):
    """What was examined."""

    ALERT = "alert"
    PANEL = "panel"


@dataclass(frozen=True)
class Finding:
    """An alert or a panel, and whether it can work; `of` is the alert's severity or the panel's board.

    `blind` are the processes that an alert which works can say nothing about.
    """

    kind: Kind
    name: str
    of: str
    status: Status
    lacks: tuple[Lack, ...]
    blind: tuple[Process, ...] = ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why it does not work, or not for everything; each once."""
        return tuple(dict.fromkeys(lack.reason for lack in self.lacks))


@dataclass(frozen=True)
class Subject:
    """Something to examine: it works when any of its expressions has what it reads."""

    kind: Kind
    name: str
    of: str
    expressions: tuple[Expression, ...]


def alerts_of(rule_files: Iterable[RuleFile]) -> Iterator[Subject]:
    """Yield the alerts of rule files.

    Raises PromqlError for an expression that is none, StakewatchError when the parser is not there.
    """
    for rule in (rule for rule_file in rule_files for rule in rule_file.alerts):
        yield Subject(Kind.ALERT, rule.name, rule.labels.get("severity", ""), (parse(rule.expression),))


def panels_of(board: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[Subject]:
    """Yield the panels of a board's JSON that ask a Prometheus, its variables filled in.

    Raises as `alerts_of` does.
    """
    values = {**BUILT_IN, **values}
    for panel in panels(board):
        expressions = tuple(parse(fill(text, values)) for text in panel.expressions if text)
        if expressions:
            yield Subject(Kind.PANEL, panel.title, str(board["uid"]), expressions)


def examine(
    subjects: Sequence[Subject], there: frozenset[Wanted], records: Records, judge: Judge
) -> tuple[Finding, ...]:
    """Return what is found of each subject, given the series that are `there`."""
    # An alert needs what its rules read; a panel shows what is recorded, and for that they must be loaded.
    of_alerts = replace(records, loaded=None)
    lacks: dict[Wanted, Lack] = {}

    def lack(wanted: Wanted) -> Lack:
        if wanted not in lacks:
            lacks[wanted] = judge.lack(wanted)
        return lacks[wanted]

    def found(subject: Subject) -> Finding:
        followed = of_alerts if subject.kind is Kind.ALERT else records
        supplies = tuple(supply_of(one, there.__contains__, followed) for one in subject.expressions)
        finding = _finding(subject, supplies, lack)
        if subject.kind is Kind.PANEL or finding.status not in {Status.WORKS, Status.PARTLY}:
            return finding
        read = wanted_by(subject.expressions, followed) & there
        return replace(finding, blind=blind_for(read, judge.fleet, judge.catalogue))

    return tuple(map(found, subjects))


def _finding(subject: Subject, supplies: tuple[Supply, ...], lack: Callable[[Wanted], Lack]) -> Finding:
    lacks = tuple(lack(wanted) for wanted in dict.fromkeys(one for each in supplies for one in each.lacks))
    if any(supply.state is not State.LACKING for supply in supplies):
        # Programs that nobody runs are no loss.
        lost = tuple(
            one for one in lacks if not one.reason.needless and one.reason.cause is not Cause.NOT_SAID
        )
        return Finding(subject.kind, subject.name, subject.of, Status.PARTLY if lost else Status.WORKS, lost)
    return Finding(subject.kind, subject.name, subject.of, _status(lacks), lacks)


def _status(lacks: tuple[Lack, ...]) -> Status:
    if all(lack.reason.needless for lack in lacks):
        return Status.NEEDLESS
    if all(lack.reason.needless or lack.reason.cause is Cause.NOT_SAID for lack in lacks):
        return Status.UNTOLD
    return Status.CANNOT
