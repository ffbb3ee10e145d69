"""The verdict on a demo run."""

from dataclasses import replace

from stakewatch.demo.faults import FAULTS, DemoFault, Expectation, find_fault
from stakewatch.demo.receiver import Notification
from stakewatch.demo.verdict import judge
from stakewatch.demo.watching import AlertView, State

FAULT = DemoFault(
    name="beacon-down",
    describes="a beacon node dies",
    why="it does",
    simulator_fault="down",
    expected=(
        Expectation("BeaconNodeDown", {"instance": "beacon-2"}),
        Expectation("ValidatorGroupNotEarning", {"group": "charlie"}, inhibited_by="BeaconNodeDown"),
    ),
)

HARMLESS = DemoFault(
    name="withdrawals", describes="balances fall", why="no fault at all", simulator_fault="withdrawal_sweep"
)


def view(name: str, state: State, inhibited_by: tuple[str, ...] = (), **labels: str) -> AlertView:
    return AlertView(
        name=name,
        labels=tuple(sorted(labels.items())),
        state=state,
        value=1.0,
        annotations=(),
        inhibited_by=inhibited_by,
    )


def note(alert: str, status: str = "firing", **labels: str) -> Notification:
    return Notification(alert=alert, status=status, labels=tuple(sorted(labels.items())))


CAUSE = view("BeaconNodeDown", State.FIRING, instance="beacon-2")
SYMPTOM = view(
    "ValidatorGroupNotEarning",
    State.INHIBITED,
    inhibited_by=("BeaconNodeDown(instance=beacon-2)",),
    group="charlie",
)
PAGE = note("BeaconNodeDown", instance="beacon-2")


def test_holds_when_the_cause_notified_and_the_symptom_was_held_back() -> None:
    assert judge(FAULT, [CAUSE, SYMPTOM], [PAGE]).holds


def test_an_alert_that_fires_but_notifies_nobody_is_missing() -> None:
    assert judge(FAULT, [CAUSE, SYMPTOM], []).missing == (FAULT.expected[0],)


def test_a_resolved_notification_is_no_notification_of_a_fault() -> None:
    resolved = note("BeaconNodeDown", status="resolved", instance="beacon-2")
    assert judge(FAULT, [CAUSE, SYMPTOM], [resolved]).missing == (FAULT.expected[0],)


def test_the_right_alert_of_the_wrong_node_is_missing_and_unexpected() -> None:
    other = view("BeaconNodeDown", State.FIRING, instance="beacon-1")
    verdict = judge(FAULT, [other, SYMPTOM], [note("BeaconNodeDown", instance="beacon-1")])
    assert verdict.missing == (FAULT.expected[0],)
    assert verdict.unexpected == (other,)
    assert len(verdict.disturbing) == 1


def test_a_symptom_held_back_by_another_alert_is_missing() -> None:
    held_by_other = view(
        "ValidatorGroupNotEarning", State.INHIBITED, ("NodeMemoryHigh(instance=x)",), group="charlie"
    )
    assert judge(FAULT, [CAUSE, held_by_other], [PAGE]).missing == (FAULT.expected[1],)


def test_a_symptom_that_notified_somebody_disturbs() -> None:
    verdict = judge(FAULT, [CAUSE, SYMPTOM], [PAGE, note("ValidatorGroupNotEarning", group="charlie")])
    assert not verdict.holds
    assert [one.alert for one in verdict.disturbing] == ["ValidatorGroupNotEarning"]


def test_a_pending_alert_is_neither_expected_nor_unexpected() -> None:
    pending = view("NodeMemoryHigh", State.PENDING, instance="machine-1")
    assert judge(FAULT, [CAUSE, SYMPTOM, pending], [PAGE]).holds


def test_the_watchdog_always_fires() -> None:
    watchdog = view("Watchdog", State.FIRING)
    assert judge(HARMLESS, [watchdog], [note("Watchdog")]).holds


def test_after_what_is_no_fault_any_alert_is_unexpected() -> None:
    assert judge(HARMLESS, [CAUSE], []).unexpected == (CAUSE,)


def test_fault_names_are_unique_and_found() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert all(find_fault(name) is fault for name, fault in zip(names, FAULTS, strict=True))
    assert find_fault("nothing of the kind") is None


def test_what_the_expected_alert_holds_back_is_neither_unexpected_nor_disturbing() -> None:
    direct = view("BeaconApiSlow", State.INHIBITED, ("BeaconNodeDown(instance=beacon-2)",), instance="x")
    indirect = view("ValidatorClientApiErrors", State.INHIBITED, (direct.title,), instance="y")
    before = view("BeaconApiSlow", State.FIRING, instance="x")
    assert judge(FAULT, [before, CAUSE, SYMPTOM, indirect, direct], [PAGE]).holds


def test_what_a_symptom_or_a_stranger_holds_back_is_unexpected() -> None:
    stranger = view("BeaconApiSlow", State.INHIBITED, ("NodeMemoryHigh(instance=z)",), instance="x")
    assert judge(FAULT, [CAUSE, SYMPTOM, stranger], [PAGE]).unexpected == (stranger,)


def test_the_fleets_own_standing_alerts_are_no_part_of_a_verdict() -> None:
    missing = {"validator_client": "validators-2", "beacon_node": "beacon-2"}
    standing = view("SharedBeaconBackupMissing", State.FIRING, (), **missing)
    told = note("SharedBeaconBackupMissing", **missing)
    assert judge(FAULT, [CAUSE, SYMPTOM, standing], [PAGE, told]).holds
    other = view("SharedBeaconBackupMissing", State.FIRING, validator_client="validators-1")
    assert judge(FAULT, [CAUSE, SYMPTOM, other], [PAGE]).unexpected == (other,)


def test_what_is_possible_may_come_and_need_not() -> None:
    fault = replace(FAULT, possible=(Expectation("ValidatorProposalMissed", {"group": "charlie"}),))
    proposal = view("ValidatorProposalMissed", State.FIRING, group="charlie")
    told = note("ValidatorProposalMissed", group="charlie")
    assert judge(fault, [CAUSE, SYMPTOM], [PAGE]).holds
    assert judge(fault, [CAUSE, SYMPTOM, proposal], [PAGE, told]).holds
    assert not judge(FAULT, [CAUSE, SYMPTOM, proposal], [PAGE, told]).holds
