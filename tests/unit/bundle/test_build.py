"""Building targets: complete or not at all."""

import threading
from pathlib import Path

import pytest

from stakewatch.bundle import build as building
from stakewatch.bundle import targets
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError, StakewatchError


@pytest.fixture(autouse=True)
def _empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_REGISTRY", {})
    monkeypatch.setattr(building, "import_from_rooms", lambda _: ())


def register(name: str, content: dict[str, str], failure: Exception | None = None) -> None:
    @targets.target(name, "a target of the test")
    def _render(_bundle: Bundle, _configuration: Configuration, folder: Path) -> None:
        assert list(folder.iterdir()) == []
        for file, text in content.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        if failure is not None:
            raise failure


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def run(root: Path, *targets_named: str) -> tuple[building.Built, ...]:
    return building.build(Bundle(root), Configuration(), targets_named)


def test_a_target_is_written_below_its_name(tmp_path: Path) -> None:
    register("rules", {"a.yaml": "1", "below/b.yaml": "2"})
    (built,) = run(tmp_path)
    assert (built.files, built.changed) == (2, True)
    assert (tmp_path / "build" / "rules" / "below" / "b.yaml").read_text() == "2"


def test_a_second_build_of_the_same_content_leaves_the_folder_alone(tmp_path: Path) -> None:
    register("rules", {"a.yaml": "1"})
    run(tmp_path)
    before = (tmp_path / "build" / "rules").stat()
    (built,) = run(tmp_path)
    after = (tmp_path / "build" / "rules").stat()
    assert not built.changed
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_is_no_longer_rendered_disappears(tmp_path: Path) -> None:
    register("rules", {"a.yaml": "1"})
    stale = tmp_path / "build" / "rules" / "old" / "b.yaml"
    stale.parent.mkdir(parents=True)
    stale.write_text("stale")
    (built,) = run(tmp_path)
    assert built.changed
    assert not stale.parent.exists()


@pytest.mark.parametrize("supported", [True, False])
def test_only_the_finished_folder_ever_stands_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, supported: bool
) -> None:
    if not supported:
        monkeypatch.setattr(building, "_exchange", lambda *_: False)
    register("rules", {"a.yaml": "new"})
    old = tmp_path / "build" / "rules"
    old.mkdir(parents=True)
    (old / "a.yaml").write_text("old")
    run(tmp_path)
    assert (old / "a.yaml").read_text() == "new"
    assert names(tmp_path / "build") == [".lock", "rules"]


def test_a_target_that_fails_keeps_its_old_folder_and_leaves_nothing_behind(tmp_path: Path) -> None:
    register("rules", {"a.yaml": "new"}, failure=StakewatchError("broken"))
    old = tmp_path / "build" / "rules"
    old.mkdir(parents=True)
    (old / "a.yaml").write_text("old")
    with pytest.raises(StakewatchError, match="broken"):
        run(tmp_path)
    assert (old / "a.yaml").read_text() == "old"
    assert names(tmp_path / "build") == [".lock", "rules"]


def test_what_a_killed_build_left_does_not_get_into_the_next(tmp_path: Path) -> None:
    register("rules", {"a.yaml": "1"})
    left = tmp_path / "build" / ".rules.partial"
    left.mkdir(parents=True)
    (left / "half.yaml").write_text("ha")
    (built,) = run(tmp_path)
    assert built.files == 1


def test_a_link_in_place_of_the_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    register("rules", {"a.yaml": "1"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("mine")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "rules").symlink_to(elsewhere)
    run(tmp_path)
    assert (elsewhere / "precious").read_text() == "mine"
    assert not (tmp_path / "build" / "rules").is_symlink()


def test_a_build_waits_for_the_one_that_is_running(tmp_path: Path) -> None:
    register("rules", {"a.yaml": "1"})
    finished = threading.Event()

    def second() -> None:
        run(tmp_path)
        finished.set()

    with building._only_one(tmp_path / "build"):
        thread = threading.Thread(target=second)
        thread.start()
        assert not finished.wait(0.2)
    thread.join(timeout=10)
    assert finished.is_set()


def test_only_the_named_targets_are_built(tmp_path: Path) -> None:
    register("rules", {"a.yaml": "1"})
    register("grafana", {"a.json": "1"})
    heard: list[str] = []
    building.build(Bundle(tmp_path), Configuration(), ("rules", "rules"), heard.append)
    assert heard == ["rules"]
    assert not (tmp_path / "build" / "grafana").exists()


def test_an_unknown_target_is_an_input_error_with_the_nearest_name(tmp_path: Path) -> None:
    register("rules", {})
    with pytest.raises(InputError, match="did you mean rules"):
        run(tmp_path, "rule")
    assert not (tmp_path / "build").exists()


def test_a_build_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    register("rules", {})
    (tmp_path / "build").write_text("a file")
    with pytest.raises(StakewatchError, match="cannot write here"):
        run(tmp_path)


@pytest.mark.parametrize("name", ["reports", "../rules", "a/b", "", ".hidden"])
def test_a_target_cannot_take_a_name_that_is_no_folder_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        register(name, {})


def test_two_targets_of_one_name_are_refused() -> None:
    register("rules", {})
    with pytest.raises(ValueError, match="two build targets"):
        register("rules", {})
