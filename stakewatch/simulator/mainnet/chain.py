"""A chain of mainnet's size, all its epochs made at once, by the formulas of the specification (fulu).

Everything is computed by arrays over all validators, so that an epoch of 2.1 million takes about a second.
Finality is always healthy. Source: consensus-specs, altair to electra.
"""

import hashlib
from math import isqrt

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.mainnet.blocks import Aggregate, Deposit, Epoch, Leave, Slot, Withdrawal
from stakewatch.simulator.mainnet.registry import MainnetParameters, make_registry
from stakewatch.simulator.mainnet.transition import (
    AttestationTruth,
    Columns,
    apply_deposits,
    reward_attestations,
    update_effective,
)
from stakewatch.simulator.mainnet.votes import (
    CORRECT,
    SLOTS_PER_EPOCH,
    WRONG_HEAD,
    WRONG_TARGET,
    Votes,
    flags_of,
    make_votes,
)
from stakewatch.simulator.presets import GWEI
from stakewatch.simulator.state import (
    BASE_REWARD_FACTOR,
    PROPOSER_WEIGHT,
    SYNC_WEIGHT,
    WEIGHT_DENOMINATOR,
    WEIGHTS,
    Gwei,
    Mask,
)

SYNC_SEATS = 512
_LOOK_BACK_SLOTS = 12
_MOST_AGGREGATES = 8
_SWEPT = 16_384
_MOST_WITHDRAWALS = 16
_EXIT_DELAY_EPOCHS = 5
_WITHDRAWABLE_DELAY_EPOCHS = 256
_SLASHED_EPOCHS = 8192
_SLASHING_QUOTIENT = 4096
# In which slots of an epoch something rare happens, and to which of those who leave.
_WATCHED_PROPOSES = 5
_DEPOSIT_AT = 7
_SLASHING_AT = 11
_EXIT_AT = 17


class MainnetChain:
    """The chain from `parameters.first_epoch` on; it never changes once it is made."""

    def __init__(self, parameters: MainnetParameters) -> None:
        self.parameters = parameters
        self.registry = make_registry(parameters)
        self.first_slot = parameters.first_epoch * SLOTS_PER_EPOCH
        self.last_slot = self.first_slot + parameters.epochs * SLOTS_PER_EPOCH - 1
        self.epochs: dict[int, Epoch] = {}
        self.slots: dict[int, Slot] = {}
        self.attestations: dict[int, AttestationTruth] = {}
        self.genesis_validators_root = self._root("validators")
        registry = self.registry
        records = registry.records
        self._columns = Columns(
            balances=registry.balances.copy(),
            effective=registry.effective.copy(),
            maximum=registry.maximum,
            activation_epochs=records["activation_epoch"].copy(),
            exit_epochs=records["exit_epoch"].copy(),
            withdrawable_epochs=records["withdrawable_epoch"].copy(),
            slashed=records["slashed"].astype(np.bool_),
            scores=registry.scores.copy(),
        )
        self._queue: tuple[Deposit, ...] = ()
        self._waiting: list[tuple[int, int]] = []
        self._sweep = 0
        self._withdrawal = 0
        random = np.random.default_rng([parameters.seed, 3])
        # A key may hold several seats.
        self.sync_committee = random.choice(registry.lasting, SYNC_SEATS)
        lasting_watched = np.intersect1d(registry.lasting, registry.watched)
        self.sync_committee[:3] = (lasting_watched[-1], lasting_watched[-1], lasting_watched[0])
        self._lasting_watched = lasting_watched
        for epoch in range(parameters.first_epoch, parameters.first_epoch + parameters.epochs):
            self._make_epoch(epoch)

    # ---- what it is

    def root(self, slot: int) -> str:
        """Return the root of the canonical block at or before a slot."""
        while slot in self.slots and not self.slots[slot].has_block:
            slot -= 1
        return self._root("block", max(slot, self.first_slot - 1))

    def parent_root(self, slot: int) -> str:
        """Return the root of the block before that of a slot."""
        return self.root(slot - 1)

    def state_root(self, slot: int) -> str:
        """Return the root of the state after a slot, which nobody can check."""
        return self._root("state", slot)

    def payload_hash(self, slot: int) -> str:
        """Return the hash of the execution payload at or before a slot."""
        return "0x" + hashlib.sha256(self.root(slot).encode()).hexdigest()

    def checkpoint_root(self, epoch: int) -> str:
        """Return the root of an epoch's boundary block."""
        return self.root(epoch * SLOTS_PER_EPOCH)

    def proposers(self, epoch: int) -> tuple[int, ...]:
        """Return who proposes in each slot of an epoch, known for any epoch."""
        random = np.random.default_rng([self.parameters.seed, 4, epoch])
        chosen = [int(index) for index in random.choice(self.registry.lasting, SLOTS_PER_EPOCH)]
        ours = self._lasting_watched
        chosen[_WATCHED_PROPOSES] = int(ours[random.integers(len(ours))])
        return tuple(chosen)

    def balances_at(self, slot: int) -> Gwei:
        """Return all balances in gwei after a slot. Raises KeyError for a slot that is not there."""
        epoch = slot // SLOTS_PER_EPOCH
        balances = self.epochs[epoch].balances.copy()
        for earlier in range(epoch * SLOTS_PER_EPOCH, slot + 1):
            for indices, amounts in self.slots[earlier].changes:
                np.add.at(balances, indices, amounts)
        return balances

    def participation(self, epoch: int, slot: int) -> npt.NDArray[np.uint8]:
        """Return the flags that blocks up to a slot have set for the attestations of an epoch, per index."""
        flags = np.zeros(self.parameters.validators, dtype=np.uint8)
        if epoch in self.epochs:
            votes = self.epochs[epoch].votes
            flags[votes.members] = votes.flags(slot)
        else:
            # Before the chain that is served begins, everybody attested well.
            flags[self.registry.effective > 0] = 7
        return flags

    def leaves(self, slot: int) -> list[Leave]:
        """Return who has left in a slot or before."""
        return [leave for number in range(self.first_slot, slot + 1) for leave in self.slots[number].leaves]

    # ---- how it is made

    def _make_epoch(self, epoch: int) -> None:
        if epoch > self.parameters.first_epoch:
            self._transition(epoch)
        columns = self._columns
        active = np.flatnonzero(columns.active(epoch))
        self.epochs[epoch] = Epoch(
            epoch=epoch,
            balances=columns.balances.copy(),
            effective=columns.effective.astype(np.uint16),
            scores=columns.scores.astype(np.uint32),
            active_increments=int(columns.effective[active].sum()),
            active_validators=len(active),
            proposers=self.proposers(epoch),
            votes=make_votes(self.parameters, self.registry, epoch, active),
            pending_deposits=self._queue,
        )
        for slot in range(epoch * SLOTS_PER_EPOCH, (epoch + 1) * SLOTS_PER_EPOCH):
            self._make_slot(slot)

    def _transition(self, epoch: int) -> None:
        """Do what the end of the epoch before `epoch` does."""
        ended = epoch - 1
        columns = self._columns
        flags = self.participation(ended - 1, ended * SLOTS_PER_EPOCH + SLOTS_PER_EPOCH - 1)
        self.attestations[ended - 1] = reward_attestations(
            columns, flags, ended, groups=self.registry.group, group_count=self.parameters.groups
        )
        self._queue = apply_deposits(columns, self._queue, (ended - 1) * SLOTS_PER_EPOCH)
        update_effective(columns)

    def _make_slot(self, slot: int) -> None:
        epoch = self.epochs[slot // SLOTS_PER_EPOCH]
        proposer = epoch.proposers[slot % SLOTS_PER_EPOCH]
        record = Slot(slot=slot, proposer_index=proposer)
        self.slots[slot] = record
        self._note_operations(slot)
        random = np.random.default_rng([self.parameters.seed, 5, slot])
        if slot > self.first_slot and random.random() < self.parameters.missed_proposal_ratio:
            return
        record.has_block = True
        record.withdrawals = self._withdraw(record)
        self._take_attestations(record, epoch)
        self._take_operations(record)
        self._take_sync(record, epoch, random)
        columns = self._columns
        columns.balances[proposer] += record.consensus_reward
        record.change([proposer], [record.consensus_reward])

    def _take_attestations(self, record: Slot, epoch: Epoch) -> None:
        """Include the largest of the waiting aggregates, as a proposer would."""
        waiting: list[tuple[int, int, int, Mask]] = []
        for slot in range(record.slot - 1, max(record.slot - _LOOK_BACK_SLOTS, self.first_slot) - 1, -1):
            votes = self.epochs[slot // SLOTS_PER_EPOCH].votes
            own = votes.of_slot(slot)
            ready = (votes.ready[own] > 0) & (votes.included[own] == 0)
            ready &= votes.ready[own] <= record.slot - slot
            for kind in (CORRECT, WRONG_HEAD, WRONG_TARGET):
                fresh = ready & (votes.kind[own] == kind)
                waiting.append((int(fresh.sum()), slot, kind, fresh))
        waiting.sort(key=lambda one: one[0], reverse=True)
        base = base_reward_per_increment(epoch.active_increments)
        aggregates = []
        for number, slot, kind, fresh in waiting[:_MOST_AGGREGATES]:
            if number == 0:
                break
            votes = self.epochs[slot // SLOTS_PER_EPOCH].votes
            own = votes.of_slot(slot)
            votes.included[own][fresh] = record.slot
            increments = int(self._columns.effective[votes.members[own][fresh]].sum())
            weights = sum(WEIGHTS[flag] for flag in flags_of(kind, record.slot - slot))
            denominator = (WEIGHT_DENOMINATOR - PROPOSER_WEIGHT) * WEIGHT_DENOMINATOR // PROPOSER_WEIGHT
            record.attestations_reward += increments * base * weights // denominator
            aggregates.append(_aggregate(votes, slot, kind))
        record.aggregates = tuple(aggregates)

    def _note_operations(self, slot: int) -> None:
        """Let the rare things come up: a top-up, a slashing and an exit per epoch, some of them of ours."""
        place = slot % SLOTS_PER_EPOCH
        if place in {_DEPOSIT_AT, _SLASHING_AT, _EXIT_AT}:
            self._waiting.append((place, slot // SLOTS_PER_EPOCH))

    def _take_operations(self, record: Slot) -> None:
        """Include what waits for a block."""
        waiting, self._waiting = self._waiting, []
        for place, epoch in waiting:
            number = epoch - self.parameters.first_epoch
            if place == _DEPOSIT_AT:
                index = int(self._lasting_watched[number % len(self._lasting_watched)])
                record.deposits = ((index, GWEI),)
                self._queue = (*self._queue, Deposit(index, GWEI, record.slot))
            elif 2 * number + 1 < len(self.registry.leaving):
                is_slashed = place == _SLASHING_AT
                index = int(self.registry.leaving[2 * number + is_slashed])
                self._leave(record, index, record.slot // SLOTS_PER_EPOCH, is_slashed=is_slashed)

    def _leave(self, record: Slot, index: int, epoch: int, *, is_slashed: bool) -> None:
        columns = self._columns
        exit_epoch = epoch + _EXIT_DELAY_EPOCHS
        withdrawable = epoch + _SLASHED_EPOCHS if is_slashed else exit_epoch + _WITHDRAWABLE_DELAY_EPOCHS
        columns.exit_epochs[index] = exit_epoch
        columns.withdrawable_epochs[index] = withdrawable
        if is_slashed:
            columns.slashed[index] = True
            amount = int(columns.effective[index]) * GWEI // _SLASHING_QUOTIENT
            columns.balances[index] -= amount
            record.change([index], [-amount])
            # The proposer is the whistleblower, too, and gets both parts.
            record.slashing_reward += amount
        record.leaves = (*record.leaves, Leave(index, exit_epoch, withdrawable, is_slashed))

    def _take_sync(self, record: Slot, epoch: Epoch, random: np.random.Generator) -> None:
        """Pay or charge the sync committee (altair, process_sync_aggregate)."""
        seats = self.sync_committee
        bits = (random.random(SYNC_SEATS) >= self.parameters.miss_ratio) & ~self.registry.offline[seats]
        base = base_reward_per_increment(epoch.active_increments) * epoch.active_increments
        each = base * SYNC_WEIGHT // WEIGHT_DENOMINATOR // SLOTS_PER_EPOCH // SYNC_SEATS
        amounts = np.where(bits, each, -each)
        np.add.at(self._columns.balances, seats, amounts)
        record.change(seats, amounts)
        record.sync_bits, record.sync_reward_each = bits, each
        record.sync_reward = (
            each * PROPOSER_WEIGHT // (WEIGHT_DENOMINATOR - PROPOSER_WEIGHT) * int(bits.sum())
        )

    def _withdraw(self, record: Slot) -> tuple[Withdrawal, ...]:
        """Do this block's share of the sweep (capella, get_expected_withdrawals)."""
        columns = self._columns
        count = self.parameters.validators
        candidates = (self._sweep + np.arange(min(_SWEPT, count))) % count
        balances, maximum = columns.balances[candidates], columns.maximum[candidates] * GWEI
        epoch = record.slot // SLOTS_PER_EPOCH
        full = (columns.withdrawable_epochs[candidates] <= epoch) & (balances > 0)
        excess = (columns.effective[candidates] * GWEI == maximum) & (balances > maximum)
        due = np.flatnonzero(full | excess)[:_MOST_WITHDRAWALS]
        paid = candidates[due]
        amounts = np.where(full[due], balances[due], balances[due] - maximum[due])
        columns.balances[paid] -= amounts
        record.change(paid, -amounts)
        is_full = len(due) == _MOST_WITHDRAWALS
        self._sweep = int((paid[-1] + 1 if is_full else self._sweep + len(candidates)) % count)
        first, self._withdrawal = self._withdrawal, self._withdrawal + len(paid)
        return tuple(
            Withdrawal(first + number, int(index), int(amount))
            for number, (index, amount) in enumerate(zip(paid, amounts, strict=True))
        )

    def _root(self, *parts: object) -> str:
        text = "/".join(str(part) for part in (self.parameters.network, self.parameters.seed, *parts))
        return "0x" + hashlib.sha256(text.encode()).hexdigest()


def base_reward_per_increment(active_increments: int) -> int:
    """Return the base reward in gwei of one increment of effective balance."""
    return GWEI * BASE_REWARD_FACTOR // isqrt(active_increments * GWEI)


def _aggregate(votes: Votes, slot: int, kind: int) -> Aggregate:
    """Return all votes of a kind of a slot that are in blocks by now, those of earlier blocks among them."""
    own = votes.of_slot(slot)
    bits = (votes.kind[own] == kind) & (votes.included[own] > 0)
    bounds = votes.committee_bounds(slot)
    committees = np.add.reduceat(bits, bounds[:-1]).astype(np.bool_)
    return Aggregate(slot, kind, committees, bits[np.repeat(committees, np.diff(bounds))])
