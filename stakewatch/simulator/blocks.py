"""Blocks of the simulated chain: what they contain, as data."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt


class Source(StrEnum):
    """Who built an execution payload."""

    LOCAL = "local"
    BUILDER = "builder"


@dataclass(frozen=True)
class Checkpoint:
    """An epoch and the root of the newest block at or before its first slot."""

    epoch: int
    root: str


@dataclass(frozen=True)
class Aggregate:
    """One committee's attestation to a slot; `bits` is bool, one per member of the committee."""

    slot: int
    committee: int
    head_root: str
    source: Checkpoint
    target: Checkpoint
    bits: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Withdrawal:
    """A payout of the sweep; `amount` in gwei."""

    index: int
    validator_index: int
    address: str
    amount: int


@dataclass(frozen=True)
class Deposit:
    """A top-up of a known validator; `amount` in gwei, `slot` is the one that it was made in."""

    validator_index: int
    amount: int
    slot: int


@dataclass(frozen=True)
class Transaction:
    """An executed transaction; `tip` and `value` in wei, `tip` per unit of gas."""

    hash: str
    sender: str
    recipient: str
    value: int
    gas_used: int
    tip: int
    nonce: int


@dataclass(frozen=True)
class Payload:
    """The execution payload of a block; `base_fee_per_gas` in wei."""

    block_number: int
    block_hash: str
    parent_hash: str
    timestamp: int
    fee_recipient: str
    base_fee_per_gas: int
    transactions: tuple[Transaction, ...]
    withdrawals: tuple[Withdrawal, ...]

    @property
    def gas_used(self) -> int:
        """Gas of all transactions."""
        return sum(transaction.gas_used for transaction in self.transactions)

    @property
    def priority_fees(self) -> int:
        """Wei that all transactions tip to the fee recipient."""
        return sum(transaction.tip * transaction.gas_used for transaction in self.transactions)


@dataclass(frozen=True)
class Block:
    """A beacon block and what its proposer was paid for it, in gwei."""

    slot: int
    proposer_index: int
    root: str
    parent_root: str
    state_root: str
    payload: Payload
    aggregates: tuple[Aggregate, ...]
    sync_bits: npt.NDArray[np.bool_]
    deposits: tuple[Deposit, ...]
    exits: tuple[int, ...]
    attestations_reward: int
    sync_aggregate_reward: int

    @property
    def consensus_reward(self) -> int:
        """Gwei that the proposer earned on the consensus layer, as /eth/v1/beacon/rewards/blocks says."""
        return self.attestations_reward + self.sync_aggregate_reward
