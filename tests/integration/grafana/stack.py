"""The demo's simulated fleet, the real exporter, and a real Prometheus and Alertmanager with our rules."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import requests
import yaml

from stakewatch.programs import servers
from stakewatch.programs.process import Process, free_port
from stakewatch.rules.scaling import scale_rule_files
from stakewatch.simulator.plan import DEMO, BeaconNode, ExecutionNode

from . import kubernetes

ROOT = Path(__file__).parents[3]
# The demo's fleet, and a pair of the implementations that it lacks.
PLAN = msgspec.structs.replace(
    DEMO,
    beacon_nodes=(*DEMO.beacon_nodes, BeaconNode("beacon-5", "lodestar", "execution-5", "machine-3")),
    execution_nodes=(*DEMO.execution_nodes, ExecutionNode("execution-5", "besu", "machine-3")),
)
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


@dataclass(frozen=True)
class Stack:
    """The Prometheus that watches everything, itself included, and the address of the simulator's switch."""

    prometheus: servers.Prometheus
    control: str

    def break_something(self, fault: str, **arguments: object) -> None:
        """Switch a fault on in the simulator."""
        requests.post(f"{self.control}/faults/{fault}", json=arguments, timeout=5).raise_for_status()


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """Run everything in `folder`."""
    with ExitStack() as stack:
        plan = folder / "plan.yaml"
        plan.write_text(yaml.safe_dump(msgspec.to_builtins(PLAN)), encoding="utf-8")
        simulator_log = folder / "simulator.log"
        stack.enter_context(
            Process.start(
                [sys.executable, "-m", "stakewatch.simulator", "--plan", plan, "--folder", folder],
                log=simulator_log,
            )
        )
        _wait_for(lambda: '"ready"' in simulator_log.read_text(encoding="utf-8"), simulator_log)
        ready = next(
            line for line in simulator_log.read_text(encoding="utf-8").splitlines() if '"ready"' in line
        )
        kubernetes_address = stack.enter_context(kubernetes.serving(PLAN))
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
                _configuration(
                    json.loads((folder / "targets.json").read_text(encoding="utf-8")),
                    exporter,
                    alertmanager.url.removeprefix("http://"),
                    f"127.0.0.1:{prometheus_port}",
                    kubernetes_address,
                )
            ),
            encoding="utf-8",
        )
        prometheus = stack.enter_context(servers.prometheus(path, folder, port=prometheus_port))
        yield Stack(prometheus, str(json.loads(ready)["control"]))


def _configuration(
    fleet: object, exporter: str, alertmanager: str, prometheus: str, kube_state_metrics: str
) -> dict[str, object]:
    platform = {
        "prometheus": prometheus,
        "alertmanager": alertmanager,
        "kube-state-metrics": kube_state_metrics,
    }
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            # Files with targets are looked at only 5 seconds after the start.
            {"job_name": "fleet", "static_configs": fleet},
            {
                "job_name": "exporter",
                "honor_labels": True,
                "static_configs": [{"targets": [exporter], "labels": dict(EXPORTER)}],
            },
            *(
                {
                    "job_name": name,
                    "honor_labels": True,
                    "static_configs": [{"targets": [address], "labels": {**PLACE, "instance": name}}],
                }
                for name, address in platform.items()
            ),
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
