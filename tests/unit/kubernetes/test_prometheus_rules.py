"""Rule files as objects of the operator."""

from pathlib import Path
from typing import Any

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import Destination, skipped_groups
from stakewatch.bundle.validation import schema
from stakewatch.errors import InputError
from stakewatch.kubernetes.prometheus_rules import prometheus_rules
from stakewatch.rules.files import RuleFile, parse_rule_file
from tests.unit.kubernetes.conftest import Fleet

TEXT = """\
groups:
  - name: beacon
    interval: 1m
    rules:
      - {alert: Down, expr: up == 0, for: 1m, labels: {severity: critical}}
  - name: local_prometheus
    rules:
      - {record: "a:b:c", expr: up}
"""


def rule_file(name: str = "beacon.yaml", text: str = TEXT) -> RuleFile:
    return parse_rule_file(text, Path(name))


def groups(*files: RuleFile, configuration: Configuration) -> dict[str, list[str]]:
    return {
        one["metadata"]["name"]: [group["name"] for group in one["spec"]["groups"]]
        for one in prometheus_rules(files, configuration)
    }


def test_an_object_carries_the_label_without_which_nobody_reads_it(fleet: Fleet) -> None:
    (one,) = prometheus_rules([rule_file()], fleet(kubernetes={"release": "mine", "namespace": "watch"}))
    assert one["metadata"]["labels"]["release"] == "mine"
    assert one["metadata"]["namespace"] == "watch"


def test_an_object_says_what_its_file_says() -> None:
    (one,) = prometheus_rules([rule_file()], Configuration())
    beacon: dict[str, Any] = one["spec"]["groups"][0]
    assert beacon["interval"] == "1m"
    assert beacon["rules"] == [
        {"alert": "Down", "expr": "up == 0", "for": "1m", "labels": {"severity": "critical"}}
    ]


def test_a_cluster_that_keeps_its_samples_evaluates_everything(fleet: Fleet) -> None:
    assert groups(rule_file(), configuration=fleet()) == {"stakewatch-beacon": ["beacon", "local_prometheus"]}


def test_a_cluster_that_sends_its_samples_evaluates_what_is_not_published(sending: Fleet) -> None:
    assert groups(rule_file(), configuration=sending()) == {"stakewatch-beacon": ["local_prometheus"]}


def test_the_workspace_says_what_is_not_published(sending: Fleet) -> None:
    chosen = sending(skip_groups=["beacon"])
    assert groups(rule_file(), configuration=chosen) == {"stakewatch-beacon": ["beacon"]}
    assert groups(rule_file(), configuration=sending(skip_groups=[])) == {}


def test_two_files_that_would_be_one_object_are_refused() -> None:
    files = [rule_file("a_b.yaml"), rule_file("sub/a-B.yaml")]
    with pytest.raises(
        InputError, match=r"sub/a-B.yaml: its object would be stakewatch-a-b, like that of a_b"
    ):
        list(prometheus_rules(files, Configuration()))


@pytest.mark.parametrize("name", ["---.yaml", f"{'x' * 53}.yaml", "规则.yaml"])
def test_a_file_whose_name_cannot_name_an_object_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot name an object"):
        list(prometheus_rules([rule_file(name)], Configuration()))


def test_the_longest_name_is_taken() -> None:
    (one,) = prometheus_rules([rule_file(f"{'x' * 52}.yaml")], Configuration())
    assert len(one["metadata"]["name"]) == 63


def test_a_file_that_the_operator_would_not_take_is_refused() -> None:
    text = "groups:\n  - name: large\n    rules:\n      - record: a:b:c\n        expr: |\n"
    text += "          up\n" + "          or up\n" * 100_000
    with pytest.raises(InputError, match="the operator takes 524,288"):
        list(prometheus_rules([rule_file("large.yaml", text)], Configuration()))


def test_what_is_not_published_by_default_is_what_the_schema_says() -> None:
    (form,) = [
        case["then"]
        for case in schema()["properties"]["publish"]["additionalProperties"]["allOf"]
        if case["then"]["title"] == "amp"
    ]
    destination = Destination("production", "amp")
    assert skipped_groups(destination) == set(form["properties"]["skip_groups"]["default"])
