"""What each source says of an epoch, counted by hand for eight validators."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stakewatch.ethereum.attestation_rewards import AttestationRewards, AttestationTotals, RewardParameters
from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.registry_answer import JsonRegistry
from stakewatch.ethereum.reward_answers import RewardAnswer
from stakewatch.ethereum.state_stream import NEVER, BeaconState, Registry
from stakewatch_exporter.attesters import Votes
from stakewatch_exporter.epoch_result import (
    Moment,
    NetworkFigures,
    Queue,
    Recent,
    Tier,
    completed,
    from_answers,
    from_own_answers,
    from_state,
    from_votes,
)
from stakewatch_exporter.membership import Membership

from .conftest import ETH

FULL = 32 * ETH
MOMENT = Moment(epoch=7, slot=71, root="0xab")
# Of alpha: 0 is perfect, 1 missed.
# Of bravo, which is disabled: 2 missed the head and leaves soon, 3 is slashed.
# Of others: 4 is perfect with 64 ETH, 5 has left, 6 waits for its activation, 7 begins with the next epoch.
MEMBERS = Membership(("alpha", "bravo"), np.array([0, 0, 1, 1], dtype=np.int16), np.arange(4, dtype=np.int64))
REGISTRY = JsonRegistry(
    effective_balances=np.array([FULL, FULL, FULL, FULL, 2 * FULL, FULL, FULL, FULL], dtype=np.int64),
    activation_eligibility_epochs=np.zeros(8, dtype=np.uint32),
    activation_epochs=np.array([0, 0, 0, 0, 0, 0, NEVER, 8], dtype=np.uint32),
    exit_epochs=np.array([NEVER, NEVER, 9, NEVER, NEVER, 7, NEVER, NEVER], dtype=np.uint32),
    is_slashed=np.array([False, False, False, True, False, False, False, False]),
)
HAS_DUTY = np.array([True, True, True, False])
# Source, target, head of each validator.
REWARDS = {0: (2, 5, 3), 1: (-2, -5, 0), 2: (2, 5, 0), 3: (-2, -5, 0), 4: (4, 10, 6)}
GROUPS = {
    "alpha": AttestationTotals(
        duties=2,
        missed=1,
        source_votes=1,
        target_votes=1,
        head_votes=1,
        balance=2 * FULL,
        source_balance=FULL,
        target_balance=FULL,
        head_balance=FULL,
        reward=10,
        ideal_reward=20,
        source_penalty=2,
        target_penalty=5,
    ),
    "bravo": AttestationTotals(
        duties=1,
        source_votes=1,
        target_votes=1,
        balance=FULL,
        source_balance=FULL,
        target_balance=FULL,
        reward=7,
        ideal_reward=10,
        source_penalty=2,
        target_penalty=5,
    ),
}
STRANGER = AttestationTotals(
    duties=1,
    source_votes=1,
    target_votes=1,
    head_votes=1,
    balance=2 * FULL,
    source_balance=2 * FULL,
    target_balance=2 * FULL,
    head_balance=2 * FULL,
    reward=20,
    ideal_reward=20,
)


@pytest.fixture
def answer() -> RewardAnswer:
    """Return what a node says of all who were active in the epoch."""
    ideals = [
        {"effective_balance": str(size * FULL), "source": 2 * size, "target": 5 * size, "head": 3 * size}
        for size in (1, 2)
    ]
    totals = [
        {"validator_index": str(index), "source": source, "target": target, "head": head}
        for index, (source, target, head) in REWARDS.items()
    ]
    taken = RewardAnswer()
    data = {"data": {"ideal_rewards": ideals, "total_rewards": totals}}
    taken.feed(json.dumps(data, separators=(",", ":")).encode())
    return taken.finish()


def test_answers_about_everybody_give_groups_network_and_figures(answer: RewardAnswer) -> None:
    result = from_answers(MOMENT, REGISTRY, answer, MEMBERS, frozenset({"bravo"}))
    assert (result.epoch, result.slot, result.root, result.tier) == (7, 71, "0xab", Tier.JSON_NETWORK)
    assert result.groups == GROUPS
    assert result.network == GROUPS["alpha"] + GROUPS["bravo"] + STRANGER
    assert (result.missed, result.imperfect, result.live) == ((1,), (1, 2), (2,))
    assert result.figures == NetworkFigures(
        epoch=8,
        active_validators=6,
        active_balance=7 * FULL,
        queues={Queue.EXIT: 1, Queue.DEPOSIT: 1},
    )


def test_answers_about_ours_alone_say_the_same_of_ours_and_nothing_else(answer: RewardAnswer) -> None:
    everybody = from_answers(MOMENT, REGISTRY, answer, MEMBERS, frozenset({"bravo"}))
    ours = from_own_answers(
        MOMENT,
        answer,
        MEMBERS,
        frozenset({"bravo"}),
        has_duty=HAS_DUTY,
        effective_balances=REGISTRY.effective_balances[:4],
    )
    assert ours == replace(everybody, tier=Tier.JSON_WATCHED, network=None, figures=None)


def test_a_group_that_is_not_disabled_may_sign(answer: RewardAnswer) -> None:
    assert from_answers(MOMENT, REGISTRY, answer, MEMBERS, frozenset()).live == ()


def test_a_validator_of_ours_that_the_registry_lacks_is_an_error(answer: RewardAnswer) -> None:
    beyond = Membership(("alpha",), np.zeros(9, dtype=np.int16), np.array([0, 8], dtype=np.int64))
    with pytest.raises(ValueError, match="validator 8 is not in it"):
        from_answers(MOMENT, REGISTRY, answer, beyond, frozenset())


# The votes of the epoch, and of the next one so far: source 1, target 2, head 4. Who is slashed has none that
# count, and 1, who missed the epoch, is back.
PARTICIPATION = np.array([7, 0, 3, 7, 7, 0, 0, 0], dtype=np.uint8)
SO_FAR = np.array([7, 1, 0, 7, 7, 0, 0, 0], dtype=np.uint8)
PARAMETERS = RewardParameters(64, 2**24, 4, 16, 4)


def state(so_far: np.ndarray[tuple[int], np.dtype[np.uint8]] = SO_FAR, **queues: int) -> BeaconState:
    """Return the state at the last slot of the epoch after."""
    columns = vars(REGISTRY)
    registry = Registry(
        effective_balances=(columns["effective_balances"] // ETH).astype(np.uint16),
        activation_eligibility_epochs=columns["activation_eligibility_epochs"],
        activation_epochs=columns["activation_epochs"],
        exit_epochs=columns["exit_epochs"],
        withdrawable_epochs=np.full(8, NEVER, dtype=np.uint32),
        is_slashed=columns["is_slashed"],
        withdrawal_prefixes=np.ones(8, dtype=np.uint8),
    )
    no_seats = np.zeros((0, 48), dtype=np.uint8)
    return BeaconState(
        fork="electra",
        slot=71,
        slots_per_epoch=8,
        effective_balance_increment=ETH,
        justification_bits=(True, True, True, True),
        previous_justified_epoch=6,
        current_justified_epoch=7,
        finalized_epoch=6,
        finalized_root=bytes(32),
        registry=registry,
        balances=REGISTRY.effective_balances,
        previous_participation=PARTICIPATION,
        current_participation=so_far,
        inactivity_scores=np.zeros(8, dtype=np.uint32),
        current_sync_committee=no_seats,
        next_sync_committee=no_seats,
        queue_lengths=queues,
        keys=KeyIndices(frozenset()),
    )


def test_a_state_says_who_missed_and_who_signs_although_disabled() -> None:
    result = from_state(MOMENT, state(), PARAMETERS, MEMBERS, frozenset({"bravo"}))
    assert (result.epoch, result.slot, result.root, result.tier) == (7, 71, "0xab", Tier.SSZ)
    # 3 is slashed: what it signs brings nothing, but in the next epoch it is seen.
    assert (result.missed, result.imperfect, result.live) == ((1,), (1, 2), (2, 3))
    rewards = AttestationRewards(state(), PARAMETERS)
    assert result.groups is not None
    assert result.groups["alpha"] == rewards.totals(np.array([0, 1]))
    assert (result.groups["bravo"].duties, result.groups["bravo"].head_votes) == (1, 0)
    assert result.network == rewards.network()
    assert result.network.duties == 4


def test_a_disabled_key_that_signs_in_either_epoch_is_seen() -> None:
    disabled = frozenset({"alpha", "bravo"})
    nothing_yet = np.zeros(8, dtype=np.uint8)
    assert from_state(MOMENT, state(), PARAMETERS, MEMBERS, disabled).live == (0, 1, 2, 3)
    assert from_state(MOMENT, state(nothing_yet), PARAMETERS, MEMBERS, disabled).live == (0, 2)
    assert from_state(MOMENT, state(), PARAMETERS, MEMBERS, frozenset()).live == ()


def test_a_state_says_how_the_epoch_goes_on_for_groups_that_are_on_duty() -> None:
    result = from_state(MOMENT, state(), PARAMETERS, MEMBERS, frozenset({"bravo"}))
    assert result.recent == {"alpha": Recent(all=1, some=1, none=0)}
    assert result.network_recent == Recent(all=2, some=1, none=2)


def test_the_queues_of_a_state_are_its_own_or_counted_in_its_registry() -> None:
    older = from_state(MOMENT, state(), PARAMETERS, MEMBERS, frozenset()).figures
    assert older == NetworkFigures(
        epoch=8,
        active_validators=6,
        active_balance=7 * FULL,
        queues={Queue.EXIT: 1, Queue.DEPOSIT: 1, Queue.WITHDRAWAL: 0, Queue.CONSOLIDATION: 0},
    )
    newer = state(pending_deposits=11, pending_partial_withdrawals=12, pending_consolidations=13)
    figures = from_state(MOMENT, newer, PARAMETERS, MEMBERS, frozenset()).figures
    assert figures is not None
    assert figures.queues == {
        Queue.EXIT: 1,
        Queue.DEPOSIT: 11,
        Queue.WITHDRAWAL: 12,
        Queue.CONSOLIDATION: 13,
    }


VOTES = Votes(7, PARTICIPATION[:5], np.array([True, True, True, False, True]))


def test_blocks_say_who_voted_and_nothing_of_amounts() -> None:
    result = from_votes(MOMENT, VOTES, MEMBERS, frozenset({"bravo"}))
    assert (result.epoch, result.slot, result.root, result.tier) == (7, 71, "0xab", Tier.BLOCKS)
    assert (result.missed, result.imperfect, result.live) == ((1,), (1, 2), (2,))
    assert result.groups == {
        "alpha": AttestationTotals(duties=2, missed=1, source_votes=1, target_votes=1, head_votes=1),
        "bravo": AttestationTotals(duties=1, source_votes=1, target_votes=1),
    }
    assert result.network == AttestationTotals(
        duties=4, missed=1, source_votes=3, target_votes=3, head_votes=2
    )
    assert result.figures is None
    assert from_votes(MOMENT, VOTES, MEMBERS, frozenset()).live == ()


def test_blocks_tell_of_the_network_where_the_source_did_not(answer: RewardAnswer) -> None:
    everybody = from_answers(MOMENT, REGISTRY, answer, MEMBERS, frozenset())
    assert completed(everybody, VOTES) is everybody
    ours = replace(everybody, network=None)
    assert completed(ours, None) is ours
    assert completed(ours, VOTES) == replace(everybody, network=VOTES.totals())
