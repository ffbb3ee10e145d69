"""The follower on a chain moved by hand: every epoch, gaps, reorganisations, nodes that fall out."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from stakewatch.ethereum.beacon_api import Validator
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError
from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, Group, ValidatorClient
from stakewatch_exporter.agreement import elect_chain
from stakewatch_exporter.figures import not_earning_keys
from stakewatch_exporter.follower import Follower
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.log import Changes
from stakewatch_exporter.nodes import BeaconWatch

from .exporting import configured

SLOTS_PER_EPOCH = 8
CATCH_UP_SLOTS = 24
KEYS = 30
PLAN = FleetPlan(
    beacon_nodes=(
        BeaconNode("beacon-1", "lighthouse", "execution-1", "m"),
        BeaconNode("beacon-2", "teku", "execution-2", "m"),
    ),
    execution_nodes=(ExecutionNode("execution-1", "geth", "m"), ExecutionNode("execution-2", "geth", "m")),
    validator_clients=(ValidatorClient("validators-1", "lighthouse", ("beacon-1", "beacon-2"), "m"),),
    groups=(Group("alpha", "validators-1", KEYS),),
    validators=96,
)


@dataclass
class Course:
    """A fleet moved by hand and a follower behind it."""

    fleet: Fleet
    follower: Follower
    watches: tuple[BeaconWatch, ...]
    began: int = 0

    @property
    def ledger(self) -> Ledger:
        """The follower's books."""
        assert self.follower.ledger is not None
        return self.follower.ledger

    @property
    def slot(self) -> int:
        """The slot that the chain has reached."""
        return self.fleet.chain.slot

    async def advance(self, slots: int = 1) -> None:
        """Move the chain on, and the follower after every slot."""
        for _ in range(slots):
            self.fleet.advance_to(self.slot + 1)
            await self.catch_up()

    async def to_epoch(self) -> None:
        """Move on to the next first slot of an epoch."""
        await self.advance(SLOTS_PER_EPOCH - self.slot % SLOTS_PER_EPOCH)

    async def catch_up(self) -> None:
        """Let the follower take in what is there, without its pauses."""
        self.follower._demoted.clear()
        self.follower._next_state_at = 0.0
        await self.follower.step(self.watches)
        await self.follower.learn(self.watches)

    def wrong(self) -> dict[int, tuple[int, int]]:
        """Return (seen, true) of each key whose earned is not exact since the first epoch seen."""
        last = self.ledger.readings[-1]
        true = self.fleet.truth.earned_by_all(self.began, last.epoch)
        seen = {index: account.earned for index, account in self.ledger.accounts.items()}
        assert len(seen) == KEYS
        return {index: (seen[index], int(true[index])) for index in seen if seen[index] != true[index]}


@asynccontextmanager
async def moved_by_hand() -> AsyncIterator[Course]:
    """Move a fleet by hand, with a follower that has read its first state."""
    # So long ago that the clock is ahead of wherever a test moves the chain.
    fleet = Fleet(PLAN, clock="hand", genesis_time=int(time.time()) - 2000)
    async with fleet, aiohttp.ClientSession() as session:
        configuration = configured(fleet)
        changes = Changes()
        watches = tuple(
            BeaconWatch(node, session, configuration.exporter, changes) for node in configuration.beacon_nodes
        )
        for watch in watches:
            await watch.round(None)
        chain = elect_chain([watch.chain.get() for watch in watches], network=configuration.network)
        assert chain is not None
        follower = Follower(chain, configuration.groups, changes, ledger=None, catch_up_slots=CATCH_UP_SLOTS)
        course = Course(fleet, follower, watches)
        await course.advance()
        course.began = course.ledger.readings[0].epoch
        yield course


async def test_every_epoch_is_exact_on_its_own() -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        for _ in range(12):
            await course.to_epoch()
            before, after = course.ledger.readings[-2:]
            assert (before.slot, after.slot) == (course.slot - SLOTS_PER_EPOCH, course.slot)
            true = course.fleet.truth.earned_by_all(before.epoch, after.epoch)
            assert before.earned is not None
            assert after.earned is not None
            changes = {index: after.earned[index] - before.earned[index] for index in after.earned}
            assert changes == {index: int(true[index]) for index in range(KEYS)}


async def test_a_gap_within_the_bound_is_filled_exactly() -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        course.fleet.advance_to(course.slot + CATCH_UP_SLOTS)
        await course.catch_up()
        assert course.wrong() == {}
        assert course.ledger.epochs_skipped == 0
        assert not_earning_keys(course.ledger, is_leaking=False) is None


async def test_a_gap_beyond_the_bound_is_counted_and_what_lay_in_it_is_not() -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        await course.to_epoch()
        seen = {index: account.earned for index, account in course.ledger.accounts.items()}
        withdrawals = course.ledger.counters["alpha"].withdrawals
        course.fleet.advance_to(course.slot + 5 * SLOTS_PER_EPOCH)
        await course.catch_up()
        assert course.ledger.epochs_skipped == 5
        assert {index: account.earned for index, account in course.ledger.accounts.items()} == seen
        assert course.ledger.counters["alpha"].withdrawals == withdrawals
        again = course.ledger.readings[-1].epoch
        await course.to_epoch()
        true = course.fleet.truth.earned_by_all(again, again + 1)
        for index, account in course.ledger.accounts.items():
            assert account.earned - seen[index] == true[index]


async def test_an_epoch_whose_first_slot_is_empty_is_exact() -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        boundary = course.slot + SLOTS_PER_EPOCH
        course.fleet.chain.miss_proposal(boundary)
        await course.advance(SLOTS_PER_EPOCH + 1)
        assert course.ledger.readings[-1].slot == boundary
        assert course.wrong() == {}


async def test_a_client_without_the_state_of_an_empty_slot_is_asked_for_the_next_block() -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        boundary = course.slot + SLOTS_PER_EPOCH
        course.fleet.chain.miss_proposal(boundary)
        for watch in course.watches:
            _refuse_empty_slots(course, watch)
        await course.advance(SLOTS_PER_EPOCH + 2)
        assert course.ledger.readings[-1].slot == boundary + 1
        await course.to_epoch()
        assert course.wrong() == {}


def _refuse_empty_slots(course: Course, watch: BeaconWatch) -> None:
    ask = watch.api.validators

    async def validators(state: str, identities: list[str]) -> dict[int, Validator]:
        if course.fleet.chain.slots[int(state)].block is None:
            raise RequestError(
                "it answered 404", outcome=Outcome.HTTP_4XX, endpoint=Endpoint.STATES, status=404
            )
        return await ask(state, identities)

    watch.api.validators = validators  # type: ignore[method-assign, assignment]  # stands in for Lodestar


async def test_a_block_that_is_replaced_across_an_epochs_start_leaves_no_trace() -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        for distance in (7, 8, 9):
            course.fleet.chain.orphan_proposal(course.slot + distance)
            await course.advance(SLOTS_PER_EPOCH + 3)
            await course.to_epoch()
            assert course.wrong() == {}
        assert course.ledger.corrections["deep_reorg"] == 0


async def test_a_node_that_fails_is_replaced_within_the_same_step() -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        first = course.ledger.readings[-1].epoch
        await course.fleet.inject("http_500", instance="beacon-1")
        await course.to_epoch()
        assert course.ledger.readings[-1].epoch == first + 1
        assert course.wrong() == {}
        await course.fleet.clear()
        await course.fleet.inject("down", instance="beacon-2")
        await course.to_epoch()
        assert course.wrong() == {}


async def test_a_node_behind_what_is_settled_is_not_used() -> None:
    async with moved_by_hand() as course:
        await course.fleet.inject("frozen_head", instance="beacon-2")
        frozen = course.slot
        for _ in range(6):
            await course.to_epoch()
        assert course.ledger.tree.anchor.slot > frozen
        anchor, head = course.ledger.tree.anchor, course.follower.progress.head
        await course.fleet.inject("hang", instance="beacon-1")
        await course.catch_up()
        assert course.ledger.tree.anchor == anchor
        assert course.follower.progress.head == head
        assert course.ledger.corrections["deep_reorg"] == 0


async def test_a_node_on_another_chain_never_moves_the_books() -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        await course.to_epoch()
        await course.to_epoch()
        first = course.ledger.readings[0].epoch
        before = course.ledger.tree.anchor
        # As if it had passed for a node of our chain: its blocks must not fit.
        await course.fleet.inject("other_network", instance="beacon-1")
        await course.fleet.inject("http_500", instance="beacon-2")
        course.fleet.advance_to(course.slot + 1)
        await course.catch_up()
        assert course.ledger.tree.anchor == before
        assert course.ledger.corrections["deep_reorg"] == 0
        await course.fleet.clear()
        await course.to_epoch()
        assert course.ledger.readings[-1].epoch > first
        assert course.ledger.epochs_skipped == 0


@pytest.mark.parametrize("fault", ["http_500", "html", "truncated", "wrong_types", "http_404"])
async def test_while_no_node_answers_all_stands_still_and_then_catches_up(fault: str) -> None:
    async with moved_by_hand() as course:
        await course.to_epoch()
        first = course.ledger.readings[-1].epoch
        seen = {index: account.earned for index, account in course.ledger.accounts.items()}
        for node in PLAN.beacon_nodes:
            await course.fleet.inject(fault, instance=node.instance)
        await course.advance(SLOTS_PER_EPOCH + 2)
        assert {index: account.earned for index, account in course.ledger.accounts.items()} == seen
        assert course.ledger.readings[-1].epoch == first
        await course.fleet.clear()
        await course.advance()
        assert course.ledger.readings[-1].epoch == first + 1
        await course.to_epoch()
        assert course.wrong() == {}
