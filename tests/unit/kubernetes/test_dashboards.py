"""Dashboards as ConfigMaps."""

import json

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.errors import InputError
from stakewatch.kubernetes.dashboards import dashboard_maps


def test_a_board_is_found_by_the_sidecar_and_is_the_same_board() -> None:
    board = {"title": "Ä\n{{ x }}", "panels": [1, {"b": None}]}
    (one,) = dashboard_maps({"geth_node.json": json.dumps(board, indent=2)}, Configuration())
    assert one["metadata"]["name"] == "stakewatch-dashboard-geth-node"
    assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(one["data"]["geth_node.json"]) == board


def test_a_board_that_no_config_map_holds_is_refused() -> None:
    boards = {"small.json": json.dumps("x"), "large.json": json.dumps("x" * 1024 * 1024)}
    with pytest.raises(
        InputError, match=r"large.json: has 1,048,578 bytes as it is built; a ConfigMap holds"
    ):
        list(dashboard_maps(boards, Configuration()))


def test_the_limit_is_of_bytes_and_includes_the_largest() -> None:
    boards = {"a.json": json.dumps("é" * (512 * 1024 - 1), ensure_ascii=False)}
    assert len(list(dashboard_maps(boards, Configuration()))) == 1


def test_two_boards_that_would_be_one_object_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"a_b.json: its object would be stakewatch-dashboard-a-b, like that"
    ):
        list(dashboard_maps({"a_b.json": "{}", "a-b.json": "{}"}, Configuration()))
