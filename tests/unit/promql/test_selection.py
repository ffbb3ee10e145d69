"""Selectors tell what is read and through which functions."""

import pytest

from stakewatch.promql import selectors


def test_each_selector_knows_the_functions_around_it_innermost_first() -> None:
    text = "sum by (a) (rate(x[5m])) / max_over_time(increase(y[1h])[1d:]) > abs(z)"
    assert [(found.metric_names, found.functions, found.range_seconds) for found in selectors(text)] == [
        (("x",), ("rate", "sum"), 300),
        (("y",), ("increase", "max_over_time"), 3600),
        (("z",), ("abs",), None),
    ]


def test_a_selector_knows_its_place_and_its_matchers() -> None:
    text = 'a + x{role="beacon", b!~"c"} offset 5m'
    found = selectors(text)[1]
    assert text[found.start : found.end] == 'x{role="beacon", b!~"c"} offset 5m'
    assert [(matcher.name, matcher.operator, matcher.value) for matcher in found.matchers] == [
        ("role", "=", "beacon"),
        ("b", "!~", "c"),
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x", ("x",)),
        ("a:b:c", ("a:b:c",)),
        ('{"my.metric"}', ("my.metric",)),
        ('{__name__="x"}', ("x",)),
        ('{__name__=~"x|y:z"}', ("x", "y:z")),
        ('{__name__=~"(x|y)"}', ("x", "y")),
        ('{__name__=~"x.*"}', ()),
        ('{__name__=~"x|", a="b"}', ()),
        ('{__name__!="x", a="b"}', ()),
        ('{job="x"}', ()),
    ],
)
def test_the_metrics_that_a_selector_names(text: str, names: tuple[str, ...]) -> None:
    assert [found.metric_names for found in selectors(text)] == [names]


def test_an_expression_without_selectors_has_none() -> None:
    assert selectors("vector(1) + time()") == ()


def test_a_calculated_range_has_no_known_length() -> None:
    assert selectors("rate(x[5m * 2])")[0].range_seconds is None
