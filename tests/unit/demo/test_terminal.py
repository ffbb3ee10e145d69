"""The demo in a terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from stakewatch.demo.faults import FAULTS, find_fault
from stakewatch.demo.receiver import Notification
from stakewatch.demo.terminal import Screen, fault_table
from stakewatch.demo.verdict import Verdict
from stakewatch.demo.watching import AlertView, Change, State

BEACON_DOWN = find_fault("beacon-down")
assert BEACON_DOWN is not None


def alert(name: str, state: State, *inhibited_by: str, description: str = "") -> AlertView:
    return AlertView(
        name=name,
        labels=(("instance", "beacon-2"),),
        state=state,
        value=0.0,
        annotations=(("description", description),),
        inhibited_by=inhibited_by,
    )


def printed(act: str, *arguments: object) -> str:
    output = io.StringIO()
    screen = Screen(Console(file=output, width=60, highlight=False))
    getattr(screen, act)(*arguments)
    return output.getvalue()


def test_a_narrow_terminal_still_shows_every_fault_and_what_must_follow_in_full() -> None:
    output = io.StringIO()
    Console(file=output, width=60).print(fault_table())
    columns = [line.split("│")[1:-1] for line in output.getvalue().splitlines() if line.startswith("│")]
    follows = "".join(cells[2].strip() for cells in columns)
    for fault in FAULTS:
        assert any(cells[0].strip() == fault.name for cells in columns)
        for expectation in fault.expected:
            assert str(expectation).replace(" ", "") in follows.replace(" ", "")


def test_an_alert_that_reaches_somebody_says_what_it_is_about() -> None:
    firing = alert("BeaconNodeDown", State.FIRING, description="[beacon-2] does not answer")
    text = printed("show", Change(at=1.0, alert=firing, before=State.PENDING))
    assert "FIRING    BeaconNodeDown(instance=beacon-2)" in text
    assert "[beacon-2] does not answer" in text


def test_an_alert_that_is_held_back_says_by_which() -> None:
    held = alert("ValidatorGroupNotEarning", State.INHIBITED, "BeaconNodeDown(instance=beacon-2)")
    text = printed("show", Change(at=1.0, alert=held, before=State.PENDING))
    assert "by BeaconNodeDown(instance=beacon-2)" in text


def test_a_pending_alert_keeps_its_description_to_itself() -> None:
    pending = alert("BeaconNodeDown", State.PENDING, description="does not answer")
    assert "does not answer" not in printed("show", Change(at=1.0, alert=pending, before=None))


def test_the_watchdog_is_not_worth_a_line() -> None:
    assert not printed("show", Change(at=1.0, alert=alert("Watchdog", State.FIRING), before=None))


@pytest.mark.parametrize(
    ("verdict", "lines"),
    [
        (
            Verdict((), (), ()),
            ["notified    BeaconNodeDown", "held back   ValidatorGroupNotEarning", "nothing else did"],
        ),
        (Verdict(BEACON_DOWN.expected[:1], (), ()), ["missing     BeaconNodeDown", "not as it should be"]),
        (
            Verdict((), (alert("NodeMemoryHigh", State.FIRING),), ()),
            ["unexpected  NodeMemoryHigh(instance=beacon-2) is firing", "not as it should be"],
        ),
        (
            Verdict((), (), (Notification("NodeMemoryHigh", "firing", ()),)),
            ["disturbing  NodeMemoryHigh notified somebody", "not as it should be"],
        ),
    ],
)
def test_the_conclusion_says_what_held_and_what_did_not(verdict: Verdict, lines: list[str]) -> None:
    text = printed("conclude", BEACON_DOWN, verdict, Path("build/demo/index.html"))
    for line in [*lines, "build/demo/index.html"]:
        assert line in text
    assert ("nothing else did" in text) is verdict.holds
