"""The simulator as a process: starts, says so, obeys its control API, stops at a signal, costs little."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from stakewatch.programs.process import Process

READY_SECONDS = 20.0


@dataclass(frozen=True)
class Running:
    """A simulator process, its folder and the address of its control API."""

    process: Process
    folder: Path
    control: str

    def truth(self) -> dict[str, object]:
        answer = requests.get(f"{self.control}/truth", timeout=5)
        answer.raise_for_status()
        content = answer.json()
        assert isinstance(content, dict)
        return content


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Running]:
    log = tmp_path / "simulator.log"
    with Process.start(
        [sys.executable, "-m", "stakewatch.simulator", "--plan", "demo", "--folder", tmp_path], log=log
    ) as process:
        deadline = time.monotonic() + READY_SECONDS
        while "\n" not in (text := log.read_text(encoding="utf-8")):
            process.expect_running()
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        ready = json.loads(text.splitlines()[0])
        assert ready["ready"] is True
        assert Path(ready["configuration"]) == tmp_path / "stakewatch.yaml"
        assert Path(ready["targets"]) == tmp_path / "targets.json"
        yield Running(process, tmp_path, ready["control"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_a_second_of_a_signal_although_a_node_hangs(
    simulator: Running, number: signal.Signals
) -> None:
    injected = requests.post(f"{simulator.control}/faults/hang", json={"instance": "beacon-1"}, timeout=5)
    assert injected.ok
    began = time.monotonic()
    os.kill(simulator.process.pid, number)
    assert simulator.process.wait(5) == 0
    assert time.monotonic() - began < 1
    assert len((simulator.folder / "simulator.log").read_text(encoding="utf-8").splitlines()) == 1


def test_the_control_api_injects_tells_and_clears(simulator: Running) -> None:
    control = simulator.control
    injected = requests.post(f"{control}/faults/down", json={"instance": "beacon-2"}, timeout=5)
    assert injected.json()["injected"]["target"] == "beacon-2"
    time.sleep(1.5)
    truth = simulator.truth()
    assert truth["validator_clients"] == {
        "validators-1": {"beacon_in_use": "beacon-1"},
        "validators-2": {"beacon_in_use": None},
        "validators-3": {"beacon_in_use": "beacon-3"},
    }
    groups = truth["groups"]
    assert isinstance(groups, dict)
    assert {name: group["offline"] for name, group in groups.items()} == {
        "alpha": 0,
        "bravo": 0,
        "charlie": 300,
        "delta": 0,
        "echo": 0,
    }
    listed = requests.get(f"{control}/faults", timeout=5).json()
    assert [fault["name"] for fault in listed["active"]] == ["down"]
    assert {"down", "hang", "keys_offline", "withdrawal_sweep"} <= {kind["name"] for kind in listed["kinds"]}
    cleared = requests.delete(f"{control}/faults", timeout=5).json()["cleared"]
    assert [fault["name"] for fault in cleared] == ["down"]
    assert simulator.truth()["faults"] == []


def test_the_control_api_refuses_nonsense_and_foreign_pages(simulator: Running) -> None:
    control = simulator.control
    for path, content in (
        ("/faults/meltdown", {}),
        ("/faults/down", {"instance": "nobody"}),
        ("/faults/few_peers", {"instance": "beacon-1", "count": "many"}),
        ("/faults/down", [1, 2]),
        ("/faults/down", {"instance": "beacon-1", "name": "hang"}),
        ("/faults/down", {"instance": "beacon-1", "self": 1}),
    ):
        answer = requests.post(control + path, json=content, timeout=5)
        assert answer.status_code == 400
        assert answer.json()["error"]
    page = requests.post(f"{control}/faults/hang", data='{"instance": "beacon-1"}', timeout=5)
    assert page.status_code == 400
    rebound = requests.get(f"{control}/truth", headers={"Host": "evil.example"}, timeout=5)
    assert rebound.status_code == 403
    assert requests.get(f"{control}/none", timeout=5).status_code == 404
    assert simulator.truth()["faults"] == []


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_scraped_each_second_it_takes_less_than_a_third_of_a_core(simulator: Running) -> None:
    targets = json.loads((simulator.folder / "targets.json").read_text(encoding="utf-8"))
    addresses = [
        f"http://{target['targets'][0]}{target['labels'].get('__metrics_path__', '/metrics')}"
        for target in targets
    ]
    assert len(addresses) == 15
    before, began = cpu_seconds(simulator.process.pid), time.monotonic()
    with requests.Session() as session:
        for second in range(5):
            for address in addresses:
                assert session.get(address, timeout=5).ok
            time.sleep(max(0.0, began + second + 1 - time.monotonic()))
    used = (cpu_seconds(simulator.process.pid) - before) / (time.monotonic() - began)
    assert used < 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "nowhere.yaml", "--folder", "."], "the plan cannot be read"),
        (["--plan", "demo", "--folder", "nowhere"], "no such folder"),
        (["--plan", "demo"], "--folder"),
    ],
)
def test_wrong_arguments_end_with_2_and_one_message(arguments: list[str], message: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "stakewatch.simulator", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
