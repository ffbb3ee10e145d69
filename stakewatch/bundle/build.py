"""Building: renders every target beside `build/` and puts it in its place in one step."""

import ctypes
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.bundle.rooms import import_from_rooms
from stakewatch.bundle.targets import Target, registered
from stakewatch.errors import InputError, StakewatchError

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


@dataclass(frozen=True)
class Built:
    """What one target came to: its folder, how many files, whether any differs from before, and the time."""

    name: str
    folder: Path
    files: int
    changed: bool
    seconds: float


def targets(names: Sequence[str] = ()) -> tuple[Target, ...]:
    """Return the targets `names`, or all of them, in the order of their names.

    Raises InputError when there is no target of a name.
    """
    import_from_rooms("targets")
    known = {target.name: target for target in registered()}
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no build target {quoted(name)}", mend=did_you_mean(name, list(known), "there are")
            )
    return tuple(known[name] for name in sorted(set(names or known)))


def build(
    bundle: Bundle,
    configuration: Configuration,
    names: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Built, ...]:
    """Render the targets `names` (all when empty) into `build/`; `report` hears each name before it starts.

    A target's old folder stays until its new one is complete, and stays untouched when nothing differs.
    A second build of the same bundle waits for the first. Raises InputError for an unknown name, and what a
    target raises; targets already built stay built.
    """
    chosen = targets(names)
    with _only_one(bundle.build):
        return tuple(_built(target, bundle, configuration, report) for target in chosen)


def _built(
    target: Target, bundle: Bundle, configuration: Configuration, report: Callable[[str], None]
) -> Built:
    report(target.name)
    started = time.monotonic()
    final = bundle.build / target.name
    partial = bundle.build / f".{target.name}.partial"
    _remove(partial)
    try:
        partial.mkdir()
        target.render(bundle, configuration, partial)
        new = _contents(partial)
        changed = final.is_symlink() or not final.is_dir() or _contents(final) != new
        if changed:
            _put_in_place(partial, final)
    except OSError as error:
        raise StakewatchError(
            f"cannot write: {error.strerror or error}",
            where=str(error.filename or final),
            mend="check permissions and free space, then build again",
        ) from error
    finally:
        _remove(partial)
    return Built(
        name=target.name,
        folder=final,
        files=sum(content is not None for content in new.values()),
        changed=changed,
        seconds=time.monotonic() - started,
    )


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w", encoding="utf-8")
    except OSError as error:
        raise StakewatchError(
            f"cannot write here: {error.strerror}", where=str(folder), mend="check permissions and free space"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _contents(folder: Path) -> dict[str, bytes | None]:
    """Return the bytes of every file below `folder` by relative path; a folder has None."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def _put_in_place(partial: Path, final: Path) -> None:
    """Make `partial` the folder `final`; where the system can, without a moment at which there is none.

    What stood at `final` is afterwards at `partial`.
    """
    if not final.is_symlink() and not final.exists():
        partial.rename(final)
        return
    if _exchange(partial, final):
        return
    old = final.with_name(f".{final.name}.old")
    _remove(old)
    final.rename(old)
    partial.rename(final)
    old.rename(partial)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step (Linux renameat2); return False where that is not supported."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    failed = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
