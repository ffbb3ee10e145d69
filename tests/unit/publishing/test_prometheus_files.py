"""The folder of somebody's Prometheus: one step per file, theirs stays theirs, nothing else is touched."""

import json
import os
from pathlib import Path

import pytest

from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing.prometheus_files import (
    Folder,
    Ours,
    digest,
    file_items,
    read_ours,
    write_ours,
)
from tests.unit.publishing.publishing_to import make, plan, publish


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder that is not there yet."""
    return Folder(tmp_path / "prometheus")


def test_a_file_is_readable_by_prometheus_whatever_our_umask_says(folder: Folder) -> None:
    before = os.umask(0o077)
    try:
        folder.write("rules/a.yaml", "text\n")
    finally:
        os.umask(before)
    path = folder.path / "rules" / "a.yaml"
    assert path.stat().st_mode & 0o777 == 0o644
    assert (folder.path / "rules").stat().st_mode & 0o777 == 0o755
    assert folder.path.stat().st_mode & 0o777 == 0o755
    assert folder.read("rules/a.yaml") == "text\n"
    assert folder.read("rules/b.yaml") is None


def test_a_file_that_cannot_be_written_is_left_as_it_was(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("a.yaml", "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StakewatchError, match=r"a\.yaml: cannot be written: No space left on device"):
        folder.write("a.yaml", "new")
    assert folder.read("a.yaml") == "old"
    assert [path.name for path in folder.path.iterdir()] == ["a.yaml"]


def test_a_parent_that_is_not_there_is_taken_for_a_typing_mistake(tmp_path: Path) -> None:
    with pytest.raises(StakewatchError, match="check config_path"):
        Folder(tmp_path / "nowhere" / "prometheus").write("a.yaml", "x")
    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_ordinary_file_is_told_and_does_not_hold_us_up(folder: Folder) -> None:
    folder.path.mkdir()
    (folder.path / "folder.yaml").mkdir()
    os.mkfifo(folder.path / "pipe.yaml")
    for name in ("folder.yaml", "pipe.yaml"):
        with pytest.raises(StakewatchError, match=r"no ordinary file|Is a directory"):
            folder.read(name)


def test_bytes_that_are_no_text_are_kept_and_differ_from_ours(folder: Folder) -> None:
    folder.path.mkdir()
    (folder.path / "a.yaml").write_bytes(b"\xff\xfe# theirs")
    text = folder.read("a.yaml")
    assert text is not None
    folder.write("b.yaml", text)
    assert (folder.path / "b.yaml").read_bytes() == b"\xff\xfe# theirs"
    assert digest({"a": text}) != digest({"a": "# theirs"})


def test_a_folder_that_held_only_ours_goes_with_the_last_of_them(folder: Folder) -> None:
    folder.write("rules/a.yaml", "x")
    folder.write("rules/b.yaml", "x")
    assert folder.delete("rules/a.yaml")
    assert (folder.path / "rules").is_dir()
    assert folder.delete("rules/b.yaml")
    assert not (folder.path / "rules").exists()
    assert not folder.delete("rules/b.yaml")
    assert folder.path.is_dir()


def test_the_note_says_what_it_was_told(folder: Folder) -> None:
    assert read_ours(folder) == Ours()
    ours = Ours(frozenset({"rules/a.yaml", "prometheus.yaml"}), "sha256:1")
    write_ours(folder, ours)
    assert read_ours(folder) == ours


@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"files": 1, "told": ""}',
        '{"files": [1], "told": ""}',
        '{"files": ["../../etc/passwd"], "told": ""}',
        '{"files": ["/etc/passwd"], "told": ""}',
        '{"files": [""], "told": ""}',
        '{"files": ["a\\u0000b"], "told": ""}',
        '{"files": [], "told": 1}',
    ],
)
def test_a_note_that_is_not_ours_is_not_believed(folder: Folder, note: str) -> None:
    folder.write(".stakewatch.json", note)
    with pytest.raises(StakewatchError, match="is not as we wrote it"):
        read_ours(folder)


def test_fingerprints_tell_files_apart_and_missing_from_empty() -> None:
    texts: list[dict[str, str | None]] = [
        {},
        {"a": ""},
        {"a": None},
        {"a": "x"},
        {"b": "x"},
        {"a": "x", "b": ""},
    ]
    assert len({digest(one) for one in texts}) == len(texts)
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})


def test_the_time_of_the_last_change_sees_files_that_come_and_go(folder: Folder) -> None:
    folder.write("rules/a.yaml", "x")
    folder.write("prometheus.yaml", "x")
    for path in (folder.path / "rules" / "a.yaml", folder.path / "rules", folder.path / "prometheus.yaml"):
        os.utime(path, (1000, 1000))
    names = ["rules/a.yaml", "prometheus.yaml"]
    assert folder.changed_at(names) == 1000
    write_ours(folder, Ours())
    assert folder.changed_at(names) == 1000
    folder.write("rules/b.yaml", "x")
    assert folder.changed_at(names) > 1000
    assert folder.changed_at([]) == 0


def built(root: Path) -> Path:
    path = root / "build" / "prometheus"
    (path / "rules").mkdir(parents=True)
    (path / "prometheus.yaml").write_text("scrape_configs: [{job_name: a}]\n", encoding="utf-8")
    (path / "rules" / "a.yaml").write_text("groups: []\n", encoding="utf-8")
    (path / "alertmanager.yaml").write_text("route: {}\n", encoding="utf-8")
    return path


def test_alertmanagers_files_are_not_prometheus(tmp_path: Path) -> None:
    items = {item.name: item for item in file_items(built(tmp_path))}
    assert set(items) == {"prometheus.yaml", "scrape.yaml", "rules/a.yaml"}
    assert items["scrape.yaml"].text.endswith("scrape_configs:\n- job_name: a\n")


def test_what_is_not_built_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stakewatch build prometheus"):
        file_items(tmp_path)


def test_a_typing_mistake_in_the_folders_above_is_told_once_and_before_anything_is_written(
    tmp_path: Path,
) -> None:
    built(tmp_path)
    with pytest.raises(InputError, match=r"nowhere, which is no folder") as error:
        plan(make(tmp_path, "prometheus", config_path=str(tmp_path / "nowhere" / "there")))
    assert error.value.where == "stakewatch.yaml:9"


def test_a_file_that_somebody_changes_after_the_plan_is_not_overwritten(tmp_path: Path) -> None:
    built(tmp_path)
    there = tmp_path / "there"
    publish(make(tmp_path, "prometheus", config_path=str(there)))
    (tmp_path / "build" / "prometheus" / "rules" / "a.yaml").write_text(
        "groups: [] # new\n", encoding="utf-8"
    )
    opened = make(tmp_path, "prometheus", config_path=str(there))
    with opened:
        desired = {item.name: item for item in opened.desired()}
        live = {one.item.name: one for one in opened.live(list(desired.values()), lambda _: None)}
        (there / "rules" / "a.yaml").write_text("# theirs\n", encoding="utf-8")
        with pytest.raises(StakewatchError, match="somebody changed it after the plan"):
            opened.put(desired["rules/a.yaml"], live["rules/a.yaml"], lambda _: None)
        with pytest.raises(StakewatchError, match="somebody changed it after the plan"):
            opened.put(desired["rules/a.yaml"], None, lambda _: None)
    assert (there / "rules" / "a.yaml").read_text(encoding="utf-8") == "# theirs\n"


def test_a_lost_note_means_that_what_differs_is_left_alone(tmp_path: Path) -> None:
    built(tmp_path)
    there = tmp_path / "there"
    options = {"config_path": str(there)}
    publish(make(tmp_path, "prometheus", **options))
    (there / ".stakewatch.json").unlink()
    assert plan(make(tmp_path, "prometheus", **options)).drift is False
    (tmp_path / "build" / "prometheus" / "rules" / "a.yaml").write_text(
        "groups: [] # new\n", encoding="utf-8"
    )
    assert [str(one.item) for one in plan(make(tmp_path, "prometheus", **options)).refused] == [
        "rule file rules/a.yaml"
    ]
    assert publish(make(tmp_path, "prometheus", **options), adopt=True).errors == []
    noted = json.loads((there / ".stakewatch.json").read_text(encoding="utf-8"))["files"]
    assert noted == ["prometheus.yaml", "rules/a.yaml", "scrape.yaml"]
    assert plan(make(tmp_path, "prometheus", **options)).drift is False
