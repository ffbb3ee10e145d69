"""A real proof-of-stake chain on loopback: pairs of Geth and Lodestar with a validator client each.

The minimal preset (8 slots per epoch) with 2-second slots finalises a minute after genesis. Withdrawals are
on: all validators have 0x01 credentials, so every two epochs the sweep takes each balance back to 32 ETH.
Geth keeps its state in LevelDB with the hash scheme, since only that loses nothing on SIGKILL.
"""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from eth_keys.datatypes import PrivateKey

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import locate
from stakewatch.programs.process import Process, free_port, tail
from tests.e2e.account import ACCOUNT

SECONDS_PER_SLOT = 2
SLOTS_PER_EPOCH = 8
CHAIN_ID = 1337
# Everything is up and connected 10 s after the choice of a genesis time, later on a busy machine: how busy it
# is, the first steps tell. Genesis must not pass before: validators that come late miss their first duties.
GENESIS_DELAY_SECONDS = 14.0
GENESIS_DELAY_FACTOR = 6.0
_GENESIS_SCRIPT = Path(__file__).parents[2] / "tools" / "lodestar" / "genesis.mjs"
_LOOPBACK = "127.0.0.1"
_START_SECONDS = 60.0
_REQUEST_SECONDS = 4.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pair:
    """An execution node, its beacon node and the validator client on it; `number` counts from 1."""

    number: int
    key_indices: range
    fee_recipient: str
    node_key: PrivateKey
    execution_api: int
    execution_engine: int
    execution_peers: int
    execution_metrics: int
    beacon_api: int
    beacon_peers: int
    beacon_metrics: int
    validator_metrics: int

    @property
    def execution(self) -> str:
        """Name of the execution node."""
        return f"execution-{self.number}"

    @property
    def beacon(self) -> str:
        """Name of the beacon node."""
        return f"beacon-{self.number}"

    @property
    def validators(self) -> str:
        """Name of the validator client."""
        return f"validators-{self.number}"

    @property
    def execution_url(self) -> str:
        """Address of the JSON-RPC API."""
        return f"http://{_LOOPBACK}:{self.execution_api}"

    @property
    def beacon_url(self) -> str:
        """Address of the Beacon API."""
        return f"http://{_LOOPBACK}:{self.beacon_api}"

    @property
    def enode(self) -> str:
        """Address under which the other execution node dials this one."""
        public_key = str(self.node_key.public_key).removeprefix("0x")
        return f"enode://{public_key}@{_LOOPBACK}:{self.execution_peers}?discport=0"


@dataclass
class Devnet:
    """The running chain; processes are started, killed and restarted by name."""

    folder: Path
    genesis_time: int
    pairs: tuple[Pair, ...]
    say: Say
    _commands: Mapping[str, tuple[str, ...]]
    _stack: ExitStack
    _processes: dict[str, Process] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """Start processes together and wait until all answer.

        Raises StakewatchError when one ends or does not answer in time.
        """
        for name in names:
            self._processes[name] = self._stack.enter_context(
                Process.start(self._commands[name], log=self._log(name), environment=_environment())
            )
        for name in names:
            self._wait_for(name)

    def kill(self, name: str) -> None:
        """End the process `name` as a crash would: SIGKILL, without a chance to clean up."""
        self._processes.pop(name).kill()

    def kill_beacons(self) -> None:
        """Kill every beacon node that runs."""
        for pair in self.pairs:
            if pair.beacon in self._processes:
                self.kill(pair.beacon)

    def expect_running(self) -> None:
        """Raise StakewatchError with the end of the log when a process has ended that was not killed."""
        for process in self._processes.values():
            process.expect_running()

    def connect_beacons(self) -> None:
        """Make the first beacon node a peer of all others; needed again after each restart of a beacon node.

        Discovery on loopback does not connect, so each is told the address through Lodestar's own API.
        """
        first, *others = self.pairs
        identity = requests.get(f"{first.beacon_url}/eth/v1/node/identity", timeout=_REQUEST_SECONDS)
        identity.raise_for_status()
        peer = {
            "peerId": identity.json()["data"]["peer_id"],
            "multiaddr": f"/ip4/{_LOOPBACK}/tcp/{first.beacon_peers}",
        }
        for pair in others:
            answer = requests.post(
                f"{pair.beacon_url}/eth/v1/lodestar/connect_peer", params=peer, timeout=_REQUEST_SECONDS
            )
            answer.raise_for_status()

    def clock_slot(self) -> int:
        """Slot that the clock says it is; negative before genesis."""
        return int((time.time() - self.genesis_time) // SECONDS_PER_SLOT)

    def _wait_for(self, name: str) -> None:
        pair = next(pair for pair in self.pairs if name.endswith(f"-{pair.number}"))
        url = {
            pair.execution: pair.execution_url,
            pair.beacon: f"{pair.beacon_url}/eth/v1/node/version",
            pair.validators: f"http://{_LOOPBACK}:{pair.validator_metrics}/metrics",
        }[name]
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(url):
            self._processes[name].expect_running()
            if time.monotonic() > deadline:
                raise StakewatchError(
                    f"{name} does not answer {url} after {_START_SECONDS:.0f} s; the end of its log:\n"
                    f"{tail(self._log(name))}",
                    where=str(self._log(name)),
                )
            time.sleep(0.1)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextmanager
def devnet(folder: Path, key_counts: tuple[int, ...], say: Say) -> Iterator[Devnet]:
    """Start a chain below `folder` with one pair for each number of keys; stop everything at the end.

    The keys are the well-known interop keys in order: the first pair holds the first `key_counts[0]`.
    Returns when all processes answer, a few seconds before genesis.
    """
    started = time.monotonic()
    folder.mkdir(parents=True)
    pairs = _pairs(key_counts)
    (folder / "jwt.hex").write_text(secrets.token_hex(32), encoding="ascii")
    with ExitStack() as stack:
        commands = {name: command for pair in pairs for name, command in _commands(folder, pair).items()}
        chain = Devnet(folder, 0, pairs, say, commands, stack)
        for pair in pairs:
            _prepare_execution(folder, pair, pairs)
        chain.start(*(pair.execution for pair in pairs))
        say(f"{len(pairs)} Geth nodes are up; writing the genesis state of {sum(key_counts)} validators")
        delay = GENESIS_DELAY_SECONDS + GENESIS_DELAY_FACTOR * (time.monotonic() - started)
        chain.genesis_time = int(time.time() + delay)
        _write_genesis(folder, chain.genesis_time, pairs[0], sum(key_counts))
        wait = chain.genesis_time - time.time()
        say(f"genesis in {wait:.0f} s; starting Lodestar's beacon nodes and validator clients")
        try:
            chain.start(*(pair.beacon for pair in pairs))
            chain.connect_beacons()
            chain.start(*(pair.validators for pair in pairs))
            yield chain
        finally:
            # A beacon node of this version does not end on SIGTERM, and waiting for it costs 10 seconds each.
            chain.kill_beacons()


def _pairs(key_counts: tuple[int, ...]) -> tuple[Pair, ...]:
    pairs = []
    first = 0
    for number, count in enumerate(key_counts, start=1):
        pairs.append(
            Pair(
                number,
                range(first, first + count),
                "0x" + f"{0xFEE0 + number:040x}",
                PrivateKey(bytes([0x30 + number]) * 32),
                *(free_port() for _ in range(8)),
            )
        )
        first += count
    return tuple(pairs)


def _prepare_execution(folder: Path, pair: Pair, pairs: tuple[Pair, ...]) -> None:
    genesis = folder / "execution-genesis.json"
    genesis.write_text(json.dumps(_execution_genesis()), encoding="utf-8")
    peers = [other.enode for other in pairs if other is not pair]
    # Only the file can bind the peer port to loopback: the flag --port listens on all interfaces.
    (folder / f"{pair.execution}.toml").write_text(
        f'[Node.P2P]\nListenAddr = "{_LOOPBACK}:{pair.execution_peers}"\nNoDiscovery = true\nMaxPeers = 5\n'
        f"StaticNodes = {json.dumps(peers)}\n",
        encoding="utf-8",
    )
    command: list[str | Path] = [
        locate("geth").path,
        "init",
        "--datadir",
        folder / pair.execution,
        *_STORAGE,
        genesis,
    ]
    _run(command, folder / f"{pair.execution}-init.log")


_STORAGE = ("--db.engine", "leveldb", "--state.scheme", "hash")


def _execution_genesis() -> dict[str, Any]:
    forks = (
        "homestead eip150 eip155 eip158 byzantium constantinople petersburg istanbul muirGlacier berlin "
        "london arrowGlacier grayGlacier mergeNetsplit"
    )
    zero = "0x" + "00" * 32
    return {
        "config": {
            "chainId": CHAIN_ID,
            **{f"{fork}Block": 0 for fork in forks.split()},
            "terminalTotalDifficulty": 0,
            "terminalTotalDifficultyPassed": True,
            "shanghaiTime": 0,
        },
        "nonce": "0x0",
        "timestamp": "0x0",
        "extraData": "0x",
        "gasLimit": "0x1c9c380",
        "difficulty": "0x0",
        "mixHash": zero,
        "coinbase": "0x" + "00" * 20,
        "alloc": {ACCOUNT.address: {"balance": hex(10**24)}},
        "number": "0x0",
        "gasUsed": "0x0",
        "parentHash": zero,
        "baseFeePerGas": hex(10**9),
    }


def _write_genesis(folder: Path, genesis_time: int, pair: Pair, validators: int) -> None:
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x0", False]}
    block = requests.post(pair.execution_url, json=question, timeout=_REQUEST_SECONDS).json()["result"]
    _run(
        [
            locate("node").path,
            _GENESIS_SCRIPT,
            locate("lodestar").path.parents[3],
            folder,
            str(genesis_time),
            block["hash"],
            str(SECONDS_PER_SLOT),
            str(validators),
        ],
        folder / "genesis.log",
    )


def _commands(folder: Path, pair: Pair) -> dict[str, tuple[str, ...]]:
    lodestar = (str(locate("node").path), str(locate("lodestar").path))
    execution = [
        *(str(locate("geth").path), "--config", str(folder / f"{pair.execution}.toml")),
        *("--datadir", str(folder / pair.execution), "--networkid", str(CHAIN_ID)),
        *("--nodekeyhex", pair.node_key.to_hex().removeprefix("0x"), "--nodiscover", "--nat", "none"),
        *("--syncmode", "full", "--gcmode", "archive", "--ipcdisable", "--cache", "64", *_STORAGE),
        *("--http", "--http.addr", _LOOPBACK, "--http.port", str(pair.execution_api)),
        *("--http.api", "eth,net,web3"),
        *("--authrpc.addr", _LOOPBACK, "--authrpc.port", str(pair.execution_engine)),
        *("--authrpc.jwtsecret", str(folder / "jwt.hex")),
        *("--metrics", "--metrics.addr", _LOOPBACK, "--metrics.port", str(pair.execution_metrics)),
    ]
    chain = ("--paramsFile", str(folder / "config.yaml"))
    beacon = [
        *(*lodestar, "beacon", "--dataDir", str(folder / pair.beacon), *chain),
        *("--genesisStateFile", str(folder / "genesis.ssz"), "--eth1", "false"),
        *("--execution.urls", f"http://{_LOOPBACK}:{pair.execution_engine}"),
        *("--jwt-secret", str(folder / "jwt.hex")),
        *("--rest.address", _LOOPBACK, "--rest.port", str(pair.beacon_api), "--rest.namespace", "*"),
        *("--metrics", "--metrics.address", _LOOPBACK, "--metrics.port", str(pair.beacon_metrics)),
        *("--listenAddress", _LOOPBACK, "--port", str(pair.beacon_peers), "--enr.ip", _LOOPBACK),
        *("--subscribeAllSubnets", "--sync.isSingleNode", "--network.allowPublishToZeroPeers"),
        *("--suggestedFeeRecipient", pair.fee_recipient),
    ]
    validators = [
        *(*lodestar, "validator", "--dataDir", str(folder / pair.validators), *chain),
        *("--interopIndexes", f"{pair.key_indices.start}..{pair.key_indices.stop - 1}"),
        *("--beaconNodes", pair.beacon_url, "--graffiti", pair.validators, "--force"),
        *("--metrics", "--metrics.address", _LOOPBACK, "--metrics.port", str(pair.validator_metrics)),
        *("--suggestedFeeRecipient", pair.fee_recipient),
    ]
    return {
        pair.execution: tuple(execution),
        pair.beacon: tuple(beacon),
        pair.validators: tuple(validators),
    }


def _environment() -> dict[str, str]:
    """Lodestar takes every variable LODESTAR_* for a flag and ends on one that it does not know."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LODESTAR_")}
    return {**inherited, "LODESTAR_PRESET": "minimal"}


def _run(command: list[str | Path], log: Path) -> None:
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            timeout=_START_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        program = Path(command[0]).name
        raise StakewatchError(
            f"{program} ended with exit code {done.returncode}; the end of its log:\n{tail(log)}",
            where=str(log),
        )


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=_REQUEST_SECONDS).ok
    except requests.RequestException:  # not up yet; the caller's deadline ends this
        return False
