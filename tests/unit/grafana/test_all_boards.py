"""Every board of the bundle fits a phone, shows what fires, and is small enough to review."""

from pathlib import Path
from typing import Any

import pytest

from stakewatch.grafana.boardfile import panels

ROOT = Path(__file__).parents[3]
UIDS = sorted(path.stem for path in (ROOT / "dashboards").glob("*.py"))


@pytest.mark.parametrize("uid", UIDS)
def test_the_first_row_is_six_large_numbers(boards: dict[str, dict[str, Any]], uid: str) -> None:
    first = [panel for panel in panels(boards[uid]) if panel.content["gridPos"]["y"] == 0]
    assert len(first) == 6
    assert {panel.kind for panel in first} <= {"stat", "gauge"}


@pytest.mark.parametrize("uid", UIDS)
def test_firing_alerts_are_a_table_and_an_annotation(boards: dict[str, dict[str, Any]], uid: str) -> None:
    (table,) = (panel for panel in panels(boards[uid]) if panel.title == "Firing alerts")
    names = [annotation["name"] for annotation in boards[uid]["annotations"]["list"]]
    assert table.kind == "table"
    assert "Firing alerts" in names


@pytest.mark.parametrize("uid", UIDS)
def test_the_file_is_small_enough_to_review(uid: str) -> None:
    assert (ROOT / "dashboards" / "json" / f"{uid}.json").stat().st_size < 300_000
