"""What a slot of a large chain holds, and what the chain was when an epoch of it began."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.mainnet.votes import Votes
from stakewatch.simulator.state import Gwei, Mask


@dataclass(frozen=True)
class Aggregate:
    """An attestation as blocks carry it from Electra on: one slot, one opinion, many committees.

    `committees` is bool, one per committee of the slot; `bits` is bool, one per member of those committees.
    """

    slot: int
    kind: int
    committees: Mask
    bits: Mask


@dataclass(frozen=True)
class Withdrawal:
    """A payout of the sweep; `amount` in gwei."""

    index: int
    validator_index: int
    amount: int


@dataclass(frozen=True)
class Leave:
    """A validator that leaves by its own exit or, when `is_slashed`, by an attester slashing."""

    validator_index: int
    exit_epoch: int
    withdrawable_epoch: int
    is_slashed: bool


@dataclass
class Slot:
    """A slot and its block, if there is one; amounts in gwei.

    `changes` are validators and by how much their balances moved; one may stand there several times.
    `sync_bits` is bool, one per seat. `deposits` are (validator index, amount).
    """

    slot: int
    proposer_index: int
    has_block: bool = False
    aggregates: tuple[Aggregate, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    deposits: tuple[tuple[int, int], ...] = ()
    leaves: tuple[Leave, ...] = ()
    sync_bits: Mask = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    sync_reward_each: int = 0
    attestations_reward: int = 0
    sync_reward: int = 0
    slashing_reward: int = 0
    changes: list[tuple[npt.NDArray[np.int64], Gwei]] = field(default_factory=list)

    @property
    def consensus_reward(self) -> int:
        """What the proposer earned."""
        return self.attestations_reward + self.sync_reward + self.slashing_reward

    def change(self, indices: npt.ArrayLike, amounts: npt.ArrayLike) -> None:
        """Note that balances moved."""
        self.changes.append((np.asarray(indices, dtype=np.int64), np.asarray(amounts, dtype=np.int64)))


@dataclass(frozen=True)
class Deposit:
    """A top-up in the queue; `amount` in gwei."""

    validator_index: int
    amount: int
    slot: int


@dataclass(frozen=True)
class Epoch:
    """What held when an epoch began, after the transition and before its first block.

    `balances` in gwei (int64), `effective` in increments (uint16), `scores` uint32, one entry per index;
    `active_increments` is the total that rewards of the epoch's blocks depend on.
    """

    epoch: int
    balances: Gwei
    effective: npt.NDArray[np.uint16]
    scores: npt.NDArray[np.uint32]
    active_increments: int
    active_validators: int
    proposers: tuple[int, ...]
    votes: Votes
    pending_deposits: tuple[Deposit, ...]
