"""Numbers of a preview: units, round marks of axes, colours, calculations, the window."""

import math

import pytest

from stakewatch.grafana.preview.cards import calculate
from stakewatch.grafana.preview.colours import css, look, steps
from stakewatch.grafana.preview.scale import number_marks, time_marks
from stakewatch.grafana.preview.units import show
from stakewatch.grafana.preview.window import Window, window_of
from stakewatch.grafana.remote import Series


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "none", "0"),
        (1234567, "none", "1234567"),
        (0.123456, "none", "0.1235"),
        (12345.678, "none", "12346"),
        (0.8534, "percentunit", "85.34%"),
        (85.0, "percent", "85%"),
        (1536, "bytes", "1.5 KiB"),
        (-1536, "bytes", "-1.5 KiB"),
        (1023, "bytes", "1023 B"),
        (2.0**80, "bytes", "1073741824 PiB"),
        (1536, "Bps", "1.5 KiB/s"),
        (0, "s", "0 s"),
        (0.005, "s", "5 ms"),
        (90, "s", "1.5 min"),
        (2_000_000, "ns", "2 ms"),
        (5, "ms", "5 ms"),
        (1e-15, "s", "1e-06 ns"),
        (86_400, "dtdurations", "1 d"),
        (12, "reqps", "12 req/s"),
        (3, "suffix: slots", "3 slots"),
        (3, "prefix:$", "$3"),
        (0, "bool_yes_no", "No"),
        (1, "bool_yes_no", "Yes"),
        (7, "a unit that nobody knows", "7"),
        (7, "", "7"),
        (math.nan, "s", "NaN"),
        (math.inf, "bytes", "∞"),
        (-math.inf, "bytes", "-∞"),
        (1e300, "none", "1e+300"),
    ],
)
def test_a_number_is_shown_in_its_unit(value: float, unit: str, shown: str) -> None:
    assert show(value, unit) == shown


def test_the_digits_that_a_panel_asks_for_are_shown() -> None:
    assert show(1.0, "percentunit", 1) == "100.0%"
    assert show(1536.0, "bytes", 2) == "1.50 KiB"
    assert show(0.25, "s", 0) == "250 ms"


def test_marks_of_an_axis_are_round_and_inside() -> None:
    assert number_marks(0, 10, 5) == (0, 2, 4, 6, 8, 10)
    assert number_marks(0.05, 0.12, 3) == pytest.approx((0.05, 0.075, 0.1))
    assert number_marks(-1, 1, 4) == (-1, -0.5, 0, 0.5, 1)
    gibibyte = 1024.0**3
    assert number_marks(0, 3.1 * gibibyte, 3, binary=True) == (0, 2 * gibibyte)


@pytest.mark.parametrize(("low", "high"), [(0, 1e-12), (1e300, 2e300), (1e15, 1e15 + 1), (-5, 5e8)])
def test_there_are_never_many_more_marks_than_asked_for(low: float, high: float) -> None:
    assert len(number_marks(low, high, 5)) <= 7


def test_marks_of_time_are_round_and_in_utc() -> None:
    seconds = [f"00:00:{second}" for second in (10, 20, 30, 40, 50)]
    assert [text for _, text in time_marks(3, 60, 6)] == [*seconds, "00:01:00"]
    assert [text for _, text in time_marks(0, 10_800, 3)] == ["00:00", "01:00", "02:00", "03:00"]
    assert next(text for _, text in time_marks(0, 90 * 86_400, 4)) == "01 Jan"


def test_a_value_has_the_colour_of_the_highest_threshold_that_it_reaches() -> None:
    defaults = {
        "thresholds": {
            "steps": [
                {"value": None, "color": "green"},
                {"value": 0.85, "color": "orange"},
                {"value": 0.95, "color": "red"},
            ]
        }
    }
    assert steps(defaults)[0] == (-math.inf, css("green"))
    assert [look(value, defaults).colour for value in (0.0, 0.85, 0.96)] == [
        css("green"),
        css("orange"),
        css("red"),
    ]
    assert look(math.nan, defaults).colour not in {css("green"), css("red")}
    assert look(1.0, {}).colour == css("text")


def test_a_mapped_value_has_its_words_and_colour() -> None:
    options = {"1": {"text": "healthy", "color": "dark-green"}, "critical": {"color": "red"}}
    defaults = {"mappings": [{"type": "value", "options": options}, {"type": "range", "options": {}}]}
    assert (look(1.0, defaults).text, look(1.0, defaults).colour) == ("healthy", css("green"))
    assert (look("critical", defaults).text, look("critical", defaults).colour) == ("", css("red"))


def test_a_colour_of_the_board_cannot_put_something_into_the_page() -> None:
    assert css('red;background:url("http://x")') == css("text")


@pytest.mark.parametrize(
    ("calculation", "value"),
    [
        *(("lastNotNull", 2.0), ("max", 4.0), ("min", 1.0), ("mean", 7 / 3), ("sum", 7.0), ("first", 1.0)),
        *(("range", 3.0), ("diff", 1.0), ("count", 3.0), ("unknown", 2.0)),
    ],
)
def test_a_calculation_leaves_out_what_is_no_number(calculation: str, value: float) -> None:
    series = Series({}, ((0, 1.0), (1, math.nan), (2, 4.0), (3, 2.0)))
    assert calculate(calculation, series) == pytest.approx(value)
    assert math.isnan(calculate(calculation, Series({}, ((0, math.nan),))))
    assert math.isnan(calculate(calculation, Series({}, ())))


def test_a_window_shows_what_the_board_opens_with_or_what_is_asked_for() -> None:
    board = {"time": {"from": "now-90d", "to": "now"}}
    assert window_of(board, 1e9, 15).seconds == 90 * 86_400
    assert window_of(board, 1e9, 15, 60).seconds == 60
    for odd in ({}, {"time": {"from": "now/d"}}, {"time": {"from": "now-x"}}):
        assert window_of(odd, 1e9, 15).seconds == 10_800


def test_the_built_in_variables_fit_the_window_and_the_scrapes() -> None:
    short = Window(0, 60, 1).built_in
    assert (short["__interval"], short["__rate_interval"], short["__range"]) == ("1s", "4s", "60s")
    long = Window(0, 90 * 86_400, 15)
    assert long.step == 19_440
    assert long.built_in["__rate_interval"] == "19455s"
    assert long.built_in["__range_s"] == str(90 * 86_400)
