"""The files that are published into a folder of somebody's Prometheus, and the list of which are ours."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from stakewatch.bundle.printing import as_yaml
from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing.objects import Item
from stakewatch.publishing.target import UnusableTargetError

RULE_FILE = "rule file"
TARGET_FILE = "target file"
CONFIGURATION = "configuration"

# What Prometheus reads only when it is told to; target files it watches itself.
LOADED_KINDS = (RULE_FILE, CONFIGURATION)

_LIST = ".stakewatch.json"
# The scrape jobs alone, for a Prometheus whose configuration is somebody else's (`scrape_config_files`).
_SCRAPE = "scrape.yaml"
_SCRAPE_HEADING = "Built from stakewatch.yaml and the bundle: change those. For `scrape_config_files`."
_KINDS = {"rules": RULE_FILE, "targets": TARGET_FILE}
_LARGEST_FILE = 64 * 1024 * 1024
# Prometheus is another user, whatever our umask says.
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
# What keeps every file from being written alike.
_FOR_ALL = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO})


def kind_of(name: str) -> str:
    """Return the kind of the file of this name in the folder."""
    return _KINDS.get(PurePosixPath(name).parts[0], CONFIGURATION)


def file_items(built: Path) -> list[Item]:
    """Return what of the build target `prometheus` a Prometheus reads; names are paths in its folder.

    Raises InputError when something is missing.
    """
    main = built / "prometheus.yaml"
    paths = [main, *sorted(built.glob("rules/**/*.yaml")), *sorted(built.glob("targets/**/*.yaml"))]
    items: list[Item] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot be read: {error}", where=str(path), mend="run `stakewatch build prometheus`"
            ) from error
        name = path.relative_to(built).as_posix()
        items.append(Item(kind_of(name), name, text))
        if path == main:
            jobs = {"scrape_configs": yaml.safe_load(text)["scrape_configs"]}
            items.append(Item(CONFIGURATION, _SCRAPE, as_yaml(jobs, heading=_SCRAPE_HEADING)))
    return items


def digest(texts: Mapping[str, str | None]) -> str:
    """Return a fingerprint of files by their names; None is a file that is not there."""
    content = json.dumps(sorted(texts.items()), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(content.encode('utf-8', 'surrogatepass')).hexdigest()}"


@dataclass(frozen=True)
class Folder:
    """A folder of somebody's Prometheus, in which there may be files of others too."""

    path: Path

    def has_place(self) -> bool:
        """Return whether the folder can be made. Raises StakewatchError when we may not look."""
        with _told(self.path, "looked at"):
            return self.path.parent.is_dir()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs from changing files of the folder for a block; it is made where it is not there.

        What a killed run left half-written is removed. Raises UnusableTargetError while another run does.
        """
        with _told(self.path, "written"):
            _make_folder(self.path)
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # On a file system that knows no locks nobody can be kept out.
            with contextlib.suppress(OSError):
                _lock(handle, self.path)
            with _told(self.path, "tidied"):
                for left in [*self.path.rglob(_partial(Path("*")).name)]:
                    left.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)

    def read(self, name: str) -> str | None:
        """Return a file's text, None where there is none.

        Bytes that are no text stand for themselves. Raises StakewatchError when it cannot be read.
        """
        path = self.path / name
        with _told(path, "read"):
            try:
                # What is no ordinary file must not hold us up.
                with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                        raise StakewatchError("is no ordinary file", where=str(path), mend="move it away")
                    content = file.read(_LARGEST_FILE + 1)
            except FileNotFoundError:
                return None
        if len(content) > _LARGEST_FILE:
            raise StakewatchError("is too large to be ours", where=str(path), mend="move it away")
        return content.decode("utf-8", errors="surrogateescape")

    def write(self, name: str, text: str) -> None:
        """Replace a file in one step, so that a reader finds the old one or the new one, and keep it on disk.

        Raises StakewatchError, UnusableTargetError where no other file could be written either.
        """
        path = self.path / name
        partial = _partial(path)
        with _told(path, "written"):
            for place in reversed([one for one in path.parents if one.is_relative_to(self.path)]):
                _make_folder(place)
            # A link that somebody put there must not be followed.
            partial.unlink(missing_ok=True)
            try:
                with partial.open("xb") as file:
                    os.fchmod(file.fileno(), _FILE_MODE)
                    file.write(text.encode("utf-8", errors="surrogateescape"))
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def delete(self, name: str) -> bool:
        """Delete a file; return False where there was none. Raises StakewatchError."""
        path = self.path / name
        with _told(path, "deleted"):
            there = path.is_symlink() or path.exists()
            path.unlink(missing_ok=True)
            # A folder that held only ours goes with the last of them.
            with contextlib.suppress(OSError):
                if path.parent != self.path:
                    path.parent.rmdir()
        return there

    def changed_at(self, names: Iterable[str]) -> float:
        """Return when one of the files, or which there are, changed last, in Unix seconds; 0 without any."""
        latest = 0.0
        for path in (self.path / name for name in names):
            # Our note stands in the folder itself, so that its time says nothing about the files.
            for place in {path, path.parent} - {self.path}:
                with contextlib.suppress(OSError):
                    latest = max(latest, place.stat().st_mtime)
        return latest


@dataclass(frozen=True)
class Ours:
    """What we noted about a folder: which files are ours, and which state of them Prometheus was told of."""

    files: frozenset[str] = frozenset()
    told: str = ""


def read_ours(folder: Folder) -> Ours:
    """Return the note. Raises StakewatchError when it is there and cannot be understood."""
    text = folder.read(_LIST)
    if text is None:
        return Ours()
    try:
        noted: Any = json.loads(text)
        files, told = noted["files"], noted["told"]
        understood = isinstance(told, str) and all(_inside(name) for name in files)
    except (ValueError, KeyError, TypeError):
        understood = False
    if not understood:
        raise StakewatchError(
            "is not as we wrote it",
            where=str(folder.path / _LIST),
            mend="delete it: then what stands there and differs is left alone, until `apply --adopt`",
        )
    return Ours(frozenset(files), told)


def write_ours(folder: Folder, ours: Ours) -> None:
    """Note what is ours. Raises StakewatchError."""
    content = {"files": sorted(ours.files), "told": ours.told}
    folder.write(_LIST, json.dumps(content, indent=2) + "\n")


def _partial(path: Path) -> Path:
    """Return where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.partial")


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UnusableTargetError(
            "another run is publishing to this folder",
            where=str(path),
            mend="wait until it is done, then run it again",
        ) from error


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(exist_ok=True)
        path.chmod(_FOLDER_MODE)


def _inside(name: object) -> bool:
    """Return whether a name from the note is that of a file below the folder."""
    if not isinstance(name, str):
        return False
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = UnusableTargetError if error.errno in _FOR_ALL and what != "read" else StakewatchError
        raise kind(
            f"cannot be {what}: {error.strerror}",
            where=str(path),
            mend="check config_path in stakewatch.yaml, permissions and free space",
        ) from error
