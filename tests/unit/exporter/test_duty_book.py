"""The books of duties: what is counted when a slot is settled, by which source, and what waits for more."""

from dataclasses import replace

import numpy as np
import pytest

from stakewatch.ethereum.attestation_rewards import AttestationTotals
from stakewatch.ethereum.beacon_api import Status
from stakewatch.ethereum.beacon_block import Consolidation
from stakewatch.ethereum.committees import Committees
from stakewatch_exporter.attesters import KnownCommittees
from stakewatch_exporter.blocks import Anchor, BlockTree
from stakewatch_exporter.duty_book import ProposalResult
from stakewatch_exporter.epoch_result import EpochResult, NetworkFigures, Tier
from stakewatch_exporter.figures import (
    Unexpected,
    group_figures,
    live_keys,
    missing,
    not_earning_keys,
    slashed_keys,
)
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.seats import SeatParameters

from .conftest import ETH, block, follow, groups, pubkey, root, validator, validators

SLOTS = 8
FULL = 32 * ETH


def _books(*, patience: int = 0) -> Ledger:
    """Return the ledger of alpha (0 and 1) and bravo (2) from slot 8 on, with one reading."""
    books = Ledger(groups(), BlockTree(Anchor(8, root(8))), slots_per_epoch=SLOTS)
    books.read(1, 8, validators(dict.fromkeys(range(3), FULL)), {})
    books.patience_slots = patience
    return books


def _grow(books: Ledger, last: int) -> None:
    first = books.tree.newest_slot + 1
    follow(books, *(block(slot, slot - 1) for slot in range(first, last + 1)))


def _result(
    epoch: int, *, missed: tuple[int, ...] = (), name: object = None, live: tuple[int, ...] = ()
) -> EpochResult:
    slot = (epoch + 2) * SLOTS - 1
    return EpochResult(
        epoch=epoch,
        slot=slot,
        root=root(slot if name is None else name),
        tier=Tier.SSZ,
        groups={
            "alpha": AttestationTotals(duties=2, missed=len(missed), reward=50, source_penalty=3),
            "bravo": AttestationTotals(duties=1, source_votes=1, target_votes=1),
        },
        network=AttestationTotals(duties=100, missed=4),
        missed=missed,
        imperfect=missed,
        live=live,
        figures=NetworkFigures(epoch + 1, 100, 3200 * ETH, {}),
    )


def test_a_result_is_counted_when_its_slot_is_settled_and_not_before() -> None:
    books = _books()
    _grow(books, 26)
    books.book.take(_result(1, missed=(0,)))
    books.settle(22, is_final=True)
    assert books.counters["alpha"].attestations.duties == 0
    books.settle(23, is_final=True)
    alpha = books.counters["alpha"].attestations
    assert (alpha.duties, alpha.missed, alpha.reward, alpha.source_penalty) == (2, 1, 50, 3)
    assert books.counters["bravo"].attestations.head_wrong == 1
    assert books.book.network.attestations.duties == 100
    books.settle(26, is_final=True)
    assert books.counters["alpha"].attestations.duties == 2


def test_a_result_of_another_branch_is_never_counted() -> None:
    books = _books()
    _grow(books, 26)
    books.book.take(_result(1, name="other"))
    books.settle(26, is_final=True)
    assert books.counters["alpha"].attestations.duties == 0


def test_misses_in_a_row_are_counted_until_a_vote() -> None:
    books = _books()
    _grow(books, 50)
    for epoch, missed in ((1, (0, 1)), (2, (0,)), (3, (0,))):
        books.book.take(_result(epoch, missed=missed))
    books.settle(31, is_final=True)
    assert missing(books)["alpha"] == {1: 1, 2: 1, 3: 0, 5: 0}
    books.settle(39, is_final=True)
    assert missing(books)["alpha"] == {1: 1, 2: 1, 3: 1, 5: 0}
    books.book.take(_result(4))
    books.settle(47, is_final=True)
    assert missing(books)["alpha"] == {1: 0, 2: 0, 3: 0, 5: 0}


def test_settling_waits_for_what_is_to_come_but_not_for_ever() -> None:
    books = _books(patience=4 * SLOTS)
    _grow(books, 60)
    books.settle(30, is_final=True)
    assert books.tree.anchor.slot == 8
    every = np.arange(3, dtype=np.uint32)
    bounds = np.tile(np.array([0, 3], dtype=np.int64), (SLOTS, 1))
    for epoch in range(1, 4):
        books.book.attesters.committees[epoch] = KnownCommittees(
            Committees(epoch, every, bounds), root("any")
        )
    books.book.take(_result(0))
    books.settle(30, is_final=True)
    assert books.tree.anchor == Anchor(15, root(15))
    books.book.given_up.add(1)
    books.book.take(_result(2))
    books.settle(30, is_final=True)
    assert books.tree.anchor == Anchor(30, root(30), is_final=True)
    books.settle(60, is_final=True)
    assert books.tree.anchor.slot < 60
    books.patience_slots = 20
    books.settle(60, is_final=True)
    assert books.tree.anchor.slot == 60
    assert books.epochs_skipped > 0


def test_seats_are_paid_by_the_balance_of_their_epoch() -> None:
    books = _books()
    books.book.seat_parameters = SeatParameters(8, ETH, 64)
    books.book.seats[0] = (0, 0, 2, 99)
    books.book.active_balances[1] = 3200 * ETH
    own = replace(block(9, 8), sync_bits=bytes((0b0101,)))
    follow(books, own)
    books.settle(9, is_final=True)
    alpha, bravo = books.counters["alpha"], books.counters["bravo"]
    assert (alpha.sync_hits, alpha.sync_misses, bravo.sync_hits, bravo.sync_misses) == (1, 1, 1, 0)
    assert alpha.sync_reward == alpha.sync_penalty == bravo.sync_reward > 0
    assert (books.book.network.sync_hits, books.book.network.sync_misses) == (2, 2)


def test_seats_of_an_unknown_committee_are_not_guessed() -> None:
    books = _books()
    books.book.seat_parameters = SeatParameters(8, ETH, 64)
    follow(books, replace(block(9, 8), sync_bits=b"\x0f"))
    books.settle(9, is_final=True)
    assert books.book.network.sync_hits == books.book.network.sync_misses == 0


def test_the_last_64_slots_tell_proposed_missed_and_orphaned() -> None:
    books = _books()
    books.take_duties({10: 0, 11: 1, 12: 2})
    books.tree.add([block(11, 9, name="stray", proposer=1)])
    follow(books, block(9, 8), block(12, 9, proposer=2), block(13, 12))
    expected = {
        9: ProposalResult.PROPOSED,
        10: ProposalResult.MISSED,
        11: ProposalResult.ORPHANED,
        12: ProposalResult.PROPOSED,
        13: ProposalResult.PROPOSED,
    }
    assert {slot: outcome.result for slot, outcome in books.recent().items()} == expected
    books.settle(13, is_final=True)
    assert {slot: outcome.result for slot, outcome in books.recent().items()} == expected
    assert books.recent()[11].proposer == 1
    network = books.book.network
    assert (network.proposed, network.missed, network.orphaned) == (3, 1, 1)
    assert books.counters["alpha"].orphaned == 1
    assert books.counters["alpha"].missed == 1
    _grow(books, 80)
    assert min(books.recent()) == 80 - 63


def test_slashings_are_seen_at_the_head_and_counted_when_settled() -> None:
    books = _books()
    follow(books, replace(block(9, 8), proposer_slashings=(1,), attester_slashings=(50, 51)))
    assert slashed_keys(books) == [1]
    assert books.book.network.attester_slashings == 0
    books.settle(9, is_final=True)
    assert books.book.network.attester_slashings == 2
    assert books.book.network.proposer_slashings == 1
    assert slashed_keys(books) == [1]


def test_a_slashed_key_stays_one_after_its_exit() -> None:
    books = _books()
    state = validators(dict.fromkeys(range(3), FULL))
    state[0] = validator(0, FULL, status=Status.EXITED_SLASHED, is_slashed=True)
    books.read(2, 16, state, {})
    assert slashed_keys(books) == [0]


def test_exits_and_consolidations_of_our_keys_are_counted() -> None:
    books = _books()
    moves = (
        Consolidation("0x" + "11" * 20, pubkey(0), pubkey(1)),
        Consolidation("0x" + "11" * 20, pubkey(1), pubkey(1)),
        Consolidation("0x" + "11" * 20, pubkey(99), pubkey(1)),
    )
    follow(books, replace(block(9, 8), exits=(2, 77), consolidations=moves))
    books.settle(9, is_final=True)
    assert books.counters["bravo"].voluntary_exits == 1
    assert books.counters["alpha"].voluntary_exits == 0
    assert books.counters["alpha"].consolidations == 1


def test_the_chances_of_a_group_add_up_slot_by_slot() -> None:
    books = _books()
    books.book.shares = {"alpha": 0.25, "bravo": 0.125}
    _grow(books, 20)
    books.settle(12, is_final=True)
    assert books.counters["alpha"].proposals_expected == 1.0
    assert books.counters["bravo"].proposals_expected == 0.5


def test_a_disabled_group_that_signs_is_told_and_one_that_does_not_is_not_blamed() -> None:
    alpha, bravo = groups()
    books = Ledger(
        (alpha, replace(bravo, enabled=False)), BlockTree(Anchor(8, root(8))), slots_per_epoch=SLOTS
    )
    books.read(1, 8, validators(dict.fromkeys(range(3), FULL)), {})
    books.book.take(_result(1, missed=(2,)))
    assert group_figures(books, is_leaking=False)["bravo"].unexpected[Unexpected.LIVE_WHILE_DISABLED] == 0
    books.book.take(_result(2, live=(2,)))
    assert live_keys(books) == {2}
    assert group_figures(books, is_leaking=False)["bravo"].unexpected[Unexpected.LIVE_WHILE_DISABLED] == 1
    _grow(books, 30)
    books.settle(23, is_final=True)
    assert missing(books)["bravo"][1] == 0


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.ACTIVE_EXITING, None),
        (Status.PENDING_QUEUED, Unexpected.INACTIVE),
        (Status.EXITED_UNSLASHED, Unexpected.EXITED),
        (Status.WITHDRAWAL_DONE, Unexpected.EXITED),
    ],
)
def test_keys_that_do_not_work_are_unexpected(status: Status, reason: Unexpected | None) -> None:
    books = _books()
    state = validators(dict.fromkeys(range(3), FULL))
    state[2] = validator(2, FULL, status=status)
    books.read(2, 16, state, {})
    unexpected = group_figures(books, is_leaking=False)["bravo"].unexpected
    assert {one for one, number in unexpected.items() if number} == ({reason} if reason else set())


def test_a_key_that_the_chain_does_not_know_is_unexpected() -> None:
    books = Ledger(groups(alpha=3), BlockTree(Anchor(8, root(8))), slots_per_epoch=SLOTS)
    books.read(1, 8, validators(dict.fromkeys(range(2), FULL)), {})
    figures = group_figures(books, is_leaking=False)
    assert figures["alpha"].unexpected[Unexpected.UNKNOWN] == 1
    assert figures["bravo"].unexpected[Unexpected.UNKNOWN] == 1


def test_in_a_leak_only_who_gave_no_timely_vote_counts_as_not_earning() -> None:
    books = _books()
    for epoch in (4, 5, 6):
        books.read(epoch, epoch * SLOTS, validators(dict.fromkeys(range(3), FULL - epoch)), {})
    assert not_earning_keys(books, is_leaking=True) is None
    books.book.imperfect = {3: frozenset({2}), 4: frozenset()}
    assert not_earning_keys(books, is_leaking=True) == [2]
    assert not_earning_keys(books, is_leaking=False) == [0, 1, 2]
    assert not_earning_keys(books, is_leaking=None) is None
