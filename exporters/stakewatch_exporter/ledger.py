"""What our keys own, earned and proposed: the figures of groups and keys, without asking anybody.

earned = balance + pending deposits + withdrawals - deposits, less what that was at the first epoch seen.
All four speak of the same height: the balance of a state, and what the blocks up to that state moved. So a
withdrawal sweep is no loss, a deposit no gain, and a reorganisation corrects itself with the next state.
Pending deposits (from Electra) count as owned from the block that has the deposit, so that the excess that a
switch to compounding credentials sends through that queue is no loss in between.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from stakewatch.bundle.configuration import Group
from stakewatch.ethereum.beacon_api import Validator
from stakewatch.ethereum.beacon_block import Block
from stakewatch.ethereum.rewards import ExecutionReward
from stakewatch_exporter.blocks import Anchor, BlockTree, root_at
from stakewatch_exporter.counters import GroupCounters
from stakewatch_exporter.duty_book import RECENT_SLOTS, DutyBook, SlotOutcome, Watched, slot_outcome
from stakewatch_exporter.keys import KeyBook
from stakewatch_exporter.membership import Membership, membership

# Below the smallest deposit by more than what a key earns meanwhile: a queue that is told too short looks
# like the loss of a deposit.
_IMPLAUSIBLE_GWEI = 8 * 10**8
_PLAUSIBLE_GWEI_PER_EPOCH = 10**7
READINGS_KEPT = 3
_MOST_UNSETTLED_SLOTS = 256
_USUAL_SLOTS_PER_EPOCH = 32


@dataclass
class Account:
    """A key's book: `worth - base` is what it earned; `base` is None until a state is read after a gap."""

    earned: int = 0
    base: int | None = None


@dataclass(frozen=True)
class Reading:
    """What one state of an epoch said about our keys; `earned` in gwei by index, None if unknown."""

    epoch: int
    slot: int
    validators: Mapping[int, Validator]
    earned: Mapping[int, int] | None


@dataclass(frozen=True)
class OwnProposal:
    """A block that one of our keys proposed."""

    group: str
    block: Block


@dataclass
class ProposalRewards:
    """What is known of the rewards of a proposal: None is still to be learnt, what is paid is counted."""

    consensus_gwei: int | None = None
    execution: ExecutionReward | None = None
    is_consensus_paid: bool = False
    is_execution_paid: bool = False


class Ledger:
    """The books of all groups on one chain. Nothing here waits or fails for want of an answer.

    `patience_slots` is how far settling may fall behind for data that a reader says are to come. `revision`
    grows with everything that is settled or paid.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        tree: BlockTree,
        *,
        slots_per_epoch: int = _USUAL_SLOTS_PER_EPOCH,
    ) -> None:
        groups = tuple(groups)
        self.keys = KeyBook(groups)
        self.disabled = frozenset(group.name for group in groups if not group.enabled)
        self.tree = tree
        self.branch: tuple[Block, ...] = ()
        self.counters: dict[str, GroupCounters] = {group.name: GroupCounters() for group in groups}
        self.accounts: dict[int, Account] = {}
        self.readings: list[Reading] = []
        self.duties: dict[int, int] = {}
        self.rewards: dict[str, ProposalRewards] = {}
        self.unpaid: dict[str, OwnProposal] = {}
        self.corrections: Counter[str] = Counter({"balance_jump": 0, "deep_reorg": 0})
        self.epochs_skipped = 0
        self.restored_epoch: int | None = None
        self.book = DutyBook(tree.anchor, slots_per_epoch)
        self.patience_slots = 0
        self.revision = 0
        self.upcoming: dict[int, int] = {}
        self.orphans: set[tuple[int, int]] = set()
        self.slashed: frozenset[int] = frozenset()
        self._membership: tuple[int, Membership] | None = None

    @property
    def membership(self) -> Membership:
        """Which group each known validator index belongs to."""
        if self._membership is None or self._membership[0] != self.keys.revision:
            self._membership = (self.keys.revision, membership(tuple(self.counters), self.keys.by_index))
        return self._membership[1]

    @property
    def last_epoch(self) -> int | None:
        """Epoch of the last reading, of this run or the one before."""
        return self.readings[-1].epoch if self.readings else self.restored_epoch

    def follow(self, head_root: str) -> None:
        """Take the branch up to this head as the canonical one; KeyError when it is not connected."""
        self.branch = self.tree.branch(head_root)

    def take_duties(self, proposers: Mapping[int, int]) -> None:
        """Take in who proposes in which slot."""
        self.duties.update({slot: index for slot, index in proposers.items() if slot > self.tree.anchor.slot})

    def read(
        self, epoch: int, slot: int, validators: Mapping[int, Validator], pending: Mapping[str, int] | None
    ) -> None:
        """Take in the state of a slot on the branch; the first of its epoch where it could be had.

        `pending` are gwei in the deposit queue by pubkey; None when unknown, then earned does not move.
        Raises ValueError, and changes nothing, when the state cannot be one of our chain: an index has
        another pubkey, a key that was there is gone, or none of our keys is there.
        """
        gone = [index for index in self.keys.by_index if index not in validators]
        if gone:
            raise ValueError(f"{len(gone)} keys that were there are gone, validator {gone[0]} among them")
        if len(self.keys) > 0 and not validators:
            raise ValueError("none of our keys is there")
        self.keys.learn(validators.values())
        blocks = [block for block in self.branch if block.slot <= slot]
        earned: dict[int, int] | None = None
        if pending is not None and all(block.is_complete for block in blocks):
            moved = self._moved(blocks)
            known = [reading.epoch for reading in self.readings if reading.earned is not None]
            last = known[-1] if known else self.restored_epoch
            epochs = 1 if last is None else max(1, epoch - last)
            earned = {
                index: self._earned(validators[index], moved[index], pending.get(key.pubkey, 0), epochs)
                for index, key in self.keys.by_index.items()
                if index in validators
            }
        self.slashed = frozenset(index for index, one in validators.items() if one.is_slashed)
        self.readings.append(Reading(epoch, slot, MappingProxyType(dict(validators)), earned))
        del self.readings[:-READINGS_KEPT]

    def _moved(self, blocks: Iterable[Block]) -> Counter[int]:
        """Return withdrawals less deposits of our keys in gwei by index."""
        moved: Counter[int] = Counter()
        for block in blocks:
            for index, amount in block.withdrawals:
                if index in self.keys.by_index:
                    moved[index] += amount
            for pubkey, amount in block.deposits:
                key = self.keys.by_pubkey.get(pubkey)
                if key is not None:
                    moved[key.index] -= amount
        return moved

    def _earned(self, validator: Validator, moved: int, pending: int, epochs: int) -> int:
        account = self.accounts.setdefault(validator.index, Account())
        worth = validator.balance + pending + moved
        if account.base is None:
            account.base = worth - account.earned
            return account.earned
        earned = worth - account.base
        change = earned - account.earned
        # No reward is that large and only slashing costs that much; a consolidation moves whole stakes.
        plausible = _IMPLAUSIBLE_GWEI + _PLAUSIBLE_GWEI_PER_EPOCH * epochs
        if abs(change) > plausible and not (validator.is_slashed and change < 0):
            self.corrections["balance_jump"] += 1
            account.base += change
            return account.earned
        account.earned = earned
        return earned

    def settle(self, slot: int, *, is_final: bool) -> None:
        """Count everything on the branch up to a slot, once and for all; an earlier slot changes nothing.

        Before the first reading nothing could be counted, so settling waits for it, though not for ever.
        """
        anchor = self.tree.anchor
        if slot - anchor.slot < self.patience_slots:
            lacking = self.book.lacks(anchor.slot + 1, slot)
            if lacking is not None:
                slot, is_final = lacking - 1, False
        if slot <= anchor.slot:
            return
        if len(self.keys) > 0 and not self.readings and slot - anchor.slot < _MOST_UNSETTLED_SLOTS:
            return
        settled = [block for block in self.branch if block.slot <= slot]
        for index, amount in self._moved(settled).items():
            account = self.accounts.get(index)
            if account is not None and account.base is not None:
                account.base -= amount
        for block in settled:
            self._count_moves(block)
        proposed = {block.slot: block for block in settled}
        ours = Watched(self.membership, self.counters, self.disabled)
        for settled_slot in range(anchor.slot + 1, slot + 1):
            duty = self.duties.pop(settled_slot, None)
            own_block = proposed.get(settled_slot)
            self._count_proposal(own_block, settled_slot, duty)
            outcome = slot_outcome(own_block, duty, self._orphaned(settled_slot))
            self.book.settle(settled_slot, outcome, own_block, ours)
        # Without a reader nobody promised to learn what their attestations came to.
        if self.patience_slots:
            self.epochs_skipped += self.book.unknown_epochs
        self.book.unknown_epochs = 0
        self.tree.advance(Anchor(slot, root_at(anchor, self.branch, slot), is_final=is_final))
        self.branch = self.branch[len(settled) :]
        self.orphans = {orphan for orphan in self.orphans if orphan[0] > slot}
        wanted = {block.root for block in self.tree.blocks} | set(self.unpaid)
        self.rewards = {root: rewards for root, rewards in self.rewards.items() if root in wanted}
        self.revision += 1

    def _orphaned(self, slot: int) -> list[int]:
        """Return who made a block of a slot that is not on the branch."""
        return sorted(index for orphan_slot, index in self.all_orphans() if orphan_slot == slot)

    def all_orphans(self) -> set[tuple[int, int]]:
        """Return slot and proposer of every known block above the anchor that is not on the branch."""
        roots = {block.root for block in self.branch}
        return self.orphans.union(
            (block.slot, block.proposer_index) for block in self.tree.blocks if block.root not in roots
        )

    def recent(self) -> dict[int, SlotOutcome]:
        """Return the outcomes of the last 64 slots up to the newest block of the branch."""
        anchor = self.tree.anchor.slot
        head = self.branch[-1].slot if self.branch else anchor
        blocks = {block.slot: block for block in self.branch}
        found = {slot: outcome for slot, outcome in self.book.outcomes.items() if slot > head - RECENT_SLOTS}
        for slot in range(max(anchor, head - RECENT_SLOTS) + 1, head + 1):
            found[slot] = slot_outcome(
                blocks.get(slot), self.duties.get(slot), () if slot in blocks else self._orphaned(slot)
            )
        return found

    def _count_moves(self, block: Block) -> None:
        for index, amount in block.withdrawals:
            key = self.keys.by_index.get(index)
            if key is not None:
                self.counters[key.group].withdrawals += amount
        for pubkey, amount in block.deposits:
            key = self.keys.by_pubkey.get(pubkey)
            if key is not None:
                self.counters[key.group].deposits += amount
        for index in block.exits:
            key = self.keys.by_index.get(index)
            if key is not None:
                self.counters[key.group].voluntary_exits += 1
        for request in block.consolidations:
            key = self.keys.by_pubkey.get(request.source_pubkey)
            # From itself to itself it only changes the kind of the credentials.
            if key is not None and request.source_pubkey != request.target_pubkey:
                self.counters[key.group].consolidations += 1

    def _count_proposal(self, block: Block | None, slot: int, duty: int | None) -> None:
        if block is not None:
            key = self.keys.by_index.get(block.proposer_index)
            if key is not None:
                self.counters[key.group].proposed += 1
                # What it attested to is counted; its rewards are not.
                self.unpaid[block.root] = OwnProposal(key.group, replace(block, attestations=()))
                self.pay(block.root)
        elif duty is not None and (key := self.keys.by_index.get(duty)) is not None:
            if duty in self._orphaned(slot):
                self.counters[key.group].orphaned += 1
            else:
                self.counters[key.group].missed += 1

    def own_proposals(self) -> list[OwnProposal]:
        """Return our blocks on the branch, and settled ones whose rewards are not complete."""
        own = list(self.unpaid.values())
        for block in self.branch:
            key = self.keys.by_index.get(block.proposer_index)
            if key is not None:
                own.append(OwnProposal(key.group, block))
        return own

    def pay(self, root: str) -> None:
        """Add what is known of the rewards of a settled proposal to its group's counters, each part once."""
        proposal = self.unpaid.get(root)
        rewards = self.rewards.get(root)
        if proposal is None or rewards is None:
            return
        counters = self.counters[proposal.group]
        if rewards.consensus_gwei is not None and not rewards.is_consensus_paid:
            counters.consensus_reward += rewards.consensus_gwei
            rewards.is_consensus_paid = True
        if rewards.execution is not None and not rewards.is_execution_paid:
            counters.execution_wei[rewards.execution.source] += rewards.execution.wei
            counters.fee_recipient_mismatches += rewards.execution.is_mismatch
            rewards.is_execution_paid = True
        self.revision += 1
        if rewards.is_consensus_paid and rewards.is_execution_paid:
            self.write_off(root)

    def write_off(self, root: str) -> None:
        """Stop waiting for the rewards of a proposal."""
        self.unpaid.pop(root, None)
        self.rewards.pop(root, None)

    def start_again(self, anchor: Anchor, *, epoch: int, deep_reorg: bool) -> None:
        """Go on from an anchor that is not connected to what is known; what lies between is not counted."""
        if deep_reorg:
            self.corrections["deep_reorg"] += 1
        last = self.last_epoch
        if last is not None:
            self.epochs_skipped += max(0, epoch - last)
        self.tree = BlockTree(anchor)
        self.branch = ()
        self.book.begin(anchor)
        self.orphans.clear()
        self.duties.clear()
        self.readings.clear()
        self.restored_epoch = None
        for account in self.accounts.values():
            account.base = None


def witness(branch: Sequence[Block], slot: int) -> Block | None:
    """Return the first block of a branch at or after a slot: who has it, agrees on all before it."""
    return next((block for block in branch if block.slot >= slot), None)
