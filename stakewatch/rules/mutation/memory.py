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
_MEANING = 3
_MOST_ANSWERS = 500_000
_MOST_EDITIONS = 3
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
        self._unwritten: dict[str, bool] = {}
        self.editions: tuple[str, ...] = ()
        if path is not None:
            self._known, self.editions = _read(path)

    def get(self, key: str) -> bool | None:
        """Return an answer, None when it is not known."""
        return self._known.get(key)

    def put(self, answers: Mapping[str, bool]) -> None:
        """Remember answers; they are in the file when this returns: a run that is stopped loses little."""
        with self._lock:
            self._known.update(answers)
            if self._path is not None and answers:
                _write(self._path, answers)

    def carry(self, key: str, answer: bool) -> None:  # noqa: FBT001 - that is what is remembered
        """Remember an answer under one more key; it is in the file when the edition is."""
        with self._lock:
            self._known[key] = self._unwritten[key] = answer

    def keep_edition(self, text: str) -> None:
        """Remember what the rules say, as the latest of a few editions, and what was carried over to it."""
        with self._lock:
            others = tuple(one for one in self.editions if one != text)
            if self._path is not None and (self._unwritten or self.editions[:1] != (text,)):
                _write(self._path, self._unwritten, text)
            self._unwritten = {}
            self.editions = (text, *others)[:_MOST_EDITIONS]


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


def _read(path: Path) -> tuple[dict[str, bool], tuple[str, ...]]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _expect_ours(path)
        with closing(_open(path)) as database:
            answers = {
                key: bool(answer) for key, answer in database.execute("SELECT key, answer FROM answers")
            }
            editions = database.execute("SELECT text FROM editions ORDER BY number DESC")
            return answers, tuple(text for (text,) in editions)
    except (OSError, sqlite3.OperationalError) as error:
        raise StakewatchError(
            f"the answers of earlier runs cannot be used: {error}",
            where=str(path),
            mend="name another file with --cache, or none with --fresh",
        ) from error
    except sqlite3.DatabaseError:
        path.unlink()
        return {}, ()


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


def _write(path: Path, answers: Mapping[str, bool], edition: str | None = None) -> None:
    with closing(_open(path)) as database, database:
        rows = ((key, int(answer)) for key, answer in answers.items())
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)
        # The oldest go first; rows are numbered in the order in which they came.
        database.execute(
            "DELETE FROM answers WHERE rowid <= (SELECT MAX(rowid) FROM answers) - ?", (_MOST_ANSWERS,)
        )
        if edition is not None:
            database.execute("INSERT OR REPLACE INTO editions (text) VALUES (?)", (edition,))
            database.execute(
                "DELETE FROM editions WHERE number NOT IN"
                " (SELECT number FROM editions ORDER BY number DESC LIMIT ?)",
                (_MOST_EDITIONS,),
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
        database.execute(
            "CREATE TABLE IF NOT EXISTS editions"
            " (number INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT UNIQUE NOT NULL)"
        )
        database.commit()
    except BaseException:
        database.close()
        raise
    return database
