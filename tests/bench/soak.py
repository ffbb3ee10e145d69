"""A day of the chain in a quarter of an hour, with faults: `python -m tests.bench.soak`, report `soak`.

Slots are short, everything else is as it is; now and then the only beacon node is broken in some way at some
endpoint. Memory must stay flat, counters may not fall, and no figure may be wrong.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from rich.console import Console

from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from stakewatch.errors import StakewatchError
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from tests.bench.corruption import ENDPOINTS, Fault, Switch
from tests.bench.running import exporter_of
from tests.bench.scene import EPOCHS_PAST, Scene
from tests.bench.values import Watcher

_SLOT_SECONDS = 0.125
_REAL_SLOT_SECONDS = 12
_LOOK_SECONDS = 2.0
_SOUND_EPOCHS, _BROKEN_EPOCHS = (2.0, 8.0), (0.2, 2.5)
_WARM_SHARE = 0.25
_TOLD_EVERY = 30
_SEED = 24
_SHOWN_WRONG = 5


async def soak(hours: float, console: Console) -> list[Figure]:
    """Run for so many simulated hours and return what was found."""
    epochs = int(hours * 3600 / (_REAL_SLOT_SECONDS * SLOTS_PER_EPOCH))
    scene = Scene(epochs + EPOCHS_PAST + 4, _SLOT_SECONDS)
    scene.api(scene.chain)
    scene.start()
    folder = Path(tempfile.mkdtemp(prefix="stakewatch-soak-"))
    watcher = Watcher(scene.truths)
    switch = Switch()
    memory: list[tuple[float, float]] = []
    exits = 0
    try:
        async with AsyncExitStack() as stack:
            configuration = await scene.configure(folder / "exporter", await scene.serve(stack, switch))
            session = await stack.enter_async_context(
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
            )
            watcher.begin(await scene.wait_for_early_slot())
            exporter = await stack.enter_async_context(exporter_of(configuration, session))
            breaking = asyncio.create_task(_break(switch))
            end = scene.apis[0].genesis_time + (scene.chain.last_slot - SLOTS_PER_EPOCH) * _SLOT_SECONDS
            began = time.time()
            try:
                while time.time() < end:
                    exporter.process.expect_running()
                    page = await exporter.page()
                    told = len(watcher.wrong)
                    await asyncio.to_thread(watcher.look, page, scene.head)
                    for wrong in watcher.wrong[told:][:_SHOWN_WRONG]:
                        console.print(f"  {switch.fault} of {switch.last}: {wrong}", highlight=False)
                    hour = (time.time() - began) * _REAL_SLOT_SECONDS / _SLOT_SECONDS / 3600
                    memory.append((hour, exporter.memory_mebibytes("VmRSS")))
                    if len(memory) % _TOLD_EVERY == 0:
                        console.print(
                            f"  hour {hour:.1f}: {memory[-1][1]:.0f} MiB, {len(watcher.wrong)} wrong figures"
                        )
                    await asyncio.sleep(_LOOK_SECONDS)
            except StakewatchError as error:
                console.print(f"  {error}", highlight=False)
                exits = 1
            breaking.cancel()
            await asyncio.gather(breaking, return_exceptions=True)
            behind = (
                scene.head - ((await exporter.page()).value("last_processed_slot") or 0) if not exits else 0
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    falls = sum(" fell from " in wrong for wrong in watcher.wrong)
    warm = [point for point in memory if point[0] >= _WARM_SHARE * hours]
    slope = statistics.linear_regression(*zip(*warm, strict=True)).slope if len(warm) > 1 else float("nan")
    return [
        Figure("simulated_hours", memory[-1][0] if memory else 0, "h", f">= {hours * 0.95:g}"),
        Figure("exits", exits, "", "== 0"),
        Figure("counters_fallen", falls, "", "== 0"),
        Figure("wrong_values", len(watcher.wrong) - falls, "", "== 0"),
        Figure("memory_slope_mib_per_hour", slope, "MiB/h", "<= 0.5"),
        Figure("memory_at_end_mib", memory[-1][1] if memory else float("nan"), "MiB"),
        Figure("slots_behind_at_end", behind, "slots"),
    ]


async def _break(switch: Switch) -> None:
    """Break something now and then, for ever; the same things in each run."""
    chance = random.Random(_SEED)  # noqa: S311 - the same faults each time
    epoch_seconds = SLOTS_PER_EPOCH * _SLOT_SECONDS
    while True:
        await asyncio.sleep(chance.uniform(*_SOUND_EPOCHS) * epoch_seconds)
        switch.fault, switch.endpoint = chance.choice(list(Fault)), chance.choice(list(ENDPOINTS))
        switch.last = switch.endpoint
        await asyncio.sleep(chance.uniform(*_BROKEN_EPOCHS) * epoch_seconds)
        switch.endpoint = None


def main() -> int:
    """Soak, write the report, return 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="simulated hours")
    parser.add_argument("--reports", type=Path, default=Path("build/reports"))
    options = parser.parse_args()
    console = Console(width=120)
    started = time.monotonic()
    figures = asyncio.run(soak(options.hours, console))
    report = Report("soak", revision(), time.monotonic() - started, tuple(figures))
    return conclude_report(report, options.reports, console)


if __name__ == "__main__":
    sys.exit(main())
