"""`stakewatch preview`: the boards on the data of a Prometheus, as pages that need no Grafana."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stakewatch.cli.options import (
    bundle_option,
    configuration_option,
    opened,
    prometheus_options,
)
from stakewatch.cli.output import console, progress_console, shown
from stakewatch.demo.quiet import WARM_UP_SECONDS, warmed_up
from stakewatch.grafana.extra import require_extra
from stakewatch.grafana.preview.window import shown_seconds
from stakewatch.grafana.remote import connect

if TYPE_CHECKING:
    from stakewatch.grafana.preview.page import Preview


@click.command(short_help="Show the boards on real data, without Grafana.")
@click.argument("uids", nargs=-1, metavar="[BOARD...]")
@prometheus_options
@click.option("--loki", "loki_url", metavar="URL", help="The Loki to ask for logs (default: none).")
@click.option("--demo", is_flag=True, help="Start the demo's fleet and show that.")
@click.option("--range", "duration", metavar="DURATION", help="How much to show (default: each board's).")
@click.option("--choose", "choices", multiple=True, metavar="NAME=VALUE", help="A variable's value, a regex.")
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the pages go (default: build/preview).",
)
@click.option("--fail-on-empty", is_flag=True, help="Exit 1 if a panel has no data and may not.")
@bundle_option
@configuration_option
def command(
    *,
    uids: tuple[str, ...],
    prometheus_url: str,
    token_file: Path | None,
    loki_url: str | None,
    demo: bool,
    duration: str | None,
    choices: tuple[str, ...],
    folder: Path | None,
    fail_on_empty: bool,
    bundle_folder: Path,
    configuration_file: Path | None,
) -> None:
    """Ask every query of the boards BOARD (default: all) and write a page for each.

    A panel without data says why. Panels that may be without data stand in dashboards/empty.yaml.
    """
    require_extra()
    # Only now, so that a missing extra is a message and not a traceback.
    from stakewatch.grafana.preview.allowed import allowances_of  # noqa: PLC0415
    from stakewatch.grafana.preview.choices import read_choices  # noqa: PLC0415
    from stakewatch.grafana.preview.page import write_pages  # noqa: PLC0415
    from stakewatch.grafana.preview.results import Sources  # noqa: PLC0415
    from stakewatch.grafana.preview.run import (  # noqa: PLC0415
        boards_of,
        choose_boards,
        not_allowed,
        outdated,
        preview_now,
    )

    seconds = None if duration is None else shown_seconds(duration)
    bundle, configuration = opened(bundle_folder, configuration_file)
    every = boards_of(bundle, configuration)
    allowances = allowances_of(bundle, every)
    boards = choose_boards(every, uids)
    chosen = read_choices(choices, boards)
    progress = progress_console()
    with ExitStack() as stack:
        if demo:
            fleet = stack.enter_context(warmed_up(bundle, bundle.build / "preview-demo", progress.print))
            remote = connect(fleet.prometheus.url)
            seconds = seconds or float(WARM_UP_SECONDS)
        else:
            remote = connect(prometheus_url, token_file=token_file)
        loki = None if loki_url is None else connect(loki_url, token_file=token_file, who="Loki")
        sources = Sources(remote, loki)
        status = stack.enter_context(progress.status("preview"))
        previews = preview_now(sources, bundle, boards, status.update, seconds=seconds, chosen=chosen)
    index = write_pages(previews, folder or bundle.build / "preview", remote.url)
    dead = not_allowed(previews, allowances)
    _print(previews, frozenset(dead))
    # The list that comes with the bundle is about the demo: elsewhere it is no news that more has data.
    for one in outdated(previews, allowances) if fail_on_empty else ():
        progress.print(f"{one.board}: {one.panel} has data, so dashboards/empty.yaml need not allow none")
    panels = sum(preview.panels for preview in previews)
    boards_shown = "1 board" if len(previews) == 1 else f"{len(previews)} boards"
    console().print(
        f"{boards_shown}, {panels} panels, {len(dead)} without data and not in dashboards/empty.yaml"
    )
    console().print(shown(index))
    if dead and fail_on_empty:
        sys.exit(1)


def _print(previews: "tuple[Preview, ...]", dead: frozenset[tuple[str, str]]) -> None:
    """Print a line per board, and below it the panels that should have data."""
    output = console()
    for preview in previews:
        board = preview.board
        took = f"{board.seconds * 1000:.0f} ms"
        output.print(f"{board.uid}: {len(board.empty)} panels without data, {took}", soft_wrap=True)
        for place, result in enumerate(board.results):
            if result.is_empty and (board.uid, result.panel.title) in dead:
                output.print(f"  {result.panel.title}", soft_wrap=True)
                for why in preview.why[place]:
                    output.print(f"    {why.said}{f'; {why.mend}' if why.mend else ''}", soft_wrap=True)
