"""Pitfalls: each is found where it is, not found where it is not, and waived by a comment with a reason."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from stakewatch.catalogue import load_catalogue
from stakewatch.rules.files import parse_rule_file
from stakewatch.rules.pitfall_findings import pitfall_findings
from stakewatch.rules.pitfall_surroundings import surroundings_of
from stakewatch.rules.pitfalls import FINDERS, pitfalls

ROOT = Path(__file__).parents[3]
CATALOGUE = load_catalogue(ROOT / "catalogue")
PITFALLS = yaml.safe_load((Path(__file__).parent / "pitfalls.yaml").read_text(encoding="utf-8"))
TODAY = date(2026, 6, 1)


def found_in(text: str) -> dict[str, list[str]]:
    """Return the codes of the pitfalls of each rule of a file, by the rule's name."""
    rule_file = parse_rule_file(text, Path("a.yaml"))
    surroundings = surroundings_of([rule_file], CATALOGUE)
    return {rule.name: [one.code for one in pitfalls(rule, surroundings)] for rule in rule_file.rules}


def named(name: str, expression: str, more: str = "") -> list[str]:
    return found_in(f"groups: [{{name: a, rules: [{{alert: {name}, expr: {expression!r}{more}}}]}}]")[name]


def codes(expression: str, more: str = "") -> list[str]:
    return named("A", expression, more)


@pytest.mark.parametrize(
    ("code", "wrong", "right"),
    [(code, pair["wrong"], pair["right"]) for code, pairs in PITFALLS.items() for pair in pairs],
)
def test_a_pitfall_is_found_where_it_is_and_not_beside_it(code: str, wrong: str, right: str) -> None:
    assert code in codes(wrong)
    assert codes(right) == []


def test_a_label_that_no_result_carries_leaves_a_hole_in_the_text() -> None:
    text = ', annotations: {description: "{{ $labels.pod }} of {{ .Labels.job }}, not $labels.plain"}'
    assert codes("sum by (job) (up) == 0", text) == ["label-lost"]
    assert codes("sum by (job, pod) (up) == 0", text) == []
    assert codes("sum by (a) (up) == 0", ', labels: {b: "{{ $labels.c }}"}') == ["label-lost"]


def test_an_alert_on_too_little_that_fires_on_more_is_found_by_its_name_or_its_text() -> None:
    assert named("PeersLow", "p2p_peers > 3") == ["inverted-comparison"]
    assert named("PeersLow", "p2p_peers < 3") == []
    assert named("TooManyPeers", "max by (a) (p2p_peers) < 3") == ["inverted-comparison"]
    assert named("Relays", "relays > 0", ', annotations: {summary: "It has no relays"}') == [
        "inverted-comparison"
    ]
    assert named("Relays", "relays == 0", ', annotations: {summary: "It has no relays"}') == []


def test_more_of_what_is_bad_is_not_taken_for_an_inverted_comparison() -> None:
    assert named("RateLow", "missed_ratio > 3") == []
    assert named("PeersLow", "count(p2p_peers == 0) > 3") == []
    assert named("HeadroomLow", "1 - a / b > 0.9") == []


def test_a_for_that_outlasts_the_age_that_it_waits_for_can_never_fire() -> None:
    assert codes("mysql_uptime_seconds < 60", ", for: 1m") == ["for-too-long"]
    assert codes("mysql_uptime_seconds < 60", ", for: 59s") == []
    assert codes("mysql_uptime_seconds > 60", ", for: 1h") == []
    young = "(time() - process_start_time_seconds) / 3600 < 0.1"
    assert codes(young, ", for: 6m") == ["for-too-long"]
    assert codes(young, ", for: 5m") == []


def test_a_label_made_of_the_value_is_found_and_one_of_a_label_is_not() -> None:
    assert codes("up == 0", ', labels: {current: "{{ $value }}"}') == ["value-in-label"]
    assert codes("up == 0", ', labels: {current: "{{ .Value | humanize }}"}') == ["value-in-label"]
    assert codes("up == 0", ', labels: {current: "{{ $labels.instance }} $value"}') == []


def test_what_is_absent_has_only_the_labels_that_are_asked_for() -> None:
    text = ', annotations: {description: "{{ $labels.pod }} {{ $labels.job }}"}'
    assert codes('absent(up{job="a", pod=~"b.*"})', text) == ["label-lost"]
    assert codes('absent_over_time(up{job="a", pod="b"}[5m])', text) == []


def test_numbers_of_recorded_series_are_looked_through() -> None:
    text = """
groups:
  - name: a
    rules:
      - {record: "a:b:c", expr: "1 - sum(rate(x_total{ok='1'}[5m])) / sum(rate(x_total[5m]))"}
      - {record: "a:sum:d", expr: "sum without (pod) (x_total)"}
      - {alert: A, expr: "a:b:c > (14.4 * 1)"}
      - {alert: B, expr: "a:b:c > 14.4"}
      - {alert: C, expr: "rate(a:sum:d[5m]) > 1"}
"""
    found = found_in(text)
    assert [found[name] for name in "ABC"] == [[], ["never-true"], ["rate-after-sum"]]


def test_a_record_of_itself_is_not_followed_for_ever() -> None:
    text = 'groups: [{name: a, rules: [{record: "a:b", expr: "a:b"}, {alert: A, expr: "a:b > 1"}]}]'
    assert found_in(text)["A"] == []


def test_a_label_that_prometheus_renames_at_the_scrape_is_there() -> None:
    text = ', annotations: {description: "{{ $labels.exported_namespace }}"}'
    assert codes("kube_pod_status_phase == 0", text) == []


def test_a_for_shorter_than_an_evaluation_promises_what_it_does_not_hold() -> None:
    assert codes("up == 0", ", for: 10s") == ["short-for"]
    assert codes("up == 0", ", for: 30s") == []
    assert codes("up == 0", ", for: 0s") == []


def test_recorded_series_are_not_taken_for_those_of_the_catalogue() -> None:
    text = """
groups:
  - name: a
    rules:
      - {record: p2p_peers, expr: "up > 0"}
      - {alert: A, expr: "rate(p2p_peers[5m]) > 1"}
"""
    assert found_in(text) == {"p2p_peers": [], "A": []}


def messages(tmp_path: Path, comment: str, expression: str = "up") -> list[str]:
    path = tmp_path / "a.yaml"
    path.write_text(
        f"groups:\n  - name: a\n    rules:\n      # why\n      # {comment}\n"
        f"      - alert: A\n        expr: {expression}\n"
        "      # of the next one\n      - alert: B\n        expr: up == 0\n",
        encoding="utf-8",
    )
    rule_file = parse_rule_file(path.read_text(encoding="utf-8"), path)
    return [f"{one.line}: {one.message}" for one in pitfall_findings([rule_file], CATALOGUE, on=TODAY)]


def test_a_finding_has_its_line_and_its_code(tmp_path: Path) -> None:
    (message,) = messages(tmp_path, "plain comment")
    assert message.startswith("7: A: nothing is compared")
    assert message.endswith("(always-fires)")


def test_a_waiver_with_a_reason_excuses_until_its_date(tmp_path: Path) -> None:
    assert messages(tmp_path, "stakewatch disable always-fires it is a heartbeat") == []
    assert messages(tmp_path, "stakewatch disable always-fires a heartbeat until 2026-06-01") == []
    expired, finding = messages(tmp_path, "stakewatch disable always-fires a heartbeat until 2026-05-31")
    assert "ended on 2026-05-31" in expired
    assert "always-fires" in finding


@pytest.mark.parametrize(
    ("comment", "expression", "message"),
    [
        ("stakewatch disable always-fires", "up", "gives no reason"),
        ("stakewatch disable always-fire it is so", "up", "there is no pitfall always-fire"),
        ("stakewatch disable always-fires it is so", "up == 0", "excuses nothing"),
        ("stakewatch disable short-range it is so", "up == 0", "excuses nothing"),
    ],
)
def test_a_waiver_that_is_not_right_is_a_finding(
    tmp_path: Path, comment: str, expression: str, message: str
) -> None:
    assert any(message in one for one in messages(tmp_path, comment, expression))


def test_every_pitfall_stands_on_its_page_with_an_example() -> None:
    page = (ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    assert all(f"\n## {code}\n" in page for code in (*FINDERS, "template-error"))
    # And the waivers.
    assert page.count("\n## ") == len(FINDERS) + 2
