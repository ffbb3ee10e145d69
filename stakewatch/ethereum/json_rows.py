"""A JSON array of very many objects, taken piece by piece from a stream and decoded in batches."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

_Row = TypeVar("_Row")
_LONGEST_PREAMBLE = 4 << 20
_LONGEST_ROW = 1 << 16
_BATCH_BYTES = 512 * 1024


class RowStream(Generic[_Row]):
    """Finds the array behind `marker` and hands its objects to `take` in batches.

    An object ends with `end`, which is `}` or, where its last field is an object, `}}`; between objects
    there is a comma and no space, as all clients write it. What stands before the array is `preamble`.
    """

    def __init__(
        self,
        marker: bytes,
        end: bytes,
        row: type[_Row],
        take: Callable[[list[_Row]], None],
    ) -> None:
        self.preamble = b""
        self._marker = marker
        self._end = end
        self._between = end + b",{"
        self._decoder = msgspec.json.Decoder(list[row], strict=False)  # type: ignore[valid-type] # a generic
        self._take = take
        self._held = bytearray()
        self._is_inside = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises ValueError when they are no such array."""
        self._held += chunk
        if not self._is_inside and not self._enter():
            return
        if len(self._held) < _BATCH_BYTES:
            return
        cut = self._held.rfind(self._between)
        if cut < 0:
            if len(self._held) > _LONGEST_ROW + _BATCH_BYTES:
                raise ValueError("its list has objects of another form")
            return
        cut += len(self._end)
        self._hand_on(bytes(self._held[:cut]))
        del self._held[: cut + 1]

    def finish(self) -> None:
        """Take what is left. Raises ValueError when the array does not end."""
        if not self._is_inside:
            raise ValueError(f"it has no {self._marker.decode()}")
        last = self._held.rfind(self._end + b"]")
        if last < 0:
            if self._held.lstrip().startswith(b"]"):
                return
            raise msgspec.DecodeError("Input data was truncated")
        self._hand_on(bytes(self._held[: last + len(self._end)]))

    def _enter(self) -> bool:
        place = self._held.find(self._marker)
        if place < 0:
            if len(self._held) > _LONGEST_PREAMBLE:
                raise ValueError(f"it has no {self._marker.decode()}")
            return False
        self.preamble = bytes(self._held[:place])
        del self._held[: place + len(self._marker)]
        self._is_inside = True
        return True

    def _hand_on(self, text: bytes) -> None:
        self._take(self._decoder.decode(b"[" + text + b"]"))
