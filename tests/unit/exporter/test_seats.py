"""Sync committees: several seats of one key, the reward of a seat, who belongs to whom."""

import numpy as np
import pytest

from stakewatch_exporter.keys import Key
from stakewatch_exporter.membership import Membership, membership
from stakewatch_exporter.seats import SeatParameters, seat_parameters, seat_reward, seats_by_group, sync_votes

from .conftest import pubkey

PARAMETERS = SeatParameters(256, 10**9, 64)


def _members() -> Membership:
    keys = {3: "alpha", 5: "bravo", 8: "alpha"}
    return membership(
        ("alpha", "bravo", "empty"), {index: Key(index, pubkey(index), name) for index, name in keys.items()}
    )


def test_members_are_found_and_others_are_nobodys() -> None:
    members = _members()
    assert members.of(np.array([0, 3, 5, 8, 9, 10**6])).tolist() == [-1, 0, 1, 0, -1, -1]
    assert {name: indices.tolist() for name, indices in members.by_group().items()} == {
        "alpha": [3, 8],
        "bravo": [5],
        "empty": [],
    }


def test_without_keys_nobody_is_ours() -> None:
    members = membership(("alpha",), {})
    assert members.of(np.array([0, 7])).tolist() == [-1, -1]
    assert members.counts(np.array([0, 7])) == {}


def test_a_key_with_several_seats_counts_for_each() -> None:
    seats = [3, 1, 3, 5, 0, 8, 3, 2]
    votes = sync_votes(bytes((0b01100101,)), seats, _members())
    assert votes.hits == {"alpha": 4}
    assert votes.misses == {"bravo": 1}
    assert (votes.network_hits, votes.network_misses) == (4, 4)
    assert seats_by_group(seats, _members()) == {"alpha": 4, "bravo": 1}


def test_bits_for_another_number_of_seats_are_refused() -> None:
    with pytest.raises(ValueError, match="bits"):
        sync_votes(b"\x00\x00", [1] * 8, _members())


def test_the_reward_of_a_seat_on_mainnet() -> None:
    # 34,000,000 ETH: a base reward of 347 gwei per ETH, 2/64 of it all over 32 slots and 512 seats.
    assert seat_reward(34_000_000 * 10**9, PARAMETERS, seats=512, slots_per_epoch=32) == 22_502


def test_the_parameters_come_from_the_specification() -> None:
    values = {
        "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": "256",
        "EFFECTIVE_BALANCE_INCREMENT": "1000000000",
        "BASE_REWARD_FACTOR": "64",
    }
    assert seat_parameters(values) == PARAMETERS
    assert PARAMETERS.period(511) == 1
