"""Versions compared, and what the page says when nothing is known."""

from dataclasses import replace
from types import MappingProxyType

import aiohttp
import pytest

from stakewatch.bundle.configuration import Configuration, ExporterSettings, Node, Role
from stakewatch.ethereum.specification import Specification
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.blocks import Anchor, BlockTree
from stakewatch_exporter.follower import Follower
from stakewatch_exporter.key_samples import key_figures, key_samples
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.log import Changes
from stakewatch_exporter.service import Service
from stakewatch_exporter.snapshot import is_outdated, version_numbers

from .conftest import ETH, groups, ledger, root, validators

FULL = 32 * ETH


@pytest.mark.parametrize(
    ("version", "expected", "outdated"),
    [
        ("Geth/v1.17.0-stable/linux-amd64/go1.26.8", "v1.17.0", False),
        ("Geth/v1.9.9-stable/linux-amd64/go1.26.8", "1.17.0", True),
        ("Lighthouse/v8.1.0-edba56b/x86_64-linux", "8.1", False),
        ("Lodestar/v1.22.0", "v1.22.0.1", True),
        ("teku/v26.8.0/linux-x86_64", "v25.12.0", False),
        ("besu", "v1.0.0", None),
        ("Nethermind/v1.39.0+2b0c6ee3", "latest", None),
    ],
)
def test_a_version_is_compared_number_by_number(
    version: str, expected: str, *, outdated: bool | None
) -> None:
    assert is_outdated(version, expected) is outdated


def test_the_first_version_in_a_text_is_the_clients() -> None:
    assert version_numbers("Geth/v1.17.0-stable/linux-amd64/go1.26.8") == (1, 17, 0)


async def test_beyond_the_limit_keys_have_no_series_and_are_counted() -> None:
    configuration = Configuration(
        network="demonet", groups=groups(), exporter=ExporterSettings(per_key_limit=2)
    )
    async with aiohttp.ClientSession() as session:
        service = Service(configuration, session)
        chain = Chain("0xaa", 1000, Specification(12_000, 8, 1, 4, MappingProxyType({})))
        books = ledger(8)
        service.follower = Follower(chain, groups(), Changes(), ledger=books, catch_up_slots=64)
        for epoch, cut in ((1, 1), (2, 2)):
            books.read(epoch, epoch * 8, validators(dict.fromkeys(range(3), FULL + epoch)), {})
            await service.build_keys()
            await service.build_keys()
            service.build_page()
            page = service.publisher.page.text().decode()
            assert page.count("\nstakewatch_validator_earned_gwei{") == 2
            assert f'family="stakewatch_validator_earned_gwei"}} {cut}\n' in page


async def test_a_groups_figures_and_their_epoch_change_with_those_of_its_keys() -> None:
    async with aiohttp.ClientSession() as session:
        service = Service(Configuration(network="demonet", groups=groups()), session)
        chain = Chain("0xaa", 1000, Specification(12_000, 8, 1, 4, MappingProxyType({})))
        books = ledger(8)
        service.follower = Follower(chain, groups(), Changes(), ledger=books, catch_up_slots=64)

        def shown(family: str) -> int:
            lines = service.publisher.page.text().decode().splitlines()
            return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(f"{family}{{"))

        for epoch in (1, 2):
            books.read(epoch, epoch * 8, validators(dict.fromkeys(range(3), FULL + epoch)), {})
            service.build_page()
            # Not before the keys are written, which takes its time.
            of_keys = shown("stakewatch_validator_balance_gwei")
            assert shown("stakewatch_validators_balance_gwei") == of_keys == (epoch > 1) * 3 * (FULL + 1)
            assert shown("stakewatch_last_processed_epoch") == epoch - 1
            await service.build_keys()
            of_keys = shown("stakewatch_validator_balance_gwei")
            assert shown("stakewatch_validators_balance_gwei") == of_keys == 3 * (FULL + epoch)
            assert shown("stakewatch_last_processed_epoch") == epoch


def test_a_key_of_a_disabled_group_is_shown_but_not_as_one_that_should_earn() -> None:
    alpha, bravo = groups()
    books = Ledger((alpha, replace(bravo, enabled=False)), BlockTree(Anchor(8, root(8))))
    books.read(1, 8, validators(dict.fromkeys(range(3), FULL)), {})
    shown: dict[str, set[str]] = {}
    for sample in key_samples(key_figures(books), limit=10):
        shown.setdefault(sample.family.name, set()).add(sample.labels["validator_index"])
    assert shown == {
        "stakewatch_validator_earned_gwei": {"0", "1", "2"},
        "stakewatch_validator_balance_gwei": {"0", "1", "2"},
        "stakewatch_validator_active": {"0", "1"},
    }


async def test_before_anything_is_known_the_page_says_little_and_nothing_false() -> None:
    node = Node("beacon-1", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r", execution_node="e")
    configuration = Configuration(network="demonet", nodes=(node,), groups=groups())
    async with aiohttp.ClientSession() as session:
        service = Service(configuration, session)
        service.build_page()
        page = service.publisher.page.text().decode()
        assert not service.is_ready
        assert service.health("beacon-2") is None
        health = service.health("beacon-1")
    assert health is not None
    assert health["healthy"] is False
    families = {line.split("{")[0] for line in page.splitlines() if not line.startswith("#")}
    assert families == {
        "stakewatch_node_up",
        "stakewatch_node_healthy",
        "stakewatch_node_check",
        "stakewatch_beacon_execution_pair_info",
        "stakewatch_group_info",
        "stakewatch_build_info",
        "stakewatch_last_update_timestamp_seconds",
        "stakewatch_source_tier",
        "stakewatch_offenders_cut_total",
        "stakewatch_requests_total",
        "stakewatch_request_duration_seconds_bucket",
        "stakewatch_request_duration_seconds_sum",
        "stakewatch_request_duration_seconds_count",
    }
