"""The exporter is held to its contract: nothing outside it, and nothing is missing."""

from pathlib import Path

from stakewatch.catalogue.contract import load_contract
from stakewatch_exporter.families import FAMILIES

CONTRACT = load_contract(Path(__file__).parents[3] / "catalogue" / "exporter-metrics.yaml")


def test_every_family_of_the_contract_is_served() -> None:
    assert {family.name for family in FAMILIES} == set(CONTRACT.families)


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
