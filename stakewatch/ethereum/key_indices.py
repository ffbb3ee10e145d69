"""Which validator index each watched public key has, found without keeping all keys of the registry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.state_layout import PUBKEY_BYTES, StateError

_FEWEST_FILTER_BITS = 16
_MOST_FILTER_BITS = 22
_FILTER_PLACES_PER_KEY = 64
# The last bytes of a compressed point are as good as random; the first hold flags.
_FILTERED = slice(PUBKEY_BYTES - 4, PUBKEY_BYTES)


class KeysMovedError(StateError):
    """A known key no longer stands at its index: a reorganisation of the registry, or another chain."""


@dataclass(frozen=True)
class KeyIndices:
    """The indices of `watched` public keys (48 bytes each) among the first `searched` validators.

    A key that is not in `indices` has no validator among those. An index never changes hands on a chain
    whose deposits are final, so a later search begins where the last one ended.
    """

    watched: frozenset[bytes]
    indices: Mapping[bytes, int] = field(default_factory=lambda: MappingProxyType({}))
    searched: int = 0


class KeySearch:
    """Looks for watched keys in blocks of the registry, which come in the order of the indices.

    Known keys are compared at their index; only validators that were not searched before are looked through,
    by a table of the keys' last bytes first, so that a block costs one gather.
    """

    def __init__(self, known: KeyIndices) -> None:
        self._known = known
        self._found = dict(known.indices)
        self._wanted = known.watched - known.indices.keys()
        ordered = sorted(known.indices.items(), key=lambda item: item[1])
        self._indices = np.array([index for _, index in ordered], dtype=np.int64)
        self._pubkeys = _as_rows(key for key, _ in ordered)
        places = max(len(self._wanted), 1) * _FILTER_PLACES_PER_KEY
        bits = min(max(places.bit_length(), _FEWEST_FILTER_BITS), _MOST_FILTER_BITS)
        self._mask = np.uint32((1 << bits) - 1)
        self._filter = np.zeros(1 << bits, dtype=np.bool_)
        self._filter[_last_bytes(_as_rows(self._wanted)) & self._mask] = True

    def look(self, first: int, pubkeys: npt.NDArray[np.uint8]) -> None:
        """Look through the keys (uint8, n by 48) of the validators from index `first` on.

        Raises KeysMovedError when a known key is not where it was, or a watched key stands there twice.
        """
        low, high = np.searchsorted(self._indices, (first, first + len(pubkeys)))
        rows = pubkeys[self._indices[low:high] - first]
        if not np.array_equal(rows, self._pubkeys[low:high]):
            raise KeysMovedError(f"a watched key is no longer among validators {first} and following")
        start = max(self._known.searched - first, 0)
        if start >= len(pubkeys) or not self._wanted:
            return
        fresh = pubkeys[start:]
        for row in np.flatnonzero(self._filter[_last_bytes(fresh) & self._mask]):
            key = fresh[row].tobytes()
            index = first + start + int(row)
            if key in self._wanted and self._found.setdefault(key, index) != index:
                raise KeysMovedError(f"validators {self._found[key]} and {index} have the same public key")

    def found(self, count: int) -> KeyIndices:
        """Return what is known after all `count` validators were looked through.

        Raises KeysMovedError when a known validator is not among them.
        """
        if len(self._indices) and int(self._indices[-1]) >= count:
            raise KeysMovedError(f"a watched key of validator {self._indices[-1]} is gone: there are {count}")
        return replace(self._known, indices=MappingProxyType(self._found), searched=count)


def _as_rows(keys: Iterable[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, PUBKEY_BYTES)


def _last_bytes(pubkeys: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(pubkeys[:, _FILTERED]).view("<u4")[:, 0]
