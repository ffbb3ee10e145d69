"""Publishing killed (SIGKILL) at one of its calls, then run again: the workspace has to come out right."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.unit.publishing.amp_scene import DEFINITION, Scene, amp_scene, rules, unserved_scene
from tests.unit.publishing.aws_server import Cut
from tests.unit.publishing.sequences import CHANGING, differences, no_fault

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_ENDS_WITHIN_SECONDS = 60.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class KillPoint:
    """The call at which the process was killed, before or after it was done, and what was wrong then."""

    case: str
    call: int
    after: bool
    wrong: tuple[str, ...]


def empty(_scene: Scene) -> None:
    """Leave the workspace empty: everything is created."""


def published(scene: Scene) -> None:
    """Publish something older: two objects are changed, one is created, one is repaired, one is left over."""
    scene.write_rules("old.yaml", rules("old"))
    scene.apply()
    scene.remove_rules("old.yaml")
    scene.write_rules("beacon.yaml", rules("beacon", 2))
    scene.write_rules("new.yaml", rules("new"))
    scene.write_definition(DEFINITION.replace(":pager", ":other"))
    failed = scene.fake.namespaces["stakewatch-storage"]
    failed.status, failed.reason, failed.modified = "UPDATE_FAILED", "for some reason", scene.fake.now()


CASES: Mapping[str, Callable[[Scene], None]] = {"empty": empty, "published": published}


def kill_points(case: str, folder: Path, *, step: int = 1) -> Iterator[KillPoint]:
    """Kill an `apply` and `prune` at every `step`-th call and yield how the next one ended.

    It ends with the first number that is larger than the number of calls.
    """
    call = 1
    while True:
        for after in (False, True):
            here = folder / f"{case}-{call}-{after}"
            here.mkdir()
            with amp_scene(here) as scene:
                CASES[case](scene)
                scene.fake.looks = 1
                if not _killed(scene, call, after=after):
                    return
                scene.fake.fault = no_fault
                yield KillPoint(case, call, after, tuple(_wrong_after_the_next(scene)))
        call += step


def _killed(scene: Scene, call: int, *, after: bool) -> bool:
    """Publish in a process of its own; return whether it came to the call at which it is killed."""
    scene.fake.calls.clear()
    process: ForkServerProcess = _CONTEXT.Process(
        target=_publish, args=(str(scene.folder), dict(_aws_environment()))
    )
    killed = threading.Event()

    def fault(number: int, _operation: str) -> Cut | None:
        if number < call:
            return None
        if number == call:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            killed.set()
        # What other threads of it had under way is lost with it.
        return Cut(after=after)

    scene.fake.fault = fault
    process.start()
    process.join(_ENDS_WITHIN_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"publishing did not end within {_ENDS_WITHIN_SECONDS} s")
    code = process.exitcode
    process.close()
    assert code == (-signal.SIGKILL if killed.is_set() else 0), code
    return killed.is_set()


def _publish(folder: str, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    with unserved_scene(Path(folder)) as scene:
        for outcomes in (scene.apply(), scene.prune()):
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error


def _aws_environment() -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))


def _wrong_after_the_next(scene: Scene) -> Iterator[str]:
    for outcome in (*scene.apply(), *scene.prune()):
        if outcome.error is not None:
            yield str(outcome.error)
    scene.fake.calls.clear()
    scene.apply()
    scene.prune()
    yield from (f"again: {name}" for name in scene.fake.operations if name.startswith(CHANGING))
    yield from differences(scene, {})
