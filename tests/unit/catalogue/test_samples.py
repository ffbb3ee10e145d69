"""The catalogue against what real programs exposed."""

import re
from pathlib import Path

import pytest

from stakewatch.catalogue import load_catalogue

ROOT = Path(__file__).parents[3]
CATALOGUE = load_catalogue(ROOT / "catalogue")

# Gone from the newer source that geth.json was read from.
SNAPSHOT_COMMITS = {"chain_snapshot_commits", "chain_snapshot_commits_count"}
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)[ {]")
LABELS = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="')


def scraped(name: str) -> list[str]:
    text = (ROOT / "tests" / "samples" / f"{name}.prom").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def sample_name(line: str) -> str:
    match = SAMPLE.match(line)
    assert match, line
    return match[1]


def types(name: str) -> dict[str, str]:
    text = (ROOT / "tests" / "samples" / f"{name}.prom").read_text(encoding="utf-8")
    lines = (line.split() for line in text.splitlines() if line.startswith("# TYPE "))
    return {line[2]: line[3] for line in lines}


def unknown(name: str, component: str) -> set[str]:
    names = {sample_name(line) for line in scraped(name)}
    assert len(names) > 100
    return {one for one in names if not CATALOGUE.components[component].find(one)}


@pytest.mark.parametrize("sample", ["geth-1.17", "geth-1.17-30s-later", "geth-1.17-hash-leveldb"])
def test_every_name_that_geth_exposed_is_known_but_one_that_newer_releases_dropped(sample: str) -> None:
    assert unknown(sample, "geth") == SNAPSHOT_COMMITS


@pytest.mark.parametrize(
    ("sample", "component"), [("lodestar-validator-1.22", "lodestar_validator"), ("haproxy-2.6", "haproxy")]
)
def test_every_name_that_these_exposed_is_known(sample: str, component: str) -> None:
    assert unknown(sample, component) == set()


def test_what_old_lodestar_exposed_beyond_the_catalogue_is_what_was_dropped_since() -> None:
    assert unknown("lodestar-validator-1.5.1", "lodestar_validator") == {
        "validator_db_read_items_total",
        "validator_db_read_req_total",
        "validator_db_write_items_total",
        "validator_db_write_req_total",
    }
    missing = unknown("lodestar-beacon-1.5.1", "lodestar_beacon")
    dropped = re.compile(r"(lodestar_eth1|libp2p|gossipsub)_.*")
    assert {one for one in missing if not dropped.fullmatch(one)} == {
        "lodestar_attestation_pool_insert_outcome_total",
        "lodestar_oppool_sync_contribution_and_proof_pool_pool_size",
        "lodestar_stfn_state_clone_total",
        "nodejs_memory_usage_bytes",
    }


@pytest.mark.parametrize(
    ("sample", "component"),
    [
        ("geth-1.17", "geth"),
        ("lodestar-beacon-1.5.1", "lodestar_beacon"),
        ("lodestar-validator-1.22", "lodestar_validator"),
    ],
)
def test_types_are_those_that_were_exposed(sample: str, component: str) -> None:
    known = CATALOGUE.components[component]
    exposed = types(sample)
    compared = {
        metric.name: (metric.type, exposed[metric.name])
        for name in map(sample_name, scraped(sample))
        for metric in known.find(name)
        if metric.name in exposed
    }
    assert len(compared) > 80
    assert {name: pair for name, pair in compared.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize(
    ("sample", "component"),
    [
        ("geth-1.17", "geth"),
        ("haproxy-2.6", "haproxy"),
        ("lodestar-validator-1.22", "lodestar_validator"),
    ],
)
def test_every_label_that_was_exposed_is_known(sample: str, component: str) -> None:
    known = CATALOGUE.components[component]
    pairs = {
        (sample_name(line), label)
        for line in scraped(sample)
        for label in LABELS.findall(line.partition("{")[2].rpartition("}")[0])
    }
    assert pairs
    assert {
        (name, label)
        for name, label in pairs
        for metric in known.find(name)
        if metric.has_label(name, label) is False
    } == set()
