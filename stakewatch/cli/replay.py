"""`stakewatch replay`: incidents that happened, lived through again under the rules."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from stakewatch.bundle.folder import Bundle, find_bundle
from stakewatch.bundle.reports import conclude_report
from stakewatch.cli.options import bundle_option, json_option, rules_option
from stakewatch.cli.output import console, print_json, progress_console
from stakewatch.rules.replay.incident import FOLDER
from stakewatch.rules.replay.replaying import (
    bundle_inhibitions,
    find_incidents,
    is_file_name,
    replay_all,
    replay_report,
)
from stakewatch.rules.replay.verdict import Verdict, shown


@click.command(short_help="Live through known incidents again, under the rules.")
@click.argument("names", nargs=-1, metavar="[INCIDENT...]")
@bundle_option
@rules_option
@click.option("--verbose", is_flag=True, help="Print every alert that fired, with its labels.")
@click.option("--report", "with_report", is_flag=True, help="Also write build/reports/replay.json.")
@json_option
def command(
    names: tuple[str, ...],
    bundle_folder: Path,
    rules: Path | None,
    *,
    verbose: bool,
    with_report: bool,
    as_json: bool,
) -> None:
    """Replay INCIDENT (a name in tests/incidents or a file; default: all) and say when it is detected.

    Each alert that an incident does not name has to be silent. Exits 1 when one fires that should not, or
    does not when it should.
    """
    if with_report and (names or as_json or rules is not None):
        raise click.UsageError("--report is about all incidents and the bundle's rules: give it alone")
    # Files under rules of one's own need no bundle.
    alone = rules is not None and names and all(is_file_name(name) for name in names)
    bundle = Bundle(bundle_folder) if alone else find_bundle(bundle_folder)
    incidents = find_incidents(names, bundle.root / FOLDER)
    started = time.monotonic()
    with progress_console().status(f"replaying {len(incidents)} incidents") as status:
        verdicts = replay_all(
            incidents,
            rules or bundle.rules,
            () if alone else bundle_inhibitions(bundle),
            lambda one: status.update(f"replayed {one.incident.name} in {one.seconds:.0f} s"),
        )
    if as_json:
        print_json([_as_data(one) for one in verdicts])
    else:
        for one in verdicts:
            _print(one, verbose=verbose)
        _print_summary(verdicts)
    held = True
    if with_report:
        report = replay_report(verdicts, bundle.root, time.monotonic() - started)
        held = conclude_report(report, bundle.reports, console()) == 0
    if not held or any(one.flaws for one in verdicts):
        sys.exit(1)


def _print(verdict: Verdict, *, verbose: bool) -> None:
    output = console()
    incident = verdict.incident
    output.print(f"{incident.name}: {incident.title}", style="bold", soft_wrap=True)
    told: set[str] = set()
    for one in verdict.episodes:
        if verbose or one.alert not in told:
            ended = "still firing" if one.last is None else f"until {shown(one.last)}"
            if one.told is None:
                ended += ", held back"
            elif one.told > one.first:
                ended += f", held back until {shown(one.told)}"
            labels = f"  {_labels(one.labels)}" if verbose else ""
            output.print(
                f"  {shown(one.first):>11}  {one.severity:8}  {one.alert}, {ended}{labels}", soft_wrap=True
            )
        told.add(one.alert)
    silent = verdict.alerts - len(told)
    output.print(f"  {len(told)} alerts fired, {silent} were silent", style="dim", soft_wrap=True)
    for flaw in verdict.flaws:
        output.print(f"  {flaw.alert}: {flaw.what}", style="red", soft_wrap=True)
    output.print()


def _labels(labels: Mapping[str, str]) -> str:
    hidden = {"alertname", "severity"}
    return ", ".join(f"{name}={text}" for name, text in sorted(labels.items()) if name not in hidden)


def _print_summary(verdicts: tuple[Verdict, ...]) -> None:
    table = Table("incident", "detected after", "by", "people noticed after", "who", "", highlight=False)
    for one in verdicts:
        detection, noticed = one.detection, one.incident.noticed
        table.add_row(
            *map(
                Text,
                (
                    one.incident.name,
                    shown(detection.first) if detection else "not at all",
                    detection.alert if detection else "-",
                    shown(noticed.seconds) if noticed else "not known",
                    noticed.by if noticed else "-",
                    "as expected" if not one.flaws else f"{len(one.flaws)} WRONG",
                ),
            ),
            style="red" if one.flaws else "",
        )
    console().print(table)


def _as_data(verdict: Verdict) -> dict[str, object]:
    detection, noticed = verdict.detection, verdict.incident.noticed
    return {
        "incident": verdict.incident.name,
        "title": verdict.incident.title,
        "source": list(verdict.incident.source),
        "interpolated": verdict.incident.interpolated,
        "detected_seconds": detection.first if detection else None,
        "detected_by": detection.alert if detection else None,
        "noticed_seconds": noticed.seconds if noticed else None,
        "noticed_by": noticed.by if noticed else None,
        "fired": [
            {"alert": one.alert, "first": one.first, "last": one.last, "labels": dict(one.labels)}
            for one in verdict.episodes
        ],
        "flaws": [{"alert": one.alert, "what": one.what} for one in verdict.flaws],
        "seconds": round(verdict.seconds, 3),
    }
