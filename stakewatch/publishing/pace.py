"""How fast and how much at once: a service's calls per second, and several calls side by side."""

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from stakewatch.errors import StakewatchError
from stakewatch.publishing.target import Report

_Thing = TypeVar("_Thing")
_Result = TypeVar("_Result")
# Some are longer on their way than others: a little more than a second keeps within the limit there too.
_WINDOW_SECONDS = 1.2
_PACES_LOCK = threading.Lock()


class Pace:
    """Lets at most `calls` begin in any second, whichever threads they come from; `turn` is its one verb."""

    def __init__(
        self,
        calls: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if calls < 1:
            raise ValueError(f"{calls} calls a second would never begin")
        self._begun: deque[float] = deque(maxlen=calls)
        self._lock = threading.Lock()
        self._clock = clock
        self._sleep = sleep

    def turn(self) -> None:
        """Wait until one more call may begin."""
        with self._lock:
            now = self._clock()
            full = len(self._begun) == self._begun.maxlen
            begin = max(now, self._begun[0] + _WINDOW_SECONDS) if full else now
            self._begun.append(begin)
        if begin > now:
            self._sleep(begin - now)


def shared_pace(service: str, region: str, calls: int) -> Pace:
    """Return the pace of a service, or of one of its operations, in a region.

    A quota is for all that this program asks there, however many targets it is for.
    """
    # Two threads must not get two.
    with _PACES_LOCK:
        return _pace(service, region, calls)


@functools.cache
def _pace(_service: str, _region: str, calls: int) -> Pace:
    return Pace(calls)


def forget_paces() -> None:
    """Let nobody wait any more for what was asked so far."""
    _pace.cache_clear()


class StoppedError(StakewatchError):
    """Raised in a thread that waits for something, when nobody waits for it any more."""


class Stop:
    """Tells threads that nobody waits for what they do; they hear it when they report what they wait for."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """End the waiting."""
        self._event.set()

    def heard_by(self, report: Report) -> Report:
        """Return a report that raises StoppedError once this is set, and else does what `report` does."""

        def hear(awaited: str) -> None:
            if self._event.is_set():
                raise StoppedError("no longer waited for")
            report(awaited)

        return hear


@contextmanager
def workers_until(stop: Stop, workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool whose work is given up when the block ends, in whatever way.

    What has not begun is left out, `stop` is set, and the block ends when what has begun is done. The work
    is to be submitted within the block: an interruption may come before all of it is.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            yield pool
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def side_by_side(
    function: Callable[[_Thing], _Result],
    things: Iterable[_Thing],
    *,
    workers: int,
    stop: Stop | None = None,
) -> list[_Result]:
    """Return `function` of each thing, in their order, `workers` of them at a time.

    After the first that raises, or an interruption, those that have not begun are left out, `stop` is set,
    and it is raised when the others that have begun are done.
    """
    with workers_until(stop or Stop(), workers) as pool:
        futures = [pool.submit(function, thing) for thing in things]
        wait(futures, return_when=FIRST_EXCEPTION)
    # One that was stopped only tells that another had failed before.
    errors = [error for one in futures if not one.cancelled() and (error := one.exception()) is not None]
    errors.sort(key=lambda error: isinstance(error, StoppedError))
    if errors:
        raise errors[0]
    return [future.result() for future in futures]
