"""What a target holds: one object as it should be or as it is, in a form that can be compared and shown."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Item:
    """One object: `kind` as a person calls it (`rule namespace`), `name` unique in its kind at a target.

    `text` is normalised: equal texts are equal objects, and it is what a diff shows, so it holds no secret.
    `payload` is what is sent where that is not the text; it is neither compared nor shown.
    """

    kind: str
    name: str
    text: str
    payload: str = field(default="", compare=False, repr=False)

    @property
    def key(self) -> Key:
        """What tells it from every other object of a target."""
        return self.kind, self.name

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class State(StrEnum):
    """Whether a service uses an object as it stands there."""

    READY = "ready"
    CHANGING = "changing"
    FAILED = "failed"


@dataclass(frozen=True)
class LiveItem:
    """One object as it stands at a target.

    `owned` is whether it carries our mark (tag, folder): only then may it be removed, or replaced without
    being asked. `identity` is what the service calls it (ARN, uid, path), `version` changes with every
    write where the service says so. `reason` is why it FAILED.
    """

    item: Item
    owned: bool
    identity: str = ""
    version: str = ""
    state: State = State.READY
    reason: str = ""


@dataclass(frozen=True)
class Flaw:
    """Why a target would refuse what it is about to get: found before anything is sent.

    One that is not `fatal` is a remark: it keeps nothing from being sent.
    """

    subject: str
    what: str
    mend: str
    fatal: bool = True


@dataclass(frozen=True)
class Fact:
    """One line of a target's status: what it is about, its state in a word, and whether that is well."""

    subject: str
    state: str
    detail: str = ""
    healthy: bool = True
