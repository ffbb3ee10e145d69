"""`stakewatch report`: all measured figures side by side, and whether their bars hold."""

import math
import sys
from dataclasses import asdict
from pathlib import Path

import click

from stakewatch.bundle.folder import find_bundle
from stakewatch.bundle.reports import Figure, Report, load_report, print_reports
from stakewatch.cli.options import bundle_option, json_option
from stakewatch.cli.output import console, print_json
from stakewatch.errors import StakewatchError


@click.command(short_help="Show all measured figures and whether their bars hold.")
@bundle_option
@json_option
def command(bundle_folder: Path, *, as_json: bool) -> None:
    """Show the figures of all reports in build/reports/.

    Exits 1 when a bar does not hold, a report cannot be read, or there is none.
    """
    folder = find_bundle(bundle_folder).reports
    reports: list[Report] = []
    unreadable: list[StakewatchError] = []
    for path in sorted(folder.glob("*.json")):
        try:
            reports.append(load_report(path))
        except StakewatchError as error:
            unreadable.append(error)
    if as_json:
        print_json(
            [
                {
                    **asdict(report),
                    "holds": report.holds,
                    "figures": [_as_data(figure) for figure in report.figures],
                }
                for report in reports
            ]
        )
    elif reports:
        print_reports(tuple(reports), console())
    for fault in unreadable:
        sys.stderr.write(f"stakewatch: {fault}\n")
    if not reports and not unreadable:
        raise StakewatchError(
            "there are no reports yet", where=str(folder), mend="run a target that measures, such as make e2e"
        )
    if unreadable or not all(report.holds for report in reports):
        sys.exit(1)


def _as_data(figure: Figure) -> dict[str, object]:
    """Return a figure for JSON, which has no number for what was not measured."""
    value = figure.value if math.isfinite(figure.value) else None
    return {**asdict(figure), "value": value, "holds": figure.holds}
