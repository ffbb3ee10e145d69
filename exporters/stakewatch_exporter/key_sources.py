"""Where the keys of groups come from, and what they are now: files, keymanagers, signers, credentials."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stakewatch.bundle.configuration import Group, KeySource

# A client that has just started lists few of its keys, or none.
_ANSWERS_UNTIL_GONE = 3


@dataclass
class KeyList:
    """The keys that one process lists: new ones count at once, lost ones after three answers without them.

    `listed` is the last answer, None when there is none or it is older than `keep_seconds`.
    """

    keep_seconds: float
    _listed: frozenset[str] | None = None
    _at: float = 0.0
    _missed: dict[str, int] = field(default_factory=dict)
    _trusted: frozenset[str] | None = None

    def take(self, keys: frozenset[str]) -> None:
        """Take in an answer."""
        self._listed, self._at = keys, time.monotonic()
        lost = (self._trusted or frozenset()) - keys
        self._missed = {key: self._missed.get(key, 0) + 1 for key in lost}
        kept = {key for key, times in self._missed.items() if times < _ANSWERS_UNTIL_GONE}
        self._trusted = keys | kept

    @property
    def listed(self) -> frozenset[str] | None:
        """The last answer."""
        return self._listed if time.monotonic() - self._at <= self.keep_seconds else None

    @property
    def trusted(self) -> frozenset[str] | None:
        """The keys to go by, however old; None before the first answer."""
        return self._trusted


@dataclass(frozen=True)
class Known:
    """What sources have told: keys by keymanager client, by signer, and by withdrawal credentials."""

    keymanagers: Mapping[str, frozenset[str]]
    signers: Mapping[str, frozenset[str]]
    credentials: Mapping[str, tuple[str, ...]]

    def keys(self, source: KeySource) -> tuple[str, ...] | None:
        """Return the keys of a source in a fixed order, None while it has told nothing."""
        if source.withdrawal_credentials:
            if not all(one in self.credentials for one in source.withdrawal_credentials):
                return None
            found = (key for one in source.withdrawal_credentials for key in self.credentials[one])
            return tuple(dict.fromkeys(found))
        if source.keymanager is not None:
            listed = self.keymanagers.get(source.keymanager)
        else:
            listed = self.signers.get(source.signer or "")
        return None if listed is None else tuple(sorted(listed))


def resolved(groups: Sequence[Group], known: Known, before: Sequence[Group]) -> tuple[Group, ...]:
    """Return the groups with the keys that their sources tell; where one tells nothing, those of before.

    A key that stands in an earlier group is left out of a later one whose keys come from elsewhere.
    """
    old = {group.name: group for group in before}
    taken = {key for group in groups if group.source is None for key in group.keys}
    found = []
    for group in groups:
        if group.source is None:
            found.append(group)
            continue
        keys = known.keys(group.source)
        if keys is None:
            earlier = old.get(group.name)
            keys = earlier.keys if earlier is not None and earlier.source == group.source else ()
        own = tuple(key for key in keys if key not in taken)
        taken.update(own)
        found.append(replace(group, keys=own))
    return tuple(found)


def file_marks(files: Sequence[Path]) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when a file is written anew: time, size and inode, None where there is none."""
    marks: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            found = file.stat()
        except OSError:
            marks.append(None)
        else:
            marks.append((found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(marks)
