"""`stakewatch prune`: removes what is ours at the targets and no longer in the bundle."""

from pathlib import Path

import click

from stakewatch.cli.publishing import change_targets, full_option, prepared, publishing_options, yes_option
from stakewatch.publishing.applying import prune_changes


@click.command(short_help="Remove what was published and is no longer in the bundle.")
@publishing_options
@full_option
@yes_option
def command(
    names: tuple[str, ...],
    bundle_folder: Path,
    configuration_file: Path | None,
    *,
    as_json: bool,
    full: bool,
    yes: bool,
) -> None:
    """Remove from the TARGETs (default: all under publish in stakewatch.yaml) what is left over.

    The plan is shown before, and you are asked. Only what carries our mark, a tag or a folder, is removed.
    Exits 1 when an object could not be.
    """
    change_targets(
        prepared(names, bundle_folder, configuration_file),
        prune_changes,
        lambda plan: plan.leftovers,
        verb="prune",
        yes=yes,
        full=full,
        adopt=False,
        as_json=as_json,
    )
