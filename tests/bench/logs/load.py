"""A fleet's logs at a rate that hurts, through a shipper that is killed and a Loki that is restarted."""

import hashlib
import itertools
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from stakewatch.errors import StakewatchError
from stakewatch.logs.loki_api import find_lines
from stakewatch.programs.log_servers import Loki
from stakewatch.programs.process import Process
from tests.bench.logs.shipping import rfc3339, wait_for
from tests.bench.logs.stack import Stack

NODES = 60
KEYS = 10_000
_BATCHES_PER_SECOND = 10
_SELECTOR = '{implementation=~".+"}'
_SEQUENCE = re.compile(r"\bsequence=(\d+)")
# What is late is not lost: on a busy machine a shipper is behind for long.
_CATCH_UP_SECONDS = 1500.0
# All that was read is delivered when nothing more came for so long.
_DELIVERY_SECONDS = 10.0
_NEW_KEYS_SECONDS = 60.0
# Level, a number, a key.
_LINES = {
    "geth": "{0} [11-21|11:34:47.113] Imported new potential chain segment   number={1} hash=9d1bd9..cd5ada "
    "blocks=1 txs=112 mgas=14.002 elapsed=163.769ms mgasps=85.502 triediffs=1.41MiB triedirty=0.00B",
    "lighthouse": "Nov 21 11:34:47.113 {0} New block received                      root: {2}, slot: {1}",
    "teku": "2026-11-21 11:34:47.113+00:00 | validator-async-3 | {0}  | teku-validator-log | Validator   *** "
    "Published attestation        Count: 1, Slot: {1}, Validators: {2}",
    "reth": "2026-11-21T11:34:47.113Z  {0} reth_node_events::node: Block added to canonical chain number={1} "
    "hash={2} peers=94 txs=112 gas_used=14.00Mgas elapsed=163.769ms",
}
_RESTART_SECONDS = 5.0


@dataclass(frozen=True)
class Node:
    """One process of the fleet, and the file that it logs to."""

    instance: str
    role: str
    implementation: str
    path: Path


@dataclass(frozen=True)
class Outcome:
    """What became of the lines; memory is the most that the shipper ever had, in bytes.

    `catch_up_seconds` passed from the last line written until the shipper had read them all.
    """

    written: int
    lost: int
    duplicates: int
    streams: int
    streams_of_new_keys: int
    shipper_bytes: int
    shipper_cpu_seconds: float
    seconds: float
    catch_up_seconds: float

    @property
    def lines_per_second(self) -> float:
        """How many lines were written in a second, in the mean."""
        return self.written / self.seconds


@dataclass
class Shipper:
    """Promtail, which may be killed and started again; remembers the most memory that it had."""

    stack: Stack
    _running: ExitStack
    _process: Process
    most_bytes: int = 0
    _ended_cpu_seconds: float = 0.0

    @classmethod
    def start(cls, stack: Stack) -> "Shipper":
        """Start it for the first time."""
        running = ExitStack()
        return cls(stack, running, running.enter_context(stack.promtail()).process)

    def look(self) -> None:
        """Note how much memory it has had."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, flags=re.MULTILINE)
        self.most_bytes = max(self.most_bytes, int(kibibytes) * 1024)

    @property
    def cpu_seconds(self) -> float:
        """How much time of processors it has had, those that were killed too."""
        # The name of the process, in parentheses, may hold anything.
        _, _, rest = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")
        user, system = rest.split()[11:13]
        return self._ended_cpu_seconds + (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def crash(self) -> None:
        """Kill it as a machine without memory would."""
        self.look()
        self._ended_cpu_seconds = self.cpu_seconds
        self._process.kill()
        self._running.close()

    def start_again(self) -> None:
        """Start it where its positions say."""
        self._running = ExitStack()
        self._process = self._running.enter_context(self.stack.promtail()).process

    def stop(self) -> None:
        """End it in good order."""
        self.look()
        self._running.close()


def fleet(stack: Stack) -> tuple[Node, ...]:
    """Return the nodes, with empty log files that the shipper knows."""
    kinds = itertools.cycle(
        [("execution", "geth"), ("beacon", "lighthouse"), ("validator", "teku"), ("execution", "reth")]
    )
    nodes = []
    for number, (role, implementation) in zip(range(NODES), kinds, strict=False):
        instance = f"{implementation}-{number}"
        labels = {"cluster": "eks-1", "region": "eu-west-1", "network": "mainnet"}
        labels |= {"role": role, "implementation": implementation, "instance": instance}
        path = stack.log_file(instance, labels, runtime="cri")
        nodes.append(Node(instance, role, implementation, path))
    return tuple(nodes)


def _line(node: Node, sequence: int) -> str:
    """Return a line such as the node's program writes; one in a hundred is a warning."""
    level = "WARN" if sequence % 100 == 0 else "INFO"
    return f"{_LINES[node.implementation].format(level, sequence, key(sequence % KEYS))} sequence={sequence}"


def run(stack: Stack, lines_per_second: int, seconds: float) -> Outcome:
    """Write lines for so long; a third in, Loki is restarted, two thirds in, the shipper is killed."""
    nodes = fleet(stack)
    sequences = [itertools.count() for _ in nodes]
    start_ns = time.time_ns()
    with ExitStack() as running:
        loki_running = running.enter_context(ExitStack())
        loki = loki_running.enter_context(stack.loki())
        shipper = Shipper.start(stack)
        running.callback(shipper.stop)
        write = partial(_write, nodes, sequences, lines_per_second)
        lasted = write(seconds / 3, shipper)
        # Lines go on being written while it is away.
        loki_running.close()
        lasted += write(_RESTART_SECONDS, shipper)
        loki = running.enter_context(stack.loki())
        lasted += write(seconds / 3, shipper)
        shipper.crash()
        lasted += write(_RESTART_SECONDS, None)
        shipper.start_again()
        lasted += write(seconds / 3 - 2 * _RESTART_SECONDS, shipper)
        written = [next(sequence) for sequence in sequences]
        caught_up = _wait_until_read(stack, nodes)
        total, before = _total(loki, nodes, start_ns), 0
        while total != before:
            time.sleep(_DELIVERY_SECONDS)
            total, before = _total(loki, nodes, start_ns), total
        cpu_seconds = shipper.cpu_seconds
        distinct = [
            _distinct(stack, node, start_ns, count) for node, count in zip(nodes, written, strict=True)
        ]
        streams = len(loki.streams(_SELECTOR, start_ns))
        _write_new_keys(nodes)
        wanted = total + len(nodes)
        wait_for(lambda: _total(loki, nodes, start_ns), lambda now: now >= wanted, _NEW_KEYS_SECONDS, 2.0)
        shipper.look()
        return Outcome(
            written=sum(written),
            lost=sum(written) - sum(distinct),
            duplicates=total - sum(distinct),
            streams=streams,
            streams_of_new_keys=len(loki.streams(_SELECTOR, start_ns)) - streams,
            shipper_bytes=shipper.most_bytes,
            shipper_cpu_seconds=cpu_seconds,
            seconds=lasted,
            catch_up_seconds=caught_up,
        )


def _write(
    nodes: Sequence[Node],
    sequences: Sequence[Iterator[int]],
    lines_per_second: int,
    seconds: float,
    shipper: Shipper | None,
) -> float:
    """Write lines at this rate, all nodes in turn, and look after the shipper; return the seconds it took."""
    batch = lines_per_second // _BATCHES_PER_SECOND
    started = time.monotonic()
    with ExitStack() as open_files:
        files = [open_files.enter_context(node.path.open("a", encoding="utf-8")) for node in nodes]
        position = 0
        for number in range(round(seconds * _BATCHES_PER_SECOND)):
            stamp = time.time_ns()
            for offset in range(batch):
                which = position % len(nodes)
                position += 1
                # No two lines of one process have one time, as in a runtime that counts nanoseconds.
                text = _line(nodes[which], next(sequences[which]))
                files[which].write(f"{rfc3339(stamp + offset)} stderr F {text}\n")
            for file in files:
                file.flush()
            if shipper is not None and number % _BATCHES_PER_SECOND == 0:
                shipper.look()
            time.sleep(max(0.0, started + (number + 1) / _BATCHES_PER_SECOND - time.monotonic()))
    return time.monotonic() - started


def _wait_until_read(stack: Stack, nodes: Sequence[Node]) -> float:
    """Wait until the shipper has read all files to their ends; return the seconds it took.

    Raises StakewatchError when it is still behind after 25 minutes: what it has not read yet is not lost.
    """
    started = time.monotonic()
    sizes = {str(node.path): node.path.stat().st_size for node in nodes}

    def behind() -> int:
        noted = yaml.safe_load(stack.positions.read_text(encoding="utf-8"))["positions"]
        return sum(size - int(noted.get(path, 0)) for path, size in sizes.items())

    left = wait_for(behind, lambda now: now == 0, _CATCH_UP_SECONDS, 1.0)
    if left:
        raise StakewatchError(
            f"the shipper is {left} bytes behind, {_CATCH_UP_SECONDS:g} s after the last line was written",
            mend="measure on a machine that does nothing else, or at a lower --rate",
        )
    return time.monotonic() - started


def _write_new_keys(nodes: Sequence[Node]) -> None:
    """Write a line with a key that was never seen, in every log."""
    for number, node in enumerate(nodes):
        line = _line(node, KEYS * 1000 + number)
        with node.path.open("a", encoding="utf-8") as file:
            file.write(f"{rfc3339(time.time_ns())} stderr F {line} pubkey={key(KEYS + number)}\n")


def key(number: int) -> str:
    """Return a public key, always the same of one number."""
    return f"0x{hashlib.sha384(str(number).encode()).hexdigest()}"


def _total(loki: Loki, nodes: Sequence[Node], start_ns: int) -> int:
    """Return how many lines there are, asked node by node: one query over all of them takes too long."""
    return sum(loki.count(f'{{instance="{node.instance}"}}', start_ns) for node in nodes)


def _distinct(stack: Stack, node: Node, start_ns: int, written: int) -> int:
    """Return how many of a node's lines are there at least once, each told by its number."""
    query = f'{{instance="{node.instance}"}}'
    found = find_lines(stack.address, query, start_ns, time.time_ns(), written * 3)
    numbers = {int(match[1]) for line in found.lines if (match := _SEQUENCE.search(line.text))}
    return len(numbers & set(range(written)))
