"""Looks through a beacon state for all validators that withdraw to given addresses, as its bytes come in.

Source: consensus-specs, `Validator` (pubkey, then 32 bytes of withdrawal credentials) and `BeaconState`; a
prefix 0x01 or 0x02 is followed by eleven zeros and the address.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.state_layout import OFFSET_BYTES, PUBKEY_BYTES, VALIDATOR_BYTES, StateLayout

_CREDENTIAL_BYTES = 32
_ADDRESS_BYTES = 20
_PREFIXES = (b"\x01", b"\x02")
_LAST_WORD = slice(PUBKEY_BYTES + _CREDENTIAL_BYTES - 4, PUBKEY_BYTES + _CREDENTIAL_BYTES)
_LARGEST_REGISTRY_BYTES = 10_000_000 * VALIDATOR_BYTES


def credentials_of(texts: Iterable[str]) -> frozenset[bytes]:
    """Return credentials of 32 bytes for 0x and 64 hex digits, both kinds of an address for 0x and 40."""
    found: set[bytes] = set()
    for text in texts:
        content = bytes.fromhex(text[2:])
        if len(content) == _ADDRESS_BYTES:
            found.update(prefix + bytes(11) + content for prefix in _PREFIXES)
        else:
            found.add(content)
    return frozenset(found)


class CredentialSearch:
    """Takes a state's bytes with `feed` and gives what was found with `finish`: keys by their credentials."""

    def __init__(self, layout: StateLayout, wanted: frozenset[bytes], *, slot: int) -> None:
        names = [field.name for field in layout.lists]
        place = names.index("validators")
        self._words = (layout.lists[place].position, layout.lists[place + 1].position)
        self._slot_position = layout.positions["slot"]
        self._fixed_bytes = layout.fixed_bytes
        self._slot = slot
        self._wanted = wanted
        self._words_wanted = np.array(
            sorted({int.from_bytes(one[-4:], "little") for one in wanted}), dtype="<u4"
        )
        self._found: dict[bytes, list[str]] = {one: [] for one in wanted}
        self._head = bytearray()
        self._rest = bytearray()
        self._received = 0
        self._bounds: tuple[int, int] | None = None

    def feed(self, chunk: bytes, /) -> None:
        """Take the next bytes. Raises ValueError when they are not the state that was asked for."""
        start, self._received = self._received, self._received + len(chunk)
        if self._bounds is None:
            self._head += chunk
            if len(self._head) < self._fixed_bytes:
                return
            self._bounds = self._read_bounds()
            chunk, start = bytes(self._head), 0
            self._head.clear()
        first, last = self._bounds
        self._rest += chunk[max(first - start, 0) : max(last - start, 0)]
        whole = len(self._rest) - len(self._rest) % VALIDATOR_BYTES
        if whole:
            self._look(np.frombuffer(bytes(self._rest[:whole]), dtype=np.uint8).reshape(-1, VALIDATOR_BYTES))
            del self._rest[:whole]

    def finish(self) -> dict[bytes, tuple[str, ...]]:
        """Return the public keys (0x and 96 hex digits) of each wanted credential, in order of their indices.

        Raises ValueError when the state was cut off within its validators.
        """
        if self._bounds is None or self._received < self._bounds[1]:
            raise ValueError(f"the state ends after {self._received} bytes, before its validators do")
        return {credentials: tuple(keys) for credentials, keys in self._found.items()}

    def _read_bounds(self) -> tuple[int, int]:
        head = self._head
        slot = int.from_bytes(head[self._slot_position : self._slot_position + 8], "little")
        if slot != self._slot:
            raise ValueError(f"the state is of slot {slot}, not of slot {self._slot}")
        first, last = (int.from_bytes(head[at : at + OFFSET_BYTES], "little") for at in self._words)
        length = last - first
        if (
            not self._fixed_bytes <= first <= last
            or length % VALIDATOR_BYTES
            or length > _LARGEST_REGISTRY_BYTES
        ):
            raise ValueError(f"its validators cannot stand from byte {first} to {last}")
        return first, last

    def _look(self, rows: npt.NDArray[np.uint8]) -> None:
        """Compare four bytes of all, and the whole of the few that they leave."""
        words = np.ascontiguousarray(rows[:, _LAST_WORD]).view("<u4")[:, 0]
        for row in np.flatnonzero(np.isin(words, self._words_wanted)):
            record = rows[row].tobytes()
            keys = self._found.get(record[PUBKEY_BYTES : PUBKEY_BYTES + _CREDENTIAL_BYTES])
            if keys is not None:
                keys.append(f"0x{record[:PUBKEY_BYTES].hex()}")
