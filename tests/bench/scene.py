"""Nodes of one simulated chain that can be broken, each on its own, in front of exporters under test."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from aiohttp import web

from stakewatch.errors import StakewatchError
from stakewatch.simulator.mainnet.api import MainnetApi
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.documents import write_configuration
from stakewatch.simulator.mainnet.registry import MainnetParameters
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from stakewatch.simulator.servers import Server
from tests.bench.corruption import Switch, spoiling
from tests.bench.values import Truths

EPOCHS_PAST = 3
_EARLIER_SLOTS = 3


class Scene:
    """A chain that all exporters of this run watch, and another network with the same clock."""

    def __init__(self, epochs: int, slot_seconds: float) -> None:
        self.slot_seconds = slot_seconds
        parameters = MainnetParameters(
            validators=3000,
            active=2400,
            watched=60,
            groups=3,
            epochs=epochs,
            missed_proposal_ratio=0.05,
            transactions=4,
        )
        self.chain = MainnetChain(parameters)
        other = MainnetParameters(
            validators=2500,
            active=2000,
            watched=20,
            groups=1,
            epochs=epochs,
            seed=7,
            network="othernet",
            transactions=4,
        )
        self.other_chain = MainnetChain(other)
        self.truths = Truths(self.chain)
        self.apis: list[MainnetApi] = []

    def api(self, chain: MainnetChain) -> MainnetApi:
        """Return a new node of a chain; its clock is set by `start`."""
        api = MainnetApi(chain, seconds_per_slot=self.slot_seconds, epochs_past=EPOCHS_PAST, whole=True)
        self.apis.append(api)
        return api

    def start(self) -> None:
        """Let all clocks begin at one moment."""
        self.apis[0].start()
        for api in self.apis:
            api.genesis_time = self.apis[0].genesis_time

    @property
    def head(self) -> int:
        """The newest slot with a block."""
        return self.apis[0].head

    def earlier(self, name: str) -> str:
        """Return the name of an earlier block for `head` or a root."""
        slot = self.head if name == "head" else self._slot_of(name)
        slot -= _EARLIER_SLOTS
        while not self.chain.slots[slot].has_block:
            slot -= 1
        return str(slot)

    def _slot_of(self, root: str) -> int:
        slots = range(self.head, self.chain.first_slot + _EARLIER_SLOTS, -1)
        return next((slot for slot in slots if self.chain.root(slot) == root), self.head)

    async def serve(self, stack: AsyncExitStack, switch: Switch) -> str:
        """Serve a node whose answers are spoilt as `switch` says; return its address."""
        node, other = self.api(self.chain), self.api(self.other_chain)
        node.genesis_time = other.genesis_time = self.apis[0].genesis_time
        switch.other_network = await _asking(stack, other)
        switch.earlier = self.earlier
        server = Server(lambda: node.application(spoiling(switch)))
        await server.start()
        stack.push_async_callback(server.stop)
        return server.url

    async def configure(self, folder: Path, url: str) -> Path:
        """Write a configuration that watches the node at an address, and return its path."""
        await asyncio.to_thread(folder.mkdir, parents=True)
        path = await asyncio.to_thread(write_configuration, self.chain, url, folder, self.slot_seconds)
        text = await asyncio.to_thread(path.read_text)
        await asyncio.to_thread(path.write_text, text + "  request_timeout_seconds: 1\n")
        return path

    async def wait_for_early_slot(self) -> int:
        """Wait until the head is early in its epoch, and return that epoch's first slot.

        An exporter that starts now begins to count after that slot.
        """
        place = (time.time() - self.apis[0].genesis_time) / self.slot_seconds % SLOTS_PER_EPOCH
        if place > SLOTS_PER_EPOCH * 2 // 3:
            await asyncio.sleep((SLOTS_PER_EPOCH + 2 - place) * self.slot_seconds)
        return self.head // SLOTS_PER_EPOCH * SLOTS_PER_EPOCH

    def expect_more(self) -> None:
        """Raise StakewatchError when the chain stands still."""
        if self.apis[0].clock_slot >= self.chain.last_slot:
            raise StakewatchError("the chain is over before all endpoints were broken")


async def _asking(
    stack: AsyncExitStack, api: MainnetApi
) -> Callable[[web.Request], "asyncio.Future[web.StreamResponse]"]:
    """Serve another network, and return what asks it the same as it is asked itself."""
    server = Server(api.application)
    await server.start()
    stack.push_async_callback(server.stop)
    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def ask(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {"Accept": request.headers.get("Accept", "*/*")}
        async with session.request(
            request.method, server.url + request.path_qs, data=body or None, headers=headers
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), content_type=answer.content_type
            )

    return lambda request: asyncio.ensure_future(ask(request))
