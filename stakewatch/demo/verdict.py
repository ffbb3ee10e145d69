"""The verdict on a demo run: what had to reach a person did, what had to be held back was, no more came."""

from collections.abc import Iterable
from dataclasses import dataclass

from stakewatch.demo.faults import DemoFault, Expectation, is_standing
from stakewatch.demo.receiver import Notification
from stakewatch.demo.watching import AlertView, State

Key = tuple[str, tuple[tuple[str, str], ...]]


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
    """Judge all states that alerts were seen in since the fault.

    What the fault does not expect may not fire, unless an alert that must come holds it back.
    """
    views = [view for view in seen if view.state in {State.FIRING, State.INHIBITED}]
    notes = tuple(notifications)
    expected = (*fault.expected, *fault.possible)
    held_back = _held_back(fault, views)
    return Verdict(
        missing=tuple(one for one in fault.expected if not fulfilled(one, views, notes)),
        unexpected=tuple(
            view
            for view in views
            if view.key not in held_back
            and not is_standing(view.name, dict(view.labels))
            and not any(one.matches(view.name, dict(view.labels)) for one in expected)
        ),
        disturbing=tuple(
            note
            for note in notes
            if note.status == "firing"
            and not is_standing(note.alert, dict(note.labels))
            and not any(
                one.inhibited_by is None and one.matches(note.alert, dict(note.labels)) for one in expected
            )
        ),
    )


def _held_back(fault: DemoFault, views: Iterable[AlertView]) -> set[Key]:
    """Return the alerts that one which must come holds back, directly or through others."""
    causes = tuple(f"{one.alert}(" for one in fault.expected if one.inhibited_by is None)
    inhibited = [view for view in views if view.state is State.INHIBITED]
    held: set[Key] = set()
    titles: set[str] = set()
    while True:
        more = [
            view
            for view in inhibited
            if view.key not in held
            and any(title.startswith(causes) or title in titles for title in view.inhibited_by)
        ]
        if not causes or not more:
            return held
        held |= {view.key for view in more}
        titles |= {view.title for view in more}
