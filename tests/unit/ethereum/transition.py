"""The specification's own words: a slow port of what decides the rewards, one validator after another.

Source: consensus-specs, phase0 and altair beacon-chain.md, `process_justification_and_finalization` up to
`process_rewards_and_penalties`, with the quotients of bellatrix. Function names are the specification's.
"""

from dataclasses import dataclass, field
from math import isqrt

from tests.unit.ethereum.states import GWEI, Plan, Validator

TIMELY_SOURCE, TIMELY_TARGET, TIMELY_HEAD = 0, 1, 2
PARTICIPATION_FLAG_WEIGHTS = (14, 26, 14)
INACTIVITY_SCORE_BIAS = 4
INACTIVITY_SCORE_RECOVERY_RATE = 16
INACTIVITY_PENALTY_QUOTIENT_BELLATRIX = 2**24
MIN_EPOCHS_TO_INACTIVITY_PENALTY = 4


@dataclass
class Transition:
    """The epoch transition of one state, with `base_reward_factor` as the network has it."""

    plan: Plan
    slots_per_epoch: int = 8
    base_reward_factor: int = 64
    justified: int = 0
    finalized: int = 0
    scores: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.justified, self.finalized = self.plan.current_justified, self.plan.finalized
        self.scores = [validator.score for validator in self.plan.validators]
        self.process_justification_and_finalization()
        self.process_inactivity_updates()

    @property
    def current_epoch(self) -> int:
        return self.plan.slot // self.slots_per_epoch

    @property
    def previous_epoch(self) -> int:
        return max(self.current_epoch - 1, 0)

    def is_active_validator(self, validator: Validator, epoch: int) -> bool:
        return validator.activation_epoch <= epoch < validator.exit_epoch

    def get_total_balance(self, indices: set[int]) -> int:
        return max(GWEI, sum(self.plan.validators[index].effective_balance for index in indices))

    def get_total_active_balance(self) -> int:
        return self.get_total_balance(
            {
                index
                for index, validator in enumerate(self.plan.validators)
                if self.is_active_validator(validator, self.current_epoch)
            }
        )

    def get_unslashed_participating_indices(self, flag: int, epoch: int) -> set[int]:
        found = set()
        for index, validator in enumerate(self.plan.validators):
            participation = validator.current if epoch == self.current_epoch else validator.previous
            if (
                self.is_active_validator(validator, epoch)
                and participation & (1 << flag)
                and not validator.is_slashed
            ):
                found.add(index)
        return found

    def get_eligible_validator_indices(self) -> list[int]:
        return [
            index
            for index, validator in enumerate(self.plan.validators)
            if self.is_active_validator(validator, self.previous_epoch)
            or (validator.is_slashed and self.previous_epoch + 1 < validator.withdrawable_epoch)
        ]

    def process_justification_and_finalization(self) -> None:
        if self.current_epoch <= 1:
            return
        total = self.get_total_active_balance()
        previous = self.get_total_balance(
            self.get_unslashed_participating_indices(TIMELY_TARGET, self.previous_epoch)
        )
        current = self.get_total_balance(
            self.get_unslashed_participating_indices(TIMELY_TARGET, self.current_epoch)
        )
        old_previous, old_current = self.plan.previous_justified, self.plan.current_justified
        bits = list(self.plan.justified_bits)
        bits[1:] = bits[:3]
        bits[0] = False
        if previous * 3 >= total * 2:
            self.justified = self.previous_epoch
            bits[1] = True
        if current * 3 >= total * 2:
            self.justified = self.current_epoch
            bits[0] = True
        if all(bits[1:4]) and old_previous + 3 == self.current_epoch:
            self.finalized = old_previous
        if all(bits[1:3]) and old_previous + 2 == self.current_epoch:
            self.finalized = old_previous
        if all(bits[0:3]) and old_current + 2 == self.current_epoch:
            self.finalized = old_current
        if all(bits[0:2]) and old_current + 1 == self.current_epoch:
            self.finalized = old_current

    def is_in_inactivity_leak(self) -> bool:
        return self.previous_epoch - self.finalized > MIN_EPOCHS_TO_INACTIVITY_PENALTY

    def process_inactivity_updates(self) -> None:
        target = self.get_unslashed_participating_indices(TIMELY_TARGET, self.previous_epoch)
        for index in self.get_eligible_validator_indices():
            if index in target:
                self.scores[index] -= min(1, self.scores[index])
            else:
                self.scores[index] += INACTIVITY_SCORE_BIAS
            if not self.is_in_inactivity_leak():
                self.scores[index] -= min(INACTIVITY_SCORE_RECOVERY_RATE, self.scores[index])

    def get_base_reward(self, index: int) -> int:
        per_increment = GWEI * self.base_reward_factor // isqrt(self.get_total_active_balance())
        return self.plan.validators[index].effective_balance // GWEI * per_increment

    def get_flag_index_deltas(self, flag: int) -> tuple[list[int], list[int]]:
        rewards = [0] * len(self.plan.validators)
        penalties = [0] * len(self.plan.validators)
        participating = self.get_unslashed_participating_indices(flag, self.previous_epoch)
        increments = self.get_total_balance(participating) // GWEI
        active_increments = self.get_total_active_balance() // GWEI
        for index in self.get_eligible_validator_indices():
            base_reward = self.get_base_reward(index)
            if index in participating:
                if not self.is_in_inactivity_leak():
                    numerator = base_reward * PARTICIPATION_FLAG_WEIGHTS[flag] * increments
                    rewards[index] += numerator // (active_increments * 64)
            elif flag != TIMELY_HEAD:
                penalties[index] += base_reward * PARTICIPATION_FLAG_WEIGHTS[flag] // 64
        return rewards, penalties

    def get_inactivity_penalty_deltas(self) -> list[int]:
        penalties = [0] * len(self.plan.validators)
        target = self.get_unslashed_participating_indices(TIMELY_TARGET, self.previous_epoch)
        for index in self.get_eligible_validator_indices():
            if index not in target:
                numerator = self.plan.validators[index].effective_balance * self.scores[index]
                penalties[index] += numerator // (
                    INACTIVITY_SCORE_BIAS * INACTIVITY_PENALTY_QUOTIENT_BELLATRIX
                )
        return penalties
