"""The slot clock: which slot it is, and when a slot starts, from genesis and the length of a slot."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SlotClock:
    """Slots counted from genesis in whole milliseconds, so that no rounding ever moves a slot.

    Source: consensus-specs, phase0 `compute_time_at_slot`; `SLOT_DURATION_MS` since Gloas.
    """

    genesis_seconds: int
    slot_milliseconds: int
    slots_per_epoch: int

    @property
    def slot_seconds(self) -> float:
        """Length of a slot in seconds."""
        return self.slot_milliseconds / 1000

    def slot_at(self, unix_seconds: float) -> int:
        """Return the slot that is running at a moment; negative before genesis."""
        return (int(unix_seconds * 1000) - self.genesis_seconds * 1000) // self.slot_milliseconds

    def start_of(self, slot: int) -> float:
        """Return the Unix time in seconds at which a slot starts."""
        return (self.genesis_seconds * 1000 + slot * self.slot_milliseconds) / 1000

    def epoch_of(self, slot: int) -> int:
        """Return the epoch that a slot lies in."""
        return slot // self.slots_per_epoch

    def first_slot(self, epoch: int) -> int:
        """Return the first slot of an epoch."""
        return epoch * self.slots_per_epoch
