"""What a user's configuration changes of the rules."""

from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration, Objectives, Override, Urls
from stakewatch.errors import InputError
from stakewatch.rules.files import Rule, RuleFile, load_rule_files, parse_rule_file
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


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_nothing_and_all_are_ratios_too(threshold: float) -> None:
    rule = alert("MemoryHigh", MemoryHigh=Override(threshold=threshold))
    assert float(rule.annotations["threshold"]) == threshold


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


OBJECTIVE = """\
groups:
  - name: budget
    rules:
      - record: objective:stakewatch_attestation_inclusion:ratio
        expr: vector(0.99)
      - record: level:other:ratio
        expr: vector(0.99)
      - alert: BudgetBurn
        expr: burnt / scalar(1 - objective:stakewatch_attestation_inclusion:ratio) > 6
        labels: {severity: warning, area: validators}
"""


def expressions(objectives: Objectives) -> list[str]:
    rule_file = parse_rule_file(OBJECTIVE, Path("rules/budget.yaml"))
    (changed,) = apply_configuration((rule_file,), Configuration(objectives=objectives))
    return [rule.expression for rule in changed.rules]


def test_an_objective_rewrites_the_constant_rule_that_holds_it_and_no_other() -> None:
    assert expressions(Objectives(attestation_inclusion=0.995))[:2] == ["vector(0.995)", "vector(0.99)"]


def test_without_an_objective_the_rule_file_s_own_stays() -> None:
    assert expressions(Objectives())[0] == "vector(0.99)"


def test_an_objective_that_no_rule_holds_is_refused_with_its_place() -> None:
    rule_file = parse_rule_file(TEXT, Path("rules/memory.yaml"))
    objectives = Objectives(attestation_inclusion=0.995, place="stakewatch.yaml:7")
    with pytest.raises(InputError) as caught:
        apply_configuration((rule_file,), Configuration(objectives=objectives))
    assert caught.value.where == "stakewatch.yaml:7"
    assert "objective:stakewatch_attestation_inclusion:ratio" in caught.value.what


def test_the_rules_of_the_bundle_hold_every_objective() -> None:
    rule_files = load_rule_files(Path(__file__).parents[3] / "rules")
    objectives = Objectives(attestation_inclusion=0.9421)
    changed = apply_configuration(rule_files, Configuration(objectives=objectives))
    assert [one.expression for file in changed for one in file.records if "objective:" in one.name] == [
        "vector(0.9421)"
    ]
