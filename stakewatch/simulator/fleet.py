"""A simulated fleet: its chain, the servers of all its processes, and the faults that are on them."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from aiohttp import web

from stakewatch.errors import StakewatchError
from stakewatch.simulator import documents
from stakewatch.simulator import plan as plans
from stakewatch.simulator.attesting import offline_keys, signing_record
from stakewatch.simulator.beacon_api import BeaconApi
from stakewatch.simulator.chain import Chain, ChainParameters
from stakewatch.simulator.execution_api import ExecutionApi
from stakewatch.simulator.faults import Fault, FaultSwitch
from stakewatch.simulator.misbehaviour import misbehaving
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan
from stakewatch.simulator.presets import PRESETS
from stakewatch.simulator.scraping import Scrapes, metrics_path
from stakewatch.simulator.servers import Server
from stakewatch.simulator.truth import Truth
from stakewatch.simulator.views import IMPLEMENTATIONS, Sight, View, sight

# A block needs a moment to be built and to spread; it is seen this share of a slot after the slot's start.
_BLOCK_DELAY = 0.1
_FOREIGN_VALIDATORS = 64
_FOREIGN_SEED = 7919


class Fleet:
    """An asynchronous context manager; inside the block all processes of the plan serve on loopback.

    With `clock="real"` the chain follows the time; with "hand" it stands still until `advance_to`.
    `genesis_time` (Unix seconds) defaults to a time `past_epochs` ago. `chain` and `truth` may be read;
    `failed` is set when the clock has died, and leaving the block then raises why.
    """

    def __init__(
        self,
        plan: FleetPlan = plans.DEMO,
        *,
        clock: Literal["real", "hand"] = "real",
        genesis_time: int | None = None,
    ) -> None:
        plans.check_plan(plan)
        self.plan = plan
        self.faults = FaultSwitch(plan)
        self._clock = clock
        preset = PRESETS[plan.preset]
        past = plan.past_epochs * preset.slots_per_epoch
        parameters = ChainParameters(
            genesis_time=int(time.time()) - past * plan.seconds_per_slot
            if genesis_time is None
            else genesis_time,
            network=plan.network,
            preset=preset,
            seconds_per_slot=plan.seconds_per_slot,
            seed=plan.seed,
            validators=plan.validators,
            watched=plan.keys,
            fee_recipients=tuple(
                documents.fee_recipient(group.name) for group in plan.groups for _ in range(group.keys)
            ),
            fork=plan.fork,
        )
        self.chain = Chain(parameters)
        self.truth = Truth(self.chain)
        self.chain.advance_to(past)
        self._foreign: Chain | None = None
        self._frozen: dict[str, Sight] = {}
        self._task: asyncio.Task[None] | None = None
        self.signing = signing_record(plan.keys)
        self.apis = self._api_servers()
        self.scrapes = Scrapes(
            plan,
            self.chain,
            faults=self.faults,
            signing=self.signing,
            view=self.view,
            urls=lambda: self.urls,
        )
        self.metrics = {
            process.instance: self._metrics_server(
                metrics_path(process.implementation), partial(self.scrapes.process, process.instance)
            )
            for process in plan.processes
        }
        self.machines = {
            name: self._metrics_server("/metrics", partial(self.scrapes.machine, name))
            for name in plan.machines
        }
        self.kubelet = self._metrics_server("/metrics/cadvisor", self.scrapes.kubelet)
        self.failed = asyncio.Event()

    # ---- its life

    async def __aenter__(self) -> Self:
        try:
            for server in self.servers:
                await server.start()
        except BaseException:
            await self._stop()
            raise
        if self._clock == "real":
            self._task = asyncio.create_task(self._follow_time(), name="chain clock")
            self._task.add_done_callback(lambda _: self.failed.set())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    @property
    def servers(self) -> tuple[Server, ...]:
        """All servers."""
        return (*self.apis.values(), *self.metrics.values(), *self.machines.values(), self.kubelet)

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
                await self._stop_servers()
                raise ended
        await self._stop_servers()

    async def _stop_servers(self) -> None:
        await asyncio.gather(*(server.stop() for server in self.servers))

    async def _follow_time(self) -> None:
        """Advance the chain with the time, for ever."""
        seconds = self.chain.parameters.seconds_per_slot
        while True:
            delay = _BLOCK_DELAY * seconds
            self.advance_to(self.chain.slot_at(time.time() - delay))
            await asyncio.sleep(max(0.01, self.chain.timestamp(self.chain.slot + 1) + delay - time.time()))

    def advance_to(self, slot: int) -> None:
        """Move the chain on to a slot, with the keys attesting that can."""
        while self.chain.slot < slot:
            self.chain.offline = offline_keys(self.plan, self.faults)
            self.chain.advance_to(self.chain.slot + 1)
            self.signing.note(self.chain)
            if self._foreign is not None:
                self._foreign.advance_to(self.chain.slot)

    # ---- faults

    async def inject(self, name: str, /, **arguments: object) -> Fault:
        """Let something go wrong; `stakewatch.simulator.faults.KINDS` says what there is.

        Raises InputError for an unknown fault, target or argument.
        """
        fault = self.faults.inject(name, arguments)
        match fault.kind.name:
            case "withdrawal_sweep":
                self.chain.sweep_watched()
            case "missed_proposal":
                self.chain.miss_proposal(self._next_proposal(fault))
            case "orphaned_proposal":
                self.chain.orphan_proposal(self._next_proposal(fault))
            case "other_network":
                self._begin_foreign()
        await self._apply()
        return fault

    async def clear(self, name: str | None = None, target: str | None = None) -> tuple[Fault, ...]:
        """Mend the faults of a name, of a target, or all, and return them."""
        cleared = self.faults.clear(name, target)
        await self._apply()
        return cleared

    async def _apply(self) -> None:
        """Stop the servers of dead processes, start those of others, and note whose heads stand still."""
        for process in self.plan.processes:
            servers = self._servers_of(process.instance)
            was_running = all(server.is_running for server in servers)
            if self.faults.find("down", process.instance) is not None:
                await asyncio.gather(*(server.stop() for server in servers))
            elif not was_running:
                await asyncio.gather(*(server.start() for server in servers))
                self.scrapes.restarted(process.instance)
        for node in self.plan.nodes:
            if self._stands_still(node):
                self._frozen.setdefault(node.instance, sight(self.chain, self.chain.slot))
            else:
                self._frozen.pop(node.instance, None)

    def _servers_of(self, instance: str) -> tuple[Server, ...]:
        return tuple(servers[instance] for servers in (self.apis, self.metrics) if instance in servers)

    def _stands_still(self, node: BeaconNode | ExecutionNode) -> bool:
        """Tell whether a node's head is frozen: by a fault, or because the other half of its pair is dead."""
        if self.faults.find("frozen_head", node.instance):
            return True
        if isinstance(node, BeaconNode):
            return self.faults.find("down", node.execution_node) is not None
        drivers = [one for one in self.plan.beacon_nodes if one.execution_node == node.instance]
        return bool(drivers) and all(self.faults.find("down", one.instance) for one in drivers)

    def _next_proposal(self, fault: Fault) -> int:
        """Return the next slot, after the coming one, that one of a fault's validators proposes in."""
        wanted = frozenset(fault.indices)
        slots = self.chain.preset.slots_per_epoch
        for slot in range(self.chain.slot + 2, self.chain.slot + 2 + 200 * slots):
            if self.chain.proposers(self.chain.epoch_of(slot))[slot % slots] in wanted:
                return slot
        raise StakewatchError(f"none of {fault.target} proposes within 200 epochs", mend="choose more keys")

    def _begin_foreign(self) -> None:
        if self._foreign is None:
            own = self.chain.parameters
            self._foreign = Chain(
                ChainParameters(
                    genesis_time=own.genesis_time,
                    network=f"not-{own.network}",
                    preset=own.preset,
                    seconds_per_slot=own.seconds_per_slot,
                    seed=own.seed + _FOREIGN_SEED,
                    validators=_FOREIGN_VALIDATORS,
                    watched=1,
                    fork=own.fork,
                    chain_id=own.chain_id + 1,
                )
            )
            self._foreign.advance_to(self.chain.slot)

    # ---- what the nodes see

    def view(self, instance: str) -> View:
        """Return what a beacon or execution node sees of the chain now."""
        node = next(one for one in self.plan.nodes if one.instance == instance)
        foreign = self.faults.find("other_network", instance) is not None
        chain = self._foreign if foreign and self._foreign is not None else self.chain
        syncing = self.faults.find("syncing", instance)
        frozen = self._frozen.get(instance) if chain is self.chain else None
        behind = int(syncing.number("distance")) if syncing is not None else 0
        is_beacon = isinstance(node, BeaconNode)
        return View(
            chain=chain,
            sight=frozen or sight(chain, chain.slot - behind),
            peers=self._peers(instance, is_beacon=is_beacon),
            syncing=syncing is not None,
            optimistic=self.faults.find("optimistic", instance) is not None,
            execution_offline=isinstance(node, BeaconNode)
            and self.faults.api_fault(node.execution_node) is not None,
        )

    def _peers(self, instance: str, *, is_beacon: bool) -> int:
        few = self.faults.find("few_peers", instance)
        if few is not None:
            return int(few.number("count"))
        usual = 60 if is_beacon else 25
        return usual + sum(instance.encode()) % 20 + (self.chain.slot + len(instance)) // 3 % 5

    # ---- servers

    def _api_servers(self) -> dict[str, Server]:
        servers: dict[str, Server] = {}
        for beacon in self.plan.beacon_nodes:
            api = BeaconApi(IMPLEMENTATIONS[beacon.implementation], self._viewer(beacon.instance))
            servers[beacon.instance] = self._misbehaving(beacon.instance, api.application)
        for node in self.plan.execution_nodes:
            rpc = ExecutionApi(IMPLEMENTATIONS[node.implementation], self._viewer(node.instance))
            servers[node.instance] = self._misbehaving(node.instance, rpc.application)
        return servers

    def _viewer(self, instance: str) -> Callable[[], View]:
        return lambda: self.view(instance)

    def _misbehaving(self, instance: str, application: Callable[..., web.Application]) -> Server:
        def delay_seconds() -> float:
            slow = self.faults.find("slow", instance)
            return slow.number("seconds") if slow else 0.0

        middleware = misbehaving(lambda: self.faults.api_fault(instance), delay_seconds)
        return Server(lambda: application(middleware))

    def _metrics_server(self, path: str, text: Callable[[], bytes]) -> Server:
        async def scrape(_: web.Request) -> web.Response:
            return web.Response(
                body=text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
            )

        def application() -> web.Application:
            application = web.Application()
            application.add_routes([web.get(path, scrape)])
            return application

        return Server(application)

    # ---- files for the others

    def configuration_text(self, key_folder: Path | None = None) -> str:
        """Return a stakewatch.yaml that watches this fleet.

        With `key_folder` the keys go to files there, one per group; else they stand in the text.
        """
        keys = {group.name: self.keys(group.name) for group in self.plan.groups}
        return documents.configuration(self.plan, self.urls, keys, key_folder)

    def scrape_targets(self) -> str:
        """Return Prometheus' file-based service discovery (JSON) for all metrics of this fleet."""
        return documents.scrape_targets(
            self.plan,
            {instance: server.address for instance, server in self.metrics.items()},
            {name: server.address for name, server in self.machines.items()},
            self.kubelet.address,
        )

    @property
    def urls(self) -> dict[str, str]:
        """The API of each beacon and execution node."""
        return {instance: server.url for instance, server in self.apis.items()}

    def keys(self, group: str) -> tuple[str, ...]:
        """Return the public keys of a group in the order of their validator indices."""
        return tuple(self.chain.pubkeys[index] for index in self.plan.indices(group))
