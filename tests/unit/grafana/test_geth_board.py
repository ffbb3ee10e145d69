"""The Geth board tells its story from top to bottom and beats what people import today."""

from pathlib import Path
from typing import Any

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana.boardfile import panels
from stakewatch.grafana.generation import generated, load_board
from stakewatch.grafana.setting import setting_of

ROOT = Path(__file__).parents[3]

# The metrics of the AWS sample's two Geth boards that Geth 1.17 still has, its trie cache apart.
AWS_SAMPLE = (
    *("chain_head_block", "chain_head_header", "chain_head_receipt", "chain_execution", "chain_validation"),
    *("chain_write", "chain_account_updates", "chain_account_hashes", "chain_account_commits"),
    *("chain_storage_updates", "chain_storage_commits", "txpool_pending", "txpool_queued", "txpool_known"),
    *("txpool_valid", "txpool_invalid", "txpool_underpriced", "system_memory_used", "system_memory_held"),
    *(
        "system_disk_readbytes",
        "system_disk_writebytes",
        "p2p_peers",
        "p2p_ingress",
        "p2p_egress",
        "p2p_dials",
    ),
    *("p2p_serves", "eth_db_chaindata_disk_size", "eth_db_chaindata_ancient_size", "rpc_requests"),
    *("eth_db_chaindata_disk_read", "eth_db_chaindata_disk_write", "node_memory_MemTotal_bytes"),
)


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    """Return the board with default settings."""
    bundle = Bundle(ROOT)
    return generated(load_board(ROOT / "dashboards" / "geth_node.py"), setting_of(bundle, Configuration()))


def test_the_first_six_panels_fit_a_phones_first_screen(board: dict[str, Any]) -> None:
    first = [panel for panel in panels(board) if panel.content["gridPos"]["y"] == 0]
    assert [panel.title for panel in first] == [
        *("Answers", "New blocks in 5 min", "Behind beacon", "Peers", "Memory used", "Disk used")
    ]
    assert {panel.kind for panel in first} == {"stat", "gauge"}


def test_memory_and_peers_have_the_thresholds_of_the_rule_files(board: dict[str, Any]) -> None:
    scales = {
        (panel.title, panel.kind): panel.defaults["thresholds"]["steps"]
        for panel in panels(board)
        if panel.targets
    }
    assert scales["Memory used", "gauge"] == [
        {"color": "green", "value": None},
        {"color": "orange", "value": 0.85},
    ]
    assert scales["Peers", "stat"] == [{"color": "orange", "value": None}, {"color": "green", "value": 10.0}]


@pytest.mark.parametrize("metric", AWS_SAMPLE)
def test_what_the_aws_sample_shows_of_geth_is_shown_here(board: dict[str, Any], metric: str) -> None:
    expressions = [expression for panel in panels(board) for expression in panel.expressions]
    assert any(f"{metric}{{" in expression for expression in expressions)


def test_every_description_says_what_is_normal_or_refers_to_the_line(board: dict[str, Any]) -> None:
    without = [
        panel.title
        for panel in panels(board)
        if panel.kind != "row"
        and not {"Normal:", "threshold"} & set(str(panel.content["description"]).replace(".", " ").split())
    ]
    assert without == []


def test_the_file_is_small_enough_to_review(board: dict[str, Any]) -> None:
    assert (ROOT / "dashboards" / "json" / "geth_node.json").stat().st_size < 300_000
    assert len([panel for panel in panels(board) if panel.targets]) < 60
