"""Whatever happened before, publishing once makes it right and publishing again changes nothing."""

from pathlib import Path

import pytest

from tests.unit.publishing.sequences import run_sequence


@pytest.mark.parametrize("seed", range(50))
def test_any_sequence_of_edits_and_failures_ends_right(seed: int, tmp_path: Path) -> None:
    verdict = run_sequence(seed, tmp_path)
    assert verdict.wrong == (), verdict.steps
    assert verdict.second_round == (), verdict.steps
