"""Incidents as files: what is read, and what is refused with its line and a mend."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stakewatch.errors import InputError
from stakewatch.rules.files import load_rule_files
from stakewatch.rules.replay.incident import FOLDER, Incident, load_incident
from stakewatch.rules.replay.truth import EPOCH_SECONDS

ROOT = Path(__file__).parents[4]
INCIDENTS = sorted((ROOT / FOLDER).glob("*.yaml"))
TEXT = """\
title: A test
source: [nobody]
interpolated: all of it
begins: 2023-05-11T20:06:47Z
lasts: 30m
warm_up: 20m
noticed: {at: 5m, by: us}
fleet:
  pairs:
    - {beacon: prysm, execution: geth}
    - {beacon: teku, execution: nethermind}
  clients:
    - {implementation: prysm, primary: beacon-1, backup: beacon-2, groups: {alpha: 10, beta: 5}}
    - {implementation: teku, primary: beacon-2, groups: {gamma: 5}}
chain:
  ours: 0.5
  participation:
    - {at: 0m, share: 0.8}
    - {at: 2023-05-11T20:19:35Z, share: 0.5}
  until: 25m36s
faults:
  - {what: refusing, where: {execution: nethermind, role: execution}, at: 1m, until: 2m}
slashings:
  - {group: beta, keys: 2, at: 3m, every: 10s, penalty_gwei: 7}
  - {group: beta, keys: 1, at: 4m, penalty_gwei: 7}
series:
  - {metric: a_metric, of: beacon-1, labels: {a: b}, at: 1m, until: 2m, value: 3, rate: 1}
expect:
  Down: {first: [1m, 2m], ends: never, labels: {instance: [beacon-1]}}
  Slow: {first: [-1m, 2m], ends: [3m, 4m]}
pages: [Down]
"""


def load(tmp_path: Path, text: str) -> Incident:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return load_incident(path)


def working(**replaced: str) -> str:
    text = TEXT.replace("{execution: nethermind, role: execution}", "{implementation: nethermind}")
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def test_an_incident_is_read_with_its_times_after_the_beginning(tmp_path: Path) -> None:
    incident = load(tmp_path, working())
    begins = datetime(2023, 5, 11, 20, 6, 47, tzinfo=UTC).timestamp()
    assert incident.begins == begins
    assert incident.noticed is not None
    assert incident.noticed.seconds == 300
    assert incident.pages == frozenset({"Down"})
    down, slow = incident.expectations["Down"], incident.expectations["Slow"]
    assert (down.first.earliest, down.first.latest, down.lasts, down.ends) == (60, 120, True, None)
    assert down.labels == {"instance": {"beacon-1"}}
    assert slow.first.earliest == -60
    assert slow.ends is not None
    assert (slow.ends.earliest, slow.ends.latest) == (180, 240)
    (change,) = incident.truth.changes
    assert [change.value_at(begins + at) for at in (59, 60, 61, 119, 120)] == [None, 3, 4, 62, None]


def test_epochs_are_those_of_the_network_and_shares_hold_until_the_next(tmp_path: Path) -> None:
    truth = load(tmp_path, working()).truth
    assert (truth.genesis - 1606824023) % EPOCH_SECONDS == 0
    first = truth.epoch_at(datetime(2023, 5, 11, 20, 6, 47, tzinfo=UTC).timestamp())
    assert truth.course.participation == {first: 0.8, first + 1: 0.8, first + 2: 0.5, first + 3: 0.5}
    assert truth.course.ours == 0.5


def test_faults_hit_who_is_meant_and_slashings_take_keys_once(tmp_path: Path) -> None:
    truth = load(tmp_path, working()).truth
    assert [(one.kind, one.instance, one.seconds) for one in truth.faults] == [
        ("refusing", "execution-2", 60)
    ]
    assert [(one.group, one.keys) for one in truth.slashings] == [
        ("beta", range(10, 12)),
        ("beta", range(12, 13)),
    ]
    assert (truth.slashed_at < float("inf")).sum() == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: A test\n", "", "has no title"),
        ("lasts: 30m", "lasts: 400h", "more than 72 h"),
        ("lasts: 30m", "lasts: soon", "lasts is"),
        ("2023-05-11T20:06:47Z", "2023-15-11T20:06:47Z", "is no time"),
        ("beacon: teku", "beacon: tekku", "did you mean teku"),
        ("execution: geth", "execution: lighthouse", "nothing is known of the execution implementation"),
        ("implementation: teku, primary", "implementation: geth, primary", "validator implementation"),
        ("primary: beacon-2, groups", "primary: beacon-9, groups", "there is no beacon node"),
        ("{gamma: 5}", "{alpha: 5}", "two groups are named"),
        ("share: 0.5", "share: 1.5", "at most 1"),
        ("at: 2023-05-11T20:19:35Z, share", "at: 2023-05-11T19:00:00Z, share", "not after the one before it"),
        ("what: refusing", "what: lazy", "what is"),
        ("{implementation: nethermind}", "{implementation: reth}", "hits nobody"),
        ("{implementation: nethermind}", "{role: beacon}", "hits others"),
        ("at: 1m, until: 2m}\nslash", "at: 2m, until: 2m}\nslash", "ends before it begins"),
        ("keys: 2,", "keys: 5,", "has not so many keys"),
        ("group: beta, keys: 1", "group: omega, keys: 1", "there is no such group"),
        ("of: beacon-1", "of: beacon-7", "there is no process"),
        ("[1m, 2m], ends", "[2m, 1m], ends", "the window ends before it begins"),
        ("[1m, 2m], ends", "[1m], ends", "first"),
        ("pages: [Down]", "pagers: [Down]", "unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in working()
    with pytest.raises(InputError) as raised:
        load(tmp_path, working(**{old: new}))
    assert message in str(raised.value)
    assert "a.yaml:" in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "title: [", "\x00", "a: " + "[" * 1000])
def test_what_is_no_incident_at_all_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        load(tmp_path, text)


@pytest.mark.parametrize("path", INCIDENTS, ids=lambda path: path.stem)
def test_our_incidents_name_rules_that_there_are_and_their_sources(path: Path) -> None:
    incident = load_incident(path)
    alerts = {rule.name for rule_file in load_rule_files(ROOT / "rules") for rule in rule_file.alerts}
    assert set(incident.expectations) <= alerts
    assert incident.pages is not None
    assert incident.pages <= set(incident.expectations)
    assert incident.source
    assert incident.interpolated


def test_the_incidents_of_the_book_are_all_there() -> None:
    names = [path.stem for path in INCIDENTS]
    for known in ("finality-2023-05-11", "nethermind", "besu", "holesky"):
        assert any(name.startswith(known) for name in names)
    assert sum(name.startswith("slashing-") for name in names) == 4
