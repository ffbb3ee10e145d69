"""What an epoch's attestations came to, for groups and network, whichever source it was learnt from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.attestation_rewards import (
    AttestationRewards,
    AttestationTotals,
    RewardParameters,
    ValidatorRewards,
    sum_rewards,
)
from stakewatch.ethereum.registry_answer import JsonRegistry
from stakewatch.ethereum.reward_answers import RewardAnswer
from stakewatch.ethereum.state_stream import NEVER, BeaconState
from stakewatch_exporter.attesters import Votes
from stakewatch_exporter.membership import Membership

_ALL_FLAGS = 0b111
_BLOCK = 1 << 18


class Tier(StrEnum):
    """Sources of an epoch's figures, the best first."""

    SSZ = "ssz"
    JSON_NETWORK = "json_network"
    JSON_WATCHED = "json_watched"
    BLOCKS = "blocks"


class Queue(StrEnum):
    """Queues of the beacon chain."""

    DEPOSIT = "deposit"
    CONSOLIDATION = "consolidation"
    WITHDRAWAL = "withdrawal"
    EXIT = "exit"


@dataclass(frozen=True)
class Recent:
    """Active validators by the timely flags that they have so far in the epoch that just ended."""

    all: int
    some: int
    none: int


@dataclass(frozen=True)
class NetworkFigures:
    """What one state says of everybody: gwei, counts, and the lengths of the queues that it tells."""

    epoch: int
    active_validators: int
    active_balance: int
    queues: Mapping[Queue, int]


@dataclass(frozen=True)
class EpochResult:
    """The attestations of `epoch`, learnt at `slot`, whose newest block at or before it is `root`.

    `groups` and `network` are None where the source does not tell. Of our validators, as indices: `missed`
    had a duty and gave no timely vote, `imperfect` gave not all three, `live` signed although their group is
    disabled. `recent` and `network_recent` are about the epoch of `slot` itself, so from the head.
    """

    epoch: int
    slot: int
    root: str
    tier: Tier
    groups: Mapping[str, AttestationTotals] | None
    network: AttestationTotals | None
    missed: tuple[int, ...]
    imperfect: tuple[int, ...]
    live: tuple[int, ...]
    figures: NetworkFigures | None = None
    recent: Mapping[str, Recent] | None = None
    network_recent: Recent | None = None


@dataclass(frozen=True)
class Moment:
    """What a result is about and bound to: an epoch, and a slot with the root of the branch there."""

    epoch: int
    slot: int
    root: str


def from_state(
    moment: Moment,
    state: BeaconState,
    parameters: RewardParameters,
    members: Membership,
    disabled: frozenset[str],
) -> EpochResult:
    """Return what a state of the epoch after says: everything, exactly. Raises StateError."""
    rewards = AttestationRewards(state, parameters)
    own = rewards.of(members.indices)
    live = (own.flags | state.current_participation[members.indices]) != 0
    return EpochResult(
        epoch=moment.epoch,
        slot=moment.slot,
        root=moment.root,
        tier=Tier.SSZ,
        groups={name: rewards.totals(indices) for name, indices in members.by_group().items()},
        network=rewards.network(),
        missed=_chosen(members.indices, own.has_duty & (own.flags == 0)),
        imperfect=_chosen(members.indices, own.has_duty & (own.flags != _ALL_FLAGS)),
        live=_live(members, live, disabled),
        figures=_state_figures(state, rewards.active_balance),
        recent={
            name: _recent(state, indices)
            for name, indices in members.by_group().items()
            if name not in disabled
        },
        network_recent=_recent(state, slice(None)),
    )


def from_answers(
    moment: Moment,
    registry: JsonRegistry,
    answer: RewardAnswer,
    members: Membership,
    disabled: frozenset[str],
) -> EpochResult:
    """Return what the JSON answers about everybody say. Raises ValueError when they do not fit together."""
    if len(members.indices) and int(members.indices[-1]) >= len(registry.is_slashed):
        raise ValueError(f"validator {members.indices[-1]} is not in it")
    has_duty = registry.is_active(moment.epoch) & ~registry.is_slashed
    balances = registry.effective_balances
    network = AttestationTotals()
    for first in range(0, len(balances), _BLOCK):
        block = np.arange(first, min(first + _BLOCK, len(balances)))
        part = answer.of(block, has_duty=has_duty[block], effective_balances=balances[block])
        network += sum_rewards(part, balances[block], 1)
    active = registry.is_active(moment.epoch + 1)
    figures = NetworkFigures(
        epoch=moment.epoch + 1,
        active_validators=int(active.sum()),
        active_balance=int(registry.effective_balances[active].sum()),
        queues={
            Queue.EXIT: int((active & (registry.exit_epochs != NEVER)).sum()),
            Queue.DEPOSIT: int(
                (
                    (registry.activation_eligibility_epochs != NEVER) & (registry.activation_epochs == NEVER)
                ).sum()
            ),
        },
    )
    own = from_own_answers(
        moment,
        answer,
        members,
        disabled,
        has_duty=has_duty[members.indices],
        effective_balances=balances[members.indices],
    )
    return replace(own, tier=Tier.JSON_NETWORK, network=network, figures=figures)


def from_own_answers(
    moment: Moment,
    answer: RewardAnswer,
    members: Membership,
    disabled: frozenset[str],
    *,
    has_duty: npt.NDArray[np.bool_],
    effective_balances: npt.NDArray[np.int64],
) -> EpochResult:
    """Return what the answers about our validators say; the columns are in the order of their indices.

    `effective_balances` are gwei as of the epoch after. Raises ValueError when they do not fit together.
    """
    own = answer.of(members.indices, has_duty=has_duty, effective_balances=effective_balances)
    return EpochResult(
        epoch=moment.epoch,
        slot=moment.slot,
        root=moment.root,
        tier=Tier.JSON_WATCHED,
        groups=_groups(own, effective_balances, members),
        network=None,
        missed=_chosen(members.indices, own.has_duty & (own.flags == 0)),
        imperfect=_chosen(members.indices, own.has_duty & (own.flags != _ALL_FLAGS)),
        live=_live(members, own.flags != 0, disabled),
    )


def from_votes(moment: Moment, votes: Votes, members: Membership, disabled: frozenset[str]) -> EpochResult:
    """Return what settled blocks and committees say: votes of everybody, but no amounts."""
    due = votes.due(members.indices)
    timely = votes.timely(due)
    return EpochResult(
        epoch=moment.epoch,
        slot=moment.slot,
        root=moment.root,
        tier=Tier.BLOCKS,
        groups={name: votes.totals(indices) for name, indices in members.by_group().items()},
        network=votes.totals(),
        missed=_chosen(due, timely == 0),
        imperfect=_chosen(due, timely != _ALL_FLAGS),
        live=_live(members, np.isin(members.indices, due[timely != 0]), disabled),
    )


def completed(result: EpochResult, votes: Votes | None) -> EpochResult:
    """Return a result whose network part, where its source told none, is what blocks and committees say."""
    if result.network is not None or votes is None:
        return result
    return EpochResult(**{**vars(result), "network": votes.totals()})


def _chosen(indices: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(indices[mask].tolist())


def _live(members: Membership, is_live: npt.NDArray[np.bool_], disabled: frozenset[str]) -> tuple[int, ...]:
    numbers = [number for number, name in enumerate(members.names) if name in disabled]
    return _chosen(members.indices, is_live & np.isin(members.numbers[members.indices], numbers))


def _part(rewards: ValidatorRewards, places: npt.NDArray[np.integer]) -> ValidatorRewards:
    return ValidatorRewards(**{name: column[places] for name, column in vars(rewards).items()})


def _groups(
    own: ValidatorRewards, effective_balances: npt.NDArray[np.int64], members: Membership
) -> Mapping[str, AttestationTotals]:
    """Return the sums of each group; the columns are in the order of our validators' indices."""
    groups = members.by_group()
    places = {name: np.searchsorted(members.indices, indices) for name, indices in groups.items()}
    return {
        name: sum_rewards(_part(own, place), effective_balances[place], 1) for name, place in places.items()
    }


def _recent(state: BeaconState, indices: npt.NDArray[np.int64] | slice) -> Recent:
    registry = state.registry
    is_due = (
        (registry.activation_epochs[indices] <= state.epoch)
        & (state.epoch < registry.exit_epochs[indices])
        & ~registry.is_slashed[indices]
    )
    flags = state.current_participation[indices][is_due]
    every, none = int((flags == _ALL_FLAGS).sum()), int((flags == 0).sum())
    return Recent(every, len(flags) - every - none, none)


def _state_figures(state: BeaconState, active_balance: int) -> NetworkFigures:
    registry, epoch = state.registry, state.epoch
    active = (registry.activation_epochs <= epoch) & (epoch < registry.exit_epochs)
    queues = {Queue.EXIT: int((active & (registry.exit_epochs != NEVER)).sum())}
    queues[Queue.DEPOSIT] = state.queue_lengths.get(
        "pending_deposits",
        int(
            ((registry.activation_eligibility_epochs != NEVER) & (registry.activation_epochs == NEVER)).sum()
        ),
    )
    queues[Queue.WITHDRAWAL] = state.queue_lengths.get("pending_partial_withdrawals", 0)
    queues[Queue.CONSOLIDATION] = state.queue_lengths.get("pending_consolidations", 0)
    return NetworkFigures(epoch, int(active.sum()), active_balance, queues)
