"""Calls keep to a rate, and work side by side keeps its order and ends at the first failure."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from stakewatch.publishing import pace
from stakewatch.publishing.pace import Pace, Stop, side_by_side
from stakewatch.publishing.target import Report


class Clock:
    """A clock that goes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_the_first_calls_begin_at_once_and_the_next_wait_their_second() -> None:
    clock = Clock()
    limited = Pace(3, clock=clock, sleep=clock.sleep)
    begun = []
    for _ in range(10):
        limited.turn()
        begun.append(clock.now)
    assert begun[:3] == [100.0] * 3
    assert all(later - earlier > 1 for earlier, later in zip(begun, begun[3:], strict=False))
    assert begun[-1] < 105


def test_after_a_rest_nothing_is_waited_for() -> None:
    clock = Clock()
    limited = Pace(1, clock=clock, sleep=clock.sleep)
    limited.turn()
    clock.now += 5
    limited.turn()
    assert clock.slept == []


def test_threads_share_one_rate() -> None:
    waits: list[float] = []
    limited = Pace(5, clock=lambda: 100.0, sleep=waits.append)
    threads = [threading.Thread(target=limited.turn) for _ in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(waits) == 7
    assert all(1 < wait < 1.5 for wait in sorted(waits)[:5])
    assert all(2 < wait < 3 for wait in sorted(waits)[5:])


def test_a_rate_that_lets_nothing_through_is_refused() -> None:
    with pytest.raises(ValueError, match="0 calls a second"):
        Pace(0)


def test_results_come_in_the_order_of_what_they_are_of() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.01 if number == 0 else 0)
        return number * 2

    assert side_by_side(slow_first, range(20), workers=5) == [number * 2 for number in range(20)]
    assert side_by_side(slow_first, [], workers=1) == []


def test_after_the_first_failure_no_more_are_begun() -> None:
    counter = itertools.count()

    def fail(number: int) -> None:
        next(counter)
        if number == 3:
            raise KeyError(number)
        time.sleep(0.001)

    with pytest.raises(KeyError):
        side_by_side(fail, range(1000), workers=2)
    assert next(counter) < 900


def wait_until_told(report: Report, waiting: threading.Event) -> None:
    for _ in range(100_000):
        report("waiting")
        waiting.set()
        time.sleep(0.001)
    raise AssertionError("nobody told it")


def test_after_a_failure_those_that_wait_are_told_that_nobody_does() -> None:
    stop = Stop()
    heard: list[str] = []
    report = stop.heard_by(heard.append)
    waiting = threading.Event()

    def work(number: int) -> None:
        if number:
            assert waiting.wait(30)
            raise KeyError(number)
        wait_until_told(report, waiting)

    with pytest.raises(KeyError):
        side_by_side(work, [0, 1], workers=2, stop=stop)
    assert "waiting" in heard


def test_an_interruption_ends_the_waiting_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    report = stop.heard_by(lambda _: None)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def work(_number: int) -> None:
        while True:
            report("waiting")
            time.sleep(0.001)

    monkeypatch.setattr(pace, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, range(4), workers=2, stop=stop)


def test_an_interruption_before_all_has_begun_ends_the_waiting_too() -> None:
    stop = Stop()
    report = stop.heard_by(lambda _: None)
    begun = threading.Event()

    def things() -> Iterator[int]:
        yield 0
        assert begun.wait(30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side(lambda _: wait_until_told(report, begun), things(), workers=2, stop=stop)
    assert begun.is_set()
