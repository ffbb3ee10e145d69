"""The beacon committees of an epoch, and who of them an attestation speaks for.

Source: beacon-APIs `states/{state}/committees`; consensus-specs, phase0 and electra `get_attesting_indices`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.beacon_block import Attestation, Number

_MOST_VALIDATORS = 10_000_000
_MOST_COMMITTEES = 1 << 16
_DIGITS_AND_COMMAS = b"0123456789,"
_AROUND_NUMBERS = b'[]" \t\r\n'


@dataclass(frozen=True)
class Committees:
    """The committees of an epoch, which every active validator is in once.

    `members` are validator indices (uint32), slot by slot and committee by committee; those of committee c of
    the epoch's slot s are `members[bounds[s, c]:bounds[s, c + 1]]` (int64, slots by committees per slot + 1).
    """

    epoch: int
    members: npt.NDArray[np.uint32]
    bounds: npt.NDArray[np.int64]

    def attesters(self, attestation: Attestation) -> npt.NDArray[np.uint32]:
        """Return the validators that an attestation to a slot of this epoch speaks for.

        Raises ValueError when its bits do not fit the committees that it names.
        """
        own = self.bounds[attestation.slot % len(self.bounds)]
        if not attestation.committees or attestation.committees[-1] >= len(own) - 1:
            raise ValueError(f"committees {attestation.committees[-1:]} of {len(own) - 1} at a slot")
        members = self._members(own, attestation.committees)
        bits = np.unpackbits(np.frombuffer(attestation.bits, dtype=np.uint8), bitorder="little")
        # The delimiting bit is the last one that is set; behind it there are less than eight.
        if len(bits) <= len(members) or len(bits) > (len(members) // 8 + 1) * 8:
            raise ValueError(f"{len(bits)} bits for {len(members)} members")
        if not bits[len(members)] or bits[len(members) + 1 :].any():
            raise ValueError(f"the bits of {len(members)} members do not end after them")
        return members[bits[: len(members)].astype(np.bool_)]

    def _members(self, own: npt.NDArray[np.int64], committees: Sequence[int]) -> npt.NDArray[np.uint32]:
        first, last = committees[0], committees[-1]
        if last - first + 1 == len(committees):
            return self.members[own[first] : own[last + 1]]
        return np.concatenate([self.members[own[one] : own[one + 1]] for one in committees])


class _Committee(msgspec.Struct):
    slot: Number
    index: Number
    validators: msgspec.Raw


class _CommitteesAnswer(msgspec.Struct):
    data: list[_Committee]


_COMMITTEES = msgspec.json.Decoder(_CommitteesAnswer, strict=False)


def decode_committees(content: bytes, *, epoch: int, slots_per_epoch: int) -> Committees:
    """Return the committees of an answer about a whole epoch.

    Raises ValueError (msgspec's errors are) when a slot or a committee is missing or twice, slots have
    different numbers of committees, or a validator stands in two committees.
    """
    entries = _COMMITTEES.decode(content).data
    per_slot, rest = divmod(len(entries), slots_per_epoch)
    first_slot = epoch * slots_per_epoch
    if rest or not 0 < len(entries) <= _MOST_COMMITTEES:
        raise ValueError(f"{len(entries)} committees in an epoch of {slots_per_epoch} slots")
    places = [(first_slot + slot, index) for slot in range(slots_per_epoch) for index in range(per_slot)]
    ordered = {(entry.slot, entry.index): entry for entry in entries}
    if ordered.keys() != set(places):
        # Lodestar 1.5 writes the committee's number as the slot, and the slot of the epoch as the index.
        ordered = {(first_slot + entry.index, entry.slot): entry for entry in entries}
    if ordered.keys() != set(places):
        raise ValueError(f"its committees are not those of epoch {epoch}")
    entries = [ordered[place] for place in places]
    parts = [_indices(bytes(entry.validators)) for entry in entries]
    found = np.concatenate(parts)
    if int(found.max(initial=0)) >= _MOST_VALIDATORS:
        raise ValueError(f"a committee with validator {int(found.max())}")
    members = found.astype(np.uint32)
    if int(np.bincount(members).max(initial=0)) > 1:
        raise ValueError("a validator is in two committees")
    ends = np.cumsum([0, *(len(part) for part in parts)])
    bounds = np.stack([ends[start : start + per_slot + 1] for start in range(0, len(entries), per_slot)])
    return Committees(epoch, members, bounds)


def _indices(text: bytes) -> npt.NDArray[np.int64]:
    """Return the numbers of a JSON array of strings or numbers; a thousandth of a decoder's objects."""
    if not (text.startswith(b"[") and text.endswith(b"]")):
        raise ValueError("the members of a committee are no list")
    numbers = text.translate(None, _AROUND_NUMBERS)
    if not numbers:
        return np.empty(0, dtype=np.int64)
    if numbers.translate(None, _DIGITS_AND_COMMAS) or b",," in b"," + numbers + b",":
        raise ValueError("a member of a committee is no validator index")
    found = np.fromstring(numbers.decode("ascii"), dtype=np.int64, sep=",")
    if len(found) != numbers.count(b",") + 1:
        raise ValueError("a member of a committee is no validator index")
    return found


def bitvector(content: bytes, length: int) -> npt.NDArray[np.bool_]:
    """Return the bits (bool, `length` of them) of an SSZ bitvector. Raises ValueError on another length."""
    if len(content) != (length + 7) // 8:
        raise ValueError(f"{len(content)} bytes for {length} bits")
    return np.unpackbits(np.frombuffer(content, dtype=np.uint8), bitorder="little")[:length].astype(np.bool_)
