"""The epoch transition over all validators of a large chain, and what it paid to whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.mainnet.blocks import Deposit
from stakewatch.simulator.mainnet.registry import LARGEST_INCREMENTS
from stakewatch.simulator.presets import GWEI
from stakewatch.simulator.state import (
    BASE_REWARD_FACTOR,
    HEAD,
    INACTIVITY_PENALTY_QUOTIENT,
    INACTIVITY_SCORE_BIAS,
    INACTIVITY_SCORE_RECOVERY_RATE,
    SOURCE,
    TARGET,
    WEIGHT_DENOMINATOR,
    WEIGHTS,
    Gwei,
    Mask,
)

_FLAGS = {"source": SOURCE, "target": TARGET, "head": HEAD}


@dataclass
class Columns:
    """What changes about validators; balances in gwei, effective and maximum balances in increments."""

    balances: Gwei
    effective: npt.NDArray[np.int64]
    maximum: npt.NDArray[np.int64]
    activation_epochs: npt.NDArray[np.uint64]
    exit_epochs: npt.NDArray[np.uint64]
    withdrawable_epochs: npt.NDArray[np.uint64]
    slashed: Mask
    scores: npt.NDArray[np.int64]

    def active(self, epoch: int) -> Mask:
        """Tell which validators are active in an epoch."""
        return (self.activation_epochs <= epoch) & (epoch < self.exit_epochs)


@dataclass(frozen=True)
class AttestationTruth:
    """What an epoch's attestations brought: sums of the network and of each group, by name of the figure.

    Counts are duties, missed, votes_source, votes_target, votes_head; sums in gwei are reward, ideal,
    penalty_source, penalty_target, penalty_inactivity; the balance_* are effective balances in increments.
    Per validator: `flags` that counted, who had a duty, who could be punished, the inactivity penalty in
    gwei (int32). `rewards` and `penalties` have one table by flag: gwei by increments of effective balance.
    """

    network: Mapping[str, int]
    groups: tuple[Mapping[str, int], ...]
    flags: npt.NDArray[np.uint8]
    has_duty: Mask
    eligible: Mask
    inactivity: npt.NDArray[np.int32]
    rewards: tuple[Gwei, Gwei, Gwei]
    penalties: tuple[Gwei, Gwei, Gwei]

    def parts(self, indices: npt.NDArray[np.integer], effective: npt.NDArray[np.integer]) -> dict[str, Gwei]:
        """Return what some validators got (positive) or lost by source, target, head and inactivity."""
        flags, eligible = self.flags[indices], self.eligible[indices]
        found: dict[str, Gwei] = {"inactivity": -self.inactivity[indices].astype(np.int64)}
        for name, flag in _FLAGS.items():
            hit = (flags >> flag & 1).astype(np.bool_)
            lost = np.where(eligible, -self.penalties[flag][effective], 0)
            found[name] = np.where(hit, self.rewards[flag][effective], lost)
        return found


def reward_attestations(
    columns: Columns,
    flags: npt.NDArray[np.uint8],
    epoch: int,
    *,
    groups: npt.NDArray[np.int16],
    group_count: int,
) -> AttestationTruth:
    """Reward and punish at the end of `epoch` what was attested in the epoch before.

    `flags` are that epoch's participation, complete. Never in a leak. Source: altair, get_flag_index_deltas,
    process_inactivity_updates, get_inactivity_penalty_deltas; bellatrix for the quotient.
    """
    previous = epoch - 1
    active = columns.active(previous)
    has_duty = active & ~columns.slashed
    eligible = active | (columns.slashed & (np.uint64(epoch) < columns.withdrawable_epochs))
    flags = np.where(has_duty, flags, 0).astype(np.uint8)
    hits = {name: (flags >> flag & 1).astype(np.bool_) for name, flag in _FLAGS.items()}
    _update_scores(columns, eligible, hits["target"])
    total = int(columns.effective[columns.active(epoch)].sum())
    base = GWEI * BASE_REWARD_FACTOR // isqrt(total * GWEI)
    increments = np.arange(LARGEST_INCREMENTS + 1, dtype=np.int64)
    rewards, penalties = [], []
    figures: dict[str, Gwei] = {
        "duties": has_duty.astype(np.int64),
        "missed": (has_duty & (flags == 0)).astype(np.int64),
        "reward": np.zeros(len(flags), dtype=np.int64),
        "ideal": np.zeros(len(flags), dtype=np.int64),
        "balance": np.where(has_duty, columns.effective, 0),
    }
    for name, flag in _FLAGS.items():
        participating = int(columns.effective[hits[name]].sum())
        rewards.append(increments * base * WEIGHTS[flag] * participating // (total * WEIGHT_DENOMINATOR))
        penalties.append(increments * base * (WEIGHTS[flag] if flag != HEAD else 0) // WEIGHT_DENOMINATOR)
        own = rewards[flag][columns.effective]
        figures["reward"] += np.where(hits[name], own, 0)
        figures["ideal"] += np.where(has_duty, own, 0)
        figures[f"votes_{name}"] = hits[name].astype(np.int64)
        figures[f"balance_{name}"] = np.where(hits[name], columns.effective, 0)
        if flag != HEAD:
            lost = penalties[flag][columns.effective]
            figures[f"penalty_{name}"] = np.where(eligible & ~hits[name], lost, 0)
    leak = columns.effective * GWEI * columns.scores
    leak //= INACTIVITY_SCORE_BIAS * INACTIVITY_PENALTY_QUOTIENT
    figures["penalty_inactivity"] = np.where(eligible & ~hits["target"], leak, 0)
    columns.balances += figures["reward"]
    for name in ("penalty_source", "penalty_target", "penalty_inactivity"):
        columns.balances -= figures[name]
    ours = np.flatnonzero(groups >= 0)
    grouped = {
        name: np.bincount(groups[ours], weights=values[ours], minlength=group_count)
        for name, values in figures.items()
    }
    return AttestationTruth(
        network={name: int(values.sum()) for name, values in figures.items()},
        groups=tuple(
            {name: int(sums[number]) for name, sums in grouped.items()} for number in range(group_count)
        ),
        flags=flags,
        has_duty=has_duty,
        eligible=eligible,
        inactivity=figures["penalty_inactivity"].astype(np.int32),
        rewards=(rewards[SOURCE], rewards[TARGET], rewards[HEAD]),
        penalties=(penalties[SOURCE], penalties[TARGET], penalties[HEAD]),
    )


def _update_scores(columns: Columns, eligible: Mask, target: Mask) -> None:
    scores = columns.scores
    updated = np.where(target, scores - np.minimum(1, scores), scores + INACTIVITY_SCORE_BIAS)
    updated -= np.minimum(INACTIVITY_SCORE_RECOVERY_RATE, updated)
    columns.scores = np.where(eligible, updated, scores)


def apply_deposits(columns: Columns, queue: tuple[Deposit, ...], finalized_slot: int) -> tuple[Deposit, ...]:
    """Credit the deposits up to the finalised slot, and return those that wait on."""
    for deposit in queue:
        if deposit.slot <= finalized_slot:
            columns.balances[deposit.validator_index] += deposit.amount
    return tuple(deposit for deposit in queue if deposit.slot > finalized_slot)


def update_effective(columns: Columns) -> None:
    """Follow the balances with hysteresis: down at -0.25 ETH, up at +1.25 ETH."""
    quarter = GWEI // 4
    effective = columns.effective * GWEI
    moved = (columns.balances + quarter < effective) | (effective + 5 * quarter < columns.balances)
    target = np.minimum(columns.balances // GWEI, columns.maximum)
    columns.effective = np.where(moved, target, columns.effective)
