"""Carrying out a plan: object by object, several at a time, each with its outcome."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from stakewatch.errors import StakewatchError
from stakewatch.publishing.objects import LiveItem
from stakewatch.publishing.pace import Stop, workers_until
from stakewatch.publishing.plans import Action, Change, Plan, plan_changes
from stakewatch.publishing.target import PutBackError, Target, UnusableTargetError

# Who is told what is being waited for: the object, and what for.
Progress = Callable[[Change, str], None]
# It returns what was done, and tells the report what it waits for.
_Work: TypeAlias = Callable[[Change, Callable[[str], None]], str]


@dataclass(frozen=True)
class Outcome:
    """What came of one change: what was `done`, or the `error` with the service's reason.

    One that is `put_back` was done and is again as it was, because a later one failed.
    """

    change: Change
    done: str
    error: StakewatchError | None
    seconds: float
    put_back: bool = False


# They come as they are known; whoever closes it gives up the rest.
Outcomes: TypeAlias = Generator[Outcome, None, None]


def make_plan(name: str, kind: str, target: Target, report: Callable[[str], None], *, adopt: bool) -> Plan:
    """Return what has to change at an open target of type `kind`; raises what the target raises."""
    desired = target.desired()
    live = target.live(desired, report)
    changes = plan_changes(desired, live, target.kinds, adopt=adopt)
    kept = {change.item.key for change in changes if change.action is Action.KEEP}
    flaws = target.limits(desired) if len(kept) < len(desired) else ()
    return Plan(name=name, type=kind, where=target.where, changes=changes, flaws=tuple(flaws))


def apply_changes(target: Target, changes: Sequence[Change], progress: Progress) -> Outcomes:
    """Make each object what it should be and yield its outcome when it is known; those of one kind together.

    An object that fails keeps no other from being tried, unless the target itself cannot be used: then
    its error is that of one object, and what has not begun is left out. So it is after Ctrl-C.
    Where objects count together, no outcome is known before the last.
    """

    def put(change: Change, report: Callable[[str], None]) -> str:
        return target.put(change.item, change.live, report)

    outcomes = _carry_out(changes, put, target.workers, progress)
    return _known_at_the_end(outcomes) if target.together else outcomes


def _known_at_the_end(outcomes: Outcomes) -> Outcomes:
    known = list(outcomes)
    put_back = {key for one in known if isinstance(one.error, PutBackError) for key in one.error.keys}
    for one in known:
        if one.error is None and one.change.item.key in put_back:
            error = StakewatchError(f"{one.change.item} is again as it was")
            yield replace(one, done="", error=error, put_back=True)
        else:
            yield one


def prune_changes(target: Target, leftovers: Sequence[Change], progress: Progress) -> Outcomes:
    """Remove each leftover and yield its outcome, as `apply_changes` does."""

    def remove(change: Change, report: Callable[[str], None]) -> str:
        return target.remove(_live(change), report)

    return _carry_out(leftovers, remove, target.workers, progress)


def _live(change: Change) -> LiveItem:
    if change.live is None:
        raise ValueError(f"{change.item} is not there")
    return change.live


def _carry_out(
    changes: Iterable[Change],
    work: _Work,
    workers: int,
    progress: Progress,
) -> Outcomes:
    for _, of_one_kind in groupby(changes, key=lambda change: change.item.kind):
        usable = yield from _carry_out_together(of_one_kind, work, workers, progress)
        if not usable:
            return


def _carry_out_together(
    changes: Iterable[Change], work: _Work, workers: int, progress: Progress
) -> Generator[Outcome, None, bool]:
    """Yield the outcomes of `changes` as they are known, and return whether the target can still be used."""
    stop = Stop()

    def one(change: Change) -> Outcome:
        report = stop.heard_by(lambda awaited: progress(change, awaited))
        started = time.monotonic()
        try:
            done, error = work(change, report), None
        except StakewatchError as raised:
            done, error = "", raised
        return Outcome(change, done, error, time.monotonic() - started)

    # The rest is given up also when the reader of the outcomes goes away, as after Ctrl-C.
    with workers_until(stop, workers) as pool:
        for future in as_completed([pool.submit(one, change) for change in changes]):
            outcome = future.result()
            yield outcome
            if isinstance(outcome.error, UnusableTargetError):
                return False
    return True
