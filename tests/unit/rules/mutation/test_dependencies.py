"""Dependencies: what a rule depends on, what depends on it, and the copies that show a mutant's effect."""

from dataclasses import replace
from pathlib import Path

import pytest

from stakewatch.rules.files import parse_rule_file
from stakewatch.rules.mutation.dependencies import copies, depends_on_edges, renamed, rule_set

FILE = parse_rule_file(
    """
groups:
  - name: a
    rules:
      - record: half:x
        expr: x / 2
      - record: half:x
        expr: y / 2
        labels: {from: y}
      - record: quarter:x
        expr: half:x / 2
      - alert: Low
        expr: quarter:x < 1
      - alert: Other
        expr: z > 1
      - alert: Firing
        expr: ALERTS{alertname="Low"}
""",
    Path("a.yaml"),
)
RULES = rule_set([FILE])
HALF, HALF_OF_Y, QUARTER, LOW, OTHER, FIRING = ((Path("a.yaml"), number) for number in range(6))


def test_an_alert_depends_on_what_it_reads_through_every_recording_rule() -> None:
    assert RULES.upstream(LOW) == {LOW, QUARTER, HALF, HALF_OF_Y}
    assert RULES.upstream(OTHER) == {OTHER}


def test_what_reads_firing_alerts_depends_on_those_that_it_asks_for() -> None:
    assert RULES.upstream(FIRING) == {FIRING, LOW, QUARTER, HALF, HALF_OF_Y}
    assert RULES.affected(QUARTER) == {QUARTER, LOW, FIRING}
    assert RULES.downstream(QUARTER) == {QUARTER, LOW}


@pytest.mark.parametrize(
    ("matchers", "found"),
    [
        ("", {"Low", "Lower", "Other"}),
        ('alertname=~"Low.*"', {"Low", "Lower"}),
        ('alertname=~"Low|Other", alertstate="firing"', {"Low", "Other"}),
        ('alertname!="Low"', {"Lower", "Other"}),
        ('severity="critical"', {"Low", "Other"}),
        # A label that is made up as it fires, and one that comes from the series, may have any value.
        ('team="a"', {"Low", "Lower", "Other"}),
        ('instance="a"', {"Low", "Lower", "Other"}),
        # Python has patterns that Prometheus reads otherwise.
        ('alertname=~"Lo{1}w"', {"Low", "Lower", "Other"}),
    ],
)
def test_matchers_of_firing_alerts_are_held_to_names_and_fixed_labels(matchers: str, found: set[str]) -> None:
    written = parse_rule_file(
        """
groups:
  - name: a
    rules:
      - {alert: Low, expr: x < 1, labels: {severity: critical, team: "{{ $labels.team }}"}}
      - {alert: Lower, expr: x < 2, labels: {severity: warning}}
      - {alert: Other, expr: x > 3, labels: {severity: critical}}
""",
        Path("a.yaml"),
    )
    rules = rule_set([written])
    assert {rules.rules[place].name for place in rules.read_by(f"ALERTS{{{matchers}}}")} == found


def test_a_changed_matcher_of_firing_alerts_decides_with_what_it_asks_for() -> None:
    changed = replace(RULES.rules[FIRING], expression="ALERTS")
    assert OTHER not in RULES.decisive([FIRING])
    assert OTHER in RULES.decisive([FIRING], [changed])


def test_a_selector_without_a_name_reads_what_its_pattern_may_match() -> None:
    assert set(RULES.read_by('{__name__=~"half:.+|more"}')) == {HALF, HALF_OF_Y}
    assert set(RULES.read_by('{job="a"}')) == set(RULES.rules)
    assert set(RULES.read_by('{__name__!~"quarter:x|ALERTS.*", job="a"}')) == {HALF, HALF_OF_Y}
    assert set(RULES.read_by('{__name__=~"ALERT.", alertname="Low"}')) == {LOW}


def test_a_recording_rule_has_an_effect_on_all_that_reads_it() -> None:
    assert RULES.downstream(HALF) == {HALF, QUARTER, LOW}
    assert RULES.downstream(LOW) == {LOW}


def test_rules_that_read_each_other_in_a_circle_end() -> None:
    circle = rule_set(
        [
            parse_rule_file(
                "groups: [{name: a, rules: [{record: 'a:b', expr: 'c:d'}, {record: 'c:d', expr: 'a:b'}]}]",
                Path("c.yaml"),
            )
        ]
    )
    both = {(Path("c.yaml"), 0), (Path("c.yaml"), 1)}
    assert circle.upstream((Path("c.yaml"), 0)) == circle.downstream((Path("c.yaml"), 0)) == both


def test_copies_read_each_other_and_leave_the_rules_alone() -> None:
    changed = replace(RULES.rules[HALF], expression="x / 3")
    made = copies(RULES, HALF, changed, frozenset({HALF, QUARTER, LOW}), "m7")
    assert made[HALF].record == made[HALF_OF_Y].record
    assert made[HALF].expression == "x / 3"
    assert made[HALF_OF_Y].expression == "y / 2"
    assert made[QUARTER].expression == f"{made[HALF].record} / 2"
    assert made[LOW].expression == f"{made[QUARTER].record} < 1"
    names = {rule.name for rule in made.values()}
    assert all(name.startswith("m7_") for name in names)
    assert not names & {rule.name for rule in RULES.rules.values()}


def test_a_series_is_renamed_wherever_its_name_may_stand() -> None:
    names = {"a:b": "new"}
    assert renamed('a:b{x="a:b"} + sum(a:b) # a:b', names) == 'new{x="a:b"} + sum(new) # a:b'
    assert renamed('{__name__="a:b", c="1"}', names) == '{__name__="new", c="1"}'
    assert renamed("a:b2 + a", names) == "a:b2 + a"


def test_only_ranges_and_subqueries_can_tell_the_majors_apart() -> None:
    assert depends_on_edges("rate(x[5m])")
    assert depends_on_edges("max_over_time(x[5m:])")
    assert not depends_on_edges("x offset 5m > 3")
