"""Mutants: what each operator makes of an expression."""

from types import MappingProxyType

import pytest

from stakewatch.errors import InputError
from stakewatch.promql import parse
from stakewatch.rules.files import Rule
from stakewatch.rules.mutation.mutants import APART, Operator, mutants


def made(expression: str, operator: Operator) -> list[str]:
    """Return the expressions that an operator makes, with the white space of one line."""
    rule = Rule(expression=expression, alert="A")
    found = [one for one in mutants(rule, 30) if one.operator is operator]
    return [" ".join(one.rule.expression.split()) for one in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up > 3", ["up >= 3", "up < 3", "up"]),
        ("up >= 3", ["up > 3", "up <= 3", "up"]),
        ("up < 3", ["up <= 3", "up > 3", "up"]),
        ("up <= 3", ["up < 3", "up >= 3", "up"]),
        ("up == 3", ["up != 3", "up"]),
        ("up != 3", ["up == 3", "up"]),
        ("up > bool 3", ["up >= bool 3", "up < bool 3"]),
        ("up > down", ["up >= down", "up < down"]),
    ],
)
def test_a_comparison_moves_to_its_boundary_turns_round_and_is_forgotten(
    expression: str, expected: list[str]
) -> None:
    assert made(expression, Operator.COMPARISON) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up > 0.85", ["up > 0.935", "up > 0.765"]),
        ("up > 3", ["up > 4", "up > 2"]),
        ("up > 200", ["up > 220", "up > 180"]),
        ("up > 0", ["up > 1", "up > -1"]),
        ("up > -3", ["up > -2", "up > -4"]),
        ("topk(2, up)", ["topk(3, up)", "topk(1, up)"]),
        ("up > Inf", []),
        ("up > NaN", []),
        ("up > 5m", ["up > 2m30s", "up > 10m"]),
        ("up -0", ["up -1", "up - -1"]),
    ],
)
def test_a_number_moves_by_a_tenth_and_a_whole_number_by_one_at_least(
    expression: str, expected: list[str]
) -> None:
    assert made(expression, Operator.NUMBER) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(x[10m])", ["rate(x[5m])", "rate(x[20m])"]),
        ("x offset 1h", ["x offset 30m", "x offset 2h"]),
        ("x offset -1h", ["x offset -30m", "x offset -2h"]),
        ("max_over_time(x[1h:1m])", ["max_over_time(x[30m:1m])", "max_over_time(x[2h:1m])"]),
        (
            "rate(x[10m] offset 1h)",
            [
                "rate(x[5m] offset 1h)",
                "rate(x[20m] offset 1h)",
                "rate(x[10m] offset 30m)",
                "rate(x[10m] offset 2h)",
            ],
        ),
    ],
)
def test_a_range_and_an_offset_are_halved_and_doubled(expression: str, expected: list[str]) -> None:
    assert made(expression, Operator.RANGE) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('up{a="1"}', ['up{a!="1"}', "up{}"]),
        ('up{a=~"1", b!="2"}', ['up{a!~"1", b!="2"}', 'up{b!="2"}', 'up{a=~"1", b="2"}', 'up{a=~"1"}']),
        ('{a="1", b="2"}', ['{a!="1", b="2"}', '{b="2"}', '{a="1", b!="2"}', '{a="1"}']),
        ('{__name__=~"x.+", a="1"}', ['{__name__=~"x.+", a!="1"}', '{__name__=~"x.+"}']),
        ('up{a="1",}', ['up{a!="1",}', "up{}"]),
    ],
)
def test_a_matcher_is_turned_round_and_dropped(expression: str, expected: list[str]) -> None:
    assert made(expression, Operator.MATCHER) == expected


def test_a_selector_never_loses_the_only_matcher_that_selects_something() -> None:
    assert made('{a="1", b!="2"}', Operator.MATCHER) == ['{a!="1", b!="2"}', '{a="1", b="2"}', '{a="1"}']


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum(up)", ["max(up)"]),
        ("avg(up)", ["max(up)"]),
        ("max by (a) (up)", ["min by (a) (up)"]),
        ("min(up)", ["max(up)"]),
        ("count(up)", ["sum(up)"]),
        ("topk(1, up)", ["bottomk(1, up)"]),
        ("group(up)", []),
    ],
)
def test_an_aggregation_becomes_another(expression: str, expected: list[str]) -> None:
    assert made(expression, Operator.AGGREGATION) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum by (a, b) (up)", ["sum by (b) (up)", "sum by (a) (up)"]),
        ("sum without (a) (up)", ["sum without () (up)"]),
        ("x and on (a, b) y", ["x and on (b) y", "x and on (a) y"]),
        (
            "x * on (a) group_left (b) y",
            ["x * on () group_left (b) y", "x * on (a) group_left () y"],
        ),
    ],
)
def test_grouping_and_matching_lose_one_label_at_a_time(expression: str, expected: list[str]) -> None:
    assert made(expression, Operator.GROUPING) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x and y", ["x or y", "x unless y", "x"]),
        ("x or on (a) y", ["x and on (a) y", "x unless on (a) y", "x", "y"]),
        ("x unless y", ["x and y", "x or y", "x"]),
    ],
)
def test_a_set_operator_becomes_the_others_and_loses_a_side(expression: str, expected: list[str]) -> None:
    assert made(expression, Operator.SET_OPERATOR) == expected


def test_for_is_dropped_shortened_lengthened_and_doubled() -> None:
    rule = Rule(expression="up", alert="A", duration="2m")
    found = [one.rule.duration for one in mutants(rule, 30) if one.operator is Operator.FOR]
    assert found == [None, "1m30s", "2m30s", "4m"]


def test_a_for_of_one_step_is_not_shortened_to_nothing_twice() -> None:
    rule = Rule(expression="up", alert="A", duration="30s")
    found = [one.rule.duration for one in mutants(rule, 30) if one.operator is Operator.FOR]
    assert found == [None, "1m"]


def test_without_for_there_is_nothing_to_wait_for() -> None:
    for rule in (Rule(expression="up", alert="A"), Rule(expression="up", alert="A", duration="0s")):
        assert not [one for one in mutants(rule, 30) if one.operator is Operator.FOR]


def test_a_wrong_for_is_an_error_that_says_what_a_duration_is() -> None:
    with pytest.raises(InputError, match="is not a duration"):
        mutants(Rule(expression="up", alert="A", duration="soon"), 30)


def test_severity_changes_and_other_labels_and_annotations_are_dropped_apart_from_the_score() -> None:
    rule = Rule(
        expression="up",
        alert="A",
        labels=MappingProxyType({"severity": "critical", "area": "x"}),
        annotations=MappingProxyType({"summary": "s"}),
    )
    found = {one.operator: one for one in mutants(rule, 30)}
    assert found[Operator.SEVERITY].rule.labels == {"severity": "warning", "area": "x"}
    assert found[Operator.LABEL].rule.labels == {"severity": "critical"}
    assert found[Operator.ANNOTATION].rule.annotations == {}
    assert {Operator.LABEL, Operator.ANNOTATION} == APART


def test_comments_and_layout_stay_and_every_mutant_is_an_expression_of_its_own() -> None:
    expression = """max by (cluster) (
  up{role="beacon", job=~"a|b"}  # why
) == 0
and on (cluster) rate(x[5m] offset 1h) > 1.5"""
    found = mutants(Rule(expression=expression, alert="A"), 30)
    texts = [one.rule.expression for one in found]
    assert all("# why" in text for text in texts)
    assert len({one.change for one in found}) == len(found) > 20
    trees = {parse(text) for text in texts}
    assert parse(expression) not in trees
    assert len(trees) == len(found)


def test_the_same_change_in_two_places_is_numbered() -> None:
    found = mutants(Rule(expression='x{a="1"} or y{a="1"}', alert="A"), 30)
    changes = [one.change for one in found if one.operator is Operator.MATCHER]
    assert changes == [
        'matcher: a="1" -> a!="1"',
        'matcher: a="1" -> nothing',
        'matcher: a="1" -> a!="1" #2',
        'matcher: a="1" -> nothing #2',
    ]
