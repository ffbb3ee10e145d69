"""A newer bundle in a folder that its owner has changed."""

import contextlib
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from stakewatch.bundle import merging
from stakewatch.bundle.merging import ORIGIN_FILE, Fate, Origin, Step, merge, read_origin
from stakewatch.errors import InputError, StakewatchError

Texts = Mapping[str, str]


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def _no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mine"


def bring(folder: Path, texts: Texts, version: str = "1") -> dict[str, Step]:
    """Merge a bundle of these texts into the folder; return the steps by path."""
    source = folder.parent / f"bundle-{version}-{len(list(folder.parent.iterdir()))}"
    files = {}
    for path, text in texts.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text, encoding="utf-8")
        files[path] = source / path
    steps = merge(folder, files, read_origin(folder) or Origin(), version)
    return {step.path: step for step in steps}


def texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ORIGIN_FILE
    }


def test_what_nobody_changed_is_renewed(folder: Path) -> None:
    bring(folder, {"rules/a.yaml": "1", "gone.md": "1"})
    steps = bring(folder, {"rules/a.yaml": "2", "rules/b.yaml": "2"}, "2")
    assert texts(folder) == {"rules/a.yaml": "2", "rules/b.yaml": "2"}
    assert {path: step.fate for path, step in steps.items()} == {
        "rules/a.yaml": Fate.RENEWED,
        "rules/b.yaml": Fate.ADDED,
        "gone.md": Fate.REMOVED,
    }


def test_what_its_owner_changed_stays_and_is_named(folder: Path) -> None:
    bring(folder, {"a": "1", "b": "1", "c": "1"})
    (folder / "a").write_text("mine", encoding="utf-8")
    (folder / "b").unlink()
    (folder / "c").write_text("mine too", encoding="utf-8")
    steps = bring(folder, {"a": "1", "b": "2"}, "2")
    assert texts(folder) == {"a": "mine", "c": "mine too"}
    assert steps == {
        "a": Step("a", Fate.KEPT),
        "b": Step("b", Fate.ABSENT),
        "c": Step("c", Fate.ORPHANED),
    }


def test_what_both_changed_lies_beside_until_its_owner_has_merged_it(folder: Path) -> None:
    bring(folder, {"a": "1"})
    (folder / "a").write_text("mine", encoding="utf-8")
    assert bring(folder, {"a": "2"}, "2") == {"a": Step("a", Fate.CONFLICT, "a.new")}
    assert texts(folder) == {"a": "mine", "a.new": "2"}
    # It waits, and is not offered a second time.
    assert bring(folder, {"a": "2"}, "2") == {"a": Step("a", Fate.KEPT, "a.new")}
    (folder / "a").write_text("mine and 2", encoding="utf-8")
    (folder / "a.new").unlink()
    assert bring(folder, {"a": "2"}, "2") == {"a": Step("a", Fate.KEPT)}
    assert texts(folder) == {"a": "mine and 2"}


def test_an_offer_that_nobody_touched_is_renewed_and_one_that_was_edited_stays(folder: Path) -> None:
    bring(folder, {"a": "1"})
    (folder / "a").write_text("mine", encoding="utf-8")
    bring(folder, {"a": "2"}, "2")
    assert bring(folder, {"a": "3"}, "3")["a"].beside == "a.new"
    assert texts(folder) == {"a": "mine", "a.new": "3"}
    (folder / "a.new").write_text("half merged", encoding="utf-8")
    assert bring(folder, {"a": "4"}, "4")["a"].beside == "a.new2"
    assert texts(folder) == {"a": "mine", "a.new": "half merged", "a.new2": "4"}


def test_who_takes_the_newer_one_over_is_renewed_from_then_on(folder: Path) -> None:
    bring(folder, {"a": "1"})
    (folder / "a").write_text("mine", encoding="utf-8")
    bring(folder, {"a": "2"}, "2")
    (folder / "a.new").replace(folder / "a")
    assert bring(folder, {"a": "2"}, "2") == {"a": Step("a", Fate.UNCHANGED)}
    assert bring(folder, {"a": "3"}, "3") == {"a": Step("a", Fate.RENEWED)}


def test_a_file_of_the_owners_own_that_the_bundle_brings_later_stays(folder: Path) -> None:
    bring(folder, {"a": "1"})
    (folder / "b").write_text("mine", encoding="utf-8")
    (folder / "same").write_text("2", encoding="utf-8")
    (folder / "other").write_text("never ours", encoding="utf-8")
    steps = bring(folder, {"a": "1", "b": "2", "same": "2"}, "2")
    assert (steps["b"].fate, steps["same"].fate) == (Fate.CONFLICT, Fate.UNCHANGED)
    assert texts(folder) == {"a": "1", "b": "mine", "b.new": "2", "same": "2", "other": "never ours"}


def test_a_link_is_its_owners_choice_and_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    bring(folder, {"a": "1"})
    (tmp_path / "elsewhere").write_text("1", encoding="utf-8")
    (folder / "a").unlink()
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    assert bring(folder, {"a": "2"}, "2")["a"] == Step("a", Fate.CONFLICT, "a.new")
    assert (tmp_path / "elsewhere").read_text(encoding="utf-8") == "1"
    assert (folder / "a").is_symlink()


def test_a_folder_where_a_file_should_be_stays(folder: Path) -> None:
    bring(folder, {"a": "1"})
    (folder / "a").unlink()
    (folder / "a" / "b").mkdir(parents=True)
    assert bring(folder, {"a": "2"}, "2")["a"].fate is Fate.CONFLICT
    assert (folder / "a" / "b").is_dir()


def test_a_file_where_a_folder_should_be_is_an_error_that_loses_nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / "rules").write_text("mine", encoding="utf-8")
    with pytest.raises(StakewatchError, match="cannot be read or written"):
        bring(folder, {"rules/a": "1"})
    assert (folder / "rules").read_text(encoding="utf-8") == "mine"


def test_permissions_of_a_renewed_file_stay(folder: Path) -> None:
    bring(folder, {"a": "1"})
    (folder / "a").chmod(0o600)
    bring(folder, {"a": "2"}, "2")
    assert (folder / "a").stat().st_mode & 0o777 == 0o600


def test_a_file_that_changes_at_the_same_moment_is_not_overwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(folder, {"a": "1"})
    plan = merging.plan

    def slowly(*versions: Mapping[str, str]) -> list[tuple[str, Fate]]:
        steps = list(plan(*versions))
        (folder / "a").write_text("just now", encoding="utf-8")
        return steps

    with monkeypatch.context() as patch:
        patch.setattr(merging, "plan", slowly)
        with pytest.raises(StakewatchError, match="by somebody else"):
            bring(folder, {"a": "2"}, "2")
    assert texts(folder) == {"a": "just now"}
    assert bring(folder, {"a": "2"}, "2")["a"].fate is Fate.CONFLICT


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "null",
        '{"version": "1", "files": {}, "offered": {}}',
        '{"version": "1", "files": {"a": 1}, "offered": {}, "arriving": {}}',
        '{"version": "1", "files": [], "offered": {}, "arriving": {}}',
        '{"version": "1", "files": {"../a": "x"}, "offered": {}, "arriving": {}}',
        '{"version": "1", "files": {}, "offered": {}, "arriving": {"/etc/a": "x"}}',
        '{"version": "1", "files": {"": "x"}, "offered": {}, "arriving": {}}',
        '{"version": "1", "files": {"a\\u0000": "x"}, "offered": {}, "arriving": {}}',
        "[" * 100_000,
    ],
)
def test_a_memory_that_is_not_ours_is_refused_before_anything_is_done(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / ORIGIN_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="is not as stakewatch wrote it"):
        bring(folder, {"a": "1"})
    assert texts(folder) == {}


def test_a_memory_that_nobody_may_read_is_named(folder: Path) -> None:
    (folder / ORIGIN_FILE).mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be read"):
        read_origin(folder)


def test_the_memory_says_which_version_was_brought(folder: Path) -> None:
    bring(folder, {"a": "1"}, "0.9")
    origin = read_origin(folder)
    assert origin is not None
    assert origin.version == "0.9"
    assert set(json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))["files"]) == {"a"}


def killed_at(position: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end at this write: before the file is in its place."""
    calls = 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == position:
            raise KilledError
        assert descriptor > 0

    monkeypatch.setattr(os, "fsync", fsync)


PATHS = ("rules/a.yaml", "rules/b.yaml", "docs/c.md", "d")


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost_and_all_interruptions_come_to_the_same(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed, no secret
    calm, troubled = tmp_path / "calm" / "mine", tmp_path / "troubled" / "mine"
    for folder in (calm, troubled):
        folder.parent.mkdir()
    everything = set[str]()
    for version in ("1", "2", "3"):
        bundle = {path: f"{path} {chance.choice('xyz')}" for path in PATHS if chance.random() < 0.8}
        everything |= set(bundle.values())
        written = {
            path: None if chance.random() < 0.3 else f"{chance.choice(list(PATHS))} {chance.choice('xmn')}"
            for path in PATHS
            if version != "1" and chance.random() < 0.4
        }
        for folder in (calm, troubled):
            edit(folder, written)
        before = texts(troubled) if troubled.exists() else {}
        expected = bring(calm, bundle, version)
        for _ in range(chance.randrange(3)):
            with monkeypatch.context() as patch:
                killed_at(chance.randrange(1, 9), patch)
                with contextlib.suppress(KilledError):
                    bring(troubled, bundle, version)
        again = bring(troubled, bundle, version)
        assert texts(troubled) == texts(calm)
        assert set(again) <= set(expected) | set(bundle)
        assert {step.fate for step in bring(troubled, bundle, version).values()} <= {
            Fate.UNCHANGED,
            Fate.KEPT,
            Fate.ABSENT,
        }
        for path, text in written.items():
            # What a person wrote may be what the bundle has: then it is nobody's change.
            if text is not None and path in before and text not in everything:
                assert texts(troubled)[path] == text, f"a person's {path} is gone"


def edit(folder: Path, written: Mapping[str, str | None]) -> None:
    """Change the folder as its owner: None removes a file."""
    for path, text in written.items():
        if text is None:
            (folder / path).unlink(missing_ok=True)
        elif (folder / path).parent.is_dir():
            (folder / path).write_text(text, encoding="utf-8")


def test_a_run_that_was_killed_leaves_no_traces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(folder, {"a": "1", "b": "1"})
    with monkeypatch.context() as patch:
        killed_at(2, patch)
        with pytest.raises(KilledError):
            bring(folder, {"a": "2", "b": "2"}, "2")
    assert (folder / ".a.stakewatch-partial").exists()
    bring(folder, {"a": "2", "b": "2"}, "2")
    assert sorted(path.name for path in folder.iterdir()) == [ORIGIN_FILE, "a", "b"]


def test_a_run_that_was_killed_is_finished_by_a_newer_bundle(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(folder, {"a": "1", "b": "1"})
    with monkeypatch.context() as patch:
        killed_at(3, patch)
        with pytest.raises(KilledError):
            bring(folder, {"a": "2", "b": "2"}, "2")
    assert texts(folder)["a"] == "2"
    # What the killed run brought is nobody's change.
    assert {step.fate for step in bring(folder, {"a": "3", "b": "3"}, "3").values()} == {Fate.RENEWED}
