"""What surely yields nothing in a test, told from what the test gives."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stakewatch.rules.files import Rule
from stakewatch.rules.mutation.dependencies import rule_set
from stakewatch.rules.mutation.emptiness import Emptiness
from stakewatch.rules.scenarios import Scenario, find_scenarios

RULES = """groups:
  - name: load
    rules:
      - {record: "load:percent", expr: 'load{job="node"} * 100'}
      - {record: "idle:percent", expr: 'idle * 100'}
      - {record: "idle:later", expr: 'idle:even_later + 0'}
      - {record: "idle:even_later", expr: 'idle:percent + 0'}
      - {record: "load:later", expr: 'load:even_later + 0'}
      - {record: "load:even_later", expr: 'load:percent + 0'}
      - {alert: Busy, expr: "load:percent > 50"}
      - {alert: Idle, expr: "idle:percent > 50"}
"""
TESTS = """rule_files: [rules.yaml]
evaluation_interval: 30s
tests:
  - name: is given
    interval: 30s
    input_series: [{series: 'SERIES', values: 1x9}]
    alert_rule_test: [{eval_time: 2m, alertname: Idle}]
"""
ABSENT = Rule(record="of:nothing", expression="idle")


def scenario_of(folder: Path, series: str) -> Scenario:
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    (folder / "rules.test.yaml").write_text(TESTS.replace("SERIES", series), encoding="utf-8")
    (scenario,) = find_scenarios(folder)
    return scenario


def stays_empty(scenario: Scenario, expression: str) -> bool:
    rules = rule_set(scenario.rule_files)
    (idle,) = (place for place, rule in rules.rules.items() if rule.record == "idle:percent")
    return Emptiness(scenario, rules).stays(idle, replace(ABSENT, expression=expression))


@pytest.mark.parametrize(
    "expression",
    [
        "idle",
        "idle[5m] offset 1h",
        "rate(idle[5m])",
        "max_over_time((idle > 0)[1h:])",
        "-(sum by (job) (idle))",
        "topk(scalar(load), idle)",
        "quantile_over_time(0.5, idle[5m])",
        "idle > 1",
        "1 < bool idle",
        "idle * on () group_left () load",
        "load and idle",
        "load / idle",
        "idle unless load",
        "idle or idle:percent",
        "idle:later or idle:even_later",
        'load{job="other"}',
        'load{job!="node"}',
        'load{job=~"o.*", instance="a"}',
        'load{instance=~".+"}',
        'ALERTS{alertname="Idle"}',
        "vector(1) and on () idle",
        "label_replace(idle, 'a', 'b', 'c', 'd')",
        "histogram_quantile(0.9, idle)",
        "count(idle) > scalar(load)",
    ],
)
def test_what_needs_a_series_that_is_not_given_is_empty(tmp_path: Path, expression: str) -> None:
    assert stays_empty(scenario_of(tmp_path, 'load{job="node"}'), expression)


@pytest.mark.parametrize(
    "expression",
    [
        "load",
        "load:later",
        "load or idle",
        "idle or load",
        "load unless idle",
        "absent(idle)",
        "absent_over_time(idle[5m])",
        "vector(scalar(idle))",
        "hour()",
        "load > scalar(idle)",
        'load{job=~"n.*"}',
        'load{job=~"(?i)NODE"}',
        'load{instance=""}',
        '{job="other"}',
        '{__name__=~"idle.*"}',
        'ALERTS{alertname="Busy"}',
        "ALERTS",
        "vector(1)",
        "count(vector(0)) + 1",
        "idle + fill (0) load",
    ],
)
def test_what_may_yield_something_is_not_taken_for_empty(tmp_path: Path, expression: str) -> None:
    assert not stays_empty(scenario_of(tmp_path, 'load{job="node"}'), expression)


def test_a_rule_that_yields_something_is_not_empty_however_it_is_changed(tmp_path: Path) -> None:
    assert not stays_empty(scenario_of(tmp_path, "idle"), "nothing_of_this_name")
    assert stays_empty(scenario_of(tmp_path, "load"), "nothing_of_this_name")


def test_a_series_that_is_given_without_a_name_leaves_all_open(tmp_path: Path) -> None:
    assert not stays_empty(scenario_of(tmp_path, '{job="node"}'), "idle")


def test_many_threads_are_told_the_same(tmp_path: Path) -> None:
    # Each record reads the one behind it, so that what yields something is only known after many rounds.
    count = 60
    chain = [f'      - {{record: "load:{one}", expr: "load:{one + 1} + 0"}}' for one in range(count)]
    chain.append(f'      - {{record: "load:{count}", expr: load}}')
    text = "\n".join(("groups:", "  - name: load", "    rules:", *chain))
    scenario_of(tmp_path, "load")
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    (scenario,) = find_scenarios(tmp_path)
    rules = rule_set(scenario.rule_files)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(max_workers=8) as pool:
            for _ in range(5):
                emptiness = Emptiness(scenario, rules)
                told = pool.map(lambda item, known=emptiness: known.stays(*item), rules.rules.items())
                assert not any(told)
    finally:
        sys.setswitchinterval(before)
