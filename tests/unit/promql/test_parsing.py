"""What the tree says about an expression, and what is refused."""

import math
import pickle

import pytest

from stakewatch.errors import InputError
from stakewatch.promql import PromqlError, parse, print_expression, rewrite, walk
from stakewatch.promql.parser import MOST_CHARACTERS
from stakewatch.promql.tree import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Duration,
    DurationExpression,
    Expression,
    Grouping,
    LabelMatcher,
    MatrixSelector,
    NumberLiteral,
    SubqueryExpr,
    VectorMatching,
    VectorSelector,
)


def test_a_typical_alert_becomes_the_tree_that_it_reads_like() -> None:
    text = """
        sum by (instance) (rate(errors_total{role="beacon"}[5m]))
        / on (instance) group_left (role) up > 0.85"""
    rate = Call(
        function="rate",
        arguments=(
            MatrixSelector(
                selector=VectorSelector(
                    name="errors_total",
                    matchers=(LabelMatcher(name="role", operator="=", value="beacon"),),
                ),
                range=Duration(seconds=300),
            ),
        ),
        returns="vector",
    )
    grouping = Grouping(without=False, labels=("instance",))
    quotient = BinaryExpr(
        operator="/",
        left=AggregateExpr(operator="sum", expression=rate, grouping=grouping),
        right=VectorSelector(name="up"),
        matching=VectorMatching(keyword="on", labels=("instance",), group="left", include=("role",)),
    )
    assert parse(text) == BinaryExpr(operator=">", left=quotient, right=NumberLiteral(value=0.85))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1F", 31), ("1e3", 1000), (".5", 0.5), ("-5", -5), ("--5", 5), ("- +5", -5), ("1_000", 1000),
        ("Inf", math.inf), ("-inf", -math.inf), ("5m", 300), ("1h30m", 5400), ("-1500ms", -1.5),
    ],
)  # fmt: skip
def test_numbers_of_every_notation_have_their_value(text: str, value: float) -> None:
    assert parse(text) == NumberLiteral(value=value, is_duration=text[-1] in "ms")


def test_not_a_number_is_equal_to_itself() -> None:
    tree = parse("NaN")
    assert isinstance(tree, NumberLiteral)
    assert math.isnan(tree.value)
    assert parse("NaN") == parse(" NaN ")
    assert hash(parse("NaN")) == hash(parse(" NaN "))
    assert parse("x == NaN") != parse("x == 0")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("300", "5m"), ("x", "y"), ("x", 'x{a="b"}'), ("x", "{__name__='x'}"), ("x", "(x)"),
        ("a - b", "b - a"), ("x > 1", "x > bool 1"),
        ("sum(x)", "sum by () (x)"), ("x[5m]", "x[5m:]"), ("x[5m]", "x[5m] offset 1s"),
        ("x anchored", "x"), ("a + b", "a + on () b"), ("f == f", "f == f == f"), ("round(x)", "round(x, 1)"),
        ("a and b", "a and on () b"), ("topk(1, x)", "bottomk(1, x)"), ("x @ start()", "x @ end()"),
        ("1", '"1"'), ("a + fill (0) b", "a + fill (1) b"),
    ],
)  # fmt: skip
def test_trees_that_say_different_things_are_different(first: str, second: str) -> None:
    assert parse(first) != parse(second)
    assert parse(first) == parse(f"  {first} # comment")
    assert hash(parse(first)) == hash(parse(f" {first}"))


def test_the_same_names_in_another_nesting_are_a_different_tree() -> None:
    a, b = VectorSelector(name="a"), VectorSelector(name="b")

    def call(*arguments: Expression) -> Call:
        return Call(function="f", arguments=arguments, returns="vector")

    assert call(a, call(b)) != call(call(a, b))
    assert call(a, call(b)) == call(a, call(b))


def test_a_quoted_name_is_a_matcher_of_the_name_label() -> None:
    tree = parse('{"my.metric", "my.label"="é"}')
    assert isinstance(tree, VectorSelector)
    assert tree.name is None
    assert tree.metric_name == "my.metric"
    assert [(matcher.name, matcher.value) for matcher in tree.matchers] == [
        ("__name__", "my.metric"),
        ("my.label", "é"),
    ]


def test_bytes_that_are_no_text_survive() -> None:
    tree = parse(r'x{a="\xff\xc3\xa9"}')
    assert isinstance(tree, VectorSelector)
    assert tree.matchers[0].value == "\udcffé"


def test_modifiers_of_a_range_belong_to_the_range() -> None:
    tree = parse("x[5m] smoothed offset 1h @ 1609746000.5")
    assert isinstance(tree, MatrixSelector)
    assert (tree.boundary, tree.offset) == ("smoothed", Duration(seconds=3600))
    assert tree.at is not None
    assert tree.at.milliseconds == 1609746000500
    assert tree.selector == VectorSelector(name="x")


def test_a_calculated_duration_is_known_by_its_text() -> None:
    tree = parse("x[step()*2:(5m)]")
    assert isinstance(tree, SubqueryExpr)
    assert tree.range == DurationExpression(text="step() * 2", uses_context=True)
    assert tree.step == DurationExpression(text="(5m)", uses_context=False)


@pytest.mark.parametrize(
    ("text", "value_type"),
    [
        ("1 + 2", "scalar"), ("x + 2", "vector"), ("2 ^ x", "vector"), ("-(1)", "scalar"),
        ("time()", "scalar"), ("sum(x)", "vector"), ("x[5m]", "matrix"), ("x[5m:]", "matrix"),
        ('"s"', "string"), ("rate(x[5m])", "vector"),
    ],
)  # fmt: skip
def test_each_expression_has_its_type(text: str, value_type: str) -> None:
    assert parse(text).value_type == value_type


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "no expression found"),
        ("  # only a comment", 1, 1, "no expression found"),
        ("x\n  > > 1", 2, 5, "unexpected"),
        ('x{a="é"} + rate(y)', 1, 17, "expected type range vector"),
        ("x[5parsecs]", 1, 3, "bad number or duration"),
        ("x[0s]", 1, 3, "must be greater than 0"),
        ("sum(x", 1, 6, "unclosed left parenthesis"),
        ('x{a=~"("}', 1, 3, "error parsing regexp"),
        ("nosuch(x)", 1, 1, "unknown function"),
        ("1 > 2", 1, 3, "must use BOOL"),
        ("x\x00", 1, 2, "unexpected character"),
        ("x or\n1", 1, 1, "set operator"),
        ("{}", 1, 1, "at least one non-empty matcher"),
    ],
)
def test_a_mistake_is_reported_with_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(PromqlError, match=message) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"expression:{line}:{column}: ")
    assert isinstance(caught.value, InputError)


def test_a_message_shows_the_line_with_carets_below_the_mistake() -> None:
    with pytest.raises(PromqlError) as caught:
        parse("up ==\n  rate(x) > 1")
    assert str(caught.value).splitlines()[1:] == ["    rate(x) > 1", "         ^"]


def test_carets_stand_right_below_wide_characters() -> None:
    with pytest.raises(PromqlError) as caught:
        parse('{a="漢字"} + rate(x)')
    line, carets = caught.value.excerpt.splitlines()
    assert line == '  {a="漢字"} + rate(x)'
    assert carets == " " * len('  {a="...."} + rate(') + "^"


def test_a_long_line_is_cut_around_the_mistake() -> None:
    with pytest.raises(PromqlError) as caught:
        parse(f"{'a + ' * 100} rate(x) {' + a' * 100}")
    line, carets = caught.value.excerpt.splitlines()
    assert len(line) < 120
    assert line[carets.index("^")] == "x"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "x" + ")" * 10_000,
        "(" * 500_000,
        "-" * 100_000 + "x",
        " + ".join(["x"] * 100_000),
        " or ".join(["x"] * 300),
        "abs(" * 300 + "x" + ")" * 300,
        "x[1m:]" + "[1m:]" * 300,
        "x[" + "(" * 5_000 + "1m" + ")" * 5_000 + "]",
    ],
)
def test_deep_nesting_is_an_error_and_no_crash(text: str) -> None:
    with pytest.raises(PromqlError):
        parse(text)
    assert parse("x") == VectorSelector(name="x")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 240 + "x" + ")" * 240,
        " or ".join(["x"] * 240),
        "-" * 240 + "x",
        "sum by (a) (" * 240 + "x" + ")" * 240,
        " or ".join(["x > 1 and y"] * 200),
    ],
)
def test_the_deepest_trees_can_be_worked_with(text: str) -> None:
    tree = parse(text)
    again = parse(print_expression(tree))
    assert again == tree
    assert hash(again) == hash(tree)
    assert rewrite(tree, lambda node: node) is tree
    assert tree.value_type == "vector"
    assert sum(1 for _ in walk(tree)) > 200


def test_a_million_characters_are_read_and_more_are_refused() -> None:
    names = "|".join(f"validator-{number}" for number in range(60_000))
    text = f'x{{a=~"{names}"}}'
    assert len(text) > 900_000
    tree = parse(text)
    assert isinstance(tree, VectorSelector)
    assert tree.matchers[0].value == names
    with pytest.raises(PromqlError, match="too long"):
        parse("x" * (MOST_CHARACTERS + 1))


def test_trees_and_errors_can_be_handed_back_by_a_worker_process() -> None:
    tree = parse('sum by (a) (rate(x{b="c"}[5m])) > 1')
    again = pickle.loads(pickle.dumps(tree))  # noqa: S301 - pickled here
    assert again == tree
    assert again.start == tree.start
    with pytest.raises(PromqlError) as caught:
        parse("x +\n rate(y)")
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - pickled here
    assert str(error) == str(caught.value)
    assert (error.line, error.column) == (2, 7)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(PromqlError, match="not valid Unicode"):
        parse('x{a="\ud800"}')
