"""A real Prometheus that scrapes what a real Geth and a real node_exporter once said."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from stakewatch.programs.servers import Prometheus, prometheus
from tests.unit.grafana.serving import serving

ROOT = Path(__file__).parents[3]
SAMPLES = {"geth": "geth-1.17.prom", "machine": "node_exporter-1.5.prom"}
PLACE = {"cluster": "demo-1", "region": "eu-west-1"}
GETH = {
    **PLACE,
    "network": "demonet",
    "role": "execution",
    "implementation": "geth",
    "instance": "execution-1",
}
MACHINE = {**PLACE, "instance": "machine-1"}


@contextmanager
def scraping(
    folder: Path,
    geth: Mapping[str, str] = GETH,
    machine: Mapping[str, str] = MACHINE,
    rules: tuple[str, ...] = (),
) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped both, with these target labels, and has loaded these rules."""
    bodies = {f"/{name}": (ROOT / "tests/samples" / file).read_bytes() for name, file in SAMPLES.items()}
    with serving(lambda path, _: (200, bodies[path])) as samples:
        address = samples.url.removeprefix("http://")
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "5s"},
            "rule_files": list(rules),
            "scrape_configs": [
                {
                    "job_name": name,
                    "metrics_path": f"/{name}",
                    "static_configs": [{"targets": [address], "labels": dict(labels)}],
                }
                for name, labels in (("geth", geth), ("machine", machine))
            ],
        }
        path = folder / "prometheus.yaml"
        path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        with prometheus(path, folder) as server:
            deadline = time.monotonic() + 60
            # Three scrapes, so that there are rates.
            while len(server.query("count_over_time(up[1m]) >= 3")) < len(SAMPLES):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield server
