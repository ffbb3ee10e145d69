"""Rewards are those of the specification to the gwei, for every validator, in a leak and out of it."""

from dataclasses import replace

import numpy as np
import pytest

from stakewatch.ethereum.attestation_rewards import (
    AttestationRewards,
    AttestationTotals,
    RewardParameters,
    reward_parameters,
)
from stakewatch.ethereum.state_layout import SpecificationError, StateError, state_layout
from stakewatch.ethereum.state_stream import StateReader
from tests.unit.ethereum.states import (
    FAR_FUTURE_EPOCH,
    GNOSIS,
    GWEI,
    MINIMAL,
    NO_KEYS,
    SAMPLES,
    Plan,
    minimal,
    plain,
    random_plan,
    read,
    sample_json,
    ssz,
    with_validator,
)
from tests.unit.ethereum.transition import Transition

PARAMETERS = reward_parameters(MINIMAL, "electra")
EVERYBODY = slice(None)


def rewards_of(plan: Plan, parameters: RewardParameters = PARAMETERS) -> AttestationRewards:
    return AttestationRewards(read(ssz(minimal(), plan), minimal(), plan.slot), parameters)


def assert_as_specified(plan: Plan, base_reward_factor: int = 64) -> AttestationRewards:
    """Compare everything about one state with the port of the specification."""
    slow = Transition(plan, base_reward_factor=base_reward_factor)
    fast = rewards_of(plan, replace(PARAMETERS, base_reward_factor=base_reward_factor))
    found = fast.of(EVERYBODY)
    parts = [found.source, found.target, found.head]
    for flag, part in enumerate(parts):
        rewards, penalties = slow.get_flag_index_deltas(flag)
        assert part.tolist() == [
            reward - penalty for reward, penalty in zip(rewards, penalties, strict=True)
        ], flag
    assert found.inactivity.tolist() == [-penalty for penalty in slow.get_inactivity_penalty_deltas()]
    assert found.total.tolist() == (sum(parts) + found.inactivity).tolist()
    assert (fast.epoch, fast.justified_epoch, fast.finalized_epoch, fast.is_leak, fast.active_balance) == (
        slow.previous_epoch,
        slow.justified,
        slow.finalized,
        slow.is_in_inactivity_leak(),
        slow.get_total_active_balance(),
    )
    duties = [
        slow.is_active_validator(validator, slow.previous_epoch) and not validator.is_slashed
        for validator in plan.validators
    ]
    assert found.has_duty.tolist() == duties
    assert found.flags.tolist() == [
        validator.previous if has_duty else 0
        for validator, has_duty in zip(plan.validators, duties, strict=True)
    ]
    return fast


@pytest.mark.parametrize("seed", range(250))
def test_random_states_are_rewarded_as_specified(seed: int) -> None:
    assert_as_specified(random_plan(seed))


@pytest.mark.parametrize("seed", range(20))
def test_the_factor_of_gnosis_is_heeded(seed: int) -> None:
    assert_as_specified(random_plan(seed), base_reward_factor=25)


def test_random_states_are_of_every_kind() -> None:
    plans = [random_plan(seed) for seed in range(250)]
    transitions = [Transition(plan) for plan in plans]
    leaking = [transition.is_in_inactivity_leak() for transition in transitions]
    assert 20 < sum(leaking) < 230
    assert any(transition.current_epoch == 1 for transition in transitions)
    assert any(max(transition.scores) > 2**31 for transition in transitions)
    moved = [
        transition.finalized != plan.finalized for plan, transition in zip(plans, transitions, strict=True)
    ]
    assert 10 < sum(moved) < 240


@pytest.mark.parametrize("bits", range(16))
@pytest.mark.parametrize("distance", [1, 2, 3, 4])
@pytest.mark.parametrize("attesting", [(7, 7), (7, 0), (0, 7), (0, 0)])
def test_finality_follows_every_pattern_of_justified_epochs(
    bits: int, distance: int, attesting: tuple[int, int]
) -> None:
    validators = tuple(
        replace(validator, previous=attesting[0], current=attesting[1]) for validator in plain(4).validators
    )
    justified_bits = (bool(bits & 1), bool(bits & 2), bool(bits & 4), bool(bits & 8))
    plan = Plan(
        slot=20 * 8 + 7,
        validators=validators,
        justified_bits=justified_bits,
        previous_justified=20 - distance,
        current_justified=max(20 - distance, 20 - distance + bits % 2),
        finalized=10,
    )
    assert_as_specified(plan)


@pytest.mark.parametrize("votes", [65, 66, 67, 68])
def test_two_thirds_of_the_balance_decide_what_is_justified(votes: int) -> None:
    plan = plain(100)
    for index in range(votes, 100):
        plan = with_validator(plan, index, previous=1, current=1)
    assert assert_as_specified(plan).justified_epoch == (4 if votes >= 67 else 3)


@pytest.mark.parametrize(("finalized", "leaks"), [(9, False), (8, True), (0, True)])
def test_a_leak_begins_after_more_than_four_epochs(finalized: int, *, leaks: bool) -> None:
    plan = replace(plain(), slot=14 * 8 + 7, finalized=finalized, previous_justified=3, current_justified=3)
    silent = tuple(replace(validator, previous=7, current=0) for validator in plan.validators[:10])
    plan = replace(
        plan,
        validators=silent
        + tuple(replace(validator, previous=0, current=0) for validator in plan.validators[10:]),
    )
    assert assert_as_specified(plan).is_leak is leaks


def test_in_a_leak_nothing_is_earned_and_the_silent_pay() -> None:
    plan = replace(plain(), slot=30 * 8 + 7)
    for index in range(20):
        plan = with_validator(plan, index, previous=7 if index < 5 else 0, current=0, score=400)
    rewards = assert_as_specified(plan)
    totals = rewards.network()
    assert rewards.is_leak
    assert (totals.reward, totals.ideal_reward) == (0, 0)
    assert rewards.of(np.array([0])).total.tolist() == [0]
    # 32 ETH at a score of 400 + 4: 32e9 * 404 / (4 * 2**24).
    assert totals.inactivity_penalty == 15 * (32 * GWEI * 404 // (4 * 2**24))


def test_a_slashed_validator_pays_until_it_can_withdraw_and_never_earns() -> None:
    changes = {"is_slashed": True, "exit_epoch": 1, "previous": 7}
    rewards = assert_as_specified(with_validator(plain(), 3, **changes, withdrawable_epoch=5))
    assert rewards.of(np.array([3])).total[0] < 0
    assert rewards.network().duties == 19
    rewards = assert_as_specified(with_validator(plain(), 3, **changes, withdrawable_epoch=4))
    assert rewards.of(np.array([3])).total[0] == 0


def test_a_validator_that_becomes_active_now_had_no_duty_before() -> None:
    rewards = assert_as_specified(with_validator(plain(), 3, activation_epoch=4, previous=0))
    assert rewards.network().duties == 19
    assert rewards.of(np.array([3])).total.tolist() == [0]


def test_a_validator_that_left_now_is_still_rewarded_for_its_last_epoch() -> None:
    rewards = assert_as_specified(with_validator(plain(), 3, exit_epoch=4))
    assert rewards.of(np.array([3])).total[0] > 0


def test_a_chain_whose_validators_have_all_left_divides_by_no_zero() -> None:
    plan = plain(3)
    for index in range(3):
        plan = with_validator(plan, index, exit_epoch=1, effective_balance=0)
    totals = assert_as_specified(plan).network()
    assert totals == AttestationTotals()


def test_scores_and_balances_beyond_64_bits_are_still_exact() -> None:
    plan = replace(plain(), slot=30 * 8 + 7)
    for index in range(20):
        changes = {"previous": 0, "current": 0, "score": 2**32 - 1 - index}
        plan = with_validator(plan, index, **changes, effective_balance=65_535 * GWEI)
    assert_as_specified(plan)


def test_after_the_first_epoch_nothing_is_rewarded() -> None:
    plan = replace(plain(), slot=7, previous_justified=0, current_justified=0, finalized=0)
    with pytest.raises(StateError, match="first epoch"):
        rewards_of(plan)


@pytest.mark.parametrize("seed", range(40))
def test_sums_are_those_of_the_validators_one_by_one(seed: int) -> None:
    plan = random_plan(seed)
    rewards = rewards_of(plan)
    chosen = np.random.default_rng(seed).permutation(len(plan.validators))[: len(plan.validators) // 2]
    for totals, indices in (
        (rewards.network(), range(len(plan.validators))),
        (rewards.totals(chosen), chosen),
    ):
        each = [rewards.of(np.array([index])) for index in indices]
        balances = [plan.validators[index].effective_balance for index in indices]
        on_duty = [bool(one.has_duty[0]) for one in each]
        flags = [int(one.flags[0]) for one in each]
        expected = {
            "duties": sum(on_duty),
            "missed": sum(duty and not flag for duty, flag in zip(on_duty, flags, strict=True)),
            "balance": sum(balance for balance, duty in zip(balances, on_duty, strict=True) if duty),
            "ideal_reward": sum(int(one.ideal[0]) for one in each),
            "inactivity_penalty": -sum(int(one.inactivity[0]) for one in each),
            "reward": sum(
                max(int(part[0]), 0) for one in each for part in (one.source, one.target, one.head)
            ),
            "source_penalty": -sum(min(int(one.source[0]), 0) for one in each),
            "target_penalty": -sum(min(int(one.target[0]), 0) for one in each),
        }
        for flag, name in enumerate(("source", "target", "head")):
            hits = [flag_bits >> flag & 1 for flag_bits in flags]
            expected[f"{name}_votes"] = sum(hits)
            expected[f"{name}_balance"] = sum(
                balance * hit for balance, hit in zip(balances, hits, strict=True)
            )
        assert vars(totals) == expected


def test_a_network_of_several_blocks_is_summed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rewards_of(plain(50)).network()
    monkeypatch.setattr("stakewatch.ethereum.attestation_rewards._BLOCK", 7)
    assert rewards_of(plain(50)).network() == whole
    assert whole.duties == 50


def test_a_perfect_attester_earns_the_ideal_reward_of_its_balance() -> None:
    plan = with_validator(with_validator(plain(), 1, effective_balance=2048 * GWEI), 2, previous=0)
    rewards = rewards_of(plan)
    found = rewards.of(np.array([0, 1, 2]))
    for place, balance in ((0, 32 * GWEI), (1, 2048 * GWEI)):
        assert found.total[place] == found.ideal[place] == rewards.ideal(balance).total
    assert found.ideal[2] == rewards.ideal(32 * GWEI).total
    assert found.total[2] < 0


def test_nobody_has_nothing() -> None:
    assert rewards_of(plain()).totals(np.array([], dtype=np.int64)) == AttestationTotals()


def test_an_index_that_is_not_in_the_state_is_refused() -> None:
    with pytest.raises(IndexError):
        rewards_of(plain(20)).of(np.array([20]))


def test_altair_has_a_quotient_of_its_own() -> None:
    assert reward_parameters(MINIMAL, "altair").inactivity_penalty_quotient == 50331648
    assert reward_parameters(MINIMAL, "gloas").inactivity_penalty_quotient == 16777216
    assert reward_parameters(GNOSIS, "electra").base_reward_factor == 25


def test_a_missing_parameter_is_named() -> None:
    values = {name: value for name, value in MINIMAL.items() if name != "INACTIVITY_SCORE_BIAS"}
    with pytest.raises(SpecificationError, match="INACTIVITY_SCORE_BIAS"):
        reward_parameters(values, "electra")


def test_parameters_that_make_impossible_penalties_are_refused() -> None:
    plan = with_validator(plain(), 1, previous=0, score=2**32 - 1, effective_balance=65_535 * GWEI)
    rewards = rewards_of(plan, replace(PARAMETERS, inactivity_penalty_quotient=1))
    with pytest.raises(StateError, match="cannot be"):
        rewards.network()


def test_rewards_are_those_that_a_real_client_tells() -> None:
    """Lodestar 1.22 leaves fractions that no balance has; whole gwei are what the chain pays.

    The sample of a state is of the epoch after the one whose rewards the node told. Nobody differs between
    the two but in who voted for the head, which is taken from the rewards.
    """
    told = sample_json("rewards_att_all.json")
    content = (SAMPLES / "debug_state_ssz.ssz").read_bytes()
    values = sample_json("config_spec.json")
    reading = StateReader(
        state_layout(values, "deneb"),
        slot=62,
        genesis_validators_root=bytes.fromhex(sample_json("genesis.json")["genesis_validators_root"][2:]),
        content_length=len(content),
        keys=NO_KEYS,
    )
    reading.feed(content)
    flags = [7 if float(one["head"]) else 3 for one in told["total_rewards"]]
    assert flags.count(3) == 4
    state = replace(reading.finish(), previous_participation=np.array(flags, dtype=np.uint8))
    rewards = AttestationRewards(state, reward_parameters(values, "deneb"))
    found = rewards.of(EVERYBODY)
    for name, column in (("source", found.source), ("target", found.target), ("head", found.head)):
        assert column.tolist() == [int(float(one[name])) for one in told["total_rewards"]]
    assert found.inactivity.tolist() == [0] * 64
    for one in told["ideal_rewards"]:
        ideal = rewards.ideal(int(one["effective_balance"]))
        assert (ideal.source, ideal.target, ideal.head) == tuple(
            int(float(one[name])) for name in ("source", "target", "head")
        )


def test_far_future_is_later_than_any_epoch() -> None:
    plan = with_validator(plain(), 3, activation_epoch=FAR_FUTURE_EPOCH, previous=0)
    assert assert_as_specified(plan).network().duties == 19


@pytest.mark.parametrize(("votes", "justified"), [(65, 3), (66, 4)])
def test_exactly_two_thirds_justify_the_current_epoch(votes: int, justified: int) -> None:
    plan = plain(99)
    for index in range(99):
        plan = with_validator(plan, index, previous=0, current=7 if index < votes else 0)
    assert assert_as_specified(plan).justified_epoch == justified


@pytest.mark.parametrize(("votes", "justified"), [(65, 2), (66, 3)])
def test_exactly_two_thirds_justify_the_previous_epoch(votes: int, justified: int) -> None:
    plan = replace(plain(99), previous_justified=1, current_justified=2, finalized=1)
    for index in range(99):
        plan = with_validator(plan, index, current=0, previous=7 if index < votes else 0)
    assert assert_as_specified(plan).justified_epoch == justified


def test_without_a_duty_there_is_no_ideal_reward() -> None:
    plan = with_validator(plain(), 3, exit_epoch=2)
    plan = with_validator(plan, 4, is_slashed=True)
    ideal = rewards_of(plan).of(np.array([3, 4, 5])).ideal.tolist()
    assert ideal[:2] == [0, 0]
    assert ideal[2] > 0
