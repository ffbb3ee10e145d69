"""What really happened on the simulated chain: the figures that everything else is measured against."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stakewatch.errors import StakewatchError
from stakewatch.simulator.blocks import Source
from stakewatch.simulator.chain import Chain, Result
from stakewatch.simulator.state import Gwei


@dataclass(frozen=True)
class Proposal:
    """A proposer's slot and what it brought: `consensus_reward` in gwei, `execution_reward` in wei.

    The execution reward is the sum of the tips for a local payload, the builder's payment for a bought one;
    both rewards are 0, and `source` is None, when there is no canonical block.
    """

    slot: int
    validator_index: int
    result: Result
    consensus_reward: int
    execution_reward: int
    source: Source | None


class Truth:
    """Answers about one chain, up to the slot that it has reached.

    "The state of an epoch" is the state that states/{slot} shows for the epoch's first slot, so with that
    slot's block. Every method raises StakewatchError for what is in the future or was forgotten.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def balance(self, index: int, epoch: int) -> int:
        """Return a validator's balance in gwei in the state of an epoch."""
        return int(self.balances(epoch)[index])

    def balances(self, epoch: int) -> Gwei:
        """Return all balances in gwei in the state of an epoch (int64, one per index)."""
        return self._balances(self._chain.first_slot(epoch))

    def earned(self, index: int, first_epoch: int, last_epoch: int) -> int:
        """Return what a validator earned in gwei between the states of two epochs; negative where it lost."""
        return int(self.earned_by_all(first_epoch, last_epoch)[index])

    def earned_by_all(self, first_epoch: int, last_epoch: int) -> Gwei:
        """Return what all validators earned in gwei between the states of two epochs (int64, one per index).

        That is the change of balance, plus what the sweep paid out, minus what was deposited.
        """
        first, last = self._chain.first_slot(first_epoch), self._chain.first_slot(last_epoch)
        change = self._balances(last) - self._balances(first)
        return change + self.withdrawn(first, last) - self.deposited(first, last)

    def withdrawn(self, first_slot: int, last_slot: int) -> Gwei:
        """Return the gwei that blocks after `first_slot` up to `last_slot` paid out, per validator."""
        amounts = np.zeros(self._chain.parameters.validators, dtype=np.int64)
        for slot in range(first_slot + 1, last_slot + 1):
            block = self._chain.slots[slot].block
            for withdrawal in block.payload.withdrawals if block else ():
                amounts[withdrawal.validator_index] += withdrawal.amount
        return amounts

    def deposited(self, first_slot: int, last_slot: int) -> Gwei:
        """Return the gwei that deposits credited after `first_slot` up to `last_slot`, per validator.

        A deposit counts where the balance shows it: in its block (deneb), when it leaves the queue (electra).
        """
        amounts = np.zeros(self._chain.parameters.validators, dtype=np.int64)
        for slot in range(first_slot + 1, last_slot + 1):
            record = self._chain.slots[slot]
            if self._chain.parameters.fork == "deneb":
                credited = record.block.deposits if record.block else ()
            else:
                queued = record.block.deposits if record.block else ()
                before = self._chain.slots[slot - 1].pending_deposits + queued
                credited = before[: len(before) - len(record.pending_deposits)]
            for deposit in credited:
                amounts[deposit.validator_index] += deposit.amount
        return amounts

    def proposals(
        self, first_slot: int, last_slot: int, indices: Iterable[int] | None = None
    ) -> tuple[Proposal, ...]:
        """Return the proposals of `indices` (of everybody when None) in the slots from first to last."""
        wanted = None if indices is None else frozenset(indices)
        found = []
        for slot in range(max(first_slot, 1), last_slot + 1):
            record = self._chain.slots.get(slot)
            if record is None:
                raise StakewatchError(f"slot {slot} is not known", mend=self._mend())
            if wanted is None or record.proposer_index in wanted:
                block = record.block
                found.append(
                    Proposal(
                        slot=slot,
                        validator_index=record.proposer_index,
                        result=record.result,
                        consensus_reward=block.consensus_reward if block else 0,
                        execution_reward=record.payment if block else 0,
                        source=record.source if block else None,
                    )
                )
        return tuple(found)

    def attestation_deltas(self, epoch: int) -> Gwei:
        """Return what each validator got or lost in gwei for attesting in an epoch (paid two epochs on)."""
        record = self._chain.epochs.get(epoch + 2)
        if record is None:
            raise StakewatchError(f"the attestations of epoch {epoch} are not settled", mend=self._mend())
        return record.attestation_deltas.copy()

    def not_earning(self, indices: Iterable[int], epoch: int) -> tuple[int, ...]:
        """Return those of `indices` that earned nothing between the states of epoch-2 and `epoch`."""
        earned = self.earned_by_all(epoch - 2, epoch)
        return tuple(index for index in indices if earned[index] <= 0)

    def _balances(self, slot: int) -> Gwei:
        if slot > self._chain.slot:
            raise StakewatchError(f"slot {slot} has not come yet", mend=self._mend())
        try:
            return self._chain.balances_at(slot)
        except KeyError:
            raise StakewatchError(f"slot {slot} was forgotten", mend=self._mend()) from None

    def _mend(self) -> str:
        oldest = self._chain.first_slot(self._chain.oldest_epoch)
        return f"ask for slots {oldest} to {self._chain.slot}"
