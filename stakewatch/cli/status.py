"""`stakewatch status`: what is live at the targets and how it fares."""

import sys
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from stakewatch.cli.output import console, print_json, say_failure
from stakewatch.cli.publishing import prepared, progress, publishing_options
from stakewatch.publishing.differences import shown_line
from stakewatch.publishing.presentation import status_data
from stakewatch.publishing.sessions import Failure, status_each


@click.command(short_help="Show what is live at the targets: health of rules, firing alerts.")
@publishing_options
def command(
    names: tuple[str, ...], bundle_folder: Path, configuration_file: Path | None, *, as_json: bool
) -> None:
    """Ask the TARGETs (default: all under publish in stakewatch.yaml) what they hold and how it fares.

    Exits 1 when a target cannot be asked or something in it does not work; a firing alert is no fault.
    """
    targets = prepared(names, bundle_folder, configuration_file, with_build=False)
    with progress("status") as report:
        answers = status_each(targets, report)
    if as_json:
        print_json([status_data(one) for one in answers])
    for one in answers:
        if isinstance(one, Failure):
            say_failure(one.name, one.error)
        elif not as_json:
            console().print(Text(f"{one.name}: {one.where}", style="bold"), soft_wrap=True)
            table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
            for fact in one.facts:
                style = "" if fact.healthy else "bold red"
                # What rules and errors say is what anybody may have written there.
                words = map(shown_line, (fact.subject, fact.state, fact.detail))
                table.add_row(*map(Text, words), style=style)
            console().print(table)
    if not all(not isinstance(one, Failure) and one.healthy for one in answers):
        sys.exit(1)
