"""Thresholds are those of the rule files, the user's overrides included."""

from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration, Override, Urls
from stakewatch.errors import InputError
from stakewatch.grafana.rulefiles import recorded_series
from stakewatch.grafana.thresholds import Alert, Comparison, Step, load_alerts, steps, steps_of

RULES = """
groups:
  - name: g
    rules:
      - record: container:memory_used:ratio
        expr: vector(1)
      - alert: MemoryHigh
        expr: |
          # 0.85 is a comment, and so is > 0.85
          used{text="# > 0.85"} / total > bool 0.85 and on () vector(1) < 7
        labels: {severity: warning}
        annotations:
          summary: Memory
          runbook_url: https://stakewatch.example/runbooks/MemoryHigh
          threshold: "0.85"
      - alert: NodeDown
        expr: up == 0
        labels: {severity: critical}
        annotations: {summary: Down, runbook_url: https://elsewhere.example/NodeDown}
"""


def rules(folder: Path, text: str = RULES) -> Path:
    (folder / "some.yaml").write_text(text, encoding="utf-8")
    return folder


def alert(severity: str, comparison: Comparison, threshold: float | None, *, enabled: bool = True) -> Alert:
    return Alert(f"{severity}{comparison}", severity, "", "", threshold, comparison, enabled)


def test_an_alert_is_read_with_the_threshold_and_comparison_of_its_expression(tmp_path: Path) -> None:
    found = load_alerts(rules(tmp_path), Configuration())
    assert found["MemoryHigh"] == Alert(
        "MemoryHigh", "warning", "Memory", "https://stakewatch.example/runbooks/MemoryHigh", 0.85, ">"
    )
    assert found["NodeDown"].threshold is None


def test_a_number_in_a_comment_or_a_string_is_no_threshold(tmp_path: Path) -> None:
    text = RULES.replace("> bool 0.85", "> bool 0.9")
    with pytest.raises(InputError, match=r"0\.85 of MemoryHigh stands 0 times"):
        load_alerts(rules(tmp_path, text), Configuration())


def test_a_threshold_that_stands_twice_is_refused(tmp_path: Path) -> None:
    text = RULES.replace("vector(1) < 7", "vector(1) < 0.850")
    with pytest.raises(InputError, match="stands 2 times"):
        load_alerts(rules(tmp_path, text), Configuration())


def test_a_threshold_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a number"):
        load_alerts(rules(tmp_path, RULES.replace('"0.85"', "eighty")), Configuration())


def test_overrides_change_threshold_severity_and_whether_it_is_drawn(tmp_path: Path) -> None:
    overrides = {
        "MemoryHigh": Override(threshold=0.9, severity="critical"),
        "NodeDown": Override(enabled=False),
    }
    found = load_alerts(rules(tmp_path), Configuration(overrides=overrides))
    assert (found["MemoryHigh"].threshold, found["MemoryHigh"].severity) == (0.9, "critical")
    assert not found["NodeDown"].enabled


def test_runbook_links_get_the_users_base_and_other_links_stay(tmp_path: Path) -> None:
    urls = Urls(runbooks="https://wiki.example/alerts")
    found = load_alerts(rules(tmp_path), Configuration(urls=urls))
    assert found["MemoryHigh"].runbook_url == "https://wiki.example/alerts/MemoryHigh"
    assert found["NodeDown"].runbook_url == "https://elsewhere.example/NodeDown"


def test_two_alerts_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(RULES, encoding="utf-8")
    with pytest.raises(InputError, match="two alerts are named MemoryHigh"):
        load_alerts(rules(tmp_path), Configuration())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no groups"),
        ("- just a list", "has no groups"),
        ("groups: {}", "has no groups"),
        ("groups: [{name: a}]", "has no rules"),
        ("groups: [3]", "has no rules"),
        ("groups: [\n  {\n", "not YAML"),
    ],
)
def test_a_file_that_is_no_rule_file_is_refused_with_its_name(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_alerts(rules(tmp_path, text), Configuration())
    assert (caught.value.where or "").startswith(str(tmp_path / "some.yaml:"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_alerts(tmp_path, Configuration())


def test_recorded_series_are_known_by_name(tmp_path: Path) -> None:
    assert recorded_series(rules(tmp_path)) == {"container:memory_used:ratio"}


def test_too_much_is_drawn_upwards_by_severity() -> None:
    scale = steps_of([alert("critical", ">", 0.95), alert("warning", ">", 0.85)])
    assert scale == (Step(None, "green"), Step(0.85, "orange"), Step(0.95, "red"))


def test_too_little_is_drawn_downwards_by_severity() -> None:
    scale = steps_of([alert("warning", "<", 10), alert("critical", "<=", 3)])
    assert scale == (Step(None, "red"), Step(3, "orange"), Step(10, "green"))


def test_of_two_alerts_at_one_number_the_more_severe_gives_the_colour() -> None:
    either_way = (
        [alert("warning", ">", 1), alert("critical", ">", 1)],
        [alert("critical", ">", 1), alert("info", ">", 1)],
    )
    assert {steps_of(alerts) for alerts in either_way} == {(Step(None, "green"), Step(1, "red"))}


def test_a_disabled_alert_and_one_without_threshold_draw_nothing() -> None:
    assert steps_of([alert("critical", ">", 1, enabled=False), alert("critical", ">", None)]) == (
        Step(None, "green"),
    )


def test_steps_of_a_panel_are_ordered_by_their_numbers() -> None:
    assert steps(start="green", red=9, orange=3) == (Step(None, "green"), Step(3, "orange"), Step(9, "red"))
