"""Routes and inhibition, on the real amtool and a real Alertmanager."""

import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.programs.find import locate
from stakewatch.programs.servers import Alertmanager, alertmanager
from stakewatch.rules import routing_checks
from stakewatch.rules.files import load_rule_files
from stakewatch.rules.routing import routes_to_webhook

REPOSITORY = Path(__file__).parents[3]
CONFIGURATION = REPOSITORY / "alertmanager" / "alertmanager.yaml"
ALERTS = [rule for rule_file in load_rule_files(REPOSITORY / "rules") for rule in rule_file.alerts]

Labels = Mapping[str, str]
_SETTLED_SECONDS = 1.5


def without(labels: Labels, name: str) -> Labels:
    return {key: value for key, value in labels.items() if key != name}


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
    "execution_node": "execution-1",
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
SHARED = {
    "alertname": "SharedBeaconNodeFault",
    "severity": "critical",
    "area": "shared_beacon",
    "network": "mainnet",
    "beacon_node": "beacon-1",
}
STALLED = {**DOWN, "alertname": "BeaconNodeHeadStalled"}
PEERS = {**DOWN, "alertname": "BeaconNodePeersLow", "severity": "warning"}
OFFLINE = {**DOWN, "alertname": "BeaconNodeExecutionOffline", "execution_node": "execution-1"}
CLIENT_DOWN = {
    "alertname": "ValidatorClientDown",
    "severity": "critical",
    "area": "beacon",
    "cluster": "eks-1",
    "network": "mainnet",
    "instance": "validator-1",
    "validator_client": "validator-1",
    "beacon_node": "beacon-1",
}
CLIENT_WITHOUT = {
    "alertname": "ValidatorClientWithoutSyncedBeacon",
    "severity": "critical",
    "area": "beacon",
    "network": "mainnet",
    "validator_client": "validator-1",
    "beacon_node": "beacon-1",
}
FINALITY = {
    "alertname": "NetworkFinalityDelayed",
    "severity": "critical",
    "area": "network",
    "network": "mainnet",
}
BURN_FAST = {**GROUP, "alertname": "ValidatorAttestationBudgetBurnFast"}
BURN_SLOW = {**BURN_FAST, "alertname": "ValidatorAttestationBudgetBurnSlow", "severity": "warning"}
BELOW = {**GROUP, "alertname": "ValidatorGroupBelowNetwork", "severity": "warning"}
SLASHED = {
    **KEY,
    "alertname": "ValidatorSlashed",
    "severity": "critical",
    "area": "slashing",
    "cluster": "eks-1",
    "instance": "beacon-1",
}
SIGNER_DOWN = {
    "alertname": "RemoteSignerDown",
    "severity": "critical",
    "area": "signer",
    "cluster": "eks-1",
    "network": "mainnet",
    "instance": "signer-1",
}
SIGNING = {**CLIENT_DOWN, "alertname": "RemoteSigningFailing", "area": "signer"}
MEMORY = {
    "alertname": "ContainerMemoryHigh",
    "severity": "warning",
    "area": "resources",
    "cluster": "eks-1",
    "instance": "beacon-1",
    "namespace": "staking",
    "pod": "beacon-1-0",
    "container": "lighthouse",
}
MACHINE_MEMORY = {
    "alertname": "NodeMemoryHigh",
    "severity": "warning",
    "area": "resources",
    "cluster": "eks-1",
    "instance": "machine-1",
}
VOLUME = {
    "alertname": "VolumeAlmostFull",
    "severity": "warning",
    "area": "storage",
    "cluster": "eks-1",
    "namespace": "staking",
    "persistentvolumeclaim": "data-geth-0",
}
DISK = {
    **without(without(VOLUME, "namespace"), "persistentvolumeclaim"),
    "instance": "machine-1",
    "device": "/dev/nvme1n1",
}
EXPORTER_STALE = {
    "alertname": "ExporterDataStale",
    "severity": "critical",
    "area": "monitoring",
    "cluster": "eks-1",
    "network": "mainnet",
    "role": "exporter",
    "instance": "exporter-1",
}


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
    shutil.copytree(CONFIGURATION.parent / "templates", tmp_path / "templates")
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
            assert arrived.get(timeout=60) == "pager"
    finally:
        webhook.shutdown()
        webhook.server_close()
        thread.join()


def named(labels: Labels, alert: str, severity: str = "warning") -> Labels:
    return {**labels, "alertname": alert, "severity": severity}


SILENCED: tuple[tuple[Labels, ...], ...] = (
    # A beacon node's validators.
    (DOWN, GROUP),
    (DOWN, KEY),
    (DOWN, BURN_FAST),
    (DOWN, BELOW),
    (STALLED, GROUP),
    (SHARED, GROUP),
    (SHARED, BURN_SLOW),
    (SHARED, named(CLIENT_WITHOUT, "ValidatorClientApiErrors")),
    (DOWN, named(SHARED, "BeaconApiSlow")),
    (PEERS, named(PEERS, "BeaconNodeSubnetPeersLow")),
    # What the node shows itself says more.
    (DOWN, SHARED),
    (STALLED, SHARED),
    # An execution node's beacon node, and by it the validators.
    (EXECUTION_DOWN, OFFLINE),
    (EXECUTION_DOWN, named(OFFLINE, "BeaconNodeOptimistic")),
    (
        named(OFFLINE, "BeaconNodeHeadStalled", "critical"),
        named(EXECUTION_DOWN, "ExecutionHeadStalled", "critical"),
    ),
    ({**STALLED, "execution_node": "execution-1"}, named(EXECUTION_DOWN, "ExecutionHeadStalled")),
    # All else about a process that is down.
    (DOWN, PEERS),
    (DOWN, MEMORY),
    (EXECUTION_DOWN, named(EXECUTION_DOWN, "ExecutionPeersLow")),
    (CLIENT_DOWN, named(CLIENT_DOWN, "ValidatorClientApiErrors")),
    (SIGNER_DOWN, named(SIGNER_DOWN, "RemoteSignerKeysMissing")),
    # A client's groups.
    (CLIENT_DOWN, {**GROUP, "validator_client": "validator-1", "beacon_node": "beacon-2"}),
    (CLIENT_WITHOUT, {**GROUP, "validator_client": "validator-1", "beacon_node": "beacon-2"}),
    (SIGNING, {**GROUP, "validator_client": "validator-1", "beacon_node": "beacon-2"}),
    (CLIENT_WITHOUT, named(CLIENT_WITHOUT, "ValidatorClientOnBackup")),
    (SIGNER_DOWN, SIGNING),
    # The network.
    (FINALITY, GROUP),
    (FINALITY, KEY),
    (FINALITY, BURN_FAST),
    (FINALITY, named(FINALITY, "NetworkParticipationLow")),
    (FINALITY, named(PEERS, "BeaconNodeReorgsHigh")),
    (named(FINALITY, "NetworkParticipationLow"), named(PEERS, "BeaconNodeReorgsHigh")),
    # Two alerts on one trouble.
    (BURN_FAST, BURN_SLOW),
    (GROUP, BURN_FAST),
    (GROUP, named(KEY, "ValidatorMissingRepeatedly")),
    (GROUP, named(GROUP, "ValidatorProposalMissed")),
    (KEY, named(KEY, "ValidatorMissingRepeatedly")),
    (KEY, named(KEY, "ValidatorConsecutiveMisses", "info")),
    (SLASHED, named(GROUP, "ValidatorExitedUnexpectedly")),
    (named(MACHINE_MEMORY, "NodeMemoryCritical", "critical"), MACHINE_MEMORY),
    (named(MEMORY, "ContainerMemoryCritical", "critical"), MEMORY),
    (MEMORY, named(MEMORY, "MemoryRampsToLimit")),
    (named(MEMORY, "OomKilled"), {**named(MEMORY, "PodNotReady"), "area": "kubernetes"}),
    (named(VOLUME, "VolumeFullSoon", "critical"), VOLUME),
    (named(DISK, "VolumeFullSoon", "critical"), DISK),
    (EXPORTER_STALE, named(without(EXPORTER_STALE, "instance"), "RoleAbsent", "critical")),
    (EXPORTER_STALE, named(EXPORTER_STALE, "TargetDown")),
    (SIGNING, named(SIGNING, "RemoteSignerErrors")),
    # From the cause down to the groups.
    (EXECUTION_DOWN, OFFLINE, GROUP, KEY),
    (SIGNER_DOWN, SIGNING, {**GROUP, "validator_client": "validator-1"}),
)
NOT_SILENCED: tuple[tuple[Labels, ...], ...] = (
    # A client that finds no node says so itself, while a node of its own has no page.
    (DOWN, CLIENT_WITHOUT),
    (SHARED, CLIENT_WITHOUT),
    # Another node's validators, or nobody's.
    (DOWN, {**GROUP, "beacon_node": "beacon-2"}),
    (DOWN, without(GROUP, "beacon_node")),
    (DOWN, {**GROUP, "network": "hoodi"}),
    (SHARED, {**GROUP, "beacon_node": "beacon-2"}),
    (PEERS, GROUP),
    (named(SHARED, "SharedBeaconBackupMissing"), GROUP),
    # A client that is down is no fault of its beacon node.
    (CLIENT_DOWN, {**GROUP, "validator_client": "validator-2"}),
    (CLIENT_DOWN, SHARED),
    # Not everything about validators is a missed duty.
    (DOWN, named(GROUP, "ValidatorFeeRecipientWrong", "critical")),
    (DOWN, named(GROUP, "ValidatorExitedUnexpectedly", "critical")),
    # Another process.
    (DOWN, {**PEERS, "instance": "beacon-2", "beacon_node": "beacon-2"}),
    (DOWN, {**PEERS, "cluster": "eks-2"}),
    (DOWN, without(MEMORY, "instance")),
    (DOWN, named(DOWN, "ExecutionNodeDown", "critical")),
    (EXECUTION_DOWN, {**OFFLINE, "execution_node": "execution-2"}),
    (named(OFFLINE, "BeaconNodeHeadStalled", "critical"), EXECUTION_DOWN),
    (EXECUTION_DOWN, without(OFFLINE, "execution_node")),
    (EXECUTION_DOWN, {**EXECUTION_DOWN, "alertname": "ExecutionPeersLow", "instance": "execution-2"}),
    (SIGNER_DOWN, {**SIGNING, "cluster": "eks-2"}),
    # The network's trouble is no excuse for doing worse than it.
    (FINALITY, BELOW),
    (FINALITY, {**GROUP, "network": "hoodi"}),
    (FINALITY, SHARED),
    (FINALITY, DOWN),
    # Another of the same kind.
    (GROUP, {**BURN_FAST, "group": "beta"}),
    (KEY, {**named(KEY, "ValidatorMissingRepeatedly"), "pubkey": "0x22"}),
    (SLASHED, {**named(GROUP, "ValidatorExitedUnexpectedly"), "group": "beta"}),
    (named(VOLUME, "VolumeFullSoon", "critical"), {**VOLUME, "persistentvolumeclaim": "data-geth-1"}),
    (named(DISK, "VolumeFullSoon", "critical"), {**DISK, "instance": "machine-2"}),
    (EXPORTER_STALE, {**EXPORTER_STALE, "alertname": "RoleAbsent", "role": "beacon", "instance": "x"}),
    (EXPORTER_STALE, {**EXPORTER_STALE, "alertname": "TargetDown", "instance": "exporter-2"}),
    (SIGNING, {**SIGNING, "alertname": "RemoteSignerErrors", "instance": "validator-2"}),
    # Slashing is never silenced.
    (DOWN, SLASHED),
    (SHARED, SLASHED),
    (CLIENT_DOWN, {**SLASHED, "validator_client": "validator-1", "instance": "validator-1"}),
    (FINALITY, SLASHED),
    (KEY, SLASHED),
    (DOWN, named(SLASHED, "DuplicateValidatorKey", "critical")),
    (DOWN, {"alertname": "Watchdog", "severity": "info", "area": "monitoring"}),
)
SCENARIOS = (*SILENCED, *NOT_SILENCED)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Return the states of the alerts of each scenario, all sent at once.

    Each has clusters and networks of its own, so that nothing of one inhibits anything of another.
    """
    sent = [
        [
            {
                **{
                    name: f"{text}@{number}" if name in {"cluster", "network"} else text
                    for name, text in one.items()
                },
                "scenario": f"{number}/{position}",
            }
            for position, one in enumerate(alerts)
        ]
        for number, alerts in enumerate(SCENARIOS)
    ]
    with alertmanager(CONFIGURATION, tmp_path_factory.mktemp("alertmanager")) as server:
        send(server, *(one for alerts in sent for one in alerts))
        found: dict[str, str] = {}
        settled_at, deadline = time.monotonic() + _SETTLED_SECONDS, time.monotonic() + 60
        # What is inhibited is worked out beside what has arrived: no state may change for a while.
        while time.monotonic() < min(settled_at, deadline):
            before, found = found, {one.labels["scenario"]: one.state for one in server.alerts()}
            count = sum(len(alerts) for alerts in sent)
            if found != before or len(found) < count or "unprocessed" in found.values():
                settled_at = time.monotonic() + _SETTLED_SECONDS
            time.sleep(0.1)
    return [[found[one["scenario"]] for one in alerts] for alerts in sent]


def titles(scenarios: tuple[tuple[Labels, ...], ...]) -> list[str]:
    return ["-".join(one["alertname"] for one in alerts) for alerts in scenarios]


@pytest.mark.parametrize("number", range(len(SILENCED)), ids=titles(SILENCED))
def test_a_cause_silences_its_symptoms(states: list[list[str]], number: int) -> None:
    assert states[number] == ["active", *["suppressed"] * (len(SCENARIOS[number]) - 1)]


@pytest.mark.parametrize("number", range(len(SILENCED), len(SCENARIOS)), ids=titles(NOT_SILENCED))
def test_a_cause_silences_nothing_else(states: list[list[str]], number: int) -> None:
    assert states[number] == ["active", "active"]


@dataclass
class Inbox:
    """What arrived at the webhook, a call each: the receiver, the status and the alerts' names and labels."""

    calls: "queue.Queue[tuple[str, str, list[Labels]]]"

    def next(self) -> tuple[str, str, list[Labels]]:
        return self.calls.get(timeout=60)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[tuple[Inbox, Alertmanager]]:
    """Run an Alertmanager with the bundle's routes, 20 times as fast, and all receivers one webhook."""
    arrived: queue.Queue[tuple[str, str, list[Labels]]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if content["receiver"] != "heartbeat":
                labels: list[Labels] = [
                    {**one["labels"], "status": one["status"]} for one in content["alerts"]
                ]
                arrived.put((content["receiver"], content["status"], labels))
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    webhook = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=webhook.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    configuration = tmp_path / "alertmanager.yaml"
    address = f"http://127.0.0.1:{webhook.server_port}/"
    configuration.write_text(routes_to_webhook(CONFIGURATION, url=address, factor=1 / 20), encoding="utf-8")
    try:
        with alertmanager(configuration, tmp_path / "data") as server:
            yield Inbox(arrived), server
    finally:
        webhook.shutdown()
        webhook.server_close()
        thread.join()


def send(server: Alertmanager, *alerts: Labels, ended: bool = False) -> None:
    content = [
        {"labels": dict(labels), **({"endsAt": "2020-01-01T00:00:00Z"} if ended else {})} for labels in alerts
    ]
    requests.post(f"{server.url}/api/v2/alerts", json=content, timeout=5).raise_for_status()


def test_one_page_for_one_cause_and_one_more_when_it_is_over(inbox: tuple[Inbox, Alertmanager]) -> None:
    arrived, server = inbox
    groups = [{**GROUP, "group": f"group-{number}"} for number in range(40)]
    send(server, DOWN, *groups)
    assert arrived.next() == ("pager", "firing", [{**DOWN, "status": "firing"}])
    send(server, *groups, DOWN, ended=True)
    assert arrived.next() == ("pager", "resolved", [{**DOWN, "status": "resolved"}])
    time.sleep(1.5)
    assert arrived.calls.empty()


def test_groups_behind_one_beacon_node_share_a_page_and_others_have_their_own(
    inbox: tuple[Inbox, Alertmanager],
) -> None:
    arrived, server = inbox
    here = [{**GROUP, "group": f"group-{number}"} for number in range(3)]
    there = {**GROUP, "group": "group-9", "beacon_node": "beacon-9"}
    send(server, *here, there)
    pages = sorted((arrived.next() for _ in range(2)), key=lambda page: len(page[2]))
    assert [len(labels) for _, _, labels in pages] == [1, 3]
    assert pages[0][2][0]["group"] == "group-9"


def test_a_ticket_is_held_back_in_a_maintenance_and_a_page_is_not(tmp_path: Path) -> None:
    content = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    (interval,) = content["time_intervals"]
    interval["time_intervals"] = [{"years": ["2020:2100"]}]
    configuration = tmp_path / "alertmanager.yaml"
    content["templates"] = [str(CONFIGURATION.parent / pattern) for pattern in content["templates"]]
    content["route"]["group_wait"] = "0s"
    configuration.write_text(yaml.safe_dump(content), encoding="utf-8")
    with alertmanager(configuration, tmp_path / "data") as server:
        send(server, {**PEERS, "instance": "beacon-2", "beacon_node": "beacon-2"}, DOWN)
        deadline = time.monotonic() + 60
        muted: dict[str, list[str]] = {}
        while time.monotonic() < deadline and (len(muted) < 2 or ["maintenance"] not in muted.values()):
            groups = requests.get(f"{server.url}/api/v2/alerts/groups", timeout=5).json()
            muted = {one["labels"]["alertname"]: one["alerts"][0]["status"]["mutedBy"] for one in groups}
            time.sleep(0.1)
        assert muted == {"BeaconNodePeersLow": ["maintenance"], "BeaconNodeDown": []}


SUBJECT = '{{ template "stakewatch.subject" . }}'


def rendered(text: str, data: Mapping[str, object], tmp_path: Path) -> str:
    file = tmp_path / "data.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    done = subprocess.run(
        [
            locate("amtool").path,
            "template",
            "render",
            f"--template.glob={CONFIGURATION.parent}/templates/*.tmpl",
            f"--template.text={text}",
            f"--template.data={file}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.removesuffix("\n")


def notification(labels: Labels, *, count: int = 1, status: str = "firing") -> Mapping[str, object]:
    annotations = {
        "summary": "Beacon node does not answer",
        "description": "It is gone.",
        "runbook_url": "https://runbooks/BeaconNodeDown",
        "dashboard_url": "https://grafana/d/fleet_overview",
    }
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": "2026-01-01T12:00:00+02:00",
    }
    return {
        "receiver": "pager",
        "status": status,
        "alerts": [alert] * count,
        "commonLabels": labels,
        "commonAnnotations": annotations,
    }


@pytest.mark.parametrize(
    ("labels", "count", "status", "expected"),
    [
        (DOWN, 1, "firing", "[CRITICAL] BeaconNodeDown beacon-1: Beacon node does not answer"),
        (DOWN, 3, "firing", "[CRITICAL x3] BeaconNodeDown beacon-1: Beacon node does not answer"),
        (DOWN, 1, "resolved", "[RESOLVED] BeaconNodeDown beacon-1: Beacon node does not answer"),
        ({**DOWN, "beacon_node": "bücher\n"}, 1, "firing", "[CRITICAL] BeaconNodeDown b?cher?: Beacon"),
        ({**DOWN, "beacon_node": "x" * 200}, 1, "firing", "[CRITICAL] BeaconNodeDown " + "x" * 74),
    ],
)
def test_a_subject_is_one_line_of_ascii_that_fits(
    tmp_path: Path, labels: Labels, count: int, status: str, expected: str
) -> None:
    subject = rendered(SUBJECT, notification(labels, count=count, status=status), tmp_path)
    assert subject.startswith(expected)
    assert subject.isascii()
    assert subject.isprintable()
    assert len(subject) <= 100


def test_a_message_has_the_description_the_time_and_both_links(tmp_path: Path) -> None:
    message = rendered('{{ template "stakewatch.message" . }}', notification(DOWN), tmp_path)
    assert message.split("\n")[:4] == [
        "FIRING BeaconNodeDown since 2026-01-01 10:00:00 UTC",
        "It is gone.",
        "Runbook: https://runbooks/BeaconNodeDown",
        "Dashboard: https://grafana/d/fleet_overview",
    ]


def test_the_check_finds_what_amtool_refuses_in_either_form(tmp_path: Path) -> None:
    shutil.copytree(CONFIGURATION.parent, tmp_path / "alertmanager")
    bundle = Bundle(tmp_path)
    assert list(routing_checks.alertmanager(bundle, Configuration())) == []
    file = tmp_path / "alertmanager" / "alertmanager.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("receiver: journal", "receiver: nobody"), encoding="utf-8")
    with pytest.raises(InputError, match="nobody, which is no receiver"):
        list(routing_checks.alertmanager(bundle, Configuration()))
    file.write_text(text.replace("group_wait: 10s", "group_wait: soon"), encoding="utf-8")
    findings = list(routing_checks.alertmanager(bundle, Configuration()))
    assert [finding.path.name for finding in findings] == ["alertmanager.yaml", "receivers.yaml"]
    assert "soon" in findings[0].message
