"""Publishing to a Prometheus killed (SIGKILL) at a change or call, then run again: it comes out right."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

from stakewatch.publishing.json_api import JsonApi
from tests.unit.publishing.killing import KillPoint, Victim, each_point
from tests.unit.publishing.prometheus_scene import Scene, prometheus_scene, unchecked, write_rules
from tests.unit.publishing.publishing_to import make, prune, publish

# What another program sees of a publication: its requests, and what it does to files.
_SEEN = ((JsonApi, "ask"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir"))


def empty(_scene: Scene) -> None:
    """Leave the folder away: everything is created."""


def published(scene: Scene) -> None:
    """Publish something older: a rule file is changed, one is new, one is left over, one was edited there."""
    for name in ("old", "edited"):
        write_rules(scene.root, name, 1)
    publish(scene.target(), adopt=True)
    (scene.built / "old.yaml").unlink()
    write_rules(scene.root, "beacon", 2)
    write_rules(scene.root, "new", 3)
    (scene.there.folder / "rules" / "edited.yaml").write_text("groups: []\n", encoding="utf-8")


CASES: Mapping[str, Callable[[Scene], None]] = {"empty": empty, "published": published}


def kill_points(case: str, folder: Path, step: int = 1) -> Iterator[KillPoint]:
    """Kill an `apply` and `prune` at every `step`-th change or call and yield how the next one ended."""

    def look(call: int, after: bool) -> tuple[str, ...] | None:  # noqa: FBT001 - as each_point calls it
        with prometheus_scene(folder / f"{case}-{call}-{after}") as scene:
            CASES[case](scene)
            place = scene.there
            if not Victim(_publish, str(scene.root), str(place.folder), place.url, call, after).run():
                return None
            return (
                *scene.wrong_after_publishing(),
                *(f"again: {one}" for one in scene.changes_when_repeated()),
            )

    return each_point(case, step, look)


def _publish(root: str, folder: str, url: str, call: int, after: bool) -> None:  # noqa: FBT001 - for a process
    with unchecked(), _killed_at(call, after=after):
        for work in (publish, prune):
            done = work(make(Path(root), "prometheus", config_path=folder, url=url))
            if done.errors:
                raise RuntimeError(done.errors)


@contextlib.contextmanager
def _killed_at(call: int, *, after: bool) -> Iterator[None]:
    calls = 0

    def counted(change: Callable[..., object]) -> Callable[..., object]:
        def changing(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            number = calls
            if number == call and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            made = change(*arguments, **options)
            if number == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return changing

    with contextlib.ExitStack() as stack:
        for owner, name in _SEEN:
            stack.enter_context(patch.object(owner, name, counted(getattr(owner, name))))
        yield
