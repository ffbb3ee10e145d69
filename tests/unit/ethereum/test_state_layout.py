"""Positions are those that were read off real states, for each fork; what is unknown is refused."""

import pytest

from stakewatch.ethereum.state_layout import (
    SpecificationError,
    UnknownForkError,
    fork_at,
    specification_number,
    state_layout,
)
from tests.bench.mainnet_state import SPECIFICATION as MAINNET
from tests.unit.ethereum.states import FORKS, GNOSIS, MINIMAL, sample_json

FIXED_BYTES = {
    "altair": 2736629,
    "bellatrix": 2736633,
    "capella": 2736653,
    "deneb": 2736653,
    "electra": 2736713,
    "fulu": 2737225,
    "gloas": 3134845,
}


@pytest.mark.parametrize("fork", FORKS)
def test_the_fixed_part_of_a_mainnet_state_has_its_known_length(fork: str) -> None:
    assert state_layout(MAINNET, fork).fixed_bytes == FIXED_BYTES[fork]


@pytest.mark.parametrize("fork", FORKS)
def test_what_rewards_need_stands_at_the_same_place_from_altair_to_gloas(fork: str) -> None:
    positions = state_layout(MAINNET, fork).positions
    assert {name: positions[name] for name in KNOWN} == KNOWN


KNOWN = {
    "genesis_validators_root": 8,
    "slot": 40,
    "current_version": 52,
    "validators": 524552,
    "balances": 524556,
    "slashings": 2621712,
    "previous_epoch_participation": 2687248,
    "current_epoch_participation": 2687252,
    "justification_bits": 2687256,
    "finalized_checkpoint": 2687337,
    "inactivity_scores": 2687377,
    "current_sync_committee": 2687381,
    "next_sync_committee": 2712005,
}


@pytest.mark.parametrize(("fork", "position"), [("electra", 2736701), ("fulu", 2736701), ("gloas", 2736729)])
def test_the_queue_of_deposits_moves_with_the_fork(fork: str, position: int) -> None:
    assert state_layout(MAINNET, fork).positions["pending_deposits"] == position


@pytest.mark.parametrize(("fork", "position"), [("fulu", 2736713), ("gloas", 2736741)])
def test_the_proposer_lookahead_stands_after_the_queues(fork: str, position: int) -> None:
    assert state_layout(MAINNET, fork).positions["proposer_lookahead"] == position


def test_the_layout_of_a_real_devnet_is_that_of_its_first_offset() -> None:
    values = sample_json("config_spec.json")
    assert state_layout(values, "deneb").fixed_bytes == 10253


def test_gnosis_differs_from_mainnet_only_where_slots_per_epoch_count() -> None:
    assert state_layout(GNOSIS, "electra").positions == state_layout(MAINNET, "electra").positions
    assert state_layout(GNOSIS, "fulu").fixed_bytes == FIXED_BYTES["fulu"] - 8 * 2 * 16
    assert state_layout(GNOSIS, "electra").slots_per_epoch == 16


def test_gloas_of_the_minimal_preset_counts_its_smaller_committees() -> None:
    fulu, gloas = (state_layout(MINIMAL, fork) for fork in ("fulu", "gloas"))
    assert gloas.fixed_bytes - fulu.fixed_bytes == 28 + 4 + 8 + 8 + 52 * 16 + 3 * 4 + 8 * 16 * 3 * 8


@pytest.mark.parametrize("fork", ["phase0", "heze", "Deneb", "", "x" * 1000])
def test_a_fork_that_is_not_known_is_refused_with_what_is(fork: str) -> None:
    with pytest.raises(UnknownForkError, match="electra") as raised:
        state_layout(MAINNET, fork)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "name", ["SLOTS_PER_EPOCH", "EPOCHS_PER_HISTORICAL_VECTOR", "SYNC_COMMITTEE_SIZE", "GLOAS_FORK_VERSION"]
)
@pytest.mark.parametrize("value", [None, "0", "-1", "many", "99999999999999999999", "1.5", "", True, []])
def test_a_value_that_is_missing_or_cannot_be_is_named(name: str, value: object) -> None:
    values: dict[str, object] = dict(MAINNET)
    values[name] = value
    with pytest.raises(SpecificationError, match=name):
        state_layout(values, "gloas")


def test_a_specification_that_makes_a_huge_state_is_refused() -> None:
    with pytest.raises(SpecificationError, match="before its first validator"):
        state_layout(MAINNET | {"SLOTS_PER_HISTORICAL_ROOT": str(2**30)}, "electra")


def test_a_value_may_be_a_number_as_well_as_a_string() -> None:
    assert specification_number({"PTC_SIZE": 16}, "PTC_SIZE") == 16


def test_a_value_beyond_its_bound_is_refused() -> None:
    with pytest.raises(SpecificationError, match="BASE_REWARD_FACTOR"):
        specification_number({"BASE_REWARD_FACTOR": "65"}, "BASE_REWARD_FACTOR", most=64)


@pytest.mark.parametrize(
    ("epoch", "fork"),
    [(0, "phase0"), (74239, "phase0"), (74240, "altair"), (269568, "deneb"), (364032, "electra")],
)
def test_the_fork_of_an_epoch_is_the_newest_that_has_begun(epoch: int, fork: str) -> None:
    assert fork_at(MAINNET, epoch) == fork


def test_of_forks_at_the_same_epoch_the_one_with_the_higher_version_counts() -> None:
    values = sample_json("config_spec.json")
    assert fork_at(values, 0) == fork_at(values, 7) == "deneb"
    assert fork_at(dict(reversed(values.items())), 7) == "deneb"


def test_a_fork_that_is_not_known_is_still_told_by_its_name() -> None:
    values = MAINNET | {"HEZE_FORK_EPOCH": "400000", "HEZE_FORK_VERSION": "0x08000000"}
    assert fork_at(values, 400000) == "heze"
    assert fork_at(values, 399999) == "electra"


def test_fork_epochs_that_are_no_numbers_are_passed_over() -> None:
    values: dict[str, object] = {"ALTAIR_FORK_EPOCH": "soon", "DENEB_FORK_EPOCH": None, "X_FORK_EPOCH": True}
    assert fork_at(values, 10) == "phase0"


def test_versions_and_not_names_order_forks_of_the_same_epoch() -> None:
    values = MAINNET | {"AZURE_FORK_EPOCH": "364032", "AZURE_FORK_VERSION": "0x0A000000"}
    assert fork_at(values, 364032) == "azure"
