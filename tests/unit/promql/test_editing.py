"""Edits change what they are asked to and leave the rest of a person's text alone."""

import math

import pytest

from stakewatch.promql import (
    PromqlError,
    Replacement,
    parse,
    replace_threshold,
    rewrite,
    scale_durations,
    splice,
)
from stakewatch.promql.tree import Duration, Expression, MatrixSelector, NumberLiteral, SubqueryExpr
from tests.unit.promql.corpus import load_corpus, load_rules


def test_replacements_are_made_whatever_their_order() -> None:
    replacements = [Replacement(4, 5, "Y"), Replacement(0, 1, "XX"), Replacement(2, 3, "")]
    assert splice("x + y # é", replacements) == "XX  Y # é"


def test_an_insertion_may_touch_a_replacement_and_another_insertion() -> None:
    assert splice("ab", [Replacement(1, 1, "1"), Replacement(1, 1, "2"), Replacement(1, 2, "B")]) == "a12B"
    assert splice("", [Replacement(0, 0, "x")]) == "x"
    assert splice("unchanged", []) == "unchanged"


@pytest.mark.parametrize(
    "replacements",
    [
        [Replacement(0, 2, "x"), Replacement(1, 3, "y")],
        [Replacement(0, 2, "x"), Replacement(0, 2, "x")],
        [Replacement(-1, 1, "x")],
        [Replacement(0, 99, "x")],
        [Replacement(2, 1, "x")],
    ],
)
def test_replacements_that_overlap_or_lie_outside_are_refused(replacements: list[Replacement]) -> None:
    with pytest.raises(ValueError, match="overlaps another or lies outside"):
        splice("abc", replacements)


@pytest.mark.parametrize(
    ("text", "scaled"),
    [
        ("rate(x[15m])", "rate(x[18s750ms])"),
        ("max_over_time(x[1h:30s] offset 15m)", "max_over_time(x[1m15s:625ms] offset 18s750ms)"),
        ("x offset -15m", "x offset -18s750ms"),
        ("x offset - 15m > 900", "x offset -18s750ms > 900"),
        ("max_over_time(x[1h:])", "max_over_time(x[1m15s:])"),
        ("time() - x > 15m", "time() - x > 18s750ms"),
        ("predict_linear(x[1h], 4h)", "predict_linear(x[1m15s], 5m)"),
        ("rate(x[900])", "rate(x[18s750ms])"),
        ("x > 900", "x > 900"),
        ("x @ 900", "x @ 900"),
        ("rate(x[100ms])", "rate(x[2ms])"),
        ("rate(x[1ms])", "rate(x[1ms])"),
        ("x offset 1ms", "x offset 0s"),
        ("x offset -1ms", "x offset 0s"),
        ("x offset-1ms", "x offset 0s"),
        ("x offset-15m", "x offset -18s750ms"),
        ("x offset+15m", "x offset 18s750ms"),
    ],
)
def test_durations_are_scaled_by_a_forty_eighth(text: str, scaled: str) -> None:
    assert scale_durations(text, 1 / 48) == scaled
    parse(scaled)


def test_scaling_keeps_comments_and_layout() -> None:
    text = "(\n  rate(x[ 10m ])  # 10m: two rounds\n  > 0.5\n)\nand y offset  10m # é"
    assert scale_durations(text, 0.1, 2) == (
        "(\n  rate(x[ 1m ])  # 10m: two rounds\n  > 0.5\n)\nand y offset  1m # é"
    )


def test_ranges_never_fall_below_the_minimum_but_offsets_and_steps_do() -> None:
    text = "max_over_time(rate(x[1m])[2m:30s] offset 1m)"
    assert scale_durations(text, 1 / 48, 5) == "max_over_time(rate(x[5s])[5s:625ms] offset 1s250ms)"


def test_no_range_becomes_empty_even_without_a_minimum() -> None:
    assert scale_durations("rate(x[1ms])", 1 / 48, 0) == "rate(x[1ms])"


def test_a_minimum_does_not_lengthen_by_a_rounding() -> None:
    assert scale_durations("rate(x[5m])", 1 / 48, 6.25) == "rate(x[6s250ms])"


@pytest.mark.parametrize(
    ("text", "scaled"),
    [
        ("rate(x[5m * 2])", "rate(x[max_of((5m * 2) * 0.5, 2s)])"),
        ("x offset (5m * 2) ", "x offset +(((5m * 2)) * 0.5) "),
        ("x offset min_of(1m, 2m) + y", "x offset +((min_of(1m, 2m)) * 0.5) + y"),
        ("x offset -(5m - 1m) > 3", "x offset +((-(5m - 1m)) * 0.5) > 3"),
    ],
)
def test_calculated_durations_are_scaled_as_a_whole(text: str, scaled: str) -> None:
    assert scale_durations(text, 0.5, 2) == scaled
    assert type(parse(scaled)) is type(parse(text))


def test_a_duration_that_depends_on_the_query_is_not_scaled() -> None:
    with pytest.raises(PromqlError, match=r"step\(\) or range\(\)") as caught:
        scale_durations("rate(x[step() * 4])", 0.5)
    assert caught.value.column == 8


@pytest.mark.parametrize("factor", [0, -1, math.nan, math.inf])
def test_a_factor_that_is_no_positive_number_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="not a factor"):
        scale_durations("x", factor)


def _durations(tree: Expression) -> list[float]:
    found: list[float] = []

    def note(node: Expression) -> Expression:
        lengths = [getattr(node, name, None) for name in ("range", "step", "offset")]
        found.extend(length.seconds for length in lengths if isinstance(length, Duration))
        found.extend([node.value] if isinstance(node, NumberLiteral) and node.is_duration else [])
        return node

    rewrite(tree, note)
    return found


@pytest.mark.parametrize("text", [*load_corpus(), *load_rules()])
def test_scaling_any_expression_changes_its_durations_and_nothing_else(text: str) -> None:
    if "step()" in text or "range()" in text:
        if "time() - step()" not in text:
            with pytest.raises(PromqlError):
                scale_durations(text, 2)
        return
    before, after = parse(text), parse(scale_durations(text, 3.0))
    assert _durations(after) == pytest.approx([seconds * 3 for seconds in _durations(before)], abs=0.002)
    assert len(scale_durations(text, 3.0).splitlines()) == len(text.splitlines())


def test_scaling_keeps_a_subquery_a_subquery() -> None:
    assert isinstance(parse(scale_durations("x[5m:1m]", 2)), SubqueryExpr)
    assert isinstance(parse(scale_durations("x[5m]", 2)), MatrixSelector)


@pytest.mark.parametrize(
    ("text", "old", "new", "changed"),
    [
        ("x > 0.85", 0.85, 0.9, "x > 0.9"),
        ("x > 85e-2 # 0.85", 0.85, 0.9, "x > 0.9 # 0.85"),
        ("x * 0.85 > bool\n (( 0.85 ))", 0.85, 1, "x * 0.85 > bool\n (( 1 ))"),
        ("x <= -5", -5, 1e6, "x <= 1000000"),
        ("x < - 5", -5, -6.5, "x < -6.5"),
        ("(a > 1 or b > 2) and c == 3", 2, 20, "(a > 1 or b > 20) and c == 3"),
        ("0.5 > x or x > 0.5", 0.5, 0.6, "0.5 > x or x > 0.6"),
        ("x > 5m", 300, 60, "x > 60"),
        ("x > 1", 1, 0.1 + 0.2, "x > 0.30000000000000004"),
        ("{'é'} > 1", 1, 2, "{'é'} > 2"),
    ],
)
def test_a_threshold_is_replaced_where_it_is_compared_with(
    text: str, old: float, new: float, changed: str
) -> None:
    assert replace_threshold(text, old, new) == changed


@pytest.mark.parametrize(
    ("text", "message", "mend"),
    [
        ("x > 1", "0.85 stands not", "compared with are: 1"),
        ("x + 0.85", "0.85 stands not", "compared with are: none"),
        ("0.85 < x", "0.85 stands not", "none"),
        ("a > 0.85 or b > 0.85", "0.85 stands 2 times", "0.85, 0.85"),
        ("x > 0.85 * 1", "0.85 stands not", "none"),
        ("x > -0.85", "0.85 stands not", "-0.85"),
        ("x >", "unexpected", ""),
    ],
)
def test_a_threshold_that_is_not_there_exactly_once_is_refused(text: str, message: str, mend: str) -> None:
    with pytest.raises(PromqlError, match=message) as caught:
        replace_threshold(text, 0.85, 0.9)
    assert mend in (caught.value.mend or "")


def test_the_second_of_two_thresholds_is_pointed_at() -> None:
    with pytest.raises(PromqlError) as caught:
        replace_threshold("a > 0.85 or\nb > 0.85", 0.85, 0.9)
    assert (caught.value.line, caught.value.column) == (2, 5)


@pytest.mark.parametrize("new", [math.nan, math.inf])
def test_a_threshold_that_is_no_number_is_refused(new: float) -> None:
    with pytest.raises(ValueError, match="not a threshold"):
        replace_threshold("x > 1", 1, new)
