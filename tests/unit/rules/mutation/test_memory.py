"""Memory: what is found out once is known in the next run, and nobody else's file is touched."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stakewatch.errors import InputError, StakewatchError
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


def test_an_empty_file_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    path.touch()
    Memory(path).put({"a": True})
    assert Memory(path).get("a") is True


@pytest.mark.parametrize("kept", [100, 5000])
def test_a_file_that_is_cut_off_is_begun_anew(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "memory.sqlite"
    Memory(path).put({str(number): True for number in range(1000)})
    path.write_bytes(path.read_bytes()[:kept])
    memory = Memory(path)
    assert memory.get("1") is None
    memory.put({"a": True})
    assert Memory(path).get("a") is True


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "rules.yaml"
    text.write_text("groups: []\n", encoding="utf-8")
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE answers (theirs)")
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(InputError, match="something else"):
            Memory(path)
        assert path.read_bytes() == before


def test_a_place_that_cannot_be_used_is_an_error_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "memory.sqlite"):
        with pytest.raises(StakewatchError, match="cannot be used") as raised:
            Memory(path)
        assert "--fresh" in str(raised.value)


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


def test_the_default_is_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_path() == tmp_path / "cache" / "stakewatch" / "mutation.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".cache" / "stakewatch" / "mutation.sqlite"


def test_the_last_editions_are_remembered_the_latest_first(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    for text in ("one", "two", "three", "four", "two"):
        Memory(path).keep_edition(text)
    memory = Memory(path)
    assert memory.editions == ("two", "four", "three")
    memory.keep_edition("five")
    assert memory.editions == Memory(path).editions == ("five", "two", "four")


def test_what_is_carried_over_is_in_the_file_with_the_edition(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    memory = Memory(path)
    memory.keep_edition("one")
    memory.carry("a", answer=True)
    assert memory.get("a") is True
    assert Memory(path).get("a") is None
    memory.keep_edition("one")
    assert Memory(path).get("a") is True
    assert Memory(path).editions == ("one",)


def test_a_memory_of_before_there_were_editions_keeps_its_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    Memory(path).put({"a": True})
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE editions")
    memory = Memory(path)
    assert (memory.get("a"), memory.editions) == (True, ())
    memory.keep_edition("one")
    assert Memory(path).editions == ("one",)
