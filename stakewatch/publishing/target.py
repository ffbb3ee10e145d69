"""What publishing asks of a target, and the registry of their types.

A type `grafana` of stakewatch.yaml's `publish` is the module `stakewatch.publishing.grafana`, which registers
what opens it; nothing lists the types but the schema.
"""

import importlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import StakewatchError
from stakewatch.publishing.objects import Fact, Flaw, Item, Key, LiveItem

Report = Callable[[str], None]


class UnusableTargetError(StakewatchError):
    """What would befall every object alike: wrong place, credentials that do not hold, no permission.

    After the first, no further object is tried.
    """


class PutBackError(StakewatchError):
    """One object could not be put, and those of `keys`, put before it, are again as they were."""

    def __init__(
        self, what: str, *, keys: Collection[Key], where: str | None = None, mend: str | None = None
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.keys = frozenset(keys)


class Target(Protocol):
    """One service or folder that objects are published to.

    It is a context manager: entering gets what it needs to ask (credentials, a token) and finds out whether
    it is the right place, leaving gives that back in any case. Every method may raise StakewatchError.
    Methods that take a `report` tell it in a few words what they wait for, again before each look: it raises
    when nobody waits any more. `live`, `put` and `remove` may be
    called from several threads at once, `put` and `remove` never twice for one object.
    """

    @property
    def where(self) -> str:
        """Where it publishes to, for people; without secrets."""

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of its objects, those that others need first; removed in the reverse order."""

    @property
    def workers(self) -> int:
        """How many objects may be written at the same time."""

    @property
    def together(self) -> bool:
        """Whether its objects count only when the last of them is put: `put` may raise PutBackError."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def desired(self) -> Sequence[Item]:
        """Return what should be there, from what is built; asks nobody."""

    def limits(self, items: Sequence[Item]) -> Sequence[Flaw]:
        """Return what the service would refuse of `items`; sends nothing that changes anything."""

    def live(self, items: Sequence[Item], report: Report) -> Sequence[LiveItem]:
        """Return all objects of ours that are there, and whatever stands where one of `items` would."""

    def put(self, item: Item, live: LiveItem | None, report: Report) -> str:
        """Make the object what `item` says, `live` being what stood there when the change was planned.

        Returns what was done, in a few words, when the service uses it or it can be read back.
        Raises StakewatchError with the service's reason, and when what stands there is no longer `live`.
        """

    def remove(self, live: LiveItem, report: Report) -> str:
        """Remove an object of ours and return what was done; one that is gone already is no error."""

    def status(self, report: Report) -> Sequence[Fact]:
        """Return what is live there and how it fares."""


@dataclass(frozen=True)
class Source:
    """What is published: a bundle as its configuration has it, to one of its destinations."""

    bundle: Bundle
    configuration: Configuration
    destination: Destination


def nothing_published(source: Source) -> Fact:
    """Return what the status says, at a target of any type, where nothing of ours stands yet."""
    name = source.destination.name
    return Fact("published", "nothing yet", f"`stakewatch apply {name}` publishes it", healthy=False)


@dataclass(frozen=True)
class TargetType:
    """A type of targets: what has to be built before, and what makes one of it, which asks nobody yet."""

    name: str
    builds: tuple[str, ...]
    make: Callable[[Source], Target]


_REGISTRY: dict[str, TargetType] = {}


def target_type(
    name: str, *, builds: tuple[str, ...]
) -> Callable[[Callable[[Source], Target]], Callable[[Source], Target]]:
    """Register what is decorated, a function or a class, as what makes a target of type `name`.

    `builds` are the build targets that `desired` reads. Raises ValueError when the name is taken.
    """

    def register(make: Callable[[Source], Target]) -> Callable[[Source], Target]:
        if name in _REGISTRY:
            raise ValueError(f"two types of targets are named {name}")
        _REGISTRY[name] = TargetType(name=name, builds=builds, make=make)
        return make

    return register


def find_type(name: str) -> TargetType:
    """Return the type `name`, which the schema of stakewatch.yaml knows.

    Raises StakewatchError when a package that it needs is not installed.
    """
    try:
        importlib.import_module(f"stakewatch.publishing.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "stakewatch":
            raise
        raise StakewatchError(
            f"publishing to {name} needs the package {error.name}, which is not installed",
            mend="install stakewatch with its extra: pip install 'stakewatch[aws]'",
        ) from error
    return _REGISTRY[name]
