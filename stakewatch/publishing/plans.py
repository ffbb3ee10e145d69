"""Plans: what has to change at a target so that it holds what it should; pure, no one is asked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from stakewatch.errors import StakewatchError
from stakewatch.publishing.differences import differences
from stakewatch.publishing.objects import Flaw, Item, Key, LiveItem, State


class Action(StrEnum):
    """What is done to one object; `refused` and `leftover` are not done by `apply`."""

    CREATE = "create"
    CHANGE = "change"
    REPAIR = "repair"
    WAIT = "wait"
    ADOPT = "adopt"
    REFUSED = "refused"
    LEFTOVER = "leftover"
    KEEP = "keep"


_APPLIED = frozenset({Action.CREATE, Action.CHANGE, Action.REPAIR, Action.WAIT, Action.ADOPT})


@dataclass(frozen=True)
class Change:
    """One object and what is done to it; `live` is what stands there, and the item itself of a leftover."""

    action: Action
    item: Item
    live: LiveItem | None = None

    def differences(self) -> Iterator[str]:
        """Yield the lines of a unified diff from what stands there to what should."""
        old = "" if self.live is None else self.live.item.text
        yield from differences(old, "" if self.action is Action.LEFTOVER else self.item.text)


@dataclass(frozen=True)
class Plan:
    """What has to change at one target; `flaws` are why it would refuse that."""

    name: str
    type: str
    where: str
    changes: tuple[Change, ...]
    flaws: tuple[Flaw, ...] = ()

    @property
    def applied(self) -> tuple[Change, ...]:
        """What `apply` does."""
        return tuple(change for change in self.changes if change.action in _APPLIED)

    @property
    def refused(self) -> tuple[Change, ...]:
        """What `apply` leaves alone, because what stands there is not ours."""
        return self._all(Action.REFUSED)

    @property
    def leftovers(self) -> tuple[Change, ...]:
        """What `prune` removes."""
        return self._all(Action.LEFTOVER)

    def only(self, changes: Iterable[Change]) -> "Plan":
        """Return the plan of these changes alone; flaws are about what is sent, and so left out."""
        return replace(self, changes=tuple(changes), flaws=())

    @property
    def drift(self) -> bool:
        """Whether the target holds anything else than it should."""
        return any(change.action is not Action.KEEP for change in self.changes)

    def count(self, action: Action) -> int:
        """Return to how many objects this is done."""
        return len(self._all(action))

    def _all(self, action: Action) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.action is action)


def plan_changes(
    desired: Sequence[Item], live: Iterable[LiveItem], kinds: Sequence[str], *, adopt: bool = False
) -> tuple[Change, ...]:
    """Return what becomes of each object, those of earlier `kinds` first, leftovers at the end and reversed.

    What stands there and is not ours is refused where it differs, unless we are told to `adopt` it.
    Raises StakewatchError when two objects have one name.
    """
    there = {one.item.key: one for one in live}
    wanted: dict[Key, Item] = {}
    for item in desired:
        if item.key in wanted:
            raise StakewatchError(f"two objects are one {item}", mend="rename one of their sources")
        wanted[item.key] = item
    rank = {kind: number for number, kind in enumerate(kinds)}
    changes = [_change(item, there.get(key), adopt=adopt) for key, item in wanted.items()]
    changes.sort(key=lambda change: (rank[change.item.kind], change.item.name))
    leftovers = [
        Change(Action.LEFTOVER, one.item, one)
        for key, one in there.items()
        if one.owned and key not in wanted
    ]
    leftovers.sort(key=lambda change: (-rank[change.item.kind], change.item.name))
    return (*changes, *leftovers)


def _change(item: Item, live: LiveItem | None, *, adopt: bool) -> Change:
    if live is None:
        return Change(Action.CREATE, item)
    same = live.item.text == item.text
    if not live.owned and (adopt or not same):
        return Change(Action.ADOPT if adopt else Action.REFUSED, item, live)
    if not same:
        return Change(Action.CHANGE, item, live)
    by_state = {State.READY: Action.KEEP, State.CHANGING: Action.WAIT, State.FAILED: Action.REPAIR}
    return Change(by_state[live.state], item, live)
