"""Finding the metrics behind a series' name."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from stakewatch.catalogue import Catalogue, load_catalogue
from stakewatch.errors import InputError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(ROOT / "catalogue")


def written(folder: Path, **changes: object) -> Path:
    content = {
        "component": "Thing",
        "repository": "thing",
        "commit": "abc",
        "version": "1",
        "completeness": "all",
        "metrics": [
            {"name": "thing_seconds", "type": "histogram", "labels": ["method"], "source": "a:1"},
            {"name": "thing_latency", "type": "summary", "labels": None, "source": "a:2"},
            {"name": "thing_total", "type": "counter", "labels": [], "source": "a:3"},
        ],
        "patterns": [
            {"pattern": "^thing_run_[a-z]+$", "type": "histogram", "labels": [], "source": "a:4"},
            {"pattern": "^thing_.*$", "type": None, "labels": None, "weak": True, "source": "a:5"},
        ],
        **changes,
    }
    path = folder / "components" / "thing.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    return path


@pytest.mark.parametrize(
    ("sample", "name"),
    [
        ("thing_seconds_bucket", "thing_seconds"),
        ("thing_seconds_sum", "thing_seconds"),
        ("thing_latency", "thing_latency"),
        ("thing_latency_count", "thing_latency"),
        ("thing_total", "thing_total"),
        ("thing_run_fast_bucket", "thing_run_fast"),
    ],
)
def test_a_sample_name_leads_to_its_metric(tmp_path: Path, sample: str, name: str) -> None:
    written(tmp_path)
    (metric,) = load_catalogue(tmp_path).find(sample)
    assert (metric.component, metric.name) == ("thing", name)
    assert sample in metric.series


@pytest.mark.parametrize(
    "sample",
    [
        "thing_seconds",
        "thing_latency_bucket",
        "thing_total_sum",
        "thing_run_fast",
        "thing_run_fast\n",
        "thing_other",
        "",
        "x_thing_total",
    ],
)
def test_a_name_without_a_series_is_not_found_whatever_a_weak_pattern_hints(
    tmp_path: Path, sample: str
) -> None:
    written(tmp_path)
    assert load_catalogue(tmp_path).find(sample) == ()


def test_labels_are_known_known_not_to_be_there_or_not_known(tmp_path: Path) -> None:
    written(tmp_path)
    catalogue = load_catalogue(tmp_path)
    (histogram,) = catalogue.find("thing_seconds_bucket")
    assert histogram.has_label("thing_seconds_bucket", "method") is True
    assert histogram.has_label("thing_seconds_bucket", "le") is True
    assert histogram.has_label("thing_seconds_sum", "le") is False
    assert histogram.has_label("thing_seconds_sum", "other") is False
    (summary,) = catalogue.find("thing_latency")
    assert summary.has_label("thing_latency", "quantile") is True
    assert summary.has_label("thing_latency_sum", "quantile") is False
    assert summary.has_label("thing_latency", "other") is None


def test_geth_summaries_have_no_sum_even_those_that_only_a_pattern_knows(catalogue: Catalogue) -> None:
    assert catalogue.find("chain_inserts_sum") == ()
    assert catalogue.find("rpc_duration_engine_newPayloadV4_success_sum") == ()
    (metric,) = catalogue.find("rpc_duration_engine_newPayloadV4_success_count")
    assert metric.by_pattern
    assert metric.resets_on_scrape
    (own,) = catalogue.find("chain_inserts_count")
    assert (own.name, own.resets_on_scrape) == ("chain_inserts_count", True)


def test_a_name_that_several_components_share_leads_to_all_of_them(catalogue: Catalogue) -> None:
    components = {metric.component for metric in catalogue.find("beacon_head_slot")}
    assert components >= {"lighthouse_beacon", "prysm_beacon", "teku_beacon", "lodestar_beacon"}
    linked = {metric.component for metric in catalogue.find("beacon_head_slot") if metric.constant_zero}
    assert linked == {"prysm_validator"}


def test_a_specification_proves_no_name(catalogue: Catalogue) -> None:
    specification = catalogue.components["beacon_metrics_spec"]
    assert specification.specification
    assert not any(
        metric.component == "beacon_metrics_spec"
        for name in specification.metrics
        for metric in catalogue.find(name.name)
    )


def test_labels_that_users_name_themselves_are_allowed_where_they_can_be(catalogue: Catalogue) -> None:
    (group,) = catalogue.find("stakewatch_group_info")
    assert group.has_label("stakewatch_group_info", "label_team") is True
    assert group.has_label("stakewatch_group_info", "team") is False
    (pod,) = catalogue.find("kube_pod_labels")
    assert pod.has_label("kube_pod_labels", "label_app") is True


def test_the_whole_catalogue_loads_within_a_second() -> None:
    started = time.process_time()
    assert load_catalogue(ROOT / "catalogue").find("no_such_name") == ()
    assert time.process_time() - started < 1


def test_only_the_component_that_is_asked_for_is_read(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "components" / "broken.json").write_text("{")
    catalogue = load_catalogue(tmp_path)
    assert catalogue.components["thing"].title == "Thing"
    assert sorted(catalogue.components) == ["broken", "thing"]
    with pytest.raises(InputError, match="not valid JSON"):
        catalogue.find("thing_total")


def test_a_folder_without_components_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no components"):
        load_catalogue(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": ...},
        {"metrics": 5},
        {"metrics": [5]},
        {"metrics": [{"name": "a"}]},
        {"patterns": [{"pattern": "(", "type": None, "labels": None, "source": "a"}]},
    ],
)
def test_a_file_that_is_no_component_is_an_input_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        load_catalogue(tmp_path).find("x")
    assert caught.value.where == str(path)
    assert "stakewatch check catalogue" in str(caught.value)
