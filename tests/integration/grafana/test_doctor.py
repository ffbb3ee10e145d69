"""The doctor on a real Prometheus that scrapes one Geth and one machine and nothing else."""

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import requests
import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.cli.main import main
from stakewatch.grafana.boardfile import panels
from stakewatch.grafana.preview.run import boards_of
from stakewatch.programs.servers import Prometheus
from stakewatch.rules.files import load_rule_files

from .sampled import GETH, MACHINE, ROOT, SAMPLES, scraping

SECRET = "hunter-2-secret"  # noqa: S105 - looked for in what is printed
# One alert of each kind, with what must be said of it.
EXPECTED = {
    "GethDatabaseStalled": ("works", ""),
    "NodeMemoryCritical": ("works", ""),
    "FilesystemReadOnly": ("works", ""),
    "Watchdog": ("works", ""),
    "ExecutionNodeDown": ("works in part", "stakewatch-exporter is not scraped"),
    "VolumeFullSoon": ("works in part", "kube-state-metrics is not scraped"),
    "ErigonStageStalled": ("nothing to watch", "your execution nodes are geth: only Erigon has that signal"),
    "RemoteSignerDown": ("nothing to watch", "no remote signer is scraped"),
    "NodeNetworkAllowanceExceeded": (
        "cannot be told yet",
        "node_exporter is scraped and has not said it yet",
    ),
    "ValidatorGroupNotEarning": ("cannot work", "stakewatch-exporter is not scraped"),
    "NetworkFinalityDelayed": ("cannot work", "stakewatch-exporter is not scraped"),
    "BeaconNodeReorgsHigh": ("cannot work", "no beacon node is scraped"),
    "EngineApiSlow": ("cannot work", "no beacon node is scraped"),
    "DoppelgangerDetected": ("cannot work", "no validator client is scraped"),
    "PodCrashLooping": ("cannot work", "kube-state-metrics is not scraped"),
    "RuleEvaluationFailing": ("cannot work", "Prometheus server is not scraped"),
    "CertificateExpiresSoon": ("cannot work", "cert-manager is not scraped"),
}
EXPECTED_PANELS = {
    ("geth_node", "Time to insert a block"): ("works", ""),
    ("eks_node", "Memory used by machine"): ("works", ""),
    ("geth_node", "Health checks"): ("cannot work", "stakewatch-exporter is not scraped"),
    ("geth_node", "Firing alerts"): ("cannot work", "the bundle's rules are not loaded"),
    ("geth_node", "Restarts of the container"): ("cannot work", "kube-state-metrics is not scraped"),
    ("lighthouse", "Fork choice"): ("cannot work", "no beacon node is scraped"),
    ("erigon", "Time in stages"): (
        "nothing to watch",
        "your execution nodes are geth: only Erigon has that signal",
    ),
}


@dataclass(frozen=True)
class Answer:
    """What a run printed and how it ended."""

    code: int
    out: str
    err: str


def doctor(url: str, *arguments: str | Path) -> Answer:
    """Run the command on our bundle, in this process."""
    words = ["stakewatch", *map(str, arguments), "--bundle", str(ROOT), "--prometheus", url]
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", words),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert isinstance(ended.value.code, int)
    return Answer(ended.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(tmp_path_factory.mktemp("doctor")) as running:
        yield running


@pytest.fixture(scope="module")
def diagnosis(server: Prometheus) -> dict[str, Any]:
    """Return what the doctor says as data, asked with a password that must not be in it."""
    answer = doctor(server.url.replace("http://", f"http://me:{SECRET}@"), "doctor", "--json")
    assert answer.code == 1, answer.err
    assert SECRET not in answer.out + answer.err
    found: dict[str, Any] = json.loads(answer.out)
    return found


@pytest.fixture(scope="module")
def sampled_names() -> set[str]:
    """Return the names in the samples."""
    texts = [(ROOT / "tests/samples" / file).read_text(encoding="utf-8") for file in SAMPLES.values()]
    lines = (line for text in texts for line in text.splitlines() if line and line[0] != "#")
    return {re.split(r"[{ ]", line)[0] for line in lines}


def test_it_sees_what_is_scraped_and_nothing_else(diagnosis: dict[str, Any]) -> None:
    scraped = diagnosis["scraped"]
    assert {one["component"] for one in scraped["components"]} == {"geth", "node_exporter"}
    assert scraped["processes"] == [{"role": "execution", "implementation": "geth", "targets": 1, "up": 1}]
    assert scraped["missing_labels"] == []


def test_every_alert_and_every_panel_with_a_query_is_examined_once(diagnosis: dict[str, Any]) -> None:
    bundle = Bundle(ROOT)
    alerts = [rule.name for one in load_rule_files(bundle.rules) for rule in one.alerts]
    assert sorted(one["name"] for one in diagnosis["alerts"]) == sorted(alerts)
    asking = [
        (board["uid"], panel.title)
        for board in boards_of(bundle, Configuration())
        for panel in panels(board)
        if panel.expressions
    ]
    assert sorted((one["board"], one["name"]) for one in diagnosis["panels"]) == sorted(asking)


@pytest.mark.parametrize("alert", sorted(EXPECTED))
def test_an_alert_has_its_status_and_its_reason(diagnosis: dict[str, Any], alert: str) -> None:
    (found,) = (one for one in diagnosis["alerts"] if one["name"] == alert)
    status, reason = EXPECTED[alert]
    assert found["status"] == status
    assert (reason in {lack["why"] for lack in found["lacks"]}) if reason else not found["lacks"]


@pytest.mark.parametrize(("board", "panel"), sorted(EXPECTED_PANELS))
def test_a_panel_has_its_status_and_its_reason(diagnosis: dict[str, Any], board: str, panel: str) -> None:
    found = [one for one in diagnosis["panels"] if (one["board"], one["name"]) == (board, panel)]
    status, reason = EXPECTED_PANELS[board, panel]
    assert {one["status"] for one in found} == {status}
    assert all((reason in {lack["why"] for lack in one["lacks"]}) or not reason for one in found)


def test_whatever_is_said_to_be_missing_is_missing_and_has_a_mend(
    server: Prometheus, diagnosis: dict[str, Any]
) -> None:
    lacks = {
        (lack["series"], lack["why"], lack["mend"])
        for one in (*diagnosis["alerts"], *diagnosis["panels"])
        for lack in one["lacks"]
    }
    assert len(lacks) > 100
    assert all(why and mend for _, why, mend in lacks)
    # One question for each would take long; what is there would come up in a question for many.
    series = sorted({one for one, _, _ in lacks})
    for start in range(0, len(series), 20):
        question = " or ".join(f"count({one})" for one in series[start : start + 20])
        assert server.query(question) == ()


def test_no_alert_that_reads_nothing_of_the_samples_works(
    diagnosis: dict[str, Any], sampled_names: set[str]
) -> None:
    rule_files = load_rule_files(ROOT / "rules")
    records: dict[str, set[str]] = {}
    for rule in (rule for one in rule_files for rule in one.records):
        records.setdefault(rule.name, set()).update(re.findall(r"[A-Za-z_][\w:]+", rule.expression))

    def words(expression: str) -> set[str]:
        found = set(re.findall(r"[A-Za-z_][\w:]+", expression))
        for name in found & set(records):
            found |= records[name]
        return found

    status = {one["name"]: one["status"] for one in diagnosis["alerts"]}
    for rule in (rule for one in rule_files for rule in one.alerts):
        if not words(rule.expression) & (sampled_names | {"up", "vector"} | set(records)):
            assert status[rule.name] not in {"works", "works in part"}, rule.name


def test_what_does_not_work_lacks_something_and_what_works_lacks_nothing(diagnosis: dict[str, Any]) -> None:
    for one in (*diagnosis["alerts"], *diagnosis["panels"]):
        assert bool(one["lacks"]) == (one["status"] != "works"), one["name"]


def test_the_text_names_everything_that_cannot_work_and_the_critical_alerts_last(
    server: Prometheus, diagnosis: dict[str, Any]
) -> None:
    answer = doctor(server.url, "doctor")
    assert answer.code == 1
    cannot = [
        one["name"] for one in (*diagnosis["alerts"], *diagnosis["panels"]) if one["status"] == "cannot work"
    ]
    assert cannot
    assert {name for name in cannot if name not in answer.out} == set()
    last = answer.out.strip().splitlines()[-1]
    assert last == "Critical alerts that cannot work: " + ", ".join(
        diagnosis["critical_alerts_that_cannot_work"]
    )
    assert "ValidatorSlashed" in last


def test_what_it_costs_is_what_prometheus_counts(diagnosis: dict[str, Any], server: Prometheus) -> None:
    cost = diagnosis["cost"]
    (everything,) = server.query('count({job=~"geth|machine"})')
    assert 50 < cost["series"] < everything.value
    assert 0 < cost["samples_per_second"] < cost["series"]
    assert cost["rules"] == sum(len(one.rules) for one in load_rule_files(ROOT / "rules"))
    assert 0 < cost["rules_seconds"] < 60
    assert (cost["rules_are_loaded"], cost["refused"]) == (False, [])


def test_alerts_that_are_switched_off_are_not_looked_for(
    server: Prometheus, diagnosis: dict[str, Any], tmp_path: Path
) -> None:
    names = diagnosis["critical_alerts_that_cannot_work"]
    configuration = tmp_path / "stakewatch.yaml"
    configuration.write_text(yaml.safe_dump({"overrides": {name: {"enabled": False} for name in names}}))
    answer = doctor(server.url, "doctor", "--json", "--config", configuration)
    assert answer.code == 0, answer.err
    assert not {one["name"] for one in json.loads(answer.out)["alerts"]} & set(names)


def test_a_password_is_not_printed_where_it_fails() -> None:
    broken = f"http://me:{SECRET}@127.0.0.1:1"
    answers = [doctor(url, "--debug", "doctor") for url in (broken, f"{broken}/?{SECRET}")]
    assert [answer.code for answer in answers] == [1, 2]
    assert not any(SECRET in answer.out + answer.err for answer in answers)


def test_geth_without_the_labels_of_the_contract_is_told_so_and_loaded_rules_measure_themselves(
    tmp_path: Path,
) -> None:
    bare = {name: value for name, value in GETH.items() if name not in {"role", "implementation", "network"}}
    with scraping(
        tmp_path, geth=bare, machine={"instance": MACHINE["instance"]}, rules=(str(ROOT / "rules/*.yaml"),)
    ) as server:
        answer = doctor(server.url, "doctor", "--json")
        loaded = requests.get(f"{server.url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    found = json.loads(answer.out)
    missing = {
        (one["component"], one["label"], one["expected"]) for one in found["scraped"]["missing_labels"]
    }
    assert missing == {
        ("geth", "network", ""),
        ("geth", "role", "execution"),
        ("geth", "implementation", "geth"),
        ("node_exporter", "cluster", ""),
        ("node_exporter", "region", ""),
    }
    (stalled,) = (one for one in found["alerts"] if one["name"] == "GethDatabaseStalled")
    assert stalled["status"] == "cannot work"
    (lack,) = stalled["lacks"]
    assert lack["cause"] == "label of the contract missing"
    assert lack["why"] == "Geth is scraped by the job geth without labels of the contract"
    assert 'implementation="geth", role="execution"' in lack["mend"]
    assert found["cost"]["rules_are_loaded"] is True
    assert found["rules_loaded"] == sum(len(group["rules"]) for group in loaded)
