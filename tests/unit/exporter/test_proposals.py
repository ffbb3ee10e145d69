"""Rewards of proposals: asked for early, again after pauses, and given up in the end."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest

from stakewatch.bundle.configuration import Node, Role
from stakewatch.ethereum.json_rpc import Receipt, Transaction
from stakewatch.ethereum.rewards import RewardSource
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.proposals import RewardCollector

from .conftest import ETH, FEE_RECIPIENT, block, ledger, root, validators

if TYPE_CHECKING:
    from stakewatch_exporter.nodes import BeaconWatch, ExecutionWatch

TRANSACTION = Transaction("0x" + "77" * 32, "0x" + "55" * 20, "0x" + "66" * 20, 5)
RECEIPT = Receipt(TRANSACTION.transaction_hash, root("e9"), 21000, 10, succeeded=True)
NODE = Node("some-node", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r")


@dataclass
class ScriptedApi:
    """Answers with a reward, or refuses; counts how often it was asked."""

    reward: int | None = None
    receipt: Receipt | None = None
    asked: int = 0

    def _refused(self) -> RequestError:
        return RequestError("no", outcome=Outcome.HTTP_5XX, endpoint=Endpoint.REWARDS, status=500)

    async def block_reward(self, wanted: str, *, proposer_index: int) -> int:
        assert (wanted, proposer_index) == (root(9), 0)
        self.asked += 1
        if self.reward is None:
            raise self._refused()
        return self.reward

    async def transactions(self, block_hash: str) -> tuple[Transaction, ...]:
        assert block_hash == root("e9")
        return (TRANSACTION,)

    async def receipts(self, block_hash: str) -> tuple[Receipt, ...]:
        assert block_hash == root("e9")
        self.asked += 1
        if self.receipt is None:
            raise self._refused()
        return (self.receipt,)


@dataclass
class ScriptedWatch:
    """A watch over a scripted node."""

    api: ScriptedApi
    node: Node = field(default_factory=lambda: NODE)

    def heed(self, error: RequestError) -> None:
        del error


def _books() -> Ledger:
    books = ledger(8, block(9, 8, proposer=0))
    books.read(1, 8, validators(dict.fromkeys(range(3), 32 * ETH)), {})
    return books


async def _collect(
    collector: RewardCollector,
    books: Ledger,
    *,
    beacons: list[ScriptedApi],
    executions: list[ScriptedApi],
    slot_seconds: float = 0.0,
) -> bool:
    return await collector.collect(
        books,
        beacons=[cast("BeaconWatch", ScriptedWatch(api)) for api in beacons],
        executions=[cast("ExecutionWatch", ScriptedWatch(api)) for api in executions],
        slot_seconds=slot_seconds,
    )


def _collector() -> RewardCollector:
    return RewardCollector({"alpha": frozenset({FEE_RECIPIENT})})


async def test_both_rewards_are_learnt_before_the_block_settles_and_asked_for_once() -> None:
    books, collector = _books(), _collector()
    beacon, execution = ScriptedApi(reward=70), ScriptedApi(receipt=RECEIPT)
    assert await _collect(collector, books, beacons=[beacon], executions=[execution])
    assert not await _collect(collector, books, beacons=[beacon], executions=[execution])
    assert (beacon.asked, execution.asked) == (1, 1)
    assert books.counters["alpha"].consensus_reward == 0
    books.settle(9, is_final=True)
    assert books.counters["alpha"].consensus_reward == 70
    assert books.counters["alpha"].execution_wei[RewardSource.LOCAL] == 3 * 21000


async def test_the_next_node_is_asked_when_one_refuses() -> None:
    books = _books()
    silent, knowing = ScriptedApi(), ScriptedApi(reward=70, receipt=RECEIPT)
    await _collect(_collector(), books, beacons=[silent, knowing], executions=[silent, knowing])
    assert books.rewards[root(9)].consensus_gwei == 70
    assert books.rewards[root(9)].execution is not None


async def test_receipts_that_cannot_be_are_not_believed() -> None:
    books = _books()
    lying = ScriptedApi(receipt=replace(RECEIPT, effective_gas_price=1))
    await _collect(_collector(), books, beacons=[], executions=[lying])
    assert books.rewards[root(9)].execution is None


async def test_between_two_attempts_there_is_a_pause() -> None:
    books, collector = _books(), _collector()
    silent = ScriptedApi()
    for _ in range(3):
        await _collect(collector, books, beacons=[silent], executions=[], slot_seconds=60)
    assert silent.asked == 1


async def test_a_part_that_nobody_knows_is_given_up_and_the_other_counted() -> None:
    books, collector = _books(), _collector()
    books.settle(9, is_final=True)
    silent, execution = ScriptedApi(), ScriptedApi(receipt=RECEIPT)
    for _ in range(20):
        await _collect(collector, books, beacons=[silent], executions=[execution])
    assert silent.asked == 8
    assert execution.asked == 1
    assert books.counters["alpha"].consensus_reward == 0
    assert books.counters["alpha"].execution_wei[RewardSource.LOCAL] == 3 * 21000
    assert books.own_proposals() == []


@pytest.mark.parametrize("group", ["alpha", "other"])
async def test_a_group_without_expected_recipients_has_an_unknown_source(group: str) -> None:
    books = _books()
    collector = RewardCollector({group: frozenset({FEE_RECIPIENT})})
    await _collect(collector, books, beacons=[], executions=[ScriptedApi(receipt=RECEIPT)])
    reward = books.rewards[root(9)].execution
    assert reward is not None
    assert reward.source is (RewardSource.LOCAL if group == "alpha" else RewardSource.UNKNOWN)
    assert not reward.is_mismatch


async def test_blocks_of_others_are_nobodys_business() -> None:
    books = ledger(8, block(9, 8, proposer=77))
    books.read(1, 8, validators(dict.fromkeys(range(3), 32 * ETH)), {})
    api = ScriptedApi(reward=1)
    assert not await _collect(_collector(), books, beacons=[api], executions=[api])
    assert api.asked == 0
