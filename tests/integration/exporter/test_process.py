"""The exporter as a process: it starts, serves, and stops when told to."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, Group, ValidatorClient

PROGRAM = str(Path(sys.executable).parent / "stakewatch-exporter")
PLAN = FleetPlan(
    beacon_nodes=(BeaconNode("beacon-1", "lighthouse", "execution-1", "m"),),
    execution_nodes=(ExecutionNode("execution-1", "geth", "m"),),
    validator_clients=(ValidatorClient("validators-1", "lighthouse", ("beacon-1",), "m"),),
    groups=(Group("alpha", "validators-1", 20),),
    validators=96,
)


def _configure(fleet: Fleet, folder: Path, more: str = "") -> Path:
    path = folder / "stakewatch.yaml"
    text = fleet.configuration_text().replace("127.0.0.1:9120", "127.0.0.1:0")
    path.write_text(text + "  state_file: state.json\n" + more, encoding="utf-8")
    return path


def _saved_mode(folder: Path) -> int | None:
    """Return the mode of the state file, None when there is none."""
    path = folder / "state.json"
    return path.stat().st_mode & 0o777 if path.exists() else None


def _left_over(folder: Path) -> list[str]:
    """Return the names of files that are neither configuration nor state."""
    return sorted(
        entry.name for entry in folder.iterdir() if entry.name not in {"stakewatch.yaml", "state.json"}
    )


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(PROGRAM, *arguments, stderr=asyncio.subprocess.PIPE)


async def _url(process: asyncio.subprocess.Process) -> str:
    """Return where the process says that it serves."""
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
    assert " serving url=" in line
    return line.split("url=")[1].split()[0]


async def _wait_for_state(url: str) -> None:
    end = time.monotonic() + 60
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end:
            async with session.get(f"{url}/metrics") as response:
                if "stakewatch_last_processed_epoch{" in await response.text():
                    return
            await asyncio.sleep(0.2)
    raise AssertionError("no state was read within 60 s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_within_two_seconds_and_keeps_its_books(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with Fleet(PLAN) as fleet:
        process = await _start("--config", str(_configure(fleet, tmp_path)))
        try:
            await _wait_for_state(await _url(process))
            told = time.monotonic()
            process.send_signal(number)
            assert await asyncio.wait_for(process.wait(), 10) == 0
            assert time.monotonic() - told < 2
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert _saved_mode(tmp_path) == 0o600
    assert _left_over(tmp_path) == []


async def test_it_stops_at_once_while_every_node_hangs(tmp_path: Path) -> None:
    async with Fleet(PLAN) as fleet:
        for node in PLAN.nodes:
            await fleet.inject("hang", instance=node.instance)
        process = await _start("--config", str(_configure(fleet, tmp_path)))
        await _url(process)
        await asyncio.sleep(0.5)
        told = time.monotonic()
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert time.monotonic() - told < 2


async def test_killed_half_way_it_goes_on_with_what_it_had(tmp_path: Path) -> None:
    async with Fleet(PLAN) as fleet:
        path = _configure(fleet, tmp_path)
        for _run in range(2):
            process = await _start("--config", str(path))
            url = await _url(process)
            await _wait_for_state(url)
            for _ in range(200):
                if _saved_mode(tmp_path) is not None:
                    break
                await asyncio.sleep(0.1)
            process.kill()
            assert process.stderr is not None
            rest = (await process.stderr.read()).decode()
            await process.wait()
            assert "state_file_set_aside" not in rest
    assert _saved_mode(tmp_path) == 0o600


@pytest.mark.parametrize("content", [b"{broken", b"", b'{"version": 99}'])
async def test_a_broken_state_file_is_set_aside_with_a_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    async with Fleet(PLAN) as fleet:
        process = await _start("--config", str(_configure(fleet, tmp_path)))
        assert process.stderr is not None
        line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
        await _wait_for_state(await _url(process))
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert "state_file_set_aside" in line
    (kept,) = _left_over(tmp_path)
    assert kept.startswith("state.json.corrupt-")


async def test_an_address_in_use_ends_with_two_and_one_message(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Fleet(PLAN) as fleet:
        process = await _start("--config", str(_configure(fleet, tmp_path)), "--listen", f"127.0.0.1:{port}")
        assert process.stderr is not None
        said = (await asyncio.wait_for(process.stderr.read(), 20)).decode()
        assert await process.wait() == 2
    assert "cannot listen there" in said
    assert "Traceback" not in said


async def test_a_check_of_a_healthy_fleet_prints_a_table_and_ends_with_zero(tmp_path: Path) -> None:
    async with Fleet(PLAN) as fleet:
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            "--config",
            str(_configure(fleet, tmp_path)),
            "--check",
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "COLUMNS": "200"},
        )
        said, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
    assert "Lighthouse/" in said.decode()
    assert said.decode().count("yes") == 2
