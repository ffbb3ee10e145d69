"""The watch over nodes: what each said in its last rounds, asked on its own so that none delays another."""

import asyncio
import logging
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import aiohttp

from stakewatch.bundle.configuration import ExporterSettings, Node
from stakewatch.ethereum.beacon_api import BeaconApi, Finality, Header, Syncing
from stakewatch.ethereum.clock import SlotClock
from stakewatch.ethereum.epoch_api import EpochApi
from stakewatch.ethereum.json_rpc import ExecutionApi, ExecutionBlock, ExecutionSyncing
from stakewatch.ethereum.transport import Exchange, RequestError, Transport
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.log import Changes
from stakewatch_exporter.traffic import Traffic

_Value = TypeVar("_Value")
_KEPT_ROUNDS = 5
_LONGEST_PAUSE_SECONDS = 30.0
_LONGEST_PAUSE_ROUNDS = 4.0
_JITTER = 0.1
_ROOTS_KEPT = 8
_RATE_WINDOW_SECONDS = 600.0
_FUTURE_SLOTS = 2
# A node in sync is a block behind for a moment in every slot.
_IN_STEP = 2
_IDENTITY_SECONDS = 384.0


class Latest(Generic[_Value]):
    """The last good value of something and when it came; an old one counts as unknown."""

    def __init__(self, keep_seconds: float) -> None:
        self._keep_seconds = keep_seconds
        self._value: _Value | None = None
        self._at = -math.inf

    def set(self, value: _Value) -> None:
        """Take in a good value."""
        self._value = value
        self._at = time.monotonic()

    def get(self) -> _Value | None:
        """Return the value, or None when there is none or it is too old."""
        return self._value if time.monotonic() - self._at <= self._keep_seconds else None


@dataclass
class Contact:
    """Whether a node answers: the outcome of its last round and since when it asks to be left alone."""

    is_tried: bool = False
    is_up: bool = False
    answered_at: float = 0.0
    failure: str = "not asked yet"
    failed_rounds: int = 0
    quiet_until: float = 0.0
    clock_offset_seconds: float | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether the node asked not to be asked (Retry-After)."""
        return time.monotonic() < self.quiet_until


@dataclass
class _Distance:
    """Distances to the head over the last ten minutes, as (monotonic seconds, distance)."""

    points: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, distance: int) -> None:
        now = time.monotonic()
        self.points.append((now, distance))
        while now - self.points[0][0] > _RATE_WINDOW_SECONDS:
            self.points.popleft()

    def seconds_left(self) -> float | None:
        if len(self.points) <= 1:
            return None
        (first_time, first), (last_time, last) = self.points[0], self.points[-1]
        if last <= _IN_STEP:
            return 0.0
        if last >= first or last_time <= first_time:
            return None
        return last * (last_time - first_time) / (first - last)


class Watch:
    """What beacon and execution watches share: contact, back-off, the count of requests, the log."""

    def __init__(
        self, node: Node, session: aiohttp.ClientSession, settings: ExporterSettings, changes: Changes
    ) -> None:
        self.node = node
        self.contact = Contact()
        self.traffic = Traffic(node)
        self.version: Latest[str] = Latest(math.inf)
        self.peers: Latest[int] = Latest(settings.interval_seconds * _KEPT_ROUNDS)
        self._distance = _Distance()
        self._changes = changes
        self._interval = settings.interval_seconds
        self._keep_seconds = settings.interval_seconds * _KEPT_ROUNDS
        self._transport = Transport(
            session,
            node.url,
            name=node.instance,
            timeout_seconds=settings.request_timeout_seconds,
            observe=self._observe,
        )

    def _observe(self, exchange: Exchange) -> None:
        self.traffic.add(exchange)
        if exchange.clock_offset_seconds is not None:
            self.contact.clock_offset_seconds = exchange.clock_offset_seconds

    def heed(self, error: RequestError) -> None:
        """Leave the node alone for as long as its answer asks for."""
        if error.retry_after_seconds:
            self.contact.quiet_until = max(
                self.contact.quiet_until, time.monotonic() + error.retry_after_seconds
            )

    def pause_seconds(self) -> float:
        """Return how long to wait before the next round: the interval, longer after failures, with jitter."""
        longest = max(self._interval, min(self._interval * _LONGEST_PAUSE_ROUNDS, _LONGEST_PAUSE_SECONDS))
        pause = min(self._interval * 2.0 ** max(0, min(self.contact.failed_rounds - 1, 8)), longest)
        pause *= 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311 - spreads requests, protects nothing
        return max(pause, self.contact.quiet_until - time.monotonic())

    async def _ask(self, request: Awaitable[_Value], into: Latest[_Value]) -> RequestError | None:
        """Await an answer into its place; return why there is none."""
        try:
            into.set(await request)
        except RequestError as error:
            self.heed(error)
            return error
        return None

    def _note_round(
        self, essential: Sequence[RequestError | None], others: Mapping[str, RequestError | None]
    ) -> None:
        contact = self.contact
        contact.is_tried = True
        failures = [error for error in essential if error is not None]
        # Who limits our requests is not asked again for a while, so it has not answered.
        failures.extend(error for error in others.values() if error is not None and error.retry_after_seconds)
        contact.is_up = not failures
        if contact.is_up:
            contact.failed_rounds = 0
            contact.answered_at = time.time()
            contact.failure = ""
            self._changes.settle(
                (self.node.instance, "up"), "up", "node_answers_again", instance=self.node.instance
            )
        else:
            contact.failed_rounds += 1
            contact.failure = str(failures[0])
            self._changes.report(
                (self.node.instance, "up"),
                failures[0].outcome,
                logging.WARNING,
                "node_does_not_answer",
                instance=self.node.instance,
                role=self.node.role.value,
                outcome=failures[0].outcome.value,
                reason=failures[0].what,
                endpoint=failures[0].endpoint.value,
                next=f"asked again in {self.pause_seconds():.0f} s; others go on",
            )
        for what, error in others.items():
            thing = (self.node.instance, what)
            if error is None:
                self._changes.settle(
                    thing, "ok", "node_answers_again", instance=self.node.instance, about=what
                )
            elif contact.is_up:
                self._changes.report(
                    thing,
                    error.outcome,
                    logging.WARNING,
                    "node_answers_in_part",
                    instance=self.node.instance,
                    about=what,
                    outcome=error.outcome.value,
                    reason=error.what,
                    next="this is unknown until it answers; the rest goes on",
                )

    def sync_seconds_left(self) -> float | None:
        """Return the time until the node is in sync, 0 when it is, None when unknown."""
        return self._distance.seconds_left()


class BeaconWatch(Watch):
    """The watch over one beacon node; `round` is its one verb."""

    def __init__(
        self, node: Node, session: aiohttp.ClientSession, settings: ExporterSettings, changes: Changes
    ) -> None:
        super().__init__(node, session, settings, changes)
        self.api = BeaconApi(self._transport)
        self.epochs = EpochApi(self._transport)
        # Of whom one asks is known until it is asked again: a node that is down does not change its network.
        self.chain: Latest[Chain] = Latest(math.inf)
        self.fork_schedule: Latest[tuple[tuple[str, int], ...]] = Latest(math.inf)
        self.syncing: Latest[Syncing] = Latest(self._keep_seconds)
        self.head: Latest[Header] = Latest(self._keep_seconds)
        self.finality: Latest[Finality] = Latest(self._keep_seconds)
        self.roots: dict[int, str | None] = {}
        self._identified_at = -math.inf

    async def round(self, clock: SlotClock | None) -> None:
        """Ask the node once for everything; never raises RequestError."""
        if not self.contact.is_up or time.monotonic() - self._identified_at > _IDENTITY_SECONDS:
            identity = self._identify()
        else:
            identity = _nothing()
        # Before genesis the head is the genesis block, slot 0, which is ahead of the clock.
        newest = None if clock is None else max(0, clock.slot_at(time.time())) + _FUTURE_SLOTS
        syncing, head_error, peers, finality, version, identified = await asyncio.gather(
            self._ask(self.api.syncing(), self.syncing),
            self._ask(self.api.head(newest_slot=newest), self.head),
            self._ask(self.api.peer_count(), self.peers),
            self._ask(self.api.finality(), self.finality),
            self._ask(self.api.version(), self.version),
            identity,
        )
        root = None if clock is None else await self._ask_root(clock)
        if clock is not None and (head := self.head.get()) is not None:
            self._distance.add(max(0, clock.slot_at(time.time()) - head.slot))
        self._note_round(
            (syncing, head_error),
            {"peers": peers, "finality": finality, "version": version, "chain": identified, "root": root},
        )

    async def _identify(self) -> RequestError | None:
        try:
            genesis, specification, schedule = await asyncio.gather(
                self.api.genesis(), self.api.specification(), self.api.fork_schedule()
            )
        except RequestError as error:
            self.heed(error)
            return error
        self.chain.set(Chain(genesis.validators_root, genesis.time_seconds, specification))
        self.fork_schedule.set(schedule)
        self._identified_at = time.monotonic()
        return None

    async def _ask_root(self, clock: SlotClock) -> RequestError | None:
        """Ask for the block two slots back; watches that run at their own pace ask about the same slots."""
        every = max(1, math.ceil(self._interval * (1 + _JITTER) / clock.slot_seconds))
        slot = clock.slot_at(time.time()) - 2
        slot -= slot % every
        head = self.head.get()
        if slot <= 0 or slot in self.roots or head is None or head.slot < slot:
            return None
        try:
            header = await self.api.header_at(slot)
        except RequestError as error:
            self.heed(error)
            return error
        self.roots[slot] = None if header is None else header.root
        while len(self.roots) > _ROOTS_KEPT:
            del self.roots[min(self.roots)]
        return None


class ExecutionWatch(Watch):
    """The watch over one execution node; `round` is its one verb."""

    def __init__(
        self, node: Node, session: aiohttp.ClientSession, settings: ExporterSettings, changes: Changes
    ) -> None:
        super().__init__(node, session, settings, changes)
        self.api = ExecutionApi(self._transport)
        self.newest_payload: int | None = None
        self.chain_id: Latest[int] = Latest(math.inf)
        self.syncing: Latest[ExecutionSyncing] = Latest(self._keep_seconds)
        self.head: Latest[ExecutionBlock] = Latest(self._keep_seconds)

    async def round(self, clock: SlotClock | None) -> None:
        """Ask the node once for everything; never raises RequestError."""
        del clock
        syncing_error, block, chain_id, peers, version = await asyncio.gather(
            self._ask(self.api.syncing(), self.syncing),
            self._ask(self.api.latest_block(), self.head),
            self._ask(self.api.chain_id(), self.chain_id),
            self._ask(self.api.peer_count(), self.peers),
            self._ask(self.api.version(), self.version),
        )
        syncing = self.syncing.get()
        if syncing is not None:
            self._distance.add(max(0, (syncing.highest_block or 0) - (syncing.current_block or 0)))
        self._note_round((syncing_error, block), {"chain_id": chain_id, "peers": peers, "version": version})


async def _nothing() -> None:
    return None
