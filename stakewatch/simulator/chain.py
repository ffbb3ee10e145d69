"""A deterministic chain that advances slot by slot and keeps what it did, so that figures can be checked."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from math import isqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from stakewatch.errors import StakewatchError
from stakewatch.simulator.blocks import (
    Aggregate,
    Block,
    Checkpoint,
    Deposit,
    Payload,
    Source,
    Transaction,
    Withdrawal,
)
from stakewatch.simulator.presets import EFFECTIVE_BALANCE_INCREMENT, GWEI, MINIMAL, Preset
from stakewatch.simulator.state import (
    HEAD,
    PROPOSER_WEIGHT,
    SOURCE,
    SYNC_WEIGHT,
    TARGET,
    WEIGHT_DENOMINATOR,
    WEIGHTS,
    Gwei,
    Mask,
    State,
    base_reward_per_increment,
    in_inactivity_leak,
    never,
    process_epoch,
)

FULL_BALANCE = 32 * GWEI
COMPOUNDING_BALANCE = 2048 * GWEI
NETWORK_FEE_RECIPIENT = "0x" + "ab" * 20
BUILDER = "0x" + "b1" * 20
_BASE_FEE = 7 * GWEI
_ZERO_ROOT = "0x" + "00" * 32
# A sweep over all watched keys within one epoch; a real chain takes days, which no demo can wait for.
_FAST_SWEEP_WITHDRAWALS = 256
_LARGEST_HISTORY_BYTES = 256 * 1024 * 1024


class Result(StrEnum):
    """What became of a proposer's slot."""

    PROPOSED = "proposed"
    MISSED = "missed"
    ORPHANED = "orphaned"


@dataclass(frozen=True)
class ChainParameters:
    """Everything that makes two chains differ; the same parameters and switches give the same chain.

    `watched` validators are those with the lowest indices: they miss nothing unless they are switched off,
    while of the others a `miss_ratio` of attestations and a `missed_proposal_ratio` of blocks is missing at
    random. `fee_recipients` has one address per watched validator. `builder_ratio` of payloads are bought
    from a builder. `keep_epochs` bounds the memory: what is older is forgotten, sooner in a large chain.
    """

    genesis_time: int
    network: str = "demonet"
    preset: Preset = MINIMAL
    seconds_per_slot: int = 1
    seed: int = 1
    validators: int = 4000
    watched: int = 1000
    fee_recipients: tuple[str, ...] = ()
    compounding_ratio: float = 0.0
    fork: Literal["deneb", "electra"] = "deneb"
    miss_ratio: float = 0.001
    missed_proposal_ratio: float = 0.005
    builder_ratio: float = 0.3
    chain_id: int = 3503995
    keep_epochs: int = 256

    @property
    def history_epochs(self) -> int:
        """Epochs that are kept, given the size of the chain; at least eight."""
        return max(8, min(self.keep_epochs, _LARGEST_HISTORY_BYTES // (24 * max(self.validators, 1))))


@dataclass(frozen=True)
class EpochRecord:
    """What held when an epoch began, after the transition and before its first block.

    `balances` in gwei; `attestation_deltas` is what the transition into this epoch paid or took for
    attestations of the epoch two before. `active_balance` is the effective balance of all active validators.
    `justified_bits` has the newest epoch first, `inactivity_scores` (int64) is as the transition left them.
    `proposers` has one validator index per slot; `committees[slot][i]` are indices.
    """

    epoch: int
    balances: Gwei
    effective_balances: Gwei
    activation_epochs: npt.NDArray[np.uint64]
    exit_epochs: npt.NDArray[np.uint64]
    withdrawable_epochs: npt.NDArray[np.uint64]
    attestation_deltas: Gwei
    active_balance: int
    inactivity_leak: bool
    inactivity_scores: npt.NDArray[np.int64]
    justified_bits: tuple[bool, bool, bool, bool]
    previous_justified: Checkpoint
    current_justified: Checkpoint
    finalized: Checkpoint
    pending_deposits: tuple[Deposit, ...]
    proposers: tuple[int, ...]
    committees: tuple[tuple[npt.NDArray[np.int64], ...], ...]
    sync_committee: npt.NDArray[np.int64]
    next_sync_committee: npt.NDArray[np.int64]


@dataclass
class SlotRecord:
    """What happened in a slot; `changes` are the validators whose balances moved and by how many gwei.

    A validator may stand in `changes` several times. `block` is the canonical one, `orphan` a replaced one.
    `payment` is the wei that the payload pays its proposer.
    """

    slot: int
    proposer_index: int
    result: Result
    block: Block | None = None
    orphan: Block | None = None
    source: Source | None = None
    payment: int = 0
    changes: list[tuple[npt.NDArray[np.int64], Gwei]] = field(default_factory=list)
    pending_deposits: tuple[Deposit, ...] = ()

    def change(self, indices: npt.ArrayLike, amounts: npt.ArrayLike) -> None:
        """Note that balances moved."""
        self.changes.append((np.asarray(indices, dtype=np.int64), np.asarray(amounts, dtype=np.int64)))


class Chain:
    """The chain: `advance_to` moves it on, everything else tells what it did or switches what it will do."""

    def __init__(self, parameters: ChainParameters) -> None:
        self.parameters = parameters
        self.preset = parameters.preset
        count = parameters.validators
        if not 1 <= parameters.watched <= count or count < self.preset.slots_per_epoch:
            raise StakewatchError(
                f"a chain of {count} validators, {parameters.watched} of them watched, cannot be",
                mend="watch between 1 and all validators, and have at least one per slot of an epoch",
            )
        self.genesis_validators_root = self._root("validators")
        self.offline: Mask = np.zeros(count, dtype=np.bool_)
        self.pubkeys = [self._pubkey(index) for index in range(count)]
        self.compounding: Mask = np.zeros(count, dtype=np.bool_)
        if parameters.fork == "electra":
            self.compounding = self._random("compounding").random(count) < parameters.compounding_ratio
        self._indices = {pubkey: index for index, pubkey in enumerate(self.pubkeys)}
        self.slots: dict[int, SlotRecord] = {}
        self.epochs: dict[int, EpochRecord] = {}
        self.oldest_epoch = 0
        self.blocks: dict[str, Block] = {}
        self.payloads: dict[str, Block] = {}
        self.payload_numbers: dict[int, str] = {}
        self._sync_committees: dict[int, npt.NDArray[np.int64]] = {}
        self._miss: set[int] = set()
        self._orphan: set[int] = set()
        self._deposits: list[tuple[int, int]] = []
        self._exits: list[int] = []
        self._sweep_left = 0
        self._before: State | None = None
        self.state = self._genesis()
        self.genesis_block = self._genesis_block()
        self._keep_block(self.genesis_block)
        self.slots[0] = SlotRecord(slot=0, proposer_index=0, result=Result.PROPOSED, block=self.genesis_block)
        self._enter_epoch(0, np.zeros(count, dtype=np.int64))

    # ---- what it is

    @property
    def slot(self) -> int:
        """The slot that has been reached."""
        return self.state.slot

    def epoch_of(self, slot: int) -> int:
        """Return the epoch of a slot."""
        return slot // self.preset.slots_per_epoch

    def first_slot(self, epoch: int) -> int:
        """Return the first slot of an epoch."""
        return epoch * self.preset.slots_per_epoch

    def slot_at(self, time: float) -> int:
        """Return the slot at a Unix time, 0 before genesis."""
        return max(0, int((time - self.parameters.genesis_time) // self.parameters.seconds_per_slot))

    def timestamp(self, slot: int) -> int:
        """Return the Unix time at which a slot starts."""
        return self.parameters.genesis_time + slot * self.parameters.seconds_per_slot

    def block_at_or_before(self, slot: int) -> Block:
        """Return the newest canonical block up to a slot.

        Raises KeyError when that block is older than what is kept.
        """
        while True:
            block = self.slots[slot].block
            if block is not None:
                return block
            slot -= 1

    def balances_at(self, slot: int) -> Gwei:
        """Return all balances in gwei after a slot's block, as states/{slot} shows them (int64, by index).

        Raises KeyError when the slot is in the future or no longer kept.
        """
        epoch = self.epoch_of(slot)
        balances = self.epochs[epoch].balances.copy()
        for earlier in range(self.first_slot(epoch), slot + 1):
            for indices, amounts in self.slots[earlier].changes:
                np.add.at(balances, indices, amounts)
        return balances

    def index_of(self, pubkey: str) -> int | None:
        """Return the index of a public key, None when nobody has it."""
        return self._indices.get(pubkey.lower())

    def credentials(self, index: int) -> str:
        """Return a validator's withdrawal credentials."""
        kind = "02" if self.compounding[index] else "01"
        return f"0x{kind}{'00' * 11}{self.withdrawal_address(index)[2:]}"

    def withdrawal_address(self, index: int) -> str:
        """Return the address that the sweep pays a validator's excess to."""
        return "0x" + self._root("withdrawal", index)[2:42]

    def fee_recipient(self, index: int) -> str:
        """Return the address that a validator's proposals pay."""
        recipients = self.parameters.fee_recipients
        return recipients[index] if index < len(recipients) else NETWORK_FEE_RECIPIENT

    def proposers(self, epoch: int) -> tuple[int, ...]:
        """Return the validator index that proposes in each slot of an epoch, known for any epoch."""
        if epoch in self.epochs:
            return self.epochs[epoch].proposers
        active = np.flatnonzero(self.state.active(epoch))
        chosen = self._random("proposers", epoch).choice(active, self.preset.slots_per_epoch)
        return tuple(int(index) for index in chosen)

    # ---- what it is told

    def miss_proposal(self, slot: int) -> None:
        """Let a future slot stay without a block."""
        self._miss.add(slot)

    def orphan_proposal(self, slot: int) -> None:
        """Let the block of a future slot be replaced by the next block."""
        self._orphan.add(slot)

    def deposit(self, index: int, amount: int) -> None:
        """Top up a validator by an amount of gwei with the next block."""
        self._deposits.append((index, amount))

    def exit(self, index: int) -> None:
        """Put a validator's voluntary exit into the next block."""
        self._exits.append(index)

    def sweep_watched(self) -> None:
        """Let the withdrawal sweep pass over all watched validators at once, faster than a real chain can."""
        self.state.next_withdrawal_validator = 0
        self._sweep_left = self.parameters.watched

    # ---- how it moves

    def advance_to(self, slot: int) -> None:
        """Process all slots up to and including `slot`; a slot that was reached already changes nothing."""
        while self.state.slot < slot:
            self._advance()

    def _advance(self) -> None:
        slot = self.state.slot + 1
        reorganised = self._before is not None
        if self._before is not None:
            orphaned = self.slots[slot - 1]
            self._forget_block(orphaned)
            self.state = self._before
            self._before = None
            self._process_slot(slot - 1, produce=False)
            self.slots[slot - 1].result = Result.ORPHANED
            self.slots[slot - 1].orphan = orphaned.block
        snapshot = self.state.copy() if slot in self._orphan else None
        produce = reorganised or self._will_produce(slot)
        self._process_slot(slot, produce=produce)
        if snapshot is not None and produce:
            self._before = snapshot
        self._forget()

    def _will_produce(self, slot: int) -> bool:
        proposer = self.proposers(self.epoch_of(slot))[slot % self.preset.slots_per_epoch]
        if slot in self._miss or self.offline[proposer]:
            return False
        lucky = self._random("missed", slot).random() >= self.parameters.missed_proposal_ratio
        return bool(proposer < self.parameters.watched or lucky)

    def _process_slot(self, slot: int, *, produce: bool) -> None:
        state = self.state
        epoch = self.epoch_of(slot)
        if slot == self.first_slot(epoch):
            checkpoints = (self._checkpoint(max(epoch - 2, 0)), self._checkpoint(epoch - 1))
            deltas = process_epoch(state, epoch - 1, checkpoints)
            state.slot = slot
            self._enter_epoch(epoch, deltas)
        state.slot = slot
        proposer = self.epochs[epoch].proposers[slot % self.preset.slots_per_epoch]
        record = SlotRecord(slot=slot, proposer_index=proposer, result=Result.MISSED)
        self.slots[slot] = record
        if produce:
            record.result = Result.PROPOSED
            self._produce(record)
        record.pending_deposits = state.pending_deposits
        self._attest(slot)

    def _produce(self, record: SlotRecord) -> None:
        state = self.state
        slot = record.slot
        withdrawals = self._withdraw(record)
        payload = self._payload(record, withdrawals)
        aggregates = tuple(state.waiting_attestations)
        attestations_reward = sum(self._include(aggregate, slot) for aggregate in aggregates)
        state.waiting_attestations.clear()
        deposits = self._make_deposits(record)
        exits = self._make_exits()
        sync_bits, sync_reward = self._sync_committee(record)
        state.balances[record.proposer_index] += attestations_reward + sync_reward
        record.change([record.proposer_index], [attestations_reward + sync_reward])
        kind = "orphan" if slot in self._orphan else "block"
        block = Block(
            slot=slot,
            proposer_index=record.proposer_index,
            root=self._root(kind, slot),
            parent_root=state.head_root,
            state_root=self._root("state", kind, slot),
            payload=payload,
            aggregates=aggregates,
            sync_bits=sync_bits,
            deposits=deposits,
            exits=exits,
            attestations_reward=attestations_reward,
            sync_aggregate_reward=sync_reward,
        )
        record.block = block
        state.head_root = block.root
        state.block_number = payload.block_number
        state.block_hash = payload.block_hash
        self._keep_block(block)

    def _include(self, aggregate: Aggregate, slot: int) -> int:
        """Set the flags that an attestation included in this slot earns; return the proposer's reward."""
        state = self.state
        members = self._committee(aggregate.slot, aggregate.committee)[aggregate.bits]
        delay = slot - aggregate.slot
        flags = [TARGET]
        if delay <= isqrt(self.preset.slots_per_epoch):
            flags.append(SOURCE)
        if delay == 1:
            flags.append(HEAD)
        current = self.epoch_of(aggregate.slot) == self.epoch_of(slot)
        participation = state.current_participation if current else state.previous_participation
        rewards = state.effective_balances[members] // EFFECTIVE_BALANCE_INCREMENT
        rewards *= base_reward_per_increment(self.epochs[self.epoch_of(slot)].active_balance)
        numerator = 0
        for flag in flags:
            fresh = (participation[members] >> flag) & 1 == 0
            numerator += int(rewards[fresh].sum()) * WEIGHTS[flag]
            participation[members] |= 1 << flag
        denominator = (WEIGHT_DENOMINATOR - PROPOSER_WEIGHT) * WEIGHT_DENOMINATOR // PROPOSER_WEIGHT
        return numerator // denominator

    def _attest(self, slot: int) -> None:
        """Let the committees of a slot attest to what they see; the next block includes them."""
        state = self.state
        epoch = self.epoch_of(slot)
        target = self._checkpoint(epoch)
        random = self._random("attest", slot)
        for number, members in enumerate(self.epochs[epoch].committees[slot % self.preset.slots_per_epoch]):
            lucky = random.random(len(members)) >= self.parameters.miss_ratio
            bits = ~self.offline[members] & (lucky | (members < self.parameters.watched))
            if bits.any():
                state.waiting_attestations.append(
                    Aggregate(
                        slot=slot,
                        committee=number,
                        head_root=state.head_root,
                        source=state.current_justified,
                        target=target,
                        bits=bits,
                    )
                )
        oldest = self.first_slot(max(epoch - 1, 0))
        state.waiting_attestations[:] = [one for one in state.waiting_attestations if one.slot >= oldest]

    def _sync_committee(self, record: SlotRecord) -> tuple[Mask, int]:
        """Pay or charge the sync committee (altair, process_sync_aggregate).

        Returns its bits and the proposer's reward.
        """
        state = self.state
        epoch = self.epoch_of(record.slot)
        members = self.epochs[epoch].sync_committee
        random = self._random("sync", record.slot)
        lucky = random.random(len(members)) >= self.parameters.miss_ratio
        bits = ~self.offline[members] & (lucky | (members < self.parameters.watched))
        bits &= state.active(epoch)[members]
        total = self.epochs[epoch].active_balance
        all_base_rewards = base_reward_per_increment(total) * (total // EFFECTIVE_BALANCE_INCREMENT)
        participant = (
            all_base_rewards
            * SYNC_WEIGHT
            // WEIGHT_DENOMINATOR
            // self.preset.slots_per_epoch
            // self.preset.sync_committee_size
        )
        proposer = participant * PROPOSER_WEIGHT // (WEIGHT_DENOMINATOR - PROPOSER_WEIGHT)
        seated = np.unique(members)
        before = state.balances[seated]
        np.add.at(state.balances, members[bits], participant)
        np.subtract.at(state.balances, members[~bits], participant)
        state.balances[seated] = np.maximum(state.balances[seated], 0)
        record.change(seated, state.balances[seated] - before)
        return bits, proposer * int(bits.sum())

    def _withdraw(self, record: SlotRecord) -> tuple[Withdrawal, ...]:
        """Do this block's share of the withdrawal sweep (capella, get_expected_withdrawals)."""
        state = self.state
        count = len(state.balances)
        limit, bound = self.preset.withdrawals_per_payload, self.preset.validators_per_sweep
        if self._sweep_left:
            limit, bound = _FAST_SWEEP_WITHDRAWALS, min(_FAST_SWEEP_WITHDRAWALS, self._sweep_left)
        epoch = self.epoch_of(record.slot)
        swept = min(count, bound)
        candidates = (state.next_withdrawal_validator + np.arange(swept)) % count
        balances = state.balances[candidates]
        full = (state.withdrawable_epochs[candidates] <= epoch) & (balances > 0)
        maximum = state.maximum_effective_balances[candidates]
        excess = (state.effective_balances[candidates] == maximum) & (balances > maximum)
        due = np.flatnonzero(full | excess)[:limit]
        amounts = np.where(full[due], balances[due], balances[due] - maximum[due])
        paid = candidates[due]
        state.balances[paid] -= amounts
        record.change(paid, -amounts)
        first = state.next_withdrawal_index
        state.next_withdrawal_index += len(paid)
        if len(paid) == limit:
            state.next_withdrawal_validator = (int(paid[-1]) + 1) % count
        else:
            state.next_withdrawal_validator = (state.next_withdrawal_validator + swept) % count
        self._sweep_left = max(0, self._sweep_left - swept)
        return tuple(
            Withdrawal(
                index=first + offset,
                validator_index=int(index),
                address=self.withdrawal_address(int(index)),
                amount=int(amount),
            )
            for offset, (index, amount) in enumerate(zip(paid, amounts, strict=True))
        )

    def _make_deposits(self, record: SlotRecord) -> tuple[Deposit, ...]:
        """Take the waiting deposits into the block: credited at once in deneb, queued in electra."""
        deposits = tuple(
            Deposit(validator_index=index, amount=amount, slot=record.slot)
            for index, amount in self._deposits
        )
        self._deposits.clear()
        if self.parameters.fork == "electra":
            self.state.pending_deposits += deposits
            return deposits
        for deposit in deposits:
            self.state.balances[deposit.validator_index] += deposit.amount
            record.change([deposit.validator_index], [deposit.amount])
        return deposits

    def _make_exits(self) -> tuple[int, ...]:
        exits = tuple(self._exits)
        self._exits.clear()
        epoch = self.epoch_of(self.state.slot)
        for index in exits:
            # MAX_SEED_LOOKAHEAD epochs are already decided.
            self.state.exit_epochs[index] = epoch + 1 + 4
            self.state.withdrawable_epochs[index] = epoch + 1 + 4 + self.preset.withdrawability_delay_epochs
        return exits

    def _payload(self, record: SlotRecord, withdrawals: tuple[Withdrawal, ...]) -> Payload:
        """Build a payload; a builder's pays the proposer by a transaction, sometimes followed by a refund."""
        slot, number = record.slot, self.state.block_number + 1
        random = self._random("payload", slot)
        ours = self.fee_recipient(record.proposer_index)
        bought = random.random() < self.parameters.builder_ratio
        transactions = [
            Transaction(
                hash=self._root("transaction", slot, position),
                sender="0x" + self._root("sender", int(sender))[2:42],
                recipient="0x" + self._root("contract", int(sender) % 7)[2:42],
                value=int(value),
                gas_used=int(gas),
                tip=int(tip),
                nonce=number,
            )
            for position, (sender, value, gas, tip) in enumerate(
                zip(
                    *random.integers(0, [[50], [10**17]], (2, 12)),
                    random.integers(21_000, 400_000, 12),
                    random.integers(10**7, 3 * GWEI, 12),
                    strict=True,
                )
            )
        ]
        fees = sum(transaction.tip * transaction.gas_used for transaction in transactions)
        record.source = Source.BUILDER if bought else Source.LOCAL
        record.payment = fees
        if bought:
            record.payment = fees * 95 // 100
            payments = [(ours, record.payment)]
            if random.random() < 1 / 4:
                payments.append(("0x" + self._root("refund", slot)[2:42], fees // 100))
            transactions += [
                Transaction(
                    hash=self._root("payment", slot, position),
                    sender=BUILDER,
                    recipient=recipient,
                    value=value,
                    gas_used=21_000,
                    tip=0,
                    nonce=2 * number + position,
                )
                for position, (recipient, value) in enumerate(payments)
            ]
        kind = "orphan" if slot in self._orphan else "block"
        return Payload(
            block_number=number,
            block_hash=self._root("payload", kind, slot),
            parent_hash=self.state.block_hash,
            timestamp=self.timestamp(slot),
            fee_recipient=BUILDER if bought else ours,
            base_fee_per_gas=_BASE_FEE + int(random.integers(0, GWEI)),
            transactions=tuple(transactions),
            withdrawals=withdrawals,
        )

    # ---- beginnings and endings

    def _genesis(self) -> State:
        count = self.parameters.validators
        maximum = np.where(self.compounding, COMPOUNDING_BALANCE, FULL_BALANCE)
        checkpoint = Checkpoint(epoch=0, root=_ZERO_ROOT)
        # Validators were swept at different times before, so that excess and sweep look as on an old chain.
        excess = self._random("excess").integers(0, GWEI // 50, count)
        balances = np.full(count, FULL_BALANCE, dtype=np.int64)
        compounded = self._random("compounded").integers(0, 1000, count) * GWEI
        effective = np.where(self.compounding, FULL_BALANCE + compounded, balances)
        return State(
            slot=0,
            slots_per_epoch=self.preset.slots_per_epoch,
            balances=effective + excess,
            effective_balances=effective,
            maximum_effective_balances=maximum,
            activation_epochs=np.zeros(count, dtype=np.uint64),
            exit_epochs=never(count),
            withdrawable_epochs=never(count),
            previous_participation=np.zeros(count, dtype=np.uint8),
            current_participation=np.zeros(count, dtype=np.uint8),
            inactivity_scores=np.zeros(count, dtype=np.int64),
            justified_bits=(False, False, False, False),
            previous_justified=checkpoint,
            current_justified=checkpoint,
            finalized=checkpoint,
            head_root=self._root("block", 0),
            block_hash=self._root("payload", "block", 0),
        )

    def _genesis_block(self) -> Block:
        return Block(
            slot=0,
            proposer_index=0,
            root=self.state.head_root,
            parent_root=_ZERO_ROOT,
            state_root=self._root("state", "block", 0),
            payload=Payload(
                block_number=0,
                block_hash=self.state.block_hash,
                parent_hash=_ZERO_ROOT,
                timestamp=0,
                fee_recipient="0x" + "00" * 20,
                base_fee_per_gas=_BASE_FEE,
                transactions=(),
                withdrawals=(),
            ),
            aggregates=(),
            sync_bits=np.zeros(self.preset.sync_committee_size, dtype=np.bool_),
            deposits=(),
            exits=(),
            attestations_reward=0,
            sync_aggregate_reward=0,
        )

    def _keep_block(self, block: Block) -> None:
        self.blocks[block.root] = block
        self.payloads[block.payload.block_hash] = block
        self.payload_numbers[block.payload.block_number] = block.payload.block_hash

    def _enter_epoch(self, epoch: int, deltas: Gwei) -> None:
        state = self.state
        proposers = self.proposers(epoch)
        period = epoch // self.preset.epochs_per_sync_committee_period
        active = np.flatnonzero(state.active(epoch))
        # A committee is drawn when the one before takes its seats (altair, process_sync_committee_updates).
        self._sync_committees = {
            one: self._sync_committees[one]
            if one in self._sync_committees
            else self._random("sync committee", one).choice(active, self.preset.sync_committee_size)
            for one in (period, period + 1)
        }
        self.epochs[epoch] = EpochRecord(
            epoch=epoch,
            balances=state.balances.copy(),
            effective_balances=state.effective_balances.copy(),
            activation_epochs=state.activation_epochs.copy(),
            exit_epochs=state.exit_epochs.copy(),
            withdrawable_epochs=state.withdrawable_epochs.copy(),
            attestation_deltas=deltas,
            active_balance=state.total_active_balance(epoch),
            inactivity_leak=in_inactivity_leak(state, epoch),
            inactivity_scores=state.inactivity_scores.copy(),
            justified_bits=state.justified_bits,
            previous_justified=state.previous_justified,
            current_justified=state.current_justified,
            finalized=state.finalized,
            pending_deposits=state.pending_deposits,
            proposers=proposers,
            committees=self._committees(epoch, active),
            sync_committee=self._sync_committees[period],
            next_sync_committee=self._sync_committees[period + 1],
        )

    def _committees(
        self, epoch: int, active: npt.NDArray[np.intp]
    ) -> tuple[tuple[npt.NDArray[np.int64], ...], ...]:
        slots = self.preset.slots_per_epoch
        per_slot = max(
            1,
            min(
                self.preset.maximum_committees_per_slot,
                len(active) // slots // self.preset.target_committee_size,
            ),
        )
        shuffled = self._random("committees", epoch).permutation(active).astype(np.int64)
        parts = np.array_split(shuffled, slots * per_slot)
        return tuple(tuple(parts[slot * per_slot : (slot + 1) * per_slot]) for slot in range(slots))

    def _committee(self, slot: int, number: int) -> npt.NDArray[np.int64]:
        return self.epochs[self.epoch_of(slot)].committees[slot % self.preset.slots_per_epoch][number]

    def _checkpoint(self, epoch: int) -> Checkpoint:
        slot = self.first_slot(epoch)
        if slot == self.state.slot:
            return Checkpoint(epoch=epoch, root=self.state.head_root)
        return Checkpoint(epoch=epoch, root=self.block_at_or_before(slot).root)

    def _forget_block(self, record: SlotRecord) -> None:
        """Take an orphaned payload out of the execution chain; the beacon block stays known by its root."""
        if record.block is not None:
            self.payload_numbers.pop(record.block.payload.block_number, None)

    def _forget(self) -> None:
        """Drop what is too old, but nothing that finality still needs, and never genesis."""
        current = self.epoch_of(self.state.slot)
        limit = min(current - self.parameters.history_epochs, self.state.finalized.epoch - 1)
        while self.oldest_epoch <= limit:
            for slot in range(self.first_slot(self.oldest_epoch), self.first_slot(self.oldest_epoch + 1)):
                if slot > 0:
                    self._forget_slot(slot)
            del self.epochs[self.oldest_epoch]
            self.oldest_epoch += 1

    def _forget_slot(self, slot: int) -> None:
        record = self.slots.pop(slot)
        for block in (record.block, record.orphan):
            if block is not None:
                self.blocks.pop(block.root, None)
                self.payloads.pop(block.payload.block_hash, None)
                self.payload_numbers.pop(block.payload.block_number, None)
        self._miss.discard(slot)
        self._orphan.discard(slot)

    def _root(self, *parts: object) -> str:
        text = "/".join(str(part) for part in (self.parameters.network, self.parameters.seed, *parts))
        return "0x" + hashlib.sha256(text.encode()).hexdigest()

    def _pubkey(self, index: int) -> str:
        text = f"{self.parameters.network}/{self.parameters.seed}/pubkey/{index}"
        digits = hashlib.sha384(text.encode()).hexdigest()
        # The first bit of a compressed point is always set.
        return f"0x{'89ab'[int(digits[0], 16) % 4]}{digits[1:]}"

    def _random(self, stream: str, number: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.parameters.seed, _STREAMS[stream], number])


_STREAMS = {
    name: number
    for number, name in enumerate(
        (
            "compounding",
            "proposers",
            "missed",
            "attest",
            "sync",
            "payload",
            "excess",
            "compounded",
            "sync committee",
            "committees",
        ),
        start=1,
    )
}
