"""The verdict on a demo run: what had to reach a person did, what had to be held back was, no more came."""

from collections.abc import Iterable
from dataclasses import dataclass

from stakewatch.demo.faults import DemoFault, Expectation
from stakewatch.demo.receiver import Notification
from stakewatch.demo.watching import AlertView, State

ALWAYS_FIRING = frozenset({"Watchdog"})


@dataclass(frozen=True)
class Verdict:
    """`missing` did not come true; `unexpected` fired and `disturbing` notified without a reason."""

    missing: tuple[Expectation, ...]
    unexpected: tuple[AlertView, ...]
    disturbing: tuple[Notification, ...]

    @property
    def holds(self) -> bool:
        """Whether all that was expected came and nothing else did."""
        return not (self.missing or self.unexpected or self.disturbing)


def fulfilled(
    expectation: Expectation, seen: Iterable[AlertView], notifications: Iterable[Notification]
) -> bool:
    """Tell whether an alert notified a person, or was held back by the right one where it must be."""
    views = [view for view in seen if expectation.matches(view.name, dict(view.labels))]
    if expectation.inhibited_by is None:
        return any(view.state is State.FIRING for view in views) and any(
            note.status == "firing" and expectation.matches(note.alert, dict(note.labels))
            for note in notifications
        )
    return any(
        view.state is State.INHIBITED
        and any(title.startswith(f"{expectation.inhibited_by}(") for title in view.inhibited_by)
        for view in views
    )


def judge(fault: DemoFault, seen: Iterable[AlertView], notifications: Iterable[Notification]) -> Verdict:
    """Judge all states that alerts were seen in since the fault; what it does not expect may not fire."""
    views = [view for view in seen if view.state in {State.FIRING, State.INHIBITED}]
    notes = tuple(notifications)
    expected = fault.expected
    return Verdict(
        missing=tuple(one for one in expected if not fulfilled(one, views, notes)),
        unexpected=tuple(
            view
            for view in views
            if view.name not in ALWAYS_FIRING
            and not any(one.matches(view.name, dict(view.labels)) for one in expected)
        ),
        disturbing=tuple(
            note
            for note in notes
            if note.status == "firing"
            and note.alert not in ALWAYS_FIRING
            and not any(
                one.inhibited_by is None and one.matches(note.alert, dict(note.labels)) for one in expected
            )
        ),
    )
