"""Finding programs: on PATH in an accepted version, else what was built here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stakewatch.errors import StakewatchError
from stakewatch.programs.pins import DebianPackage, GoBuild, NodeProject, OnPath, Program, find_program
from stakewatch.programs.versions import VersionUnknownError, ask_version
from stakewatch.programs.workshop import (
    Workshop,
    find_workshop,
    locked_version,
    products_of,
    sizes_of,
    up_to_date,
)


@dataclass(frozen=True)
class Located:
    """A program that is ready: `origin` is `PATH`, `built here` or `installed here`."""

    name: str
    path: Path
    version: str
    origin: str


@dataclass(frozen=True)
class Search:
    """The outcome of looking for a program; `remarks` say why a candidate was refused."""

    program: Program
    located: Located | None
    remarks: tuple[str, ...]

    @property
    def mend(self) -> str:
        """What to do when it is missing."""
        source = self.program.source
        if isinstance(source, DebianPackage):
            return f"on Debian: apt-get install {source.package}, with {source.folder} on PATH"
        return f"run: stakewatch tools --install {self.program.name}"


def locate(name: str, workshop: Workshop | None = None) -> Located:
    """Return the program `name`, ready to be started.

    Raises InputError when no program has this name, StakewatchError with the mend when it is missing.
    """
    program = find_program(name)
    search = search_for(program, workshop)
    if search.located is None:
        reasons = "".join(f"; {remark}" for remark in search.remarks)
        raise StakewatchError(f"{name} is missing{reasons}", mend=search.mend)
    return search.located


def search_for(program: Program, workshop: Workshop | None = None) -> Search:
    """Look for a program on PATH, then in the workshop (default: the one of the current folder)."""
    remarks: list[str] = []
    if program.on_path is not None:
        located = _search_path(program, program.on_path, remarks)
        if located is not None:
            return Search(program, located, tuple(remarks))
    if not isinstance(program.source, DebianPackage):
        located = _search_workshop(program, workshop, remarks)
        if located is not None:
            return Search(program, located, tuple(remarks))
    return Search(program, None, tuple(remarks))


def missing_needs(program: Program) -> tuple[Search, ...]:
    """Return the searches for what a program cannot be made without and that is not here."""
    searches = (search_for(find_program(name)) for name in program.needs)
    return tuple(search for search in searches if search.located is None)


def _search_path(program: Program, on_path: OnPath, remarks: list[str]) -> Located | None:
    """Return the first acceptable candidate on PATH and append a remark for each that is not."""
    for path in _candidates(on_path.file_names):
        try:
            version = ask_version(path, on_path.arguments, on_path.pattern)
        except VersionUnknownError as error:
            remarks.append(f"{path} {error}")
            continue
        if on_path.accepted.allows(version):
            return Located(program.name, path, version, "PATH")
        remarks.append(f"PATH has {version} ({path}), accepted is {on_path.accepted}")
    return None


def _candidates(file_names: tuple[str, ...]) -> Iterator[Path]:
    """Yield each executable of these names on PATH once, in the order of PATH."""
    seen: set[Path] = set()
    # An empty or relative entry means the current folder: a stranger's file there must not be run.
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if not Path(folder).is_absolute():
            continue
        for file_name in file_names:
            path = Path(folder, file_name)
            if not path.is_file() or not os.access(path, os.X_OK):
                continue
            target = path.resolve()
            if target not in seen:
                seen.add(target)
                yield path


def _search_workshop(program: Program, workshop: Workshop | None, remarks: list[str]) -> Located | None:
    """Return the up-to-date product of the program's recipe, or append a remark that says what is wrong."""
    source = program.source
    assert not isinstance(source, DebianPackage)  # noqa: S101 - the caller's condition
    try:
        workshop = workshop or find_workshop()
        current = up_to_date(workshop, source)
    except StakewatchError as error:
        remarks.append(error.what)
        return None
    products = products_of(workshop, source)
    if not current:
        present = max(sizes_of(products).values()) >= 0
        remarks.append("what was built here is out of date" if present else "not built here yet")
        return None
    match source:
        case GoBuild():
            path = workshop.binaries / program.file_name
            return Located(program.name, path, source.version, "built here")
        case NodeProject():
            path = workshop.folder_of(source) / source.entry_point
            return Located(program.name, path, source.version, "installed here")
        case _:
            path = workshop.folder_of(source) / source.executable
            version = locked_version(workshop, source.distribution)
            return Located(program.name, path, version, "installed here")
