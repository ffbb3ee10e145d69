"""Lines of 89 and of 91 days ago: which of them Loki still has when its compactor has been there."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from stakewatch.logs.loki_api import find_lines
from stakewatch.logs.trace import SECOND
from stakewatch.programs.log_servers import Line
from tests.bench.logs.shipping import wait_for
from tests.bench.logs.stack import Stack

_DAY = 86_400 * SECOND
_AGES = (89, 91)
# The 90 days stay as they are in loki.yaml; what they wait for goes faster, and queries may look further.
_QUICK_COMPACTOR = {
    "compaction_interval": "2s",
    "apply_retention_interval": "2s",
    "retention_delete_delay": "1s",
}
QUICK = {
    "limits_config": {"max_query_lookback": "0s", "max_query_length": "0s"},
    "ingester": {"flush_check_period": "1s", "flush_op_timeout": "10s"},
    "compactor": _QUICK_COMPACTOR,
    "storage_config": {"tsdb_shipper": {"resync_interval": "1s", "cache_ttl": "1m"}},
    "query_range": {"cache_results": False},
}


@dataclass(frozen=True)
class Kept:
    """The ages in days of the lines that Loki had at first, and that it had in the end."""

    at_first: tuple[int, ...]
    in_the_end: tuple[int, ...]


def kept(stack: Stack, seconds: float) -> Kept:
    """Write a line of each age, wait until the compactor has been there, and say what the store has."""
    now = time.time_ns()
    with stack.loki(QUICK) as loki:
        loki.push([Line(_labels(age), now - age * _DAY, f"{age} days ago") for age in _AGES])
        loki.flush()
        at_first = wait_for(lambda: _found(stack, now), lambda ages: len(ages) == len(_AGES), seconds)
    # A Loki that stops has written all that it had to the store: the compactor looks only there.
    tables = stack.folder / "loki" / "chunks" / "index"
    with stack.loki(QUICK):
        wait_for(lambda: _days(tables), lambda days: len(days) < len(_AGES), seconds)
    # What this machine still has of its own would answer too: only the store counts.
    for name in ("tsdb-shipper-active", "tsdb-shipper-cache", "wal"):
        shutil.rmtree(stack.folder / "loki" / name, ignore_errors=True)
    with stack.loki(QUICK):
        return Kept(at_first, _found(stack, now))


def _days(tables: Path) -> set[str]:
    """Return the days, one index each, of which the store has any lines."""
    return {path.relative_to(tables).parts[0] for path in tables.glob("index_*/**/*.gz")}


def _labels(age: int) -> dict[str, str]:
    return {"role": "beacon", "implementation": "teku", "instance": f"teku-{age}", "level": "info"}


def _found(stack: Stack, now: int) -> tuple[int, ...]:
    """Return the ages of the lines that a query finds."""
    return tuple(
        age
        for age in _AGES
        if find_lines(
            stack.address,
            f'{{instance="teku-{age}"}}',
            now - age * _DAY - SECOND,
            now - age * _DAY + SECOND,
            10,
        ).lines
    )
