"""Drawings of a preview: whatever the values are, the picture is well formed and inside its frame."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from stakewatch.grafana.preview.drawing import Line, bands, gauge, heatmap, sparkline, timeseries
from stakewatch.grafana.preview.window import Window

WINDOW = Window(1_700_000_000, 1_700_000_060, 1)
STEPS = {
    "thresholds": {
        "steps": [
            {"value": None, "color": "green"},
            {"value": 2, "color": "orange"},
            {"value": 99, "color": "red"},
        ]
    }
}
HOSTILE = '<script>alert("x")</script>&'


def read(picture: Markup) -> ET.Element:
    return ET.fromstring(str(picture))  # noqa: S314 - our own text


def points(*values: float, start: float = 0, step: float = 1) -> tuple[tuple[float, float], ...]:
    return tuple((WINDOW.start + start + place * step, value) for place, value in enumerate(values))


def numbers(picture: Markup) -> list[float]:
    return [
        float(number)
        for name, text in re.findall(r'(?:^|\s)(x|y|x1|x2|y1|y2|cx|cy|d)="([^"]*)"', str(picture))
        for number in re.findall(r"-?\d+\.?\d*", text)
        if name
    ]


@pytest.mark.parametrize("style", ["line", "bars", "points"])
@pytest.mark.parametrize(
    "values",
    [
        (),
        (1.0,),
        (0.0, 0.0, 0.0),
        (5.0, 5.0),
        (math.nan, math.nan),
        (math.inf, 1.0, -math.inf),
        (1e308, -1e308),
        (5e-324, 0.0),
        (-3.0, 3.0),
        (1e15, 1e15 + 1),
    ],
)
@pytest.mark.parametrize("limits", [{}, {"min": 0}, {"min": 0, "max": 0}, {"min": 5, "max": -5}])
def test_any_values_make_a_picture_inside_of_its_frame(
    style: str, values: tuple[float, ...], limits: dict[str, float]
) -> None:
    defaults = {**STEPS, **limits, "custom": {"drawStyle": style, "thresholdsStyle": {"mode": "dashed"}}}
    picture = timeseries([Line("a", points(*values))], defaults, WINDOW, 500, 200)
    read(picture)
    assert "nan" not in str(picture)
    assert "inf" not in str(picture)
    assert all(-30 <= number <= 530 for number in numbers(picture))


def test_a_name_from_outside_is_shown_as_it_is_and_never_run() -> None:
    line = Line(HOSTILE, points(1, 2))
    for picture in (timeseries([line], {}, WINDOW, 500, 200), bands([line], {}, WINDOW, 500, 200)):
        tree = read(picture)
        assert not tree.findall(".//script")
        assert HOSTILE in "".join(tree.itertext())


def test_a_gap_stays_a_gap_unless_the_panel_connects_it() -> None:
    line = Line("a", (*points(1, 2), *points(3, 4, start=30)))

    def pieces(custom: dict[str, object]) -> int:
        picture = timeseries([line], {"custom": custom}, WINDOW, 500, 200)
        return next(one.get("d", "") for one in read(picture).iter("path")).count("M")

    assert pieces({}) == 2
    assert pieces({"spanNulls": True}) == 1


def test_thresholds_inside_of_the_axis_are_dashed_lines_and_others_are_not_drawn() -> None:
    defaults = {**STEPS, "custom": {"thresholdsStyle": {"mode": "dashed"}}}
    tree = read(timeseries([Line("a", points(1, 3))], defaults, WINDOW, 500, 200))
    assert len([one for one in tree.iter("line") if one.get("stroke-dasharray")]) == 1
    tree = read(timeseries([Line("a", points(1, 3))], STEPS, WINDOW, 500, 200))
    assert not [one for one in tree.iter("line") if one.get("stroke-dasharray")]


def test_a_higher_value_is_drawn_higher_and_a_later_one_further_to_the_right() -> None:
    tree = read(timeseries([Line("a", points(1, 2, 3))], {}, WINDOW, 500, 200))
    (path,) = (one.get("d", "") for one in tree.iter("path"))
    places = [tuple(map(float, pair.split())) for pair in re.split("[ML]", path)[1:]]
    assert all(one[0] < other[0] and one[1] > other[1] for one, other in pairwise(places))


def test_the_time_at_the_very_end_does_not_leave_the_picture() -> None:
    window = Window(1_699_999_980, 1_700_000_040, 1)
    tree = read(timeseries([Line("a", points(1, 2))], {}, window, 500, 200))
    last = [one for one in tree.iter("text") if ":" in (one.text or "")][-1]
    assert (last.text, last.get("x"), last.get("text-anchor")) == ("22:14:00", "500.0", "end")


@pytest.mark.parametrize(("limits", "highest"), [({"max": 1}, "100%"), ({}, "104%")])
def test_the_axis_of_a_steady_value_ends_at_the_panels_greatest(
    limits: dict[str, float], highest: str
) -> None:
    defaults = {"unit": "percentunit", **limits}
    tree = read(timeseries([Line("a", points(1, 1))], defaults, WINDOW, 500, 200))
    assert [one.text for one in tree.iter("text") if "%" in (one.text or "")][-1] == highest


def test_stacked_series_stand_on_each_other() -> None:
    lines = [Line("a", points(1, 1)), Line("b", points(2, 2))]
    defaults = {"custom": {"stacking": {"mode": "normal"}}}
    tree = read(timeseries(lines, defaults, WINDOW, 500, 200))
    heights = {
        one.findtext("title"): float(re.split("[ML ]", one.get("d", ""))[2]) for one in tree.iter("path")
    }
    floor, top = 180.0, 6.0
    share_a = (floor - heights["a"]) / (floor - top)
    share_b = (floor - heights["b"]) / (floor - top)
    assert share_b == pytest.approx(3 * share_a, rel=0.01)


def test_more_series_than_can_be_told_apart_are_not_drawn() -> None:
    lines = [Line(str(number), points(number, number)) for number in range(500)]
    assert len(list(read(timeseries(lines, {}, WINDOW, 500, 200)).iter("path"))) == 40


def test_a_band_changes_its_colour_where_the_state_changes_and_stops_where_the_series_does() -> None:
    options = {"0": {"text": "bad", "color": "red"}, "1": {"text": "well", "color": "green"}}
    defaults = {"mappings": [{"type": "value", "options": options}]}
    line = Line("a", (*points(1, 1, 0, 0), *points(1, 1, start=40)))
    tree = read(bands([line], defaults, WINDOW, 500, 100))
    titles = [one.findtext("title") for one in tree.iter("rect")]
    assert titles == ["a: well", "a: bad", "a: well"]
    widths = [float(one.get("width", "")) for one in tree.iter("rect")]
    assert sum(widths) < 100


def test_a_heatmap_shows_the_counts_of_each_bucket_alone() -> None:
    buckets = {
        0.1: Line("0.1", points(4.0)),
        1.0: Line("1", points(4.0)),
        math.inf: Line("+Inf", points(5.0)),
    }
    tree = read(heatmap(buckets, {"unit": "s"}, WINDOW, 500, 200))
    opacities = [float(one.get("fill-opacity", "")) for one in tree.iter("rect")]
    # Four in the first, none in the second, one beyond.
    assert opacities == [1.0, pytest.approx(0.56)]
    assert {"100 ms", "1 s", "∞"} <= {one.text for one in tree.iter("text")}
    read(heatmap({}, {}, WINDOW, 500, 200))


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.5, 1.0, 7.0, math.nan, math.inf])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.0, 1.0)])
def test_a_gauge_is_drawn_for_any_value(value: float, low: float, high: float) -> None:
    for defaults in ({}, STEPS):
        picture = gauge(value, defaults, low, high)
        read(picture)
        assert "nan" not in str(picture)


def test_a_sparkline_needs_two_values() -> None:
    assert sparkline(points(1), "#fff", WINDOW) == ""
    assert sparkline(points(math.nan, 1), "#fff", WINDOW) == ""
    read(sparkline(points(1, 1, math.nan, 2), "#fff", WINDOW))
