"""The slot clock."""

from stakewatch.ethereum.clock import SlotClock

MAINNET = SlotClock(genesis_seconds=1606824023, slot_milliseconds=12_000, slots_per_epoch=32)


def test_a_slot_begins_with_its_first_millisecond() -> None:
    start = MAINNET.start_of(1_000_000)
    assert MAINNET.slot_at(start) == 1_000_000
    assert MAINNET.slot_at(start - 0.001) == 999_999
    assert MAINNET.slot_at(start + 11.999) == 1_000_000


def test_slots_before_genesis_are_negative() -> None:
    assert MAINNET.slot_at(1606824022) == -1


def test_slots_of_half_a_second_do_not_drift() -> None:
    clock = SlotClock(genesis_seconds=10, slot_milliseconds=500, slots_per_epoch=8)
    assert clock.slot_at(10.5) == 1
    assert clock.start_of(3) == 11.5
    assert clock.slot_seconds == 0.5


def test_epochs_are_whole_runs_of_slots() -> None:
    assert MAINNET.epoch_of(31) == 0
    assert MAINNET.epoch_of(32) == 1
    assert MAINNET.first_slot(3) == 96
