"""`stakewatch logs`: what the logs of all programs say about one event."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle, find_bundle
from stakewatch.bundle.generated import compare
from stakewatch.bundle.initial import carried_bundle
from stakewatch.cli.options import bundle_option, json_option
from stakewatch.cli.output import console, print_json, progress_console, renew
from stakewatch.errors import InputError
from stakewatch.logs.loki_api import Address, Found, find_lines
from stakewatch.logs.pipelines import Pipelines, load_pipelines, pipelines_path
from stakewatch.logs.rendering import MAKER, rendered
from stakewatch.logs.stages import Replace
from stakewatch.logs.trace import (
    SECOND,
    Moment,
    Question,
    TimeLine,
    component,
    masking,
    nanoseconds_of,
    shown,
    trace,
)

_LEVEL_STYLES = {"warn": "yellow", "error": "red", "fatal": "bold red"}
_NUMBER = re.compile(r"\d{1,19}")


@click.group(short_help="Ask all logs about one event; write what ships them.")
def command() -> None:
    """Ask the logs of all programs about one event, and write what ships them."""


@command.command(name="trace", short_help="Show the time line of a slot, of a key, or of all errors.")
@click.option(
    "--slot", metavar="N", help="All lines about this slot and its block, and what was wrong meanwhile."
)
@click.option("--pubkey", metavar="KEY", help="All lines that name this validator, in full or shortened.")
@click.option(
    "--since", default="1h", show_default=True, metavar="TIME", help="How far back, such as 90s, 15m, 2h, 7d."
)
@click.option("--until", default="0", metavar="TIME", help="Up to how long ago (default: now).")
@click.option("--cluster", default="", help="Only of this cluster.")
@click.option("--network", default="", help="Only of this network.")
@click.option(
    "--loki",
    "url",
    envvar="STAKEWATCH_LOKI_URL",
    required=True,
    metavar="URL",
    help="Loki's address, also from STAKEWATCH_LOKI_URL.",
)
@click.option("--tenant", default="", help="The tenant, where Loki has several.")
@click.option(
    "--token-file", type=click.Path(path_type=Path), metavar="FILE", help="A file with a bearer token."
)
@click.option(
    "--most",
    type=click.IntRange(1, 100_000),
    default=2000,
    show_default=True,
    help="At most this many lines a query.",
)
@bundle_option
@json_option
def trace_command(
    *,
    slot: str | None,
    pubkey: str | None,
    since: str,
    until: str,
    cluster: str,
    network: str,
    url: str,
    tenant: str,
    token_file: Path | None,
    most: int,
    bundle_folder: Path,
    as_json: bool,
) -> None:
    """Show what beacon nodes, execution nodes, validator clients, signers and proxies logged about one event.

    Without --slot and --pubkey: every warning and error. Times are UTC. Secrets are masked.
    """
    now = time.time_ns()
    question = Question(
        start_ns=now - nanoseconds_of(since, "--since"),
        end_ns=now - nanoseconds_of(until, "--until"),
        slot=None if slot is None else _slot(slot),
        pubkey=None if pubkey is None else _pubkey(pubkey),
        cluster=cluster,
        network=network,
    )
    address = Address(url, tenant, token_file)
    mask = masking(_pipelines(bundle_folder))

    def find(query: str, start_ns: int, end_ns: int) -> Found:
        return find_lines(address, query, start_ns, end_ns, most)

    answer = trace(question, find)
    if as_json:
        print_json([_as_json(moment, mask) for moment in answer.moments])
    else:
        _print(answer, mask)
    if answer.cut_off:
        progress_console().print(f"there are more: only the first {most} lines of a query are shown (--most)")


@command.command(name="render", short_help="Write the shippers' files of loki/ from its pipelines.")
@bundle_option
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 when a file differs.")
def render_command(bundle_folder: Path, *, only_check: bool) -> None:
    """Write Alloy's and Promtail's configurations and DaemonSets into loki/, with default settings.

    Those with the place and network of stakewatch.yaml are made by `stakewatch build logs`.
    """
    bundle = find_bundle(bundle_folder)
    path = pipelines_path(bundle)
    files = rendered(load_pipelines(path), Configuration())
    renew(
        files,
        path.parent,
        lambda: compare(files, path.parent, maker=MAKER),
        only_check=only_check,
        again="stakewatch logs render",
    )


def _slot(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InputError("this is no slot", where="--slot", mend="a slot is a number from 0 on")
    return int(text)


def _pubkey(text: str) -> str:
    digits = text.strip().lower()
    return digits if digits.startswith("0x") else f"0x{digits}"


def _pipelines(bundle_folder: Path) -> Pipelines:
    """Return the bundle's pipelines, else those of the package: secrets are masked wherever this is run."""
    try:
        path = pipelines_path(find_bundle(bundle_folder))
    except InputError:
        path = pipelines_path(Bundle(carried_bundle()))
    return load_pipelines(path if path.is_file() else pipelines_path(Bundle(carried_bundle())))


def _print(answer: TimeLine, mask: tuple[Replace, ...]) -> None:
    if not answer.moments:
        progress_console().print("nothing was logged about this in that time")
        return
    table = Table("time (UTC)", "program", "level", "why", "line", highlight=False)
    days = {_time(moment.line.time_ns)[:10] for moment in (answer.moments[0], answer.moments[-1])}
    clusters = {moment.line.labels.get("cluster") for moment in answer.moments}
    for moment in answer.moments:
        labels = moment.line.labels
        level = labels.get("level", "")
        table.add_row(
            Text(_time(moment.line.time_ns)[0 if len(days) > 1 else 11 : 23].replace("T", " ")),
            Text(shown(component(labels, with_cluster=len(clusters) > 1), ())),
            Text(shown(level, ()), style=_LEVEL_STYLES.get(level, "")),
            Text(moment.because),
            Text(shown(moment.line.text, mask)),
        )
    console().print(table)


def _as_json(moment: Moment, mask: tuple[Replace, ...]) -> dict[str, object]:
    line = moment.line
    return {
        "time": _time(line.time_ns),
        "because": moment.because,
        **{name: shown(value, ()) for name, value in sorted(line.labels.items())},
        "metadata": {name: shown(value, mask) for name, value in sorted(line.metadata.items())},
        "line": shown(line.text, mask),
    }


def _time(nanoseconds: int) -> str:
    """Return RFC 3339 in UTC with nine digits of the second."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
