"""The simulated chain: what it pays, takes and remembers, and that its truth adds up."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from stakewatch.errors import StakewatchError
from stakewatch.simulator.blocks import Source
from stakewatch.simulator.chain import BUILDER, FULL_BALANCE, Chain, ChainParameters, Result
from stakewatch.simulator.presets import GWEI, MAINNET
from stakewatch.simulator.truth import Truth
from stakewatch.simulator.views import sight

PARAMETERS = ChainParameters(genesis_time=1_700_000_000, validators=256, watched=64)


def chain_at(slot: int, **changes: object) -> Chain:
    chain = Chain(replace(PARAMETERS, **changes))  # type: ignore[arg-type] # fields by name
    chain.advance_to(slot)
    return chain


def test_the_same_parameters_give_the_same_chain() -> None:
    first, second = chain_at(80), chain_at(80)
    assert first.state.balances.tolist() == second.state.balances.tolist()
    assert first.state.head_root == second.state.head_root


def test_advancing_in_steps_is_advancing_at_once() -> None:
    steps = chain_at(0)
    for slot in range(1, 60):
        steps.advance_to(slot)
        steps.advance_to(slot)
    assert steps.state.balances.tolist() == chain_at(59).state.balances.tolist()


def test_another_seed_gives_other_keys_and_proposers() -> None:
    first, second = chain_at(8), chain_at(8, seed=2)
    assert not set(first.pubkeys) & set(second.pubkeys)
    assert first.genesis_validators_root != second.genesis_validators_root


def test_finality_is_two_epochs_behind() -> None:
    chain = chain_at(80)
    assert chain.epochs[10].finalized.epoch == 8
    assert chain.epochs[10].current_justified.epoch == 9


def test_an_attestation_pays_in_the_second_epoch_after_it() -> None:
    chain = chain_at(39)
    chain.offline[3] = True
    chain.advance_to(47)
    chain.offline[3] = False
    chain.advance_to(90)
    lost = [epoch for epoch in range(2, 9) if Truth(chain).attestation_deltas(epoch)[3] < 0]
    assert lost == [5]
    assert chain.epochs[7].attestation_deltas[3] < 0
    assert chain.epochs[6].attestation_deltas[3] > 0


def test_whoever_attests_earns_and_whoever_does_not_loses() -> None:
    chain = chain_at(40)
    chain.offline[:4] = True
    chain.advance_to(96)
    earned = Truth(chain).earned_by_all(9, 12)
    # A seat in the sync committee costs an absent key even more.
    assert (earned[:4] < 0).all()
    assert (earned[4:64] > 0).all()


def test_every_balance_is_the_last_one_and_all_that_happened_since() -> None:
    chain = chain_at(100)
    assert chain.balances_at(100).tolist() == chain.state.balances.tolist()
    for earlier, later in pairwise(range(60, 100)):
        change = chain.balances_at(later) - chain.balances_at(earlier)
        moved = np.zeros_like(change)
        for indices, amounts in chain.slots[later].changes:
            np.add.at(moved, indices, amounts)
        if later % 8 == 0:
            epoch = chain.epochs[later // 8]
            moved += epoch.attestation_deltas
        assert change.tolist() == moved.tolist()


def test_earned_is_attestations_proposals_and_sync_committee_and_no_withdrawal() -> None:
    chain = chain_at(120)
    truth = Truth(chain)
    expected = np.sum([chain.epochs[epoch].attestation_deltas for epoch in range(6, 15)], axis=0)
    for slot in range(41, 113):
        record = chain.slots[slot]
        for indices, amounts in record.changes:
            np.add.at(expected, indices, amounts)
    expected = expected + truth.withdrawn(40, 112)
    assert truth.earned_by_all(5, 14).tolist() == expected.tolist()
    assert truth.withdrawn(40, 112).sum() > 0


def test_a_block_pays_out_at_most_the_presets_number_of_withdrawals() -> None:
    chain = chain_at(60)
    counts = [len(record.block.payload.withdrawals) for record in chain.slots.values() if record.block]
    assert max(counts) == 4


def test_a_withdrawal_takes_a_balance_back_to_32_eth() -> None:
    chain = chain_at(14, missed_proposal_ratio=0.0)
    withdrawals = chain.block_at_or_before(13).payload.withdrawals
    assert len(withdrawals) == 4
    for withdrawal in withdrawals:
        assert withdrawal.amount == chain.balances_at(12)[withdrawal.validator_index] - FULL_BALANCE


def test_a_forced_sweep_passes_all_watched_keys_within_an_epoch_and_nobody_loses() -> None:
    # The usual sweep is at the other half of the validators then.
    chain = chain_at(96)
    chain.sweep_watched()
    chain.advance_to(104)
    truth = Truth(chain)
    assert (truth.withdrawn(96, 104)[:64] > 0).all()
    # All but those who proposed a block since they were swept.
    assert (truth.balances(13)[:64] < truth.balances(12)[:64]).sum() >= 60
    assert (truth.earned_by_all(12, 13)[:64] > 0).all()
    chain.advance_to(106)
    block = chain.slots[106].block or chain.slots[105].block
    assert block is not None
    assert len(block.payload.withdrawals) <= 4


def test_a_missed_proposal_leaves_its_slot_empty_and_pays_nothing() -> None:
    chain = chain_at(40)
    chain.miss_proposal(45)
    chain.advance_to(47)
    (proposal,) = Truth(chain).proposals(45, 45)
    assert proposal.result is Result.MISSED
    assert (proposal.consensus_reward, proposal.execution_reward, proposal.source) == (0, 0, None)
    assert chain.slots[46].block is not None
    assert chain.slots[46].block.parent_root == chain.block_at_or_before(44).root


def test_attestations_after_a_missed_block_come_too_late_for_the_head() -> None:
    chain = chain_at(40, miss_ratio=0.0, missed_proposal_ratio=0.0)
    chain.miss_proposal(45)
    chain.advance_to(64)
    deltas = Truth(chain).attestation_deltas(5)
    late = np.concatenate(chain.epochs[5].committees[4])
    assert deltas[late].max() < deltas[np.concatenate(chain.epochs[5].committees[2])].min()
    assert deltas[late].min() > 0


def test_an_orphaned_block_is_undone_and_its_payload_leaves_the_execution_chain() -> None:
    chain = chain_at(50, missed_proposal_ratio=0.0)
    chain.orphan_proposal(53)
    chain.advance_to(53)
    orphan = chain.slots[53].block
    assert orphan is not None
    assert chain.state.head_root == orphan.root
    chain.advance_to(54)
    assert chain.slots[53].result is Result.ORPHANED
    assert chain.slots[53].block is None
    assert chain.blocks[orphan.root] is orphan
    block = chain.slots[54].block
    assert block is not None
    assert block.parent_root == orphan.parent_root
    assert block.payload.block_number == orphan.payload.block_number
    assert chain.payload_numbers[orphan.payload.block_number] == block.payload.block_hash
    assert chain.balances_at(54).tolist() == chain.state.balances.tolist()


def test_a_deposit_raises_the_balance_at_once_in_deneb_and_is_not_earned() -> None:
    chain = chain_at(40)
    chain.deposit(7, 5 * GWEI)
    chain.advance_to(48)
    truth = Truth(chain)
    assert truth.deposited(40, 48)[7] == 5 * GWEI
    assert truth.balance(7, 6) - truth.balance(7, 5) > 4 * GWEI
    assert 0 < truth.earned(7, 5, 6) < GWEI


def test_a_deposit_waits_in_the_queue_for_finality_in_electra() -> None:
    chain = chain_at(40, fork="electra")
    chain.deposit(7, 5 * GWEI)
    chain.advance_to(48)
    truth = Truth(chain)
    assert [deposit.validator_index for deposit in chain.slots[48].pending_deposits] == [7]
    assert truth.deposited(40, 48)[7] == 0
    chain.advance_to(88)
    assert chain.slots[88].pending_deposits == ()
    assert truth.deposited(40, 88)[7] == 5 * GWEI
    assert 0 < truth.earned(7, 5, 11) < GWEI


def test_compounding_validators_are_not_swept_and_earn_by_their_balance() -> None:
    chain = chain_at(80, fork="electra", compounding_ratio=0.5)
    large = int(np.flatnonzero(chain.compounding)[0])
    assert chain.credentials(large).startswith("0x02")
    assert Truth(chain).withdrawn(0, 80)[large] == 0
    small = int(np.flatnonzero(~chain.compounding)[0])
    deltas = Truth(chain).attestation_deltas(5)
    assert deltas[large] > deltas[small]


def test_an_exit_ends_the_duties_and_the_sweep_pays_everything_out() -> None:
    chain = chain_at(40)
    chain.exit(9)
    chain.advance_to(160)
    record = chain.epochs[20]
    assert record.exit_epochs[9] < 20
    assert not any(9 in committee for slot in record.committees for committee in slot)
    chain.advance_to(400)
    assert chain.state.balances[9] == 0


def test_without_two_thirds_finality_stops_and_the_leak_begins() -> None:
    chain = chain_at(40)
    chain.offline[100:] = True
    chain.advance_to(120)
    record = chain.epochs[15]
    assert record.finalized.epoch <= 4
    assert record.inactivity_leak
    earned = Truth(chain).attestation_deltas(13)
    assert earned[0] == 0
    assert earned[200] < 0


def test_a_proposal_pays_tips_when_built_locally_and_one_payment_when_bought() -> None:
    chain = chain_at(200)
    proposals = [one for one in Truth(chain).proposals(1, 200) if one.result is Result.PROPOSED]
    assert {one.source for one in proposals} == {Source.LOCAL, Source.BUILDER}
    for proposal in proposals:
        payload = chain.block_at_or_before(proposal.slot).payload
        ours = chain.fee_recipient(proposal.validator_index)
        if proposal.source is Source.LOCAL:
            assert payload.fee_recipient == ours
            assert proposal.execution_reward == payload.priority_fees
        else:
            assert payload.fee_recipient == BUILDER
            paid = [
                transaction.value
                for transaction in payload.transactions
                if transaction.sender == BUILDER and transaction.recipient == ours
            ]
            assert paid == [proposal.execution_reward]


def test_some_builders_send_a_refund_after_the_payment() -> None:
    chain = chain_at(300)
    refunded = [
        record.block.payload.transactions[-1].recipient != chain.fee_recipient(record.proposer_index)
        for record in chain.slots.values()
        if record.block and record.source is Source.BUILDER
    ]
    assert any(refunded)
    assert not all(refunded)


def test_the_consensus_reward_is_what_the_proposers_balance_gains() -> None:
    chain = chain_at(100)
    for slot in range(60, 100):
        block = chain.slots[slot].block
        if block is None:
            continue
        indices, amounts = chain.slots[slot].changes[-1]
        assert (indices.tolist(), amounts.tolist()) == ([block.proposer_index], [block.consensus_reward])
        assert block.consensus_reward > 0


def test_everybody_sits_in_one_committee_per_epoch() -> None:
    record = chain_at(20).epochs[2]
    members = np.concatenate([committee for slot in record.committees for committee in slot])
    assert sorted(members.tolist()) == list(range(256))


def test_what_is_too_old_is_forgotten_and_said_to_be() -> None:
    chain = chain_at(200, keep_epochs=8)
    assert min(chain.epochs) == chain.oldest_epoch == 18
    assert len(chain.slots) < 90
    with pytest.raises(StakewatchError, match="was forgotten"):
        Truth(chain).balance(0, 3)
    with pytest.raises(StakewatchError, match="has not come yet"):
        Truth(chain).balance(0, 30)


def test_genesis_stays_known_when_its_epoch_is_forgotten() -> None:
    chain = chain_at(200, keep_epochs=8)
    assert chain.genesis_block.slot == 0
    assert chain.slots[0].block is chain.genesis_block


def test_a_large_chain_keeps_fewer_epochs() -> None:
    assert replace(PARAMETERS, validators=2_000_000).history_epochs == 8
    assert PARAMETERS.history_epochs == 256


def test_the_mainnet_preset_has_epochs_of_32_slots() -> None:
    chain = chain_at(100, preset=MAINNET, validators=4096)
    assert chain.epoch_of(100) == 3
    assert max(len(record.block.payload.withdrawals) for record in chain.slots.values() if record.block) == 16


@pytest.mark.parametrize(("validators", "watched"), [(4, 1), (256, 0), (256, 257)])
def test_a_chain_that_cannot_be_is_refused(validators: int, watched: int) -> None:
    with pytest.raises(StakewatchError, match="cannot be"):
        Chain(replace(PARAMETERS, validators=validators, watched=watched))


def test_nothing_that_finality_still_needs_is_forgotten() -> None:
    chain = chain_at(40, keep_epochs=8)
    chain.offline[64:] = True
    chain.advance_to(200)
    assert chain.state.finalized.epoch <= 4
    assert chain.oldest_epoch <= chain.state.finalized.epoch
    chain.block_at_or_before(chain.first_slot(chain.state.finalized.epoch))


def test_a_frozen_sight_outlives_what_the_chain_forgets() -> None:
    chain = chain_at(70, keep_epochs=8)
    frozen = sight(chain, 70)
    chain.advance_to(400)
    assert chain.oldest_epoch > frozen.epoch.epoch
    assert frozen.head_block.slot in {68, 69, 70}
    assert frozen.finalized_block.slot <= frozen.justified_block.slot < frozen.head_block.slot
    clamped = sight(chain, 70)
    assert clamped.head == chain.first_slot(chain.oldest_epoch)
