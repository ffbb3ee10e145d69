"""A Prometheus as a target: what is found beforehand, what is put back, what its status says."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stakewatch.errors import InputError, StakewatchError
from stakewatch.programs.process import free_port
from stakewatch.publishing.json_api import ApiError, JsonApi
from stakewatch.publishing.objects import Fact
from stakewatch.publishing.presentation import outcome_line
from stakewatch.publishing.prometheus_files import Folder
from stakewatch.publishing.prometheus_server import latest_loading, loaded_groups
from stakewatch.publishing.target import UnusableTargetError
from tests.unit.publishing.prometheus_scene import Scene, prometheus_scene, unchecked, write_rules
from tests.unit.publishing.publishing_to import make, plan, prune, publish

NOTHING_YET = Fact("published", "nothing yet", "`stakewatch apply there` publishes it", healthy=False)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with prometheus_scene(tmp_path) as made:
        yield made


def status(scene: Scene) -> list[Fact]:
    with scene.target() as target:
        return list(target.status(lambda _: None))


def test_files_are_checked_by_the_promtool_of_prometheus_major_version(scene: Scene) -> None:
    with unchecked() as asked:
        for version in ("2.53.4", "3.0.1"):
            scene.there.version = version
            write_rules(scene.root, "beacon", len(asked) + 7)
            assert publish(scene.target()).errors == []
        scene.there.down = True
        write_rules(scene.root, "beacon", 9)
        assert "no connection" in publish(scene.target()).errors[0]
    assert asked == ["promtool2", "promtool", "promtool"]


@pytest.mark.parametrize(
    "answer", [[], "text", {"data": []}, {"data": {}}, {"data": {"groups": 1}}, {"data": None}]
)
def test_answers_of_another_program_are_not_believed(scene: Scene, answer: object) -> None:
    scene.there.instead = dict.fromkeys(("/api/v1/status/runtimeinfo", "/api/v1/rules"), answer)
    api = JsonApi(scene.there.url, attempts=1)
    for ask in (latest_loading, loaded_groups):
        with pytest.raises(ApiError, match=r"not that of a Prometheus|no JSON"):
            ask(api)
    api.close()
    with pytest.raises(StakewatchError):
        publish(scene.target())
    assert not scene.there.folder.exists()


def test_a_prometheus_that_does_not_answer_is_a_remark_of_the_plan(scene: Scene) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    made = plan(make(scene.root, "prometheus", config_path=str(scene.there.folder), url=url))
    (remark,) = made.flaws
    assert (remark.subject, remark.fatal) == ("Prometheus does not answer", False)
    assert not scene.there.folder.exists()


def test_a_prometheus_that_cannot_be_told_to_load_is_found_before_anything_is_written(scene: Scene) -> None:
    scene.there.lifecycle = False
    published = publish(scene.target())
    (flaw,) = published.plan.flaws
    assert flaw.fatal
    assert "without --web.enable-lifecycle" in flaw.what
    assert flaw.mend == "start it with --web.enable-lifecycle, or write pid_file in stakewatch.yaml:9"
    assert published.outcomes == ()
    assert not scene.there.folder.exists()
    scene.there.lifecycle = True
    assert publish(scene.target()).errors == []


def test_a_prometheus_that_cannot_be_told_to_forget_keeps_its_files(scene: Scene) -> None:
    write_rules(scene.root, "storage", 1)
    publish(scene.target())
    (scene.built / "storage.yaml").unlink()
    scene.there.lifecycle = False
    (outcome,) = prune(scene.target()).outcomes
    assert isinstance(outcome.error, UnusableTargetError)
    assert (scene.there.folder / "rules" / "storage.yaml").is_file()


@pytest.mark.parametrize("answer", [{"status": "success", "data": {}}, {"status": "success"}, [], None])
def test_a_prometheus_that_does_not_tell_how_it_was_started_is_told_to_load(
    scene: Scene, answer: object
) -> None:
    scene.there.instead = {"/api/v1/status/flags": answer}
    assert publish(scene.target()).errors == []
    assert scene.there.reloads == 1


def test_where_a_signal_tells_it_nobody_asks_for_the_lifecycle_api(scene: Scene) -> None:
    scene.there.lifecycle = False
    options = {"url": scene.there.url, "pid_file": str(scene.root / "pid")}
    made = plan(make(scene.root, "prometheus", config_path=str(scene.there.folder), **options))
    # It need not run yet.
    assert [(flaw.subject, flaw.fatal) for flaw in made.flaws] == [(options["pid_file"], False)]


def test_files_that_are_put_back_are_not_told_as_done(scene: Scene) -> None:
    publish(scene.target())
    before = (scene.there.folder / "rules" / "beacon.yaml").read_bytes()
    write_rules(scene.root, "beacon", 7)
    write_rules(scene.root, "storage", 8)
    scene.there.refuses = True
    published = publish(scene.target())
    assert published.done == {}
    lines = [str(outcome_line(one)) for one in published.outcomes]
    assert lines[:2] == [f"  put back: rule file rules/{name}.yaml" for name in ("beacon", "storage")]
    assert "it is broken; the files are again as they were" in lines[2]
    assert (scene.there.folder / "rules" / "beacon.yaml").read_bytes() == before
    assert not (scene.there.folder / "rules" / "storage.yaml").exists()


def test_files_that_cannot_be_put_back_are_named(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(scene.target())
    write_rules(scene.root, "beacon", 7)
    write_rules(scene.root, "storage", 8)
    load = scene.there.load

    def refusing_and_full() -> bool:
        scene.there.refuses = True
        monkeypatch.setattr(
            Path, "replace", refusing(scene, OSError(errno.ENOSPC, "No space left on device"))
        )
        return load()

    monkeypatch.setattr(scene.there, "load", refusing_and_full)
    published = publish(scene.target())
    assert published.done == {"rule file rules/beacon.yaml": "written"}
    put_back, error = published.errors
    assert put_back == "rule file rules/storage.yaml is again as it was"
    assert "it is broken; could not be put back: rules/beacon.yaml" in error


def test_a_prometheus_that_refused_loads_again_what_was_put_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(scene.target())
    write_rules(scene.root, "beacon", 7)
    load = scene.there.load

    def refusing_the_new() -> bool:
        scene.there.refuses = b"A7" in (scene.there.folder / "rules" / "beacon.yaml").read_bytes()
        return load()

    monkeypatch.setattr(scene.there, "load", refusing_the_new)
    assert len(publish(scene.target()).errors) == 2
    # Else its own alert about a refused configuration would fire.
    assert scene.there.succeeded
    assert all(fact.healthy for fact in status(scene))


def test_the_status_before_the_first_apply_says_what_to_do(scene: Scene) -> None:
    assert status(scene) == [NOTHING_YET, Fact("Prometheus", "3.15.0")]
    scene.there.down = True
    nothing, silent = status(scene)
    assert nothing == NOTHING_YET
    assert (silent.subject, silent.state, silent.healthy) == ("Prometheus", "does not answer", False)
    with make(scene.root, "prometheus", config_path=str(scene.there.folder)) as target:
        assert list(target.status(lambda _: None)) == [NOTHING_YET]


def test_the_status_tells_of_rule_files_that_no_configuration_names(scene: Scene) -> None:
    publish(scene.target())
    assert [fact for fact in status(scene) if not fact.healthy] == []
    # As where its own configuration has no `rule_files` of ours.
    scene.there.groups = []
    (fact,) = [fact for fact in status(scene) if not fact.healthy]
    assert (fact.subject, fact.state) == ("rule files", "1 not loaded")
    assert f"rule_files: [{scene.there.folder}/rules/*.yaml]" in fact.detail


def refusing(scene: Scene, error: OSError) -> Callable[[Path, Path], Path]:
    """Return a rename that fails in the folder of Prometheus."""
    rename = Path.replace

    def replace(self: Path, to: Path) -> Path:
        if self.is_relative_to(scene.there.folder):
            raise error
        return rename(self, to)

    return replace


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_said_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for name in ("storage", "validator"):
        write_rules(scene.root, name, 1)
    (scene.there.folder / "rules").mkdir(parents=True)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refusing(scene, OSError(number, os.strerror(number))))
        (error,) = publish(scene.target()).errors
    assert f"cannot be written: {os.strerror(number)}" in error
    assert "config_path" in error
    assert publish(scene.target()).errors == []


def test_a_folder_where_a_file_belongs_is_one_line(scene: Scene) -> None:
    (scene.there.folder / "rules" / "beacon.yaml").mkdir(parents=True)
    with pytest.raises(StakewatchError, match=r"beacon.yaml: cannot be read: Is a directory"):
        plan(scene.target())


def test_a_user_who_may_not_write_there_is_told_in_the_plan(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    (flaw,) = plan(scene.target()).flaws
    assert (flaw.subject, flaw.fatal) == (str(scene.root), False)


def test_a_place_that_nobody_lets_us_look_at_is_one_line(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_dir = Path.is_dir

    def hidden(self: Path) -> bool:
        if self == scene.root:
            raise PermissionError(errno.EACCES, "Permission denied")
        return is_dir(self)

    monkeypatch.setattr(Path, "is_dir", hidden)
    with pytest.raises(UnusableTargetError, match="cannot be looked at: Permission denied"):
        plan(scene.target())


@pytest.mark.parametrize("name", ["loop/folder", "file/folder", "missing/folder", "file", "loop"])
def test_a_place_where_no_folder_can_be_is_one_line(scene: Scene, name: str) -> None:
    (scene.root / "loop").symlink_to(scene.root / "loop")
    (scene.root / "file").write_text("", encoding="utf-8")
    with pytest.raises(StakewatchError, match=r"config_path|no folder"):
        publish(make(scene.root, "prometheus", config_path=str(scene.root / name)))


def test_two_runs_keep_out_of_each_other_s_way(scene: Scene) -> None:
    folder = Folder(scene.there.folder)
    with folder.held():
        (error,) = publish(scene.target()).errors
        assert "another run is publishing to this folder" in error
    assert publish(scene.target()).errors == []
    write_rules(scene.root, "beacon", 7)
    assert publish(scene.target()).errors == []


def test_where_no_locks_are_known_it_is_published_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unknown)
    assert publish(scene.target()).errors == []


def test_what_a_killed_run_or_somebody_left_in_the_way_is_replaced(scene: Scene) -> None:
    elsewhere = scene.root / "elsewhere"
    elsewhere.write_text("theirs", encoding="utf-8")
    rules = scene.there.folder / "rules"
    rules.mkdir(parents=True)
    (rules / ".beacon.yaml.partial").symlink_to(elsewhere)
    (rules / ".gone.yaml.partial").write_text("half", encoding="utf-8")
    assert publish(scene.target()).errors == []
    assert elsewhere.read_text(encoding="utf-8") == "theirs"
    assert not list(rules.glob(".*"))


def test_a_file_of_ours_that_somebody_deleted_is_forgotten_by_prune(scene: Scene) -> None:
    write_rules(scene.root, "storage", 1)
    publish(scene.target())
    (scene.built / "storage.yaml").unlink()
    (scene.there.folder / "rules" / "storage.yaml").unlink()
    assert [fact.subject for fact in status(scene) if fact.state == "missing"] == ["rules/storage.yaml"]
    assert [one.done for one in prune(scene.target()).outcomes] == ["was gone already"]
    assert [fact.subject for fact in status(scene) if not fact.healthy] == []


def test_a_note_that_is_not_as_we_wrote_it_is_one_line(scene: Scene) -> None:
    publish(scene.target())
    note = scene.there.folder / ".stakewatch.json"
    asks: tuple[Callable[[], Any], ...] = (lambda: plan(scene.target()), lambda: status(scene))
    for content in ("", "[]", '{"files": ["../../etc/passwd"], "told": ""}', '{"files": [""], "told": ""}'):
        note.write_text(content, encoding="utf-8")
        for ask in asks:
            with pytest.raises(StakewatchError, match="is not as we wrote it"):
                ask()


def test_a_config_path_whose_folder_is_missing_is_wrong_input(scene: Scene) -> None:
    with pytest.raises(InputError, match="only its last part is made"):
        plan(make(scene.root, "prometheus", config_path=str(scene.root / "missing" / "folder")))
