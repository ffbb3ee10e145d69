"""Which group each validator index belongs to, as an array, for figures over a million validators."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from stakewatch_exporter.keys import Key

_NOBODY = -1


class Membership:
    """`names` numbers the groups; `indices` (int64, ascending) are all our validators.

    `numbers` (int16, by validator index) is a group's number or -1; it grows with the indices asked for.
    """

    def __init__(
        self, names: tuple[str, ...], numbers: npt.NDArray[np.int16], indices: npt.NDArray[np.int64]
    ) -> None:
        self.names = names
        self.numbers = numbers
        self.indices = indices

    def of(self, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.int16]:
        """Return the groups' numbers of validators, -1 for those of nobody."""
        lacking = int(indices.max(initial=0)) + 1 - len(self.numbers)
        if lacking > 0:
            self.numbers = np.concatenate([self.numbers, np.full(lacking, _NOBODY, dtype=np.int16)])
        numbers: npt.NDArray[np.int16] = self.numbers[indices]
        return numbers

    def counts(self, indices: npt.NDArray[np.integer]) -> dict[str, int]:
        """Return how many of the validators belong to each group; groups without any are left out."""
        numbers = self.of(indices)
        found = np.bincount(numbers[numbers != _NOBODY], minlength=len(self.names))
        return {self.names[number]: int(found[number]) for number in np.flatnonzero(found)}

    def by_group(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return each group's validator indices."""
        own = self.numbers[self.indices]
        return {name: self.indices[own == number] for number, name in enumerate(self.names)}


def membership(names: Sequence[str], keys: Mapping[int, Key]) -> Membership:
    """Return the membership of known keys, which are given by validator index."""
    numbered = {name: number for number, name in enumerate(names)}
    indices = np.array(sorted(keys), dtype=np.int64)
    numbers = np.full(int(indices[-1]) + 1 if len(indices) else 0, _NOBODY, dtype=np.int16)
    numbers[indices] = [numbered[keys[index].group] for index in indices.tolist()]
    return Membership(tuple(names), numbers, indices)
