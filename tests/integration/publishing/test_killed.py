"""Publishing is killed half-way, and the next run goes on."""

from pathlib import Path

import pytest

from tests.unit.publishing import grafana_kill_points, kill_points, prometheus_kill_points
from tests.unit.publishing.killing import KillPoints


@pytest.mark.parametrize("case", ["empty", "published"])
@pytest.mark.parametrize(
    "kill",
    [kill_points.kill_points, grafana_kill_points.kill_points, prometheus_kill_points.kill_points],
    ids=["amp", "grafana", "prometheus"],
)
def test_publishing_that_was_killed_goes_on(kill: KillPoints, case: str, tmp_path: Path) -> None:
    points = list(kill(case, tmp_path, 8))
    assert len(points) >= 4
    assert [point for point in points if point.wrong] == []
