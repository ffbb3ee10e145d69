"""The epoch transition against the specification, written out once more validator by validator."""

from math import isqrt

import numpy as np
import pytest

from stakewatch.simulator.blocks import Checkpoint, Deposit
from stakewatch.simulator.state import (
    State,
    base_reward_per_increment,
    in_inactivity_leak,
    never,
    process_epoch,
)

ETH = 10**9
SOURCE, TARGET, HEAD = 0, 1, 2
WEIGHTS = {SOURCE: 14, TARGET: 26, HEAD: 14}


def state_of(count: int, seed: int = 0) -> State:
    """Return a state in which everything that matters is random."""
    random = np.random.default_rng(seed)
    balances = random.integers(28 * ETH, 36 * ETH, count)
    exits = never(count)
    exits[random.random(count) < 0.1] = 3
    checkpoint = Checkpoint(0, "0x00")
    return State(
        slot=0,
        slots_per_epoch=8,
        balances=balances,
        effective_balances=np.minimum(balances // ETH * ETH, 32 * ETH),
        maximum_effective_balances=np.full(count, 32 * ETH),
        activation_epochs=np.where(random.random(count) < 0.1, 7, 0).astype(np.uint64),
        exit_epochs=exits,
        withdrawable_epochs=never(count),
        previous_participation=random.integers(0, 8, count).astype(np.uint8),
        current_participation=random.integers(0, 8, count).astype(np.uint8),
        inactivity_scores=random.integers(0, 900, count),
        justified_bits=(True, True, False, True),
        previous_justified=checkpoint,
        current_justified=checkpoint,
        finalized=checkpoint,
    )


def active(state: State, index: int, epoch: int) -> bool:
    return int(state.activation_epochs[index]) <= epoch < int(state.exit_epochs[index])


def participating(state: State, flag: int, epoch: int) -> set[int]:
    """Return who earned a flag in the epoch before (get_unslashed_participating_indices)."""
    return {
        index
        for index in range(len(state.balances))
        if active(state, index, epoch - 1) and int(state.previous_participation[index]) >> flag & 1
    }


def specified_scores(state: State, epoch: int) -> list[int]:
    """Process_inactivity_updates of consensus-specs altair/beacon-chain.md."""
    scores = [int(value) for value in state.inactivity_scores]
    for index in (index for index in range(len(scores)) if active(state, index, epoch - 1)):
        if index in participating(state, TARGET, epoch):
            scores[index] -= min(1, scores[index])
        else:
            scores[index] += 4
        if epoch - 1 - state.finalized.epoch <= 4:
            scores[index] -= min(16, scores[index])
    return scores


def specified_deltas(state: State, scores: list[int], epoch: int) -> list[dict[int, int]]:
    """Get_flag_index_deltas and get_inactivity_penalty_deltas of altair and bellatrix."""
    effective = [int(value) for value in state.effective_balances]
    everybody = range(len(effective))
    total = max(ETH, sum(effective[index] for index in everybody if active(state, index, epoch)))
    eligible = [index for index in everybody if active(state, index, epoch - 1)]
    leak = epoch - 1 - state.finalized.epoch > 4
    per_increment = ETH * 64 // isqrt(total)
    deltas: list[dict[int, int]] = []
    for flag, weight in WEIGHTS.items():
        attesting = participating(state, flag, epoch)
        increments = max(ETH, sum(effective[index] for index in attesting)) // ETH
        delta = {}
        for index in eligible:
            base = effective[index] // ETH * per_increment
            if index in attesting:
                delta[index] = 0 if leak else base * weight * increments // (total // ETH * 64)
            elif flag != HEAD:
                delta[index] = -(base * weight // 64)
        deltas.append(delta)
    target = participating(state, TARGET, epoch)
    leaving = [index for index in eligible if index not in target]
    deltas.append({index: -(effective[index] * scores[index] // (4 * 2**24)) for index in leaving})
    return deltas


def specified(state: State, epoch: int) -> tuple[list[int], list[int], list[int]]:
    """Return balances, inactivity scores and effective balances as the specification's loops give them.

    After justification, and without slashings and churn, which the simulated chain does not have.
    """
    scores = specified_scores(state, epoch)
    balances = [int(value) for value in state.balances]
    for delta in specified_deltas(state, scores, epoch):
        for index, amount in delta.items():
            balances[index] = max(0, balances[index] + amount)
    effective = [int(value) for value in state.effective_balances]
    for index, balance in enumerate(balances):
        if balance + ETH // 4 < effective[index] or effective[index] + 5 * ETH // 4 < balance:
            effective[index] = min(balance - balance % ETH, 32 * ETH)
    return balances, scores, effective


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("epoch", [4, 30])
def test_the_transition_is_the_specifications_validator_by_validator(seed: int, epoch: int) -> None:
    state = state_of(97, seed)
    checkpoints = (Checkpoint(epoch - 1, "0x01"), Checkpoint(epoch, "0x02"))
    # Justification comes first and decides about the leak, so it is let happen in both.
    justified = state.copy()
    process_epoch(justified, epoch, checkpoints)
    expected_state = state.copy()
    expected_state.finalized = justified.finalized
    balances, scores, effective = specified(expected_state, epoch)

    deltas = process_epoch(state, epoch, checkpoints)

    assert state.balances.tolist() == balances
    assert state.inactivity_scores.tolist() == scores
    assert state.effective_balances.tolist() == effective
    assert deltas.tolist() == [
        after - before for after, before in zip(balances, expected_state.balances, strict=True)
    ]


def test_the_states_above_are_with_and_without_a_leak() -> None:
    assert not in_inactivity_leak(state_of(97), 4)
    assert in_inactivity_leak(state_of(97), 30)


def test_the_base_reward_is_that_of_a_real_chain_of_64_validators() -> None:
    assert base_reward_per_increment(64 * 32 * ETH) == 44721


def full_state(count: int) -> State:
    state = state_of(count)
    state.balances[:] = 32 * ETH
    state.effective_balances[:] = 32 * ETH
    state.activation_epochs[:] = 0
    state.exit_epochs[:] = never(count)
    state.inactivity_scores[:] = 0
    state.previous_participation[:] = 0b111
    state.current_participation[:] = 0b111
    return state


def test_rewards_are_those_that_a_real_lodestar_chain_paid() -> None:
    # rewards_att.json: 64 validators, four of which missed the head: 313047, 581373 and 293481.5625 gwei.
    state = full_state(64)
    state.previous_participation[:4] = 0b011
    deltas = process_epoch(state, 3, (Checkpoint(2, "0x01"), Checkpoint(3, "0x02")))
    assert deltas[63] == 313047 + 581373 + 293481
    assert deltas[0] == 313047 + 581373


def test_on_a_network_of_mainnets_size_an_attestation_pays_about_nine_thousand_gwei() -> None:
    state = full_state(1_000_000)
    deltas = process_epoch(state, 3, (Checkpoint(2, "0x01"), Checkpoint(3, "0x02")))
    assert 9_600 <= deltas[0] <= 9_700


def test_nobody_is_paid_at_the_end_of_the_genesis_epoch() -> None:
    state = full_state(64)
    assert process_epoch(state, 0, (Checkpoint(0, "0x00"), Checkpoint(0, "0x00"))).sum() == 0


def test_participation_moves_on_by_one_epoch() -> None:
    state = full_state(64)
    state.current_participation[:] = 0b101
    process_epoch(state, 3, (Checkpoint(2, "0x01"), Checkpoint(3, "0x02")))
    assert set(state.previous_participation.tolist()) == {0b101}
    assert set(state.current_participation.tolist()) == {0}


def test_finality_follows_two_justified_epochs_in_a_row() -> None:
    state = full_state(64)
    state.justified_bits = (True, True, True, False)
    state.previous_justified, state.current_justified = Checkpoint(7, "0x07"), Checkpoint(8, "0x08")
    process_epoch(state, 9, (Checkpoint(8, "0x08"), Checkpoint(9, "0x09")))
    assert state.current_justified == Checkpoint(9, "0x09")
    assert state.finalized == Checkpoint(8, "0x08")


@pytest.mark.parametrize(("attesting", "justified"), [(43, True), (42, False)])
def test_exactly_two_thirds_justify(attesting: int, justified: bool) -> None:  # noqa: FBT001 - a column of the table
    state = full_state(64)
    state.current_participation[:] = 0
    state.current_participation[:attesting] = 0b111
    state.previous_participation[:] = 0
    process_epoch(state, 9, (Checkpoint(8, "0x08"), Checkpoint(9, "0x09")))
    assert (state.current_justified == Checkpoint(9, "0x09")) is justified


def test_a_queued_deposit_waits_until_its_slot_is_finalized() -> None:
    state = full_state(64)
    queue: tuple[Deposit, ...] = (Deposit(5, ETH, 16), Deposit(6, ETH, 17))
    state.pending_deposits = queue
    state.justified_bits = (True, True, True, False)
    state.previous_justified, state.current_justified = Checkpoint(1, "0x01"), Checkpoint(2, "0x02")
    process_epoch(state, 3, (Checkpoint(2, "0x02"), Checkpoint(3, "0x03")))
    assert state.finalized.epoch == 2
    assert list(state.pending_deposits) == [Deposit(6, ETH, 17)]
    assert state.balances[5] - state.balances[7] == ETH
    assert state.balances[6] == state.balances[7]


def test_a_balance_never_falls_below_zero() -> None:
    state = full_state(64)
    state.balances[0] = 10
    state.previous_participation[0] = 0
    process_epoch(state, 3, (Checkpoint(2, "0x01"), Checkpoint(3, "0x02")))
    assert state.balances[0] == 0
