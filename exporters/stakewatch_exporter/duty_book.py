"""The books of duties on the settled branch: attestations, proposals, sync committees, slashings.

Everything is counted once, slot by slot, when its slot is settled; what the head says stays a gauge.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from stakewatch.ethereum.beacon_block import Block
from stakewatch_exporter.attesters import Attesters
from stakewatch_exporter.blocks import Anchor
from stakewatch_exporter.counters import GroupCounters, NetworkCounters
from stakewatch_exporter.epoch_result import EpochResult, Moment, completed, from_votes
from stakewatch_exporter.membership import Membership
from stakewatch_exporter.seats import SeatParameters, seat_reward, sync_votes

_Value = TypeVar("_Value")
RECENT_SLOTS = 64
_EPOCHS_OF_ROOTS = 4
_EPOCHS_OF_FAULTS = 8


class ProposalResult(StrEnum):
    """What became of a slot."""

    PROPOSED = "proposed"
    MISSED = "missed"
    ORPHANED = "orphaned"


@dataclass(frozen=True)
class SlotOutcome:
    """A slot, who had to propose in it (None where unknown), and the validators that its block slashed."""

    result: ProposalResult
    proposer: int | None
    proposer_slashings: tuple[int, ...] = ()
    attester_slashings: tuple[int, ...] = ()


def slot_outcome(block: Block | None, duty: int | None, orphans: Iterable[int]) -> SlotOutcome:
    """Return the outcome of a slot from its block, the known duty and who made blocks that did not stay."""
    if block is not None:
        return SlotOutcome(
            ProposalResult.PROPOSED, block.proposer_index, block.proposer_slashings, block.attester_slashings
        )
    proposers = tuple(orphans)
    if proposers:
        return SlotOutcome(ProposalResult.ORPHANED, duty if duty in proposers else proposers[0])
    return SlotOutcome(ProposalResult.MISSED, duty)


@dataclass(frozen=True)
class Watched:
    """Our validators: who belongs to which group, the groups' counters, and the groups that must not sign."""

    members: Membership
    groups: Mapping[str, GroupCounters]
    disabled: frozenset[str]


class DutyBook:
    """The books of one chain; `settle` is its one verb.

    `results` are read and not settled yet, `latest` is the newest read. `misses` counts attestations missed
    in a row by validator index. `seats` has the sync committee by period, `active_balances` gwei by epoch.
    `shares` is each group's part of the network's stake, empty while unknown. `given_up` are epochs whose
    result nobody will read any more.
    """

    def __init__(self, anchor: Anchor, slots_per_epoch: int) -> None:
        self.slots_per_epoch = slots_per_epoch
        self.attesters = Attesters(anchor.slot, slots_per_epoch)
        self.network = NetworkCounters()
        self.results: dict[int, EpochResult] = {}
        self.given_up: set[int] = set()
        self.latest: EpochResult | None = None
        self.settled: EpochResult | None = None
        self.misses: dict[int, int] = {}
        self.imperfect: dict[int, frozenset[int]] = {}
        self.seats: dict[int, tuple[int, ...]] = {}
        self.seat_parameters: SeatParameters | None = None
        self.active_balances: dict[int, int] = {}
        self.shares: dict[str, float] = {}
        self.outcomes: dict[int, SlotOutcome] = {}
        self.roots: list[tuple[int, str]] = [(anchor.slot, anchor.root)]
        self.unknown_epochs = 0

    @property
    def first_result_epoch(self) -> int:
        """The first epoch whose result a state above the anchor can tell."""
        return max(0, self.attesters.first_epoch - 1)

    def begin(self, anchor: Anchor) -> None:
        """Go on from an anchor that is not connected to what is known."""
        self.attesters.begin(anchor.slot)
        self.results.clear()
        self.given_up.clear()
        self.outcomes.clear()
        self.roots = [(anchor.slot, anchor.root)]

    def take(self, result: EpochResult) -> None:
        """Take in the result of an epoch, to be counted when its slot is settled."""
        self.results[result.epoch] = result
        self.latest = result
        self.imperfect[result.epoch] = frozenset(result.imperfect)
        if result.figures is not None:
            self.active_balances[result.figures.epoch] = result.figures.active_balance
        self.imperfect = _newest(self.imperfect, _EPOCHS_OF_FAULTS)
        self.active_balances = _newest(self.active_balances, _EPOCHS_OF_FAULTS)

    def lacks(self, first_slot: int, last_slot: int) -> int | None:
        """Return the first of these slots that is better not settled yet, since data about it are to come."""
        found = [epoch * self.slots_per_epoch + 1 for epoch in self.attesters.lacking(first_slot, last_slot)]
        for epoch in range(first_slot // self.slots_per_epoch, last_slot // self.slots_per_epoch + 1):
            told = epoch - 1
            if told >= self.first_result_epoch and told not in self.results and told not in self.given_up:
                found.append(epoch * self.slots_per_epoch)
        return max(min(found), first_slot) if found else None

    def settle(self, slot: int, outcome: SlotOutcome, block: Block | None, ours: Watched) -> None:
        """Count a slot after those before it; at an epoch's end also the attestations of the one before."""
        self.outcomes[slot] = outcome
        self.outcomes.pop(slot - RECENT_SLOTS, None)
        match outcome.result:
            case ProposalResult.PROPOSED:
                self.network.proposed += 1
            case ProposalResult.MISSED:
                self.network.missed += 1
            case ProposalResult.ORPHANED:
                self.network.orphaned += 1
        self.network.proposer_slashings += len(outcome.proposer_slashings)
        self.network.attester_slashings += len(outcome.attester_slashings)
        for name, share in self.shares.items():
            ours.groups[name].proposals_expected += share
        if block is not None:
            self.roots.append((slot, block.root))
            self.attesters.settle(
                block,
                self.root_at,
                ours.members,
                self.network.attestations,
                {name: counters.attestations for name, counters in ours.groups.items()},
            )
            self._count_seats(block, ours)
        if (slot + 1) % self.slots_per_epoch == 0:
            self._close(slot, ours)

    def root_at(self, slot: int) -> str:
        """Return the root of the last settled block at or before a slot, the oldest known at least."""
        return self.roots[max(0, bisect_right(self.roots, slot, key=lambda entry: entry[0]) - 1)][1]

    def _count_seats(self, block: Block, ours: Watched) -> None:
        parameters = self.seat_parameters
        epoch = block.slot // self.slots_per_epoch
        seats = None if parameters is None else self.seats.get(parameters.period(epoch))
        if parameters is None or seats is None or not block.sync_bits:
            return
        votes = sync_votes(block.sync_bits, seats, ours.members)
        self.network.sync_hits += votes.network_hits
        self.network.sync_misses += votes.network_misses
        balance = self.active_balances.get(epoch)
        reward = 0
        if balance is not None:
            reward = seat_reward(balance, parameters, seats=len(seats), slots_per_epoch=self.slots_per_epoch)
        for name, number in votes.hits.items():
            ours.groups[name].sync_hits += number
            ours.groups[name].sync_reward += number * reward
        for name, number in votes.misses.items():
            ours.groups[name].sync_misses += number
            ours.groups[name].sync_penalty += number * reward

    def _close(self, slot: int, ours: Watched) -> None:
        """Count the attestations of the epoch before the one that ends with this slot."""
        epoch = slot // self.slots_per_epoch - 1
        root = self.root_at(slot)
        result = self.results.pop(epoch, None)
        if result is not None and result.root != root:
            result = None
        votes = self.attesters.votes(epoch)
        if result is not None:
            result = completed(result, votes)
        elif votes is not None:
            result = from_votes(Moment(epoch, slot, root), votes, ours.members, ours.disabled)
            self.imperfect[epoch] = frozenset(result.imperfect)
        if result is not None:
            self._count(result, ours.groups)
        elif epoch >= self.attesters.first_epoch:
            self.unknown_epochs += 1
        self.results = {number: kept for number, kept in self.results.items() if number > epoch}
        self.given_up = {number for number in self.given_up if number > epoch}
        self.attesters.forget(epoch + 1)
        oldest = slot - _EPOCHS_OF_ROOTS * self.slots_per_epoch
        while len(self.roots) > 1 and self.roots[1][0] <= oldest:
            del self.roots[0]

    def _count(self, result: EpochResult, groups: Mapping[str, GroupCounters]) -> None:
        self.settled = result
        if self.latest is None or self.latest.epoch <= result.epoch:
            self.latest = result
        for name, totals in (result.groups or {}).items():
            if name in groups:
                groups[name].attestations.add(totals)
        if result.network is not None:
            self.network.attestations.add(result.network)
        self.misses = {index: self.misses.get(index, 0) + 1 for index in result.missed}


def _newest(values: dict[int, _Value], number: int) -> dict[int, _Value]:
    return {key: values[key] for key in sorted(values)[-number:]}
