"""What is read from config/spec."""

import json
from collections.abc import Callable

import pytest

from stakewatch.ethereum.specification import GENESIS_VALIDATORS_ROOTS, parse_specification

MINIMUM = {"SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32"}


def test_a_real_lodestar_specification_is_read(sample: Callable[[str], bytes]) -> None:
    specification = parse_specification(json.loads(sample("config_spec.json"))["data"])
    assert specification.slot_milliseconds == 2000
    assert specification.slots_per_epoch == 8
    assert specification.deposit_chain_id == 3503995
    assert specification.epochs_to_inactivity_penalty == 4
    assert specification.has_forked("DENEB", 0)
    assert not specification.has_forked("ELECTRA", 10**6)


def test_milliseconds_go_before_seconds() -> None:
    assert parse_specification({**MINIMUM, "SLOT_DURATION_MS": "6500"}).slot_milliseconds == 6500


def test_a_fork_is_active_from_its_epoch_on() -> None:
    specification = parse_specification({**MINIMUM, "ELECTRA_FORK_EPOCH": "364032"})
    assert not specification.has_forked("ELECTRA", 364031)
    assert specification.has_forked("ELECTRA", 364032)


def test_the_preset_tells_the_length_of_an_epoch_where_it_is_not_said() -> None:
    assert parse_specification({"SECONDS_PER_SLOT": "5", "PRESET_BASE": "gnosis"}).slots_per_epoch == 16


def test_lists_of_newer_specifications_do_no_harm() -> None:
    schedule = [{"EPOCH": "412672", "MAX_BLOBS_PER_BLOCK": "15"}]
    assert parse_specification({**MINIMUM, "BLOB_SCHEDULE": schedule}).slots_per_epoch == 32


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "neither"),
        ({"SECONDS_PER_SLOT": "12"}, "epoch of 0 slots"),
        ({**MINIMUM, "SECONDS_PER_SLOT": "0"}, "slot of 0 ms"),
        ({**MINIMUM, "SECONDS_PER_SLOT": "-12"}, "not a number"),
        ({**MINIMUM, "SECONDS_PER_SLOT": "1" * 30}, "cannot be"),
        ({**MINIMUM, "SLOTS_PER_EPOCH": "1" * 30}, "cannot be"),
        ({**MINIMUM, "SLOTS_PER_EPOCH": True}, "not a number"),
        ({**MINIMUM, "SLOTS_PER_EPOCH": ["32"]}, "not a number"),
        ({**MINIMUM, "SLOTS_PER_EPOCH": "٣٢"}, "not a number"),
    ],
)
def test_a_clock_that_cannot_be_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_specification(values)


def test_each_known_network_has_its_own_root() -> None:
    assert len(set(GENESIS_VALIDATORS_ROOTS.values())) == len(GENESIS_VALIDATORS_ROOTS)
    assert all(len(root) == 66 for root in GENESIS_VALIDATORS_ROOTS.values())
