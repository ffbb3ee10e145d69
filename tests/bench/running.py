"""The processes of a measurement: a simulated chain and an exporter, with what it used of the machine."""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from stakewatch.errors import StakewatchError
from stakewatch.programs.process import Process, free_port, tail
from tests.bench.page import Page, read_page

SLOTS_PER_EPOCH = 32
_TICKS = os.sysconf("SC_CLK_TCK")
_LONGEST_START_SECONDS = 600.0
_USER, _SYSTEM = 11, 12


@dataclass(frozen=True)
class Scale:
    """The size and the pace of a simulated chain; `without` are requests that are not served."""

    validators: int
    active: int
    watched: int
    groups: int
    seconds_per_slot: int = 1
    epochs: int = 8
    epochs_past: int = 3
    without: tuple[str, ...] = ()

    def arguments(self, folder: Path) -> list[str]:
        """Return how the simulator is started."""
        options = {
            "--validators": self.validators,
            "--active": self.active,
            "--watched": self.watched,
            "--groups": self.groups,
            "--seconds-per-slot": self.seconds_per_slot,
            "--epochs": self.epochs,
            "--epochs-past": self.epochs_past,
            "--folder": folder,
        }
        pairs = [str(part) for option in options.items() for part in option]
        refusals = [part for pattern in self.without for part in ("--without", pattern)]
        return [sys.executable, "-m", "stakewatch.simulator.mainnet", *pairs, *refusals]


@dataclass
class Chain:
    """A simulated chain that is served; times by our clock, which is its clock too."""

    url: str
    session: aiohttp.ClientSession
    scale: Scale
    first_slot: int
    last_slot: int
    genesis_time: int = 0

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what a path answers."""
        async with self.session.get(self.url + path) as response:
            response.raise_for_status()
            return await response.json()

    async def start_clock(self) -> None:
        """Let the first slot that is not past begin in two seconds."""
        async with self.session.post(self.url + "/start") as response:
            self.genesis_time = (await response.json())["genesis_time"]

    def start_of(self, slot: float) -> float:
        """Return when a slot begins (Unix seconds)."""
        return self.genesis_time + slot * self.scale.seconds_per_slot

    async def wait_for(self, slot: float) -> None:
        """Sleep until a slot begins."""
        await asyncio.sleep(max(0.0, self.start_of(slot) - time.time()))


@dataclass
class Exporter:
    """A running exporter."""

    process: Process
    url: str
    session: aiohttp.ClientSession

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS

    def memory_mebibytes(self, name: str) -> float:
        """Return what its status says of memory: VmHWM is the most that it held, VmRSS what it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        if found is None:
            raise StakewatchError(f"the kernel tells no {name} of the exporter")
        return int(found[1]) / 1024

    async def text(self) -> str:
        """Return its page."""
        async with self.session.get(self.url + "/metrics") as response:
            return await response.text()

    async def page(self) -> Page:
        """Return its page, read."""
        return await asyncio.to_thread(read_page, await self.text())


@asynccontextmanager
async def chain_of(
    scale: Scale, folder: Path, session: aiohttp.ClientSession
) -> AsyncIterator[tuple[Chain, Path]]:
    """Serve a chain; yields it with the path of a stakewatch.yaml that watches it."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    with Process.start(scale.arguments(folder), log=folder / "simulator.log") as process:
        ready = await _ready(process, folder / "ready.json")
        chain = Chain(ready["url"], session, scale, ready["first_slot"], ready["last_slot"])
        yield chain, Path(ready["configuration"])


async def _ready(process: Process, path: Path) -> dict[str, Any]:
    end = time.monotonic() + _LONGEST_START_SECONDS
    while not await asyncio.to_thread(path.exists):
        process.expect_running()
        if time.monotonic() > end:
            raise StakewatchError(
                f"it is not ready after {_LONGEST_START_SECONDS:.0f} s:\n{tail(process.log)}"
            )
        await asyncio.sleep(0.2)
    content: dict[str, Any] = json.loads(await asyncio.to_thread(path.read_text, "utf-8"))
    return content


@asynccontextmanager
async def exporter_of(
    configuration: Path, session: aiohttp.ClientSession, arguments: Sequence[str] = ()
) -> AsyncIterator[Exporter]:
    """Run an exporter as a process of its own."""
    listen = f"127.0.0.1:{free_port()}"
    program = Path(sys.executable).with_name("stakewatch-exporter")
    command: list[str | Path] = [program, "--config", configuration, "--listen", listen, *arguments]
    with Process.start(command, log=configuration.parent / "exporter.log") as process:
        end = time.monotonic() + _LONGEST_START_SECONDS
        exporter = Exporter(process, f"http://{listen}", session)
        while True:
            process.expect_running()
            try:
                await exporter.text()
            except aiohttp.ClientError as error:
                if time.monotonic() > end:
                    raise StakewatchError(f"the exporter does not serve:\n{tail(process.log)}") from error
                await asyncio.sleep(0.1)
            else:
                break
        yield exporter
