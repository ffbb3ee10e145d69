"""Random sequences of edits here and there, failures and attempts to publish; then it has to be right.

Whatever came before: applied once and pruned, the workspace holds what the bundle says; applied and pruned a
second time, nothing is changed. What belongs to others is as they left it.
"""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from unittest.mock import patch

from stakewatch.errors import StakewatchError
from stakewatch.publishing import aws
from stakewatch.publishing.aws import Patience
from stakewatch.publishing.normal_form import normal_alertmanager, normal_rules
from tests.unit.publishing.amp_scene import DEFINITION, Scene, amp_scene, rules
from tests.unit.publishing.aws_server import Cut, Reply
from tests.unit.publishing.fake_amp import Fault

FAULTS: tuple[Reply | Cut, ...] = (
    Reply(429, "ThrottlingException", "slow down", {"Retry-After": "0"}),
    Reply(500, "InternalServerException", "oh"),
    Reply(402, "ServiceQuotaExceededException", "full", more={"quotaCode": "L-3D15CDB4"}),
    Reply(403, "AccessDeniedException", "not authorized"),
    Reply(403, "ExpiredTokenException", "expired"),
    Reply(409, "ConflictException", "busy"),
    Reply(404, "ResourceNotFoundException", "gone"),
    Reply(400, "ValidationException", "bad"),
    Reply(403, page="<html>no</html>"),
    Cut(after=False),
    Cut(after=True),
)
CHANGING = ("Create", "Put", "Delete", "Tag")
# What fails for ever is given up soon.
_IMPATIENT = Patience(look_seconds=0.002, retry_seconds=0.001, altogether_seconds=0.3)
_NAMES = [f"file{number}.yaml" for number in range(6)]


Played = TypeVar("Played", bound="PlayedScene")


@dataclass(frozen=True)
class Verdict:
    """How a sequence ended: calls of the second round that change something, and what is not as it should."""

    steps: tuple[str, ...]
    second_round: tuple[str, ...]
    wrong: tuple[str, ...]


class PlayedScene(Protocol):
    """Where a sequence is played, and what there is to say of it in the end."""

    def wrong_after_publishing(self) -> Iterable[str]:
        """Publish and prune unhindered, and return what failed."""

    def changes_when_repeated(self) -> tuple[str, ...]:
        """Publish and prune once more, and return what that changed."""

    def differences(self) -> Iterable[str]:
        """Return what is not as the bundle says, or not as others left it."""


def play(
    seed: int, scene: AbstractContextManager[Played], steps: Sequence[Callable[[random.Random, Played], str]]
) -> Verdict:
    """Let some of these steps happen by chance, then publish; the same seed is the same sequence."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    with scene as played:
        taken = tuple(chance.choice(steps)(chance, played) for _ in range(chance.randint(3, 10)))
        wrong = tuple(played.wrong_after_publishing())
        return Verdict(taken, played.changes_when_repeated(), (*wrong, *played.differences()))


def run_sequence(seed: int, folder: Path) -> Verdict:
    """Run one sequence in an empty folder; the same seed is the same sequence but for the threads' order."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    with amp_scene(folder) as scene, _one_client_each():
        theirs = {"theirs": rules("theirs"), "stakewatch-theirs": rules("theirs", 2)}
        for name, text in theirs.items():
            scene.fake.write(name, text, tags={"managed-by": "somebody"})
        steps = [_step(chance, scene) for _ in range(chance.randint(3, 12))]
        scene.fake.fault = no_fault
        scene.fake.fails = _works
        scene.fake.looks = chance.randint(0, 2)
        scene.apply()
        scene.prune()
        scene.fake.calls.clear()
        scene.apply()
        scene.prune()
        second = tuple(name for name in scene.fake.operations if name.startswith(CHANGING))
        return Verdict(tuple(steps), second, tuple(differences(scene, theirs)))


@contextlib.contextmanager
def _one_client_each() -> Iterator[None]:
    """Make one client of each service do for a whole sequence: boto3 takes most of the time to make them."""
    made: dict[str, Any] = {}

    def client(session: Any, name: str, *, workers: int) -> Any:  # noqa: ANN401 - made by boto3
        if name not in made:
            made[name] = aws.client(session, name, workers=workers)
        return made[name]

    with patch("stakewatch.publishing.amp_workspace.client", client):
        yield


def _step(chance: random.Random, scene: Scene) -> str:
    steps: tuple[Callable[[random.Random, Scene], str], ...] = (
        _edit_here,
        _edit_here,
        _remove_here,
        _edit_definition_here,
        _edit_there,
        _remove_there,
        _edit_definition_there,
        _half_done_there,
        _publish,
        _publish,
        _publish,
        _prune,
    )
    return chance.choice(steps)(chance, scene)


def _edit_here(chance: random.Random, scene: Scene) -> str:
    name = chance.choice(_NAMES)
    scene.write_rules(name, rules(f"group{chance.randint(1, 3)}", chance.randint(1, 9)))
    return f"edit {name}"


def _remove_here(chance: random.Random, scene: Scene) -> str:
    names = sorted(path.name for path in (scene.folder / "rules").iterdir())
    if len(names) < 2:
        return "keep the last file"
    name = chance.choice(names)
    scene.remove_rules(name)
    return f"remove {name}"


def _edit_definition_here(chance: random.Random, scene: Scene) -> str:
    scene.write_definition(DEFINITION.replace(":pager", f":pager-{chance.randint(1, 3)}"))
    return "edit the definition"


def _edit_there(chance: random.Random, scene: Scene) -> str:
    ours = _ours(scene)
    if not ours:
        return "nothing of ours is there"
    name = chance.choice(ours)
    scene.fake.write(name, rules("edited", chance.randint(1, 9)))
    return f"somebody edits {name}"


def _remove_there(chance: random.Random, scene: Scene) -> str:
    with scene.fake.lock:
        if chance.random() < 0.3:
            scene.fake.definition = None
            return "somebody removes the definition"
        ours = _ours(scene)
        if ours:
            name = chance.choice(ours)
            del scene.fake.namespaces[name]
            return f"somebody removes {name}"
    return "nothing of ours is there"


def _edit_definition_there(_chance: random.Random, scene: Scene) -> str:
    if scene.fake.definition is None:
        return "no definition is there"
    scene.fake.write_definition(scene.fake.definition.data.decode().replace("pager", "elsewhere"))
    return "somebody edits the definition"


def _half_done_there(chance: random.Random, scene: Scene) -> str:
    """Leave a change of ours under way, or failed, as when we had been cut off."""
    ours = _ours(scene)
    if not ours:
        return "nothing of ours is there"
    with scene.fake.lock:
        stored = scene.fake.namespaces[chance.choice(ours)]
        stored.modified = scene.fake.now()
        stored.status, stored.then = chance.choice(
            [
                ("UPDATING", "ACTIVE"),
                ("UPDATING", "UPDATE_FAILED"),
                ("CREATING", "CREATION_FAILED"),
                ("UPDATE_FAILED", ""),
                ("DELETING", ""),
            ]
        )
        stored.looks, stored.reason = chance.randint(0, 2), "for some reason"
        return f"{stored.status}, then {stored.then}"


def _publish(chance: random.Random, scene: Scene) -> str:
    said = _hinder(chance, scene)
    with contextlib.suppress(StakewatchError):
        scene.apply(patience=_IMPATIENT)
    return f"apply, {said}"


def _prune(chance: random.Random, scene: Scene) -> str:
    said = _hinder(chance, scene)
    with contextlib.suppress(StakewatchError):
        scene.prune(patience=_IMPATIENT)
    return f"prune, {said}"


def _hinder(chance: random.Random, scene: Scene) -> str:
    """Let calls from some number on fail in one way, a few or all of them; and changes take their time."""
    scene.fake.looks = chance.randint(0, 3)
    first = len(scene.fake.calls) + chance.randint(1, 25)
    last = first + chance.choice([0, 0, 1, 3, 1000])
    happens = chance.choice(FAULTS)
    if chance.random() < 0.3:
        scene.fake.fault = no_fault
        return "unhindered"

    def fault(number: int, _operation: str) -> Reply | Cut | None:
        return happens if first <= number <= last else None

    scene.fake.fault = fault
    scene.fake.fails = (
        (lambda name, _text: "no" if name.endswith("1") else "") if last > first + 3 else _works
    )
    return f"{happens} from call {first} to {last}"


def differences(scene: Scene, theirs: dict[str, str]) -> Iterator[str]:
    """Yield what the workspace holds that it should not, and what it does not hold."""
    wanted = {
        f"stakewatch-{path.stem}": normal_rules(path.read_text())
        for path in (scene.folder / "build" / "rules").iterdir()
    }
    wanted |= {name: normal_rules(text) for name, text in theirs.items()}
    definition = scene.folder / "build" / "amp-alertmanager" / "definition.yaml"
    wanted[""] = normal_alertmanager(definition.read_text())
    # What is going is as good as gone, and nobody looks at it any more.
    going = {name for name, one in scene.fake.namespaces.items() if one.status == "DELETING"}
    held = {
        name: normal_rules(text) if name else normal_alertmanager(text)
        for name, text in scene.fake.texts().items()
        if name not in going
    }
    for name in sorted(wanted.keys() | held.keys()):
        if wanted.get(name) != held.get(name):
            yield name or "the definition"
    for name, stored in scene.fake.namespaces.items():
        if stored.status == "DELETING":
            continue
        owner = "somebody" if name in theirs else "stakewatch"
        if stored.status != "ACTIVE" or stored.tags.get("managed-by") != owner:
            yield f"{name} is {stored.status}, of {stored.tags}"


def _ours(scene: Scene) -> list[str]:
    with scene.fake.lock:
        return sorted(
            name
            for name, one in scene.fake.namespaces.items()
            if one.tags.get("managed-by") == "stakewatch" and one.status == "ACTIVE"
        )


no_fault: Fault = lambda _number, _operation: None  # noqa: E731 - its type says more than its body


def _works(_name: str, _text: str) -> str:
    return ""
