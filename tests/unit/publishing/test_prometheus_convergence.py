"""Whatever happened before: one good run makes a Prometheus right, and the next changes nothing."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.errors import StakewatchError
from stakewatch.programs.process import free_port
from stakewatch.publishing.json_api import ApiError, JsonApi
from stakewatch.publishing.prometheus_files import Folder
from stakewatch.publishing.prometheus_server import latest_loading, loaded_groups
from stakewatch.rules import promtool
from stakewatch.rules.promtool import Outcome
from tests.unit.publishing.fake_prometheus import FakePrometheus, serving
from tests.unit.publishing.publishing_to import make, plan, prune, publish

SEQUENCES = 25
STEPS = 7
NAMES = ("beacon", "validator", "storage")


class Killed(BaseException):
    """Ends a run as SIGKILL would, but for the rest of the test."""


@pytest.fixture(autouse=True)
def checked_with(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let promtool find nothing, and note which one was asked."""
    programs: list[str] = []

    def check(path: Path, program: str) -> Outcome:
        programs.append(program)
        return Outcome(path, program, "0", (), "", 0.0)

    monkeypatch.setattr(promtool, "check_config", check)
    return programs


def write_rules(root: Path, name: str, number: int) -> None:
    path = root / "build" / "prometheus" / "rules" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    rule = {"alert": f"A{number}", "expr": f"vector({number})"}
    path.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": [rule]}]}), encoding="utf-8")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle with a rule file."""
    write_rules(tmp_path, "beacon", 0)
    main = tmp_path / "build" / "prometheus" / "prometheus.yaml"
    main.write_text("scrape_configs: [{job_name: a}]\n", encoding="utf-8")
    return tmp_path


class Scene:
    """A bundle, a folder and a Prometheus, to all of which anything may happen."""

    def __init__(self, root: Path, there: FakePrometheus, chance: random.Random) -> None:
        self.root = root
        self.there = there
        self.chance = chance

    def target(self) -> Any:  # noqa: ANN401 - a target
        return make(self.root, "prometheus", config_path=str(self.there.folder), url=self.there.url)

    def step(self) -> None:
        """Let one thing happen."""
        steps = (self.write_here, self.remove_here, self.edit_there, self.delete_there, self.run, self.fail)
        self.chance.choice(steps)()

    def write_here(self) -> None:
        write_rules(self.root, self.chance.choice(NAMES), self.chance.randrange(1000))

    def remove_here(self) -> None:
        path = self.root / "build" / "prometheus" / "rules" / f"{self.chance.choice(NAMES)}.yaml"
        path.unlink(missing_ok=True)

    def edit_there(self) -> None:
        for path in self.there.folder.rglob("*.yaml"):
            if self.chance.random() < 0.5:
                path.write_text(path.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")

    def delete_there(self) -> None:
        for path in [*self.there.folder.rglob("*.yaml"), self.there.folder / ".stakewatch.json"]:
            if self.chance.random() < 0.3:
                path.unlink(missing_ok=True)

    def run(self) -> None:
        assert publish(self.target(), adopt=True).errors == []

    def fail(self) -> None:
        """Let a run end somewhere, or Prometheus refuse what it is given."""
        self.there.refuses = self.chance.random() < 0.3
        self.there.down = self.chance.random() < 0.2
        with killed_at(self.chance.randrange(1, 20)):
            publish(self.target(), adopt=True)
        self.there.refuses = self.there.down = False


@contextmanager
def killed_at(position: int) -> Iterator[None]:
    """End the block at a rename, before or after it."""
    renames = 0
    rename = Path.replace

    def counted(self: Path, to: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames == position // 2 and position % 2:
            raise Killed
        moved = rename(self, to)
        if renames == position // 2:
            raise Killed
        return moved

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", counted)
        try:
            yield
        except Killed:
            return


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_the_second_run_changes_nothing_and_prometheus_has_loaded_what_it_should(
    bundle: Path, seed: int
) -> None:
    with serving(FakePrometheus(bundle / "there")) as there:
        scene = Scene(bundle, there, random.Random(seed))  # noqa: S311 - for the same sequence each time
        for _ in range(STEPS):
            scene.step()
        assert publish(scene.target(), adopt=True).errors == []
        assert [one.error for one in prune(scene.target()).outcomes if one.error] == []
        reloads = there.reloads
        again = publish(scene.target())
        assert (again.plan.drift, there.reloads - reloads) == (False, 0)
        built = {path.name: path.read_bytes() for path in (bundle / "build").rglob("rules/*.yaml")}
        held = {path.name: path.read_bytes() for path in there.folder.glob("rules/*.yaml")}
        # What is left of a lost note is nobody's: it stays, and so do its rules.
        assert {name: held[name] for name in built} == built
        loaded = {group["name"]: group["rules"][0]["name"] for group in there.groups}
        for name in built:
            wanted = yaml.safe_load(built[name])["groups"][0]
            assert loaded[wanted["name"]] == wanted["rules"][0]["alert"]
        assert there.wrong == []


@pytest.fixture
def changed_at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return when the files changed last, for a test to say; Prometheus loads in the second 1000."""
    moment = [1000.9]
    monkeypatch.setattr(Folder, "changed_at", lambda _self, _names: moment[0])
    return moment


@pytest.mark.usefixtures("changed_at")
def test_what_was_written_in_the_second_of_the_last_loading_is_loaded(bundle: Path) -> None:
    with serving(FakePrometheus(bundle / "there", clock=lambda: 1000.1)) as there:
        scene = Scene(bundle, there, random.Random(0))  # noqa: S311 - of no matter here
        scene.run()
        assert publish(scene.target()).plan.drift is False
        write_rules(bundle, "beacon", 7)
        # As far as a run comes that is killed before the loading.
        publish(make(bundle, "prometheus", config_path=str(there.folder)))
        assert publish(scene.target()).changed == ["loaded Prometheus"]
        assert there.groups[0]["rules"][0]["name"] == "A7"
        assert publish(scene.target()).plan.drift is False


def test_after_pruning_in_the_second_of_the_last_loading_nothing_is_left_to_do(
    bundle: Path, changed_at: list[float]
) -> None:
    with serving(FakePrometheus(bundle / "there", clock=lambda: 1000.1)) as there:
        scene = Scene(bundle, there, random.Random(0))  # noqa: S311 - of no matter here
        write_rules(bundle, "storage", 1)
        changed_at[0] = 900.0
        scene.run()
        (bundle / "build" / "prometheus" / "rules" / "storage.yaml").unlink()
        assert publish(scene.target()).changed == []
        changed_at[0] = 1000.9
        assert [one.done for one in prune(scene.target()).outcomes] == ["deleted"]
        assert [group["name"] for group in there.groups] == ["beacon"]
        assert publish(scene.target()).plan.drift is False


def test_files_are_checked_by_the_promtool_of_prometheus_major_version(
    bundle: Path, checked_with: list[str]
) -> None:
    with serving(FakePrometheus(bundle / "there", version="2.53.4")) as there:
        scene = Scene(bundle, there, random.Random(0))  # noqa: S311 - of no matter here
        scene.run()
        there.version = "3.0.1"
        write_rules(bundle, "beacon", 7)
        scene.run()
        there.down = True
        write_rules(bundle, "beacon", 8)
        assert "no connection" in publish(scene.target()).errors[0]
    assert checked_with == ["promtool2", "promtool", "promtool"]


@pytest.mark.parametrize(
    "answer", [[], "text", {"data": []}, {"data": {}}, {"data": {"groups": 1}}, {"data": None}]
)
def test_answers_of_another_program_are_not_believed(bundle: Path, answer: object) -> None:
    with serving(FakePrometheus(bundle / "there")) as there:
        there.instead = dict.fromkeys(("/api/v1/status/runtimeinfo", "/api/v1/rules"), answer)
        api = JsonApi(there.url, attempts=1)
        for ask in (latest_loading, loaded_groups):
            with pytest.raises(ApiError, match=r"not that of a Prometheus|no JSON"):
                ask(api)
        api.close()
        with pytest.raises(StakewatchError):
            publish(make(bundle, "prometheus", config_path=str(there.folder), url=there.url))
    assert not there.folder.exists()


def test_a_prometheus_that_does_not_answer_is_a_remark_of_the_plan(bundle: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    made = plan(make(bundle, "prometheus", config_path=str(bundle / "there"), url=url))
    (remark,) = made.flaws
    assert (remark.subject, remark.fatal) == ("Prometheus does not answer", False)
    assert not (bundle / "there").exists()


def test_the_status_tells_of_rule_files_that_no_configuration_names(bundle: Path) -> None:
    with serving(FakePrometheus(bundle / "there")) as there:
        options = {"config_path": str(there.folder), "url": there.url}
        publish(make(bundle, "prometheus", **options))
        with make(bundle, "prometheus", **options) as target:
            assert [fact for fact in target.status(lambda _: None) if not fact.healthy] == []
            # As where its own configuration has no `rule_files` of ours.
            there.groups = []
            (fact,) = [fact for fact in target.status(lambda _: None) if not fact.healthy]
    assert (fact.subject, fact.state) == ("rule files", "1 not loaded")
    assert f"rule_files: [{there.folder}/rules/*.yaml]" in fact.detail
