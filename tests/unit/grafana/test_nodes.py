"""Every implementation leads to a board that exists and takes a cluster and an instance."""

from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana.boardfile import variables
from stakewatch.grafana.generation import generated, load_board
from stakewatch.grafana.nodes import BOARD_OF, BOARD_OF_THE_REST, with_board
from stakewatch.grafana.setting import setting_of
from stakewatch.promql import parse

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("uid", sorted({*BOARD_OF.values(), BOARD_OF_THE_REST}))
def test_the_board_of_an_implementation_exists_and_takes_the_node(uid: str) -> None:
    board = generated(
        load_board(ROOT / "dashboards" / f"{uid}.py"), setting_of(Bundle(ROOT), Configuration())
    )
    assert {"cluster", "instance"} <= {variable["name"] for variable in variables(board)}


def test_the_label_of_the_board_is_set_for_every_implementation() -> None:
    expression = with_board("stakewatch_node_up")
    parse(expression)
    assert all(f'"{board}"' in expression for board in (*BOARD_OF.values(), BOARD_OF_THE_REST))
