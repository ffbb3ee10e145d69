"""Lines in at a real Promtail; fields out of a real Loki, series out of a real Prometheus."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from stakewatch.cli.main import main
from stakewatch.logs.interpretation import Entry
from stakewatch.logs.samples import PLACE, load_samples
from stakewatch.programs.log_servers import Line, Loki, Promtail
from stakewatch.programs.servers import Alertmanager, Prometheus
from tests.bench.logs.shipping import OLD_LINES, Shipment, arrived, in_container, ship, wait_for
from tests.bench.logs.stack import REPOSITORY, Stack, new_stack

SAMPLES = load_samples(REPOSITORY / "tests" / "samples" / "logs")
WRAPPABLE = tuple(sample for sample in SAMPLES if "runtime" not in sample.labels)
ERRORS = "instance:error_log_lines:count5m"
FATAL = "instance:fatal_log_lines:count5m"
EXECS = "pod:exec_audit_events:count5m"
READS = "secret:keystore_read_audit_events:count5m"
CLUSTER = PLACE["cluster"]
LONGEST_SECONDS = 60


@dataclass(frozen=True)
class Running:
    """The whole pipeline, and what was shipped through it: the samples as they are, and those of now."""

    stack: Stack
    loki: Loki
    promtail: Promtail
    prometheus: Prometheus
    alertmanager: Alertmanager
    samples: tuple[Shipment, ...]
    recent: tuple[Shipment, ...]

    @property
    def of_now(self) -> tuple[Shipment, ...]:
        """All whose time is about now; samples without a time of their own have that of their reading."""
        return (*self.recent, *(one for one in self.samples if one.sample.time_ns is None))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    stack = new_stack(tmp_path_factory.mktemp("logs"))
    # The same again, as a container runtime writes it down now: the ruler looks five minutes back.
    now = time.time_ns()
    shipped = ship(stack, (*SAMPLES, *(in_container(sample, now) for sample in WRAPPABLE)))
    with ExitStack() as servers:
        rules = [REPOSITORY / "rules" / "logs.yaml"]
        prometheus, alertmanager = servers.enter_context(stack.alerting(rules, evaluation_seconds=1))
        loki = servers.enter_context(stack.loki(OLD_LINES, rule_seconds=1))
        promtail = servers.enter_context(stack.promtail())
        yield Running(
            stack,
            loki,
            promtail,
            prometheus,
            alertmanager,
            samples=shipped[: len(SAMPLES)],
            recent=shipped[len(SAMPLES) :],
        )


def shipped(running: Running, shipment: Shipment) -> Entry:
    entry = wait_for(lambda: arrived(running.stack, running.loki, shipment), bool, LONGEST_SECONDS)
    assert entry is not None, f"{shipment.sample.path.name}:{shipment.sample.number} never arrived"
    return entry


def name_of(number: int) -> str:
    return f"{SAMPLES[number].path.stem}:{SAMPLES[number].number}"


@pytest.mark.parametrize("number", range(len(SAMPLES)), ids=name_of)
def test_a_sample_is_read_by_the_real_shipper_as_it_says(running: Running, number: int) -> None:
    shipment = running.samples[number]
    assert list(shipment.sample.differences(shipped(running, shipment))) == []


def test_ruler_evaluates_all_our_rules_without_an_error(running: Running) -> None:
    rules = wait_for(
        running.loki.rules,
        lambda found: bool(found) and all(rule.health == "ok" for rule in found),
        LONGEST_SECONDS,
    )
    assert {rule.name for rule in rules} == {ERRORS, FATAL, EXECS, READS}
    assert [(rule.name, rule.health, rule.error) for rule in rules if rule.health != "ok"] == []


def test_each_error_class_becomes_a_series_of_its_process_and_nothing_else_does(running: Running) -> None:
    expected = {
        (one.instance, one.sample.expected["error_class"], 1.0)
        for one in running.of_now
        if "error_class" in one.sample.expected and one.sample.expected.get("level") not in {"trace", "debug"}
    }

    def series() -> set[tuple[str, str, float]]:
        return {
            (one.labels["instance"], one.labels["error_class"], one.value)
            for one in running.prometheus.query(ERRORS)
        }

    assert wait_for(series, lambda found: found >= expected, LONGEST_SECONDS) == expected


def test_a_series_has_the_labels_of_its_process(running: Running) -> None:
    shipment = next(one for one in running.recent if one.sample.expected.get("error_class") == "slashable")
    query = f'{ERRORS}{{instance="{shipment.instance}"}}'
    (sample,) = wait_for(lambda: running.prometheus.query(query), bool, LONGEST_SECONDS)
    wanted = {name: value for name, value in shipment.sample.labels.items() if name != "runtime"}
    assert dict(sample.labels) == {"__name__": ERRORS, "error_class": "slashable", **wanted}


def test_fatal_lines_become_series_and_no_others(running: Running) -> None:
    expected = {
        one.instance
        for one in running.of_now
        if one.sample.expected.get("level") == "fatal" and one.sample.labels.get("role")
    }

    def instances() -> set[str]:
        return {one.labels["instance"] for one in running.prometheus.query(FATAL)}

    assert expected
    assert wait_for(instances, lambda found: found >= expected, LONGEST_SECONDS) == expected


def test_a_shell_in_a_pod_and_the_reading_of_a_secret_become_series_that_name_who_it_was(
    running: Running,
) -> None:
    def found(name: str) -> list[dict[str, str]]:
        return [
            {label: value for label, value in one.labels.items() if label not in {"__name__", "region"}}
            for one in running.prometheus.query(name)
        ]

    wait_for(lambda: found(READS), bool, LONGEST_SECONDS)
    admin = "arn:aws:iam::111122223333:role/admin"
    assert found(EXECS) == [
        {"cluster": CLUSTER, "namespace": "staking", "pod": "validators-1-0", "action": "exec", "user": admin}
    ]
    backup = "system:serviceaccount:staking:backup"
    assert found(READS) == [
        {
            "cluster": CLUSTER,
            "namespace": "staking",
            "secret": "validator-keystores",
            "action": "get",
            "user": backup,
        }
    ]


def test_alerts_on_the_series_reach_alertmanager(running: Running) -> None:
    wanted = {"PayloadInvalidLogs", "DoppelgangerLogs", "KeystoreSecretRead", "ClientFatalLogs"}

    def names() -> set[str]:
        return {alert.name for alert in running.alertmanager.alerts()}

    assert wait_for(names, lambda found: found >= wanted, LONGEST_SECONDS) >= wanted


@pytest.fixture
def trace(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return a function that asks `stakewatch logs trace` about the last ten minutes when all has arrived."""
    for one in running.of_now:
        shipped(running, one)

    def asked(*arguments: str) -> str:
        command = ["stakewatch", "logs", "trace", "--loki", running.loki.url, "--since", "10m", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.chdir(REPOSITORY)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    return asked


def test_a_trace_of_a_slot_has_the_lines_of_all_programs_that_name_it(
    running: Running, trace: Callable[..., str]
) -> None:
    slots = Counter(one.sample.expected["slot"] for one in running.of_now if "slot" in one.sample.expected)
    slot = slots.most_common(1)[0][0]
    expected = {
        one.instance
        for one in running.of_now
        if one.sample.expected.get("slot") == slot and one.sample.expected.get("level") != "debug"
    }
    moments = json.loads(trace("--slot", slot, "--json"))
    assert {one["instance"] for one in moments if one["because"] == "slot"} == expected


def test_a_trace_of_a_key_has_the_lines_that_name_it(running: Running, trace: Callable[..., str]) -> None:
    shipment = next(one for one in running.recent if len(one.sample.expected.get("pubkey", "")) == 98)
    moments = json.loads(trace("--pubkey", shipment.sample.expected["pubkey"], "--json"))
    assert shipment.instance in {one["instance"] for one in moments}
    assert {one["because"] for one in moments} == {"key"}


def test_a_trace_without_a_question_shows_what_is_wrong_with_anything(trace: Callable[..., str]) -> None:
    assert {one["level"] for one in json.loads(trace("--json"))} == {"warn", "error", "fatal"}


def test_a_trace_masks_what_another_shipper_sent_as_it_was(
    running: Running, trace: Callable[..., str]
) -> None:
    labels = {"role": "beacon", "implementation": "teku", "instance": "unmasked", "level": "error"}
    running.loki.push([Line(labels, time.time_ns(), "lost http://user:hunter2@10.0.0.7:5052/\x1b[2J")])
    shown = wait_for(trace, lambda table: "10.0.0.7:5052" in table, LONGEST_SECONDS)
    assert "hunter2" not in shown
    assert "\x1b" not in shown
