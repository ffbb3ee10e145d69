"""Where the command line prints: results on stdout, progress on stderr, colours only on a terminal."""

import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stakewatch.bundle.generated import Difference, write
from stakewatch.errors import StakewatchError

_WIDTH_OF_A_FILE = 160


def console() -> Console:
    """Return the console for results (stdout); text is printed as it is, without markup."""
    return _console(sys.stdout)


def progress_console() -> Console:
    """Return the console for progress and remarks (stderr), so that results can be piped."""
    return _console(sys.stderr)


def shown(path: Path) -> str:
    """Return a path as a person here would name it: relative where it is below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


class Registered(Protocol):
    """What the rooms registered under a name, with what it is."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def describes(self) -> str:
        """What it is, in one sentence."""


def print_registered(known: Iterable[Registered], kind: str, heading: str, *, as_json: bool) -> None:
    """Print what is registered as a table, or as JSON with the name under the key `kind`."""
    if as_json:
        print_json([{kind: one.name, "describes": one.describes} for one in known])
        return
    table = Table(kind, heading)
    for one in known:
        table.add_row(one.name, one.describes)
    console().print(table)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show on stderr how far the block is; it tells how many are done, and of how many."""
    progress = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=progress_console(),
        transient=True,
    )
    with progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def whole_percent(percent: float) -> str:
    """Return a percentage with one digit, never rounded up: 100 means all."""
    return f"{math.floor(percent * 10) / 10:g}"


def print_json(data: Any) -> None:  # noqa: ANN401 - whatever json can write
    """Print `data` on stdout as indented JSON, keys in the order given."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def say_failure(name: str, error: StakewatchError) -> None:
    """Print on stderr what befell `name`, where others go on; its traceback too after `--debug`."""
    show_traceback(error)
    sys.stderr.write(f"stakewatch: {name}: {error}\n")


def show_traceback(error: StakewatchError) -> None:
    """Print on stderr how an error that does not end the command came about, after `--debug` only."""
    settings = click.get_current_context().obj or {}
    if settings.get("debug"):
        traceback.print_exception(error)


def renew(
    files: Mapping[str, str],
    folder: Path,
    differences: Callable[[], Iterable[Difference]],
    *,
    only_check: bool,
    again: str,
) -> None:
    """Write the generated files that differ below `folder`; or only say which do, and exit with 1.

    `differences` looks at them, `again` is the command that writes them.
    """
    if not only_check:
        for path in write(files, folder):
            console().print(f"{shown(path)}  written", soft_wrap=True)
    left = tuple(differences())
    for difference in left:
        progress_console().print(f"{shown(difference.path)} {difference.what}", soft_wrap=True)
    console().print(f"{len(files)} files, {len(left)} differ", soft_wrap=True)
    if left and only_check:
        progress_console().print(f"run `{again}` and commit what it writes", soft_wrap=True)
        sys.exit(1)


def _console(stream: IO[str]) -> Console:
    """Colours follow the terminal and NO_COLOR; what goes to a file is not folded at 80 columns."""
    wide = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(
        file=stream, width=_WIDTH_OF_A_FILE if wide else None, markup=False, highlight=False, emoji=False
    )
