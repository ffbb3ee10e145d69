"""Pitfalls: each is found where it is, not found where it is not, and waived by a comment with a reason."""

from datetime import date
from pathlib import Path

import pytest

from stakewatch.catalogue import load_catalogue
from stakewatch.rules.files import parse_rule_file
from stakewatch.rules.pitfall_findings import pitfall_findings
from stakewatch.rules.pitfalls import FINDERS, pitfalls, surroundings_of

ROOT = Path(__file__).parents[3]
CATALOGUE = load_catalogue(ROOT / "catalogue")
TODAY = date(2026, 6, 1)


def codes(expression: str, more: str = "") -> list[str]:
    text = f"groups: [{{name: a, rules: [{{alert: A, expr: {expression!r}{more}}}]}}]"
    rule_file = parse_rule_file(text, Path("a.yaml"))
    (rule,) = rule_file.rules
    return [one.code for one in pitfalls(rule, surroundings_of([rule_file], CATALOGUE))]


@pytest.mark.parametrize(
    ("code", "wrong", "right"),
    [
        ("always-fires", "up", "up == 0"),
        ("always-fires", "vector(1)", "absent(up)"),
        ("always-fires", "up or down > 1", "up == 0 or down > 1"),
        ("always-fires", "up and down", "up and down > 1"),
        ("always-fires", "up > bool 1", "up unless down"),
        ("always-fires", "sum(up) by (job)", "sum(up == 0) by (job)"),
        ("always-fires", "up", "level:broken:rule"),
        (
            "rate-of-gauge",
            "rate(node_memory_MemFree_bytes[5m]) > 1",
            "delta(node_memory_MemFree_bytes[5m]) > 1",
        ),
        ("rate-of-gauge", "increase(p2p_peers[5m]) > 1", "increase(node_vmstat_oom_kill[5m]) > 1"),
        (
            "counter-compared",
            "container_oom_events_total > 0",
            "increase(container_oom_events_total[5m]) > 0",
        ),
        ("counter-compared", "sum(container_oom_events_total) > 0", "sum(up) > 0"),
        (
            "short-range",
            "rate(container_oom_events_total[30s]) > 1",
            "rate(container_oom_events_total[1m]) > 1",
        ),
        ("space-in-matcher", 'up{job=" erigon"} == 0', 'up{job="erigon"} == 0'),
        ("regex-as-text", 'up{job="a|b"} == 0', 'up{job=~"a|b"} == 0'),
        ("regex-as-text", 'up{job!="a.*"} == 0', 'up{job!~"a.*"} == 0'),
        (
            "quantile-without-le",
            "histogram_quantile(0.9, sum(rate(stakewatch_request_duration_seconds_bucket[5m]))) > 1",
            "histogram_quantile(0.9, sum by (le) (rate(stakewatch_request_duration_seconds_bucket[5m]))) > 1",
        ),
        (
            "rate-after-sum",
            "rate(sum(container_oom_events_total)[5m:]) > 1",
            "sum(rate(container_oom_events_total[5m])) > 1",
        ),
        ("never-match", "sum by (a) (up) / sum by (b) (up) > 1", "sum by (a) (up) / sum by (a) (up) > 1"),
        ("never-match", "sum by (a) (up) / sum(up) > 1", "sum by (a) (up) / on () group_left sum(up) > 1"),
    ],
)
def test_a_pitfall_is_found_where_it_is_and_not_beside_it(code: str, wrong: str, right: str) -> None:
    assert code in codes(wrong)
    assert codes(right) == []


def test_a_label_that_no_result_carries_leaves_a_hole_in_the_text() -> None:
    text = ', annotations: {description: "{{ $labels.pod }} of {{ .Labels.job }}, not $labels.plain"}'
    assert codes("sum by (job) (up) == 0", text) == ["label-lost"]
    assert codes("sum by (job, pod) (up) == 0", text) == []
    assert codes("sum by (a) (up) == 0", ', labels: {b: "{{ $labels.c }}"}') == ["label-lost"]


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
    rule_file = parse_rule_file(text, Path("a.yaml"))
    surroundings = surroundings_of([rule_file], CATALOGUE)
    assert [one.code for rule in rule_file.rules for one in pitfalls(rule, surroundings)] == []


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
    assert all(f"\n## {code}\n" in page for code in FINDERS)
    assert page.count("\n## ") == len(FINDERS) + 1
