"""The rewards of our proposals: asked for as soon as a block is seen, then with growing pauses."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stakewatch.ethereum.beacon_block import Block
from stakewatch.ethereum.rewards import execution_reward
from stakewatch.ethereum.transport import RequestError
from stakewatch_exporter.ledger import Ledger, OwnProposal, ProposalRewards
from stakewatch_exporter.log import event
from stakewatch_exporter.nodes import BeaconWatch, ExecutionWatch

_MOST_ATTEMPTS = 8


@dataclass
class _Attempts:
    number: int = 0
    next_at: float = 0.0


class RewardCollector:
    """Asks for what is missing of the rewards of our proposals; `collect` is its one verb."""

    def __init__(self, fee_recipients: Mapping[str, frozenset[str]]) -> None:
        self._fee_recipients = fee_recipients
        self._attempts: dict[str, _Attempts] = {}

    async def collect(
        self,
        ledger: Ledger,
        *,
        beacons: Sequence[BeaconWatch],
        executions: Sequence[ExecutionWatch],
        slot_seconds: float,
    ) -> bool:
        """Ask once for each proposal that is due; return whether anything was learnt."""
        own = {proposal.block.root: proposal for proposal in ledger.own_proposals()}
        self._attempts = {root: self._attempts.get(root, _Attempts()) for root in own}
        now = time.monotonic()
        due = [proposal for root, proposal in own.items() if self._attempts[root].next_at <= now]
        learnt = await asyncio.gather(
            *(self._collect_one(ledger, proposal, beacons, executions, slot_seconds) for proposal in due)
        )
        return any(learnt)

    async def _collect_one(
        self,
        ledger: Ledger,
        proposal: OwnProposal,
        beacons: Sequence[BeaconWatch],
        executions: Sequence[ExecutionWatch],
        slot_seconds: float,
    ) -> bool:
        root = proposal.block.root
        rewards = ledger.rewards.setdefault(root, ProposalRewards())
        attempts = self._attempts[root]
        before = (rewards.consensus_gwei, rewards.execution)
        if None not in before:
            return False
        if attempts.number >= _MOST_ATTEMPTS:
            self._give_up(ledger, proposal, rewards)
            return False
        attempts.number += 1
        attempts.next_at = time.monotonic() + slot_seconds * 2.0 ** min(attempts.number - 1, 5)
        await asyncio.gather(
            self._consensus(rewards, proposal.block, beacons),
            self._execution(rewards, proposal, executions),
        )
        ledger.pay(root)
        return before != (rewards.consensus_gwei, rewards.execution)

    def _give_up(self, ledger: Ledger, proposal: OwnProposal, rewards: ProposalRewards) -> None:
        root = proposal.block.root
        if root not in ledger.unpaid:
            return
        ledger.pay(root)
        ledger.write_off(root)
        event(
            logging.WARNING,
            "proposal_reward_unknown",
            group=proposal.group,
            slot=proposal.block.slot,
            consensus="known" if rewards.consensus_gwei is not None else "unknown",
            execution="known" if rewards.execution is not None else "unknown",
            next="nothing is added for the unknown part; requests_total tells why",
        )

    async def _consensus(
        self, rewards: ProposalRewards, block: Block, beacons: Sequence[BeaconWatch]
    ) -> None:
        for watch in beacons:
            if rewards.consensus_gwei is not None:
                return
            try:
                rewards.consensus_gwei = await watch.api.block_reward(
                    block.root, proposer_index=block.proposer_index
                )
            except RequestError as error:
                # It is counted by its outcome; the next node may have the endpoint.
                watch.heed(error)

    async def _execution(
        self, rewards: ProposalRewards, proposal: OwnProposal, executions: Sequence[ExecutionWatch]
    ) -> None:
        payload = proposal.block.payload
        if payload is None:
            return
        for watch in executions:
            if rewards.execution is not None:
                return
            try:
                transactions, receipts = await asyncio.gather(
                    watch.api.transactions(payload.block_hash), watch.api.receipts(payload.block_hash)
                )
                rewards.execution = execution_reward(
                    coinbase=payload.fee_recipient,
                    base_fee_per_gas=payload.base_fee_per_gas,
                    transactions=transactions,
                    receipts=receipts,
                    fee_recipients=self._fee_recipients.get(proposal.group, frozenset()),
                )
            except RequestError as error:
                watch.heed(error)
            except ValueError as error:
                event(
                    logging.WARNING,
                    "receipts_implausible",
                    instance=watch.node.instance,
                    slot=proposal.block.slot,
                    reason=error,
                    next="another execution node is asked",
                )
