"""`stakewatch dashboards`: generates dashboards/json from the modules in dashboards/."""

import sys
from pathlib import Path

import click

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import find_bundle
from stakewatch.cli.options import bundle_option
from stakewatch.cli.output import console, progress_console
from stakewatch.grafana.extra import require_extra


@click.command(short_help="Generate dashboards/json from the boards' modules.")
@bundle_option
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 when a file differs.")
def command(bundle_folder: Path, *, only_check: bool) -> None:
    """Write the boards with default settings into dashboards/json, for import by hand.

    Boards with your own addresses and thresholds are made by `stakewatch build dashboards`.
    """
    require_extra()
    # Only now, so that a missing extra is a message and not a traceback.
    from stakewatch.grafana import generation  # noqa: PLC0415
    from stakewatch.grafana.setting import setting_of  # noqa: PLC0415

    bundle = find_bundle(bundle_folder)
    sources = generation.load_boards(bundle)
    files = generation.generate(sources, setting_of(bundle, Configuration()))
    folder = generation.committed(bundle)
    if not only_check:
        for path in generation.write(files, folder):
            console().print(f"{path.relative_to(bundle.root)}  written", soft_wrap=True)
    differences = tuple(generation.compare(files, folder))
    for difference in differences:
        progress_console().print(
            f"{difference.path.relative_to(bundle.root)} {difference.what}", soft_wrap=True
        )
    console().print(f"{len(files)} boards, {len(differences)} files differ", soft_wrap=True)
    if differences and only_check:
        progress_console().print("run `stakewatch dashboards` and commit what it writes", soft_wrap=True)
        sys.exit(1)
