"""The exporter's contract as types."""

from pathlib import Path

import pytest

from stakewatch.catalogue.contract import Contract, contract_schema, load_contract
from stakewatch.errors import InputError

ROOT = Path(__file__).parents[3]
PATH = ROOT / "catalogue" / "exporter-metrics.yaml"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(PATH)


def changed(folder: Path, old: str, new: str) -> str:
    text = PATH.read_text(encoding="utf-8")
    assert old in text
    path = folder / "exporter-metrics.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_contract(path)
    return str(caught.value)


def test_every_family_carries_network_and_the_labels_of_its_section(contract: Contract) -> None:
    assert len(contract.families) > 90
    assert all("network" in family.labels for family in contract.families.values())
    assert list(contract.families["stakewatch_node_check"].labels) == [
        "network",
        "cluster",
        "region",
        "instance",
        "role",
        "implementation",
        "check",
    ]
    assert set(contract.families["stakewatch_validator_balance_gwei"].labels) == {
        "network",
        "group",
        "validator_index",
        "pubkey",
    }


def test_a_twin_is_a_family_of_its_own_without_the_group(contract: Contract) -> None:
    own = contract.families["stakewatch_attestation_votes_total"]
    twin = contract.families["stakewatch_network_attestation_votes_total"]
    assert set(own.labels) - set(twin.labels) == {"group"}
    assert (own.type, own.cadence, own.basis) == (twin.type, twin.cadence, twin.basis)


def test_enumerated_values_are_listed_and_free_ones_are_not(contract: Contract) -> None:
    labels = contract.families["stakewatch_requests_total"].labels
    assert labels["outcome"] is not None
    assert "timeout" in labels["outcome"]
    assert labels["endpoint"] is None
    assert contract.families["stakewatch_validators_missing"].labels["epochs"] == ("1", "2", "3", "5")


def test_a_groups_own_labels_are_known_by_their_prefix(contract: Contract) -> None:
    family = contract.families["stakewatch_group_info"]
    assert family.label_prefixes == ("label_",)
    assert set(family.labels) == {"network", "group", "validator_client"}


def test_histograms_and_only_they_have_buckets_that_grow(contract: Contract) -> None:
    for family in contract.families.values():
        assert (family.type == "histogram") == bool(family.buckets), family.name
        assert list(family.buckets) == sorted(set(family.buckets))


def test_counters_and_only_they_end_in_total(contract: Contract) -> None:
    for family in contract.families.values():
        assert (family.type == "counter") == family.name.endswith("_total"), family.name


def test_network_families_have_no_group_and_group_families_are_not_named_network(contract: Contract) -> None:
    for family in contract.families.values():
        if family.name.startswith("stakewatch_network_"):
            assert "group" not in family.labels, family.name


def test_its_component_resolves_samples(contract: Contract) -> None:
    component = contract.component()
    (histogram,) = component.find("stakewatch_request_duration_seconds_bucket")
    assert histogram.has_label("stakewatch_request_duration_seconds_bucket", "le") is True
    assert component.find("stakewatch_request_duration_seconds") == ()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("type: gauge", "type: guage", "did you mean gauge?"),
        ("cadence: scrape", "cadance: scrape", 'unknown key "cadance"'),
        ("stakewatch_node_up", "stakewatch_node_healthy", '"stakewatch_node_healthy" stands a second time'),
        ("stakewatch_node_up", "node_up", 'is "node_up"'),
        (", buckets: [1, 2, 3, 4, 8, 16, 32]", "", "histograms, and only they, have buckets"),
        ("common_labels:", "common:", 'unknown key "common"'),
    ],
)
def test_a_contract_that_is_not_right_is_refused_with_the_line(
    tmp_path: Path, old: str, new: str, what: str
) -> None:
    message = changed(tmp_path, old, new)
    assert what in message
    assert f"{tmp_path}/exporter-metrics.yaml:" in message


def test_the_schema_asks_for_every_section() -> None:
    schema = contract_schema()
    assert set(schema["required"]) == set(schema["properties"])
