"""`stakewatch coverage`: which cases the tests of each alert prove."""

import sys
from pathlib import Path

import click
from rich.table import Table

from stakewatch.bundle.folder import find_bundle
from stakewatch.bundle.reports import conclude_report
from stakewatch.cli.options import bundle_option, json_option, rules_and_tests, rules_option, tests_option
from stakewatch.cli.output import console, print_json, progress_bar, shown, whole_percent
from stakewatch.rules.coverage import AlertCoverage, Coverage, coverage_report, measure_coverage
from stakewatch.rules.coverage_page import write_coverage_page
from stakewatch.rules.twins import Case

_LONGEST_SUBJECT = 70


@click.command(short_help="Find the cases that no test of an alert proves.")
@bundle_option
@rules_option
@tests_option
@click.option("--report", "with_report", is_flag=True, help="Also write build/reports/coverage.json.")
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write a page that shows each expression coloured by what is proved.",
)
@json_option
def command(
    bundle_folder: Path,
    rules: Path | None,
    tests: Path | None,
    page: Path | None,
    *,
    with_report: bool,
    as_json: bool,
) -> None:
    """Run every promtool test with changed copies of the alerts, and show which changes the tests notice.

    Works on any rules and tests: name a folder or a file of each with --rules and --tests. Exits 1 when a
    case of an alert is not proved, or a test does not pass.
    """
    if with_report and (as_json or rules is not None or tests is not None):
        raise click.UsageError("--report is about the bundle, and a table: give it alone")
    rules, tests = rules_and_tests(bundle_folder, rules, tests)
    with progress_bar("coverage") as report:
        coverage = measure_coverage(rules, tests, report)
    if page is not None:
        write_coverage_page(coverage, page)
    if as_json:
        print_json(_as_data(coverage))
    else:
        _print(coverage)
    held = True
    if with_report:
        bundle = find_bundle(bundle_folder)
        held = conclude_report(coverage_report(coverage, bundle.root), bundle.reports, console()) == 0
    if not held or not coverage.complete:
        sys.exit(1)


def _print(coverage: Coverage) -> None:
    output = console()
    table = Table("alert", "tests", *Case, box=None, header_style="bold", pad_edge=False)
    for alert in coverage.alerts:
        table.add_row(alert.name, str(alert.tests), *(_mark(alert, case) for case in Case))
    output.print(table)
    for (what, mend), places in _missing(coverage).items():
        output.print(f"\nNo test proves {what}: {mend}", soft_wrap=True)
        for place in places:
            output.print(f"  {place}", soft_wrap=True)
    output.print()
    for remark in coverage.remarks:
        output.print(f"{shown(remark.path)}:{remark.line}: {remark.message}", soft_wrap=True)
        output.print(f"  {remark.mend}", soft_wrap=True)
    output.print(
        f"{len(coverage.alerts)} alerts, {coverage.tests} tests: {coverage.proved} of {coverage.points} "
        f"points proved, {whole_percent(coverage.percent)} % "
        f"(promtool {' and '.join(sorted(coverage.versions))})",
        soft_wrap=True,
    )


def _mark(alert: AlertCoverage, case: Case) -> str:
    verdicts = alert.of(case)
    if not verdicts:
        return "-"
    proved = sum(verdict.proved for verdict in verdicts)
    if proved == len(verdicts):
        return "yes"
    return "NO" if len(verdicts) == 1 else f"{proved} of {len(verdicts)}"


def _missing(coverage: Coverage) -> dict[tuple[str, str], list[str]]:
    """Return what is not proved and the test that would, with the alerts of which it is missing."""
    found: dict[tuple[str, str], list[str]] = {}
    for alert in coverage.alerts:
        for verdict in alert.missing:
            place = f"{shown(alert.path)}:{alert.line}: {alert.name}"
            subject = verdict.point.subject
            if len(subject) > _LONGEST_SUBJECT:
                half = _LONGEST_SUBJECT // 2
                subject = f"{subject[:half]} … {subject[-half:]}"
            place = f"{place}: {subject}" if subject else place
            found.setdefault((verdict.what, verdict.mend), []).append(place)
    return found


def _as_data(coverage: Coverage) -> dict[str, object]:
    return {
        "complete": coverage.complete,
        "percent": round(coverage.percent, 3),
        "proved": coverage.proved,
        "points": coverage.points,
        "tests": coverage.tests,
        "promtool": dict(coverage.versions),
        "seconds": round(coverage.seconds, 3),
        "alerts": [
            {
                "alert": alert.name,
                "path": str(alert.path),
                "line": alert.line,
                "tests": alert.tests,
                "points": [
                    {
                        "case": verdict.point.case.value,
                        "of": verdict.point.subject or None,
                        "proved": verdict.proved,
                        "by": verdict.proof,
                        "place": verdict.place,
                        "mend": None if verdict.proved else verdict.mend,
                    }
                    for verdict in alert.verdicts
                ],
            }
            for alert in coverage.alerts
        ],
        "not_counted": [
            {"path": str(one.path), "line": one.line, "message": one.message, "mend": one.mend}
            for one in coverage.remarks
        ],
    }
