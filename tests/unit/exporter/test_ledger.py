"""The books: earned, withdrawals, deposits, proposals, what settles and what does not."""

from dataclasses import replace

import pytest

from stakewatch.ethereum.beacon_api import Status
from stakewatch.ethereum.rewards import ExecutionReward, RewardSource
from stakewatch_exporter.blocks import Anchor, BlockTree
from stakewatch_exporter.figures import group_figures, not_earning_keys
from stakewatch_exporter.ledger import Ledger, ProposalRewards

from .conftest import ETH, block, follow, groups, ledger, root, validator, validators

FULL = 32 * ETH
EPOCH = 8


def _earned(books: Ledger) -> dict[int, int]:
    return {index: account.earned for index, account in books.accounts.items()}


def _read(books: Ledger, epoch: int, **balances: int) -> None:
    """Read the state of an epoch's first slot; balances as v0, v1, v2 relative to 32 ETH."""
    state = {index: FULL + balances.get(f"v{index}", 0) for index in range(3)}
    books.read(epoch, epoch * EPOCH, validators(state), {})


def test_the_first_state_is_where_earning_begins() -> None:
    books = ledger(8)
    _read(books, 1, v0=500)
    assert _earned(books) == {0: 0, 1: 0, 2: 0}


def test_what_a_balance_grows_by_is_earned_and_what_it_shrinks_by_is_lost() -> None:
    books = ledger(8)
    _read(books, 1, v0=500)
    _read(books, 2, v0=800, v1=-40)
    assert _earned(books) == {0: 300, 1: -40, 2: 0}
    assert group_figures(books, is_leaking=False)["alpha"].earned == 260


def test_a_withdrawal_sweep_is_no_loss() -> None:
    books = ledger(8, block(9, 8), block(16, 9, withdrawals={0: 700, 99: 5}))
    _read(books, 1, v0=650)
    _read(books, 2, v0=50)
    assert _earned(books)[0] == 100


def test_a_withdrawal_after_the_state_waits_for_the_next_one() -> None:
    books = ledger(8, block(9, 8), block(17, 9, withdrawals={0: 700}))
    _read(books, 1, v0=650)
    _read(books, 2, v0=750)
    assert _earned(books)[0] == 100
    follow(books, block(24, 17))
    _read(books, 3, v0=150)
    assert _earned(books)[0] == 200


def test_a_deposit_is_no_gain() -> None:
    books = ledger(8, block(9, 8, deposits={1: ETH}))
    _read(books, 1)
    _read(books, 2, v1=ETH + 30)
    assert _earned(books)[1] == 30


def test_a_deposit_that_waits_in_the_queue_is_no_loss_and_no_gain() -> None:
    books = ledger(8, block(9, 8, deposits={1: ETH}))
    _read(books, 1)
    state = validators(dict.fromkeys(range(3), FULL + 10))
    books.read(2, 16, state, {state[1].pubkey: ETH})
    assert _earned(books)[1] == 10
    books.read(3, 24, validators({0: FULL + 20, 1: FULL + ETH + 20, 2: FULL + 20}), {})
    assert _earned(books) == {0: 20, 1: 20, 2: 20}


def test_excess_that_passes_through_the_queue_is_no_loss() -> None:
    books = ledger(8)
    _read(books, 1, v1=3 * ETH)
    state = validators(dict.fromkeys(range(3), FULL))
    books.read(2, 16, state, {state[1].pubkey: 3 * ETH})
    assert _earned(books)[1] == 0
    assert books.corrections["balance_jump"] == 0


def test_earned_stands_still_while_the_queue_is_unknown_and_catches_up() -> None:
    books = ledger(8)
    _read(books, 1)
    books.read(2, 16, validators({0: FULL + 10, 1: FULL, 2: FULL}), None)
    assert _earned(books)[0] == 0
    assert group_figures(books, is_leaking=False)["alpha"].balance == 2 * FULL + 10
    _read(books, 3, v0=25)
    assert _earned(books)[0] == 25


def test_earned_stands_still_while_a_block_cannot_be_read() -> None:
    books = ledger(8, block(9, 8, is_complete=False))
    _read(books, 1)
    _read(books, 2, v0=-FULL + 5)
    assert _earned(books)[0] == 0


def test_settling_blocks_changes_no_key_and_counts_groups_once() -> None:
    books = ledger(8, block(9, 8, withdrawals={0: 700}), block(16, 9, withdrawals={2: 5}))
    _read(books, 1, v0=650)
    _read(books, 2, v0=50)
    before = _earned(books)
    books.settle(12, is_final=True)
    books.settle(12, is_final=True)
    assert books.counters["alpha"].withdrawals == 700
    assert books.counters["bravo"].withdrawals == 0
    assert books.tree.anchor == Anchor(12, root(9), is_final=True)
    follow(books, block(24, 16))
    _read(books, 3, v0=60)
    assert _earned(books)[0] == before[0] + 10
    books.settle(24, is_final=False)
    assert books.counters["bravo"].withdrawals == 5


def test_settling_backwards_changes_nothing() -> None:
    books = ledger(8, block(9, 8), block(10, 9))
    _read(books, 1)
    books.settle(10, is_final=True)
    books.settle(9, is_final=True)
    assert books.tree.anchor.slot == 10


def test_a_reorganisation_corrects_what_was_earned() -> None:
    books = ledger(8, block(9, 8), block(15, 9, withdrawals={0: 700}))
    _read(books, 1, v0=700)
    _read(books, 2, v0=10)
    assert _earned(books)[0] == 10
    follow(books, block(16, 9, name="other"))
    _read(books, 2, v0=710)
    assert _earned(books)[0] == 10
    follow(books, block(24, "other", name="other2"))
    _read(books, 3, v0=730)
    assert _earned(books)[0] == 30


def test_a_deposit_that_is_left_out_of_the_queue_is_no_loss() -> None:
    books = ledger(8)
    _read(books, 1)
    # The deposit is gone from the queue that is told and not in the balance, which grows by a reward.
    _read(books, 2, v0=-ETH + 10**7)
    assert _earned(books)[0] == 0
    _read(books, 3, v0=2 * 10**7)
    assert _earned(books)[0] == 0
    assert books.corrections["balance_jump"] == 2
    _read(books, 4, v0=3 * 10**7)
    assert _earned(books)[0] == 10**7


def test_a_balance_that_jumps_by_more_than_any_reward_is_set_aside() -> None:
    books = ledger(8)
    _read(books, 1)
    _read(books, 2, v0=2 * ETH, v1=-2 * ETH, v2=7)
    assert _earned(books) == {0: 0, 1: 0, 2: 7}
    assert books.corrections["balance_jump"] == 2
    _read(books, 3, v0=2 * ETH + 9, v1=-2 * ETH + 9)
    assert _earned(books)[0] == 9
    assert _earned(books)[1] == 9


def test_a_slashing_is_a_loss_however_large() -> None:
    books = ledger(8)
    _read(books, 1)
    state = validators({0: FULL, 1: FULL, 2: FULL})
    state[1] = validator(1, FULL - 3 * ETH, status=Status.ACTIVE_SLASHED, is_slashed=True)
    books.read(2, 16, state, {})
    assert _earned(books)[1] == -3 * ETH


def test_a_key_that_is_gone_makes_the_whole_state_unusable() -> None:
    books = ledger(8)
    _read(books, 1)
    with pytest.raises(ValueError, match="1 keys that were there are gone, validator 2"):
        books.read(2, 16, validators({0: FULL, 1: FULL}), {})
    assert books.last_epoch == 1


def test_a_state_with_none_of_our_keys_is_refused() -> None:
    books = ledger(8)
    with pytest.raises(ValueError, match="none of our keys"):
        books.read(1, 8, {}, {})
    assert group_figures(books, is_leaking=False) == {}


def test_a_key_that_appears_later_begins_with_nothing_earned() -> None:
    books = ledger(8)
    books.read(1, 8, validators({0: FULL, 2: FULL}), {})
    _read(books, 2, v1=0, v0=4)
    assert _earned(books) == {0: 4, 1: 0, 2: 0}


def test_every_status_is_there_and_adds_up_to_the_keys() -> None:
    books = ledger(8)
    state = validators({0: FULL, 1: FULL, 2: FULL})
    state[1] = validator(1, status=Status.PENDING_QUEUED)
    books.read(1, 8, state, {})
    figures = group_figures(books, is_leaking=False)["alpha"]
    assert set(figures.statuses) == set(Status)
    assert figures.statuses[Status.ACTIVE_ONGOING] == 1
    assert figures.statuses[Status.PENDING_QUEUED] == 1
    assert figures.effective_balance == 2 * FULL


def test_who_earned_nothing_in_two_epochs_is_told() -> None:
    books = ledger(8)
    _read(books, 3)
    _read(books, 4, v0=10, v1=10, v2=-5)
    assert group_figures(books, is_leaking=False)["bravo"].not_earning is None
    _read(books, 5, v0=20, v1=1, v2=0)
    assert not_earning_keys(books, is_leaking=False) == [2]
    assert group_figures(books, is_leaking=False)["alpha"].not_earning == 0
    assert group_figures(books, is_leaking=False)["bravo"].not_earning == 1


def test_a_key_of_a_disabled_group_is_not_blamed_for_earning_nothing() -> None:
    alpha, bravo = groups()
    books = Ledger((alpha, replace(bravo, enabled=False)), BlockTree(Anchor(8, root(8))))
    for epoch in (3, 4, 5):
        _read(books, epoch)
    assert not_earning_keys(books, is_leaking=False) == [0, 1]
    assert group_figures(books, is_leaking=False)["bravo"].not_earning == 0


@pytest.mark.parametrize("is_leaking", [True, None])
def test_in_a_leak_nobody_is_blamed_for_earning_nothing(*, is_leaking: bool | None) -> None:
    books = ledger(8)
    for epoch in (3, 4, 5):
        _read(books, epoch)
    assert group_figures(books, is_leaking=False)["bravo"].not_earning == 1
    assert group_figures(books, is_leaking=is_leaking)["bravo"].not_earning is None


def test_a_key_is_not_blamed_before_its_first_attestation_can_have_been_paid() -> None:
    for activation_epoch, blamed in ((2, True), (3, False)):
        books = ledger(8)
        for epoch in (3, 4, 5):
            state = validators({0: FULL + epoch, 1: FULL + epoch})
            state[2] = validator(2, activation_epoch=activation_epoch)
            books.read(epoch, epoch * EPOCH, state, {})
        assert (not_earning_keys(books, is_leaking=False) == [2]) is blamed


def test_epochs_that_do_not_follow_each_other_blame_nobody() -> None:
    books = ledger(8)
    for epoch in (3, 4, 6):
        _read(books, epoch)
    assert not_earning_keys(books, is_leaking=False) is None


def test_proposals_are_counted_when_they_settle() -> None:
    books = ledger(8, block(9, 8, proposer=0), block(11, 9), block(10, 9, name="lost", proposer=1))
    follow(books, block(13, 11, proposer=2))
    books.take_duties({9: 0, 10: 1, 12: 1, 13: 2, 14: 99})
    _read(books, 1)
    assert books.counters["alpha"].proposed == 0
    books.settle(12, is_final=True)
    counters = books.counters["alpha"]
    assert (counters.proposed, counters.orphaned, counters.missed) == (1, 1, 1)
    assert books.counters["bravo"].proposed == 0
    books.settle(20, is_final=True)
    assert books.counters["bravo"].proposed == 1
    assert (counters.proposed, counters.orphaned, counters.missed) == (1, 1, 1)


def test_a_slot_whose_duty_is_unknown_is_not_called_missed() -> None:
    books = ledger(8, block(12, 8))
    _read(books, 1)
    books.settle(12, is_final=True)
    assert all(counters.missed == 0 for counters in books.counters.values())


def test_nothing_settles_before_our_keys_are_known_but_not_for_ever() -> None:
    books = ledger(8, block(9, 8, withdrawals={0: 5}))
    books.settle(9, is_final=True)
    assert books.tree.anchor.slot == 8
    books.settle(8 + 256, is_final=True)
    assert books.tree.anchor.slot == 264


REWARD = ExecutionReward(RewardSource.LOCAL, 1500, is_mismatch=False)


def test_rewards_are_added_once_each_when_known_and_settled() -> None:
    books = ledger(8, block(9, 8, proposer=0))
    _read(books, 1)
    rewards = books.rewards[root(9)] = ProposalRewards(consensus_gwei=70)
    books.pay(root(9))
    assert books.counters["alpha"].consensus_reward == 0
    books.settle(9, is_final=True)
    assert books.counters["alpha"].consensus_reward == 70
    books.pay(root(9))
    assert books.counters["alpha"].consensus_reward == 70
    assert [proposal.block.slot for proposal in books.own_proposals()] == [9]
    rewards.execution = REWARD
    books.pay(root(9))
    assert books.counters["alpha"].execution_wei[RewardSource.LOCAL] == 1500
    assert books.counters["alpha"].consensus_reward == 70
    assert books.own_proposals() == []


def test_a_payment_to_nobody_of_ours_is_a_mismatch() -> None:
    books = ledger(8, block(9, 8, proposer=0))
    _read(books, 1)
    books.rewards[root(9)] = ProposalRewards(5, ExecutionReward(RewardSource.UNKNOWN, 0, is_mismatch=True))
    books.settle(9, is_final=True)
    assert books.counters["alpha"].fee_recipient_mismatches == 1


def test_the_rewards_of_a_block_that_was_orphaned_are_forgotten() -> None:
    books = ledger(8, block(9, 8, name="lost", proposer=0))
    follow(books, block(10, 8))
    _read(books, 1)
    books.rewards[root("lost")] = ProposalRewards(5, REWARD)
    books.settle(10, is_final=True)
    assert books.rewards == {}
    assert books.counters["alpha"].consensus_reward == 0


def test_after_a_gap_figures_go_on_without_what_lay_between() -> None:
    books = ledger(8, block(9, 8))
    _read(books, 1)
    _read(books, 2, v0=100)
    books.start_again(Anchor(80, root(80)), epoch=10, deep_reorg=False)
    assert books.epochs_skipped == 8
    _read(books, 10, v0=-5000)
    assert _earned(books)[0] == 100
    _read(books, 11, v0=-4990)
    assert _earned(books)[0] == 110
    assert books.corrections["deep_reorg"] == 0


def test_a_reorganisation_of_what_was_settled_is_a_correction_and_no_counter_falls() -> None:
    books = ledger(8, block(9, 8, proposer=0, withdrawals={0: 7}))
    _read(books, 1)
    books.settle(9, is_final=False)
    books.start_again(Anchor(16, root("x")), epoch=2, deep_reorg=True)
    assert books.corrections["deep_reorg"] == 1
    assert books.counters["alpha"].withdrawals == 7
    assert books.counters["alpha"].proposed == 1
