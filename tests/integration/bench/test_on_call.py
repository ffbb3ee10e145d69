"""What reaches people, on a real Alertmanager in compressed time."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from stakewatch.rules.clock import Change, Evaluation
from tests.bench.rules import on_call
from tests.bench.rules.on_call import Call, notifications

ROUTES = Path(__file__).parents[3] / "alertmanager" / "alertmanager.yaml"
DOWN = {
    "alertname": "BeaconNodeDown",
    "severity": "critical",
    "area": "beacon",
    "network": "mainnet",
    "cluster": "eks-1",
    "instance": "beacon-1",
    "beacon_node": "beacon-1",
}
GROUP = {
    "alertname": "ValidatorGroupNotEarning",
    "severity": "critical",
    "area": "validators",
    "network": "mainnet",
    "group": "alpha",
    "beacon_node": "beacon-1",
}


def rounds(changes: Mapping[int, list[tuple[Mapping[str, str], str]]], last: int) -> list[Evaluation]:
    """Return rounds every 30 s, with these alerts changing at these seconds."""
    return [
        Evaluation(
            at=1_000_000.0 + at,
            seconds=0.1,
            groups={},
            changes=tuple(Change(labels, {"summary": "-"}, state) for labels, state in changes.get(at, [])),
        )
        for at in range(0, last + 1, 30)
    ]


def pages(calls: tuple[Call, ...]) -> list[tuple[str, list[str]]]:
    return [
        (call.status, [one["alertname"] for one in call.alerts]) for call in calls if call.receiver == "pager"
    ]


@pytest.fixture(autouse=True)
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_call, "FACTOR", 1 / 60)


def test_a_cause_and_its_symptom_are_one_page_at_its_time_and_one_that_it_is_over(tmp_path: Path) -> None:
    happening: dict[int, list[tuple[Mapping[str, str], str]]] = {
        30: [(DOWN, "firing")],
        60: [(GROUP, "pending")],
        90: [(GROUP, "firing")],
        240: [(DOWN, "inactive"), (GROUP, "inactive")],
    }
    calls = notifications(rounds(happening, 300), ROUTES, tmp_path)
    assert pages(calls) == [("firing", ["BeaconNodeDown"]), ("resolved", ["BeaconNodeDown"])]
    first = calls[0]
    # A second of waiting is a minute here.
    assert 30 <= first.at - 1_000_000 <= 30 + 60 + 120
    assert first.alerts[0]["beacon_node"] == "beacon-1"


def test_what_is_pending_reaches_nobody(tmp_path: Path) -> None:
    assert (
        notifications(rounds({0: [(DOWN, "pending")], 60: [(DOWN, "inactive")]}, 90), ROUTES, tmp_path) == ()
    )
