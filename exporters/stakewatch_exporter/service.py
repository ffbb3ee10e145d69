"""The exporter at work: watches, follower, rewards, page and server, started and stopped together."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import aiohttp

import stakewatch
from stakewatch.bundle.configuration import Configuration
from stakewatch.ethereum.clock import SlotClock
from stakewatch_exporter.agreement import Chain, elect_chain
from stakewatch_exporter.committee_reader import CommitteeReader
from stakewatch_exporter.epoch_reader import EpochReader
from stakewatch_exporter.epoch_result import Tier
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.families import LAST_UPDATE
from stakewatch_exporter.follower import SETTLED_AFTER_SLOTS, Follower
from stakewatch_exporter.key_watch import KeyWatch, Surroundings, pubkeys_by_index
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.log import Changes, event
from stakewatch_exporter.nodes import BeaconWatch, ExecutionWatch
from stakewatch_exporter.offenders import offenders
from stakewatch_exporter.proposals import RewardCollector
from stakewatch_exporter.publisher import Knowledge, Publisher
from stakewatch_exporter.server import Pages, serving
from stakewatch_exporter.snapshot import Fleet, is_healthy, is_on_chain, network_state
from stakewatch_exporter.state_keeper import StateKeeper
from stakewatch_exporter.wall_clock import report_clock

_SHORTEST_PAGE_SECONDS = 1.0
_LONGEST_PAGE_SECONDS = 5.0
_LONGEST_STEP_SECONDS = 4.0
_SHORTEST_STEP_SECONDS = 0.2
_AWAITING_SECONDS = 0.5
_CATCH_UP_EPOCHS = 4
_PATIENCE_EPOCHS = 4
_LONGEST_REGROUPING_SECONDS = 60.0


class Service:
    """The running exporter; `url` is where it serves."""

    def __init__(self, configuration: Configuration, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self._configuration = configuration
        self._changes = Changes()
        settings = configuration.exporter
        self.fleet = Fleet(
            configuration,
            tuple(BeaconWatch(node, session, settings, self._changes) for node in configuration.beacon_nodes),
            tuple(
                ExecutionWatch(node, session, settings, self._changes)
                for node in configuration.execution_nodes
            ),
        )
        self.follower: Follower | None = None
        self.keys = KeyWatch(configuration, session, self._changes)
        self._keys_samples: tuple[Sample, ...] = ()
        self._regrouped_at = -_LONGEST_REGROUPING_SECONDS
        self._collector = _collector(configuration)
        self.keeper = StateKeeper(configuration, self._changes)
        self.reader: EpochReader | None = None
        self._committees: CommitteeReader | None = None
        self._nodes_at = 0.0
        self.publisher = Publisher(configuration.network)

    @property
    def chain(self) -> Chain | None:
        """The chain that is followed, or would be."""
        return self.follower.chain if self.follower is not None else self._elected()

    def _elected(self) -> Chain | None:
        return elect_chain(
            [watch.chain.get() for watch in self.fleet.beacons],
            network=self._configuration.network,
            remembered_root=self._remembered_root(),
        )

    def _remembered_root(self) -> str | None:
        if self.follower is not None:
            return self.follower.chain.validators_root
        return self.keeper.remembered_root

    def _clock_for(self, watch: BeaconWatch | ExecutionWatch) -> SlotClock | None:
        chain = self.chain
        if chain is None or (isinstance(watch, BeaconWatch) and not is_on_chain(watch, chain)):
            return None
        return chain.clock

    def _candidates(self) -> list[BeaconWatch]:
        """Return the beacon nodes whose data may be used, the best first, equal ones in configured order."""
        chain = self.chain
        if chain is None:
            return []
        checks = self.fleet.checks(chain)

        def badness(watch: BeaconWatch) -> tuple[bool, ...]:
            own = checks[watch.node.instance]
            return (
                not own["synced"].passes,
                not own["head_advancing"].passes,
                not own["execution_synced"].passes,
                not own["peers"].passes,
            )

        usable = [
            watch
            for watch in self.fleet.beacons
            if watch.contact.is_up and not watch.contact.is_quiet and is_on_chain(watch, chain)
        ]
        return sorted(usable, key=badness)

    def _executions(self, beacons: list[BeaconWatch]) -> list[ExecutionWatch]:
        """Return the execution nodes to ask, those paired with the best beacon nodes first."""
        chain = self.chain
        checks = self.fleet.checks(chain)
        paired = [self.fleet.execution(watch.node.execution_node) for watch in beacons]
        ordered = dict.fromkeys([*(watch for watch in paired if watch is not None), *self.fleet.executions])
        return [
            watch
            for watch in ordered
            if watch.contact.is_up
            and not watch.contact.is_quiet
            and checks[watch.node.instance]["same_chain"].passes
        ]

    @property
    def is_ready(self) -> bool:
        """Whether every node was asked once, so that the page says something about each."""
        return all(watch.contact.is_tried for watch in self.fleet.watches)

    def health(self, instance: str) -> dict[str, object] | None:
        """Return a node's health with a reason per check, None when no such node is watched."""
        for watch in self.fleet.watches:
            if watch.node.instance == instance:
                checks = self.fleet.checks(self.chain)[instance]
                return {
                    "instance": instance,
                    "healthy": is_healthy(watch, checks),
                    "checks": {
                        name: {"passes": check.passes, "reason": check.reason}
                        for name, check in checks.items()
                    },
                }
        return None

    def offenders(self) -> dict[str, object]:
        """Return which keys are at fault and why, up to the limit."""
        return offenders(
            None if self.follower is None else self.follower.ledger,
            is_leaking=network_state(self.fleet, self.chain).is_leaking,
            limit=self._configuration.exporter.offender_limit,
        )

    def _choose_chain(self) -> Follower | None:
        """Return the follower of the elected chain; a new one when the election went another way."""
        if not all(watch.contact.is_tried for watch in self.fleet.beacons):
            return self.follower
        chain = self._elected()
        if chain is None:
            return self.follower
        if self.follower is not None and self.follower.chain.identity == chain.identity:
            self._changes.settle("chain", chain.validators_root, "nodes_are_of_our_chain_again")
            self.follower.chain = chain
            return self.follower
        followed = None if self.follower is None or self.follower.ledger is None else self.follower.chain
        if followed is not None and followed.validators_root != chain.validators_root:
            # What was counted on one chain cannot go on with another, whatever all nodes say now.
            self._changes.report(
                "chain",
                chain.validators_root,
                logging.ERROR,
                "nodes_are_of_another_chain",
                followed=followed.validators_root,
                told=chain.validators_root,
                next="figures stay as they are; restart the exporter if this is the chain to watch",
            )
            return self.follower
        event(
            logging.INFO if self.follower is None else logging.WARNING,
            "chain_chosen",
            network=self._configuration.network,
            genesis_validators_root=chain.validators_root,
            slot_seconds=chain.clock.slot_seconds,
            slots_per_epoch=chain.clock.slots_per_epoch,
            next="nodes of another chain are reported and not used",
        )
        self.follower = Follower(
            chain,
            self._configuration.groups,
            self._changes,
            ledger=self.keeper.restored(chain),
            catch_up_slots=max(SETTLED_AFTER_SLOTS, _CATCH_UP_EPOCHS * chain.clock.slots_per_epoch),
            patience_slots=_PATIENCE_EPOCHS * chain.clock.slots_per_epoch,
        )
        self.reader = EpochReader(self._followed_chain, self._changes)
        self._committees = CommitteeReader(self._followed_chain, self._changes)
        return self.follower

    async def follow(self) -> None:
        """Take one step along the chain and save what changed."""
        follower = self._choose_chain()
        if follower is None:
            return
        candidates = self._candidates()
        if await follower.step(candidates):
            self.build_page()
        await self.keeper.save(follower, at_once=False)

    async def learn(self) -> None:
        """Learn what a new epoch brings."""
        follower = self.follower
        if follower is None:
            return
        is_new = await follower.learn(self._candidates())
        if follower.ledger is not None and self._committees is not None:
            is_new |= await self._committees.prepare(self._candidates(), follower.ledger)
        if is_new:
            # The keys first: what is said of groups and epochs waits for them.
            await self.build_keys()
            self.build_page()

    async def read_epoch(self) -> None:
        """Learn what the attestations of an epoch came to; apart, since a state of mainnet takes a while."""
        ledger = None if self.follower is None else self.follower.ledger
        if self.reader is None or ledger is None:
            return
        if await self.reader.read(self._candidates(), ledger):
            self.build_page()

    def _followed_chain(self) -> Chain:
        assert self.follower is not None  # noqa: S101 - readers are made with a follower
        return self.follower.chain

    async def collect_rewards(self) -> None:
        """Ask for the rewards of our proposals that are still unknown."""
        if self.follower is None or self.follower.ledger is None:
            return
        beacons = self._candidates()
        if await self._collector.collect(
            self.follower.ledger,
            beacons=beacons,
            executions=self._executions(beacons),
            slot_seconds=self.follower.chain.clock.slot_seconds,
        ):
            self.build_page()

    async def look_at_keys(self) -> None:
        """Look at all sources of keys; when they tell other keys than before, go on with those."""
        if await self.keys.round(self._surroundings):
            self._regroup()
        ledger = None if self.follower is None else self.follower.ledger
        known = {} if ledger is None else {index: key.pubkey for index, key in ledger.keys.by_index.items()}
        groups = self._configuration.groups
        self._keys_samples = await asyncio.to_thread(
            lambda: tuple(self.keys.samples(pubkeys_by_index(groups, known)))
        )

    def _surroundings(self) -> Surroundings:
        head = None if self.follower is None else self.follower.progress.head
        return Surroundings(self.chain, self._candidates(), None if head is None else head.slot)

    def _regroup(self) -> None:
        """Take other groups as after a restart, but from memory: counters of groups that stay go on."""
        follower = self.follower
        self._configuration = dataclasses.replace(self._configuration, groups=self.keys.groups)
        self.fleet = dataclasses.replace(self.fleet, configuration=self._configuration)
        self._collector = _collector(self._configuration)
        if follower is not None and follower.ledger is not None:
            self.keeper.remember(follower, self._configuration)
        self.follower = None
        self._regrouped_at = time.monotonic()

    @property
    def _is_regrouping(self) -> bool:
        """Whether new groups have no figures yet, so that the page of before is the better one."""
        ledger = None if self.follower is None else self.follower.ledger
        is_young = time.monotonic() - self._regrouped_at < _LONGEST_REGROUPING_SECONDS
        return is_young and (ledger is None or not ledger.readings)

    async def watch(self, watch: BeaconWatch | ExecutionWatch) -> None:
        """Ask a node once, unless it wants to be left alone."""
        if watch.contact.is_quiet:
            return
        # Known before the node is asked, so that a block of the last moment does not look like a lag.
        newest_payload = None if self.follower is None else self.follower.progress.newest_payload
        await watch.round(self._clock_for(watch))
        if isinstance(watch, ExecutionWatch):
            watch.newest_payload = newest_payload
        offsets = (one.contact.clock_offset_seconds for one in self.fleet.watches if one.contact.is_up)
        report_clock([offset for offset in offsets if offset is not None], self._changes)
        self._nodes_at = max(
            (watch.contact.answered_at for watch in self.fleet.watches),
            default=0.0,
        )

    def build_page(self) -> None:
        """Write the sections of the page anew that are out of date, but that of single keys."""
        self.publisher.publish(self._knowledge())

    async def build_keys(self) -> None:
        """Write the section of single keys anew if it is out of date."""
        await self.publisher.publish_keys(self._knowledge())

    def _knowledge(self) -> Knowledge:
        ledger = None if self.follower is None else self.follower.ledger
        return Knowledge(
            configuration=self._configuration,
            fleet=self.fleet,
            chain=self.chain,
            follower=self.follower,
            ledger=None if self._is_regrouping else ledger,
            tier=self._tier(ledger),
            nodes_at=self._nodes_at,
            others=(*self._keys_samples, *self._keymanagers_update()),
        )

    def _keymanagers_update(self) -> tuple[Sample, ...]:
        at = self.keys.keymanagers.answered_at
        return (Sample(LAST_UPDATE, {"source": "keymanagers"}, at),) if self.keys.keymanagers.watches else ()

    def _tier(self, ledger: Ledger | None) -> Tier | None:
        if ledger is None:
            return None
        if self.reader is not None and self.reader.tier is not None:
            return self.reader.tier
        return Tier.JSON_WATCHED if ledger.readings else Tier.BLOCKS

    async def repeat(
        self, name: str, action: Callable[[], Awaitable[None]], pause: Callable[[], float]
    ) -> None:
        """Do something again and again; an error of ours is logged and does not end it."""
        while True:
            try:
                await action()
            except Exception as error:  # the exporter must outlive a mistake in one of its parts
                self._changes.report(
                    ("mistake", name),
                    repr(error),
                    logging.ERROR,
                    "unexpected_error",
                    part=name,
                    reason=repr(error),
                    next="the part goes on; please report this line",
                )
                logging.getLogger("stakewatch_exporter").debug("trace of the error above", exc_info=True)
            await asyncio.sleep(pause())

    def page_seconds(self) -> float:
        """Return the pause between two pages: the interval of the rounds, within reason."""
        interval = self._configuration.exporter.interval_seconds
        return min(max(interval, _SHORTEST_PAGE_SECONDS), _LONGEST_PAGE_SECONDS)

    def step_seconds(self) -> float:
        """Return the pause between two steps along the chain: short while the slot's block is awaited."""
        chain = self.chain
        if chain is None:
            return _SHORTEST_STEP_SECONDS
        pause = self.learn_seconds()
        head = None if self.follower is None else self.follower.progress.head
        now = time.time()
        slot = chain.clock.slot_at(now)
        if head is None or head.slot < slot:
            return min(pause, _AWAITING_SECONDS)
        return max(_SHORTEST_STEP_SECONDS, min(pause, chain.clock.start_of(slot + 1) - now))

    def learn_seconds(self) -> float:
        """Return the pause between two looks at what an epoch brings: a third of a slot, within reason."""
        chain = self.chain
        if chain is None:
            return _SHORTEST_STEP_SECONDS
        return max(_SHORTEST_STEP_SECONDS, min(chain.clock.slot_seconds / 3, _LONGEST_STEP_SECONDS))


def _collector(configuration: Configuration) -> RewardCollector:
    return RewardCollector(
        {
            group.name: frozenset(address.lower() for address in group.fee_recipients)
            for group in configuration.groups
        }
    )


@asynccontextmanager
async def running(configuration: Configuration) -> AsyncIterator[Service]:
    """Run the exporter as `configuration` says; port 0 takes a free one.

    Raises InputError when the address cannot be listened on.
    """
    settings = configuration.exporter
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                # Nodes behind one proxy share its address: one that hangs must not take the others' places.
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"stakewatch-exporter/{stakewatch.__version__}"},
            )
        )
        service = Service(configuration, session)
        service.keeper.load()
        service.build_page()
        pages = Pages(
            metrics=service.publisher.page,
            is_ready=lambda: service.is_ready,
            health=service.health,
            offenders=service.offenders,
        )
        host, port = await stack.enter_async_context(
            serving(pages, settings.listen_host, settings.listen_port)
        )
        service.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        event(
            logging.INFO,
            "serving",
            url=service.url,
            nodes=len(configuration.nodes),
            groups=len(configuration.groups),
        )
        tasks = _start(service)
        try:
            yield service
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await service.keeper.save_now(service.follower)


def _start(service: Service) -> list[asyncio.Task[None]]:
    async def page() -> None:
        service.build_page()

    parts = [
        service.repeat("follow", service.follow, service.step_seconds),
        service.repeat("learn", service.learn, service.learn_seconds),
        service.repeat("epochs", service.read_epoch, service.learn_seconds),
        service.repeat("keys page", service.build_keys, service.learn_seconds),
        service.repeat("rewards", service.collect_rewards, service.learn_seconds),
        service.repeat("page", page, service.page_seconds),
        service.repeat("keys", service.look_at_keys, service.keys.pause_seconds),
    ]
    parts.extend(
        service.repeat(watch.node.instance, partial(service.watch, watch), watch.pause_seconds)
        for watch in service.fleet.watches
    )
    return [asyncio.create_task(part) for part in parts]
