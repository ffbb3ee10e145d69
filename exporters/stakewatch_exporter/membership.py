"""Which group each validator index belongs to, as an array, for figures over a million validators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stakewatch_exporter.keys import Key

_NOBODY = -1


@dataclass(frozen=True)
class Membership:
    """`names` numbers the groups; `numbers` (int32, by validator index) is a group's number or -1.

    `indices` (int64, ascending) are all our validators.
    """

    names: tuple[str, ...]
    numbers: npt.NDArray[np.int32]
    indices: npt.NDArray[np.int64]

    def of(self, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """Return the groups' numbers of validators, -1 for those of nobody."""
        if not len(self.numbers):
            return np.full(len(indices), _NOBODY, dtype=np.int32)
        inside = indices < len(self.numbers)
        return np.where(inside, self.numbers[np.where(inside, indices, 0)], _NOBODY)

    def counts(self, indices: npt.NDArray[np.integer]) -> dict[str, int]:
        """Return how many of the validators belong to each group; groups without any are left out."""
        found = np.bincount(self.of(indices) + 1, minlength=len(self.names) + 1)[1:]
        return {self.names[number]: int(found[number]) for number in np.flatnonzero(found)}

    def by_group(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return each group's validator indices."""
        own = self.numbers[self.indices]
        return {name: self.indices[own == number] for number, name in enumerate(self.names)}


def membership(names: Sequence[str], keys: Mapping[int, Key]) -> Membership:
    """Return the membership of known keys, which are given by validator index."""
    numbered = {name: number for number, name in enumerate(names)}
    indices = np.array(sorted(keys), dtype=np.int64)
    numbers = np.full(int(indices[-1]) + 1 if len(indices) else 0, _NOBODY, dtype=np.int32)
    numbers[indices] = [numbered[keys[index].group] for index in indices.tolist()]
    return Membership(tuple(names), numbers, indices)
