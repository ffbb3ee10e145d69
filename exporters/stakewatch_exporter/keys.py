"""Our keys: which group a key belongs to, and its validator index once the chain knows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stakewatch.bundle.configuration import Group
from stakewatch.ethereum.beacon_api import Validator


@dataclass(frozen=True)
class Key:
    """A key that the chain knows."""

    index: int
    pubkey: str
    group: str


class KeyBook:
    """Finds keys by index or pubkey; `learn` is its one verb, and `revision` grows when it learnt something.

    A key that stands in two groups (once as an index, once as a pubkey) belongs to the first.
    """

    def __init__(self, groups: Iterable[Group]) -> None:
        self._group_of: dict[str, str] = {}
        for group in groups:
            for identity in group.keys:
                self._group_of.setdefault(identity.lower(), group.name)
        self.revision = 0
        self._by_index: dict[int, Key] = {}
        self._by_pubkey: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._group_of)

    @property
    def by_index(self) -> Mapping[int, Key]:
        """Known keys by validator index."""
        return self._by_index

    @property
    def by_pubkey(self) -> Mapping[str, Key]:
        """Known keys by pubkey."""
        return self._by_pubkey

    def identities(self) -> list[str]:
        """Return what to ask for: the index where it is known, being shorter, else the key as configured."""
        asked: dict[str, None] = {}
        for identity in self._group_of:
            key = self._by_pubkey.get(identity)
            asked[identity if key is None else str(key.index)] = None
        return list(asked)

    def unknown(self) -> dict[str, int]:
        """Return by group how many keys the chain does not know; groups without any are left out."""
        indices = {str(index) for index in self._by_index}
        found: dict[str, int] = {}
        for identity, group in self._group_of.items():
            if identity not in self._by_pubkey and identity not in indices:
                found[group] = found.get(group, 0) + 1
        return found

    def learn(self, validators: Iterable[Validator]) -> None:
        """Take in which index belongs to which pubkey.

        Raises ValueError, and learns nothing, when an index has another pubkey than before, which one chain
        never does.
        """
        found: list[Key] = []
        for validator in validators:
            known = self._by_index.get(validator.index)
            if known is not None:
                if known.pubkey != validator.pubkey:
                    raise ValueError(
                        f"validator {validator.index} is {validator.pubkey}, but was {known.pubkey} before"
                    )
                continue
            group = self._group_of.get(validator.pubkey) or self._group_of.get(str(validator.index))
            if group is not None:
                found.append(Key(validator.index, validator.pubkey, group))
        self.revision += bool(found)
        for key in found:
            self._by_index[key.index] = key
            self._by_pubkey[key.pubkey] = key
