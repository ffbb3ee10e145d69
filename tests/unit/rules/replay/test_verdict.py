"""A verdict: every alert that is expected fires when and about whom it must, every other is silent."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stakewatch.rules.clock import Change, Evaluation
from stakewatch.rules.replay.incident import Expectation, Window
from stakewatch.rules.replay.verdict import Episode, episodes_of, flaws_of, is_held_back, shown
from stakewatch.rules.routing_checks import load_inhibitions

DOWN = {"alertname": "Down", "severity": "critical", "instance": "a", "network": "n"}
TICKET = {"alertname": "Slow", "severity": "warning", "instance": "a", "network": "n"}


def rounds(changes: Mapping[float, list[tuple[Mapping[str, str], str]]], last: int = 300) -> list[Evaluation]:
    return [
        Evaluation(1000.0 + at, 0.1, {}, tuple(Change(one, {}, state) for one, state in changes.get(at, [])))
        for at in range(0, last + 1, 30)
    ]


def episode(alert: str = "Down", first: float = 60, last: float | None = 120, **labels: str) -> Episode:
    return Episode({"alertname": alert, "severity": "critical", **labels}, first, last, first)


EXPECTED = Expectation("Down", Window(30, 90))


def whats(
    *episodes: Episode, expected: Expectation = EXPECTED, known: tuple[str, ...] = ("Down", "Slow")
) -> list[str]:
    return [f"{one.alert}: {one.what}" for one in flaws_of(episodes, {"Down": expected}, known)]


def test_an_episode_lasts_from_the_first_firing_to_the_end() -> None:
    found = episodes_of(
        rounds({30: [(DOWN, "pending")], 60: [(DOWN, "firing")], 180: [(DOWN, "inactive")]}), 1030.0
    )
    assert [(one.alert, one.first, one.last) for one in found] == [("Down", 30.0, 150.0)]


def test_what_was_only_pending_never_fired() -> None:
    assert episodes_of(rounds({30: [(DOWN, "pending")], 60: [(DOWN, "inactive")]}), 1000.0) == ()


def test_what_still_fires_at_the_end_has_none() -> None:
    (one,) = episodes_of(rounds({60: [(DOWN, "firing")]}), 1000.0)
    assert one.last is None


def inhibitions(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "alertmanager.yaml"
    path.write_text(
        f"route: {{receiver: a}}\nreceivers: [{{name: a}}]\ninhibit_rules:\n{text}", encoding="utf-8"
    )
    return path


RULE = "  - {source_matchers: [alertname = Down], target_matchers: [alertname = Slow], equal: [instance]}\n"


def test_an_alert_is_held_back_by_its_cause_and_by_no_others(tmp_path: Path) -> None:
    rules = load_inhibitions(inhibitions(tmp_path, RULE)) or ()
    assert is_held_back(TICKET, [DOWN, TICKET], rules)
    assert not is_held_back(TICKET, [{**DOWN, "instance": "b"}], rules)
    assert not is_held_back(DOWN, [DOWN, TICKET], rules)
    assert not is_held_back(TICKET, [TICKET], rules)


def test_two_that_are_cause_and_symptom_both_do_not_hold_back_each_other(tmp_path: Path) -> None:
    page = '[severity = "critical"]'
    both = f"  - {{source_matchers: {page}, target_matchers: {page}, equal: [network]}}\n"
    rules = load_inhibitions(inhibitions(tmp_path, both)) or ()
    assert not is_held_back(DOWN, [DOWN, {**DOWN, "instance": "b"}], rules)


def test_an_alert_is_told_when_its_cause_is_over_before_it(tmp_path: Path) -> None:
    rules = load_inhibitions(inhibitions(tmp_path, RULE)) or ()
    happening: dict[float, list[tuple[Mapping[str, str], str]]] = {
        60: [(DOWN, "firing"), (TICKET, "firing")],
        120: [(DOWN, "inactive")],
        180: [(TICKET, "inactive")],
    }
    told = {one.alert: one.told for one in episodes_of(rounds(happening), 1000.0, rules)}
    assert told == {"Down": 60.0, "Slow": 120.0}
    happening[120] = [(TICKET, "inactive")]
    told = {one.alert: one.told for one in episodes_of(rounds(happening), 1000.0, rules)}
    assert told["Slow"] is None


def test_what_is_as_expected_has_no_flaw() -> None:
    assert whats(episode()) == []


@pytest.mark.parametrize("first", [30, 90])
def test_both_ends_of_the_window_are_in_it(first: int) -> None:
    assert whats(episode(first=first)) == []


@pytest.mark.parametrize("first", [29, 91])
def test_an_alert_outside_its_window_is_a_flaw(first: int) -> None:
    (what,) = whats(episode(first=first))
    assert "it fired first after" in what


def test_an_alert_that_had_to_fire_and_did_not_is_a_flaw() -> None:
    (what,) = whats()
    assert what == "Down: it was silent, and had to fire between 0.5 min and 1.5 min"


def test_an_alert_that_nobody_named_is_a_flaw() -> None:
    (what,) = whats(episode(), episode("Slow", instance="x"), episode("Slow", instance="y"))
    assert what == "Slow: it fired after 1.0 min, and had to be silent (instance=x and 1 more)"


def test_a_misspelt_alert_is_a_flaw() -> None:
    assert whats(episode(), known=("Slow",)) == ["Down: no rule has this name"]


def test_an_alert_about_others_than_expected_is_a_flaw() -> None:
    expected = replace(EXPECTED, labels={"instance": frozenset({"a", "b"})})
    assert whats(episode(instance="a"), episode(instance="b"), expected=expected) == []
    (fewer,) = whats(episode(instance="a"), expected=expected)
    assert fewer == "Down: its instance was a, and had to be a, b"
    (none,) = whats(episode(), expected=expected)
    assert "was empty" in none


def test_an_alert_must_end_in_its_window_or_last() -> None:
    ends = replace(EXPECTED, ends=Window(100, 130))
    assert whats(episode(), expected=ends) == []
    assert "never ended" in whats(episode(last=None), expected=ends)[0]
    assert "ended after 2.2 min" in whats(episode(last=131), expected=ends)[0]
    assert whats(episode(last=None), expected=replace(EXPECTED, lasts=True)) == []
    assert "had to fire until the end" in whats(episode(), expected=replace(EXPECTED, lasts=True))[0]


def test_who_pages_is_said_exactly() -> None:
    expected = {"Down": Expectation("Down", Window(0, 100))}
    held_back = Episode({"alertname": "Down", "severity": "critical"}, 60, 120, None)
    known = ("Down",)
    assert flaws_of([episode()], expected, known, frozenset({"Down"})) == ()
    assert [one.what for one in flaws_of([episode()], expected, known, frozenset())] == [
        "it woke a person, and had not to"
    ]
    assert flaws_of([held_back], expected, known, frozenset()) == ()
    assert [one.what for one in flaws_of([held_back], expected, known, frozenset({"Down"}))] == [
        "it woke nobody, and had to"
    ]


def test_times_are_shown_as_people_say_them() -> None:
    assert [shown(one) for one in (15, 90, -120, 3720)] == ["0.2 min", "1.5 min", "-2.0 min", "1 h 02 min"]
