"""The run: a healthy chain under our exporter and rules, a beacon node that dies, and its recovery."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import requests
import yaml

from stakewatch.demo.receiver import Notification
from tests.e2e.alarms import ON_INCOME, STANDING, Past, alarms, compare_alarms
from tests.e2e.attestations import compare_attestations, rewards
from tests.e2e.boards import compare_boards, explainer_of, known_of, show_boards
from tests.e2e.chain import ask, beacon_peers, execution_peers, finalized_epoch, head_slot, validators_at
from tests.e2e.devnet import Devnet, Pair, Say, devnet
from tests.e2e.earnings import compare_fee_recipients, compare_keys, compare_proposals, history
from tests.e2e.installation import MINIMUM_PEERS, Installation, installation
from tests.e2e.ledger import Chapter, Ledger
from tests.e2e.nodes import compare_nodes
from tests.e2e.recording import Recording, recording
from tests.e2e.scrape import scrape
from tests.e2e.transactions import paying

CHAPTERS = (
    "chain",
    "healthy nodes",
    "quiet rules",
    "dead beacon node",
    "recovery",
    "boards",
    "alarms",
    "keys",
    "proposals",
    "attestations",
)
# Three quarters of the keys stay on the pair that is left alone, so the chain still finalises.
KEY_COUNTS = (48, 16)
_LONG_SECONDS = 60.0
_RULES = Path(__file__).parents[2] / "rules"
_HEALTHY_EPOCHS = 3
_POLL_SECONDS = 0.2
_PROGRESS_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """Everything that a chapter of the run looks at."""

    chain: Devnet
    installed: Installation
    record: Recording
    ledger: Ledger
    say: Say

    @property
    def healthy(self) -> Pair:
        """The pair that nothing happens to."""
        return self.chain.pairs[0]

    @property
    def faulty(self) -> Pair:
        """The pair whose beacon node dies."""
        return self.chain.pairs[1]


def play(folder: Path, ledger: Ledger, say: Say) -> None:
    """Play all chapters with everything below `folder`, and record their checks.

    Raises what ended the run early: StakewatchError, requests.RequestException.
    """
    with devnet(folder / "chain", KEY_COUNTS, say) as chain:
        validators = validators_at(chain.pairs[0], "genesis") or ()
        keys = {validator.index: validator.public_key for validator in validators}
        say("the chain is up; starting exporter, Prometheus and Alertmanager")
        with installation(folder, chain, keys) as installed:
            with recording(chain.pairs[0], installed.exporter) as record:
                run = Run(chain, installed, record, ledger, say)
                _wait(run, "genesis", lambda: chain.clock_slot() >= 0, 120)
                with paying(chain.pairs):
                    _tell_the_chain(run)
                    compare_nodes(ledger.chapter("healthy nodes"), chain, chain.pairs, installed.exporter)
                    _tell_the_fleet(run)
                    _tell_the_quiet(run)
                    _tell_the_death(run)
                    _tell_the_recovery(run)
                _tell_the_boards(run, folder)
            installed.exporter_process.expect_running()
            chain.expect_running()
            past = history(chain.pairs[0], record)
            fired = alarms(installed.prometheus)
        ledger.chapter("keys").equal("scrapes without a right answer", [], record.unanswered)
        judges = Past(past, tuple(rewards(record, past)))
        compare_alarms(ledger.chapter("alarms"), chain, judges, installed.groups, fired)
        compare_keys(ledger.chapter("keys"), chain, record, past, installed.groups)
        proposals = ledger.chapter("proposals")
        compare_fee_recipients(proposals, past, chain.pairs)
        compare_proposals(proposals, past, installed.groups, record.scrapes)
        compare_attestations(ledger.chapter("attestations"), record, past, installed.groups)


def _tell_the_chain(run: Run) -> None:
    chapter = run.ledger.chapter("chain")
    healthy = run.healthy
    target = _HEALTHY_EPOCHS
    reached = _wait(run, f"epoch {target} to be final", lambda: finalized_epoch(healthy) >= target, 180)
    chapter.record("the chain finalises", f"epoch {target}", finalized_epoch(healthy), holds=reached)
    for pair in run.chain.pairs:
        chapter.equal(f"peers of {pair.beacon}", 1, beacon_peers(pair))


def _tell_the_fleet(run: Run) -> None:
    chapter = run.ledger.chapter("healthy nodes")
    page = scrape(f"{run.installed.exporter}/metrics")
    genesis = int(ask(run.healthy, "beacon/genesis")["genesis_time"])
    chapter.equal("genesis", genesis, page.value("stakewatch_genesis_timestamp_seconds"))
    seconds = float(ask(run.healthy, "config/spec")["SECONDS_PER_SLOT"])
    chapter.equal("seconds per slot", seconds, page.value("stakewatch_seconds_per_slot"))
    for pair in run.chain.pairs:
        for metric in ("stakewatch_beacon_root_disagreement", "stakewatch_beacon_fork_schedule_mismatch"):
            chapter.equal(f"{metric} of {pair.beacon}", 0.0, page.value(metric, instance=pair.beacon))
        beacon = page.label(
            "stakewatch_topology_info", "beacon_node", validator_client=pair.validators, priority="primary"
        )
        chapter.equal(f"primary beacon node of {pair.validators}", pair.beacon, beacon)
    for group in run.installed.groups:
        client = page.label("stakewatch_group_info", "validator_client", group=group.name)
        chapter.equal(f"validator client of {group.name}", group.pair.validators, client)
    chapter.equal("inactivity leak", 0.0, page.value("stakewatch_network_inactivity_leak"))
    failed = {
        (labels["instance"], labels["endpoint"], labels["outcome"])
        for labels, value in page.select("stakewatch_requests_total")
        if value and labels["outcome"] in {"timeout", "connection", "truncated", "invalid"}
    }
    chapter.equal("requests of the exporter that failed", set(), failed)


def _tell_the_quiet(run: Run) -> None:
    chapter = run.ledger.chapter("quiet rules")
    server = run.installed.prometheus
    down = {target.url: target.error for target in server.targets() if target.health != "up"}
    chapter.equal("scrape targets that are not up", {}, down)
    rules = server.rules()
    # What is recorded once an hour may have its first turn after the run.
    due = [rule for rule in rules if rule.health != "unknown" or rule.interval_seconds < _LONG_SECONDS]
    chapter.equal("rules that fail", {}, {rule.name: rule.error for rule in due if rule.health != "ok"})
    loaded = {rule.name for rule in rules}
    chapter.equal("alerts of the bundle that are not loaded", set(), _alert_names() - loaded - STANDING)
    for name in ("BeaconNodePeersLow", "ExecutionPeersLow"):
        expression = next((rule.expression for rule in rules if rule.name == name), "")
        overridden = re.search(rf"< {MINIMUM_PEERS}\b", expression) is not None
        chapter.record(
            f"{name} has the threshold of stakewatch.yaml", f"< {MINIMUM_PEERS}", expression, holds=overridden
        )
    # What Prometheus stored is what the exporter shows.
    stored = {sample.labels["instance"]: sample.value for sample in server.query("stakewatch_node_up")}
    nodes = [name for pair in run.chain.pairs for name in (pair.beacon, pair.execution)]
    chapter.equal("stakewatch_node_up in Prometheus", dict.fromkeys(nodes, 1.0), stored)
    # What the clients count themselves, on which the alerts fall back where no exporter watches.
    for metric, role, own in (
        ("libp2p_peers", "beacon", {pair.beacon: beacon_peers(pair) for pair in run.chain.pairs}),
        ("p2p_peers", "execution", {pair.execution: execution_peers(pair) for pair in run.chain.pairs}),
    ):
        counted = server.query(f'max by (instance) ({metric}{{role="{role}"}})')
        seen = {sample.labels["instance"]: int(sample.value) for sample in counted}
        chapter.equal(f"{metric} in Prometheus", own, seen)
    # Withdrawals sweep over every key twice in this time, so a rule that watches plain balances would fire.
    # Alerts on keys are judged by the chain's record at the end.
    firing = {alert.name for alert in server.alerts() if alert.state == "firing"}
    chapter.equal("alerts on nodes while all is well", set(), _not_on_keys(firing) - STANDING)
    arrived = {notification.alert for notification in run.installed.receiver.notifications}
    chapter.equal("alerts on nodes that arrived while all is well", set(), _not_on_keys(arrived) - STANDING)
    chapter.record("the heartbeat arrived", "Watchdog", sorted(arrived), holds="Watchdog" in arrived)


def _tell_the_death(run: Run) -> None:
    chapter = run.ledger.chapter("dead beacon node")
    faulty = run.faulty
    run.say(f"killing {faulty.beacon}, on which {len(faulty.key_indices)} keys depend")
    before = len(run.installed.receiver.notifications)
    run.chain.kill(faulty.beacon)
    killed = time.monotonic()
    arrived = _wait(
        run,
        f"BeaconNodeDown of {faulty.beacon} at the webhook",
        lambda: _of(run, "BeaconNodeDown", "firing", instance=faulty.beacon) is not None,
        90,
    )
    if arrived:
        run.ledger.detect_seconds = time.monotonic() - killed
    notification = _of(run, "BeaconNodeDown", "firing", instance=faulty.beacon)
    labels = dict(notification.labels) if notification else {}
    expected = {"beacon_node": faulty.beacon, "role": "beacon", "severity": "critical"}
    chapter.equal(
        "BeaconNodeDown arrives and names the node", expected, {name: labels.get(name) for name in expected}
    )
    page = scrape(f"{run.installed.exporter}/metrics")
    for metric in ("stakewatch_node_up", "stakewatch_node_healthy"):
        chapter.equal(f"{metric} of {faulty.beacon}", 0.0, page.value(metric, instance=faulty.beacon))
    answer = requests.get(f"{run.installed.exporter}/health/{faulty.beacon}", timeout=4.0)
    chapter.equal(f"/health/{faulty.beacon}", requests.codes.service_unavailable, answer.status_code)
    compare_nodes(chapter, run.chain, (run.healthy,), run.installed.exporter)
    _tell_the_symptom(run, chapter, before)


def _tell_the_symptom(run: Run, chapter: Chapter, before: int) -> None:
    """Wait for the alert on the keys of the dead node: it names the node and is inhibited.

    `before` is the number of notifications that had arrived when the node was killed.
    """
    group = next(group for group in run.installed.groups if group.pair is run.faulty)

    def symptoms() -> dict[str, bool]:
        return {
            alert.name: bool(alert.inhibited_by)
            for alert in run.installed.alertmanager.alerts()
            if alert.labels.get("beacon_node") == run.faulty.beacon and alert.name != "BeaconNodeDown"
        }

    symptom = "ValidatorGroupNotEarning"
    appeared = _wait(
        run, f"{symptom} of {group.name}, caused by {run.faulty.beacon}", lambda: symptom in symptoms(), 150
    )
    chapter.record("the symptom names its cause", symptom, symptoms(), holds=appeared)
    chapter.equal(
        "symptoms that are not inhibited", set(), {name for name, held in symptoms().items() if not held}
    )
    arrived = {
        notification.alert
        for notification in run.installed.receiver.notifications[before:]
        if notification.status == "firing"
        and dict(notification.labels).get("beacon_node") == run.faulty.beacon
    }
    # A slot that its keys should have filled may come before the page: here there is one every few seconds.
    arrived.discard("ValidatorProposalMissed")
    chapter.equal("alerts that arrived and name the dead node", {"BeaconNodeDown"}, arrived)


def _tell_the_recovery(run: Run) -> None:
    chapter = run.ledger.chapter("recovery")
    faulty = run.faulty
    run.say(f"starting {faulty.beacon} again")
    run.chain.start(faulty.beacon)
    run.chain.connect_beacons()
    started = time.monotonic()
    resolved = _wait(
        run,
        f"BeaconNodeDown of {faulty.beacon} to be resolved at the webhook",
        lambda: _of(run, "BeaconNodeDown", "resolved", instance=faulty.beacon) is not None,
        90,
    )
    if resolved:
        run.ledger.resolve_seconds = time.monotonic() - started
    chapter.record("BeaconNodeDown resolves", "a notification", resolved, holds=resolved)
    in_step = _wait(
        run,
        f"{faulty.beacon} to be in step",
        lambda: head_slot(faulty) >= run.chain.clock_slot() - 1,
        60,
    )
    chapter.record("the node is in step again", "its head is at most 1 slot old", in_step, holds=in_step)
    compare_nodes(chapter, run.chain, run.chain.pairs, run.installed.exporter)
    earning = _wait(
        run,
        "the alert on the keys to end",
        lambda: not any(alert.name in ON_INCOME for alert in run.installed.prometheus.alerts()),
        150,
    )
    chapter.record("the alert on the keys ends", "no alert on keys", earning, holds=earning)


def _tell_the_boards(run: Run, folder: Path) -> None:
    run.say("asking every query of every board")
    url = run.installed.prometheus.url
    shown = show_boards(url, folder / "bundle" / "stakewatch.yaml", folder / "boards")
    run.say(f"{sum(len(board.results) for board in shown)} panels and rows are shown in {folder / 'boards'}")
    known = known_of([board.board for board in shown])
    compare_boards(run.ledger.chapter("boards"), shown, known, explainer_of(url).explain)


def _not_on_keys(alerts: set[str]) -> set[str]:
    return {alert for alert in alerts if not alert.startswith("Validator")}


def _of(run: Run, alert: str, status: str, **labels: str) -> Notification | None:
    for notification in run.installed.receiver.notifications:
        found = (notification.alert, notification.status) == (alert, status)
        if found and labels.items() <= dict(notification.labels).items():
            return notification
    return None


def _alert_names() -> set[str]:
    return {rule["alert"] for rule in _rules() if "alert" in rule}


def _rules() -> Iterable[dict[str, str]]:
    for path in sorted(_RULES.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def _wait(run: Run, what: str, happened: Callable[[], bool], seconds: float) -> bool:
    """Wait for something, with a line every few seconds; return whether it happened in time."""
    started = time.monotonic()
    told = started
    run.say(f"waiting for {what}, at most {seconds:.0f} s")
    while not happened():
        run.installed.exporter_process.expect_running()
        run.chain.expect_running()
        now = time.monotonic()
        if now - started > seconds:
            run.say(f"{what}: not within {seconds:.0f} s")
            return False
        if now - told >= _PROGRESS_SECONDS:
            told = now
            run.say(f"still waiting for {what}: {now - started:.0f} s, {_position(run)}")
        time.sleep(_POLL_SECONDS)
    run.say(f"{what}: after {time.monotonic() - started:.1f} s")
    return True


def _position(run: Run) -> str:
    return f"head slot {head_slot(run.healthy)}, final epoch {finalized_epoch(run.healthy)}"
