"""Expressions with tokens lost, doubled and swapped: refused with a place, or understood completely."""

import random
import re

import pytest

from stakewatch.promql import PromqlError, parse, print_expression, walk_with_ancestors
from stakewatch.promql.tree import Call
from tests.unit.promql.corpus import load_corpus, load_rules

_TOKEN = re.compile(
    r"""
    "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*` | \#[^\n]*\n
    | [A-Za-z_:][\w:]* | \d[\w.]* | \s+ | == | != | <= | >= | =~ | !~ | .
    """,
    re.DOTALL | re.VERBOSE,
)
_TOKENS = [_TOKEN.findall(text) for text in [*load_corpus(), *load_rules()]]


def _mutilate(draw: random.Random) -> str:
    tokens = list(draw.choice(_TOKENS))
    for _ in range(draw.randrange(1, 4)):
        other = draw.choice(_TOKENS)
        place = draw.randrange(len(tokens) + 1)
        start = draw.randrange(len(other))
        taken = draw.choice(([], other[start : start + 1], [" ", *other[start : start + 7], " "]))
        tokens[place : place + draw.randrange(2)] = taken
    return "".join(tokens)


@pytest.mark.parametrize("seed", range(20))
def test_a_mutilated_expression_is_refused_or_understood(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    understood = 0
    refused: list[PromqlError] = []
    for _ in range(150):
        text = _mutilate(draw)
        try:
            tree = parse(text)
        except PromqlError as error:
            refused.append(error)
            continue
        understood += 1
        assert parse(print_expression(tree)) == tree, text
        for node, ancestors in walk_with_ancestors(tree):
            if ancestors and isinstance(parent := ancestors[-1], Call) and parent.function == "info":
                continue  # its second argument is no expression by itself
            assert parse(text[node.start : node.end]) == node, text
    assert understood > 5
    # "cannot be read" would mean that the helper lost its way in a tree that the parser accepted.
    assert [error.text for error in refused if "cannot be read" in error.message] == []
    assert all(0 <= error.start <= error.end <= len(error.text) for error in refused)
