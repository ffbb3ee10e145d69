"""The suite: every unit test of a rule folder on both promtool majors, and what promtool lets pass."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.checks import Finding
from stakewatch.errors import InputError
from stakewatch.programs.find import locate
from stakewatch.rules.files import files_with
from stakewatch.rules.promtool import MAJORS, Outcome, run_unit_tests
from stakewatch.rules.unit_tests import UnitTestFile, guard, load_unit_tests


@dataclass(frozen=True)
class SuiteOutcome:
    """What a run of all tests came to: `tests` and `cases` as written, each run once per major."""

    files: int
    tests: int
    cases: int
    versions: tuple[str, ...]
    guarded: tuple[Finding, ...]
    runs: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether every test passed on both majors and none was hollow."""
        return not self.guarded and all(run.passed for run in self.runs)


def run_suite(
    rules: Path, tests: Path, report: Callable[[int, int], None] = lambda _done, _of: None
) -> SuiteOutcome:
    """Run all test files below `tests` on both majors; every rule file below `rules` must be in one.

    Both may be folders or single files.
    `report` hears how many of how many runs are done. Raises InputError when there are no rules, no tests or
    a test file is broken, StakewatchError when a promtool is missing.
    """
    rule_files = tuple(files_with(rules, "groups"))
    if not rule_files:
        raise InputError("no rule files here", where=str(rules), mend="name their folder with --rules")
    test_files = [load_unit_tests(path) for path in files_with(tests, "tests")]
    if not test_files:
        raise InputError("no tests of rules here", where=str(tests), mend="name their folder with --tests")
    versions = tuple(locate(major).version for major in MAJORS)
    guarded = [finding for test_file in test_files for finding in _guard(test_file)]
    guarded += _untested(rule_files, test_files)
    jobs = [(test_file.path, major) for test_file in test_files for major in MAJORS]
    done = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = [pool.submit(run_unit_tests, *job) for job in jobs]
        try:
            for future in as_completed(running):
                done.append(future.result())
                report(len(done), len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return SuiteOutcome(
        files=len(test_files),
        tests=sum(len(test_file.tests) for test_file in test_files),
        cases=sum(len(test.cases) for test_file in test_files for test in test_file.tests),
        versions=versions,
        guarded=tuple(guarded),
        runs=tuple(sorted(done, key=lambda run: (run.path, run.program))),
    )


def _guard(test_file: UnitTestFile) -> list[Finding]:
    try:
        return list(guard(test_file))
    except InputError as error:
        # A broken rule file is no reason not to hear what promtool says about the others.
        return [Finding(test_file.path, 1, str(error), "mend the rule file")]


def _untested(rule_files: tuple[Path, ...], test_files: list[UnitTestFile]) -> list[Finding]:
    tested = {
        path
        for test_file in test_files
        for pattern, _ in test_file.rule_files
        for path in test_file.rule_paths(pattern)
    }
    return [
        Finding(path, 1, f"no test loads {path.name}", "name it in the rule_files of a test")
        for path in rule_files
        if path.resolve() not in tested
    ]
