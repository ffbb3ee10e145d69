"""The forms in which Grafana's objects are compared: what counts, and what does not."""

import json
from pathlib import Path

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.publishing.grafana_api import UID
from stakewatch.publishing.grafana_objects import (
    dashboard_content,
    dashboard_items,
    dashboard_text,
    data_source_as,
    data_source_content,
    data_source_type,
    saving_message,
    uid_of,
)
from tests.unit.publishing.publishing_to import write_board

BOARD = {"uid": "geth", "title": "Geth", "panels": [{"id": 1, "max": 1, "min": None}]}


def test_what_grafana_writes_itself_does_not_count() -> None:
    stored = {**BOARD, "id": 7, "version": 12, "iteration": 1_700_000_000}
    assert dashboard_text(stored, "f") == dashboard_text(BOARD, "f")


@pytest.mark.parametrize(
    "other",
    [
        {**BOARD, "title": "Other"},
        {**BOARD, "panels": []},
        {**BOARD, "panels": [{"id": 1, "max": 1}]},
        {**BOARD, "panels": [{"id": 2, "max": 1, "min": None}]},
        {**BOARD, "panels": [{"id": 1, "max": 1.5, "min": None}]},
        {**BOARD, "panels": [{"id": 1, "max": True, "min": None}]},
        {**BOARD, "refresh": ""},
    ],
)
def test_everything_else_counts(other: dict[str, object]) -> None:
    assert dashboard_text(other, "f") != dashboard_text(BOARD, "f")
    assert saving_message(other) != saving_message(BOARD)


def test_the_folder_counts_and_the_order_of_keys_and_the_writing_of_numbers_do_not() -> None:
    assert dashboard_text(BOARD, "f") != dashboard_text(BOARD, "g")
    other = {"panels": [{"min": None, "max": 1.0, "id": 1}], "title": "Geth", "uid": "geth"}
    assert dashboard_text(other, "f") == dashboard_text(BOARD, "f")


def test_content_and_folder_come_back_from_the_text(tmp_path: Path) -> None:
    write_board(tmp_path, "geth")
    (item,) = dashboard_items(tmp_path / "build" / "dashboards", folder_uid="f", data_source=None)
    content, folder = dashboard_content(item)
    assert (content["uid"], folder) == ("geth", "f")
    assert dashboard_text(content, folder) == item.text


def test_only_the_choice_of_metrics_opens_with_our_data_source(tmp_path: Path) -> None:
    variables = [
        {"type": "datasource", "name": "datasource", "query": "prometheus", "current": {}},
        {"type": "datasource", "name": "logs", "query": "loki", "current": {}},
        {"type": "query", "name": "cluster", "query": "prometheus", "current": {}},
    ]
    write_board(tmp_path, "geth", templating={"list": variables})
    (item,) = dashboard_items(tmp_path / "build" / "dashboards", folder_uid="f", data_source=("u", "Name"))
    content, _ = dashboard_content(item)
    assert [one["current"] for one in content["templating"]["list"]] == [
        {"selected": True, "text": "Name", "value": "u"},
        {},
        {},
    ]


def test_titles_get_uids_that_grafana_takes_and_other_titles_other_ones() -> None:
    titles = ["Stakewatch", "Stake watch 2", "Zürich", "Zurich", "監視", "a" * 100, "a" * 99 + "b", "…", "-"]
    uids = [uid_of(title) for title in titles]
    assert all(UID.fullmatch(uid) for uid in uids)
    assert len(set(uids)) == len(titles)
    assert uids[:2] == ["stakewatch", "stake-watch-2"]
    assert uids == [uid_of(title) for title in titles]


@pytest.mark.parametrize("version", ["", "latest", "twelve", "-12"])
def test_a_version_that_is_none_is_not_guessed(version: str) -> None:
    with pytest.raises(StakewatchError, match="is no version of Grafana"):
        data_source_type(signed=True, version=version)
    assert data_source_type(signed=False, version=version) == "prometheus"


def test_of_a_data_source_that_is_there_only_what_is_ours_is_compared() -> None:
    options = {"url": "https://aps.example/ws/", "region": "eu-west-1"}
    wanted = data_source_content(options, version="12.0.0", signature_type="default")
    assert wanted["url"] == "https://aps.example/ws"
    stored = json.loads(json.dumps(wanted)) | {"id": 3, "isDefault": True, "version": 7}
    stored["jsonData"]["exemplarTraceIdDestinations"] = []
    assert data_source_as(wanted, stored) == wanted
    # A spelling that Grafana ignores is not taken for ours.
    stored["jsonData"]["sigv4AuthType"] = stored["jsonData"].pop("sigV4AuthType")
    assert data_source_as(wanted, stored) != wanted
    assert data_source_as(wanted, {"jsonData": None})["name"] is None
