"""What there is to prove of an alert, derived from its expression, and the twins that prove it."""

import pytest

from stakewatch.errors import InputError
from stakewatch.promql import PromqlError, parse
from stakewatch.rules.files import Rule
from stakewatch.rules.twins import (
    Case,
    candidates,
    has_instances,
    points,
    recorded_instances,
    twins,
    unaware_of,
)


def rule(expression: str, duration: str | None = None) -> Rule:
    return Rule(expression=expression, alert="A", duration=duration, annotations={"summary": "x"})


def subjects(expression: str, case: Case) -> list[str]:
    return [point.subject for point in points(rule(expression), {}) if point.case is case]


def twin_expressions(expression: str, case: Case) -> list[str]:
    return [
        twin.rule.expression
        for twin in twins(rule(expression), 30)
        if twin.point is not None and twin.point.case is case
    ]


def test_a_constant_can_only_fire() -> None:
    assert [point.case for point in points(rule("vector(1)"), {})] == [Case.FIRES]


@pytest.mark.parametrize("duration", [None, "0s", "0"])
def test_without_for_there_is_no_step_before_it(duration: str | None) -> None:
    assert Case.BEFORE not in {point.case for point in points(rule("up == 0", duration), {})}


def test_with_for_there_is_a_step_before_it() -> None:
    assert Case.BEFORE in {point.case for point in points(rule("up == 0", "1m"), {})}


@pytest.mark.parametrize("expression", ["up == 0", "up != 1", "absent(up)", "up", "a - b"])
def test_equality_and_absence_have_no_threshold(expression: str) -> None:
    assert subjects(expression, Case.THRESHOLD) == []


@pytest.mark.parametrize("operator", [">", ">=", "<", "<="])
def test_every_ordering_has_a_threshold_on_either_side(operator: str) -> None:
    assert subjects(f"a {operator} 1", Case.THRESHOLD) == [f"a {operator} 1"]
    assert subjects(f"1 {operator} a", Case.THRESHOLD) == [f"1 {operator} a"]
    assert subjects(f"a {operator} b", Case.THRESHOLD) == [f"a {operator} b"]


def test_each_comparison_counts_once_however_often_it_is_written() -> None:
    assert subjects("a > 1 and b < 2 or a > 1", Case.THRESHOLD) == ["a > 1", "b < 2"]


@pytest.mark.parametrize(("written", "twin"), [(">", ">="), (">=", ">"), ("<", "<="), ("<=", "<")])
def test_the_twin_of_a_threshold_differs_only_at_equality(written: str, twin: str) -> None:
    assert twin_expressions(f"sum(a) {written} 5", Case.THRESHOLD) == [f"sum(a) {twin} 5"]


def test_only_one_of_two_comparisons_changes_in_a_twin() -> None:
    assert twin_expressions("a > 1 and b > 2", Case.THRESHOLD) == ["a >= 1 and b > 2", "a > 1 and b >= 2"]


def test_a_comparison_to_a_boolean_has_a_threshold_too() -> None:
    assert twin_expressions("sum(a > bool 5) == 2", Case.THRESHOLD) == ["sum(a >= bool 5) == 2"]


def test_each_matcher_is_left_out_wherever_it_stands() -> None:
    expression = 'a{x="1", y!="2"} unless b{x="1"}'
    assert subjects(expression, Case.DECOY) == ['x="1"', 'y!="2"']
    assert twin_expressions(expression, Case.DECOY) == ['a{y!="2"} unless b', 'a{x="1"} unless b{x="1"}']


def test_without_matchers_there_is_no_decoy() -> None:
    assert subjects('a > 1 or {__name__="b"} > 2', Case.DECOY) == []


def test_a_selector_without_a_name_still_selects_something_without_its_matcher() -> None:
    (twin,) = twin_expressions('{x="1"} == 0', Case.DECOY)
    assert twin == '{__name__=~".+"} == 0'
    parse(twin)


def test_the_twin_of_a_decoy_ignores_the_label_that_it_no_longer_pins() -> None:
    assert [twin.ignoring for twin in twins(rule('absent(up{job="x"})'), 30)] == [None, "job"]


def test_the_twins_of_for_wait_one_evaluation_more_and_less() -> None:
    durations = [(twin.point and twin.point.case, twin.rule.duration) for twin in twins(rule("a", "1m"), 15)]
    assert durations == [(None, "1m"), (Case.FIRES, "1m15s"), (Case.BEFORE, "45s")]


def test_for_shorter_than_an_evaluation_becomes_none_and_not_negative() -> None:
    assert [twin.rule.duration for twin in twins(rule("a", "10s"), 60)] == ["10s", "1m10s", "0s"]


def test_twins_have_no_annotations_to_render() -> None:
    assert all(not twin.rule.annotations for twin in twins(rule("a > 1", "1m"), 30))


def test_both_sides_of_or_and_the_conditions_of_and_and_unless_are_branches() -> None:
    expression = "(a or b) and c unless d"
    assert subjects(expression, Case.BRANCHES) == ["unless d", "and c", "a or", "or b"]
    assert twin_expressions(expression, Case.BRANCHES) == [
        "(a or b) and c",
        "(a or b) unless d",
        "(b) and c unless d",
        "(a) and c unless d",
    ]


def test_every_point_has_a_twin_or_is_seen_without_one() -> None:
    alert = rule('a{x="1"} > 5 unless b == 0', "5m")
    with_twin = {twin.point for twin in twins(alert, 30)} - {None}
    assert set(points(alert, {})) - with_twin == {
        point for point in points(alert, {}) if point.case is Case.INSTANCES
    }


@pytest.mark.parametrize(
    "expression",
    [
        "up",
        "sum by (job) (up)",
        "sum without (job) (up)",
        "topk(1, up)",
        "rate(a[5m]) > 1",
        "a * on (x) group_left b",
        "sum(b) * on () group_right a",
        "vector(1) or up",
        "1 - up",
        'count_values("v", a)',
        "max_over_time((a > 1)[5m:])",
    ],
)
def test_labels_of_series_make_instances(expression: str) -> None:
    assert has_instances(parse(expression), {})


@pytest.mark.parametrize(
    "expression",
    [
        "vector(1)",
        "1",
        "sum(up)",
        "count by () (up)",
        "absent(up)",
        "absent_over_time(up[5m])",
        "sum(a) / sum(b)",
        "a + on () b",
        "vector(time()) - vector(1) > 0",
        "vector(scalar(up))",
        "vector(1) and up",
        "vector(1) unless up",
        "topk(1, sum(up))",
    ],
)
def test_one_value_has_no_instances(expression: str) -> None:
    assert not has_instances(parse(expression), {})


def test_a_recorded_series_has_the_instances_of_what_it_records_in_any_order() -> None:
    rules = [
        Rule(expression="one:series:sum * 2", record="twice:series:sum"),
        Rule(expression="sum(a)", record="one:series:sum"),
        Rule(expression="a", record="many:series:a"),
    ]
    recorded = recorded_instances(rules)
    assert recorded == {"twice:series:sum": False, "one:series:sum": False, "many:series:a": True}
    assert Case.INSTANCES not in {point.case for point in points(rule("twice:series:sum > 1"), recorded)}


def test_rules_that_record_each_other_come_to_an_end() -> None:
    rules = [Rule(expression="b", record="a"), Rule(expression="a", record="b")]
    assert recorded_instances(rules) == {"a": True, "b": True}


@pytest.mark.parametrize(
    ("expression", "candidate"),
    [
        ("up == 0", "up"),
        ("10 < up", "up"),
        ("(a > 1 and b > 2) * on (x) group_left c", "(a) * on (x) group_left () c"),
        ("a unless b", "a"),
        ("a > 1 or b > 2", "a or b"),
        ("max by (x) (a < 5)", "max by (x) (a)"),
        ("a > bool 1", "a > bool 1"),
    ],
)
def test_what_could_fire_is_the_expression_without_conditions(expression: str, candidate: str) -> None:
    assert candidates(expression) == candidate


def test_a_rule_that_counts_alerts_does_not_see_twins() -> None:
    assert unaware_of("count(ALERTS)", "twin.*") == 'count(ALERTS{alertname!~"twin.*"})'
    assert unaware_of("a  >  1", "twin.*") == "a  >  1"


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(PromqlError):
        points(rule("a >"), {})


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(InputError):
        points(rule("a", "soon"), {})
