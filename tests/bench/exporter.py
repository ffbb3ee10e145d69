"""Measure the exporter at mainnet scale: `python -m tests.bench.exporter [--quick]`, report `bench`.

Every chain is served by a process of its own, and every result is compared with what happened on it. Chains
whose cost is measured run alone; those that only prove figures run side by side.
"""

import argparse
import asyncio
import itertools
import math
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
from rich.console import Console

from stakewatch.bundle.reports import Figure, Report, conclude_report, revision
from tests.bench.comparison import Comparison, compare
from tests.bench.running import SLOTS_PER_EPOCH, Chain, Exporter, Scale, chain_of, exporter_of

FULL = Scale(validators=2_100_000, active=1_000_000, watched=10_000, groups=40)
_NO_STATE = r"GET /eth/v2/debug/"
_NO_REGISTRY = r"GET /eth/v1/beacon/states/[^/]+/validators$"
_NO_REWARDS = r"/rewards/attestations/"
TIERS = {
    "ssz": (),
    "json_network": (_NO_STATE,),
    "json_watched": (_NO_STATE, _NO_REGISTRY),
    "blocks": (_NO_STATE, _NO_REGISTRY, _NO_REWARDS),
}
_START_AT = 4
_MEASURED_FROM = 16
_QUIET_FROM = 8
_SCRAPES_PER_SECOND = 2
_DELAY_POLLS_PER_SECOND = 4
_QUIET_SLOTS = 4
_SETTLING_SECONDS = 6.0
_SHOWN_WRONG = 12
_MANY_KEYS = "many keys in 200 groups"


@dataclass(frozen=True)
class Cost:
    """What a run cost; per-slot figures are of slots without an epoch's work, milliseconds."""

    cpu_seconds_per_epoch: float
    cpu_ms_per_slot: float
    peak_mebibytes: float
    bytes_per_epoch: float
    scrapes: tuple[float, ...]
    tier: str
    comparison: Comparison


async def run(scale: Scale, folder: Path, session: aiohttp.ClientSession, *, measured_epochs: int) -> Cost:
    """Run an exporter on a chain from its fourth epoch to its end, and compare the last page."""
    async with chain_of(scale, folder, session) as (chain, configuration):
        await chain.start_clock()
        began = chain.first_slot + scale.epochs_past * SLOTS_PER_EPOCH
        await chain.wait_for(began + _START_AT)
        async with exporter_of(configuration, session) as exporter:
            first = began + SLOTS_PER_EPOCH + _MEASURED_FROM
            cpu, sent = await _cpu_by_slot(chain, exporter, first, measured_epochs * SLOTS_PER_EPOCH)
            scrapes = await _scrapes(chain, exporter, first + (measured_epochs + 1) * SLOTS_PER_EPOCH)
            await chain.wait_for(chain.last_slot + 1)
            await asyncio.sleep(_SETTLING_SECONDS * max(1, scale.seconds_per_slot))
            page = await exporter.page()
            tiers = [tier for (tier,), value in page.table("source_tier", "tier").items() if value]
            tier = tiers[0] if tiers else "blocks"
            comparison = await compare(page, chain, anchor=began, tier=tier)
            peak = exporter.memory_mebibytes("VmHWM")
    quiet = [used for place, used in enumerate(cpu) if (first + place) % SLOTS_PER_EPOCH >= _QUIET_FROM]
    return Cost(
        cpu_seconds_per_epoch=sum(cpu) / measured_epochs,
        cpu_ms_per_slot=statistics.fmean(quiet) * 1000,
        peak_mebibytes=peak,
        bytes_per_epoch=sent / measured_epochs,
        scrapes=tuple(scrapes),
        tier=tier,
        comparison=comparison,
    )


async def _cpu_by_slot(chain: Chain, exporter: Exporter, first: int, slots: int) -> tuple[list[float], float]:
    """Return the CPU seconds used in each slot, and the bytes that the chain's node sent in all of them."""
    await chain.wait_for(first)
    sent = (await chain.get("/truth/now"))["bytes_sent"]
    marks = [exporter.cpu_seconds()]
    for slot in range(first + 1, first + slots + 1):
        await chain.wait_for(slot)
        marks.append(exporter.cpu_seconds())
    sent = (await chain.get("/truth/now"))["bytes_sent"] - sent
    return [after - before for before, after in itertools.pairwise(marks)], sent


async def _scrapes(chain: Chain, exporter: Exporter, until_slot: int) -> list[float]:
    """Scrape twice a second until a slot begins; return how long each took in seconds."""
    took = []
    while time.time() < chain.start_of(until_slot):
        started = time.monotonic()
        await exporter.text()
        took.append(time.monotonic() - started)
        await asyncio.sleep(max(0.0, 1 / _SCRAPES_PER_SECOND - took[-1]))
    return took


@dataclass(frozen=True)
class Pace:
    """How it goes at the pace of a real chain: CPU milliseconds per slot, seconds until each slot is seen."""

    cpu_ms_per_slot: float
    delays: tuple[float, ...]


async def at_real_pace(folder: Path, session: aiohttp.ClientSession, *, slots: int) -> Pace:
    """Watch slots of 12 seconds: what they cost, and when each is on the page after it could be fetched.

    Short slots hide what is done by the clock and not by the slot. The network is small: what its size costs
    is measured elsewhere.
    """
    scale = Scale(validators=40_000, active=20_000, watched=10_000, groups=40, seconds_per_slot=12, epochs=5)
    async with chain_of(scale, folder, session) as (chain, configuration):
        await chain.start_clock()
        async with exporter_of(configuration, session) as exporter:
            began = chain.first_slot + scale.epochs_past * SLOTS_PER_EPOCH
            await chain.wait_for(began + 1.9)
            used = exporter.cpu_seconds()
            await chain.wait_for(began + 1.9 + _QUIET_SLOTS)
            used = exporter.cpu_seconds() - used
            began += _QUIET_SLOTS
            seen: dict[int, float] = {}
            while time.time() < chain.start_of(began + 2 + slots):
                page = await exporter.page()
                newest = page.value("last_processed_slot")
                if newest is not None:
                    seen.setdefault(int(newest), time.time())
                await asyncio.sleep(1 / _DELAY_POLLS_PER_SECOND)
            late = (
                moment - chain.start_of(slot)
                for slot, moment in seen.items()
                if began + 2 <= slot < began + 1 + slots
            )
            return Pace(used / _QUIET_SLOTS * 1000, tuple(late))


def exponent(sizes: list[int], costs: list[float]) -> float:
    """Return the growth exponent: the slope of the straight line through the logarithms."""
    if len(sizes) < 2 or min(costs) <= 0:
        return math.nan
    slope = statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    )
    return slope.slope


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that this share of the values does not exceed, nan of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


async def measure(console: Console, *, quick: bool) -> list[Figure]:
    """Run everything; with `quick` on small chains, to see that it works."""
    full = replace(FULL, validators=100_000, active=48_000, watched=2_000) if quick else FULL
    folder = Path(tempfile.mkdtemp(prefix="stakewatch-bench-"))
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            console.print(f"1 of 3: {full.validators:,} validators, SSZ")
            ssz = await run(full, folder / "ssz", session, measured_epochs=2)
            _tell(console, "ssz", ssz)
            console.print(f"2 of 3: {full.validators:,} validators, JSON")
            slower = replace(full, seconds_per_slot=2, epochs=7, without=TIERS["json_network"])
            network = await run(slower, folder / "json", session, measured_epochs=1)
            _tell(console, "json_network", network)
            console.print("3 of 3: smaller chains, all tiers, and the delay of a slot")
            small = Scale(validators=60_000, active=30_000, watched=600, groups=8)
            sizes = [100_000, 460_000]
            growing = [
                replace(full, validators=size, active=size * 10 // 21, watched=min(10_000, size // 20))
                for size in sizes
            ]
            jobs = {
                **{tier: replace(small, without=TIERS[tier]) for tier in ("json_watched", "blocks")},
                **{f"ssz of {scale.validators:,}": scale for scale in growing},
                _MANY_KEYS: replace(growing[-1], watched=4_000 if quick else 100_000, groups=200),
            }
            async with asyncio.TaskGroup() as group:
                timing = group.create_task(at_real_pace(folder / "delay", session, slots=3 if quick else 12))
                tasks = {
                    name: group.create_task(
                        run(scale, folder / name.replace(" ", "-"), session, measured_epochs=2)
                    )
                    for name, scale in jobs.items()
                }
            pace = timing.result()
            runs = {name: task.result() for name, task in tasks.items()}
            for name, cost in runs.items():
                _tell(console, name, cost)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    grown = [runs[f"ssz of {size:,}"] for size in sizes] + ([] if quick else [ssz])
    everything = [ssz, network, *runs.values()]
    counts = [*sizes, *([] if quick else [full.validators])]
    expected = {
        "json_network": network,
        **{tier: runs[tier] for tier in ("json_watched", "blocks")},
        "ssz": ssz,
    }
    scrapes = [took * 1000 for took in ssz.scrapes]
    return [
        Figure("cpu_seconds_per_epoch", ssz.cpu_seconds_per_epoch, "s", "<= 1.5"),
        Figure("peak_rss_mib", ssz.peak_mebibytes, "MiB", "<= 300"),
        Figure("cpu_ms_per_slot", ssz.cpu_ms_per_slot, "ms", "<= 20"),
        Figure("json_cpu_seconds_per_epoch", network.cpu_seconds_per_epoch, "s", "<= 10"),
        Figure("json_peak_rss_mib", network.peak_mebibytes, "MiB", "<= 400"),
        Figure("scrape_p50_ms", percentile(scrapes, 0.5), "ms"),
        Figure("scrape_p99_ms", percentile(scrapes, 0.99), "ms", "< 100"),
        Figure("scrape_max_ms", max(scrapes, default=math.nan), "ms", "< 250"),
        Figure("slot_visible_seconds", percentile(list(pace.delays), 0.99), "s", "<= 1"),
        Figure("slots_timed", len(pace.delays), "slots"),
        Figure("real_pace_cpu_ms_per_slot", pace.cpu_ms_per_slot, "ms"),
        Figure("fetched_mib_per_epoch", ssz.bytes_per_epoch / 2**20, "MiB"),
        Figure("json_fetched_mib_per_epoch", network.bytes_per_epoch / 2**20, "MiB"),
        Figure("cpu_exponent", exponent(counts, [one.cpu_seconds_per_epoch for one in grown]), "", "<= 1.05"),
        Figure("rss_exponent", exponent(counts, [one.peak_mebibytes for one in grown]), "", "<= 1.05"),
        Figure("many_keys_cpu_seconds_per_epoch", runs[_MANY_KEYS].cpu_seconds_per_epoch, "s"),
        Figure("many_keys_peak_rss_mib", runs[_MANY_KEYS].peak_mebibytes, "MiB"),
        Figure("wrong_figures", sum(len(one.comparison.wrong) for one in everything), "", "== 0"),
        Figure("compared_figures", sum(one.comparison.compared for one in everything), "", "> 5000"),
        Figure("wrong_tiers", sum(one.tier != tier for tier, one in expected.items()), "", "== 0"),
    ]


def _tell(console: Console, name: str, cost: Cost) -> None:
    wrong = cost.comparison.wrong
    console.print(
        f"  {name}: tier {cost.tier}, {cost.cpu_seconds_per_epoch:.2f} CPU s an epoch, "
        f"{cost.peak_mebibytes:.0f} MiB, {len(wrong)} of {cost.comparison.compared} figures wrong"
    )
    for one in wrong[:_SHOWN_WRONG]:
        console.print(f"    {one.series}: {one.found}, should be {one.expected}", highlight=False)


def main() -> int:
    """Measure, write the report, return 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.exporter", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small chains, to see that it works; no report")
    parser.add_argument("--reports", type=Path, default=Path("build/reports"))
    options = parser.parse_args()
    console = Console(width=120)
    started = time.monotonic()
    figures = asyncio.run(measure(console, quick=options.quick))
    report = Report("bench", revision(), time.monotonic() - started, tuple(figures))
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            return conclude_report(report, Path(folder), console)
    return conclude_report(report, options.reports, console)


if __name__ == "__main__":
    sys.exit(main())
