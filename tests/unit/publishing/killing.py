"""Publishing in a process of its own that is killed (SIGKILL), and what was wrong after the next run."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_ENDS_WITHIN_SECONDS = 60.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "tests.unit.publishing.kill_points",
        "tests.unit.publishing.grafana_kill_points",
        "tests.unit.publishing.prometheus_kill_points",
    ]
)


@dataclass(frozen=True)
class KillPoint:
    """The call at which the process was killed, before or after it was done, and what was wrong then."""

    case: str
    call: int
    after: bool
    wrong: tuple[str, ...]


# Told a case, a folder for it and a step: kills at every so many calls.
KillPoints: TypeAlias = Callable[[str, Path, int], Iterator[KillPoint]]


class Victim:
    """A publication in another process; while it `run`s, any thread may `kill` it."""

    def __init__(self, publish: Callable[..., None], *arguments: object) -> None:
        self._process: ForkServerProcess = _CONTEXT.Process(target=publish, args=arguments)

    def kill(self) -> None:
        """Kill it; it is running."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)

    def run(self) -> bool:
        """Run it to its end; return whether it was killed. Raises TimeoutError when it does not end."""
        self._process.start()
        self._process.join(_ENDS_WITHIN_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"publishing did not end within {_ENDS_WITHIN_SECONDS} s")
        code = self._process.exitcode
        self._process.close()
        assert code in (0, -signal.SIGKILL), code
        return code == -signal.SIGKILL


def each_point(
    case: str, step: int, look: Callable[[int, bool], tuple[str, ...] | None]
) -> Iterator[KillPoint]:
    """Yield what `look` finds wrong for every `step`-th call, before and after it.

    It ends with the first for which there is nothing to look at: publishing has not come to that call.
    """
    call = 1
    while True:
        for after in (False, True):
            wrong = look(call, after)
            if wrong is None:
                return
            yield KillPoint(case, call, after, wrong)
        call += step
