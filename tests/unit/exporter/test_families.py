"""The exporter is held to its contract: nothing outside it, and what is missing is listed here."""

from pathlib import Path

from stakewatch.catalogue.contract import load_contract
from stakewatch_exporter.families import FAMILIES

CONTRACT = load_contract(Path(__file__).parents[3] / "catalogue" / "exporter-metrics.yaml")

# What the exporter does not serve yet. This list only shrinks.
NOT_SERVED = frozenset(
    f"stakewatch_{name}"
    for name in (
        "validators_missing",
        "validators_unexpected",
        "voluntary_exits_total",
        "consolidations_total",
        "expected_seconds_between",
        "validator_consecutive_misses",
        "validator_slashed",
        "validator_live_while_disabled",
        "attestation_duties_total",
        "attestation_missed_total",
        "attestation_votes_total",
        "attestation_inclusion_distance_slots",
        "attestations_recent",
        "attestation_reward_gwei_total",
        "attestation_penalty_gwei_total",
        "attestation_ideal_reward_gwei_total",
        "network_attestation_duties_total",
        "network_attestation_missed_total",
        "network_attestation_votes_total",
        "network_attestation_inclusion_distance_slots",
        "network_attestations_recent",
        "network_attestation_reward_gwei_total",
        "network_attestation_penalty_gwei_total",
        "network_attestation_ideal_reward_gwei_total",
        "network_proposals_total",
        "network_proposals_recent",
        "proposals_recent",
        "proposals_expected_total",
        "proposals_upcoming",
        "next_duty_timestamp_seconds",
        "sync_committee_seats",
        "sync_committee_duties_total",
        "network_sync_committee_duties_total",
        "sync_committee_reward_gwei_total",
        "sync_committee_penalty_gwei_total",
        "network_active_validators",
        "network_active_balance_gwei",
        "network_participation_ratio",
        "network_slashings_total",
        "network_slashings_recent",
        "network_queue_length",
    )
)


def test_every_family_of_the_contract_is_served_or_listed_as_missing() -> None:
    served = {family.name for family in FAMILIES}
    assert served | NOT_SERVED == set(CONTRACT.families)
    assert not served & NOT_SERVED


def test_the_families_of_nodes_fleet_and_itself_are_complete() -> None:
    missing = {
        name
        for name, family in CONTRACT.families.items()
        if family.section in {"nodes", "fleet", "itself"} and name in NOT_SERVED
    }
    assert missing == set()


def test_types_labels_and_buckets_are_those_of_the_contract() -> None:
    for family in FAMILIES:
        promised = CONTRACT.families[family.name]
        plain = {label for label in family.labels if not label.endswith("*")}
        prefixes = tuple(label.removesuffix("*") for label in family.labels if label.endswith("*"))
        assert family.type == promised.type, family.name
        assert plain | {"network"} == set(promised.labels), family.name
        assert prefixes == promised.label_prefixes, family.name
        assert family.buckets == promised.buckets, family.name


def test_no_family_is_declared_twice() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
