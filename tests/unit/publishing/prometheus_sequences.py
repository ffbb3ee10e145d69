"""Random sequences of edits here and in a Prometheus' folder, failures and runs; then it is right."""

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

from stakewatch.errors import StakewatchError
from tests.unit.publishing.prometheus_scene import NAMES, Scene, prometheus_scene, write_rules
from tests.unit.publishing.publishing_to import prune, publish
from tests.unit.publishing.sequences import Verdict, play


class EndedError(BaseException):
    """Ends a run as SIGKILL would, but for the rest of the program."""


def run_sequence(seed: int, root: Path) -> Verdict:
    """Run one sequence in an empty folder; the same seed is the same sequence."""
    return play(seed, prometheus_scene(root), _STEPS)


def _write_here(chance: random.Random, scene: Scene) -> str:
    name = chance.choice(NAMES)
    write_rules(scene.root, name, chance.randrange(1000))
    return f"edit {name}"


def _remove_here(chance: random.Random, scene: Scene) -> str:
    name = chance.choice(NAMES)
    (scene.built / f"{name}.yaml").unlink(missing_ok=True)
    return f"remove {name}"


def _edit_there(chance: random.Random, scene: Scene) -> str:
    for path in scene.there.folder.rglob("*.yaml"):
        if chance.random() < 0.5:
            path.write_text(path.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    return "somebody edits"


def _delete_there(chance: random.Random, scene: Scene) -> str:
    for path in [*scene.there.folder.rglob("*.yaml"), scene.there.folder / ".stakewatch.json"]:
        if chance.random() < 0.3:
            path.unlink(missing_ok=True)
    return "somebody deletes"


def _restart_there(_chance: random.Random, scene: Scene) -> str:
    scene.there.load()
    return "Prometheus starts again"


def _publish(chance: random.Random, scene: Scene) -> str:
    with _hindered(chance, scene) as said:
        publish(scene.target(), adopt=True)
    return f"apply, {said}"


def _prune(chance: random.Random, scene: Scene) -> str:
    with _hindered(chance, scene) as said:
        prune(scene.target())
    return f"prune, {said}"


@contextlib.contextmanager
def _hindered(chance: random.Random, scene: Scene) -> Iterator[str]:
    """Let a run end somewhere, the disk be full, or Prometheus be away or refuse what it is given."""
    scene.there.refuses = chance.random() < 0.3
    scene.there.down = chance.random() < 0.2
    scene.there.lifecycle = chance.random() < 0.9
    ending = chance.choice([EndedError(), OSError(28, "No space left on device"), None])
    first = chance.randrange(1, 12)
    last = first + chance.choice([0, 0, 2, 1000])
    after = chance.random() < 0.5
    with contextlib.suppress(StakewatchError, EndedError), failing_at(first, last, ending, after=after):
        yield f"{ending!r} from change {first} to {last}, refused {scene.there.refuses}, {scene.there.down}"
    scene.there.refuses = scene.there.down = False
    scene.there.lifecycle = True


@contextlib.contextmanager
def failing_at(first: int, last: int, error: BaseException | None, *, after: bool) -> Iterator[None]:
    """Raise `error` at changes of the disk, counted from 1: before they are made, or after."""
    changes = 0

    def counted(change: Callable[..., object]) -> Callable[..., object]:
        def changing(*arguments: object, **options: object) -> object:
            nonlocal changes
            changes += 1
            fails = error is not None and first <= changes <= last
            if fails and not after:
                raise _raised(error)
            made = change(*arguments, **options)
            if fails:
                raise _raised(error)
            return made

        return changing

    with contextlib.ExitStack() as stack:
        for name in ("replace", "unlink", "mkdir"):
            stack.enter_context(patch.object(Path, name, counted(getattr(Path, name))))
        yield


def _raised(error: BaseException | None) -> BaseException:
    assert error is not None
    return error


_STEPS = (
    _write_here,
    _remove_here,
    _edit_there,
    _delete_there,
    _restart_there,
    _publish,
    _publish,
    _prune,
)
