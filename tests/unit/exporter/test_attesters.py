"""Attestations of settled blocks: distances, timely votes, what is counted once and what not at all."""

import numpy as np
import pytest

from stakewatch.ethereum.beacon_block import Attestation
from stakewatch.ethereum.committees import Committees
from stakewatch_exporter.attesters import Attesters, KnownCommittees
from stakewatch_exporter.counters import AttestationCounters
from stakewatch_exporter.keys import Key
from stakewatch_exporter.membership import Membership, membership

from .conftest import block, pubkey, root

SLOTS = 4


def _committees(epoch: int) -> KnownCommittees:
    """Return one committee of two per slot: validators 0 and 1 in the epoch's first slot, and so on."""
    members = np.arange(2 * SLOTS, dtype=np.uint32)
    bounds = np.array([[2 * slot, 2 * slot + 2] for slot in range(SLOTS)], dtype=np.int64)
    return KnownCommittees(Committees(epoch, members, bounds), root("decided"))


def _members() -> Membership:
    """Return a group of the validators 0 and 3, and one of validator 6."""
    keys = {index: Key(index, pubkey(index), "alpha") for index in (0, 3)}
    return membership(("alpha", "bravo"), {**keys, 6: Key(6, pubkey(6), "bravo")})


def _vote(
    slot: int,
    bits: int = 0b11,
    *,
    head: object = None,
    target: object = None,
    committees: tuple[int, ...] = (0,),
) -> Attestation:
    """Return an attestation that votes for the branch on which each slot has the block of its number."""
    first = slot - slot % SLOTS
    return Attestation(
        slot,
        committees,
        bytes((bits | 0b100,)),
        root(slot if head is None else head),
        slot // SLOTS,
        root(first if target is None else target),
    )


class Books:
    """Attesters over a branch on which each slot has the block of its number."""

    def __init__(self, first_slot: int = 4) -> None:
        self.attesters = Attesters(first_slot, SLOTS)
        self.attesters.committees = {epoch: _committees(epoch) for epoch in range(1, 5)}
        self.network = AttestationCounters()
        self.groups = {"alpha": AttestationCounters(), "bravo": AttestationCounters()}

    def settle(self, slot: int, *attestations: Attestation) -> None:
        own = block(slot, slot - 1)
        own = type(own)(**{**vars(own), "attestations": attestations})
        self.attesters.settle(own, root, _members(), self.network, self.groups)

    def flags(self, epoch: int) -> list[int]:
        votes = self.attesters.votes(epoch)
        assert votes is not None
        return [int(flags) for flags in votes.timely(np.arange(2 * SLOTS))]


def test_distances_are_counted_for_groups_and_network() -> None:
    books = Books()
    books.settle(5, _vote(4))
    books.settle(8, _vote(5, 0b10), _vote(7))
    assert books.network.distances == [4, 0, 1, 0, 0, 0, 0, 0]
    assert books.network.distance_sum == 4 + 3
    assert books.groups["alpha"].distances == [1, 0, 1, 0, 0, 0, 0, 0]
    assert books.groups["bravo"].distances == [1, 0, 0, 0, 0, 0, 0, 0]


def test_only_the_first_inclusion_counts() -> None:
    books = Books()
    books.settle(5, _vote(4, 0b01))
    books.settle(6, _vote(4, 0b11))
    assert books.network.distances == [1, 1, 0, 0, 0, 0, 0, 0]
    assert books.flags(1)[:2] == [7, 3]


def test_a_late_inclusion_stands_in_the_last_bucket() -> None:
    books = Books()
    books.network.include(33, 2)
    books.network.include(32, 1)
    assert books.network.distances == [0, 0, 0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize(
    ("vote", "slot", "flags"),
    [
        (_vote(4), 5, 7),
        (_vote(4), 6, 3),
        (_vote(4), 7, 2),
        (_vote(4, head="other"), 5, 3),
        (_vote(4, target="other"), 5, 1),
        (_vote(4, target="other"), 7, 0),
        (_vote(4, target="other", head="other"), 5, 1),
    ],
    ids=[
        "at once",
        "a slot late",
        "later than the root of the epoch",
        "head",
        "target",
        "late target",
        "both",
    ],
)
def test_votes_are_timely_as_the_specification_says(vote: Attestation, slot: int, flags: int) -> None:
    books = Books()
    books.settle(slot, vote)
    assert books.flags(1)[:2] == [flags, flags]


def test_who_never_attests_has_missed_and_who_attests_wrongly_too() -> None:
    books = Books()
    books.settle(5, _vote(4, 0b01))
    books.settle(8, _vote(5, target="other"))
    votes = books.attesters.votes(1)
    assert votes is not None
    totals = votes.totals()
    assert (totals.duties, totals.missed, totals.head_votes) == (8, 7, 1)
    own = votes.totals(np.array([0, 3, 99]))
    assert (own.duties, own.missed, own.source_votes, own.target_votes, own.head_votes) == (2, 1, 1, 1, 1)


def test_attestations_from_before_the_anchor_are_left_out() -> None:
    books = Books(first_slot=5)
    books.settle(6, _vote(5))
    assert books.network.distances == [0] * 8
    assert books.attesters.votes(1) is None
    books.settle(9, _vote(8))
    assert books.network.distances[0] == 2


def test_without_committees_an_epoch_is_unknown_for_good() -> None:
    books = Books()
    known = books.attesters.committees.pop(1)
    books.settle(5, _vote(4))
    books.attesters.committees[1] = known
    assert books.attesters.votes(1) is None
    assert books.network.distances == [0] * 8
    books.settle(9, _vote(8))
    assert books.attesters.votes(2) is not None


def test_bits_that_do_not_fit_make_the_epoch_unknown_and_nothing_else() -> None:
    books = Books()
    books.settle(5, _vote(4, committees=(7,)))
    books.settle(9, _vote(8))
    assert books.attesters.votes(1) is None
    assert books.attesters.votes(2) is not None


def test_what_is_lacking_is_what_blocks_can_speak_of() -> None:
    attesters = Attesters(4, SLOTS)
    assert attesters.lacking(5, 8) == [1]
    assert attesters.lacking(5, 9) == [1, 2]
    assert attesters.lacking(9, 13) == [1, 2, 3]
    attesters.committees[1] = _committees(1)
    assert attesters.lacking(5, 8) == []


def test_old_epochs_are_forgotten() -> None:
    books = Books()
    books.settle(5, _vote(4))
    books.settle(9, _vote(8))
    books.attesters.forget(3)
    assert set(books.attesters.committees) == {2, 3, 4}
    assert set(books.attesters.flags) == {2}


def test_votes_survive_saving() -> None:
    books = Books()
    books.settle(5, _vote(4))
    again = Books()
    again.attesters.restore(1, books.attesters.saved(), ())
    assert again.flags(1) == books.flags(1)
    again.settle(6, _vote(4))
    assert again.network.distances == [0] * 8
