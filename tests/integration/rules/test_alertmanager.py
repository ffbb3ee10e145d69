"""Routes and inhibition, on the real amtool and a real Alertmanager."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import yaml

from stakewatch.programs.find import locate
from stakewatch.programs.servers import Alertmanager, alertmanager
from stakewatch.rules.files import load_rule_files

REPOSITORY = Path(__file__).parents[3]
CONFIGURATION = REPOSITORY / "alertmanager" / "alertmanager.yaml"
ALERTS = [rule for rule_file in load_rule_files(REPOSITORY / "rules") for rule in rule_file.alerts]

Labels = Mapping[str, str]

DOWN = {
    "alertname": "BeaconNodeDown",
    "severity": "critical",
    "area": "beacon",
    "cluster": "eks-1",
    "network": "mainnet",
    "instance": "beacon-1",
    "beacon_node": "beacon-1",
}
EXECUTION_DOWN = {
    "alertname": "ExecutionNodeDown",
    "severity": "critical",
    "area": "execution",
    "cluster": "eks-1",
    "network": "mainnet",
    "instance": "execution-1",
}
GROUP = {
    "alertname": "ValidatorGroupNotEarning",
    "severity": "critical",
    "area": "validators",
    "network": "mainnet",
    "group": "alpha",
    "beacon_node": "beacon-1",
}
KEY = {**GROUP, "alertname": "ValidatorBalanceNotGrowing", "severity": "warning", "pubkey": "0x11"}
PEERS = {**DOWN, "alertname": "BeaconNodePeersLow", "severity": "warning"}
MEMORY = {
    "alertname": "ContainerMemoryHigh",
    "severity": "warning",
    "area": "resources",
    "cluster": "eks-1",
    "instance": "beacon-1",
    "pod": "beacon-1-0",
}


def without(labels: Labels, name: str) -> Labels:
    return {key: value for key, value in labels.items() if key != name}


@pytest.mark.parametrize("alert", [rule.name for rule in ALERTS])
def test_every_alert_goes_to_the_receiver_of_its_severity(alert: str) -> None:
    rule = next(rule for rule in ALERTS if rule.name == alert)
    receivers = {"critical": "pager", "warning": "tickets", "info": "journal"}
    expected = "heartbeat" if alert == "Watchdog" else receivers[rule.labels["severity"]]
    labels = [
        f"alertname={alert}",
        *(f"{name}={text}" for name, text in rule.labels.items() if "{{" not in text),
    ]
    done = subprocess.run(
        [
            locate("amtool").path,
            "config",
            "routes",
            "test",
            f"--config.file={CONFIGURATION}",
            f"--verify.receivers={expected}",
            *labels,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_accepted_and_names_no_address() -> None:
    done = subprocess.run(
        [locate("amtool").path, "check-config", CONFIGURATION], capture_output=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    for receiver in yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))["receivers"]:
        for webhook in receiver["webhook_configs"]:
            assert "url" not in webhook
            assert webhook["url_file"].startswith("/etc/alertmanager/secrets/")


def test_an_address_is_read_from_its_file_when_a_notification_is_sent(tmp_path: Path) -> None:
    arrived: queue.Queue[str] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            arrived.put(content["receiver"])
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    configuration = tmp_path / "alertmanager.yaml"
    text = CONFIGURATION.read_text(encoding="utf-8").replace("group_wait: 10s", "group_wait: 0s")
    configuration.write_text(text.replace("/etc/alertmanager", str(tmp_path)), encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    webhook = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{webhook.server_port}/"
    (tmp_path / "secrets" / "pager_url").write_text(address, encoding="utf-8")
    thread = threading.Thread(target=webhook.serve_forever, daemon=True)
    thread.start()
    try:
        with alertmanager(configuration, tmp_path / "data") as server:
            sent = requests.post(f"{server.url}/api/v2/alerts", json=[{"labels": DOWN}], timeout=5)
            sent.raise_for_status()
            assert arrived.get(timeout=20) == "pager"
    finally:
        webhook.shutdown()
        webhook.server_close()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder = tmp_path_factory.mktemp("alertmanager")
    with alertmanager(CONFIGURATION, folder) as running:
        yield running


def states(server: Alertmanager, *sent: Labels) -> list[str]:
    """Send alerts of a scenario, told from others by a label of their own, and return their states."""
    scenario = str(time.monotonic_ns())
    marked = [{**labels, "scenario": scenario} for labels in sent]
    answer = requests.post(
        f"{server.url}/api/v2/alerts", json=[{"labels": dict(labels)} for labels in marked], timeout=5
    )
    answer.raise_for_status()
    deadline = time.monotonic() + 10
    found: dict[str, str] = {}
    while time.monotonic() < deadline:
        alerts = [alert for alert in server.alerts() if alert.labels.get("scenario") == scenario]
        found = {repr(sorted(alert.labels.items())): alert.state for alert in alerts}
        if len(found) == len(sent) and "unprocessed" not in found.values():
            break
        time.sleep(0.1)
    _end(server, marked)
    return [found[repr(sorted(labels.items()))] for labels in marked]


def _end(server: Alertmanager, sent: list[dict[str, str]]) -> None:
    """End the alerts, so that they inhibit nothing of the next scenario."""
    ended = [{"labels": labels, "endsAt": "2020-01-01T00:00:00Z"} for labels in sent]
    requests.post(f"{server.url}/api/v2/alerts", json=ended, timeout=5).raise_for_status()
    deadline = time.monotonic() + 10
    while server.alerts() and time.monotonic() < deadline:
        time.sleep(0.1)


@pytest.mark.parametrize("symptom", [GROUP, KEY])
def test_a_dead_beacon_node_silences_the_symptoms_of_its_validators(
    server: Alertmanager, symptom: Labels
) -> None:
    assert states(server, DOWN, symptom) == ["active", "suppressed"]


@pytest.mark.parametrize(
    "other",
    [
        {**GROUP, "beacon_node": "beacon-2"},
        without(GROUP, "beacon_node"),
        {**GROUP, "network": "hoodi"},
        {**GROUP, "alertname": "ValidatorSlashed", "area": "slashing"},
        {
            **KEY,
            "alertname": "DuplicateValidatorKey",
            "area": "slashing",
            "instance": "beacon-1",
            "cluster": "eks-1",
        },
        {"alertname": "Watchdog", "severity": "info", "area": "monitoring"},
    ],
)
def test_a_dead_beacon_node_silences_nothing_else(server: Alertmanager, other: Labels) -> None:
    assert states(server, DOWN, other) == ["active", "active"]


def test_few_peers_are_no_reason_to_silence_validators(server: Alertmanager) -> None:
    assert states(server, PEERS, GROUP) == ["active", "active"]


@pytest.mark.parametrize("symptom", [PEERS, MEMORY])
def test_a_node_that_is_down_silences_its_other_alerts(server: Alertmanager, symptom: Labels) -> None:
    assert states(server, DOWN, symptom) == ["active", "suppressed"]


def test_an_execution_node_that_is_down_silences_its_own_alerts_only(server: Alertmanager) -> None:
    own = {**EXECUTION_DOWN, "alertname": "ExecutionPeersLow", "severity": "warning"}
    other = {**own, "instance": "execution-2"}
    assert states(server, EXECUTION_DOWN, own, other) == ["active", "suppressed", "active"]


@pytest.mark.parametrize(
    "other",
    [
        {**PEERS, "instance": "beacon-2", "beacon_node": "beacon-2"},
        {**PEERS, "cluster": "eks-2"},
        without(MEMORY, "instance"),
        {**DOWN, "alertname": "ExecutionNodeDown", "area": "execution"},
    ],
)
def test_a_node_that_is_down_silences_no_other_node(server: Alertmanager, other: Labels) -> None:
    assert states(server, DOWN, other) == ["active", "active"]
