"""One run of the demo, with a stack that only says what it is told to, and a clock that does not wait."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.demo import run as running
from stakewatch.demo.faults import DemoFault, Expectation
from stakewatch.demo.receiver import Notification
from stakewatch.demo.run import Run
from stakewatch.demo.verdict import Verdict
from stakewatch.demo.watching import AlertView, Change, State
from stakewatch.errors import StakewatchError

FAULT = DemoFault(
    name="beacon-down",
    describes="a beacon node dies",
    why="it does",
    simulator_fault="down",
    arguments=MappingProxyType({"instance": "beacon-2"}),
    expected=(Expectation("BeaconNodeDown", {"instance": "beacon-2"}),),
    quiet_seconds=12.0,
)
HARMLESS = DemoFault(
    name="withdrawals",
    describes="balances fall",
    why="no fault at all",
    simulator_fault="withdrawal_sweep",
    quiet_seconds=60.0,
)
LIMIT_SECONDS = 110.0


def alert(name: str, **labels: str) -> AlertView:
    return AlertView(
        name=name, labels=tuple(sorted(labels.items())), state=State.FIRING, value=1.0, annotations=()
    )


WATCHDOG = alert("Watchdog")
CAUSE = alert("BeaconNodeDown", instance="beacon-2")
OTHER = alert("NodeMemoryHigh", instance="machine-1")


def note(view: AlertView) -> Notification:
    return Notification(alert=view.name, status="firing", labels=view.labels)


@dataclass
class Clock:
    """Time that passes only where the run sleeps; one that never stops sleeping fails."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        assert self.now < 2_000.0, "the run does not end"


@dataclass
class Receiver:
    """What has reached somebody so far."""

    notifications: tuple[Notification, ...] = ()


@dataclass
class Stack:
    """Stands in for the running parts; `script` says which alerts there are since which second.

    Seconds count from the start, and from the fault once it is injected.
    """

    clock: Clock
    healthy: tuple[tuple[float, tuple[AlertView, ...]], ...] = ((0.0, (WATCHDOG,)),)
    broken: tuple[tuple[float, tuple[AlertView, ...]], ...] = ()
    dies_at: float | None = None
    configuration: Configuration = field(default_factory=Configuration)
    addresses: Mapping[str, str] = field(default_factory=dict)
    prometheus: str = "prometheus"
    alertmanager: str = "alertmanager"
    receiver: Receiver = field(default_factory=Receiver)
    injected: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    began: float = 0.0
    fault_at: float | None = None

    def inject(self, fault: str, arguments: Mapping[str, object]) -> None:
        self.injected.append((fault, arguments))
        self.fault_at = self.clock.now

    def expect_running(self) -> None:
        if self.dies_at is not None and self.clock.now - self.began >= self.dies_at:
            raise StakewatchError("the exporter ended with exit code 1")

    def alerts(self) -> tuple[AlertView, ...]:
        since, script = self.clock.now - self.began, self.healthy
        if self.fault_at is not None and self.broken:
            since, script = self.clock.now - self.fault_at, self.broken
        there = [views for begin, views in script if begin <= since][-1]
        for view in there:
            if view.name != "Watchdog" and note(view) not in self.receiver.notifications:
                self.receiver.notifications += (note(view),)
        return there


@dataclass
class Outcome:
    """What came of a run, as a person sees it."""

    verdict: Verdict
    seconds_from_fault: float
    said: list[str]
    said_at: list[float]
    changes: list[Change]
    page: str


Play = Callable[[Stack, DemoFault], Outcome]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(running, "time", clock)
    return clock


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock) -> Play:
    """Give a function that runs the demo on a stack and tells what came of it."""

    def act(stack: Stack, fault: DemoFault) -> Outcome:
        @contextmanager
        def start(_bundle: Bundle, _folder: Path, _report: Callable[[str], None]) -> Iterator[Stack]:
            stack.began = clock.now
            yield stack

        monkeypatch.setattr(running, "running", start)
        monkeypatch.setattr(running, "observe", lambda _prometheus, _alertmanager: stack.alerts())
        said: list[str] = []
        said_at: list[float] = []
        changes: list[Change] = []

        def report(text: str) -> None:
            said.append(text)
            said_at.append(clock.now)

        run = Run(Bundle(tmp_path), tmp_path / "demo", fault, report, changes.append)
        lingered: list[tuple[object, Verdict]] = []
        verdict = run.execute(lambda shown, verdict: lingered.append((shown, verdict)))
        assert lingered == [(stack, verdict)]
        assert stack.fault_at is not None
        page = run.page.read_text(encoding="utf-8")
        return Outcome(verdict, clock.now - stack.fault_at, said, said_at, changes, page)

    return act


def test_the_fault_is_injected_once_after_the_rules_have_their_history(play: Play, clock: Clock) -> None:
    stack = Stack(clock, broken=((0.0, (WATCHDOG,)), (4.0, (WATCHDOG, CAUSE))))
    outcome = play(stack, FAULT)
    assert stack.injected == [("down", FAULT.arguments)]
    assert stack.fault_at is not None
    assert 1800 / 48 < stack.fault_at - stack.began < 60.0
    said_of_fault = outcome.said.index("FAULT beacon-down: a beacon node dies")
    assert outcome.said_at[said_of_fault] == stack.fault_at


def test_it_never_waits_in_silence(play: Play, clock: Clock) -> None:
    began = clock.now
    outcome = play(Stack(clock, broken=((0.0, (WATCHDOG,)),)), FAULT)
    times = [began, *outcome.said_at, clock.now]
    assert max(later - earlier for earlier, later in pairwise(times)) <= 11.0
    assert outcome.said[-1] == "waiting for BeaconNodeDown(instance=beacon-2)"
    assert any("nothing fires, as it should be" in text for text in outcome.said)


def test_it_goes_on_looking_after_the_last_alert_that_had_to_come(play: Play, clock: Clock) -> None:
    outcome = play(Stack(clock, broken=((0.0, (WATCHDOG,)), (30.0, (WATCHDOG, CAUSE)))), FAULT)
    assert outcome.verdict.holds
    assert 30.0 + FAULT.quiet_seconds - 1.0 <= outcome.seconds_from_fault <= 30.0 + FAULT.quiet_seconds + 1.0


def test_an_alert_that_comes_late_and_must_not_come_is_found(play: Play, clock: Clock) -> None:
    script = ((0.0, (WATCHDOG,)), (4.0, (WATCHDOG, CAUSE)), (12.0, (WATCHDOG, CAUSE, OTHER)))
    outcome = play(Stack(clock, broken=script), FAULT)
    assert outcome.verdict.unexpected[0] == OTHER
    assert not outcome.verdict.missing


def test_an_alert_that_never_comes_is_waited_for_until_the_limit(play: Play, clock: Clock) -> None:
    outcome = play(Stack(clock), FAULT)
    assert outcome.verdict.missing == FAULT.expected
    assert LIMIT_SECONDS <= outcome.seconds_from_fault < LIMIT_SECONDS + 1.0


def test_an_alert_that_was_there_for_a_moment_counts(play: Play, clock: Clock) -> None:
    script = ((0.0, (WATCHDOG,)), (4.0, (WATCHDOG, CAUSE)), (5.0, (WATCHDOG,)))
    outcome = play(Stack(clock, broken=script), FAULT)
    assert outcome.verdict.holds
    assert [(change.alert.name, change.alert.state) for change in outcome.changes] == [
        ("Watchdog", State.FIRING),
        ("BeaconNodeDown", State.FIRING),
        ("BeaconNodeDown", State.RESOLVED),
    ]


def test_what_is_no_fault_is_watched_for_its_whole_time(play: Play, clock: Clock) -> None:
    outcome = play(Stack(clock), HARMLESS)
    assert outcome.verdict.holds
    assert 60.0 <= outcome.seconds_from_fault < 61.0


def test_what_notified_before_the_fault_does_not_disturb_the_verdict(play: Play, clock: Clock) -> None:
    stack = Stack(clock, healthy=((0.0, (WATCHDOG, OTHER)), (20.0, (WATCHDOG,))))
    assert play(stack, HARMLESS).verdict.holds
    assert stack.receiver.notifications == (note(OTHER),)


def test_a_fleet_that_is_not_quiet_before_the_fault_ends_the_run(play: Play, clock: Clock) -> None:
    stack = Stack(clock, healthy=((0.0, (WATCHDOG, OTHER)),))
    with pytest.raises(StakewatchError, match=r"not quiet after 90 s: NodeMemoryHigh\(instance=machine-1\)"):
        play(stack, FAULT)
    assert stack.injected == []


def test_a_watchdog_that_does_not_fire_ends_the_run(play: Play, clock: Clock) -> None:
    with pytest.raises(StakewatchError, match="the Watchdog does not fire"):
        play(Stack(clock, healthy=((0.0, ()),)), FAULT)


def test_a_part_that_dies_ends_the_run(play: Play, clock: Clock) -> None:
    with pytest.raises(StakewatchError, match="the exporter ended"):
        play(Stack(clock, dies_at=50.0), FAULT)


def test_the_page_shows_the_verdict_at_the_end(play: Play, clock: Clock) -> None:
    whole = play(Stack(clock, broken=((0.0, (WATCHDOG,)), (4.0, (WATCHDOG, CAUSE)))), FAULT)
    assert "A beacon node dies" in whole.page
    assert "All that had to come came, and nothing else did." in whole.page
    assert "BeaconNodeDown(instance=beacon-2)" in whole.page
