"""`stakewatch init`: a bundle folder of one's own, and newer bundles merged into it."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from stakewatch.bundle import initial
from stakewatch.bundle.merging import Fate, Step
from stakewatch.cli.options import json_option
from stakewatch.cli.output import console, print_json, progress_console
from stakewatch.publishing.differences import differences

_WORDS = {
    Fate.UNCHANGED: "as the bundle has it",
    Fate.RENEWED: "renewed",
    Fate.REMOVED: "removed, it is no longer in the bundle",
    Fate.KEPT: "yours, kept",
    Fate.ABSENT: "removed by you, stays so",
    Fate.CONFLICT: "yours, kept; the bundle has a newer one",
    Fate.ORPHANED: "yours, kept; it is no longer in the bundle",
}


@click.command(short_help="Copy the bundle into a folder of your own, or merge a newer one.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--merge", "into_others", is_flag=True, help="Also into a folder that has files of these names."
)
@click.option("--dry-run", "dry", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--diff",
    "with_diff",
    is_flag=True,
    help="Also show how your files differ from this version's; with --dry-run, beforehand.",
)
@json_option
def command(*, folder: Path, into_others: bool, dry: bool, with_diff: bool, as_json: bool) -> None:
    """Copy rules, their tests, routes, dashboards, catalogue and runbooks into FOLDER.

    The copy is a bundle folder of your own: edit it, keep it in your repository, work in it.

    Run again with a newer stakewatch, it merges: files that you did not change are renewed, files that you
    changed stay and are listed. Where the bundle has something newer for one of these, it is put beside it as
    FILE.new: take over what you want, and remove it. A file that you removed stays removed.

    Exit codes: 0 done, 1 files of yours wait to be merged, 2 something of the same name is there already.
    """
    with progress_console().status("init") as status:
        steps = initial.bring_bundle(
            folder, into_others=into_others, dry=dry, report=lambda step: status.update(f"init {step.path}")
        )
    waiting = [step for step in steps if step.beside is not None]
    if as_json:
        print_json([{"path": one.path, "fate": one.fate.value, "beside": one.beside} for one in steps])
    else:
        _print(folder, steps, waiting, with_diff=with_diff)
        if dry:
            progress_console().print("nothing was written: --dry-run")
    sys.exit(1 if waiting else 0)


def _print(folder: Path, steps: Sequence[Step], waiting: Sequence[Step], *, with_diff: bool) -> None:
    out = console()
    added = Counter(_content_of(step.path) for step in steps if step.fate is Fate.ADDED)
    for name, number in added.items():
        count = "" if name in {step.path for step in steps} else f"{_files(number)} "
        out.print(f"{folder / name}  {count}added", soft_wrap=True)
    others = [step for step in steps if step.beside or step.fate not in {Fate.ADDED, Fate.UNCHANGED}]
    for step in others:
        beside = f"; still to merge: {step.beside}" if step.beside else ""
        out.print(f"{folder / step.path}  {_WORDS[step.fate]}{beside}", soft_wrap=True)
        for line in _changes(folder, step) if with_diff else ():
            out.print(f"    {line}", soft_wrap=True)
    if waiting:
        which = "its" if len(waiting) == 1 else "each"
        out.print(
            f"{_files(len(waiting))} to merge: take over what you want of {which} .new, then remove that.",
            soft_wrap=True,
        )
    elif added and not others:
        example = folder / "stakewatch.example.yaml"
        out.print(f"Next: copy {example} to stakewatch.yaml, then `stakewatch config`.", soft_wrap=True)
    elif not others:
        out.print("nothing to do: every file is as this version has it")


def _changes(folder: Path, step: Step) -> Iterator[str]:
    """Yield how a file of the user's differs from the bundle's, as the lines of a unified diff."""
    path = folder / step.path
    if step.fate in {Fate.KEPT, Fate.CONFLICT} and path.is_file():
        carried = initial.carried_files(initial.carried_bundle())[step.path]
        old, new = (one.read_text(encoding="utf-8", errors="replace") for one in (carried, path))
        yield from differences(old, new)


def _content_of(path: str) -> str:
    """Return which of the bundle's contents a file belongs to."""
    return next(name for name in initial.CONTENTS if path == name or path.startswith(f"{name}/"))


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"
