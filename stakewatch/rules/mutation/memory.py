"""Memory: answers of earlier runs, by the content of everything that they depend on."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from stakewatch.errors import InputError, StakewatchError
from stakewatch.programs.workshop import user_cache

# What an answer means; a change of the meaning makes old answers strangers.
_MEANING = 2
_MOST_ANSWERS = 500_000
# The form of a database file: its first bytes, and the number of the program that it belongs to.
# Source: https://www.sqlite.org/fileformat.html, section 1.3.
_DATABASE = b"SQLite format 3\x00"
_NUMBER_AT = 68
_HEAD_BYTES = 100
_APPLICATION = 0x53544D55


class Memory:
    """Answers (true or false) by key; without a path only of this run."""

    def __init__(self, path: Path | None) -> None:
        """Read what is remembered at `path`; a memory that is cut off or of another meaning is begun anew.

        Raises InputError when the file is something else, StakewatchError when it cannot be used.
        """
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, bool] = {}
        if path is not None:
            self._known = _read(path)

    def get(self, key: str) -> bool | None:
        """Return an answer, None when it is not known."""
        return self._known.get(key)

    def put(self, answers: Mapping[str, bool]) -> None:
        """Remember answers; they are in the file when this returns: a run that is stopped loses little."""
        with self._lock:
            self._known.update(answers)
            if self._path is not None and answers:
                _write(self._path, answers)


def default_path() -> Path:
    """Return the file in the user's cache."""
    return user_cache() / "mutation.sqlite"


def fingerprint(*parts: object) -> str:
    """Return a digest of plain data; equal data give equal digests in every run."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def combined(digests: Iterable[str]) -> str:
    """Return the digest of digests, in the order given."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, bool]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _expect_ours(path)
        with closing(_open(path)) as database:
            return {key: bool(answer) for key, answer in database.execute("SELECT key, answer FROM answers")}
    except (OSError, sqlite3.OperationalError) as error:
        raise StakewatchError(
            f"the answers of earlier runs cannot be used: {error}",
            where=str(path),
            mend="name another file with --cache, or none with --fresh",
        ) from error
    except sqlite3.DatabaseError:
        path.unlink()
        return {}


def _expect_ours(path: Path) -> None:
    """Raise InputError unless a file is empty or begins as a memory does: no other is ever written over."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    is_ours = int.from_bytes(head[_NUMBER_AT : _NUMBER_AT + 4], "big") == _APPLICATION
    if head and not (head.startswith(_DATABASE) and is_ours):
        raise InputError(
            "this file holds something else than answers of earlier runs",
            where=str(path),
            mend="name another file with --cache",
        )


def _write(path: Path, answers: Mapping[str, bool]) -> None:
    with closing(_open(path)) as database, database:
        rows = ((key, int(answer)) for key, answer in answers.items())
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)
        # The oldest go first; rows are numbered in the order in which they came.
        database.execute(
            "DELETE FROM answers WHERE rowid <= (SELECT MAX(rowid) FROM answers) - ?", (_MOST_ANSWERS,)
        )


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30.0)
    try:
        (meaning,) = database.execute("PRAGMA user_version").fetchone()
        if meaning != _MEANING:
            database.execute("DROP TABLE IF EXISTS answers")
            database.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, answer INTEGER NOT NULL)")
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {_MEANING}")
            database.commit()
    except BaseException:
        database.close()
        raise
    return database
