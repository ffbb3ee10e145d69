"""Memory: what is found out once is known in the next run, and a broken file costs no more than that."""

import sqlite3
from pathlib import Path

import pytest

from stakewatch.rules.mutation.memory import Memory, combined, default_path, fingerprint


def test_answers_are_known_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "memory.sqlite"
    Memory(path).put({"a": True, "b": False})
    again = Memory(path)
    assert (again.get("a"), again.get("b"), again.get("c")) == (True, False, None)


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = Memory(None)
    memory.put({"a": True})
    assert memory.get("a") is True
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\x00cut off"])
def test_a_broken_file_is_forgotten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memory.sqlite"
    path.write_bytes(content)
    memory = Memory(path)
    assert memory.get("a") is None
    memory.put({"a": True})
    assert Memory(path).get("a") is True


def test_answers_of_another_meaning_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    Memory(path).put({"a": True})
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert Memory(path).get("a") is None


def test_two_runs_may_write_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    one, other = Memory(path), Memory(path)
    one.put({"a": True})
    other.put({"b": False})
    assert (Memory(path).get("a"), Memory(path).get("b")) == (True, False)


def test_fingerprints_follow_content_and_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("a", "b") != fingerprint("ab")
    assert combined(("a", "b")) != combined(("b", "a"))


def test_the_default_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_path() == Path("/somewhere/stakewatch/mutation.sqlite")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_path() == Path("/home/me/.cache/stakewatch/mutation.sqlite")
