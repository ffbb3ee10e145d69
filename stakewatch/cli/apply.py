"""`stakewatch apply`: makes the targets hold what the bundle says."""

from pathlib import Path

import click

from stakewatch.cli.publishing import (
    adopt_option,
    change_targets,
    full_option,
    prepared,
    publishing_options,
    yes_option,
)
from stakewatch.publishing.applying import apply_changes


@click.command(short_help="Publish what differs to its targets.")
@publishing_options
@adopt_option
@full_option
@yes_option
def command(
    names: tuple[str, ...],
    bundle_folder: Path,
    configuration_file: Path | None,
    *,
    as_json: bool,
    adopt: bool,
    full: bool,
    yes: bool,
) -> None:
    """Show the plan for the TARGETs (default: all under publish in stakewatch.yaml), ask, and carry it out.

    Only what differs is sent, and each object is waited for until the service uses it. Interrupted and run
    again it goes on. Exits 1 when an object could not be published.
    """
    change_targets(
        prepared(names, bundle_folder, configuration_file),
        apply_changes,
        lambda plan: plan.applied,
        verb="apply",
        yes=yes,
        full=full,
        adopt=adopt,
        as_json=as_json,
    )
