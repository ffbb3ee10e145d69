"""A simulated process as its own metrics know it: since when it runs, what it uses, what it sees."""

import math
import zlib
from dataclasses import dataclass

from stakewatch.simulator.exposition import Family, counter, gauge
from stakewatch.simulator.views import View

GIB = 1024**3


@dataclass(frozen=True)
class Process:
    """One process at the time of a scrape; times in Unix seconds, memory in bytes, blocks since its start.

    `fresh_blocks` are the blocks that came since the last scrape, `reorganisations` those since the start.
    """

    instance: str
    implementation: str
    started: float
    now: float
    memory: float
    view: View
    blocks: int
    fresh_blocks: int
    reorganisations: int

    @property
    def uptime(self) -> float:
        """Seconds since its start."""
        return max(0.0, self.now - self.started)

    @property
    def cpu_seconds(self) -> float:
        """CPU time that it has used, at about a third of a core."""
        return self.uptime * (0.25 + self.fixed("cpu") * 0.2)

    def fixed(self, name: str) -> float:
        """Return a number from 0 to 1 that belongs to this process and a name for ever."""
        return zlib.crc32(f"{self.instance}/{name}".encode()) / 2**32

    def around(self, name: str, typical: float, spread: float = 0.2) -> float:
        """Return a number that moves slowly and smoothly around what is typical."""
        phase = self.fixed(name) * 2 * math.pi
        return typical * (1 + spread * math.sin(phase + self.now / (7 + 20 * self.fixed(name))))

    def own(self, name: str, typical: float) -> float:
        """Return what is typical of this process, for ever: sums of observations like that only grow."""
        return typical * (0.8 + 0.4 * self.fixed(name))

    def grown(self, name: str, per_second: float) -> int:
        """Return a count that has grown since the start at about that rate."""
        return int(self.uptime * per_second * (0.8 + 0.4 * self.fixed(name)))

    def standard(self, prefix: str = "", *, whole_seconds_gauge: bool = False) -> tuple[Family, ...]:
        """Return the process_* families; Lighthouse has CPU as a gauge of whole seconds and no files."""
        started = gauge(f"{prefix}process_start_time_seconds", round(self.started, 2))
        memory = gauge(f"{prefix}process_resident_memory_bytes", int(self.memory))
        name = f"{prefix}process_cpu_seconds_total"
        if whole_seconds_gauge:
            return started, memory, gauge(name, int(self.cpu_seconds))
        files = gauge(f"{prefix}process_open_fds", int(self.around("files", 300)))
        return started, memory, counter(name, round(self.cpu_seconds, 2)), files
