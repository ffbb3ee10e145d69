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
from rich.console import Console

from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.errors import StakewatchError
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from tests.bench.corruption import ENDPOINTS, Fault, Switch, applies
from tests.bench.running import Exporter, exporter_of
from tests.bench.scene import EPOCHS_PAST, Scene
from tests.bench.values import Watcher

PAGE = Path("docs/exporter-faults.md")
_SLOT_SECONDS = 0.6
_BROKEN_EPOCHS = 1.25
_MOST_EPOCHS = 2.0
_POLL_SECONDS = 1.0
_WARM_EPOCHS = 2.3
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


async def run_fault(
    scene: Scene, fault: Fault, folder: Path, endpoints: Sequence[str], tell: Callable[[Cell], None]
) -> tuple[list[Cell], int]:
    """Break the endpoints one after another with one fault; return the cells, and how often it ended."""
    switch = Switch()
    async with AsyncExitStack() as stack:
        url = await scene.serve(stack, switch)
        configuration = await scene.configure(folder, url)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        )
        began = await scene.wait_for_early_slot()
        exporter = await stack.enter_async_context(exporter_of(configuration, session))
        watcher = Watcher(scene.truths)
        watcher.begin(began)
        cells: list[Cell] = []
        try:
            await _look_for(exporter, watcher, scene, _WARM_EPOCHS)
            for endpoint in endpoints:
                if not applies(fault, endpoint):
                    continue
                scene.expect_more()
                cells.append(await _cell(exporter, watcher, scene, switch, (endpoint, fault)))
                tell(cells[-1])
        except StakewatchError as error:
            tell(Cell(fault, str(error), 1, math.nan, (str(error),), ""))
            return cells, 1
        return cells, 0


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
    """Return what is not well: a node that is not up, slots or epochs that are not those of now."""
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
        "Written by `make faults`: each endpoint of the only beacon node is broken in each way for more",
        "than an epoch and then mended. A number says after how many epochs everything was up to date",
        "again; - means that the answer has nothing that could be broken so, or is not asked for then.",
        "All the while every figure is held against what really happened on the chain: a wrong one would",
        "stand here as WRONG, and an exporter that ended would leave its column empty.",
        "",
        "Validators, rewards, deposits in the queue, finality and sync committees are answered without the",
        "slot that they are about: a node that answers about another one there is believed. Only several",
        "nodes that are asked in turn help against that.",
        "",
        "| endpoint | " + " | ".join(fault.value for fault in Fault) + " |",
        "|---|" + "---|" * len(Fault),
    ]
    for endpoint in ENDPOINTS:
        words = [_word(known.get((endpoint, fault)), fault, endpoint) for fault in Fault]
        lines.append(f"| {endpoint} | " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def _word(cell: Cell | None, fault: Fault, endpoint: str) -> str:
    if cell is None:
        return "" if applies(fault, endpoint) else "-"
    return cell.word


async def measure(
    faults: Sequence[Fault], endpoints: Sequence[str], console: Console
) -> tuple[list[Cell], int]:
    """Run all faults side by side."""
    epochs = int(EPOCHS_PAST + 8 + len(endpoints) * (_BROKEN_EPOCHS + _MOST_EPOCHS + 0.7))
    scene = Scene(epochs, _SLOT_SECONDS)
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


async def measure_in_turns(
    faults: Sequence[Fault], endpoints: Sequence[str], console: Console, *, together: int
) -> tuple[list[Cell], int]:
    """Run so many faults side by side, then the next ones."""
    cells: list[Cell] = []
    exits = 0
    for first in range(0, len(faults), together):
        more, ended = await measure(faults[first : first + together], endpoints, console)
        cells += more
        exits += ended
    return cells, exits


def main() -> int:
    """Break everything, write the page and the report, return 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults", description=__doc__)
    parser.add_argument("--fault", action="append", choices=[fault.name for fault in Fault])
    parser.add_argument("--endpoint", action="append", choices=list(ENDPOINTS))
    parser.add_argument("--together", type=int, default=len(Fault), help="how many exporters at a time")
    parser.add_argument("--reports", type=Path, default=Path("build/reports"))
    options = parser.parse_args()
    console = Console(width=140)
    started = time.monotonic()
    faults = [Fault[name] for name in options.fault] if options.fault else list(Fault)
    endpoints = options.endpoint or list(ENDPOINTS)
    cells, exits = asyncio.run(measure_in_turns(faults, endpoints, console, together=options.together))
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
