"""`stakewatch tools`: which programs are here, where from, why; and bringing those that are missing."""

from collections.abc import Sequence

import click
from rich.table import Table

from stakewatch.cli.options import json_option
from stakewatch.cli.output import console, print_json, progress_console
from stakewatch.errors import StakewatchError
from stakewatch.programs.build import provide
from stakewatch.programs.find import Search, missing_needs, search_for
from stakewatch.programs.pins import PROGRAMS, Program, find_program


@click.command(short_help="Show or get the programs that are used.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--install", is_flag=True, help="Find or build them (default: all that can be built).")
@json_option
def command(names: tuple[str, ...], *, install: bool, as_json: bool) -> None:
    """Show each program, its version, where it comes from and why; fail when a named one is missing."""
    programs = [find_program(name) for name in dict.fromkeys(names)]
    if install:
        _install([program.name for program in programs or _makeable()])
        if not as_json:
            return
    searches = [search_for(program) for program in programs or PROGRAMS.values()]
    if as_json:
        print_json([_as_json(search) for search in searches])
    else:
        console().print(_table(searches))
    missing = [search for search in searches if search.located is None]
    if programs and missing:
        raise StakewatchError(
            f"missing: {', '.join(search.program.name for search in missing)}",
            mend="; ".join(dict.fromkeys(search.mend for search in missing)),
        )


def _makeable() -> list[Program]:
    """Return what can be brought here, and say what is left out because a package is missing."""
    makeable = []
    for program in PROGRAMS.values():
        if not program.obtainable:
            continue
        missing = missing_needs(program)
        if search_for(program).located is None and missing:
            mends = "; ".join(f"{search.program.name} is missing, {search.mend}" for search in missing)
            click.echo(f"tools: {program.name} is left out: {mends}", err=True)
        else:
            makeable.append(program)
    return makeable


def _install(names: Sequence[str]) -> None:
    """Bring the programs; a terminal shows every second what is under way, a log every 15 s."""
    progress = progress_console()
    if not progress.is_terminal:
        provide(names, lambda line: click.echo(f"tools: {line}", err=True))
        return
    with progress.status("tools: looking at what is there") as status:
        provide(
            names,
            lambda line: progress.print(f"tools: {line}"),
            waiting=lambda line: status.update(f"tools: {line}"),
        )


def _table(searches: Sequence[Search]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("program", "version", "from", "what for", "why"):
        table.add_column(title, overflow="fold")
    for search in searches:
        located = search.located
        table.add_row(
            search.program.name,
            located.version if located else "-",
            located.origin if located else "missing",
            search.program.purpose,
            _why(search),
        )
    return table


def _why(search: Search) -> str:
    """Say where it was found, why others were refused, and how to get it."""
    found = [str(search.located.path)] if search.located and search.located.origin == "PATH" else []
    mend = [] if search.located else [search.mend]
    return "; ".join([*found, *search.remarks, *mend])


def _as_json(search: Search) -> dict[str, object]:
    located = search.located
    return {
        "name": search.program.name,
        "purpose": search.program.purpose,
        "version": located.version if located else None,
        "origin": located.origin if located else "missing",
        "path": str(located.path) if located else None,
        "remarks": list(search.remarks),
        "mend": None if located else search.mend,
    }
