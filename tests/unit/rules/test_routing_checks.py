"""The checks on routes and inhibition: dangers, and rules that can never silence anything."""

from pathlib import Path

import pytest

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.rules import routing_checks
from stakewatch.rules.routing_checks import Matcher, load_inhibitions, parse_matcher

REPOSITORY = Path(__file__).parents[3]
RULES = """\
groups:
  - name: example
    rules:
      - alert: NodeDown
        expr: max by (network, instance) (stakewatch_node_up) == 0
        labels: {severity: critical, area: beacon, beacon_node: "{{ $labels.instance }}"}
      - alert: GroupSuffers
        expr: >-
          stakewatch_validators_not_earning
          * on (network) group_left (beacon_node) max by (network, beacon_node) (stakewatch_topology_info)
        labels: {severity: critical, area: validators}
      - alert: KeySlashed
        expr: max by (network, pubkey) (stakewatch_validator_slashed) == 1
        labels: {severity: critical, area: slashing, beacon_node: unknown}
"""
ROUTES = """\
route: {receiver: tickets}
receivers: [{name: tickets}]
inhibit_rules:
  - source_matchers: [alertname = NodeDown, 'beacon_node != ""']
    target_matchers: [area = validators, 'alertname =~ "GroupSuffers"']
    equal: [network, beacon_node]
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "catalogue").symlink_to(REPOSITORY / "catalogue")
    for folder, name, text in (
        ("rules", "example.yaml", RULES),
        ("alertmanager", "alertmanager.yaml", ROUTES),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    return Bundle(root=tmp_path)


def inhibition(bundle: Bundle) -> list[Finding]:
    return list(routing_checks.inhibition(bundle, Configuration()))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_good_inhibition_is_let_through(bundle: Bundle) -> None:
    assert inhibition(bundle) == []


def test_the_inhibitions_of_this_bundle_are_good() -> None:
    assert inhibition(Bundle(root=REPOSITORY)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", 'beacon_node != \"\"'", "", "both lack the label beacon_node"),
        (", 'beacon_node != \"\"'", ", 'beacon_node =~ \".*\"'", "both lack the label beacon_node"),
        ("[area = validators, 'alertname =~ \"GroupSuffers\"']", "['severity = critical']", "slashing too"),
        ("[area = validators, 'alertname =~ \"GroupSuffers\"']", "['alertname != Watchdog']", "slashing too"),
        ("area = validators, 'alertname =~ \"GroupSuffers\"'", "'area =~ \"s.*\"'", "never silenced"),
        ("'alertname =~ \"GroupSuffers\"'", "alertname = GroupSufers", 'no alert is named "GroupSufers"'),
        ("alertname = NodeDown", "alertname = NodeGone", "no alert can be its source"),
        ("area = validators", "area = beacon", "no alert can be its target"),
        (
            "equal: [network, beacon_node]",
            "equal: [network, beacon_node, zone]",
            "never carries",
        ),
        ("alertname = NodeDown", "alertname: NodeDown", "is no matcher"),
    ],
)
def test_an_inhibition_that_is_wrong_is_found(bundle: Bundle, old: str, new: str, message: str) -> None:
    change(bundle.alertmanager / "alertmanager.yaml", old, new)
    findings = inhibition(bundle)
    assert any(message in finding.message for finding in findings), findings


def test_a_slashing_alert_by_its_own_name_is_found_too(bundle: Bundle) -> None:
    change(bundle.alertmanager / "alertmanager.yaml", "area = validators, ", "")
    change(bundle.alertmanager / "alertmanager.yaml", "GroupSuffers", "GroupSuffers|KeySlashed")
    (finding,) = inhibition(bundle)
    assert finding.message == "it silences KeySlashed: a slashing alert is never silenced"
    assert finding.line == 4


@pytest.mark.parametrize("text", ["", "[]", "route: {}", "groups: []", "{}"])
def test_a_file_that_routes_nothing_is_a_finding(bundle: Bundle, text: str) -> None:
    (bundle.alertmanager / "alertmanager.yaml").write_text(text, encoding="utf-8")
    (finding,) = inhibition(bundle)
    assert "no Alertmanager configuration" in finding.message


@pytest.mark.parametrize("text", ["[" * 100_000, "route: !!python/object:os.system x", "route: ["])
def test_routes_that_cannot_be_read_are_an_error_with_their_place(bundle: Bundle, text: str) -> None:
    (bundle.alertmanager / "alertmanager.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"alertmanager\.yaml"):
        inhibition(bundle)


def test_a_configuration_without_inhibition_is_one(bundle: Bundle) -> None:
    path = bundle.alertmanager / "alertmanager.yaml"
    path.write_text(ROUTES.partition("inhibit_rules")[0], encoding="utf-8")
    assert load_inhibitions(path) == ()
    assert inhibition(bundle) == []


@pytest.mark.parametrize(
    ("text", "text_of_label", "expected"),
    [
        ("area = beacon", "beacon", True),
        ('area="beacon"', "node", False),
        ("area != beacon", "", True),
        ('area =~ "a|b"', "ab", False),
        ('area =~ "a|b"', "b", True),
        ('area !~ "a.*"', "ab", False),
        ('instance != ""', "", False),
    ],
)
def test_a_matcher_is_read_as_alertmanager_reads_it(text: str, text_of_label: str, *, expected: bool) -> None:
    assert parse_matcher(text).matches(text_of_label) is expected


def test_a_matcher_names_only_the_alerts_that_it_asks_for() -> None:
    assert Matcher("alertname", "=~", "A|B").names_alerts == ("A", "B")
    assert Matcher("alertname", "!=", "A").names_alerts == ()
    assert Matcher("area", "=", "A").names_alerts == ()
