"""The demo's parts, real and joined, before anything is broken."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stakewatch.bundle.folder import Bundle
from stakewatch.demo.stack import Stack, running
from stakewatch.rules.files import load_rule_files

ROOT = Path(__file__).parents[3]
LIMIT_SECONDS = 60.0

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(Bundle(ROOT), tmp_path_factory.mktemp("demo") / "run", lambda _: None) as stack:
        yield stack


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came to this"
        time.sleep(0.2)


def test_every_target_is_scraped(stack: Stack) -> None:
    groups = json.loads((stack.processes[0].log.parent / "targets.json").read_text(encoding="utf-8"))
    there = sum(len(group["targets"]) for group in groups) + 1
    wait_for(lambda: [target.health for target in stack.prometheus.targets()] == ["up"] * there)
    roles = {target.labels.get("role") for target in stack.prometheus.targets()}
    assert {"beacon", "execution", "validator", "exporter"} <= roles


def test_every_rule_is_evaluated_without_an_error(stack: Stack) -> None:
    wait_for(
        lambda: all(
            rule.health == "ok"
            for rule in stack.prometheus.rules()
            # Those of an hour, here more than a minute, have their turn later.
            if rule.interval_seconds < LIMIT_SECONDS
        )
    )
    written = {rule.name for file in load_rule_files(ROOT / "rules") for rule in file.rules}
    assert {rule.name for rule in stack.prometheus.rules()} == written
    assert {rule.error for rule in stack.prometheus.rules()} == {""}


def test_what_the_exporter_says_of_a_node_carries_the_labels_of_the_node_and_which_exporter_it_is(
    stack: Stack,
) -> None:
    wait_for(lambda: len(stack.prometheus.query("stakewatch_node_up")) == 8)
    contract = ("cluster", "region", "network", "role", "implementation", "instance", "exporter")
    seen = {
        tuple(sample.labels.get(name) for name in contract)
        for sample in stack.prometheus.query("stakewatch_node_up")
    }
    network, exporter = "demonet", "demonet/exporter-1"
    assert seen == {
        (node.cluster, node.region, network, node.role, node.implementation, node.instance, exporter)
        for node in stack.configuration.nodes
    }


def test_what_the_exporter_says_of_itself_carries_its_own_labels(stack: Stack) -> None:
    wait_for(lambda: len(stack.prometheus.query("stakewatch_build_info")) == 1)
    (sample,) = stack.prometheus.query("stakewatch_build_info")
    own = {name: sample.labels[name] for name in ("cluster", "network", "role", "instance", "exporter")}
    assert own == {
        "cluster": "demo-1",
        "network": "demonet",
        "role": "exporter",
        "instance": "exporter-1",
        "exporter": "demonet/exporter-1",
    }
