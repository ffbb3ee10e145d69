"""What is printed says the same as the tree."""

import pytest

from stakewatch.promql import parse, print_expression, rewrite, walk
from stakewatch.promql.tree import (
    AtModifier,
    BinaryExpr,
    Duration,
    Expression,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    UnaryExpr,
    VectorSelector,
)
from tests.unit.promql.corpus import load_corpus, load_rules
from tests.unit.promql.random_trees import Trees

_CORPUS = load_corpus()
A, B, C = (VectorSelector(name=name) for name in "abc")


def _without_parentheses(tree: Expression) -> Expression:
    return rewrite(tree, lambda node: node.expression if isinstance(node, ParenExpr) else node)


def test_the_corpus_has_every_kind_of_node() -> None:
    kinds = {type(node).__name__ for text in _CORPUS for node in walk(parse(text))}
    assert kinds == {
        "NumberLiteral", "StringLiteral", "VectorSelector", "MatrixSelector", "SubqueryExpr", "Call",
        "AggregateExpr", "BinaryExpr", "UnaryExpr", "ParenExpr",
    }  # fmt: skip


@pytest.mark.parametrize("text", _CORPUS)
def test_what_is_printed_parses_to_an_equal_tree(text: str) -> None:
    tree = parse(text)
    printed = print_expression(tree)
    assert parse(printed) == tree
    assert print_expression(parse(printed)) == printed


def test_our_own_rules_parse_and_print_to_equal_trees() -> None:
    expressions = load_rules()
    assert expressions
    for text in expressions:
        assert parse(print_expression(parse(text))) == parse(text)


@pytest.mark.parametrize("seed", range(40))
def test_random_trees_survive_printing_and_parsing(seed: int) -> None:
    trees = Trees(seed)
    for depth in [1, 2, 3, 4, 5] * 6:
        tree = trees.draw(depth)
        assert _without_parentheses(parse(print_expression(tree))) == tree, print_expression(tree)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("sum(x)BY(a,b)>.5", "sum by (a, b) (x) > 0.5"),
        ("x{ b='1' , a=~`\\d` , }[300]offset-1h", 'x{b="1", a=~"\\\\d"}[5m] offset -1h'),
        ("1e3 + 0x10 + 1_000", "1000 + 16 + 1000"),
        ("Inf + nan", "+Inf + NaN"),
        ("a*on(x)group_left b # why", "a * on (x) group_left () b"),
        ("a + fill_right(1) fill_left(1) b", "a + fill (1) b"),
        ("x @ 5", "x @ 5.000"),
        ("x offset (5m*2)", "x offset +(5m * 2)"),
    ],
)
def test_the_canonical_form(text: str, canonical: str) -> None:
    assert print_expression(parse(text)) == canonical


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (BinaryExpr(operator="*", left=BinaryExpr(operator="+", left=A, right=B), right=C), "(a + b) * c"),
        (BinaryExpr(operator="-", left=A, right=BinaryExpr(operator="-", left=B, right=C)), "a - (b - c)"),
        (BinaryExpr(operator="-", left=BinaryExpr(operator="-", left=A, right=B), right=C), "a - b - c"),
        (BinaryExpr(operator="^", left=BinaryExpr(operator="^", left=A, right=B), right=C), "(a ^ b) ^ c"),
        (BinaryExpr(operator="^", left=NumberLiteral(value=-1), right=A), "(-1) ^ a"),
        (BinaryExpr(operator="^", left=A, right=NumberLiteral(value=-1)), "a ^ -1"),
        (UnaryExpr(operator="-", expression=BinaryExpr(operator="*", left=A, right=B)), "-(a * b)"),
        (UnaryExpr(operator="-", expression=BinaryExpr(operator="^", left=A, right=B)), "-a ^ b"),
        (UnaryExpr(operator="-", expression=NumberLiteral(value=1)), "-(1)"),
        (VectorSelector(name="on"), '{"on"}'),
        (VectorSelector(name="my.metric"), '{"my.metric"}'),
    ],
)
def test_a_tree_built_by_hand_gets_the_parentheses_and_quotes_that_it_needs(
    tree: Expression, text: str
) -> None:
    assert print_expression(tree) == text
    parse(text)


@pytest.mark.parametrize(
    "tree",
    [
        StringLiteral(value="\ud800"),
        MatrixSelector(selector=A, range=Duration(seconds=0)),
        MatrixSelector(selector=A, range=Duration(seconds=-5)),
        MatrixSelector(selector=A, range=Duration(seconds=1), offset=Duration(seconds=1e12)),
        VectorSelector(name="a", at=AtModifier()),
    ],
)
def test_what_promql_cannot_say_is_refused(tree: Expression) -> None:
    with pytest.raises(ValueError, match=r"."):
        print_expression(tree)
