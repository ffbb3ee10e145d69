"""Versions compared, and what the page says when nothing is known."""

import pytest

from stakewatch_exporter.snapshot import is_outdated, version_numbers


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
