"""A real Prometheus scrapes the whole fleet, and our rules read what it got."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml

from stakewatch.programs.process import Process
from stakewatch.programs.servers import Prometheus, prometheus

RULES = Path(__file__).parents[3] / "rules"
SOON_SECONDS = 30.0


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Prometheus, str]]:
    log = tmp_path / "simulator.log"
    with Process.start(
        [sys.executable, "-m", "stakewatch.simulator", "--plan", "demo", "--folder", tmp_path], log=log
    ) as process:
        eventually(lambda: process.running and "ready" in log.read_text(encoding="utf-8"))
        control = json.loads(log.read_text(encoding="utf-8").splitlines()[0])["control"]
        configuration = tmp_path / "prometheus.yaml"
        configuration.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(RULES / "*.yaml")],
                    "scrape_configs": [
                        {"job_name": "fleet", "file_sd_configs": [{"files": ["targets.json"]}]}
                    ],
                }
            ),
            encoding="utf-8",
        )
        with prometheus(configuration, tmp_path) as server:
            yield server, control


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)


def values(server: Prometheus, expression: str, label: str) -> dict[str, float]:
    return {sample.labels.get(label, ""): sample.value for sample in server.query(expression)}


def test_every_target_is_scraped_and_rules_see_what_was_simulated(watched: tuple[Prometheus, str]) -> None:
    server, control = watched
    eventually(lambda: len(server.query("up == 1")) == 15)
    assert len(server.query("scrape_samples_post_metric_relabeling > 10")) == 15
    for role, count in {"beacon": 4, "execution": 4, "validator": 3}.items():
        assert len(server.query(f'up{{role="{role}", network="demonet", cluster="demo-1"}} == 1')) == count
    # Until all targets have answered once, the rule does not know which containers map their database.
    calm = "container:memory_used:ratio > 0.3 < 0.7"
    eventually(lambda: len(server.query(calm)) == len(server.query("container:memory_used:ratio")) == 11)

    for fault, arguments in (
        ("container_memory", {"instance": "execution-3", "ratio": 0.93}),
        ("machine_memory", {"machine": "machine-2", "ratio": 0.92}),
        ("few_peers", {"instance": "beacon-3", "count": 3}),
        ("down", {"instance": "validators-1"}),
    ):
        assert requests.post(f"{control}/faults/{fault}", json=arguments, timeout=5).ok

    def raised() -> set[str]:
        return {alert.name for alert in server.alerts() if alert.state == "pending"}

    expected = {"ContainerMemoryHigh", "NodeMemoryHigh", "BeaconNodePeersLow", "ValidatorClientDown"}
    eventually(lambda: expected <= raised())
    assert raised() == expected
    # A target that is down shows with its next scrape.
    eventually(lambda: values(server, "up == 0", "instance") == {"validators-1": 0})
    loud = values(server, "container:memory_used:ratio > 0.85", "pod")
    assert loud == {"execution-3-0": pytest.approx(0.93, abs=0.001)}
