"""How two observations of alerts differ."""

from stakewatch.demo.watching import AlertView, State, changes, subject


def view(state: State, instance: str = "beacon-1") -> AlertView:
    return AlertView(
        name="BeaconNodeDown", labels=(("instance", instance),), state=state, value=0.0, annotations=()
    )


def test_a_new_alert_is_a_change_from_nothing() -> None:
    (change,) = changes([], [view(State.PENDING)], at=3.0)
    assert (change.at, change.before, change.alert.state) == (3.0, None, State.PENDING)


def test_an_alert_that_stays_is_no_change() -> None:
    assert changes([view(State.FIRING)], [view(State.FIRING)], at=1.0) == ()


def test_an_alert_that_moves_on_is_told_with_its_old_state() -> None:
    (change,) = changes([view(State.PENDING)], [view(State.FIRING)], at=1.0)
    assert (change.before, change.alert.state) == (State.PENDING, State.FIRING)


def test_an_alert_that_goes_is_resolved() -> None:
    (change,) = changes([view(State.FIRING)], [], at=1.0)
    assert (change.before, change.alert.state) == (State.FIRING, State.RESOLVED)


def test_two_instances_are_two_alerts() -> None:
    (change,) = changes([view(State.FIRING)], [view(State.FIRING), view(State.FIRING, "beacon-2")], at=1.0)
    assert change.alert.labels == (("instance", "beacon-2"),)


def test_an_alert_is_named_by_the_key_before_its_group() -> None:
    assert subject({"group": "alpha", "validator_index": "7"}) == "validator_index=7"
    assert subject({"group": "alpha", "cluster": "x"}) == "group=alpha"


def test_an_alert_without_a_known_subject_is_named_by_its_other_labels() -> None:
    assert subject({"alertname": "X", "severity": "info", "volume": "v1"}) == "volume=v1"
