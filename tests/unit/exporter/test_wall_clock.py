"""Our own clock is wrong when most nodes say so, and never because one does."""

import io

import pytest

from stakewatch_exporter import log
from stakewatch_exporter.log import Changes
from stakewatch_exporter.wall_clock import own_error, report_clock


@pytest.mark.parametrize(
    ("offsets", "error"),
    [
        ([], None),
        ([-3600.0], None),
        ([0.2, -0.4, 0.1], None),
        ([30.0, 30.5], -30.25),
        ([-20.0, -21.0, 0.3], 20.0),
        ([-20.0, 0.2, 0.3], None),
        ([-20.0, 20.0], None),
        ([-20.0, 20.0, 20.0, -20.0], None),
        ([2.4, 2.4, 2.4], None),
    ],
)
def test_most_nodes_must_agree(offsets: list[float], error: float | None) -> None:
    assert own_error(offsets) == error


def test_it_is_said_once_and_when_it_is_over() -> None:
    logged = io.StringIO()
    log.write_to(logged)
    changes = Changes()
    for offsets in ([0.1, 0.2], [40.0, 40.0], [41.0, 41.0], [0.1, 0.2], [0.1, 0.2]):
        report_clock(offsets, changes)
    lines = logged.getvalue().splitlines()
    assert len(lines) == 2
    assert "own_clock_wrong seconds_ahead=-40" in lines[0]
    assert "own_clock_right_again" in lines[1]
