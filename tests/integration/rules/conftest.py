"""What several tests of mutation look at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stakewatch.rules.files import Group
from stakewatch.rules.mutation import baseline
from stakewatch.rules.promtool import Answer, Outcome, run_unit_tests
from stakewatch.rules.questions import run_tests
from stakewatch.rules.scenarios import Scenario


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was run of a file on the rules as they are: all of it, or the alerts that were asserted."""
    noted: list[str] = []

    def of_all(path: Path, program: str, *, timeout_seconds: float) -> Outcome:
        noted.append("all")
        return run_unit_tests(path, program, timeout_seconds=timeout_seconds)

    def of_some(
        folder: Path,
        scenario: Scenario,
        groups: Sequence[Sequence[Group]],
        tests: Sequence[Mapping[str, Any]],
        program: str,
    ) -> Answer:
        noted.append(",".join(case["alertname"] for test in tests for case in test["alert_rule_test"]))
        return run_tests(folder, scenario, groups, tests, program)

    monkeypatch.setattr(baseline, "run_unit_tests", of_all)
    monkeypatch.setattr(baseline, "run_tests", of_some)
    return noted
