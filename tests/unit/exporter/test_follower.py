"""The follower among nodes that say odd things; each node is a script of answers."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from stakewatch.bundle.configuration import Node, Role
from stakewatch.ethereum.beacon_api import Checkpoint, Duties, Finality, Header, Validator
from stakewatch.ethereum.beacon_block import Block
from stakewatch.ethereum.specification import Specification
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.figures import group_figures
from stakewatch_exporter.follower import Follower
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.log import Changes
from stakewatch_exporter.nodes import BeaconWatch

from .conftest import ETH, block, groups, root, validators

FULL = 32 * ETH
FINALITY_NONE = Finality(Checkpoint(0, root(0)), Checkpoint(0, root(0)))


def _refusal(status: int = 404) -> RequestError:
    return RequestError("refused", outcome=Outcome.HTTP_4XX, endpoint=Endpoint.BLOCKS, status=status)


@dataclass
class ScriptedApi:
    """Answers about a chain of blocks by slot; what is not in the script is refused."""

    chain: dict[int, Block]
    states: dict[str, Mapping[int, int]] = field(default_factory=dict)
    pending: dict[str, int] | None = field(default_factory=dict)
    checkpoint: Finality = FINALITY_NONE
    by_root: dict[str, Block] = field(default_factory=dict)
    proposers: dict[int, list[int]] = field(default_factory=dict)

    @property
    def tip(self) -> Block:
        return self.chain[max(self.chain)]

    async def head(self, *, newest_slot: int) -> Header:
        del newest_slot
        return Header(self.tip.root, self.tip.slot, self.tip.proposer_index, self.tip.parent_root)

    async def header_at(self, slot: int) -> Header | None:
        found = self.chain.get(slot)
        return None if found is None else Header(found.root, slot, 0, found.parent_root)

    async def block(self, wanted: str) -> Block:
        every = {one.root: one for one in self.chain.values()} | self.by_root
        if wanted not in every:
            raise _refusal()
        return every[wanted]

    async def finality(self) -> Finality:
        return self.checkpoint

    async def proposer_duties(self, epoch: int, *, slots_per_epoch: int) -> Duties:
        if epoch not in self.proposers:
            raise _refusal(400)
        first = epoch * slots_per_epoch
        return Duties(None, {first + place: index for place, index in enumerate(self.proposers[epoch])})

    async def validators(self, state: str, identities: list[str]) -> dict[int, Validator]:
        assert identities
        if state not in self.states:
            raise _refusal()
        return validators(self.states[state])

    async def pending_deposits(self, state: str) -> dict[str, int]:
        del state
        if self.pending is None:
            raise _refusal()
        return self.pending


@dataclass
class ScriptedWatch:
    """A watch over a scripted node."""

    api: ScriptedApi
    node: Node = field(
        default_factory=lambda: Node("beacon-1", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r")
    )

    def heed(self, error: RequestError) -> None:
        del error


def _line(
    first: int, last: int, *, parent: object, name: str = "", skip: frozenset[int] = frozenset()
) -> dict[int, Block]:
    """Return blocks of the slots from first to last, each on the one before."""
    found: dict[int, Block] = {}
    for slot in range(first, last + 1):
        if slot not in skip:
            own: object = f"{name}{slot}" if name else slot
            found[slot] = block(slot, parent, name=own)
            parent = own
    return found


def _follower(*, slot_milliseconds: int = 1000, electra_epoch: int | None = None) -> Follower:
    forks = {} if electra_epoch is None else {"ELECTRA": electra_epoch}
    chain = Chain(
        "0xaa", int(time.time()) - 500, Specification(slot_milliseconds, 8, 1, 4, MappingProxyType(forks))
    )
    return Follower(chain, groups(), Changes(), ledger=None, catch_up_slots=64)


def _nodes(*apis: ScriptedApi) -> list[BeaconWatch]:
    return [
        cast(
            "BeaconWatch",
            ScriptedWatch(api, Node(f"beacon-{number}", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r")),
        )
        for number, api in enumerate(apis)
    ]


def _ledger(follower: Follower) -> Ledger:
    assert follower.ledger is not None
    return follower.ledger


STATE = dict.fromkeys(range(3), FULL)


async def test_it_begins_at_the_first_slot_of_the_heads_epoch() -> None:
    api = ScriptedApi(_line(1, 20, parent=0))
    follower = _follower()
    assert await follower.step(_nodes(api))
    assert _ledger(follower).tree.anchor.slot == 16
    assert [one.slot for one in _ledger(follower).branch] == [17, 18, 19, 20]


async def test_it_begins_before_an_empty_first_slot() -> None:
    api = ScriptedApi(_line(1, 20, parent=0, skip=frozenset({15, 16, 17})))
    follower = _follower()
    assert await follower.step(_nodes(api))
    assert _ledger(follower).tree.anchor.slot == 16
    assert _ledger(follower).tree.anchor.root == root(14)
    assert [one.slot for one in _ledger(follower).branch] == [18, 19, 20]


async def test_it_begins_at_a_head_that_is_the_first_slot() -> None:
    follower = _follower()
    assert await follower.step(_nodes(ScriptedApi(_line(1, 16, parent=0))))
    assert _ledger(follower).branch == ()


async def test_a_second_step_without_a_new_head_brings_nothing() -> None:
    nodes = _nodes(ScriptedApi(_line(1, 20, parent=0)))
    follower = _follower()
    await follower.step(nodes)
    assert not await follower.step(nodes)


async def test_a_parent_that_is_not_older_is_refused() -> None:
    api = ScriptedApi(_line(1, 20, parent=0))
    follower = _follower()
    await follower.step(_nodes(api))
    head = follower.progress.head
    api.chain[22] = block(22, "loop")
    api.by_root[root("loop")] = block(22, 22, name="loop")
    assert not await follower.step(_nodes(api))
    assert follower.progress.head == head


async def test_a_block_that_is_older_than_its_known_parent_is_refused() -> None:
    api = ScriptedApi(_line(1, 20, parent=0))
    follower = _follower()
    await follower.step(_nodes(api))
    branch = _ledger(follower).branch
    stray = ScriptedApi({19: block(19, 20, name="stray")})
    assert not await follower.step(_nodes(stray))
    assert root("stray") not in _ledger(follower).tree
    assert _ledger(follower).branch == branch


async def test_a_block_of_another_slot_than_its_header_is_refused() -> None:
    api = ScriptedApi(_line(1, 20, parent=0))
    follower = _follower()
    await follower.step(_nodes(api))
    api.chain[22] = block(22, 20)
    api.by_root[root(22)] = block(21, 20, name=22)
    assert not await follower.step(_nodes(api))


async def test_blocks_that_run_in_a_circle_end() -> None:
    chain = _line(1, 20, parent=0, skip=frozenset({16, 17}))
    api = ScriptedApi(chain)
    api.by_root[root(18)] = block(18, 19, name=18)
    assert not await _follower().step(_nodes(api))


async def test_the_next_node_is_asked_when_the_first_does_not_fit() -> None:
    good = ScriptedApi(_line(1, 20, parent=0))
    stray = ScriptedApi({21: block(21, "nowhere", name="stray")})
    follower = _follower()
    await follower.step(_nodes(good))
    good.chain |= _line(21, 21, parent=20)
    assert await follower.step(_nodes(stray, good))
    assert _ledger(follower).branch[-1].root == root(21)


async def test_what_is_settled_is_left_only_after_patience_and_never_when_it_is_final() -> None:
    api = ScriptedApi(_line(1, 20, parent=0))
    follower = _follower(slot_milliseconds=10)
    await follower.step(_nodes(api))
    other = ScriptedApi(_line(12, 21, parent=11, name="other"))
    # Another branch from before the anchor; nothing was finalised.
    assert not await follower.step(_nodes(other))
    assert _ledger(follower).corrections["deep_reorg"] == 0
    await asyncio.sleep(0.1)
    assert await follower.step(_nodes(other))
    assert _ledger(follower).corrections["deep_reorg"] == 1
    assert _ledger(follower).branch[-1].root == root("other21")


async def test_a_good_node_in_between_renews_the_patience() -> None:
    api = ScriptedApi(_line(1, 20, parent=0))
    other = ScriptedApi(_line(12, 21, parent=11, name="other"))
    follower = _follower(slot_milliseconds=10)
    await follower.step(_nodes(api))
    await follower.step(_nodes(other))
    await asyncio.sleep(0.1)
    await follower.step(_nodes(api))
    assert not await follower.step(_nodes(other))
    assert _ledger(follower).corrections["deep_reorg"] == 0


async def test_a_finalised_block_is_never_left() -> None:
    api = ScriptedApi(_line(1, 30, parent=0), states={"24": STATE})
    follower = _follower(slot_milliseconds=10)
    await follower.step(_nodes(api))
    await follower.learn(_nodes(api))
    api.chain |= _line(31, 31, parent=30)
    api.checkpoint = Finality(Checkpoint(4, root(32)), Checkpoint(3, root(24)))
    await follower.step(_nodes(api))
    assert _ledger(follower).tree.anchor.slot == 24
    api.chain |= _line(32, 41, parent=31)
    api.checkpoint = Finality(Checkpoint(5, root(40)), Checkpoint(4, root(32)))
    await follower.step(_nodes(api))
    assert _ledger(follower).tree.anchor == type(_ledger(follower).tree.anchor)(32, root(32), is_final=True)
    other = ScriptedApi(_line(30, 50, parent=29, name="other"))
    for _ in range(3):
        assert not await follower.step(_nodes(other))
        await asyncio.sleep(0.1)
    assert _ledger(follower).corrections["deep_reorg"] == 0


async def test_a_checkpoint_of_another_branch_settles_nothing() -> None:
    api = ScriptedApi(_line(1, 20, parent=0), states={"16": STATE})
    follower = _follower()
    await follower.step(_nodes(api))
    await follower.learn(_nodes(api))
    api.chain |= _line(21, 30, parent=20)
    api.checkpoint = Finality(Checkpoint(3, root("x")), Checkpoint(3, root("elsewhere")))
    await follower.step(_nodes(api))
    assert _ledger(follower).tree.anchor.slot == 16


async def test_without_finality_blocks_settle_after_64_slots() -> None:
    api = ScriptedApi(_line(1, 20, parent=0), states={"16": STATE})
    follower = _follower()
    await follower.step(_nodes(api))
    await follower.learn(_nodes(api))
    api.chain |= _line(21, 82, parent=20)
    await follower.step(_nodes(api))
    assert _ledger(follower).tree.anchor.slot == 18
    assert not _ledger(follower).tree.anchor.is_final


async def test_a_state_is_refused_when_the_node_has_changed_its_branch() -> None:
    api = ScriptedApi(_line(1, 20, parent=0), states={"16": STATE})
    follower = _follower()
    await follower.step(_nodes(api))
    api.chain |= _line(17, 20, parent=16, name="other")
    assert not await follower.learn(_nodes(api))
    assert _ledger(follower).readings == []


async def test_from_electra_on_a_state_without_its_queue_moves_no_earned() -> None:
    api = ScriptedApi(_line(1, 20, parent=0), states={"16": STATE}, pending=None)
    follower = _follower(electra_epoch=0)
    await follower.step(_nodes(api))
    assert await follower.learn(_nodes(api))
    assert _ledger(follower).readings[-1].earned is None
    assert group_figures(_ledger(follower), is_leaking=False)["alpha"].earned is None
    assert group_figures(_ledger(follower), is_leaking=False)["alpha"].balance == 2 * FULL


async def test_a_state_that_fails_is_asked_again_after_a_pause() -> None:
    api = ScriptedApi(_line(1, 20, parent=0))
    follower = _follower(slot_milliseconds=100)
    await follower.step(_nodes(api))
    assert not await follower.learn(_nodes(api))
    api.states["16"] = STATE
    assert not await follower.learn(_nodes(api))
    await asyncio.sleep(0.05)
    assert await follower.learn(_nodes(api))


async def test_duties_of_epochs_that_nobody_answered_in_are_learnt_afterwards() -> None:
    follower = _follower()
    clock = follower.chain.clock
    epoch = clock.epoch_of(clock.slot_at(time.time()))
    head = clock.first_slot(epoch - 2) + 1
    api = ScriptedApi(_line(clock.first_slot(epoch - 2), head, parent=1))
    watch = cast("BeaconWatch", ScriptedWatch(api))
    await follower.step([watch])
    await follower.learn([watch])
    assert follower.ledger is not None
    assert follower.ledger.duties == {}
    api.proposers = {number: [number] * 8 for number in range(epoch - 2, epoch + 3)}
    await follower.learn([watch])
    learnt = {clock.epoch_of(slot) for slot in follower.ledger.duties}
    assert learnt >= {epoch - 2, epoch - 1, epoch}
    assert all(index == clock.epoch_of(slot) for slot, index in follower.ledger.duties.items())
