"""The beacon state of the simulated chain and its epoch transition, by the formulas of the specification.

Sources: consensus-specs, altair (process_epoch, process_inactivity_updates, process_rewards_and_penalties),
bellatrix (penalty quotients), capella (withdrawals), electra (compounding balances, pending deposits).
"""

from dataclasses import dataclass, field, replace
from math import isqrt

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.blocks import Aggregate, Checkpoint, Deposit
from stakewatch.simulator.presets import EFFECTIVE_BALANCE_INCREMENT, FAR_FUTURE_EPOCH

Gwei = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SOURCE, TARGET, HEAD = 0, 1, 2
WEIGHTS = (14, 26, 14)
SYNC_WEIGHT = 2
PROPOSER_WEIGHT = 8
WEIGHT_DENOMINATOR = 64
BASE_REWARD_FACTOR = 64
INACTIVITY_SCORE_BIAS = 4
INACTIVITY_SCORE_RECOVERY_RATE = 16
INACTIVITY_PENALTY_QUOTIENT = 2**24
EPOCHS_TO_INACTIVITY_PENALTY = 4
MAXIMUM_PENDING_DEPOSITS_PER_EPOCH = 16


@dataclass
class State:
    """All that block and epoch processing change; arrays have one entry per validator index.

    Balances in gwei (int64), participation as flag bits (uint8), epochs as uint64 with FAR_FUTURE_EPOCH for
    never. `justified_bits` holds the newest epoch first.
    """

    slot: int
    slots_per_epoch: int
    balances: Gwei
    effective_balances: Gwei
    maximum_effective_balances: Gwei
    activation_epochs: npt.NDArray[np.uint64]
    exit_epochs: npt.NDArray[np.uint64]
    withdrawable_epochs: npt.NDArray[np.uint64]
    previous_participation: npt.NDArray[np.uint8]
    current_participation: npt.NDArray[np.uint8]
    inactivity_scores: Gwei
    justified_bits: tuple[bool, bool, bool, bool]
    previous_justified: Checkpoint
    current_justified: Checkpoint
    finalized: Checkpoint
    next_withdrawal_index: int = 0
    next_withdrawal_validator: int = 0
    pending_deposits: tuple[Deposit, ...] = ()
    waiting_attestations: list[Aggregate] = field(default_factory=list)
    head_root: str = ""
    block_number: int = 0
    block_hash: str = ""

    def copy(self) -> "State":
        """Return a state that shares no array and no list with this one."""
        return replace(
            self,
            balances=self.balances.copy(),
            effective_balances=self.effective_balances.copy(),
            maximum_effective_balances=self.maximum_effective_balances.copy(),
            activation_epochs=self.activation_epochs.copy(),
            exit_epochs=self.exit_epochs.copy(),
            withdrawable_epochs=self.withdrawable_epochs.copy(),
            previous_participation=self.previous_participation.copy(),
            current_participation=self.current_participation.copy(),
            inactivity_scores=self.inactivity_scores.copy(),
            waiting_attestations=list(self.waiting_attestations),
        )

    def active(self, epoch: int) -> Mask:
        """Tell which validators are active in an epoch."""
        return (self.activation_epochs <= epoch) & (epoch < self.exit_epochs)

    def total_active_balance(self, epoch: int) -> int:
        """Return the effective balance of all active validators in gwei, at least one increment."""
        return max(EFFECTIVE_BALANCE_INCREMENT, int(self.effective_balances[self.active(epoch)].sum()))


def base_reward_per_increment(total_active_balance: int) -> int:
    """Return the base reward in gwei per increment (1 ETH) of effective balance."""
    return EFFECTIVE_BALANCE_INCREMENT * BASE_REWARD_FACTOR // isqrt(total_active_balance)


def base_rewards(state: State, epoch: int) -> Gwei:
    """Return every validator's base reward in gwei."""
    per_increment = base_reward_per_increment(state.total_active_balance(epoch))
    return state.effective_balances // EFFECTIVE_BALANCE_INCREMENT * per_increment


def in_inactivity_leak(state: State, epoch: int) -> bool:
    """Tell whether finality is more than four epochs behind the epoch before `epoch`."""
    return max(epoch - 1, 0) - state.finalized.epoch > EPOCHS_TO_INACTIVITY_PENALTY


def process_epoch(state: State, epoch: int, checkpoints: tuple[Checkpoint, Checkpoint]) -> Gwei:
    """Do the transition at the end of `epoch`; return what each got for attesting, in gwei (int64).

    The participation of the epoch before is rewarded here: an attestation of epoch e pays at the end of epoch
    e+1, and balances show it in the first slot of e+2. `checkpoints` are of the previous and of this epoch.
    """
    _justify(state, epoch, checkpoints)
    before = state.balances.copy()
    if epoch > 0:
        _update_inactivity(state, epoch)
        _reward(state, epoch)
    delta = state.balances - before
    _apply_pending_deposits(state)
    _update_effective_balances(state)
    state.previous_participation = state.current_participation
    state.current_participation = np.zeros_like(state.previous_participation)
    return delta


def _participating(state: State, flags: npt.NDArray[np.uint8], flag: int, epoch: int) -> Mask:
    return ((flags >> flag) & 1).astype(np.bool_) & state.active(epoch)


def _justify(state: State, epoch: int, checkpoints: tuple[Checkpoint, Checkpoint]) -> None:
    """Weigh justification and finalization (phase0, weigh_justification_and_finalization)."""
    if epoch <= 1:
        return
    previous, current = checkpoints
    total = state.total_active_balance(epoch)
    previous_target = int(
        state.effective_balances[_participating(state, state.previous_participation, TARGET, epoch - 1)].sum()
    )
    current_target = int(
        state.effective_balances[_participating(state, state.current_participation, TARGET, epoch)].sum()
    )
    old_previous, old_current = state.previous_justified, state.current_justified
    state.previous_justified = state.current_justified
    bits = [False, *state.justified_bits[:3]]
    if previous_target * 3 >= total * 2:
        state.current_justified = previous
        bits[1] = True
    if current_target * 3 >= total * 2:
        state.current_justified = current
        bits[0] = True
    state.justified_bits = (bits[0], bits[1], bits[2], bits[3])
    for newest, count, candidate in (
        (1, 3, old_previous),
        (1, 2, old_previous),
        (0, 3, old_current),
        (0, 2, old_current),
    ):
        if all(bits[newest : newest + count]) and candidate.epoch + newest + count - 1 == epoch:
            state.finalized = candidate


def _update_inactivity(state: State, epoch: int) -> None:
    eligible = state.active(epoch - 1)
    target = _participating(state, state.previous_participation, TARGET, epoch - 1)
    scores = state.inactivity_scores
    scores[eligible & target] -= np.minimum(1, scores[eligible & target])
    scores[eligible & ~target] += INACTIVITY_SCORE_BIAS
    if not in_inactivity_leak(state, epoch):
        scores[eligible] -= np.minimum(INACTIVITY_SCORE_RECOVERY_RATE, scores[eligible])


def _reward(state: State, epoch: int) -> None:
    eligible = state.active(epoch - 1)
    rewards = base_rewards(state, epoch)
    active_increments = state.total_active_balance(epoch) // EFFECTIVE_BALANCE_INCREMENT
    leak = in_inactivity_leak(state, epoch)
    for flag, weight in enumerate(WEIGHTS):
        participating = _participating(state, state.previous_participation, flag, epoch - 1)
        increments = (
            max(EFFECTIVE_BALANCE_INCREMENT, int(state.effective_balances[participating].sum()))
            // EFFECTIVE_BALANCE_INCREMENT
        )
        if not leak:
            state.balances += np.where(
                eligible & participating,
                rewards * weight * increments // (active_increments * WEIGHT_DENOMINATOR),
                0,
            )
        if flag != HEAD:
            _decrease(state, np.where(eligible & ~participating, rewards * weight // WEIGHT_DENOMINATOR, 0))
    target = _participating(state, state.previous_participation, TARGET, epoch - 1)
    penalties = (
        state.effective_balances
        * state.inactivity_scores
        // (INACTIVITY_SCORE_BIAS * INACTIVITY_PENALTY_QUOTIENT)
    )
    _decrease(state, np.where(eligible & ~target, penalties, 0))


def _decrease(state: State, amounts: Gwei) -> None:
    state.balances = np.maximum(state.balances - amounts, 0)


def _apply_pending_deposits(state: State) -> None:
    """Credit deposits whose slot is finalized (electra, process_pending_deposits, no churn limit)."""
    credited = 0
    finalized_slot = state.finalized.epoch * state.slots_per_epoch
    for deposit in state.pending_deposits[:MAXIMUM_PENDING_DEPOSITS_PER_EPOCH]:
        if deposit.slot > finalized_slot:
            break
        state.balances[deposit.validator_index] += deposit.amount
        credited += 1
    state.pending_deposits = state.pending_deposits[credited:]


def _update_effective_balances(state: State) -> None:
    """Follow the balances with hysteresis: down at -0.25 ETH, up at +1.25 ETH."""
    quarter = EFFECTIVE_BALANCE_INCREMENT // 4
    effective = state.effective_balances
    moved = (state.balances + quarter < effective) | (effective + 5 * quarter < state.balances)
    target = np.minimum(
        state.balances - state.balances % EFFECTIVE_BALANCE_INCREMENT, state.maximum_effective_balances
    )
    state.effective_balances = np.where(moved, target, effective)


def never(count: int) -> npt.NDArray[np.uint64]:
    """Return `count` epochs that never come."""
    return np.full(count, FAR_FUTURE_EPOCH, dtype=np.uint64)
