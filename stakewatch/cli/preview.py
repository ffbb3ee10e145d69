"""`stakewatch preview`: the boards on the data of a Prometheus, as pages that need no Grafana."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stakewatch.bundle.folder import Bundle
from stakewatch.cli.options import (
    bundle_option,
    configuration_option,
    opened,
    prometheus_options,
)
from stakewatch.cli.output import console, progress_console, shown
from stakewatch.demo.quiet import WARM_UP_SECONDS, warmed_up
from stakewatch.errors import InputError
from stakewatch.grafana.extra import require_extra
from stakewatch.grafana.remote import Remote, connect, scrape_interval
from stakewatch.promql import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stakewatch.grafana.preview.page import Preview
    from stakewatch.grafana.preview.run import Board

_INTERVAL_SECONDS = 15
_LONGEST_SECONDS = 2 * 366 * 86_400


@click.command(short_help="Show the boards on real data, without Grafana.")
@click.argument("uids", nargs=-1, metavar="[BOARD...]")
@prometheus_options
@click.option("--demo", is_flag=True, help="Start the demo's fleet and show that.")
@click.option("--range", "duration", metavar="DURATION", help="How much to show (default: each board's).")
@click.option(
    "--choose",
    "choices",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable's value (a regular expression).",
)
@click.option("--out", "folder", type=click.Path(path_type=Path), help="Default: build/preview.")
@click.option("--fail-on-empty", is_flag=True, help="Exit 1 if a panel has no data and may not.")
@bundle_option
@configuration_option
def command(
    *,
    uids: tuple[str, ...],
    prometheus_url: str,
    token_file: Path | None,
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
    from stakewatch.grafana.preview.page import write_pages  # noqa: PLC0415
    from stakewatch.grafana.preview.run import boards_of, choose_boards, not_allowed, outdated  # noqa: PLC0415

    chosen = dict(map(_choice, choices))
    seconds = None if duration is None else _seconds(duration)
    bundle, configuration = opened(bundle_folder, configuration_file)
    every = boards_of(bundle, configuration)
    allowances = allowances_of(bundle, every)
    boards = choose_boards(every, uids)
    folder = folder or bundle.build / "preview"
    progress = progress_console()
    if demo:
        with warmed_up(bundle, bundle.build / "preview-demo", progress.print) as stack:
            remote = connect(stack.prometheus.url)
            previews = _ask(remote, boards, bundle, chosen, seconds or float(WARM_UP_SECONDS))
    else:
        remote = connect(prometheus_url, token_file=token_file)
        previews = _ask(remote, boards, bundle, chosen, seconds)
    index = write_pages(previews, folder, remote.url)
    dead = not_allowed(previews, allowances)
    _print(previews, frozenset(dead))
    for one in outdated(previews, allowances):
        progress.print(f"{one.board}: {one.panel} has data here, dashboards/empty.yaml allows none")
    panels = sum(one.panel.kind != "row" for each in previews for one in each.board.results)
    console().print(f"{len(previews)} boards, {panels} panels, {len(dead)} without data and without a reason")
    console().print(shown(index))
    if dead and fail_on_empty:
        sys.exit(1)


def _ask(
    remote: Remote, boards: "Sequence[Board]", bundle: Bundle, chosen: dict[str, str], seconds: float | None
) -> "tuple[Preview, ...]":
    from stakewatch.catalogue.inventory import load_catalogue  # noqa: PLC0415
    from stakewatch.grafana.preview.explaining import Explainer  # noqa: PLC0415
    from stakewatch.grafana.preview.run import Wish, preview  # noqa: PLC0415
    from stakewatch.rules.files import load_rule_files  # noqa: PLC0415

    end = time.time()
    wish = Wish(end, scrape_interval(remote, _INTERVAL_SECONDS), seconds, chosen)
    explainer = Explainer(remote, load_catalogue(bundle.catalogue), load_rule_files(bundle.rules), end)
    with progress_console().status("preview") as status:
        return preview(remote, boards, wish, explainer, status.update)


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


def _choice(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(f"{text!r} chooses nothing", where="--choose", mend="write --choose cluster=eu-1")
    # It stands between quotation marks in the query.
    return name, value.replace("\\", "\\\\").replace('"', '\\"')


def _seconds(text: str) -> float:
    seconds = parse_duration(text)
    if not 1 <= seconds <= _LONGEST_SECONDS:
        raise InputError(f"{text} cannot be shown", where="--range", mend="give 1s to 2y")
    return seconds
