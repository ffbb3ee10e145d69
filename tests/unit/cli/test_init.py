"""`stakewatch init` for people and for programs."""

import json
from pathlib import Path

import pytest

from stakewatch.bundle import initial
from tests.unit.cli.conftest import Run

NEW = "rules/a.yaml.new"


@pytest.fixture
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small bundle that the package carries."""
    folder = tmp_path / "carried"
    for path in ("rules/a.yaml", "rules/b.yaml", "stakewatch.example.yaml"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("1\n", encoding="utf-8")
    monkeypatch.setattr(initial, "CONTENTS", ("rules", "stakewatch.example.yaml"))
    monkeypatch.setattr(initial, "carried_bundle", lambda: folder)
    return folder


def test_a_newcomer_is_told_what_was_copied_and_what_is_next(run: Run, carried: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    answer = run("init", mine)
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"{mine / 'rules'}  2 files added",
        f"{mine / 'stakewatch.example.yaml'}  added",
        f"Next: copy {mine / 'stakewatch.example.yaml'} to stakewatch.yaml, then `stakewatch config`.",
    ]
    assert (mine / "rules" / "a.yaml").read_text() == (carried / "rules" / "a.yaml").read_text()
    assert run("init", mine).out == "nothing to do: every file is as this version has it\n"


def test_who_changed_something_is_shown_it_and_what_waits(run: Run, carried: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    run("init", mine)
    for path in ("rules/a.yaml", "rules/b.yaml"):
        (mine / path).write_text("mine\n", encoding="utf-8")
    (carried / "rules" / "a.yaml").write_text("2\n", encoding="utf-8")
    (carried / "stakewatch.example.yaml").write_text("2\n", encoding="utf-8")
    (carried / "rules" / "c.yaml").write_text("2\n", encoding="utf-8")
    dry = run("init", mine, "--dry-run")
    answer = run("init", mine)
    assert answer.code == dry.code == 1
    assert answer.out == dry.out
    assert answer.out.splitlines() == [
        f"{mine / 'rules'}  1 file added",
        f"{mine / 'rules' / 'a.yaml'}  yours, kept; the bundle has a newer one; still to merge: {NEW}",
        f"{mine / 'rules' / 'b.yaml'}  yours, kept",
        f"{mine / 'stakewatch.example.yaml'}  renewed",
        "1 file to merge: take over what you want of its .new, then remove that.",
    ]
    waiting = run("init", mine)
    assert waiting.code == 1
    assert f"{mine / 'rules' / 'a.yaml'}  yours, kept; still to merge: {NEW}" in waiting.out
    (mine / "rules" / "a.yaml.new").unlink()
    assert run("init", mine).code == 0


def test_programs_get_every_file_as_json(run: Run, carried: Path, tmp_path: Path) -> None:
    assert carried.is_dir()
    answer = run("init", tmp_path / "mine", "--json")
    assert json.loads(answer.out)[0] == {"path": "rules/a.yaml", "fate": "added", "beside": None}


def test_a_folder_of_somebody_else_is_left_alone_unless_they_say_so(
    run: Run, carried: Path, tmp_path: Path
) -> None:
    assert carried.is_dir()
    (tmp_path / "mine" / "rules").mkdir(parents=True)
    answer = run("init", tmp_path / "mine")
    assert answer.code == 2
    assert "--merge" in answer.err
    assert run("init", tmp_path / "mine", "--merge").code == 0


def test_who_asks_sees_how_their_files_differ(run: Run, carried: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    run("init", mine)
    (mine / "rules" / "a.yaml").write_text("1\nmine\x1b[2J\n", encoding="utf-8")
    (mine / "rules" / "b.yaml").write_bytes(b"\xff\n")
    (carried / "rules" / "b.yaml").write_text("2\n", encoding="utf-8")
    (mine / "stakewatch.example.yaml").unlink()
    answer = run("init", mine, "--diff", "--dry-run")
    shown = [line.strip() for line in answer.out.splitlines() if line.startswith("    ")]
    # What could steer a terminal is not printed.
    assert shown == ["@@ -1 +1,2 @@", "1", "+mine?[2J", "@@ -1 +1 @@", "-2", "+\ufffd"]
