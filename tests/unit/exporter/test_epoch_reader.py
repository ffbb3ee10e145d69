"""The ladder of tiers over nodes that refuse, fail for a moment, or have another branch."""

import asyncio
import copy
import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from stakewatch.bundle.configuration import Node, Role
from stakewatch.ethereum.beacon_api import Header
from stakewatch.ethereum.key_indices import KeysMovedError
from stakewatch.ethereum.registry_answer import JsonRegistry
from stakewatch.ethereum.reward_answers import RewardAnswer
from stakewatch.ethereum.specification import Specification
from stakewatch.ethereum.state_stream import NEVER
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError
from stakewatch_exporter import state_file
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.blocks import Anchor, BlockTree
from stakewatch_exporter.epoch_reader import EpochReader
from stakewatch_exporter.epoch_result import Tier
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.log import Changes
from stakewatch_exporter.nodes import BeaconWatch

from .conftest import ETH, block, follow, groups, root, validators

SLOTS = 8
FULL = 32 * ETH
SLOT_MILLISECONDS = 10


def _error(outcome: Outcome, status: int | None = None) -> RequestError:
    return RequestError("refused", outcome=outcome, endpoint=Endpoint.STATES, status=status)


REFUSED = _error(Outcome.HTTP_4XX, 403)
BUSY = _error(Outcome.HTTP_5XX, 503)


def _rewards() -> RewardAnswer:
    ideal = '[{"effective_balance":"32000000000","head":"3","target":"5","source":"2"}]'
    total = ",".join(
        f'{{"validator_index":"{index}","head":"3","target":"5","source":"2"}}' for index in range(4)
    )
    answer = RewardAnswer()
    answer.feed(f'{{"data":{{"ideal_rewards":{ideal},"total_rewards":[{total}]}}}}'.encode())
    return answer.finish()


@dataclass
class Answers:
    """One node's answers: an error to raise for a tier, None to answer it (SSZ never is)."""

    state: Exception = REFUSED
    registry: Exception | None = None
    rewards: Exception | None = None
    is_elsewhere: bool = False
    asked: list[str] = field(default_factory=list)


class ScriptedEpochs:
    """The endpoints about whole epochs of one node."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def state(self, slot: int, layout: object, **others: object) -> object:
        del layout, others
        self._answers.asked.append(f"state {slot}")
        raise self._answers.state

    async def registry(self, state: str) -> JsonRegistry:
        self._answers.asked.append(f"registry {state}")
        if self._answers.registry is not None:
            raise self._answers.registry
        never = np.full(4, NEVER, dtype=np.uint32)
        since = np.zeros(4, dtype=np.uint32)
        return JsonRegistry(
            np.full(4, FULL, dtype=np.int64), since, since, never, np.zeros(4, dtype=np.bool_)
        )

    async def attestation_rewards(self, epoch: int, indices: list[int]) -> RewardAnswer:
        self._answers.asked.append(f"rewards {epoch} of {len(indices) or 'all'}")
        if self._answers.rewards is not None:
            raise self._answers.rewards
        return _rewards()


class ScriptedHeaders:
    """Headers of a branch on which each slot has the block of its number, or of another one."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def header_at(self, slot: int) -> Header:
        return Header(root("elsewhere" if self._answers.is_elsewhere else slot), slot, 0, root(slot - 1))


def _watch(answers: Answers, number: int = 1) -> BeaconWatch:
    @dataclass
    class Scripted:
        node: Node
        api: ScriptedHeaders
        epochs: ScriptedEpochs

        def heed(self, error: RequestError) -> None:
            del error

    node = Node(f"beacon-{number}", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r")
    return cast("BeaconWatch", Scripted(node, ScriptedHeaders(answers), ScriptedEpochs(answers)))


VALUES: dict[str, Any] = {
    "ALTAIR_FORK_EPOCH": "0",
    "ALTAIR_FORK_VERSION": "0x01000000",
    "SLOTS_PER_EPOCH": "8",
    "EFFECTIVE_BALANCE_INCREMENT": "1000000000",
    "SYNC_COMMITTEE_SIZE": "32",
    "SLOTS_PER_HISTORICAL_ROOT": "64",
    "HISTORICAL_ROOTS_LIMIT": "16777216",
    "EPOCHS_PER_HISTORICAL_VECTOR": "64",
    "EPOCHS_PER_SLASHINGS_VECTOR": "64",
    "BASE_REWARD_FACTOR": "64",
    "INACTIVITY_PENALTY_QUOTIENT_ALTAIR": "50331648",
    "INACTIVITY_SCORE_BIAS": "4",
    "INACTIVITY_SCORE_RECOVERY_RATE": "16",
    "MIN_EPOCHS_TO_INACTIVITY_PENALTY": "4",
}


class Scene:
    """A reader and a ledger from slot 8 on; `to` lets the chain grow to a slot."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        given = VALUES if values is None else values
        specification = Specification(
            SLOT_MILLISECONDS, SLOTS, 1, 4, MappingProxyType({}), MappingProxyType(given)
        )
        chain = Chain("0x" + "aa" * 32, int(time.time()) - 500, specification)
        self.reader = EpochReader(lambda: chain, Changes())
        self.books = Ledger(groups(), BlockTree(Anchor(8, root(8))), slots_per_epoch=SLOTS)
        self.books.read(1, 8, validators(dict.fromkeys(range(3), FULL)), {})

    def to(self, slot: int) -> None:
        first = self.books.tree.newest_slot + 1
        follow(self.books, *(block(one, one - 1) for one in range(first, slot + 1)))
        for epoch in range(self.books.readings[-1].epoch + 1, slot // SLOTS + 1):
            self.books.read(epoch, epoch * SLOTS, validators(dict.fromkeys(range(3), FULL)), {})

    async def rounds(self, number: int, *answers: Answers) -> list[bool]:
        """Let the reader try so many times, each after the longest pause."""
        watches = [_watch(one, place) for place, one in enumerate(answers)]
        results = []
        for _ in range(number):
            results.append(await self.reader.read(watches, self.books))
            await asyncio.sleep(1.2 * SLOT_MILLISECONDS / 1000)
        return results


async def test_nothing_is_asked_before_an_epoch_is_over() -> None:
    scene, node = Scene(), Answers()
    scene.to(15)
    assert await scene.rounds(1, node) == [False]
    assert node.asked == []
    scene.to(16)
    assert scene.reader.wanted(scene.books) == 0


async def test_a_refused_state_leads_to_json_at_once() -> None:
    scene, node = Scene(), Answers()
    scene.to(16)
    assert await scene.rounds(3, node) == [False, True, False]
    assert node.asked == ["state 15", "rewards 0 of all", "registry 15"]
    assert scene.reader.tier is Tier.JSON_NETWORK
    result = scene.books.book.results[0]
    assert result.network is not None
    assert (result.network.duties, result.network.reward) == (4, 40)
    assert result.groups is not None
    assert result.groups["alpha"].reward == 20


@pytest.mark.parametrize("registry", [None, REFUSED])
async def test_a_result_of_any_tier_survives_a_restart(registry: Exception | None) -> None:
    scene, node = Scene(), Answers(registry=registry)
    scene.to(16)
    await scene.rounds(4, node)
    chain = "0x" + "aa" * 32
    saved = state_file.saved_state(scene.books, network="demonet", root=chain)
    content = state_file.encode(copy.deepcopy(saved))
    again = msgspec.json.decode(content, type=state_file.SavedState)
    books = state_file.restored_ledger(again, groups(), validators_root=chain, slots_per_epoch=SLOTS)
    assert books.book.results == scene.books.book.results
    assert books.book.latest == scene.books.book.latest
    assert len(books.book.results) == 1


async def test_without_the_registry_only_our_keys_are_asked_for() -> None:
    scene, node = Scene(), Answers(registry=REFUSED)
    scene.to(16)
    assert True in await scene.rounds(4, node)
    assert scene.reader.tier is Tier.JSON_WATCHED
    result = scene.books.book.results[0]
    assert result.network is None
    assert result.groups is not None
    assert result.groups["bravo"].reward == 10


async def test_when_all_is_refused_the_epoch_is_left_to_the_blocks() -> None:
    scene, node = Scene(), Answers(registry=REFUSED, rewards=REFUSED)
    scene.to(16)
    assert True not in await scene.rounds(5, node)
    assert scene.books.book.given_up == {0}
    assert scene.reader.tier is Tier.BLOCKS


async def test_a_busy_node_is_asked_again_before_anything_lower() -> None:
    scene, node = Scene(), Answers(state=BUSY)
    scene.to(16)
    assert await scene.rounds(3, node) == [False, False, True]
    assert node.asked == ["state 15", "state 15", "state 15", "rewards 0 of all", "registry 15"]


async def test_the_other_node_is_asked_before_a_lower_tier() -> None:
    scene = Scene()
    first, second = Answers(), Answers(state=BUSY)
    scene.to(16)
    await scene.rounds(1, first, second)
    assert first.asked == second.asked == ["state 15"]


async def test_a_refusal_is_tried_again_later_and_ever_more_rarely() -> None:
    scene, node = Scene(), Answers()
    tried = []
    for epoch in range(12):
        scene.to((epoch + 2) * SLOTS)
        node.asked.clear()
        await scene.rounds(2, node)
        if any(one.startswith("state") for one in node.asked):
            tried.append(epoch)
    assert tried == [0, 1, 3, 7]


async def test_nothing_is_given_up_while_no_node_is_there() -> None:
    scene = Scene()
    scene.to(16)
    assert await scene.rounds(5) == [False] * 5
    assert scene.books.book.given_up == set()
    assert await scene.rounds(2, Answers()) == [False, True]


async def test_an_answer_of_another_branch_is_not_taken() -> None:
    scene, node = Scene(), Answers(is_elsewhere=True)
    scene.to(16)
    assert True not in await scene.rounds(4, node)
    assert scene.books.book.results == {}
    node.is_elsewhere = False
    assert True in await scene.rounds(4, node)


async def test_a_result_is_read_again_when_the_branch_has_changed() -> None:
    scene, node = Scene(), Answers()
    scene.to(16)
    await scene.rounds(2, node)
    scene.books.tree.add([block(15, 14, name="b15"), block(17, "b15", name="b17")])
    scene.books.follow(root("b17"))
    assert scene.reader.wanted(scene.books) == 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (VALUES | {"HEZE_FORK_EPOCH": "1", "HEZE_FORK_VERSION": "0x08000000"}, "unknown fork"),
        ({}, "no values"),
    ],
)
async def test_an_unknown_fork_leads_to_a_lower_tier_without_asking_for_a_state(
    values: dict[str, Any], reason: str
) -> None:
    scene, node = Scene(values), Answers()
    scene.to(16)
    assert True in await scene.rounds(2, node), reason
    assert "state 15" not in node.asked
    assert scene.reader.tier is Tier.JSON_NETWORK


async def test_a_registry_with_moved_keys_is_no_state_of_ours() -> None:
    moved = _error(Outcome.INVALID)
    moved.__cause__ = KeysMovedError("a watched key is gone")
    scene, node = Scene(), Answers(state=moved, registry=REFUSED, rewards=REFUSED)
    scene.to(16)
    await scene.rounds(3, node)
    assert scene.books.book.results == {}


async def test_a_state_of_an_empty_slot_is_asked_for_at_the_block_before() -> None:
    scene, node = Scene(), Answers(state=_error(Outcome.HTTP_4XX, 404))
    follow(scene.books, *(block(one, one - 1) for one in range(9, 14)))
    follow(scene.books, block(16, 13))
    await scene.rounds(1, node)
    assert node.asked == ["state 15", "state 13"]
