"""`stakewatch check`: runs the checks and prints each finding with its place and its mend."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from stakewatch.bundle import checks as checking
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.initial import carried_bundle
from stakewatch.bundle.overlay import laid_over, moved
from stakewatch.bundle.reports import conclude_report
from stakewatch.cli.options import bundle_option, configuration_option, json_option, opened, rules_option
from stakewatch.cli.output import console, print_json, print_registered, progress_console
from stakewatch.rules.report import rules_report

# What can be asked of anybody's rules; the others are about a bundle's manner.
_OF_ANY_RULES = ("rules/pitfalls", "rules/syntax", "rules/templates")


@click.command(short_help="Check rules, dashboards, catalogue and documents.")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@bundle_option
@configuration_option
@rules_option
@click.option("--report", "with_report", is_flag=True, help="Also write build/reports/rules.json.")
@click.option("--list", "only_list", is_flag=True, help="Print which checks there are, and stop.")
@json_option
def command(
    names: tuple[str, ...],
    bundle_folder: Path,
    configuration_file: Path | None,
    rules: Path | None,
    *,
    with_report: bool,
    only_list: bool,
    as_json: bool,
) -> None:
    """Run the checks NAME (default: all; a room's name stands for all its checks).

    With --rules: on any rule files, outside of a bundle too, by default those checks that suit any rules.
    Exits 1 when a check finds something or cannot be carried out.
    """
    if with_report and (names or as_json or rules is not None):
        raise click.UsageError("--report is about all checks, and a table: give it alone")
    if only_list:
        print_registered(checking.checks(names), "check", "what it finds", as_json=as_json)
        return
    if rules is not None:
        _check_any(rules, names or _OF_ANY_RULES, as_json=as_json)
        return
    bundle, configuration = opened(bundle_folder, configuration_file)
    with progress_console().status("check") as status:
        outcomes = checking.run_checks(
            bundle, configuration, names, lambda name: status.update(f"check {name}")
        )
    if as_json:
        print_json([_as_data(outcome, bundle) for outcome in outcomes])
    else:
        _print_outcomes(outcomes, bundle)
    held = True
    if with_report:
        held = conclude_report(rules_report(bundle, outcomes), bundle.reports, console()) == 0
    if not held or not all(outcome.passed for outcome in outcomes):
        sys.exit(1)


def _check_any(rules: Path, names: tuple[str, ...], *, as_json: bool) -> None:
    """Check rules of anybody's: what metrics are is known from the catalogue that this program carries."""
    place = f"rules/{rules.name}" if rules.is_file() else "rules"
    with laid_over(None, {place: rules, "catalogue": carried_bundle() / "catalogue"}) as overlay:
        outcomes = tuple(
            replace(
                outcome,
                findings=tuple(moved(finding, overlay.root / place, rules) for finding in outcome.findings),
            )
            for outcome in checking.run_checks(overlay, Configuration(), names)
        )
    if as_json:
        print_json([_as_data(outcome, Bundle(Path.cwd())) for outcome in outcomes])
    else:
        _print_outcomes(outcomes, Bundle(Path.cwd()))
    if not all(outcome.passed for outcome in outcomes):
        sys.exit(1)


def _print_outcomes(outcomes: tuple[checking.Outcome, ...], bundle: Bundle) -> None:
    output = console()
    for outcome in outcomes:
        for finding in outcome.findings:
            place = _place(finding, bundle)
            output.print(f"{place}: {outcome.check.name}: {finding.message}", soft_wrap=True)
            output.print(f"  {finding.mend}", soft_wrap=True)
        if outcome.error is not None:
            output.print(f"{outcome.check.name} could not be carried out: {outcome.error}", soft_wrap=True)
    failed = [outcome.check.name for outcome in outcomes if not outcome.passed]
    found = sum(len(outcome.findings) for outcome in outcomes)
    summary = f"{len(outcomes)} checks, {found} findings"
    output.print(f"{summary}; failed: {', '.join(failed)}" if failed else summary, soft_wrap=True)


def _place(finding: checking.Finding, bundle: Bundle) -> str:
    place = f"{_relative(finding.path, bundle)}:{finding.line}"
    return f"{place}:{finding.column}" if finding.column else place


def _relative(path: Path, bundle: Bundle) -> str:
    return str(path.relative_to(bundle.root) if path.is_relative_to(bundle.root) else path)


def _as_data(outcome: checking.Outcome, bundle: Bundle) -> dict[str, object]:
    return {
        "check": outcome.check.name,
        "passed": outcome.passed,
        "error": None if outcome.error is None else str(outcome.error),
        "seconds": round(outcome.seconds, 3),
        "findings": [
            {
                "path": _relative(finding.path, bundle),
                "line": finding.line,
                "column": finding.column,
                "message": finding.message,
                "mend": finding.mend,
            }
            for finding in outcome.findings
        ],
    }
