"""Follows the chain: new blocks into the ledger, a state per epoch, duties, and what is settled."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stakewatch.bundle.configuration import Group
from stakewatch.ethereum.beacon_api import Finality, Header, Validator
from stakewatch.ethereum.beacon_block import Block
from stakewatch.ethereum.transport import RequestError
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.blocks import Anchor, BlockTree, root_at
from stakewatch_exporter.branch import OtherBranchError, UnusableError
from stakewatch_exporter.ledger import Ledger, witness
from stakewatch_exporter.log import Changes, event
from stakewatch_exporter.nodes import BeaconWatch

SETTLED_AFTER_SLOTS = 64
_DEMOTED_SLOTS = 8
_LONGEST_STATE_PAUSE_SLOTS = 8
_FUTURE_SLOTS = 2
_SETTLED_AT_ONCE = 4
_EPOCHS_OF_DUTIES = 3


@dataclass
class Progress:
    """How far the follower is, and when each source last gave good data (Unix seconds, 0 for never)."""

    slots_at: float = 0.0
    state_at: float = 0.0
    head: Header | None = None
    newest_payload: int | None = None
    duties_epoch: int | None = None


class Follower:
    """Follows one chain through whichever node is best; `step` and `learn` are its verbs.

    `catch_up_slots` bounds how many slots are back-filled after a gap; what is longer is skipped and counted.
    `patience_slots` is how far settling may wait for the epoch's data, 0 when nobody reads them.
    """

    def __init__(
        self,
        chain: Chain,
        groups: Sequence[Group],
        changes: Changes,
        *,
        ledger: Ledger | None,
        catch_up_slots: int,
        patience_slots: int = 0,
    ) -> None:
        self.chain = chain
        self.ledger = ledger
        self._patience_slots = patience_slots
        if ledger is not None:
            ledger.patience_slots = patience_slots
        self.progress = Progress()
        self._groups = groups
        self._changes = changes
        self._catch_up_slots = catch_up_slots
        self._duties_root: str | None = None
        self._duty_epochs: set[int] = set()
        self._off_branch_since: float | None = None
        self._demoted: dict[tuple[str, str], float] = {}
        self._state_failures = 0
        self._next_state_at = 0.0

    async def step(self, watches: Sequence[BeaconWatch]) -> bool:
        """Take in what is new, from the first of the watches that gives it; return whether anything was.

        Never raises RequestError.
        """
        is_off_branch = False
        for watch in self._ordered(watches, "follow"):
            try:
                header = await self._connect(watch)
            except (RequestError, UnusableError) as error:
                is_off_branch |= isinstance(error, OtherBranchError)
                self._failed(watch, "follow", error)
                continue
            self._succeeded(watch, "follow")
            break
        else:
            if is_off_branch and self._off_branch_since is None:
                self._off_branch_since = time.monotonic()
            return False
        self._off_branch_since = None
        is_new = self.progress.head is None or header.root != self.progress.head.root
        self.progress.head = header
        self.progress.slots_at = time.time()
        assert self.ledger is not None  # noqa: S101 - _connect made it
        newest = self.ledger.branch[-1] if self.ledger.branch else None
        if newest is not None and newest.payload is not None:
            self.progress.newest_payload = newest.payload.block_number
        return is_new | (is_new and await self._settle(watch, self.ledger, header))

    async def learn(self, watches: Sequence[BeaconWatch]) -> bool:
        """Learn the duties and the state of a new epoch; return whether there is a new state.

        Apart from `step`, since a state takes a node seconds. Never raises RequestError.
        """
        ledger, header = self.ledger, self.progress.head
        if ledger is None or header is None:
            return False
        _, has_read = await asyncio.gather(
            self._duties(self._ordered(watches, "duties"), ledger),
            self._state(self._ordered(watches, "state"), ledger, header),
        )
        return has_read

    def _ordered(self, watches: Sequence[BeaconWatch], what: str) -> list[BeaconWatch]:
        """Put those that failed at this a moment ago behind the others."""
        now = time.monotonic()
        return sorted(watches, key=lambda watch: self._demoted.get((what, watch.node.instance), 0.0) > now)

    def _succeeded(self, watch: BeaconWatch, what: str) -> None:
        self._changes.settle(
            (what, watch.node.instance), "ok", f"{what}_works_again", instance=watch.node.instance
        )

    def _failed(self, watch: BeaconWatch, what: str, error: Exception) -> None:
        if isinstance(error, RequestError):
            watch.heed(error)
        pause = _DEMOTED_SLOTS * self.chain.clock.slot_seconds
        self._demoted[what, watch.node.instance] = time.monotonic() + pause
        state = error.outcome if isinstance(error, RequestError) else type(error).__name__
        self._changes.report(
            (what, watch.node.instance),
            state,
            logging.WARNING,
            f"{what}_fails",
            instance=watch.node.instance,
            reason=error,
            next="the next node is asked, good data stay",
        )

    async def _connect(self, watch: BeaconWatch) -> Header:
        """Fetch a node's head and what lies between it and the known blocks.

        Raises RequestError, UnusableError.
        """
        clock = self.chain.clock
        header = await watch.api.head(newest_slot=max(0, clock.slot_at(time.time())) + _FUTURE_SLOTS)
        if self.ledger is None:
            anchor = await self._first_anchor(watch, header)
            self.ledger = Ledger(self._groups, BlockTree(anchor), slots_per_epoch=clock.slots_per_epoch)
            self.ledger.patience_slots = self._patience_slots
        ledger = self.ledger
        if header.root not in ledger.tree and header.slot <= ledger.tree.anchor.slot:
            raise UnusableError(f"its head, slot {header.slot}, is older than what is settled")
        if header.slot - ledger.tree.newest_slot > self._catch_up_slots:
            self._start_again(watch, await self._first_anchor(watch, header), header, deep_reorg=False)
        try:
            blocks = await self._missing(watch, header, ledger.tree)
        except OtherBranchError:
            if not self._may_leave_branch(ledger):
                raise
            self._start_again(watch, await self._first_anchor(watch, header), header, deep_reorg=True)
            blocks = await self._missing(watch, header, ledger.tree)
        ledger.tree.add(blocks)
        ledger.follow(header.root)
        return header

    def _may_leave_branch(self, ledger: Ledger) -> bool:
        """Whether a branch without our anchor may be taken: never against finality, nor at once."""
        if ledger.tree.anchor.is_final or self._off_branch_since is None:
            return False
        patience = self.chain.clock.slots_per_epoch * self.chain.clock.slot_seconds
        return time.monotonic() - self._off_branch_since > patience

    def _start_again(self, watch: BeaconWatch, anchor: Anchor, header: Header, *, deep_reorg: bool) -> None:
        assert self.ledger is not None  # noqa: S101 - only called with one
        event(
            logging.WARNING,
            "chain_taken_up_anew",
            instance=watch.node.instance,
            cause="a reorganisation beyond what was settled" if deep_reorg else "a gap beyond the bound",
            known_slot=self.ledger.tree.newest_slot,
            head_slot=header.slot,
            next="figures go on from here; what lies between is not counted",
        )
        self.ledger.start_again(anchor, epoch=self.chain.clock.epoch_of(header.slot), deep_reorg=deep_reorg)
        self.progress.duties_epoch = None

    async def _first_anchor(self, watch: BeaconWatch, header: Header) -> Anchor:
        """Return the first slot of the head's epoch with the block at or before it."""
        first = self.chain.clock.first_slot(self.chain.clock.epoch_of(header.slot))
        if header.slot == first:
            return Anchor(first, header.root)
        root = header.parent_root
        at_first = await watch.api.header_at(first)
        if at_first is not None:
            return Anchor(first, at_first.root)
        # The first slot is empty: the parent of the first block behind it is the one.
        for _ in range(self.chain.clock.slots_per_epoch):
            block = await watch.api.block(root)
            if block.slot <= first:
                return Anchor(first, root)
            root = block.parent_root
        raise UnusableError(f"its blocks do not lead back to slot {first}")

    async def _missing(self, watch: BeaconWatch, header: Header, tree: BlockTree) -> list[Block]:
        """Return the blocks between a head and the tree.

        Raises OtherBranchError when the head does not descend from the tree's anchor, UnusableError when its
        blocks cannot follow each other.
        """
        blocks: list[Block] = []
        root, below = header.root, header.slot + 1
        while root not in tree:
            if below <= tree.anchor.slot + 1:
                raise OtherBranchError(f"its head does not descend from {tree.anchor.root}")
            block = await watch.api.block(root)
            if block.slot >= below or (root == header.root and block.slot != header.slot):
                raise UnusableError(f"its block {root} claims slot {block.slot}, which cannot be")
            if block.slot <= tree.anchor.slot:
                raise OtherBranchError(f"its head does not descend from {tree.anchor.root}")
            blocks.append(block)
            root, below = block.parent_root, block.slot
        if blocks and tree.slot(root) >= below:
            raise UnusableError(f"its block {blocks[-1].root} claims slot {below}, not after its parent's")
        return blocks

    async def _duties(self, watches: Sequence[BeaconWatch], ledger: Ledger) -> None:
        """Learn who proposes in the running epoch; anew when a reorganisation changed what decides it.

        What the next epoch will bring is known from fulu on; before, the end of this epoch may change it.
        """
        clock = self.chain.clock
        epoch = clock.epoch_of(max(0, clock.slot_at(time.time())))
        deciding = root_at(ledger.tree.anchor, ledger.branch, clock.first_slot(epoch) - 1)
        if self.progress.duties_epoch == epoch and self._duties_root == deciding:
            return
        for watch in watches:
            try:
                duties = await watch.api.proposer_duties(epoch, slots_per_epoch=clock.slots_per_epoch)
            except RequestError as error:
                self._failed(watch, "duties", error)
                continue
            ledger.take_duties(duties.proposers)
            ledger.upcoming = dict(duties.proposers)
            if self.chain.specification.has_forked("FULU", epoch + 1):
                ledger.upcoming.update(await self._other_duties(watch, epoch + 1))
            await self._missed_duties(watch, ledger, epoch)
            self._succeeded(watch, "duties")
            self.progress.duties_epoch = epoch
            self._duties_root = deciding
            return

    async def _missed_duties(self, watch: BeaconWatch, ledger: Ledger, epoch: int) -> None:
        """Learn the duties of earlier epochs that nobody could tell then, as far as they still count.

        Without them a slot without a block would be nobody's.
        """
        self._duty_epochs.add(epoch)
        first = self.chain.clock.epoch_of(ledger.tree.anchor.slot + 1)
        self._duty_epochs = {known for known in self._duty_epochs if known >= first}
        for earlier in range(max(first, epoch - _EPOCHS_OF_DUTIES), epoch):
            if earlier not in self._duty_epochs:
                duties = await self._other_duties(watch, earlier)
                if duties:
                    ledger.take_duties(duties)
                    self._duty_epochs.add(earlier)

    async def _other_duties(self, watch: BeaconWatch, epoch: int) -> Mapping[int, int]:
        try:
            duties = await watch.api.proposer_duties(epoch, slots_per_epoch=self.chain.clock.slots_per_epoch)
        except RequestError as error:
            # It is counted by its outcome; the running epoch's duties are what everything else needs.
            watch.heed(error)
            return {}
        return duties.proposers

    async def _state(self, watches: Sequence[BeaconWatch], ledger: Ledger, header: Header) -> bool:
        """Read the state at the first slot of the head's epoch, once per epoch."""
        if len(ledger.keys) == 0:
            return False
        epoch = self.chain.clock.epoch_of(header.slot)
        if ledger.readings and ledger.readings[-1].epoch >= epoch:
            return False
        if time.monotonic() < self._next_state_at:
            return False
        for watch in watches:
            try:
                await self._read(watch, ledger, epoch)
            except (RequestError, UnusableError, ValueError) as error:
                self._failed(watch, "state", error)
                continue
            self._state_failures = 0
            self.progress.state_at = time.time()
            self._succeeded(watch, "state")
            return True
        pause = min(2.0**self._state_failures / 4, _LONGEST_STATE_PAUSE_SLOTS)
        self._state_failures = min(self._state_failures + 1, 10)
        self._next_state_at = time.monotonic() + pause * self.chain.clock.slot_seconds
        return False

    async def _read(self, watch: BeaconWatch, ledger: Ledger, epoch: int) -> None:
        """Read the state at an epoch's first slot, or where a client refuses it at its first block.

        Raises RequestError; UnusableError when it is not the state of our branch; ValueError from the ledger.
        """
        slot = first = self.chain.clock.first_slot(epoch)
        bound_slot, bound_root = bound = _binding(ledger, first)
        try:
            answer = await self._ask_state(watch, ledger, slot)
        except RequestError as error:
            # Some clients have no state of an empty slot; that of the next block is as good, only later.
            if error.status is None or bound_slot == first:
                raise
            slot = bound_slot
            answer = await self._ask_state(watch, ledger, slot)
        # The state belongs to our branch if the node, and we, still have that block after it answered.
        header = await watch.api.header_at(bound_slot)
        if header is None or header.root != bound_root or _binding(ledger, first) != bound:
            raise UnusableError(f"it has another block at slot {bound_slot} than the branch that is followed")
        validators, pending = answer
        ledger.read(epoch, slot, validators, pending)
        unknown = len(ledger.keys) - len(ledger.keys.by_index)
        self._changes.report(
            "unknown_keys",
            unknown,
            logging.INFO if unknown == 0 else logging.WARNING,
            "keys_known",
            known=len(ledger.keys.by_index),
            unknown=unknown,
            next="unknown keys are asked for each epoch",
        )

    async def _ask_state(
        self, watch: BeaconWatch, ledger: Ledger, slot: int
    ) -> tuple[dict[int, Validator], dict[str, int] | None]:
        """Ask for our validators and, where the fork has them, pending deposits: None when refused."""
        validators = watch.api.validators(str(slot), ledger.keys.identities())
        if not self.chain.specification.has_forked("ELECTRA", self.chain.clock.epoch_of(slot)):
            return await validators, {}
        answers = await asyncio.gather(validators, self._pending(watch, slot))
        return answers[0], answers[1]

    async def _pending(self, watch: BeaconWatch, slot: int) -> dict[str, int] | None:
        try:
            pending = await watch.api.pending_deposits(str(slot))
        except RequestError as error:
            self._failed(watch, "pending_deposits", error)
            return None
        self._succeeded(watch, "pending_deposits")
        return pending

    async def _settle(self, watch: BeaconWatch, ledger: Ledger, header: Header) -> bool:
        """Settle what is finalised or deep enough; return whether anything was."""
        before = ledger.tree.anchor
        final_slot = before.slot
        try:
            finality: Finality = await watch.api.finality()
        except RequestError as error:
            self._failed(watch, "finality", error)
        else:
            self._succeeded(watch, "finality")
            slot = self.chain.clock.first_slot(finality.finalized.epoch)
            # A checkpoint of another moment or branch than the head we follow says nothing about this branch.
            if slot > before.slot and root_at(before, ledger.branch, slot) == finality.finalized.root:
                final_slot = slot
        slot = max(final_slot, header.slot - SETTLED_AFTER_SLOTS)
        # In small pieces: settling the blocks of an epoch of mainnet takes a tenth of a second.
        for piece in range(before.slot + _SETTLED_AT_ONCE, slot, _SETTLED_AT_ONCE):
            ledger.settle(piece, is_final=final_slot == slot)
            await asyncio.sleep(0)
        ledger.settle(slot, is_final=slot == final_slot)
        return ledger.tree.anchor != before


def _binding(ledger: Ledger, slot: int) -> tuple[int, str]:
    """Return slot and root of a block that only a node with our state at a slot can have.

    That is the first block at or after the slot, or the anchor where it stands at the slot.
    Raises UnusableError when there is none.
    """
    anchor = ledger.tree.anchor
    found = witness(ledger.branch, slot)
    if anchor.slot <= slot and found is not None:
        return found.slot, found.root
    if anchor.slot == slot:
        return slot, anchor.root
    raise UnusableError(f"no block at or after slot {slot} is known")
