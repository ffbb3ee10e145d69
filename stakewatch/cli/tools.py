"""`stakewatch tools`: which programs are here, where from, why; and bringing those that are missing."""

import json
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from stakewatch.errors import StakewatchError
from stakewatch.programs.build import provide
from stakewatch.programs.find import Search, search_for
from stakewatch.programs.pins import PROGRAMS, find_program


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--install", is_flag=True, help="Find or build them (default: all that can be built).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(names: tuple[str, ...], *, install: bool, as_json: bool) -> None:
    """Show each program, its version, where it comes from and why; fail when a named one is missing."""
    programs = [find_program(name) for name in dict.fromkeys(names)]
    if install:
        wanted = programs or [program for program in PROGRAMS.values() if program.obtainable]
        _install([program.name for program in wanted])
        if not as_json:
            return
    searches = [search_for(program) for program in programs or PROGRAMS.values()]
    if as_json:
        click.echo(json.dumps([_as_json(search) for search in searches], indent=2))
    else:
        Console().print(_table(searches))
    missing = [search for search in searches if search.located is None]
    if programs and missing:
        raise StakewatchError(
            f"missing: {', '.join(search.program.name for search in missing)}",
            mend="; ".join(dict.fromkeys(search.mend for search in missing)),
        )


def _install(names: Sequence[str]) -> None:
    """Bring the programs; a terminal shows every second what is under way, a log every 15 s."""
    console = Console(stderr=True)
    if not console.is_terminal:
        provide(names, lambda line: click.echo(f"tools: {line}", err=True))
        return
    with console.status("tools: looking at what is there") as status:
        provide(
            names,
            lambda line: console.print(f"tools: {line}", markup=False, highlight=False),
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
