"""The whole registry as JSON, taken piece by piece from a stream into narrow columns.

Source: beacon-APIs `states/{state}/validators` without a filter, about 460 bytes per validator ever.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from stakewatch.ethereum.json_rows import RowStream
from stakewatch.ethereum.state_stream import NEVER

_MOST_VALIDATORS = 10_000_000
_COLUMNS = (np.int64, np.uint32, np.uint32, np.uint32, np.bool_)

Epoch = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class JsonRegistry:
    """All validators of a state; one entry per validator index in every column.

    `effective_balances` int64 gwei, epochs uint32 with NEVER for far future, `is_slashed` bool.
    """

    effective_balances: npt.NDArray[np.int64]
    activation_eligibility_epochs: npt.NDArray[np.uint32]
    activation_epochs: npt.NDArray[np.uint32]
    exit_epochs: npt.NDArray[np.uint32]
    is_slashed: npt.NDArray[np.bool_]

    def is_active(self, epoch: int) -> npt.NDArray[np.bool_]:
        """Return who is active in an epoch."""
        return (self.activation_epochs <= epoch) & (epoch < self.exit_epochs)


class _Record(msgspec.Struct):
    effective_balance: Annotated[int, Meta(ge=0, le=10**15)]
    slashed: bool
    activation_eligibility_epoch: Epoch
    activation_epoch: Epoch
    exit_epoch: Epoch


class _Entry(msgspec.Struct):
    index: Annotated[int, Meta(ge=0, lt=_MOST_VALIDATORS)]
    validator: _Record


class RegistryAnswer:
    """Takes an answer piece by piece; `finish` gives the registry."""

    def __init__(self) -> None:
        self._rows = RowStream(b'"data":[', b"}}", _Entry, self._take)
        self._parts: tuple[list[npt.NDArray[Any]], ...] = tuple([] for _ in _COLUMNS)
        self._count = 0

    def feed(self, chunk: bytes, /) -> None:
        """Take the next bytes. Raises ValueError."""
        self._rows.feed(chunk)

    def finish(self) -> JsonRegistry:
        """Return the registry. Raises ValueError when it is empty."""
        self._rows.finish()
        if not self._count:
            raise ValueError("a state without validators")
        columns = []
        for parts in self._parts:
            columns.append(np.concatenate(parts))
            parts.clear()
        return JsonRegistry(*columns)

    def _take(self, entries: list[_Entry]) -> None:
        first = self._count
        self._count += len(entries)
        if [entry.index for entry in entries] != list(range(first, self._count)):
            raise ValueError(f"its validators from {first} on are not in the order of their indices")
        records = [entry.validator for entry in entries]
        for parts, kind, column in zip(
            self._parts,
            _COLUMNS,
            (
                [record.effective_balance for record in records],
                [min(record.activation_eligibility_epoch, NEVER) for record in records],
                [min(record.activation_epoch, NEVER) for record in records],
                [min(record.exit_epoch, NEVER) for record in records],
                [record.slashed for record in records],
            ),
            strict=True,
        ):
            parts.append(np.array(column, dtype=kind))
