"""What every validator gets or loses for its attestations of an epoch, exactly, from one beacon state.

Source: consensus-specs, altair `process_justification_and_finalization`, `process_inactivity_updates`,
`get_flag_index_deltas` and `get_inactivity_penalty_deltas`, which no later fork up to gloas has changed. The
state is one of epoch e+1, best of its last slot, when the participation of epoch e is complete and effective
balances are those that the transition rewards by.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.state_layout import StateError, specification_number
from stakewatch.ethereum.state_stream import BeaconState

SOURCE, TARGET, HEAD = range(3)
_WEIGHTS = (14, 26, 14)
_WEIGHT_DENOMINATOR = 64
_BLOCK = 1 << 18
_LARGEST_FACTOR = 2**16
_LARGEST_INT64 = 2**63 - 1

Gwei = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RewardParameters:
    """The values of `config/spec` that rewards depend on."""

    base_reward_factor: int
    inactivity_penalty_quotient: int
    inactivity_score_bias: int
    inactivity_score_recovery_rate: int
    epochs_to_inactivity_penalty: int


@dataclass(frozen=True)
class ValidatorRewards:
    """Rewards (positive) and penalties (negative) in gwei, an int64 each per validator that was asked for.

    `has_duty` tells who had to attest in the epoch and was not slashed; `flags` are the timely votes that
    count (bits as in the state; none for the slashed). The ideal reward is what all three timely votes
    would have brought, 0 in a leak and without a duty.
    """

    has_duty: Mask
    flags: npt.NDArray[np.uint8]
    source: Gwei
    target: Gwei
    head: Gwei
    inactivity: Gwei
    ideal: Gwei

    @property
    def total(self) -> Gwei:
        """The sum of all parts; a balance changes by it unless it would fall below zero."""
        return self.source + self.target + self.head + self.inactivity


@dataclass(frozen=True)
class AttestationTotals:
    """The attestations of an epoch of some validators together; amounts in gwei, none negative.

    `duties` counts who had to attest and was not slashed, `missed` those of them without any timely vote.
    `balance` is the effective balance behind the duties, the `*_balance` that behind each timely vote.
    Penalties include those of slashed validators.
    """

    duties: int = 0
    missed: int = 0
    source_votes: int = 0
    target_votes: int = 0
    head_votes: int = 0
    balance: int = 0
    source_balance: int = 0
    target_balance: int = 0
    head_balance: int = 0
    reward: int = 0
    ideal_reward: int = 0
    source_penalty: int = 0
    target_penalty: int = 0
    inactivity_penalty: int = 0

    def __add__(self, other: "AttestationTotals") -> "AttestationTotals":
        mine, theirs = vars(self), vars(other)
        return AttestationTotals(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(frozen=True)
class IdealReward:
    """What each timely vote of an effective balance brings, in gwei."""

    source: int
    target: int
    head: int

    @property
    def total(self) -> int:
        """All three together."""
        return self.source + self.target + self.head


@dataclass(frozen=True)
class _Transition:
    """What the epoch transition finds once for all validators; balances in increments."""

    epoch: int
    active: int
    participating: tuple[int, int, int]
    base_reward_per_increment: int
    justified_epoch: int
    finalized_epoch: int
    is_leak: bool


class AttestationRewards:
    """The rewards of one epoch's attestations, computed for all validators or for some when asked.

    `epoch` is the one that was attested in; `justified_epoch`, `finalized_epoch` and `is_leak` are as the
    transition at the end of the next epoch finds them; `active_balance` is the total that rewards depend on,
    in gwei. Raises StateError when the state is of the first epoch, after which nothing is rewarded.
    """

    def __init__(self, state: BeaconState, parameters: RewardParameters) -> None:
        if state.epoch == 0:
            raise StateError("after the first epoch of a chain no attestation is rewarded")
        self._state = state
        self._parameters = parameters
        self._transition = transition = _transition(state, parameters)
        self.epoch = transition.epoch
        self.justified_epoch = transition.justified_epoch
        self.finalized_epoch = transition.finalized_epoch
        self.is_leak = transition.is_leak
        self.active_balance = transition.active * state.effective_balance_increment
        highest = int(state.registry.effective_balances.max())
        balances = range(highest + 1)
        self._rewards = tuple(
            np.array([self._reward(increments, flag) for increments in balances], dtype=np.int64)
            for flag in (SOURCE, TARGET, HEAD)
        )
        self._penalties = tuple(
            np.array([self._penalty(increments, flag) for increments in balances], dtype=np.int64)
            for flag in (SOURCE, TARGET, HEAD)
        )

    def ideal(self, effective_balance: int) -> IdealReward:
        """Return what each timely vote of an effective balance in gwei brings (API: `ideal_rewards`)."""
        increments = effective_balance // self._state.effective_balance_increment
        return IdealReward(*(self._reward(increments, flag) for flag in (SOURCE, TARGET, HEAD)))

    def of(self, indices: npt.NDArray[np.integer] | slice) -> ValidatorRewards:
        """Return the rewards of some validators, in the order of `indices`.

        Raises IndexError for an index that is not in the state.
        """
        state, registry, epoch = self._state, self._state.registry, self.epoch
        slashed = registry.is_slashed[indices]
        active = _active(state, epoch, indices)
        has_duty = active & ~slashed
        eligible = active | (slashed & (np.uint32(epoch + 1) < registry.withdrawable_epochs[indices]))
        flags = np.where(has_duty, state.previous_participation[indices], np.uint8(0))
        effective = registry.effective_balances[indices]
        parts = [self._part(flag, flags, effective, eligible) for flag in (SOURCE, TARGET, HEAD)]
        ideal = sum((table[effective] for table in self._rewards), np.zeros(len(effective), dtype=np.int64))
        return ValidatorRewards(
            has_duty=has_duty,
            flags=flags,
            source=parts[SOURCE],
            target=parts[TARGET],
            head=parts[HEAD],
            inactivity=self._inactivity(effective, state.inactivity_scores[indices], flags, eligible),
            ideal=np.where(has_duty, ideal, 0),
        )

    def totals(self, indices: npt.NDArray[np.integer]) -> AttestationTotals:
        """Return the sums over some validators, each counted as often as its index is given."""
        effective = self._state.registry.effective_balances[indices]
        return sum_rewards(self.of(indices), effective, self._state.effective_balance_increment)

    def network(self) -> AttestationTotals:
        """Return the sums over all validators of the state."""
        sums = AttestationTotals()
        for block in _blocks(len(self._state.balances)):
            effective = self._state.registry.effective_balances[block]
            sums += sum_rewards(self.of(block), effective, self._state.effective_balance_increment)
        return sums

    def _reward(self, increments: int, flag: int) -> int:
        transition = self._transition
        if transition.is_leak:
            return 0
        numerator = (
            increments
            * transition.base_reward_per_increment
            * _WEIGHTS[flag]
            * transition.participating[flag]
        )
        return numerator // (transition.active * _WEIGHT_DENOMINATOR)

    def _penalty(self, increments: int, flag: int) -> int:
        if flag == HEAD:
            return 0
        return increments * self._transition.base_reward_per_increment * _WEIGHTS[flag] // _WEIGHT_DENOMINATOR

    def _part(
        self, flag: int, flags: npt.NDArray[np.uint8], effective: npt.NDArray[np.uint16], eligible: Mask
    ) -> Gwei:
        hit = (flags >> flag & 1).astype(np.bool_)
        part = np.where(hit, self._rewards[flag][effective], -self._penalties[flag][effective])
        return np.where(eligible, part, 0)

    def _inactivity(
        self,
        effective: npt.NDArray[np.uint16],
        scores: npt.NDArray[np.uint32],
        flags: npt.NDArray[np.uint8],
        eligible: Mask,
    ) -> Gwei:
        """Return the inactivity penalties by the scores as this transition updates them first."""
        parameters = self._parameters
        penalties = np.zeros(len(effective), dtype=np.int64)
        late = np.flatnonzero(eligible & (flags >> TARGET & 1 == 0))
        updated = scores[late].astype(np.int64) + parameters.inactivity_score_bias
        if not self.is_leak:
            updated -= np.minimum(updated, parameters.inactivity_score_recovery_rate)
        increment = self._state.effective_balance_increment
        divisor = parameters.inactivity_score_bias * parameters.inactivity_penalty_quotient
        highest = int(updated.max(initial=0)) * int(effective.max(initial=0)) * increment
        if highest // divisor > _LARGEST_INT64:
            raise StateError(f"an inactivity penalty of {highest // divisor} gwei cannot be")
        amounts: npt.NDArray[Any] = effective[late].astype(
            np.int64 if highest <= _LARGEST_INT64 else np.object_
        )
        penalties[late] = -(amounts * increment * updated // divisor)
        return penalties


def sum_rewards(
    rewards: ValidatorRewards, effective: npt.NDArray[np.integer], increment: int
) -> AttestationTotals:
    """Return the sums over validators whose effective balances are given in increments of so many gwei."""
    hits = [(rewards.flags >> flag & 1).astype(np.bool_) for flag in (SOURCE, TARGET, HEAD)]
    balances = [int(effective[hit].sum(dtype=np.int64)) * increment for hit in (rewards.has_duty, *hits)]
    parts = (rewards.source, rewards.target, rewards.head)
    return AttestationTotals(
        duties=int(rewards.has_duty.sum()),
        missed=int((rewards.has_duty & (rewards.flags == 0)).sum()),
        source_votes=int(hits[SOURCE].sum()),
        target_votes=int(hits[TARGET].sum()),
        head_votes=int(hits[HEAD].sum()),
        balance=balances[0],
        source_balance=balances[1],
        target_balance=balances[2],
        head_balance=balances[3],
        reward=sum(int(np.maximum(part, 0).sum()) for part in parts),
        ideal_reward=int(rewards.ideal.sum()),
        source_penalty=-int(np.minimum(rewards.source, 0).sum()),
        target_penalty=-int(np.minimum(rewards.target, 0).sum()),
        inactivity_penalty=-int(rewards.inactivity.sum()),
    )


def reward_parameters(values: Mapping[str, object], fork: str) -> RewardParameters:
    """Return the parameters for the states of a fork from the `data` of `config/spec`.

    Raises SpecificationError when a value is missing or cannot be.
    """
    suffix = "ALTAIR" if fork == "altair" else "BELLATRIX"
    return RewardParameters(
        base_reward_factor=specification_number(values, "BASE_REWARD_FACTOR", most=_LARGEST_FACTOR),
        inactivity_penalty_quotient=specification_number(values, f"INACTIVITY_PENALTY_QUOTIENT_{suffix}"),
        inactivity_score_bias=specification_number(values, "INACTIVITY_SCORE_BIAS"),
        inactivity_score_recovery_rate=specification_number(values, "INACTIVITY_SCORE_RECOVERY_RATE"),
        epochs_to_inactivity_penalty=specification_number(values, "MIN_EPOCHS_TO_INACTIVITY_PENALTY"),
    )


def _blocks(count: int) -> Iterator[slice]:
    for first in range(0, count, _BLOCK):
        yield slice(first, min(first + _BLOCK, count))


def _active(state: BeaconState, epoch: int, indices: npt.NDArray[np.integer] | slice) -> Mask:
    registry, moment = state.registry, np.uint32(epoch)
    return (registry.activation_epochs[indices] <= moment) & (moment < registry.exit_epochs[indices])


def _transition(state: BeaconState, parameters: RewardParameters) -> _Transition:
    current = state.epoch
    active = 0
    participating = [0, 0, 0]
    current_target = 0
    for block in _blocks(len(state.balances)):
        effective = state.registry.effective_balances[block]
        unslashed = ~state.registry.is_slashed[block]
        is_active = _active(state, current, block)
        active += int(effective[is_active].sum(dtype=np.int64))
        hit = is_active & unslashed & (state.current_participation[block] >> TARGET & 1).astype(np.bool_)
        current_target += int(effective[hit].sum(dtype=np.int64))
        was_active = _active(state, current - 1, block) & unslashed
        for flag in (SOURCE, TARGET, HEAD):
            hit = was_active & (state.previous_participation[block] >> flag & 1).astype(np.bool_)
            participating[flag] += int(effective[hit].sum(dtype=np.int64))
    # get_total_balance gives at least one increment, so that nothing is divided by zero.
    active, current_target = max(active, 1), max(current_target, 1)
    source, target, head = (max(balance, 1) for balance in participating)
    justified, finalized = _checkpoints(state, active, target, current_target)
    increment = state.effective_balance_increment
    return _Transition(
        epoch=current - 1,
        active=active,
        participating=(source, target, head),
        base_reward_per_increment=increment * parameters.base_reward_factor // isqrt(active * increment),
        justified_epoch=justified,
        finalized_epoch=finalized,
        is_leak=current - 1 - finalized > parameters.epochs_to_inactivity_penalty,
    )


def _checkpoints(
    state: BeaconState, active: int, previous_target: int, current_target: int
) -> tuple[int, int]:
    """Return the justified and the finalized epoch after `weigh_justification_and_finalization`."""
    current = state.epoch
    justified, finalized = state.current_justified_epoch, state.finalized_epoch
    if current <= 1:
        return justified, finalized
    bits = [False, *state.justification_bits[:3]]
    if previous_target * 3 >= active * 2:
        justified = current - 1
        bits[1] = True
    if current_target * 3 >= active * 2:
        justified = current
        bits[0] = True
    for first, last, candidate in (
        (1, 4, state.previous_justified_epoch),
        (1, 3, state.previous_justified_epoch),
        (0, 3, state.current_justified_epoch),
        (0, 2, state.current_justified_epoch),
    ):
        if all(bits[first:last]) and candidate + last - 1 == current:
            finalized = candidate
    return justified, finalized
