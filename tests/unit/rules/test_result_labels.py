"""The labels that results can carry, from expressions alone."""

from pathlib import Path

import pytest

from stakewatch.catalogue import load_catalogue
from stakewatch.rules.files import Rule, load_rule_files
from stakewatch.rules.result_labels import ResultLabels

REPOSITORY = Path(__file__).parents[3]
CATALOGUE = load_catalogue(REPOSITORY / "catalogue")
RECORDS = """\
groups:
  - name: example
    rules:
      - {record: "group:cause:info", expr: "count by (group, beacon_node) (stakewatch_topology_info)"}
      - {record: "group:cause:info", expr: "group by (network) (up)", labels: {origin: configured}}
      - {record: "group:itself:sum", expr: "sum by (group) (group:itself:sum)"}
"""
CANDIDATES = ("cluster", "group", "instance", "network", "beacon_node", "pubkey", "origin", "le", "other")


@pytest.fixture
def found(tmp_path: Path) -> ResultLabels:
    (tmp_path / "rules.yaml").write_text(RECORDS, encoding="utf-8")
    return ResultLabels(load_rule_files(tmp_path), CATALOGUE)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up", "cluster instance network"),
        ("stakewatch_validator_active", "cluster group instance network pubkey"),
        ("max by (network, group) (stakewatch_validator_active)", "group network"),
        ("max by (network, nonsense) (up)", "network"),
        ("max(up)", ""),
        ("max without (instance) (up)", "cluster network"),
        ("topk by (network) (1, up)", "cluster instance network"),
        ("up and on (cluster) stakewatch_validator_active", "cluster instance network"),
        ("max by (network) (up) or max by (cluster) (up)", "cluster network"),
        ("up > 1", "cluster instance network"),
        ("1 - up", "cluster instance network"),
        ("up * on (cluster) up", "cluster"),
        ("up * ignoring (cluster) up", "instance network"),
        (
            "up * on (network) group_left (beacon_node) group:cause:info",
            "beacon_node cluster instance network",
        ),
        (
            "group:cause:info * on (network) group_right (beacon_node) up",
            "beacon_node cluster instance network",
        ),
        ("group:cause:info", "beacon_node network origin"),
        ("group:itself:sum", ""),
        ('label_replace(max by (cluster) (up), "other", "$1", "cluster", "(.*)")', "cluster other"),
        ('count_values by (cluster) ("other", up)', "cluster other"),
        ("vector(1)", ""),
        ('absent(up{cluster="a", network=~"b.*", instance!="c"})', "cluster"),
        ('absent_over_time(up{instance="a"}[5m])', "instance"),
        ("absent(sum(up))", ""),
        ("time() - max by (cluster) (up)", "cluster"),
        ("rate(up[5m])", "cluster instance network"),
        ("max_over_time(max by (cluster) (up)[1h:1m])", "cluster"),
        ("-(up)", "cluster instance network"),
    ],
)
def test_the_labels_of_a_result(found: ResultLabels, expression: str, expected: str) -> None:
    labels = found.of_rule(Rule(expression=expression, record="a:b:c"))
    assert [name for name in CANDIDATES if name in labels] == sorted(expected.split(), key=CANDIDATES.index)


def test_of_an_unknown_metric_every_label_is_possible(found: ResultLabels) -> None:
    labels = found.of_rule(Rule(expression="sum without (le) (unheard_of_total)", record="a:b:c"))
    assert "anything" in labels


def test_an_alert_has_its_own_labels_and_its_name_too(found: ResultLabels) -> None:
    labels = found.of_rule(Rule(expression="max(up)", alert="Down", labels={"severity": "critical"}))
    assert "severity" in labels
    assert "alertname" in labels
    assert "instance" not in labels
