"""Ninety days, on a real Loki with the repository's configuration."""

from pathlib import Path

from tests.bench.logs.retention import Kept, kept
from tests.bench.logs.stack import new_stack


def test_lines_are_taken_however_old_kept_for_90_days_and_then_deleted(tmp_path: Path) -> None:
    assert kept(new_stack(tmp_path), 60.0) == Kept(at_first=(89, 91), in_the_end=(89,))
