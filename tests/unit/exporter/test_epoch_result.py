"""What JSON answers about an epoch come to, counted by hand for eight validators."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stakewatch.ethereum.attestation_rewards import AttestationTotals
from stakewatch.ethereum.registry_answer import JsonRegistry
from stakewatch.ethereum.reward_answers import RewardAnswer
from stakewatch.ethereum.state_stream import NEVER
from stakewatch_exporter.epoch_result import (
    Moment,
    NetworkFigures,
    Queue,
    Tier,
    from_answers,
    from_own_answers,
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
