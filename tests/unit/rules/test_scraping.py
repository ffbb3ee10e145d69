"""How the exporter is scraped."""

import pytest

from stakewatch.bundle.configuration import ExporterSettings
from stakewatch.rules.scraping import exporter_address, exporter_job, exporter_target

PLACE = {"cluster": "staking-1", "region": "eu-west-1"}


def test_the_exporter_carries_every_label_of_the_contract() -> None:
    target = exporter_target("127.0.0.1:9120", network="hoodi", place=PLACE)
    assert target == {
        "targets": ["127.0.0.1:9120"],
        "labels": {
            "cluster": "staking-1",
            "region": "eu-west-1",
            "network": "hoodi",
            "role": "exporter",
            "implementation": "stakewatch",
            "instance": "exporter-1",
        },
    }


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.7", "10.0.0.7:9120"),
        ("exporter.internal", "exporter.internal:9120"),
        ("::1", "[::1]:9120"),
        ("2001:db8::7", "[2001:db8::7]:9120"),
        (".".join("0000"), "127.0.0.1:9120"),
        ("::", "[::1]:9120"),
    ],
)
def test_its_address_is_one_that_can_be_asked(host: str, address: str) -> None:
    assert exporter_address(ExporterSettings(listen_host=host, listen_port=9120)) == address


def test_an_address_of_its_own_wins_over_where_it_listens() -> None:
    assert (
        exporter_address(ExporterSettings(address="exporter-1.internal:9120")) == "exporter-1.internal:9120"
    )


def test_its_own_labels_win_and_the_exporter_is_still_told_apart() -> None:
    job = exporter_job(file_sd_configs=[{"files": ["targets/exporter.yaml"]}])
    assert job["honor_labels"] is True
    assert job["file_sd_configs"] == [{"files": ["targets/exporter.yaml"]}]
    assert job["relabel_configs"] == [
        {"source_labels": ["network", "instance"], "separator": "/", "target_label": "exporter"}
    ]
