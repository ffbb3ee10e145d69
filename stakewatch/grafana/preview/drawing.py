"""Drawings: time series, heatmaps, bands of states and gauges as SVG in a page."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from stakewatch.grafana.preview.colours import look, of_series, steps
from stakewatch.grafana.preview.scale import number_marks, time_marks
from stakewatch.grafana.preview.units import BINARY, show
from stakewatch.grafana.preview.window import Window

MOST_LINES = 40
MOST_BANDS = 24
_BOTTOM = 20
_TOP = 6
_RIGHT = 10
_LETTER = 6.4
_DIGIT = 7.0
_PIXELS_OF_A_MARK = 34
_PIXELS_OF_A_TIME = 90
_HALF_A_TIME = 24
_HOT = (224, 122, 31)
_LARGEST = 1e300
# What is closer together is one number.
_SMALLEST_SPAN = 1e-12


@dataclass(frozen=True)
class Line:
    """A named series to draw; points are (Unix seconds, value)."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Area:
    """The part of a picture that the axes enclose, and what they span."""

    left: float
    right: float
    top: float
    bottom: float
    start: float
    end: float
    low: float
    high: float

    def x(self, moment: float) -> float:
        return self.left + (self.right - self.left) * (moment - self.start) / (self.end - self.start)

    def y(self, value: float) -> float:
        share = (_bounded(value) - self.low) / (self.high - self.low)
        return self.bottom - (self.bottom - self.top) * min(max(share, -0.02), 1.02)


def timeseries(
    lines: Sequence[Line], defaults: Mapping[str, Any], window: Window, width: int, height: int
) -> Markup:
    """Return values over time; gaps stay gaps unless the panel connects them."""
    custom = defaults.get("custom", {})
    drawn = list(lines[:MOST_LINES])
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    if stacked:
        drawn = list(_stacked(drawn))
    thresholds = () if custom.get("thresholdsStyle", {}).get("mode", "off") == "off" else steps(defaults)
    low, high = _span(drawn, defaults, from_zero=stacked or custom.get("drawStyle") == "bars")
    unit = str(defaults.get("unit", "none"))
    most = max(2, (height - _BOTTOM) // _PIXELS_OF_A_MARK)
    marks = number_marks(low, high, most, binary=unit in BINARY)
    texts = [show(mark, unit) for mark in marks]
    left = 12 + _DIGIT * max((len(text) for text in texts), default=1)
    area = _Area(left, width - _RIGHT, _TOP, height - _BOTTOM, window.start, window.end, low, high)
    parts = [*_grid(area, zip(marks, texts, strict=True)), *_time_axis(area)]
    # The first series is drawn last, over the others.
    parts += [
        _series(line, of_series(place), area, custom, window)
        for place, line in reversed(list(enumerate(drawn)))
    ]
    parts += [
        f'<line x1="{area.left:.1f}" x2="{area.right:.1f}" y1="{area.y(value):.1f}"'
        f' y2="{area.y(value):.1f}" stroke="{colour}" stroke-width="1.5" stroke-dasharray="6 5"/>'
        for value, colour in thresholds
        if low <= value <= high
    ]
    return _picture(parts, width, height)


def sparkline(points: Sequence[tuple[float, float]], colour: str, window: Window) -> Markup:
    """Return a series without axes, 100 wide and 24 high."""
    values = [value for _, value in points if math.isfinite(value)]
    if len(values) < 2:  # noqa: PLR2004 - a line has two ends
        return Markup()
    low, high = min(values), max(values)
    high = high if high > low else low + 1
    area = _Area(0, 100, 2, 22, window.start, window.end, low, high)
    path = _path([point for point in points if math.isfinite(point[1])], area, math.inf)
    stroke = f'stroke="{colour}" stroke-width="1.5" vector-effect="non-scaling-stroke"'
    line = f'<path d="{path}" fill="none" {stroke}/>'
    return Markup(  # noqa: S704 - numbers and our own colours
        f'<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">{line}</svg>'
    )


def bands(
    lines: Sequence[Line], defaults: Mapping[str, Any], window: Window, width: int, height: int
) -> Markup:
    """Return states over time, a band for each series."""
    drawn = lines[:MOST_BANDS]
    left = min(8 + _LETTER * max((len(line.name) for line in drawn), default=1), width * 0.4)
    area = _Area(left, width - _RIGHT, _TOP, height - _BOTTOM, window.start, window.end, 0, 1)
    tall = (area.bottom - area.top) / max(len(drawn), 1)
    letters = max(3, int(left / _LETTER))
    parts = []
    for place, line in enumerate(drawn):
        top = area.top + place * tall
        name = line.name if len(line.name) <= letters else f"{line.name[: letters - 1]}…"
        parts.append(
            f'<text class="axis" x="{left - 6:.1f}" y="{top + tall / 2 + 4:.1f}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
        for begin, end, value in _stretches(line.points, window):
            seen = look(value, defaults)
            said = seen.text or show(value, str(defaults.get("unit", "none")))
            parts.append(
                f'<rect x="{area.x(begin):.1f}" y="{top + 1:.1f}" height="{max(tall - 2, 1):.1f}"'
                f' width="{max(area.x(end) - area.x(begin), 0.8):.1f}"'
                f' fill="{seen.colour}" fill-opacity=".75">'
                f"<title>{escape(line.name)}: {escape(said)}</title></rect>"
            )
    return _picture([*parts, *_time_axis(area)], width, height)


def heatmap(
    buckets: Mapping[float, Line], defaults: Mapping[str, Any], window: Window, width: int, height: int
) -> Markup:
    """Return a histogram over time, given the counts up to each upper bound of a bucket."""
    ordered = sorted(buckets.items())
    cells: dict[tuple[int, float], float] = {}
    below: Mapping[float, float] = {}
    for place, (_, line) in enumerate(ordered):
        here = dict(line.points)
        for moment, value in here.items():
            count = value - below.get(moment, 0.0)
            if math.isfinite(count) and count > 0:
                cells[place, moment] = count
        below = here
    unit = str(defaults.get("unit", "none"))
    texts = ["∞" if math.isinf(bound) else show(bound, unit) for bound, _ in ordered]
    left = 12 + _DIGIT * max((len(text) for text in texts), default=1)
    area = _Area(
        left, width - _RIGHT, _TOP, height - _BOTTOM, window.start, window.end, 0, max(len(ordered), 1)
    )
    most = max(cells.values(), default=1.0)
    wide = max(area.x(window.start + window.step) - area.left, 1.0)
    tall = (area.bottom - area.top) / max(len(ordered), 1)
    red, green, blue = _HOT
    parts = [
        f'<rect x="{area.x(moment) - wide / 2:.1f}" y="{area.y(place + 1):.1f}" width="{wide:.1f}"'
        f' height="{tall:.1f}" fill="rgb({red},{green},{blue})"'
        f' fill-opacity="{0.12 + 0.88 * math.sqrt(count / most):.2f}"/>'
        for (place, moment), count in cells.items()
    ]
    every = max(1, math.ceil(len(texts) * 14 / max(area.bottom - area.top, 1)))
    parts += [_mark(area, place + 1, texts[place]) for place in range(0, len(texts), every)]
    return _picture([*parts, *_time_axis(area)], width, height)


def gauge(value: float, defaults: Mapping[str, Any], low: float, high: float) -> Markup:
    """Return a value on three quarters of a circle, the thresholds around it, 200 wide and 120 high."""
    scale = [(max(least, low), colour) for least, colour in steps(defaults)] or [(low, "#8a93a3")]
    ends = [least for least, _ in scale[1:]] + [high]
    rim = "".join(
        _arc(_share(least, low, high), _share(end, low, high), 92, 4, colour)
        for (least, colour), end in zip(scale, ends, strict=True)
        if end > least
    )
    seen = look(value, defaults)
    filled = _arc(0, _share(value, low, high), 78, 18, seen.colour) if math.isfinite(value) else ""
    rest = _arc(0, 1, 78, 18, "var(--edge)")
    return Markup(  # noqa: S704 - numbers and our own colours
        f'<svg class="dial" viewBox="0 0 200 112" aria-hidden="true">{rest}{filled}{rim}</svg>'
    )


def _share(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0


def _arc(begin: float, end: float, radius: float, thick: float, colour: str) -> str:
    if end <= begin:
        return ""
    (x1, y1), (x2, y2) = (
        (100 - radius * math.cos(math.pi * share), 104 - radius * math.sin(math.pi * share))
        for share in (begin, end)
    )
    return (
        f'<path d="M{x1:.1f} {y1:.1f} A{radius} {radius} 0 0 1 {x2:.1f} {y2:.1f}" fill="none"'
        f' stroke="{colour}" stroke-width="{thick}"/>'
    )


def _span(lines: Iterable[Line], defaults: Mapping[str, Any], *, from_zero: bool) -> tuple[float, float]:
    """Return what the axis spans: the values, or the panel's own limits where it has them."""
    values = [_bounded(value) for line in lines for _, value in line.points if math.isfinite(value)]
    low = min(values, default=0.0)
    high = max(values, default=1.0)
    low = min(low, 0.0) if from_zero else low
    margin = (high - low) * 0.05
    least, most = defaults.get("min"), defaults.get("max")
    lowest = 0.0 if from_zero and low == 0 else low - margin
    low = float(least) if least is not None else lowest
    high = float(most) if most is not None else high + margin
    if high - low > _SMALLEST_SPAN * max(abs(low), abs(high), _SMALLEST_SPAN):
        return low, high
    room = abs(low) * 0.05 or 1.0
    return low if least is not None else low - room, low if most is not None and least is None else low + room


def _bounded(value: float) -> float:
    """Return a value that can be subtracted from any other."""
    return min(max(value, -_LARGEST), _LARGEST)


def _stacked(lines: Iterable[Line]) -> Iterator[Line]:
    below: dict[float, float] = {}
    for line in lines:
        points = []
        for moment, value in line.points:
            below[moment] = below.get(moment, 0.0) + (value if math.isfinite(value) else 0.0)
            points.append((moment, below[moment]))
        yield Line(line.name, tuple(points))


def _series(line: Line, colour: str, area: _Area, custom: Mapping[str, Any], window: Window) -> str:
    longest_gap = math.inf if custom.get("spanNulls") is True else 2.5 * window.step
    points = [point for point in line.points if math.isfinite(point[1])]
    title = f"<title>{escape(line.name)}</title>"
    style = custom.get("drawStyle", "line")
    if style == "bars":
        wide = max((area.x(area.start + window.step) - area.left) * 0.8, 1.0)
        floor = area.y(max(area.low, 0.0))
        bars = "".join(
            f'<rect x="{area.x(moment) - wide / 2:.1f}" y="{min(area.y(value), floor):.1f}"'
            f' width="{wide:.1f}" height="{abs(floor - area.y(value)):.1f}"/>'
            for moment, value in points
        )
        return f'<g fill="{colour}" fill-opacity=".7">{bars}{title}</g>'
    if style == "points" or len(points) == 1:
        dots = "".join(
            f'<circle cx="{area.x(moment):.1f}" cy="{area.y(value):.1f}" r="2"/>' for moment, value in points
        )
        return f'<g fill="{colour}">{dots}{title}</g>'
    return (
        f'<path d="{_path(points, area, longest_gap)}" fill="none" stroke="{colour}" stroke-width="1.5"'
        f' stroke-linejoin="round">{title}</path>'
    )


def _path(points: Sequence[tuple[float, float]], area: _Area, longest_gap: float) -> str:
    parts = []
    before = -math.inf
    for moment, value in points:
        letter = "M" if moment - before > longest_gap or before == -math.inf else "L"
        parts.append(f"{letter}{area.x(moment):.1f} {area.y(value):.1f}")
        before = moment
    return "".join(parts)


def _stretches(points: Sequence[tuple[float, float]], window: Window) -> Iterator[tuple[float, float, float]]:
    """Yield the times during which a series had one value, as (from, to, value)."""
    begin = before = value = math.nan
    for moment, new in (point for point in points if math.isfinite(point[1])):
        if new != value or moment - before > 2.5 * window.step:
            if math.isfinite(value):
                yield begin, min(before + window.step, moment), value
            begin, value = moment, new
        before = moment
    if math.isfinite(value):
        yield begin, min(before + window.step, window.end), value


def _grid(area: _Area, marks: Iterable[tuple[float, str]]) -> Iterator[str]:
    for value, text in marks:
        y = area.y(value)
        yield f'<line class="mark" x1="{area.left:.1f}" x2="{area.right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _mark(area, value, text)


def _mark(area: _Area, value: float, text: str) -> str:
    place = f'x="{area.left - 6:.1f}" y="{area.y(value) + 4:.1f}"'
    return f'<text class="axis" {place} text-anchor="end">{escape(text)}</text>'


def _time_axis(area: _Area) -> Iterator[str]:
    most = max(2, int((area.right - area.left) // _PIXELS_OF_A_TIME))
    for moment, text in time_marks(area.start, area.end, most):
        x = area.x(moment)
        if x < area.left + _HALF_A_TIME:
            # It would lie on the lowest number of the other axis.
            continue
        # The last one ends with the picture.
        ends = x + _HALF_A_TIME > area.right + _RIGHT
        place = f'x="{area.right + _RIGHT if ends else x:.1f}" y="{area.bottom + 15:.1f}"'
        yield f'<text class="axis" {place} text-anchor="{"end" if ends else "middle"}">{text}</text>'


def _picture(parts: Iterable[str], width: int, height: int) -> Markup:
    # Every text from outside was escaped where it was put in.
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>')  # noqa: S704
