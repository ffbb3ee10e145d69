"""Carrying out a plan: several at a time, each with its outcome, and an end where going on is vain."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.publishing.applying import Outcome, apply_changes, make_plan, prune_changes
from stakewatch.publishing.objects import Fact, Flaw, Item, LiveItem
from stakewatch.publishing.pace import StoppedError
from stakewatch.publishing.plans import Action, Change
from stakewatch.publishing.target import PutBackError, Report, UnusableTargetError


@dataclass
class Shelf:
    """A target in memory; `hinder` may raise or wait before an object is put or removed."""

    wanted: Sequence[Item] = ()
    there: dict[str, Item] = field(default_factory=dict)
    hinder: Callable[[Item, Report], None] = lambda _item, _report: None
    workers: int = 3
    together: bool = False
    kinds: Sequence[str] = ("box", "book")
    where: str = "a shelf"
    log: list[str] = field(default_factory=list)
    limited: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.log.append("closed")

    def desired(self) -> Sequence[Item]:
        return self.wanted

    def limits(self, items: Sequence[Item]) -> Sequence[Flaw]:
        self.limited += 1
        return [Flaw(str(item), "too long", "shorten it") for item in items if len(item.text) > 9]

    def live(self, items: Sequence[Item], report: Report) -> Sequence[LiveItem]:
        report(f"looking for {len(items)}")
        return [LiveItem(item, owned=True) for item in self.there.values()]

    def put(self, item: Item, live: LiveItem | None, report: Report) -> str:
        self.log.append(f"put {item.name}")
        self.hinder(item, report)
        self.there[item.name] = item
        return "created" if live is None else "changed"

    def remove(self, live: LiveItem, report: Report) -> str:
        self.hinder(live.item, report)
        del self.there[live.item.name]
        return "removed"

    def status(self, report: Report) -> Sequence[Fact]:
        report("")
        return [Fact("shelf", "stands")]


def book(name: str, text: str = "text") -> Item:
    return Item("book", name, text)


def creating(*items: Item) -> list[Change]:
    return [Change(Action.CREATE, one) for one in items]


def heard(_change: Change, _what: str) -> None:
    """Take what is reported."""


def names(outcomes: Sequence[Outcome]) -> set[str]:
    return {outcome.change.item.name for outcome in outcomes}


def test_limits_are_looked_at_only_when_something_has_to_change() -> None:
    shelf = Shelf([book("a", "much too long")])
    plan = make_plan("s", "shelf", shelf, lambda _: None, adopt=False)
    assert [flaw.subject for flaw in plan.flaws] == ["book a"]
    shelf.there["a"] = shelf.wanted[0]
    assert make_plan("s", "shelf", shelf, lambda _: None, adopt=False).flaws == ()
    assert shelf.limited == 1


def test_every_object_has_its_outcome_and_one_that_fails_keeps_none_from_being_tried() -> None:
    def hinder(item: Item, _report: Report) -> None:
        if item.name == "b":
            raise StakewatchError("no room", where="here")

    shelf = Shelf(hinder=hinder)
    outcomes = list(apply_changes(shelf, creating(book("a"), book("b"), book("c")), heard))
    assert {one.change.item.name: one.done for one in outcomes} == {"a": "created", "b": "", "c": "created"}
    assert [str(one.error) for one in outcomes if one.error] == ["here: no room"]


def test_what_others_need_is_done_before_they_are_begun() -> None:
    changes = creating(
        Item("box", "x", ""), Item("box", "y", ""), *(book(str(number)) for number in range(5))
    )
    for _ in range(20):
        shelf = Shelf()
        list(apply_changes(shelf, changes, heard))
        assert set(shelf.log[:2]) == {"put x", "put y"}


def test_no_more_are_worked_on_at_a_time_than_the_target_allows() -> None:
    lock = threading.Lock()
    now, most = [0], [0]

    def hinder(_item: Item, _report: Report) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1

    shelf = Shelf(hinder=hinder, workers=3)
    assert len(list(apply_changes(shelf, creating(*(book(str(one)) for one in range(12))), heard))) == 12
    assert 2 <= most[0] <= 3


def test_a_target_that_cannot_be_used_is_not_tried_with_the_rest() -> None:
    def hinder(_item: Item, _report: Report) -> None:
        raise UnusableTargetError("the credentials have expired")

    shelf = Shelf(hinder=hinder, workers=1)
    outcomes = list(apply_changes(shelf, creating(*(book(str(number)) for number in range(50))), heard))
    assert len(outcomes) == 1
    assert len([one for one in shelf.log if one.startswith("put")]) <= 2


def test_waiting_ends_when_nobody_waits_any_more() -> None:
    waits = threading.Event()

    def hinder(item: Item, report: Report) -> None:
        if item.name == "quick":
            return
        for _ in range(100_000):
            report("CREATING")
            waits.set()
            time.sleep(0.001)
        raise AssertionError("nobody stopped it")

    outcomes = apply_changes(Shelf(hinder=hinder), creating(book("quick"), book("slow")), heard)
    assert next(outcomes).change.item.name == "quick"
    assert waits.wait(30)
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < 60


def test_waiting_ends_when_the_interruption_comes_before_all_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = threading.Event()
    stopped = threading.Event()

    def hinder(_item: Item, report: Report) -> None:
        for _ in range(20_000):
            try:
                report("CREATING")
            except StoppedError:
                stopped.set()
                raise
            waits.set()
            time.sleep(0.001)

    submit = ThreadPoolExecutor.submit

    def submit_one_only(
        pool: ThreadPoolExecutor, function: Callable[[Change], Outcome], change: Change
    ) -> Future[Outcome]:
        if waits.is_set():
            raise KeyboardInterrupt
        future = submit(pool, function, change)
        assert waits.wait(30)
        return future

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit_one_only)
    with pytest.raises(KeyboardInterrupt):
        next(apply_changes(Shelf(hinder=hinder), creating(book("begun"), book("left out")), heard))
    assert stopped.is_set()


def test_an_interrupted_run_goes_on_with_what_is_left() -> None:
    wanted = [book(str(number)) for number in range(9)]
    shelf = Shelf(wanted, workers=1, hinder=lambda _item, _report: time.sleep(0.02))
    plan = make_plan("s", "shelf", shelf, lambda _: None, adopt=False)
    outcomes = apply_changes(shelf, plan.applied, heard)
    next(outcomes)
    next(outcomes)
    outcomes.close()
    left = make_plan("s", "shelf", shelf, lambda _: None, adopt=False).applied
    assert 0 < len(left) <= 7
    list(apply_changes(shelf, left, heard))
    assert not make_plan("s", "shelf", shelf, lambda _: None, adopt=False).drift


def test_a_mistake_of_ours_is_not_taken_for_an_outcome() -> None:
    def hinder(_item: Item, _report: Report) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(apply_changes(Shelf(hinder=hinder), creating(book("a")), heard))


def test_where_objects_count_together_none_is_done_that_was_put_back() -> None:
    def hinder(item: Item, _report: Report) -> None:
        if item.name == "c":
            raise PutBackError("it is refused", keys=[book("a").key], where="here")

    shelf = Shelf(hinder=hinder, workers=1, together=True)
    outcomes = list(apply_changes(shelf, creating(book("a"), book("b"), book("c")), heard))
    assert [(one.change.item.name, one.done, one.put_back) for one in outcomes] == [
        ("a", "", True),
        ("b", "created", False),
        ("c", "", False),
    ]
    assert [str(one.error) for one in outcomes if one.error] == [
        "book a is again as it was",
        "here: it is refused",
    ]


def test_leftovers_are_removed_with_what_the_plan_saw() -> None:
    shelf = Shelf([book("new")], {"old": book("old"), "new": book("new")})
    plan = make_plan("s", "shelf", shelf, lambda _: None, adopt=False)
    outcomes = list(prune_changes(shelf, plan.leftovers, heard))
    assert names(outcomes) == {"old"}
    assert set(shelf.there) == {"new"}


def test_it_is_told_what_is_waited_for_and_for_whom() -> None:
    said: list[tuple[str, str]] = []
    shelf = Shelf(hinder=lambda _item, report: report("UPDATING"))
    list(
        apply_changes(shelf, creating(book("a")), lambda change, what: said.append((str(change.item), what)))
    )
    assert said == [("book a", "UPDATING")]
