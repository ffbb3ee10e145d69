"""Sessions: the destinations of stakewatch.yaml that a command is about, built for, opened and planned."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from stakewatch.bundle.build import build
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing.applying import make_plan
from stakewatch.publishing.objects import Fact
from stakewatch.publishing.pace import Stop, side_by_side
from stakewatch.publishing.plans import Plan
from stakewatch.publishing.target import Report as TargetReport
from stakewatch.publishing.target import Source, Target, find_type

_Answer = TypeVar("_Answer")
# Who is told what a target is doing: its name, and what.
Report = Callable[[str, str], None]


@dataclass(frozen=True)
class Prepared:
    """A destination and its target, which is not entered yet."""

    destination: Destination
    target: Target

    @property
    def name(self) -> str:
        """The destination's name in stakewatch.yaml."""
        return self.destination.name


@dataclass(frozen=True)
class Failure:
    """A target that could not be asked."""

    name: str
    error: StakewatchError


@dataclass(frozen=True)
class Status:
    """What is live at one target."""

    name: str
    where: str
    facts: tuple[Fact, ...]

    @property
    def healthy(self) -> bool:
        """Whether all is well there."""
        return all(fact.healthy for fact in self.facts)


def chosen(configuration: Configuration, names: Sequence[str]) -> tuple[Destination, ...]:
    """Return the destinations `names`, or all, in the order of stakewatch.yaml.

    Raises InputError when there is none of a name, or none at all.
    """
    known = {one.name: one for one in configuration.publish}
    if not known:
        raise InputError(
            "stakewatch.yaml names no target to publish to",
            mend="add one under publish; docs/publishing.md shows how",
        )
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no target {quoted(name)}",
                where="publish in stakewatch.yaml",
                mend=did_you_mean(name, list(known), "there are"),
            )
    return tuple(one for name, one in known.items() if name in names or not names)


def prepare(
    bundle: Bundle,
    configuration: Configuration,
    names: Sequence[str],
    report: Callable[[str], None] = lambda _: None,
    *,
    with_build: bool = True,
) -> tuple[Prepared, ...]:
    """Return the targets `names` (all when empty); what they publish is built before, unless told otherwise.

    Raises what choosing and building raise, and StakewatchError when a package is missing.
    """
    types = [(one, find_type(one.type)) for one in chosen(configuration, names)]
    if with_build:
        build(bundle, configuration, sorted({name for _, kind in types for name in kind.builds}), report)
    return tuple(Prepared(one, kind.make(Source(bundle, configuration, one))) for one, kind in types)


def plan_each(
    prepared: Sequence[Prepared], report: Report = lambda _name, _what: None, *, adopt: bool = False
) -> list[Plan | Failure]:
    """Return a plan for each target, all asked at the same time; each is left again at once."""

    def plan(one: Prepared, target: Target, report: TargetReport) -> Plan:
        return make_plan(one.name, one.destination.type, target, report, adopt=adopt)

    return _each(prepared, plan, report)


def open_plans(
    prepared: Sequence[Prepared], opened: ExitStack, report: Report, *, adopt: bool = False
) -> list[tuple[Target, Plan]]:
    """Return an open target and its plan for each, one after the other; `opened` leaves them all.

    Raises StakewatchError for the first that cannot be asked: nothing has been changed anywhere then.
    """
    plans = []
    for one in prepared:
        target = opened.enter_context(one.target)
        plan = make_plan(one.name, one.destination.type, target, partial(report, one.name), adopt=adopt)
        plans.append((target, plan))
    return plans


def status_each(
    prepared: Sequence[Prepared], report: Report = lambda _name, _what: None
) -> list[Status | Failure]:
    """Return what is live at each target, all asked at the same time."""

    def status(one: Prepared, target: Target, report: TargetReport) -> Status:
        return Status(one.name, target.where, tuple(target.status(report)))

    return _each(prepared, status, report)


def _each(
    prepared: Sequence[Prepared],
    ask: Callable[[Prepared, Target, TargetReport], _Answer],
    report: Report,
) -> list[_Answer | Failure]:
    """Return the answer of each target, all asked at the same time, or why there is none."""
    stop = Stop()

    def answer(one: Prepared) -> _Answer | Failure:
        try:
            with one.target as target:
                return ask(one, target, stop.heard_by(partial(report, one.name)))
        except StakewatchError as error:
            return Failure(one.name, error)

    return side_by_side(answer, prepared, workers=max(1, len(prepared)), stop=stop)
