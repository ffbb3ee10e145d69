"""Measure what the state of an epoch costs: `python -m tests.bench.state [validators [watched]]`.

Another process makes a state of mainnet's size and serves it over HTTP on loopback; this one receives it,
fills the columns, finds the watched keys and computes all rewards, twice: with no key known, then with all.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import aiohttp
import numpy as np
from aiohttp import web
from rich.console import Console

from stakewatch.ethereum.attestation_rewards import (
    AttestationRewards,
    AttestationTotals,
    reward_parameters,
)
from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.state_layout import fork_at, state_layout
from stakewatch.ethereum.state_stream import StateReader
from tests.bench import mainnet_state

_CHUNK_BYTES = 4 << 20
_GROUPS = 40
_MOST_CPU_SECONDS = 1.0
_MOST_RSS_MIB = 300
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Truth:
    """What the maker of the state knows of it: counts, and gwei of all validators together."""

    duties: int
    missed: int
    head_votes: int
    reward: int
    penalty: int


def truth(count: int) -> Truth:
    """Return what the state says, by the formulas of the specification on counts of like validators."""
    kinds: dict[tuple[int, int, bool, int], int] = {}
    active = 0
    for block in mainnet_state.blocks(count):
        living = block.records["exit_epoch"] > mainnet_state.EPOCH
        records = block.records[living]
        active += int(records["effective_balance"].sum()) // mainnet_state.GWEI
        rows = np.stack(
            [
                records["effective_balance"] // mainnet_state.GWEI,
                block.previous[living],
                records["slashed"],
                block.scores[living],
            ],
            axis=1,
        ).astype(np.int64)
        unique, numbers = np.unique(rows, axis=0, return_counts=True)
        for (effective, flags, slashed, score), number in zip(unique.tolist(), numbers.tolist(), strict=True):
            kind = (effective, flags, bool(slashed), score)
            kinds[kind] = kinds.get(kind, 0) + number
    base = mainnet_state.GWEI * 64 // isqrt(active * mainnet_state.GWEI)
    voted = [
        sum(kind[0] * number for kind, number in kinds.items() if not kind[2] and kind[1] >> flag & 1)
        for flag in range(3)
    ]
    reward = penalty = 0
    for (effective, flags, slashed, score), number in kinds.items():
        for flag, weight in enumerate((14, 26, 14)):
            if not slashed and flags >> flag & 1:
                reward += number * (effective * base * weight * voted[flag] // (active * 64))
            elif flag < 2:
                penalty += number * (effective * base * weight // 64)
        if slashed or not flags >> 1 & 1:
            penalty += number * (effective * mainnet_state.GWEI * max(score + 4 - 16, 0) // (4 * 2**24))
    unslashed = {kind: number for kind, number in kinds.items() if not kind[2]}
    return Truth(
        duties=sum(unslashed.values()),
        missed=sum(number for kind, number in unslashed.items() if not kind[1]),
        head_votes=sum(number for kind, number in unslashed.items() if kind[1] & 4),
        reward=reward,
        penalty=penalty,
    )


def agrees(totals: AttestationTotals, known: Truth) -> bool:
    """Tell whether computed totals are the truth, to the gwei."""
    penalty = totals.source_penalty + totals.target_penalty + totals.inactivity_penalty
    found = Truth(totals.duties, totals.missed, totals.head_votes, totals.reward, penalty)
    return found == known


def watched_keys(count: int, watched: int) -> tuple[frozenset[bytes], set[int]]:
    """Return the keys of evenly spread validators, and their indices."""
    indices = {place * count // watched for place in range(watched)}
    keys = []
    first = 0
    for block in mainnet_state.blocks(count):
        inside = [index - first for index in sorted(indices) if first <= index < first + len(block.records)]
        keys += [block.records["pubkey"][place].tobytes() for place in inside]
        first += len(block.records)
    return frozenset(keys), indices


async def serve(count: int, watched: int) -> None:
    """Serve the state on a free port, and print that, the watched keys and the truth as one line of JSON."""
    keys, indices = watched_keys(count, watched)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/octet-stream"
        response.content_length = mainnet_state.state_bytes(count)
        await response.prepare(request)
        for chunk in mainnet_state.chunks(count):
            await response.write(chunk)
        return response

    application = web.Application()
    application.add_routes([web.get("/eth/v2/debug/beacon/states/{slot}", answer)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    opening = {
        "port": port,
        "keys": sorted(key.hex() for key in keys),
        "indices": sorted(indices),
        "truth": vars(truth(count)),
    }
    sys.stdout.write(json.dumps(opening) + "\n")
    sys.stdout.flush()
    # The measuring process closes our input when it ends, however it ends.
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


async def receive(url: str, keys: KeyIndices) -> tuple[AttestationTotals, KeyIndices]:
    """Receive the state and compute what an exporter needs of it."""
    specification = mainnet_state.SPECIFICATION
    fork = fork_at(specification, mainnet_state.EPOCH)
    async with (
        aiohttp.ClientSession(read_bufsize=_CHUNK_BYTES) as session,
        session.get(f"{url}/eth/v2/debug/beacon/states/{mainnet_state.SLOT}") as response,
    ):
        reader = StateReader(
            state_layout(specification, fork),
            slot=mainnet_state.SLOT,
            genesis_validators_root=mainnet_state.GENESIS_VALIDATORS_ROOT,
            content_length=response.content_length,
            keys=keys,
        )
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            reader.feed(chunk)
    state = reader.finish()
    rewards = AttestationRewards(state, reward_parameters(specification, fork))
    ours = np.array(sorted(state.keys.indices.values()), dtype=np.int64)
    for group in np.array_split(ours, _GROUPS):
        rewards.totals(group)
    return rewards.network(), state.keys


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mebibytes() -> float:
    """Return the most memory that this process has held.

    Not getrusage's ru_maxrss: over fork and exec that keeps what the process held which started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    held = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(held.split()[1]) / 1024


def measure(count: int, watched: int) -> bool:
    """Measure both passes, print what they took, and tell whether bars hold and figures are right."""
    console = Console()
    arguments = [sys.executable, "-m", "tests.bench.state", str(count), str(watched), "--serve"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        if server.stdin is None or server.stdout is None:
            raise AssertionError("the server was started without pipes")
        opening = json.loads(server.stdout.readline())
        url = f"http://127.0.0.1:{opening['port']}"
        known = Truth(**opening["truth"])
        keys = KeyIndices(frozenset(bytes.fromhex(key) for key in opening["keys"]))
        expected_indices = opening["indices"]
        del opening
        good = True
        for name in ("no key known", "all keys known"):
            started, spent = time.monotonic(), _cpu_seconds()
            totals, keys = asyncio.run(receive(url, keys))
            cpu, wall = _cpu_seconds() - spent, time.monotonic() - started
            right = agrees(totals, known) and sorted(keys.indices.values()) == expected_indices
            good = good and right and cpu <= _MOST_CPU_SECONDS
            console.print(f"{name}: {cpu:.2f} CPU s, {wall:.2f} s, figures {'right' if right else 'WRONG'}")
        peak = _peak_mebibytes()
        console.print(
            f"peak RSS {peak:.0f} MiB of {mainnet_state.state_bytes(count) / _MEBIBYTE:.0f} received"
        )
        server.stdin.close()
    return good and peak <= _MOST_RSS_MIB


def main() -> int:
    """Serve or measure; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.state", description=__doc__)
    parser.add_argument("validators", type=int, nargs="?", default=2_100_000)
    parser.add_argument("watched", type=int, nargs="?", default=10_000)
    parser.add_argument("--serve", action="store_true", help="serve the state; started by the measure itself")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.validators, arguments.watched))
        return 0
    return 0 if measure(arguments.validators, arguments.watched) else 1


if __name__ == "__main__":
    sys.exit(main())
