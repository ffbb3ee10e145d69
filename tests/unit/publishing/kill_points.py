"""Publishing to a workspace killed (SIGKILL) at one of its calls, then run again: it comes out right."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.unit.publishing.amp_scene import DEFINITION, Scene, amp_scene, rules, unserved_scene
from tests.unit.publishing.aws_server import Cut
from tests.unit.publishing.killing import KillPoint, Victim, each_point
from tests.unit.publishing.sequences import CHANGING, differences, no_fault


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


def kill_points(case: str, folder: Path, step: int = 1) -> Iterator[KillPoint]:
    """Kill an `apply` and `prune` at every `step`-th call and yield how the next one ended."""

    def look(call: int, after: bool) -> tuple[str, ...] | None:  # noqa: FBT001 - as each_point calls it
        here = folder / f"{case}-{call}-{after}"
        here.mkdir()
        with amp_scene(here) as scene:
            CASES[case](scene)
            scene.fake.looks = 1
            if not _killed(scene, call, after=after):
                return None
            scene.fake.fault = no_fault
            return tuple(_wrong_after_the_next(scene))

    return each_point(case, step, look)


def _killed(scene: Scene, call: int, *, after: bool) -> bool:
    """Publish in a process of its own; return whether it came to the call at which it is killed."""
    scene.fake.calls.clear()
    victim = Victim(_publish, str(scene.folder), dict(_aws_environment()))

    def fault(number: int, _operation: str) -> Cut | None:
        if number < call:
            return None
        if number == call:
            victim.kill()
        # What other threads of it had under way is lost with it.
        return Cut(after=after)

    scene.fake.fault = fault
    return victim.run()


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
