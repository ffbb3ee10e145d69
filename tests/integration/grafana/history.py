"""A Prometheus with a past: series written into its database before it starts."""

import math
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stakewatch.programs.find import locate
from stakewatch.programs.servers import Prometheus, prometheus

_PROMTOOL_SECONDS = 120


@dataclass(frozen=True)
class Past:
    """A series: its name, its labels, and its samples as (Unix seconds, value)."""

    name: str
    labels: Mapping[str, str]
    samples: Iterable[tuple[int, float]]


@contextmanager
def with_past(series: Iterable[Past], folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus in `folder` whose database has `series`, and that scrapes nothing."""
    written = folder / "past.txt"
    with written.open("w", encoding="utf-8") as file:
        for one in series:
            labels = ",".join(f'{name}="{value}"' for name, value in one.labels.items())
            file.writelines(
                f"{one.name}{{{labels}}} {value!r} {time}\n"
                for time, value in one.samples
                if not math.isnan(value)
            )
        file.write("# EOF\n")
    command = [str(locate("promtool").path), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    command += ["--max-block-duration=2400h", str(written), str(folder / "prometheus-data")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PROMTOOL_SECONDS)
    assert done.returncode == 0, done.stderr
    configuration = folder / "prometheus.yaml"
    configuration.write_text("scrape_configs: []\n", encoding="utf-8")
    with prometheus(configuration, folder, flags=("--storage.tsdb.retention.time=10y",)) as running:
        yield running
