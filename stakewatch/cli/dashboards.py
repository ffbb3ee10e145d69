"""`stakewatch dashboards`: generates dashboards/json from the modules in dashboards/."""

from pathlib import Path

import click

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import find_bundle
from stakewatch.cli.options import bundle_option
from stakewatch.cli.output import renew
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
    renew(
        files,
        folder,
        lambda: generation.compare(files, folder),
        only_check=only_check,
        again="stakewatch dashboards",
    )
