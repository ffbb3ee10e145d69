"""The text format, read back by Prometheus' own Python parser."""

from prometheus_client.parser import text_string_to_metric_families

from stakewatch_exporter.exposition import Sample, render
from stakewatch_exporter.families import NODE_INFO, REQUEST_DURATION, VALIDATORS, WITHDRAWALS


def test_a_page_without_samples_is_empty() -> None:
    assert render("mainnet", []) == b""


def test_hostile_label_values_come_back_as_they_were() -> None:
    version = 'a"b\\c\nd{},= \u2603'
    page = render("mainnet", [Sample(NODE_INFO, {"version": version}, 1)])
    (family,) = text_string_to_metric_families(page.decode())
    (sample,) = family.samples
    assert sample.labels == {"network": "mainnet", "version": version}


def test_samples_of_a_family_stand_together_under_one_head() -> None:
    samples = [
        Sample(VALIDATORS, {"group": "a"}, 1),
        Sample(WITHDRAWALS, {"group": "a"}, 2),
        Sample(VALIDATORS, {"group": "b"}, 3),
    ]
    lines = render("mainnet", samples).decode().splitlines()
    assert [line.split("{")[0] for line in lines] == [
        "# HELP stakewatch_validators Keys by status",
        "# TYPE stakewatch_validators gauge",
        "stakewatch_validators",
        "stakewatch_validators",
        "# HELP stakewatch_withdrawals_gwei_total Withdrawn from the keys, sweeps included",
        "# TYPE stakewatch_withdrawals_gwei_total counter",
        "stakewatch_withdrawals_gwei_total",
    ]


def test_gwei_of_the_whole_supply_lose_no_digit() -> None:
    page = render("mainnet", [Sample(WITHDRAWALS, {"group": "a"}, 120_000_000 * 10**9 + 1)])
    assert page.decode().endswith(" 120000000000000001\n")


def test_a_histogram_is_cumulative_and_ends_with_everything() -> None:
    counts = (1, 0, 2, 0, 0, 0, 0, 0, 0, 4)
    page = render("mainnet", [Sample(REQUEST_DURATION, {"endpoint": "node"}, 1.5, counts)])
    (family,) = text_string_to_metric_families(page.decode())
    values = {
        (sample.name.rpartition("_")[2], sample.labels.get("le")): sample.value for sample in family.samples
    }
    assert values["bucket", "0.005"] == 1
    assert values["bucket", "0.1"] == 3
    assert values["bucket", "8"] == 3
    assert values["bucket", "+Inf"] == 7
    assert values["count", None] == 7
    assert values["sum", None] == 1.5
