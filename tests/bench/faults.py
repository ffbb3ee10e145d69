"""Break every endpoint in every way: `python -m tests.bench.faults`, report `faults`.

One exporter per kind of fault, all on one chain with short slots, each with a beacon node of its own whose
endpoints are broken one after another for more than an epoch and then mended. Writes
docs/exporter-faults.md.
"""

import argparse
import asyncio
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from rich.console import Console

from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.errors import StakewatchError
from stakewatch.simulator.mainnet.api import MainnetApi
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.documents import write_configuration
from stakewatch.simulator.mainnet.registry import MainnetParameters
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from stakewatch.simulator.servers import Server
from tests.bench.corruption import ENDPOINTS, Fault, Switch, spoiling
from tests.bench.running import Exporter, exporter_of
from tests.bench.values import Truths, Watcher

PAGE = Path("docs/exporter-faults.md")
_SLOT_SECONDS = 0.4
_BROKEN_EPOCHS = 1.25
_MOST_EPOCHS = 2.0
_POLL_SECONDS = 1.0
_WARM_EPOCHS = 2.3
_EPOCHS_PAST = 3
_BEHIND_SLOTS = 6
_SHOWN_WRONG = 4


@dataclass(frozen=True)
class Cell:
    """What came of one fault at one endpoint: how many answers were spoilt, and after how long all was well.

    `epochs` is nan when it was not within the bound, and `ailments` say why; `tier` is what the exporter
    used while the node was broken.
    """

    fault: Fault
    endpoint: str
    hits: int
    epochs: float
    wrong: tuple[str, ...]
    tier: str
    ailments: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """What stands in the table."""
        if self.wrong:
            return "WRONG"
        if not self.hits:
            return "-"
        return "not recovered" if math.isnan(self.epochs) else f"{self.epochs:.1f}"


class Scene:
    """A chain that all exporters of this run watch, and another network with the same clock."""

    def __init__(self, epochs: int) -> None:
        parameters = MainnetParameters(
            validators=3000, active=2400, watched=60, groups=3, epochs=epochs, missed_proposal_ratio=0.05
        )
        self.chain = MainnetChain(parameters)
        other = MainnetParameters(
            validators=2500, active=2000, watched=20, groups=1, epochs=epochs, seed=7, network="othernet"
        )
        self.other_chain = MainnetChain(other)
        self.truths = Truths(self.chain)
        self.apis: list[MainnetApi] = []

    def api(self, chain: MainnetChain) -> MainnetApi:
        """Return a new node of a chain; its clock is set by `start`."""
        api = MainnetApi(chain, seconds_per_slot=_SLOT_SECONDS, epochs_past=_EPOCHS_PAST, whole=True)
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

    def expect_more(self) -> None:
        """Raise StakewatchError when the chain stands still."""
        if self.apis[0].clock_slot >= self.chain.last_slot:
            raise StakewatchError("the chain is over before all endpoints were broken")


async def run_fault(
    scene: Scene, fault: Fault, folder: Path, endpoints: Sequence[str], tell: Callable[[Cell], None]
) -> tuple[list[Cell], int]:
    """Break the endpoints one after another with one fault; return the cells, and how often it ended."""
    switch = Switch()
    async with AsyncExitStack() as stack:
        server = Server(lambda: node.application(spoiling(switch)))
        node = scene.api(scene.chain)
        other = scene.api(scene.other_chain)
        node.genesis_time = other.genesis_time = scene.apis[0].genesis_time
        switch.other_network = await _asking(stack, other)
        await server.start()
        stack.push_async_callback(server.stop)
        await asyncio.to_thread(folder.mkdir, parents=True)
        configuration = await asyncio.to_thread(
            write_configuration, scene.chain, server.url, folder, _SLOT_SECONDS
        )
        text = await asyncio.to_thread(configuration.read_text)
        await asyncio.to_thread(configuration.write_text, text + "  request_timeout_seconds: 1\n")
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        )
        # Counting begins with the epoch that the head is in, so the head must stay in it for a moment.
        while scene.head % SLOTS_PER_EPOCH > SLOTS_PER_EPOCH * 2 // 3:
            await asyncio.sleep(_POLL_SECONDS)
        began = scene.head // SLOTS_PER_EPOCH * SLOTS_PER_EPOCH
        exporter = await stack.enter_async_context(exporter_of(configuration, session))
        watcher = Watcher(scene.truths)
        watcher.begin(began)
        cells: list[Cell] = []
        try:
            await _look_for(exporter, watcher, scene, _WARM_EPOCHS)
            for endpoint in endpoints:
                scene.expect_more()
                cells.append(await _cell(exporter, watcher, scene, switch, (endpoint, fault)))
                tell(cells[-1])
        except StakewatchError as error:
            tell(Cell(fault, str(error), 1, math.nan, (str(error),), ""))
            return cells, 1
        return cells, 0


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


async def _cell(
    exporter: Exporter, watcher: Watcher, scene: Scene, switch: Switch, what: tuple[str, Fault]
) -> Cell:
    endpoint, fault = what
    before = len(watcher.wrong)
    switch.hits, switch.fault, switch.endpoint = 0, fault, endpoint
    tier = await _look_for(exporter, watcher, scene, _BROKEN_EPOCHS)
    switch.endpoint = None
    mended = time.monotonic()
    epoch_seconds = SLOTS_PER_EPOCH * _SLOT_SECONDS
    epochs = math.nan
    ailments: list[str] = []
    while time.monotonic() - mended < (_MOST_EPOCHS + 0.5) * epoch_seconds:
        ailments = await _ailments(exporter, watcher, scene)
        if not ailments:
            epochs = (time.monotonic() - mended) / epoch_seconds
            break
        await asyncio.sleep(_POLL_SECONDS / 2)
    return Cell(fault, endpoint, switch.hits, epochs, tuple(watcher.wrong[before:]), tier, tuple(ailments))


async def _look_for(exporter: Exporter, watcher: Watcher, scene: Scene, epochs: float) -> str:
    """Look at pages for so many epochs; return the tier at the end."""
    end = time.monotonic() + epochs * SLOTS_PER_EPOCH * _SLOT_SECONDS
    tier = ""
    while time.monotonic() < end:
        exporter.process.expect_running()
        page = await exporter.page()
        await asyncio.to_thread(watcher.look, page, scene.head)
        tier = next((name for (name,), on in page.table("source_tier", "tier").items() if on), "")
        await asyncio.sleep(_POLL_SECONDS)
    return tier


async def _ailments(exporter: Exporter, watcher: Watcher, scene: Scene) -> list[str]:
    """Return what is not well: a node that does not count as up, slots or epochs that are not those of now."""
    exporter.process.expect_running()
    head = scene.head
    page = await exporter.page()
    await asyncio.to_thread(watcher.look, page, head)
    slot, epoch = page.value("last_processed_slot"), page.value("last_processed_epoch")
    checks = page.table("node_check", "check")
    found = {
        f"slot {slot} at head {head}": slot is not None and slot >= head - _BEHIND_SLOTS,
        f"epoch {epoch} at head {head}": epoch is not None
        and epoch >= (head - _BEHIND_SLOTS) // SLOTS_PER_EPOCH,
        "node_up 0": all(page.table("node_up", "instance").values()),
        f"checks failing: {[name for (name,), passes in checks.items() if not passes]}": all(checks.values()),
    }
    return [what for what, is_well in found.items() if not is_well]


def table(cells: Iterable[Cell]) -> str:
    """Return the matrix as a page of documentation."""
    known = {(cell.endpoint, cell.fault): cell for cell in cells}
    lines = [
        "# What a broken beacon node does to the exporter",
        "",
        "Written by `make faults`: each endpoint of the only beacon node is broken in each way for more than",
        "an epoch and then mended. A number says after how many epochs everything was up to date again; - means",
        "that the answer has nothing that could be broken so, or is not asked for then. All the while every",
        "figure is held against what really happened on the chain: a wrong one would stand here as WRONG, and",
        "an exporter that ended would leave its column empty.",
        "",
        "| endpoint | " + " | ".join(fault.value for fault in Fault) + " |",
        "|---|" + "---|" * len(Fault),
    ]
    for endpoint in ENDPOINTS:
        words = [known[endpoint, fault].word if (endpoint, fault) in known else "" for fault in Fault]
        lines.append(f"| {endpoint} | " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


async def measure(
    faults: Sequence[Fault], endpoints: Sequence[str], console: Console
) -> tuple[list[Cell], int]:
    """Run all faults side by side."""
    scene = Scene(epochs=int(_EPOCHS_PAST + 8 + len(endpoints) * (_BROKEN_EPOCHS + _MOST_EPOCHS + 0.7)))
    folder = Path(tempfile.mkdtemp(prefix="stakewatch-faults-"))

    def tell(cell: Cell) -> None:
        console.print(
            f"  {cell.fault}: {cell.endpoint}: {cell.word} ({cell.hits} spoilt, {cell.tier})", highlight=False
        )
        for what in (*cell.wrong[:_SHOWN_WRONG], *cell.ailments):
            console.print(f"    {what}", highlight=False)

    try:
        scene.api(scene.chain)
        scene.start()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(run_fault(scene, fault, folder / fault.name, endpoints, tell))
                for fault in faults
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results = [task.result() for task in tasks]
    return [cell for cells, _ in results for cell in cells], sum(exits for _, exits in results)


def main() -> int:
    """Break everything, write the page and the report, return 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults", description=__doc__)
    parser.add_argument("--fault", action="append", choices=[fault.name for fault in Fault])
    parser.add_argument("--endpoint", action="append", choices=list(ENDPOINTS))
    parser.add_argument("--reports", type=Path, default=Path("build/reports"))
    options = parser.parse_args()
    console = Console(width=140)
    started = time.monotonic()
    faults = [Fault[name] for name in options.fault] if options.fault else list(Fault)
    endpoints = options.endpoint or list(ENDPOINTS)
    cells, exits = asyncio.run(measure(faults, endpoints, console))
    if not options.fault and not options.endpoint:
        PAGE.write_text(table(cells), encoding="utf-8")
    broken = [cell for cell in cells if cell.hits]
    figures = (
        Figure("exits", exits, "", "== 0"),
        Figure("wrong_values", sum(len(cell.wrong) for cell in cells), "", "== 0"),
        Figure("unrecovered", sum(not cell.epochs <= _MOST_EPOCHS for cell in broken), "", "== 0"),
        Figure("cells", len(broken), ""),
        Figure("slowest_epochs", max((cell.epochs for cell in broken), default=math.nan), "epochs"),
    )
    report = Report("faults", revision(), time.monotonic() - started, figures)
    return conclude_report(report, options.reports, console)


if __name__ == "__main__":
    sys.exit(main())
