"""Small boards, settings and bundles for the tests of this room."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stakewatch.bundle.configuration import Configuration, Urls
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana.board import Board
from stakewatch.grafana.generation import generated, load_boards
from stakewatch.grafana.layout import Row, row
from stakewatch.grafana.panels import Panel, Stat
from stakewatch.grafana.queries import Query
from stakewatch.grafana.setting import Setting, setting_of
from stakewatch.grafana.thresholds import Alert
from stakewatch.grafana.variables import contract_variables

ROOT = Path(__file__).parents[3]

ALERTS = (
    Alert("PeersLow", "warning", "Few peers", "https://runbooks.example/PeersLow", 10, "<"),
    Alert("MemoryHigh", "warning", "Memory", "https://runbooks.example/MemoryHigh", 0.85, ">"),
    Alert("MemoryCritical", "critical", "Memory", "https://runbooks.example/MemoryCritical", 0.95, ">"),
    Alert("NodeDown", "critical", "Down", "https://runbooks.example/NodeDown"),
)


@pytest.fixture
def setting() -> Setting:
    """Four alerts, and addresses of a user."""
    urls = Urls(runbooks="https://runbooks.example", grafana="https://grafana.example")
    return Setting({alert.name: alert for alert in ALERTS}, urls)


@pytest.fixture
def peers() -> Stat:
    """Return a panel that nothing is wrong with."""
    query = 'p2p_peers{role="execution",implementation="geth",cluster=~"$cluster"}'
    return Stat(title="Peers", description="Normal: 50.", unit="none", queries=(Query(query),))


@pytest.fixture
def board_of() -> Callable[..., Board]:
    """Give a function that makes a board of rows, or of panels in one row."""

    def make(*parts: Panel | Row) -> Board:
        rows = tuple(part for part in parts if isinstance(part, Row))
        panels = tuple(part for part in parts if isinstance(part, Panel))
        return Board(
            uid="a_board",
            title="A board",
            description="A board of a test.",
            variables=contract_variables("execution", "geth"),
            rows=(row("First", *panels), *rows) if panels else rows,
            firing='ALERTS{alertstate="firing",cluster=~"$cluster"}',
        )

    return make


@pytest.fixture
def content(board_of: Callable[..., Board], peers: Stat, setting: Setting) -> dict[str, Any]:
    """Return the JSON of a board that nothing is wrong with."""
    return board_of(peers).generate(setting)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Copy what boards are made of, to be broken by a test."""
    for name in ("rules", "dashboards", "catalogue"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return Bundle(tmp_path)


@pytest.fixture(scope="session")
def boards() -> dict[str, dict[str, Any]]:
    """Return all boards of the checkout with default settings by uid."""
    checkout = Bundle(ROOT)
    setting = setting_of(checkout, Configuration())
    return {source.path.stem: generated(source, setting) for source in load_boards(checkout)}
