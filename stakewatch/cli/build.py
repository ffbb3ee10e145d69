"""`stakewatch build`: renders what machines load from what people write."""

import sys
from pathlib import Path

import click

from stakewatch.bundle import build as building
from stakewatch.cli.options import bundle_option, configuration_option, json_option, opened
from stakewatch.cli.output import console, print_json, print_registered, progress_console


@click.command(short_help="Render what machines load into build/.")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@bundle_option
@configuration_option
@click.option("--list", "only_list", is_flag=True, help="Print what can be built, and stop.")
@json_option
def command(
    targets: tuple[str, ...],
    bundle_folder: Path,
    configuration_file: Path | None,
    *,
    only_list: bool,
    as_json: bool,
) -> None:
    """Render the TARGETs (default: all) into build/TARGET/.

    A folder is replaced only when it is complete, and left alone when nothing in it differs.
    """
    if only_list:
        print_registered(building.targets(targets), "target", "what it is", as_json=as_json)
        return
    bundle, configuration = opened(bundle_folder, configuration_file)
    progress = progress_console()
    with progress.status("build") as status:
        built = building.build(bundle, configuration, targets, lambda name: status.update(f"build {name}"))
    if as_json:
        print_json(
            [
                {
                    "target": one.name,
                    "folder": str(one.folder),
                    "files": one.files,
                    "changed": one.changed,
                    "seconds": round(one.seconds, 3),
                }
                for one in built
            ]
        )
        return
    for one in built:
        state = "changed" if one.changed else "unchanged"
        console().print(f"{one.folder}  {one.files} files, {state}", soft_wrap=True)
    if not built:
        sys.stderr.write("there is nothing to build: no room has a target\n")
