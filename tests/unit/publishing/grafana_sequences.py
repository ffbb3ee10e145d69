"""Random sequences of edits here and in a Grafana, failures and attempts to publish; then it is right."""

import contextlib
import random
from pathlib import Path

from stakewatch.errors import StakewatchError
from tests.unit.publishing.fake_grafana import Reply, page
from tests.unit.publishing.grafana_scene import THEIRS, UIDS, Scene, grafana_scene
from tests.unit.publishing.publishing_to import prune, publish, write_board
from tests.unit.publishing.sequences import Verdict, play

_FAULTS = (
    Reply(0, lost=True),
    Reply(0, drop=True),
    page(403),
    Reply(401, {"message": "Invalid API key"}),
    Reply(403, {"message": "You'll need additional permissions"}),
    Reply(429, {"message": "slow down"}, {"Retry-After": "0"}),
    Reply(500, {"message": "x"}),
    Reply(200, {"half": "an answer"}, cut=True),
)


def run_sequence(seed: int, root: Path) -> Verdict:
    """Run one sequence in an empty folder; the same seed is the same sequence but for the threads' order."""
    return play(seed, grafana_scene(root), _STEPS)


def _write_here(chance: random.Random, scene: Scene) -> str:
    uid = chance.choice(UIDS)
    write_board(scene.root, uid, description=f"{chance.random()}")
    return f"edit {uid}"


def _remove_here(chance: random.Random, scene: Scene) -> str:
    uid = chance.choice(UIDS)
    (scene.root / "build" / "dashboards" / f"{uid}.json").unlink(missing_ok=True)
    return f"remove {uid}"


def _save_there(chance: random.Random, scene: Scene) -> str:
    for uid, board in scene.there.dashboards.items():
        if uid != THEIRS and chance.random() < 0.5:
            tags = chance.choice([["stakewatch"], board.content["tags"]])
            scene.there.save_in_browser(uid, title=f"{chance.random()}", tags=tags)
    return "somebody saves"


def _delete_there(chance: random.Random, scene: Scene) -> str:
    for uid in list(scene.there.dashboards):
        if uid != THEIRS and chance.random() < 0.5:
            del scene.there.dashboards[uid]
    return "somebody deletes"


def _move_there(chance: random.Random, scene: Scene) -> str:
    for board in scene.there.dashboards.values():
        if chance.random() < 0.5:
            board.folder = ""
    return "somebody moves to the root"


def _change_place_there(chance: random.Random, scene: Scene) -> str:
    for folder in scene.there.folders.values():
        folder |= {"title": f"{chance.random()}", "version": folder["version"] + 1}
    for source in scene.there.data_sources.values():
        source |= {"url": "http://other", "version": source["version"] + 1}
    if chance.random() < 0.3:
        scene.there.data_sources.clear()
    if chance.random() < 0.2:
        # With all that is in it, as Grafana does.
        for uid, board in list(scene.there.dashboards.items()):
            if board.folder in scene.there.folders:
                del scene.there.dashboards[uid]
        scene.there.folders.clear()
    return "somebody changes folder and data source"


def _upgrade(chance: random.Random, scene: Scene) -> str:
    schema = chance.randrange(39, 43)
    scene.there.stores = lambda content: {**content, "schemaVersion": schema, "preload": False}
    return f"Grafana stores schema {schema}"


def _publish(chance: random.Random, scene: Scene) -> str:
    said = _hinder(chance, scene)
    with contextlib.suppress(StakewatchError):
        publish(scene.target())
    scene.there.instead = lambda _method, _path, _number: None
    return f"apply, {said}"


def _prune(chance: random.Random, scene: Scene) -> str:
    said = _hinder(chance, scene)
    with contextlib.suppress(StakewatchError):
        prune(scene.target())
    scene.there.instead = lambda _method, _path, _number: None
    return f"prune, {said}"


def _hinder(chance: random.Random, scene: Scene) -> str:
    """Let requests from some number on fail in one way, a few or all of them."""
    if chance.random() < 0.3:
        return "unhindered"
    happens = chance.choice(_FAULTS)
    first = len(scene.there.requests) + chance.randint(1, 18)
    last = first + chance.choice([0, 0, 1, 3, 1000])
    scene.there.instead = lambda _method, _path, number: happens if first <= number <= last else None
    return f"{happens} from request {first} to {last}"


_STEPS = (
    _write_here,
    _remove_here,
    _save_there,
    _delete_there,
    _move_there,
    _change_place_there,
    _upgrade,
    _publish,
    _publish,
    _prune,
)
