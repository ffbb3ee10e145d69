"""`stakewatch test`: the unit tests of rules on both promtool majors."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from stakewatch.cli.options import bundle_option, json_option, rules_and_tests, rules_option, tests_option
from stakewatch.cli.output import console, print_json, progress_bar, shown
from stakewatch.rules.junit import write_junit
from stakewatch.rules.mismatch import differences
from stakewatch.rules.promtool import Failure, Outcome
from stakewatch.rules.suite import SuiteOutcome, run_suite

_MOST_ROWS = 50


@click.command(short_help="Run the unit tests of rules on both promtool majors.")
@bundle_option
@rules_option
@tests_option
@click.option(
    "--junit",
    "junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the result as JUnit XML.",
)
@json_option
def command(
    bundle_folder: Path, rules: Path | None, tests: Path | None, junit: Path | None, *, as_json: bool
) -> None:
    """Run every promtool unit test under Prometheus 3 and 2, and find those that test nothing.

    Works on any rules and promtool tests: name a folder or a file of each with --rules and --tests. Exits 1
    when a test fails on either major, or passes only because promtool does not look.
    """
    rules, tests = rules_and_tests(bundle_folder, rules, tests)
    with progress_bar("test") as report:
        outcome = run_suite(rules, tests, report)
    if junit is not None:
        write_junit(outcome, junit)
    if as_json:
        print_json(_as_data(outcome))
    else:
        _print(outcome)
    if not outcome.passed:
        sys.exit(1)


def _print(outcome: SuiteOutcome) -> None:
    output = console()
    failures = _by_failure(outcome)
    if failures:
        for (place, failure), versions in list(failures.items())[:_MOST_ROWS]:
            title = f" “{failure.test}”" if failure.test else ""
            output.print(
                f"{place}{title}: {failure.message} (promtool {', '.join(versions)})", soft_wrap=True
            )
            _print_sides(output, failure)
        if len(failures) > _MOST_ROWS:
            output.print(f"and {len(failures) - _MOST_ROWS} more")
    for finding in outcome.guarded:
        output.print(f"{shown(finding.path)}:{finding.line}: {finding.message}", soft_wrap=True)
        output.print(f"  {finding.mend}", soft_wrap=True)
    verdict = "passed" if outcome.passed else f"{len(failures) + len(outcome.guarded)} failures"
    output.print(
        f"{outcome.files} files, {outcome.tests} tests, {outcome.cases} assertions "
        f"on promtool {' and '.join(outcome.versions)}: {verdict}",
        soft_wrap=True,
    )


def _by_failure(outcome: SuiteOutcome) -> dict[tuple[str, Failure], list[str]]:
    """Return the versions that agree on each failure; mostly both do."""
    found: dict[tuple[str, Failure], list[str]] = {}
    for run in outcome.runs:
        for failure in run.failures:
            found.setdefault((_place(run, failure), failure), []).append(run.version)
    return found


def _print_sides(output: Console, failure: Failure) -> None:
    """Print where both sides differ, as a table where they are alerts."""
    found = differences(failure)
    if found:
        # Folded, not cut: two long texts may differ only at their ends.
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 2))
        for title in ("alert", "label", "expected", "got"):
            table.add_column(title, overflow="fold")
        for one in found:
            table.add_row(one.of, one.name, one.expected or "-", one.got or "-")
        output.print(table)
    elif failure.expected is not None or failure.got is not None:
        output.print(f"  expected {failure.expected}\n  got      {failure.got}", soft_wrap=True)


def _place(run: Outcome, failure: Failure) -> str:
    path = shown(failure.path)
    other = "" if failure.path == run.path else f" (of {shown(run.path)})"
    return f"{path}:{failure.line}{other}" if failure.line else f"{path}{other}"


def _as_data(outcome: SuiteOutcome) -> dict[str, object]:
    return {
        "passed": outcome.passed,
        "files": outcome.files,
        "tests": outcome.tests,
        "assertions": outcome.cases,
        "promtool": list(outcome.versions),
        "failures": [
            {
                "promtool": run.version,
                "path": str(failure.path),
                "line": failure.line,
                "test": failure.test,
                "alert": failure.alert,
                "at": failure.at,
                "message": failure.message,
                "expected": failure.expected,
                "got": failure.got,
            }
            for run in outcome.runs
            for failure in run.failures
        ],
        "hollow": [
            {"path": str(one.path), "line": one.line, "message": one.message, "mend": one.mend}
            for one in outcome.guarded
        ],
    }
