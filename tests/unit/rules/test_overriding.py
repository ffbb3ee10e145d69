"""What a user's configuration changes of the rules."""

from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration, Override, Urls
from stakewatch.errors import InputError
from stakewatch.rules.files import Rule, RuleFile, parse_rule_file
from stakewatch.rules.overriding import apply_configuration

TEXT = """\
groups:
  - name: memory
    rules:
      - record: level:memory:ratio
        expr: used / total
      - alert: MemoryHigh
        expr: |
          # Too much.
          level:memory:ratio > 0.85
        for: 5m
        labels: {severity: warning, area: resources}
        annotations:
          summary: Memory is short
          runbook_url: https://stakewatch.example/runbooks/MemoryHigh
          dashboard_url: https://grafana.example/d/node?var-instance={{ $labels.instance }}
          threshold: "0.85"
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: info, area: monitoring}
"""


def applied(**overrides: Override) -> tuple[RuleFile, ...]:
    rule_file = parse_rule_file(TEXT, Path("rules/memory.yaml"))
    return apply_configuration((rule_file,), Configuration(overrides=overrides))


def alert(name: str, **overrides: Override) -> Rule:
    return next(rule for rule in applied(**overrides)[0].alerts if rule.alert == name)


def test_nothing_changes_without_overrides() -> None:
    assert applied() == (parse_rule_file(TEXT, Path("rules/memory.yaml")),)


def test_a_threshold_is_replaced_in_the_expression_and_in_its_annotation_only() -> None:
    rule = alert("MemoryHigh", MemoryHigh=Override(threshold=0.9))
    assert rule.expression == "# Too much.\nlevel:memory:ratio > 0.9\n"
    assert rule.annotations["threshold"] == "0.9"
    assert rule.duration == "5m"


def test_duration_severity_and_labels_are_replaced() -> None:
    override = Override(duration="10m", severity="critical", labels={"team": "blue", "area": "machines"})
    rule = alert("MemoryHigh", MemoryHigh=override)
    assert rule.duration == "10m"
    assert dict(rule.labels) == {"severity": "critical", "area": "machines", "team": "blue"}
    assert alert("Watchdog", MemoryHigh=override).labels["severity"] == "info"


def test_an_alert_that_is_switched_off_is_gone_and_the_recorded_series_stays() -> None:
    (rule_file,) = applied(MemoryHigh=Override(enabled=False))
    assert [rule.name for rule in rule_file.rules] == ["level:memory:ratio", "Watchdog"]


def test_a_group_without_any_alert_left_is_gone() -> None:
    (rule_file,) = applied(MemoryHigh=Override(enabled=False), Watchdog=Override(enabled=False))
    assert rule_file.groups == ()


def test_an_unknown_alert_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"overrides\.MemoryHihg.*\n.*MemoryHigh") as raised:
        applied(MemoryHihg=Override(threshold=0.9))
    assert raised.value.where == "stakewatch.yaml"


def test_a_refusal_names_the_line_that_the_person_wrote() -> None:
    override = Override(threshold=0.9, place="fleet/stakewatch.yaml:7")
    with pytest.raises(InputError) as raised:
        applied(MemoryHihg=override)
    assert raised.value.where == "fleet/stakewatch.yaml:7"


@pytest.mark.parametrize("threshold", [92.0, 1.5, -0.1])
def test_a_number_in_per_cent_for_a_ratio_is_refused(threshold: float) -> None:
    text = TEXT.replace("summary: Memory is short", 'description: "{{ $value | humanizePercentage }}"')
    rule_file = parse_rule_file(text, Path("rules/memory.yaml"))
    overrides = {"MemoryHigh": Override(threshold=threshold)}
    with pytest.raises(InputError, match="is a ratio"):
        apply_configuration((rule_file,), Configuration(overrides=overrides))


def test_a_recorded_series_cannot_be_overridden() -> None:
    with pytest.raises(InputError, match="no alert has this name"):
        applied(**{"level:memory:ratio": Override(enabled=False)})


def test_a_threshold_of_an_alert_without_one_is_refused_with_the_rule_s_place() -> None:
    with pytest.raises(InputError, match=r"overrides\.Watchdog.*\n.*rules/memory\.yaml:17"):
        applied(Watchdog=Override(threshold=2.0))


def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="`for: ten minutes` is no duration"):
        applied(MemoryHigh=Override(duration="ten minutes"))


def test_a_threshold_that_does_not_stand_in_the_expression_is_the_rule_file_s_fault() -> None:
    text = TEXT.replace('threshold: "0.85"', 'threshold: "0.80"')
    rule_file = parse_rule_file(text, Path("rules/memory.yaml"))
    with pytest.raises(InputError, match=r"rules/memory\.yaml:16: the threshold of MemoryHigh"):
        apply_configuration((rule_file,), Configuration(overrides={"MemoryHigh": Override(threshold=0.9)}))


def test_links_get_the_configured_bases() -> None:
    rule_file = parse_rule_file(TEXT, Path("rules/memory.yaml"))
    urls = Urls(runbooks="https://wiki.example.org/run", grafana="https://graphs.example.org/grafana")
    (changed,) = apply_configuration((rule_file,), Configuration(urls=urls))
    texts = changed.alerts[0].annotations
    assert texts["runbook_url"] == "https://wiki.example.org/run/MemoryHigh"
    assert texts["dashboard_url"].startswith("https://graphs.example.org/grafana/d/node?var-instance={{")
    assert texts["summary"] == "Memory is short"
