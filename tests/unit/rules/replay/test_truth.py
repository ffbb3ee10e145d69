"""What an incident does to a fleet's truth, and how its series show it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from stakewatch.errors import InputError
from stakewatch.rules.replay.fleet import Fleet, drawn_fleet
from stakewatch.rules.replay.happenings import Course, Fault, FaultKind, SeriesChange, Slashing
from stakewatch.rules.replay.rounds import Model
from stakewatch.rules.replay.truth import EPOCH_SECONDS, SLOT_SECONDS, Truth, load_noise

QUIET = replace(
    load_noise(), hours=2.0, upgrade_begins=None, reorganisations=(), missed_share=0.0, late_share=0.0
)
FIRST = 8


def fleet() -> Fleet:
    pairs = [{"beacon": "prysm", "execution": "nethermind"}, {"beacon": "teku", "execution": "geth"}]
    clients = [
        {"implementation": "prysm", "primary": "beacon-1", "groups": {"alpha": 20}},
        {"implementation": "teku", "primary": "beacon-1", "backup": "beacon-2", "groups": {"beta": 20}},
    ]
    return drawn_fleet(pairs, clients, [], "hoodi")


def truth(**more: object) -> Truth:
    return replace(Truth(fleet(), QUIET), **more)  # type: ignore[arg-type]


def moment(epoch: int) -> int:
    return truth().genesis + epoch * EPOCH_SECONDS


def fault(kind: FaultKind, instance: str) -> Truth:
    return truth(faults=(Fault(kind, instance, moment(FIRST), 3 * EPOCH_SECONDS),))


def shown(model: Model, name: str, **labels: str) -> list[float]:
    return [
        float(model.board.values[number])
        for number, one in enumerate(model.board.labels)
        if one["__name__"] == name and model.board.live[number] and labels.items() <= one.items()
    ]


def at(one: Truth, seconds: float) -> Model:
    model = Model(one)
    for now in (*range(one.start, int(seconds), 15), seconds):
        model.update(now)
    return model


def test_a_healthy_network_finalises_the_epoch_before_the_last() -> None:
    one = truth()
    assert [one.finality_delay(epoch) for epoch in range(3, one.epochs)] == [1] * (one.epochs - 3)
    assert not any(one.leaks(epoch) for epoch in range(3, one.epochs))


def test_without_two_thirds_finality_stands_still_and_stakes_leak_after_four_epochs() -> None:
    one = truth(course=Course(participation=dict.fromkeys(range(FIRST, FIRST + 6), 0.66)))
    delays = [one.finality_delay(epoch) for epoch in range(FIRST, FIRST + 10)]
    assert delays == [1, 2, 3, 4, 5, 6, 7, 8, 1, 1]
    assert [one.leaks(epoch) for epoch in range(FIRST + 3, FIRST + 5)] == [False, True]


def test_two_thirds_are_enough() -> None:
    one = truth(course=Course(participation=dict.fromkeys(range(FIRST, FIRST + 6), 2 / 3)))
    assert {one.finality_delay(epoch) for epoch in range(FIRST, FIRST + 8)} == {1}


def test_our_keys_miss_their_part_of_what_the_network_misses() -> None:
    course = Course(participation={FIRST: 0.5, FIRST + 1: 0.0}, ours=1.0)
    missed = truth(course=course).missed
    assert 0.2 < missed[FIRST].mean() < 0.8
    assert missed[FIRST + 1].all()
    assert not missed[FIRST + 2].any()
    assert not truth(course=replace(course, ours=0.0)).missed.any()


def test_slots_without_a_block_are_as_many_as_said_and_delay_the_head() -> None:
    one = truth(course=Course(blocks={FIRST: 0.25, FIRST + 1: 0.0}))
    slots = one.has_block[FIRST * 32 : (FIRST + 2) * 32]
    assert slots[:32].sum() == 8
    assert slots[32:].sum() == 0
    last = int(np.flatnonzero(slots)[-1]) + FIRST * 32
    assert one.newest_block(moment(FIRST + 2) - 1) == last
    assert one.head_of("beacon-1", moment(FIRST + 2) - 1) == last


@pytest.mark.parametrize(("kind", "optimistic"), [("refusing", False), ("halted", True)])
def test_a_client_without_a_backup_misses_while_its_execution_node_stands(
    kind: FaultKind, *, optimistic: bool
) -> None:
    one = fault(kind, "execution-1")
    assert one.missed[FIRST + 1, :20].all()
    assert not one.missed[FIRST + 1, 20:].any()
    assert not one.missed[FIRST + 4].any()
    model = at(one, moment(FIRST + 2))
    assert shown(model, "stakewatch_beacon_optimistic", instance="beacon-1") == [float(optimistic)]
    stands = shown(model, "stakewatch_execution_behind_blocks", instance="execution-1")
    assert stands == [2 * 32]
    distance = shown(model, "stakewatch_beacon_sync_distance_slots", instance="beacon-1")
    assert distance == ([1.0] if optimistic else [65.0])
    assert shown(model, "stakewatch_node_up", instance="execution-1") == [1.0]
    assert shown(model, "stakewatch_node_syncing", instance="execution-1") == [0.0]


def test_a_dead_primary_without_a_backup_costs_every_attestation_with_one_only_the_change() -> None:
    one = fault("dead", "beacon-1")
    assert one.missed[FIRST + 1, :20].all()
    assert one.missed[FIRST : FIRST + 3, 20:].mean() < 0.1


def test_of_two_nodes_that_differ_both_are_named_and_votes_for_another_chain_are_lost() -> None:
    one = fault("forked", "beacon-1")
    model = at(one, moment(FIRST + 1))
    assert shown(model, "stakewatch_beacon_root_disagreement") == [1.0, 1.0]
    assert one.missed[FIRST + 1].all()


def test_a_slashed_key_is_shown_at_once_loses_leaves_and_has_no_duty() -> None:
    slashing = Slashing("alpha", range(2), moment(FIRST) + 100.0, 12.0, 1_000_000_000)
    one = truth(slashings=(slashing,))
    assert not one.missed[:, :2].any()
    assert shown(at(one, moment(FIRST) + 90), "stakewatch_validator_slashed") == []
    model = at(one, moment(FIRST) + 105)
    assert shown(model, "stakewatch_validator_slashed", group="alpha") == [1.0]
    assert shown(model, "stakewatch_network_slashings_recent", kind="attester") == [1.0]
    statuses = {"group": "alpha"}
    assert shown(model, "stakewatch_validators", status="active_slashed", **statuses) == [0.0]
    model = at(one, moment(FIRST + 2))
    assert shown(model, "stakewatch_validators", status="active_ongoing", **statuses) == [18.0]
    assert shown(model, "stakewatch_validators", status="active_slashed", **statuses) == [2.0]
    model = at(one, moment(FIRST + 8))
    assert shown(model, "stakewatch_validators", status="exited_slashed", **statuses) == [2.0]
    assert shown(model, "stakewatch_validator_slashed") == [1.0, 1.0]
    assert min(shown(model, "stakewatch_validator_earned_gwei", group="alpha")) < -990_000_000
    assert shown(model, "stakewatch_network_slashings_total", kind="attester") == [6.0]


def change(
    metric: str, labels: Mapping[str, str], of: str | None = None, value: float = 5.0, rate: float = 0.0
) -> SeriesChange:
    return SeriesChange(metric, labels, of, moment(5), 60.0, value, rate)


def test_a_changed_series_says_something_else_and_then_what_it_said_before() -> None:
    labels = {"instance": "beacon-1", "role": "beacon"}
    metric = "powchain_sync_eth1_connected"
    one = truth(changes=(change(metric, labels, value=0.0),))
    model = Model(one)
    seen = []
    for now in range(moment(5) - 15, moment(5) + 90, 15):
        model.update(now)
        seen += shown(model, metric)
    assert seen == [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


def test_a_series_that_nothing_shows_comes_and_goes_with_the_labels_of_its_process() -> None:
    one = truth(changes=(change("new_total", {"kind": "x"}, "beacon-1", rate=1.0),))
    model = Model(one)
    seen = []
    for now in range(moment(5) - 15, moment(5) + 75, 30):
        model.update(now)
        seen.append(shown(model, "new_total", instance="beacon-1", kind="x", network="hoodi"))
    assert seen == [[], [20.0], [50.0]]


def test_series_of_nobody_are_refused() -> None:
    with pytest.raises(InputError, match="nothing of this fleet shows new_total"):
        Model(truth(changes=(change("new_total", {}),)))


def test_slots_are_counted_from_the_truths_own_genesis() -> None:
    assert truth().slot_at(truth().start) * SLOT_SECONDS == truth().start - truth().genesis
