"""Who attested how, from settled blocks and committees alone: inclusion distances and timely votes.

Source: consensus-specs, altair `get_attestation_participation_flag_indices`, with deneb's rule that a timely
target may be included at any time of its own and the next epoch (EIP-7045).
"""

import base64
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.attestation_rewards import HEAD, SOURCE, TARGET, AttestationTotals
from stakewatch.ethereum.beacon_block import Attestation, Block
from stakewatch.ethereum.committees import Committees
from stakewatch_exporter.counters import AttestationCounters
from stakewatch_exporter.membership import Membership

_TIMELY = 0b111
_INCLUDED = 1 << 3
_KEPT_EPOCHS = 2
_MOST_FLAGS = 10_000_000


@dataclass(frozen=True)
class KnownCommittees:
    """The committees of an epoch, and the root of the block that decided them."""

    committees: Committees
    deciding_root: str


@dataclass(frozen=True)
class Votes:
    """The votes of an epoch as the blocks show them.

    `flags` (uint8) and `is_due` (bool, who had to attest) have one entry per validator index, up to the
    highest that had to attest.
    """

    epoch: int
    flags: npt.NDArray[np.uint8]
    is_due: npt.NDArray[np.bool_]

    def due(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return those of the validators who had to attest."""
        inside = indices[indices < len(self.is_due)]
        return inside[self.is_due[inside]]

    def timely(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return the timely flags of validators who had to attest."""
        return self.flags[indices] & np.uint8(_TIMELY)

    def totals(self, indices: npt.NDArray[np.int64] | None = None) -> AttestationTotals:
        """Return counts of some validators, of all when None; what needs balances stays 0."""
        due = np.flatnonzero(self.is_due) if indices is None else self.due(indices)
        flags = self.timely(due)
        return AttestationTotals(
            duties=len(due),
            missed=int((flags == 0).sum()),
            source_votes=int((flags >> SOURCE & 1).sum()),
            target_votes=int((flags >> TARGET & 1).sum()),
            head_votes=int((flags >> HEAD & 1).sum()),
        )


class Attesters:
    """Takes settled blocks in their order with `settle`; `votes` tells of an epoch that is complete.

    `first_epoch` is the first whose attestations are all seen.
    """

    def __init__(self, first_slot: int, slots_per_epoch: int) -> None:
        self.slots_per_epoch = slots_per_epoch
        self.committees: dict[int, KnownCommittees] = {}
        self.first_epoch = 0
        self.flags: dict[int, npt.NDArray[np.uint8]] = {}
        self.incomplete: set[int] = set()
        self.begin(first_slot)

    def begin(self, slot: int) -> None:
        """Count attestations to slots from this one on, of whole epochs only."""
        self.first_epoch = -(-slot // self.slots_per_epoch)
        self.flags.clear()
        self.incomplete.clear()

    def lacking(self, first_slot: int, last_slot: int) -> list[int]:
        """Return the epochs whose committees are needed to settle these slots and are not known."""
        first = max(self.first_epoch, first_slot // self.slots_per_epoch - 1)
        last = (last_slot - 1) // self.slots_per_epoch
        return [epoch for epoch in range(first, last + 1) if epoch not in self.committees]

    def settle(
        self,
        block: Block,
        root_at: Callable[[int], str],
        membership: Membership,
        network: AttestationCounters,
        groups: Mapping[str, AttestationCounters],
    ) -> None:
        """Count the attestations of a settled block; `root_at` tells the block at or before a slot."""
        for attestation in block.attestations:
            epoch = attestation.slot // self.slots_per_epoch
            if epoch < self.first_epoch:
                continue
            known = self.committees.get(epoch)
            if known is None:
                self.incomplete.add(epoch)
                continue
            try:
                attesters = known.committees.attesters(attestation)
            except ValueError:
                # The block is settled, so the committees must be those of another branch.
                self.incomplete.add(epoch)
                continue
            flags = self._flags_of(epoch, known.committees)
            fresh = attesters[flags[attesters] & _INCLUDED == 0]
            distance = block.slot - attestation.slot
            if len(fresh):
                network.include(distance, len(fresh))
                for name, number in membership.counts(fresh).items():
                    groups[name].include(distance, number)
            flags[attesters] |= np.uint8(self._timely(attestation, distance, root_at) | _INCLUDED)

    def _flags_of(self, epoch: int, committees: Committees) -> npt.NDArray[np.uint8]:
        flags = self.flags.get(epoch)
        if flags is None:
            size = int(committees.members.max(initial=0)) + 1
            flags = self.flags[epoch] = np.zeros(size, dtype=np.uint8)
        return flags

    def _timely(self, attestation: Attestation, distance: int, root_at: Callable[[int], str]) -> int:
        slots = self.slots_per_epoch
        flags = 1 << SOURCE if distance <= isqrt(slots) else 0
        if attestation.target_root == root_at(attestation.target_epoch * slots):
            flags |= 1 << TARGET
            if distance == 1 and attestation.head_root == root_at(attestation.slot):
                flags |= 1 << HEAD
        return flags

    def votes(self, epoch: int) -> Votes | None:
        """Return the votes of an epoch, None when not all of its attestations could be read."""
        known = self.committees.get(epoch)
        if known is None or epoch in self.incomplete or epoch < self.first_epoch:
            return None
        flags = self._flags_of(epoch, known.committees)
        is_due = np.zeros(len(flags), dtype=np.bool_)
        is_due[known.committees.members] = True
        return Votes(epoch, flags, is_due)

    def forget(self, settled_epoch: int) -> None:
        """Forget what blocks after those of an epoch cannot concern any more."""
        oldest = settled_epoch - _KEPT_EPOCHS + 1
        self.committees = {epoch: known for epoch, known in self.committees.items() if epoch >= oldest}
        self.flags = {epoch: flags for epoch, flags in self.flags.items() if epoch >= oldest}
        self.incomplete = {epoch for epoch in self.incomplete if epoch >= oldest}

    def saved(self) -> dict[int, str]:
        """Return the flags by epoch as text, for the state file."""
        return {
            epoch: base64.b64encode(zlib.compress(flags.tobytes(), 1)).decode()
            for epoch, flags in self.flags.items()
        }

    def restore(self, first_epoch: int, flags: Mapping[int, str], incomplete: Iterable[int]) -> None:
        """Take up what was saved. Raises ValueError when it cannot be read."""
        self.first_epoch = first_epoch
        self.incomplete = set(incomplete)
        for epoch, text in flags.items():
            unpacker = zlib.decompressobj()
            try:
                content = unpacker.decompress(base64.b64decode(text, validate=True), _MOST_FLAGS)
            except zlib.error as error:
                raise ValueError(f"the votes of epoch {epoch} are damaged") from error
            if not unpacker.eof:
                raise ValueError(f"the votes of epoch {epoch} are cut off")
            self.flags[epoch] = np.frombuffer(content, dtype=np.uint8).copy()
