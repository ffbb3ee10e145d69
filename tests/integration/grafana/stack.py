"""The demo's simulated fleet, the real exporter, and a real Prometheus and Alertmanager with our rules."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
import yaml

from stakewatch.programs import servers
from stakewatch.programs.process import Process, free_port
from stakewatch.rules.scaling import scale_rule_files

ROOT = Path(__file__).parents[3]
# The plan's epochs take 8 seconds instead of 384.
SCALE = 8 / 384
PLACE: Mapping[str, str] = {"cluster": "demo-1", "region": "eu-west-1"}
EXPORTER: Mapping[str, str] = {
    **PLACE,
    "network": "demonet",
    "role": "exporter",
    "implementation": "stakewatch",
    "instance": "exporter-1",
}
_START_SECONDS = 30


@contextmanager
def running(folder: Path) -> Iterator[servers.Prometheus]:
    """Run everything in `folder`, and give the Prometheus that watches all of it, itself included."""
    with ExitStack() as stack:
        simulator_log = folder / "simulator.log"
        stack.enter_context(
            Process.start(
                [sys.executable, "-m", "stakewatch.simulator", "--plan", "demo", "--folder", folder],
                log=simulator_log,
            )
        )
        _wait_for(lambda: '"ready"' in simulator_log.read_text(encoding="utf-8"), simulator_log)
        port = free_port()
        exporter = f"127.0.0.1:{port}"
        program = Path(sys.executable).with_name("stakewatch-exporter")
        exporter_log = folder / "exporter.log"
        stack.enter_context(
            Process.start(
                [program, "--config", folder / "stakewatch.yaml", "--listen", exporter], log=exporter_log
            )
        )
        _wait_for(lambda: _answers(f"http://{exporter}/readyz"), exporter_log)
        alertmanager_file = folder / "alertmanager.yaml"
        nobody = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
        alertmanager_file.write_text(yaml.safe_dump(nobody), encoding="utf-8")
        alertmanager = stack.enter_context(servers.alertmanager(alertmanager_file, folder))
        scale_rule_files(ROOT / "rules", folder / "rules", SCALE, 3.0)
        prometheus_port = free_port()
        path = folder / "prometheus.yaml"
        path.write_text(
            yaml.safe_dump(
                _configuration(exporter, alertmanager.url.removeprefix("http://"), prometheus_port)
            ),
            encoding="utf-8",
        )
        yield stack.enter_context(servers.prometheus(path, folder, port=prometheus_port))


def _configuration(exporter: str, alertmanager: str, prometheus_port: int) -> dict[str, object]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": "fleet", "file_sd_configs": [{"files": ["targets.json"]}]},
            {
                "job_name": "exporter",
                "honor_labels": True,
                "static_configs": [{"targets": [exporter], "labels": dict(EXPORTER)}],
            },
            {
                "job_name": "prometheus",
                "static_configs": [
                    {
                        "targets": [f"127.0.0.1:{prometheus_port}"],
                        "labels": {**PLACE, "instance": "prometheus"},
                    }
                ],
            },
            {
                "job_name": "alertmanager",
                "static_configs": [
                    {"targets": [alertmanager], "labels": {**PLACE, "instance": "alertmanager"}}
                ],
            },
        ],
    }


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False


def _wait_for(ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.1)
