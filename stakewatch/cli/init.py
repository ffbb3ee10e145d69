"""`stakewatch init`: a bundle folder of one's own."""

from pathlib import Path

import click

from stakewatch.bundle.initial import copy_bundle
from stakewatch.cli.output import console


@click.command(short_help="Copy the bundle into a folder of your own.")
@click.argument("folder", type=click.Path(path_type=Path))
def command(*, folder: Path) -> None:
    """Copy rules, their tests, routes, dashboards, catalogue and runbooks into FOLDER.

    The copy is a bundle folder of your own: edit it, keep it in your repository, work in it.
    Nothing is overwritten. Exit codes: 0 copied, 2 something of the same name is there already.
    """
    out = console()
    for path in copy_bundle(folder):
        out.print(str(path), soft_wrap=True)
    out.print(
        f"Next: copy {folder / 'stakewatch.example.yaml'} to stakewatch.yaml, then `stakewatch config`.",
        soft_wrap=True,
    )
