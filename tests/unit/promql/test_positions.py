"""Every node knows where it stands."""

from typing import TypeVar

import pytest

from stakewatch.promql import parse, walk, walk_with_ancestors
from stakewatch.promql.tree import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    Node,
    NumberLiteral,
    SubqueryExpr,
    VectorSelector,
)
from tests.unit.promql.corpus import load_corpus, load_rules

Kind = TypeVar("Kind", bound=Node)


def _find(text: str, kind: type[Kind]) -> Kind:
    return next(node for node in walk(parse(text)) if isinstance(node, kind))


@pytest.mark.parametrize("text", [*load_corpus(), *load_rules()])
def test_the_text_of_each_node_parses_to_that_node(text: str) -> None:
    for node, ancestors in walk_with_ancestors(parse(text)):
        if ancestors and isinstance(parent := ancestors[-1], Call) and parent.function == "info":
            continue  # its second argument is no expression by itself
        assert parse(text[node.start : node.end]) == node


@pytest.mark.parametrize("text", [*load_corpus(), *load_rules()])
def test_children_lie_inside_their_parents_and_one_after_another(text: str) -> None:
    for node, ancestors in walk_with_ancestors(parse(text)):
        assert 0 <= node.start < node.end <= len(text)
        if ancestors:
            assert ancestors[-1].start <= node.start
            assert node.end <= ancestors[-1].end
    starts = [node.start for node in walk(parse(text))]
    assert starts == sorted(starts)


def test_offsets_count_characters_and_not_bytes() -> None:
    text = 'x{a="é😀"} > 0.85 # ü'
    number = _find(text, NumberLiteral)
    assert text[number.start : number.end] == "0.85"
    selector = _find(text, VectorSelector)
    assert text[selector.matchers[0].start : selector.matchers[0].end] == 'a="é😀"'


def test_an_operator_has_its_place_between_comments() -> None:
    text = "a # >\n  >= # >\n bool on (x) b"
    node = _find(text, BinaryExpr)
    assert text[node.operator_start : node.operator_end] == ">="
    assert node.matching is not None
    assert text[node.matching.start : node.matching.end] == "on (x)"


def test_ranges_steps_and_offsets_have_their_places() -> None:
    text = "max_over_time(x[ 5m ] offset - 1h) + min_over_time(y[1h : 30s] offset 2m @ end())"
    matrix, subquery = _find(text, MatrixSelector), _find(text, SubqueryExpr)
    assert matrix.offset is not None
    assert subquery.step is not None
    assert subquery.offset is not None
    assert subquery.at is not None
    places = [matrix.range, matrix.offset, subquery.range, subquery.step, subquery.offset, subquery.at]
    assert [text[place.start : place.end] for place in places] == ["5m", "- 1h", "1h", "30s", "2m", "@ end()"]


@pytest.mark.parametrize("text", ["sum by (a, b) (x)", "sum(x) by (a, b)", "(sum(x) by (a, b))"])
def test_a_grouping_has_its_place_before_and_after_the_argument(text: str) -> None:
    node = _find(text, AggregateExpr)
    assert node.grouping is not None
    assert text[node.grouping.start : node.grouping.end] == "by (a, b)"


@pytest.mark.parametrize(
    ("text", "braces"), [("x{}", "{}"), ('x { a="b", } offset 5m', '{ a="b", }'), ("x offset 5m", "")]
)
def test_braces_have_their_place(text: str, braces: str) -> None:
    node = _find(text, VectorSelector)
    assert text[node.braces_start : node.braces_end] == braces
    assert node.braces_end <= node.end


def test_an_aggregation_ends_at_its_parenthesis_whatever_a_comment_says() -> None:
    text = "(sum(x # )\n)) > 1"
    node = _find(text, AggregateExpr)
    assert text[node.start : node.end] == "sum(x # )\n)"
