"""Merging a newer bundle into a folder whose owner changes it: their changes stay, the rest is renewed.

A file at the folder's root remembers the hash of every file as the bundle had it. Of each file there are then
three versions: as it was brought, as it is now, and as the newer bundle has it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from stakewatch.errors import InputError, StakewatchError

ORIGIN_FILE = ".stakewatch-bundle.json"
_NO_FILES: Mapping[str, str] = MappingProxyType({})
# What stands at a path and is no ordinary file: never ours, so never replaced.
_FOREIGN = "foreign"
_MENDED_BY_RUNNING_AGAIN = "run it again: it goes on where it stopped"


class Fate(StrEnum):
    """What becomes of one file."""

    UNCHANGED = "unchanged"  # as the bundle has it
    ADDED = "added"  # new in the bundle
    RENEWED = "renewed"  # newer in the bundle, and nobody had changed it
    REMOVED = "removed"  # no longer in the bundle, and nobody had changed it
    KEPT = "kept"  # changed by its owner, and the bundle has nothing newer
    ABSENT = "absent"  # removed by its owner, and it stays so
    CONFLICT = "conflict"  # changed by its owner, and newer in the bundle: that is put beside it
    ORPHANED = "orphaned"  # changed by its owner, and no longer in the bundle


@dataclass(frozen=True)
class Step:
    """What becomes of the file at `path`; `beside` is the bundle's version, which its owner has to merge."""

    path: str
    fate: Fate
    beside: str | None = None


@dataclass(frozen=True)
class Origin:
    """Which bundle a folder came from: the hashes of its files, and of those that were put beside others.

    `arriving` are the files of a bundle that is being brought, while it is.
    """

    version: str | None = None
    files: Mapping[str, str] = field(default_factory=lambda: _NO_FILES)
    offered: Mapping[str, str] = field(default_factory=lambda: _NO_FILES)
    arriving: Mapping[str, str] = field(default_factory=lambda: _NO_FILES)


def read_origin(folder: Path) -> Origin | None:
    """Return what the folder remembers, None where it holds no bundle of ours.

    Raises InputError when the file that remembers it is broken.
    """
    path = folder / ORIGIN_FILE
    try:
        origin = _origin(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError):
        origin = None
    if origin is None:
        raise InputError(
            "is not as stakewatch wrote it",
            where=str(path),
            mend="take it from your repository's history; or remove it and say --merge: then every file that "
            "differs from the bundle counts as yours",
        )
    return origin


def _origin(content: Any) -> Origin | None:  # noqa: ANN401 - JSON
    """Return the origin that was written as `content`, None when it is none."""
    names = ("files", "offered", "arriving")
    if not isinstance(content, dict) or set(content) != {"version", *names}:
        return None
    tables = [content[name] for name in names]
    if not all(isinstance(table, dict) and all(map(_is_entry, table.items())) for table in tables):
        return None
    return Origin(content["version"], *tables)


def _is_entry(entry: tuple[str, Any]) -> bool:
    """Tell whether this is a path inside of the folder, and a hash."""
    path, digest = entry
    parts = PurePosixPath(path).parts
    inside = bool(parts) and parts[0] != "/" and ".." not in parts and "\0" not in path
    return inside and isinstance(digest, str)


def plan(
    before: Mapping[str, str], now: Mapping[str, str], newer: Mapping[str, str]
) -> Iterator[tuple[str, Fate]]:
    """Yield what becomes of each file, from the hashes of its three versions by path."""
    for path in sorted({*before, *newer}):
        was, is_, becomes = before.get(path), now.get(path), newer.get(path)
        if is_ == becomes:
            yield path, Fate.UNCHANGED
        elif becomes is None:
            yield path, Fate.REMOVED if is_ == was else Fate.ORPHANED
        elif is_ is None:
            yield path, Fate.ADDED if was is None else Fate.ABSENT
        elif is_ == was:
            yield path, Fate.RENEWED
        else:
            yield path, Fate.KEPT if becomes == was else Fate.CONFLICT


def merge(
    folder: Path,
    files: Mapping[str, Path],
    origin: Origin,
    version: str,
    *,
    dry: bool = False,
    report: Callable[[Step], None] = lambda _: None,
) -> Sequence[Step]:
    """Bring `files`, by their path in the bundle, into `folder`; return what became of each file.

    Every file is replaced in one step, and remembered only when all are done: killed at any moment and run
    again, it comes to the same. Raises StakewatchError when a file cannot be read or written, or changes
    at the same moment.
    """
    try:
        return _merge(folder, files, origin, version, dry=dry, report=report)
    except OSError as error:
        raise StakewatchError(
            f"cannot be read or written: {error.strerror or error}",
            where=str(error.filename or folder),
            mend=f"check permissions and free space, then {_MENDED_BY_RUNNING_AGAIN}",
        ) from error


def _merge(
    folder: Path,
    files: Mapping[str, Path],
    origin: Origin,
    version: str,
    *,
    dry: bool,
    report: Callable[[Step], None],
) -> Sequence[Step]:
    contents = {path: source.read_bytes() for path, source in files.items()}
    newer = {path: _hash(content) for path, content in contents.items()}
    known = {*newer, *origin.files, *origin.arriving}
    now = {path: found for path in known if (found := _present(folder / path)) is not None}
    # What an interrupted run has brought is as much ours as what the run before it finished.
    before = {**origin.files, **{path: one for path, one in origin.arriving.items() if now.get(path) == one}}
    offered = dict(origin.offered)
    steps = []
    if not dry:
        folder.mkdir(parents=True, exist_ok=True)
        # From now on the folder is known as ours.
        _remember(folder, replace(origin, files=before, arriving=newer))
    for path, fate in plan(before, now, newer):
        if fate is Fate.CONFLICT:
            name = _name_beside(folder, path, newer[path], offered)
            offered[name] = newer[path]
            step = Step(path, fate, name)
        else:
            waiting = (one for one in offered if _is_beside(one, path) and (folder / one).exists())
            step = Step(path, fate, next(waiting, None))
        if not dry:
            _carry_out(folder, step, contents.get(path, b""), now.get(path))
        steps.append(step)
        report(step)
    if not dry:
        kept = {path: one for path, one in offered.items() if (folder / path).exists()}
        _remember(folder, Origin(version=version, files=newer, offered=kept))
    return steps


def _carry_out(folder: Path, step: Step, content: bytes, seen: str | None) -> None:
    """Do what a step says; `seen` is the hash of what stood there when it was planned."""
    path = folder / step.path
    _partial(path).unlink(missing_ok=True)
    if step.fate in {Fate.ADDED, Fate.RENEWED, Fate.REMOVED} and _present(path) != seen:
        raise StakewatchError(
            "was changed by somebody else at this moment", where=str(path), mend=_MENDED_BY_RUNNING_AGAIN
        )
    if step.fate in {Fate.ADDED, Fate.RENEWED}:
        _write(path, content)
    elif step.fate is Fate.REMOVED:
        path.unlink()
    elif step.fate is Fate.CONFLICT and step.beside is not None:
        _write(folder / step.beside, content)


def _name_beside(folder: Path, path: str, newer: str, offered: Mapping[str, str]) -> str:
    """Return where to put the bundle's version: over an older one that nobody touched, else where none is."""
    number = 1
    while True:
        name = f"{path}.new" if number == 1 else f"{path}.new{number}"
        present = _present(folder / name)
        if present in {None, newer, offered.get(name)}:
            return name
        number += 1


def _is_beside(name: str, path: str) -> bool:
    return name.startswith(f"{path}.new") and name.removeprefix(f"{path}.new").strip("0123456789") == ""


def _present(path: Path) -> str | None:
    """Return the hash of the file at `path`, None where nothing is."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return _FOREIGN
    try:
        return _hash(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _remember(folder: Path, origin: Origin) -> None:
    content = {
        "version": origin.version,
        "files": dict(sorted(origin.files.items())),
        "offered": dict(sorted(origin.offered.items())),
        "arriving": dict(sorted(origin.arriving.items())),
    }
    _write(folder / ORIGIN_FILE, (json.dumps(content, indent=1) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    """Put a file in its place in one step, on the disk before it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        shutil.copymode(path, partial)
    partial.replace(path)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.stakewatch-partial")
