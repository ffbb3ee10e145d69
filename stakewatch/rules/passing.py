"""Which tests count: those that pass as they are, on one major of promtool at least."""

from pathlib import Path

from stakewatch.rules.promtool import MAJORS, Outcome, run_unit_tests
from stakewatch.rules.scenarios import Scenario

_TIMEOUT_SECONDS = 600.0


def run_as_it_is(path: Path) -> Outcome:
    """Run a test file with the newer promtool, or with the older where only that one lets it pass.

    Raises StakewatchError when promtool is missing.
    """
    newer, older = MAJORS
    outcome = run_unit_tests(path, newer, timeout_seconds=_TIMEOUT_SECONDS)
    if outcome.passed:
        return outcome
    instead = run_unit_tests(path, older, timeout_seconds=_TIMEOUT_SECONDS)
    return instead if instead.passed else outcome


def why_failed(run: Outcome, scenario: Scenario) -> str | None:
    """Return why a test failed, None when it passed.

    A failure that names no test makes all of its file suspect.
    """
    for failure in run.failures:
        if failure.test is None:
            return f"a test of its file failed, and promtool does not say which: {failure.message}"
        if failure.test == scenario.name:
            return failure.message
    return None
