"""Walking goes through every node; rewriting changes what it is told to and nothing else."""

from dataclasses import replace

import pytest

from stakewatch.promql import children, fold, parse, print_expression, rewrite, walk, walk_with_ancestors
from stakewatch.promql.tree import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Duration,
    Expression,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    VectorSelector,
)

TEXT = "sum by (a) (rate(x[5m])) / (topk(2, y) + 1) > 0.85"


def test_walking_goes_parents_first_in_the_order_of_the_text() -> None:
    assert [TEXT[node.start : node.end] for node in walk(parse(TEXT))] == [
        TEXT,
        "sum by (a) (rate(x[5m])) / (topk(2, y) + 1)",
        "sum by (a) (rate(x[5m]))",
        "rate(x[5m])",
        "x[5m]",
        "x",
        "(topk(2, y) + 1)",
        "topk(2, y) + 1",
        "topk(2, y)",
        "2",
        "y",
        "1",
        "0.85",
    ]


def test_ancestors_are_the_way_from_the_root() -> None:
    found = {TEXT[node.start : node.end]: ancestors for node, ancestors in walk_with_ancestors(parse(TEXT))}
    assert found[TEXT] == ()
    assert [type(node) for node in found["x"]] == [
        BinaryExpr,
        BinaryExpr,
        AggregateExpr,
        Call,
        MatrixSelector,
    ]


def test_rewriting_replaces_every_node_that_the_function_replaces() -> None:
    def double(node: Expression) -> Expression:
        return replace(node, value=node.value * 2) if isinstance(node, NumberLiteral) else node

    changed = rewrite(parse(TEXT), double)
    assert print_expression(changed) == "sum by (a) (rate(x[5m])) / (topk(4, y) + 2) > 1.7"
    assert print_expression(parse(TEXT)) == TEXT


def test_rewriting_shows_the_function_children_that_are_already_rewritten() -> None:
    def unwrap(node: Expression) -> Expression:
        return node.expression if isinstance(node, ParenExpr) else node

    assert rewrite(parse("(((x)))"), unwrap) == VectorSelector(name="x")


def test_rewriting_nothing_returns_the_same_tree() -> None:
    tree = parse(TEXT)
    assert rewrite(tree, lambda node: node) is tree


def test_every_kind_of_node_keeps_its_own_when_a_child_changes() -> None:
    text = (
        'abs(-(topk by (a) (1, x{b="c"} offset 1m)) and on (d) max_over_time(x{b="c"}[5m] @ end()) > bool 2'
        ' or label_replace(max_over_time((x{b="c"})[1h:5m] offset 3m), "e", "f", "g", "h"))'
    )

    def rename(node: Expression) -> Expression:
        return replace(node, name="y") if isinstance(node, VectorSelector) else node

    assert rewrite(parse(text), rename) == parse(text.replace("x{", "y{"))


def test_a_range_on_anything_but_a_selector_is_refused() -> None:
    with pytest.raises(TypeError, match="only a selector"):
        rewrite(parse("x[5m]"), lambda node: parse("sum(x)") if isinstance(node, VectorSelector) else node)


def test_folding_gives_each_node_the_results_of_its_children_in_order() -> None:
    def describe(node: Expression, inside: tuple[str, ...]) -> str:
        return f"{type(node).__name__[0]}({' '.join(inside)})"

    assert fold(parse("a + round(b, 2) ^ c"), describe) == "B(V() B(C(V() N()) V()))"


def test_a_selector_has_no_children_and_a_range_has_its_selector() -> None:
    tree = parse("x[5m]")
    assert children(tree) == (VectorSelector(name="x"),)
    assert children(children(tree)[0]) == ()
    assert tree == MatrixSelector(selector=VectorSelector(name="x"), range=Duration(seconds=300))
