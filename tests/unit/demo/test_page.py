"""The demo's page."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration, Group, Node, Role, ValidatorClient
from stakewatch.demo.faults import FAULTS
from stakewatch.demo.page import Moment, axis_marks, picture, timeline, write_page
from stakewatch.demo.verdict import Verdict
from stakewatch.demo.watching import AlertView, Change, State

FLEET = Configuration(
    nodes=(
        Node("execution-1", Role.EXECUTION, "geth", "http://127.0.0.1:1", "c", "r"),
        Node("beacon-1", Role.BEACON, "lighthouse", "http://127.0.0.1:2", "c", "r", "execution-1"),
        Node("beacon-2", Role.BEACON, "prysm", "http://127.0.0.1:3", "c", "r"),
    ),
    validator_clients=(ValidatorClient("validators-1", "lighthouse", "c", "r", ("beacon-1", "beacon-2")),),
    groups=(Group("alpha", "validators-1", ("1", "2")),),
)


def alert(state: State, description: str = "", **labels: str) -> AlertView:
    return AlertView(
        name="BeaconNodeDown",
        labels=tuple(sorted(labels.items())),
        state=state,
        value=0.0,
        annotations=(("description", description),),
    )


def moment(*alerts: AlertView, changes: tuple[Change, ...] = ()) -> Moment:
    return Moment(
        configuration=FLEET,
        fault=FAULTS[0],
        fault_at=10.0,
        now=30.0,
        alerts=alerts,
        changes=changes,
        verdict=Verdict(missing=(), unexpected=(), disturbing=()),
        addresses={"Prometheus": "http://127.0.0.1:9"},
        scale=1 / 48,
    )


def test_every_process_and_group_has_its_box() -> None:
    boxes, _ = picture(FLEET, ())
    assert [box.title for box in boxes] == ["execution-1", "beacon-1", "beacon-2", "validators-1", "alpha"]
    assert {box.state for box in boxes} == {"ok"}


def test_a_backup_is_a_dashed_line() -> None:
    _, lines = picture(FLEET, ())
    assert [line.backup for line in lines] == [False, False, True, False]


def test_a_box_takes_the_worst_state_of_its_alerts() -> None:
    alerts = (alert(State.PENDING, instance="beacon-1"), alert(State.FIRING, instance="beacon-1"))
    boxes, _ = picture(FLEET, alerts)
    assert {box.title: box.state for box in boxes}["beacon-1"] == "firing"


def test_an_alert_about_a_group_colours_the_group_and_not_its_beacon_node() -> None:
    boxes, _ = picture(FLEET, (alert(State.INHIBITED, group="alpha", beacon_node="beacon-1"),))
    states = {box.title: box.state for box in boxes}
    assert (states["alpha"], states["beacon-1"]) == ("inhibited", "ok")


def test_an_alert_on_the_time_axis_ends_when_it_is_resolved() -> None:
    steps = (
        Change(10.0, alert(State.PENDING), None),
        Change(15.0, alert(State.FIRING), State.PENDING),
        Change(20.0, alert(State.RESOLVED), State.FIRING),
    )
    (track,) = timeline(steps, now=30.0)
    assert [bar.state for bar in track.bars] == ["pending", "firing"]
    assert track.bars[0].left + track.bars[0].width == pytest.approx(track.bars[1].left)


def test_the_watchdog_is_not_on_the_time_axis() -> None:
    watchdog = AlertView("Watchdog", (), State.FIRING, 1.0, ())
    assert timeline((Change(0.0, watchdog, None),), now=1.0) == ()


@pytest.mark.parametrize("now", [0.0, 1.0, 59.0, 600.0, 100_000.0])
def test_the_time_axis_has_few_marks(now: float) -> None:
    assert 1 <= len(axis_marks(now)) <= 30


def test_the_page_is_well_formed_and_shows_the_alert(tmp_path: Path) -> None:
    page = tmp_path / "demo" / "index.html"
    firing = alert(State.FIRING, "It does not answer.", instance="beacon-1")
    write_page(moment(firing, changes=(Change(12.0, firing, None),)), page)
    text = page.read_text(encoding="utf-8")
    HTMLParser().feed(text)
    assert "It does not answer." in text
    assert text.count("<svg") == 2
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]


def test_hostile_text_in_an_alert_is_escaped(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    write_page(moment(alert(State.FIRING, "<script>alert(1)</script>", instance='"><b>')), page)
    text = page.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert '"><b>' not in text
