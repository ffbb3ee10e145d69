"""The model of a healthy day: it shows what rules read, under real names, and agrees with its truth."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from stakewatch.catalogue import load_catalogue
from stakewatch.promql import selectors
from stakewatch.rules.files import load_rule_files
from stakewatch.rules.replay.client_model import load_absent, load_healthy
from stakewatch.rules.replay.fleet import shared_fleet, spread_fleet
from stakewatch.rules.replay.happenings import Fault
from stakewatch.rules.replay.rounds import Model
from stakewatch.rules.replay.truth import EPOCH_SECONDS, Truth, load_noise
from tests.bench.rules.quiet_day import cause_of

REPOSITORY = Path(__file__).parents[3]
NOISE = replace(load_noise(), hours=2.0, upgrade_begins=0.2, reorganisations=(1.0,), missed_share=0.05)
PLATFORM = ("kube-state-metrics-pod", "kube-state-metrics-volume", "kube-state-metrics-machine")
COMPONENTS = dict.fromkeys(PLATFORM, "kube-state-metrics") | {
    "kubelet-volume": "kubelet",
    "teku_validator-remote": "teku_validator",
    "lodestar_validator-remote": "lodestar_validator",
}


@cache
def truth() -> Truth:
    return Truth(spread_fleet(keys=80, groups=20, nodes=20), NOISE)


def shown(model: Model, name: str, **labels: str) -> list[float]:
    """Return the values of the live series of a name with these labels."""
    return [
        float(model.board.values[number])
        for number, one in enumerate(model.board.labels)
        if one["__name__"] == name
        and model.board.live[number]
        and all(one.get(label) == text for label, text in labels.items())
    ]


def at(model: Model, seconds: float) -> Model:
    """Bring a model to so many seconds after its start, scrape by scrape."""
    for moment in range(model.truth.start, int(model.truth.start + seconds) + 1, 15):
        model.update(moment)
    return model


def test_every_series_that_a_rule_reads_is_shown_or_absent_for_a_reason() -> None:
    rule_files = load_rule_files(REPOSITORY / "rules")
    recorded = {rule.name for rule_file in rule_files for rule in rule_file.records}
    read = {
        name
        for rule_file in rule_files
        for group in rule_file.groups
        for rule in group.rules
        for selector in selectors(rule.expression)
        for name in selector.metric_names
    }
    there = {labels["__name__"] for labels in Model(truth()).board.labels}
    assert sorted(read - recorded - there - set(load_absent())) == []
    assert sorted(set(load_absent()) & there) == []


def test_what_healthy_components_show_stands_in_the_catalogue() -> None:
    catalogue = load_catalogue(REPOSITORY / "catalogue")
    wrong = []
    for component, metrics in load_healthy().items():
        known = catalogue.components[COMPONENTS.get(component, component)]
        for name, spec in metrics.items():
            suffix = "_bucket" if "mean" in spec else ""
            found = known.find(name + suffix) or known.find(f"{name}_total")
            if not found:
                wrong.append(f"{component}: {name}")
            wrong += [
                f"{component}: {name} has no label {label}"
                for label in (*spec.get("labels", {}), *spec.get("each", {}))
                for metric in found
                if metric.labels is not None
                and label not in metric.labels
                and metric.has_label(name, label) is False
            ]
    assert wrong == []


def test_series_are_there_once() -> None:
    labels = [tuple(sorted(one.items())) for one in Model(truth()).board.labels]
    assert len(labels) == len(set(labels))


def test_a_node_that_is_upgraded_is_down_then_newer_with_counters_from_zero() -> None:
    model = Model(truth())
    outage = next(one for one in truth().outages if one.instance == "beacon-1")
    before = at(model, outage.start - truth().start - 15)
    assert shown(before, "up", instance="beacon-1") == [1.0]
    assert shown(before, "stakewatch_node_version_outdated", instance="beacon-1") == [1.0]
    model.update(outage.start + 15)
    assert shown(model, "up", instance="beacon-1") == [0.0]
    assert shown(model, "stakewatch_node_up", instance="beacon-1") == [0.0]
    assert shown(model, "process_start_time_seconds", instance="beacon-1") == []
    assert shown(model, "kube_pod_status_ready", pod="beacon-1-0") == [0.0]
    model.update(outage.end + 60)
    assert shown(model, "process_start_time_seconds", instance="beacon-1") == [outage.end]
    assert shown(model, "stakewatch_node_version_outdated", instance="beacon-1") == [0.0]
    assert shown(model, "kube_pod_status_ready", pod="beacon-1-0") == [1.0]


def test_clients_of_a_node_that_is_down_are_on_their_backup() -> None:
    model = Model(truth())
    client = next(name for name, uses in truth().fleet.uses.items() if uses[0] == "beacon-1")
    backup = truth().fleet.uses[client][1]
    outage = next(one for one in truth().outages if one.instance == "beacon-1")
    model.update(outage.start + 15)
    active = {
        node: shown(model, "stakewatch_topology_active", validator_client=client, beacon_node=node or "")
        for node in ("beacon-1", backup)
    }
    assert active == {"beacon-1": [0.0], backup: [1.0]}


def test_groups_show_what_their_keys_missed_two_epochs_late() -> None:
    model = at(Model(truth()), 5 * EPOCH_SECONDS)
    settled = truth().epoch_at(truth().start + 5 * EPOCH_SECONDS) - 3
    (processed,) = shown(model, "stakewatch_last_processed_epoch")
    assert processed == settled
    first = truth().epoch_at(truth().start) - 4
    for group in truth().fleet.groups:
        keys = slice(group.first_key, group.first_key + group.keys)
        (missed,) = shown(model, "stakewatch_attestation_missed_total", group=group.name)
        assert missed == truth().missed[first : settled + 1, keys].sum()
        recent = shown(model, "stakewatch_attestations_recent", group=group.name)
        assert sum(recent) == group.keys
        assert recent[2] == truth().missed[settled + 1, keys].sum()


def test_a_withdrawal_takes_the_balance_and_not_what_was_earned() -> None:
    model = Model(truth())
    swept = int(np.argmin(truth().withdrawals))
    epoch = int(truth().withdrawals[swept])
    pubkey = truth().fleet.pubkey(swept)
    settled_after = truth().genesis + (epoch + 2) * EPOCH_SECONDS + 30 - truth().start
    before = at(model, settled_after - EPOCH_SECONDS)
    (earned,) = shown(before, "stakewatch_validator_earned_gwei", pubkey=pubkey)
    after = at(Model(truth()), settled_after)
    assert shown(after, "stakewatch_validator_balance_gwei", pubkey=pubkey) == [32e9]
    (then,) = shown(after, "stakewatch_validator_earned_gwei", pubkey=pubkey)
    assert abs(then - earned) < 10_000


def test_a_reorganisation_takes_head_votes_of_one_slot_from_everybody() -> None:
    (slot,) = truth().reorganised_slots
    calm = replace(truth(), noise=replace(NOISE, reorganisations=()))
    lost = truth().late[slot // 32].sum() - calm.late[slot // 32].sum()
    assert 0.5 / 32 < lost / truth().fleet.keys < 2 / 32


def test_keys_without_a_backup_miss_while_their_node_is_dead_and_attest_again_afterwards() -> None:
    quiet = replace(NOISE, upgrade_begins=None, missed_share=0.0)
    fleet = shared_fleet(keys=400, groups=40)
    start = Truth(fleet, quiet).start
    broken = Truth(fleet, quiet, (Fault("dead", "beacon-1", start + 10 * EPOCH_SECONDS, 3 * EPOCH_SECONDS),))
    by_epoch = broken.missed[:, :400].mean(axis=1)
    assert by_epoch[14:17].tolist() == [1.0, 1.0, 1.0]
    assert by_epoch[:14].sum() == 0
    assert by_epoch[18:].sum() == 0
    assert broken.missed[:, 400:].sum() == 0
    assert sum(group.keys for group in fleet.groups_behind("beacon-1")) == 400


def test_a_sick_node_spoils_head_votes_and_no_check() -> None:
    quiet = replace(NOISE, upgrade_begins=None, missed_share=0.0, late_share=0.0, reorganisations=())
    fleet = shared_fleet(keys=400, groups=40)
    start = Truth(fleet, quiet).start
    broken = Truth(fleet, quiet, (Fault("sick", "beacon-1", start + 10 * EPOCH_SECONDS, 3 * EPOCH_SECONDS),))
    assert broken.late[15, :400].mean() > 0.9
    assert broken.late[:, 400:].sum() == 0
    assert broken.missed.sum() == 0
    model = Model(broken)
    model.update(start + 12 * EPOCH_SECONDS)
    assert shown(model, "stakewatch_node_healthy", instance="beacon-1") == [1.0]


def test_only_real_misses_explain_an_alert_on_a_key() -> None:
    streaks = truth().streaks
    epoch, key = (int(one) for one in np.argwhere(streaks >= 2)[0])
    then = truth().genesis + (epoch + 2) * EPOCH_SECONDS
    labels = {"alertname": "ValidatorBalanceNotGrowing", "pubkey": truth().fleet.pubkey(key)}
    assert cause_of(truth(), labels, then)
    healthy = int(np.flatnonzero(streaks.max(axis=0) == 0)[0])
    assert not cause_of(truth(), {**labels, "pubkey": truth().fleet.pubkey(healthy)}, then)
    assert not cause_of(truth(), {"alertname": "BeaconNodeDown", "instance": "beacon-1"}, then)


@pytest.mark.parametrize("role", ["beacon", "execution", "validator", "signer", "relay"])
def test_every_process_is_scraped_and_has_its_pod(role: str) -> None:
    model = Model(truth())
    model.update(truth().start)
    for process in truth().fleet.of_role(role):
        assert shown(model, "up", instance=process.instance, role=role) == [1.0]
        assert shown(model, "kube_pod_info", pod=process.pod, node=process.machine) == [1.0]
