"""Publishing to a Grafana killed (SIGKILL) at one of its calls, then run again: it comes out right."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.unit.publishing.fake_grafana import ADMIN, Reply
from tests.unit.publishing.grafana_scene import METRICS, UIDS, Scene, grafana_scene
from tests.unit.publishing.killing import KillPoint, Victim, each_point
from tests.unit.publishing.publishing_to import make, prune, publish, write_board


def empty(_scene: Scene) -> None:
    """Leave this Grafana empty: everything is created."""


def published(scene: Scene) -> None:
    """Publish something older: folder, data source and boards are changed, one is new, one is left over."""
    write_board(scene.root, "old")
    publish(scene.target())
    (scene.root / "build" / "dashboards" / "old.json").unlink()
    write_board(scene.root, UIDS[0], description="changed")
    write_board(scene.root, UIDS[2])
    scene.there.dashboards[UIDS[1]].folder = ""
    scene.there.folders["stakewatch"] |= {"title": "Theirs", "version": 2}
    scene.there.data_sources["stakewatch"] |= {"url": "http://other", "version": 2}


CASES: Mapping[str, Callable[[Scene], None]] = {"empty": empty, "published": published}


def kill_points(case: str, folder: Path, step: int = 1) -> Iterator[KillPoint]:
    """Kill an `apply` and `prune` at every `step`-th call and yield how the next one ended."""

    def look(call: int, after: bool) -> tuple[str, ...] | None:  # noqa: FBT001 - as each_point calls it
        with grafana_scene(folder / f"{case}-{call}-{after}") as scene:
            CASES[case](scene)
            if not _killed(scene, call, after=after):
                return None
            return (
                *scene.wrong_after_publishing(),
                *(f"again: {one}" for one in scene.changes_when_repeated()),
            )

    return each_point(case, step, look)


def _killed(scene: Scene, call: int, *, after: bool) -> bool:
    victim = Victim(_publish, str(scene.root), scene.there.url)
    first = len(scene.there.requests) + call

    def instead(_method: str, _path: str, number: int) -> Reply | None:
        if number < first:
            return None
        if number == first:
            victim.kill()
        # What other threads of it had under way is lost with it.
        return Reply(0, lost=after, drop=not after)

    scene.there.instead = instead
    killed = victim.run()
    scene.there.instead = lambda _method, _path, _number: None
    return killed


def _publish(root: str, url: str) -> None:
    os.environ["GRAFANA_TOKEN"] = ADMIN
    for work in (publish, prune):
        done = work(make(Path(root), "grafana", url=url, data_source={"url": METRICS}))
        if done.errors:
            raise RuntimeError(done.errors)
