"""Reads what an epoch came to, from the best source that a node offers: the ladder of tiers.

SSZ state, JSON of the whole network, JSON of our keys; below that blocks and committees, which need nobody's
help. A node that refuses a tier is asked again for it later, ever more rarely; one that fails for a moment
soon. A lower tier is used for an epoch when the higher one failed twice.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from stakewatch.ethereum.attestation_rewards import reward_parameters
from stakewatch.ethereum.beacon_api import Validator
from stakewatch.ethereum.epoch_api import are_keys_moved
from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.state_layout import StateError, fork_at, state_layout
from stakewatch.ethereum.transport import Outcome, RequestError
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.blocks import root_at
from stakewatch_exporter.branch import UnusableError, check_branch
from stakewatch_exporter.epoch_result import (
    EpochResult,
    Moment,
    Tier,
    from_answers,
    from_own_answers,
    from_state,
)
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.log import Changes
from stakewatch_exporter.nodes import BeaconWatch

_TIERS = (Tier.SSZ, Tier.JSON_NETWORK, Tier.JSON_WATCHED)
_ROUNDS_PER_TIER = 2
_LONGEST_REFUSAL_EPOCHS = 16
_MOST_PUBKEYS_SEARCHED = 2**62
_LASTING = frozenset({Outcome.HTTP_4XX, Outcome.INVALID})


@dataclass
class _Refusal:
    """A node's refusal of a tier: until which epoch it is not asked again, and how often it refused."""

    until_epoch: int = 0
    number: int = 0


@dataclass
class _Work:
    """The attempts at one epoch."""

    epoch: int
    rounds: int = 0
    next_at: float = 0.0


class EpochReader:
    """Learns the results of one chain's epochs; `read` is its verb, `tier` the source of the last one."""

    def __init__(self, chain: Callable[[], Chain], changes: Changes) -> None:
        self._chain = chain
        self._changes = changes
        self._refusals: dict[tuple[str, Tier], _Refusal] = {}
        self._work: _Work | None = None
        self.tier: Tier | None = None
        self.result_at = 0.0

    def wanted(self, ledger: Ledger) -> int | None:
        """Return the oldest epoch that a result can be read for and is not, None when there is none."""
        clock, book = self._chain().clock, ledger.book
        if not ledger.branch:
            return None
        first = max(book.first_result_epoch, clock.epoch_of(ledger.tree.anchor.slot + 1) - 1)
        for epoch in range(first, clock.epoch_of(ledger.branch[-1].slot) - 1):
            slot = clock.first_slot(epoch + 2) - 1
            if epoch in book.given_up or slot <= ledger.tree.anchor.slot:
                continue
            result = book.results.get(epoch)
            if result is None or result.root != root_at(ledger.tree.anchor, ledger.branch, slot):
                return epoch
        return None

    async def read(self, watches: Sequence[BeaconWatch], ledger: Ledger) -> bool:
        """Read the next epoch's result if it is due; return whether it was learnt.

        Never raises RequestError.
        """
        epoch = self.wanted(ledger)
        if epoch is None or not watches or (len(ledger.keys) > 0 and not ledger.keys.by_index):
            return False
        if self._work is None or self._work.epoch != epoch:
            self._work = _Work(epoch)
        work = self._work
        if time.monotonic() < work.next_at:
            return False
        for tier in self._tiers_now(watches, work):
            for watch in watches:
                if self._is_refused(watch, tier, epoch):
                    continue
                try:
                    result = await self._read(watch, ledger, epoch, tier)
                except (RequestError, UnusableError, StateError, ValueError) as error:
                    self._note_failure(watch, tier, epoch, error)
                    continue
                self._refusals.pop((watch.node.instance, tier), None)
                ledger.book.take(result)
                self._note_tier(tier, watch)
                self.result_at = time.time()
                self._work = None
                return True
        work.rounds += 1
        slots = min(2.0 ** min(work.rounds, 10) / 4, max(1, self._chain().clock.slots_per_epoch // 8))
        work.next_at = time.monotonic() + slots * self._chain().clock.slot_seconds
        if not self._tiers_now(watches, work):
            ledger.book.given_up.add(epoch)
            self._note_tier(Tier.BLOCKS, None)
            self._work = None
        return False

    def _tiers_now(self, watches: Sequence[BeaconWatch], work: _Work) -> list[Tier]:
        """Return the tiers to try in this round: the best that is offered, more after it failed."""
        offered = [
            tier for tier in _TIERS if any(not self._is_refused(watch, tier, work.epoch) for watch in watches)
        ]
        return offered[: 1 + work.rounds // _ROUNDS_PER_TIER]

    def _is_refused(self, watch: BeaconWatch, tier: Tier, epoch: int) -> bool:
        refusal = self._refusals.get((watch.node.instance, tier))
        return refusal is not None and epoch < refusal.until_epoch

    def _note_failure(self, watch: BeaconWatch, tier: Tier, epoch: int, error: Exception) -> None:
        is_lasting = isinstance(error, StateError | ValueError)
        if isinstance(error, RequestError):
            watch.heed(error)
            is_lasting = error.outcome in _LASTING
        if is_lasting:
            refusal = self._refusals.setdefault((watch.node.instance, tier), _Refusal())
            refusal.until_epoch = epoch + min(2**refusal.number, _LONGEST_REFUSAL_EPOCHS)
            refusal.number = min(refusal.number + 1, 10)
        self._changes.report(
            ("tier", watch.node.instance, tier.value),
            type(error).__name__ if not isinstance(error, RequestError) else error.outcome,
            logging.WARNING,
            "tier_fails",
            instance=watch.node.instance,
            tier=tier.value,
            reason=error,
            next="the next node or a lower tier is asked, this one again later",
        )

    def _note_tier(self, tier: Tier, watch: BeaconWatch | None) -> None:
        if self.tier is tier:
            return
        was, self.tier = self.tier, tier
        is_worse = was is not None and list(Tier).index(tier) > list(Tier).index(was)
        self._changes.report(
            ("tier_in_use",),
            tier.value,
            logging.WARNING if is_worse or tier is not Tier.SSZ else logging.INFO,
            "tier_in_use",
            tier=tier.value,
            instance=None if watch is None else watch.node.instance,
            next="better tiers are tried again later" if tier is not Tier.SSZ else "it is the best one",
        )

    async def _read(self, watch: BeaconWatch, ledger: Ledger, epoch: int, tier: Tier) -> EpochResult:
        clock = self._chain().clock
        last = clock.first_slot(epoch + 2) - 1
        moment = Moment(epoch, last, root_at(ledger.tree.anchor, ledger.branch, last))
        if tier is Tier.SSZ:
            result = await self._from_state(watch, ledger, moment)
        elif tier is Tier.JSON_NETWORK:
            result = await self._from_answers(watch, ledger, moment)
        else:
            result = await self._from_own_answers(watch, ledger, moment)
        await check_branch(watch, ledger, last + 1)
        if root_at(ledger.tree.anchor, ledger.branch, last) != moment.root:
            raise UnusableError("the branch that is followed has changed meanwhile")
        return result

    async def _from_state(self, watch: BeaconWatch, ledger: Ledger, moment: Moment) -> EpochResult:
        chain = self._chain()
        values = chain.specification.values
        fork = fork_at(values, moment.epoch + 1)
        layout, parameters = state_layout(values, fork), reward_parameters(values, fork)
        keys = {bytes.fromhex(key.pubkey[2:]): index for index, key in ledger.keys.by_index.items()}
        indices = KeyIndices(frozenset(keys), MappingProxyType(keys), _MOST_PUBKEYS_SEARCHED)
        root = bytes.fromhex(chain.validators_root[2:])
        slot = moment.slot
        while True:
            try:
                state = await watch.epochs.state(slot, layout, genesis_validators_root=root, keys=indices)
                break
            except RequestError as error:
                earlier = self._block_before(ledger, slot)
                # Some clients have no state of an empty slot; that of the block before has the same votes.
                if error.status != 404 or earlier is None or slot != moment.slot:  # noqa: PLR2004 - not found
                    if are_keys_moved(error):
                        raise UnusableError("our validators have other indices there") from error
                    raise
                slot = earlier
        return await asyncio.to_thread(
            from_state, moment, state, parameters, ledger.membership, ledger.disabled
        )

    def _block_before(self, ledger: Ledger, slot: int) -> int | None:
        """Return the slot of the newest block before an empty slot, in the same epoch."""
        first = slot - slot % self._chain().clock.slots_per_epoch
        return max((block.slot for block in ledger.branch if first <= block.slot < slot), default=None)

    async def _from_answers(self, watch: BeaconWatch, ledger: Ledger, moment: Moment) -> EpochResult:
        answer = await watch.epochs.attestation_rewards(moment.epoch, ())
        registry = await watch.epochs.registry(str(moment.slot))
        return await asyncio.to_thread(
            from_answers, moment, registry, answer, ledger.membership, ledger.disabled
        )

    async def _from_own_answers(self, watch: BeaconWatch, ledger: Ledger, moment: Moment) -> EpochResult:
        members = ledger.membership
        reading = next((one for one in ledger.readings if one.epoch == moment.epoch + 1), None)
        if reading is None:
            raise UnusableError(f"no state of epoch {moment.epoch + 1} was read")
        answer = await watch.epochs.attestation_rewards(moment.epoch, members.indices.tolist())
        validators = [reading.validators[index] for index in members.indices.tolist()]
        return await asyncio.to_thread(
            from_own_answers,
            moment,
            answer,
            members,
            ledger.disabled,
            has_duty=np.array([_has_duty(one, moment.epoch) for one in validators], dtype=np.bool_),
            effective_balances=np.array([one.effective_balance for one in validators], dtype=np.int64),
        )


def _has_duty(validator: Validator, epoch: int) -> bool:
    return validator.activation_epoch <= epoch < validator.exit_epoch and not validator.is_slashed
