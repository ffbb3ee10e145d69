"""The demo's page: the fleet as a picture, the alerts on a time axis, and why each came or was held back."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from stakewatch.bundle.configuration import Configuration, Role
from stakewatch.demo.faults import DemoFault, is_standing
from stakewatch.demo.verdict import Verdict
from stakewatch.demo.watching import AlertView, Change, State

_COLUMN_WIDTH = 270
_BOX_WIDTH = 200
_BOX_HEIGHT = 46
_ROW_HEIGHT = 68
_TOP = 40
_AXIS_LEFT = 330
_AXIS_WIDTH = 700
_BAR_HEIGHT = 20
_AXIS_STEPS_SECONDS = (5, 10, 20, 30, 60, 120, 300, 600)
_MOST_AXIS_MARKS = 12
_WORST_FIRST = (State.FIRING, State.INHIBITED, State.PENDING)


@dataclass(frozen=True)
class Box:
    """A process or a group of keys in the picture; `mark` says in a word what colour says as well."""

    left: int
    top: int
    title: str
    subtitle: str
    state: str
    mark: str


@dataclass(frozen=True)
class Line:
    """A connection between two boxes; a backup is dashed."""

    x1: int
    y1: int
    x2: int
    y2: int
    backup: bool


@dataclass(frozen=True)
class Bar:
    """The time that an alert spent in one state."""

    left: float
    width: float
    state: str


@dataclass(frozen=True)
class Track:
    """One alert on the time axis."""

    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Moment:
    """Everything that the page shows."""

    configuration: Configuration
    fault: DemoFault
    fault_at: float | None
    now: float
    alerts: tuple[AlertView, ...]
    changes: tuple[Change, ...]
    verdict: Verdict | None
    addresses: Mapping[str, str]
    scale: float


@cache
def _template() -> jinja2.Template:
    """Compiled once: the page is written anew twice a second."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("stakewatch.demo", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html.jinja")


def write_page(moment: Moment, path: Path) -> None:
    """Write the page in one step, so that a browser never reads half of it."""
    boxes, lines = picture(moment.configuration, moment.alerts)
    tracks = timeline(moment.changes, moment.now)
    rows = max(box.top for box in boxes) + _ROW_HEIGHT if boxes else _TOP
    text = _template().render(
        moment=moment,
        boxes=boxes,
        lines=lines,
        box_width=_BOX_WIDTH,
        box_height=_BOX_HEIGHT,
        picture_width=3 * _COLUMN_WIDTH + _BOX_WIDTH + 20,
        picture_height=rows,
        columns=[
            (10 + index * _COLUMN_WIDTH, title)
            for index, title in enumerate(
                ("execution nodes", "beacon nodes", "validator clients", "groups of keys")
            )
        ],
        tracks=tracks,
        axis_left=_AXIS_LEFT,
        axis_width=_AXIS_WIDTH,
        bar_height=_BAR_HEIGHT,
        marks=[(_across(second, moment.now), f"{second} s") for second in axis_marks(moment.now)],
        fault_left=None if moment.fault_at is None else _across(moment.fault_at, moment.now),
        shown=[view for view in moment.alerts if not is_standing(view.name, dict(view.labels))],
        written=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def axis_marks(now: float) -> range:
    """Return the seconds to label on the time axis: a round step, at most a dozen of them."""
    step = next((step for step in _AXIS_STEPS_SECONDS if now / step <= _MOST_AXIS_MARKS), 3600)
    return range(0, int(now) + 1, step)


def _across(seconds: float, now: float) -> float:
    return round(_AXIS_LEFT + _AXIS_WIDTH * min(seconds, now) / max(now, 1.0), 1)


def timeline(changes: Iterable[Change], now: float) -> tuple[Track, ...]:
    """Turn state changes into one track per alert, in the order of their first appearance."""
    by_alert: dict[str, list[Change]] = {}
    for change in changes:
        if not is_standing(change.alert.name, dict(change.alert.labels)):
            by_alert.setdefault(change.alert.title, []).append(change)
    tracks = []
    for title, steps in by_alert.items():
        ends = [step.at for step in steps[1:]] + [now]
        bars = tuple(
            Bar(
                left=_across(step.at, now),
                width=max(_across(end, now) - _across(step.at, now), 1.0),
                state=step.alert.state.value,
            )
            for step, end in zip(steps, ends, strict=True)
            if step.alert.state is not State.RESOLVED
        )
        tracks.append(Track(title=title, bars=bars))
    return tuple(tracks)


def picture(
    configuration: Configuration, alerts: Iterable[AlertView]
) -> tuple[tuple[Box, ...], tuple[Line, ...]]:
    """Place the fleet in four columns, each box coloured by the worst alert about it, and connect them."""
    worst = _worst_states(alerts)
    places: dict[str, Box] = {}

    def place(column: int, key: str, title: str, subtitle: str) -> None:
        row = sum(1 for box in places.values() if box.left == 10 + column * _COLUMN_WIDTH)
        state = worst.get(key)
        places[key] = Box(
            left=10 + column * _COLUMN_WIDTH,
            top=_TOP + row * _ROW_HEIGHT,
            title=title,
            subtitle=subtitle,
            state=state.value if state else "ok",
            mark=state.value if state else "ok",
        )

    for node in configuration.nodes:
        place(0 if node.role is Role.EXECUTION else 1, node.instance, node.instance, node.implementation)
    for client in configuration.validator_clients:
        place(2, client.instance, client.instance, client.implementation)
    for group in configuration.groups:
        place(3, f"group {group.name}", group.name, f"{len(group.keys)} keys")

    lines = [
        _line(places[node.execution_node], places[node.instance], backup=False)
        for node in configuration.beacon_nodes
        if node.execution_node in places
    ]
    for client in configuration.validator_clients:
        for rank, beacon in enumerate(client.beacon_nodes):
            lines.append(_line(places[beacon], places[client.instance], backup=rank > 0))
    for group in configuration.groups:
        client_box = places[group.validator_client]
        lines.append(_line(client_box, places[f"group {group.name}"], backup=False))
    return tuple(places.values()), tuple(lines)


def _line(left: Box, right: Box, *, backup: bool) -> Line:
    middle = _BOX_HEIGHT // 2
    return Line(
        x1=left.left + _BOX_WIDTH, y1=left.top + middle, x2=right.left, y2=right.top + middle, backup=backup
    )


def _worst_states(alerts: Iterable[AlertView]) -> dict[str, State]:
    """Map each box to the worst state of the alerts about it."""
    worst: dict[str, State] = {}
    for view in alerts:
        labels = dict(view.labels)
        key = (
            f"group {labels['group']}" if "group" in labels else labels.get("instance", labels.get("pod", ""))
        )
        if not key or view.state not in _WORST_FIRST:
            continue
        if key not in worst or _WORST_FIRST.index(view.state) < _WORST_FIRST.index(worst[key]):
            worst[key] = view.state
    return worst
