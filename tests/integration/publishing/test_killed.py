"""Publishing is killed half-way, and the next run goes on."""

from pathlib import Path

import pytest

from tests.unit.publishing.kill_points import CASES, kill_points


@pytest.mark.parametrize("case", sorted(CASES))
def test_publishing_that_was_killed_goes_on(case: str, tmp_path: Path) -> None:
    points = list(kill_points(case, tmp_path, step=8))
    assert len(points) >= 4
    assert [point for point in points if point.wrong] == []
