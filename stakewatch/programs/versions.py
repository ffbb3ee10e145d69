"""Versions: comparing them, saying which are accepted, and asking a program for its own."""

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_MOST_BYTES = 64 * 1024
_LONGEST_VERSION = 60
_BEFORE_RELEASE = re.compile(r"[-+~]?(?:rc|beta|alpha|dev|pre)", re.IGNORECASE)


class VersionUnknownError(Exception):
    """A program did not tell its version; the text says what it did instead."""


def version_key(version: str) -> tuple[tuple[int, ...], bool]:
    """Return what orders versions: the leading numbers, then whether it is the release and not a candidate.

    `2.42.0+ds` (Debian) is the release 2.42.0; `3.5.0-rc.1` comes before 3.5.0; `3.5` equals `3.5.0`.
    Raises ValueError when the text does not begin with a number.
    """
    match = re.match(r"v?(\d+(?:\.\d+)*)(.*)", version.strip(), re.DOTALL)
    if match is None:
        raise ValueError(f"not a version: {version!r}")
    numbers = [int(number) for number in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), _BEFORE_RELEASE.match(match[2]) is None


@dataclass(frozen=True)
class Accepted:
    """The versions that will do: from `minimum` on, and older than `below` where that is given."""

    minimum: str
    below: str | None = None

    def allows(self, version: str) -> bool:
        """Tell whether this version will do; a candidate of `below` will not."""
        key = version_key(version)
        if key < version_key(self.minimum):
            return False
        return self.below is None or key[0] < version_key(self.below)[0]

    def __str__(self) -> str:
        if self.below is None:
            return f"{self.minimum} or newer"
        return f"{self.minimum} or newer, older than {self.below}"


@dataclass(frozen=True)
class Exactly(Accepted):
    """One version and no other."""

    def allows(self, version: str) -> bool:
        """Tell whether this is the one version."""
        return version_key(version) == version_key(self.minimum)

    def __str__(self) -> str:
        return f"{self.minimum} and no other"


def ask_version(path: Path, arguments: Sequence[str], pattern: str, timeout_seconds: float = 5.0) -> str:
    """Run the program at `path` and return what group 1 of `pattern` matches in its output.

    Answers are kept as long as the file stays the same.
    Raises VersionUnknownError when it does not start, fails, hangs, or says something else.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise VersionUnknownError(f"cannot be read: {error.strerror}") from error
    identity = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
    return _ask(path, tuple(arguments), pattern, timeout_seconds, identity)


@lru_cache(maxsize=256)
def _ask(
    path: Path,
    arguments: tuple[str, ...],
    pattern: str,
    timeout_seconds: float,
    identity: tuple[int, ...],  # noqa: ARG001 - part of the cache's key: a replaced file is asked again
) -> str:
    try:
        process = subprocess.Popen(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise VersionUnknownError(f"does not start: {error.strerror or error}") from error
    with process:
        try:
            output = _read_until(process, time.monotonic() + timeout_seconds)
        finally:
            # A script's own children hold the pipe open, so the whole group goes.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    if output is None:
        raise VersionUnknownError(f"did not tell its version within {timeout_seconds:g} s")
    text = output.decode(errors="replace")
    match = re.search(pattern, text, re.MULTILINE)
    if match is None or not _is_version(match[1]):
        said = next((line.strip()[:80] for line in text.splitlines() if line.strip()), "nothing")
        raise VersionUnknownError(f"answered {' '.join(arguments)} with {said!r}, which names no version")
    return match[1]


def _is_version(text: str) -> bool:
    """Tell whether a program's word can be compared and shown; one that is not ours may say anything."""
    try:
        version_key(text)
    except ValueError:
        return False
    return text[0].isdigit() and text.isprintable() and len(text) <= _LONGEST_VERSION


def _read_until(process: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """Read all output, or None at the deadline; output beyond 64 KiB counts as the end.

    Raises VersionUnknownError when the program ends with an error.
    """
    assert process.stdout is not None  # noqa: S101 - opened as a pipe by the caller
    output = b""
    while len(output) < _MOST_BYTES:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        chunk = os.read(process.stdout.fileno(), _MOST_BYTES)
        if not chunk:
            break
        output += chunk
    else:
        return output
    try:
        code = process.wait(max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
    if code != 0:
        raise VersionUnknownError(f"failed with exit code {code} when asked for its version")
    return output
