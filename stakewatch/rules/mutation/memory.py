"""Memory: answers of earlier runs, by the content of everything that they depend on."""

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

# What an answer means; a change of the meaning makes old answers strangers.
_MEANING = "1"
_MOST_ANSWERS = 500_000


class Memory:
    """Answers (true or false) by key; without a path, or with one that cannot be used, only of this run.

    A file that is broken or of another meaning is forgotten: everything in it can be found out again.
    """

    def __init__(self, path: Path | None) -> None:
        """Read what is remembered at `path`."""
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, bool] = {}
        self._new: dict[str, bool] = {}
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
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "stakewatch" / "mutation.sqlite"


def fingerprint(*parts: object) -> str:
    """Return a digest of plain data; equal data give equal digests in every run."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def combined(digests: Iterable[str]) -> str:
    """Return the digest of digests, in the order given."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, bool]:
    try:
        with closing(_open(path)) as database:
            return {key: bool(answer) for key, answer in database.execute("SELECT key, answer FROM answers")}
    except (sqlite3.DatabaseError, OSError):
        path.unlink(missing_ok=True)
        return {}


def _write(path: Path, answers: Mapping[str, bool]) -> None:
    with closing(_open(path)) as database, database:
        rows = ((key, int(answer)) for key, answer in answers.items())
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)
        # The oldest go first; rows are numbered in the order in which they came.
        database.execute(
            "DELETE FROM answers WHERE rowid <= (SELECT MAX(rowid) FROM answers) - ?", (_MOST_ANSWERS,)
        )


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=30.0)
    try:
        (meaning,) = database.execute("PRAGMA user_version").fetchone()
        if str(meaning) != _MEANING:
            database.execute("DROP TABLE IF EXISTS answers")
            database.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, answer INTEGER NOT NULL)")
            database.execute(f"PRAGMA user_version = {_MEANING}")
            database.commit()
    except BaseException:
        database.close()
        raise
    return database
