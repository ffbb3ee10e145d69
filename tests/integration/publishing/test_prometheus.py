"""Publishing to a real Prometheus: what it has loaded afterwards, and what it is never left with."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import StakewatchError
from stakewatch.programs import servers
from stakewatch.programs.process import free_port
from stakewatch.publishing import prometheus_server
from stakewatch.publishing.target import Target
from stakewatch.rules.targets import build_prometheus
from tests.unit.publishing.publishing_to import make, plan, prune, publish

ROOT = Path(__file__).parents[3]
LIFECYCLE = ("--web.enable-lifecycle",)
MAIN = """
global: {scrape_interval: 15s, evaluation_interval: 1s}
rule_files: [rules/*.yaml]
scrape_configs:
  - job_name: staking
    file_sd_configs: [{files: [targets/staking/*.yaml], refresh_interval: 1s}]
"""
TARGETS = '[{targets: ["127.0.0.1:1"], labels: {role: beacon, instance: beacon-1}}]\n'


def rules(group: str, *alerts: str, expression: str = "vector(0) > 1") -> str:
    lines = "".join(f"      - {{alert: {alert}, expr: '{expression}'}}\n" for alert in alerts)
    return f"groups:\n  - name: {group}\n    rules:\n{lines}"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle in which `stakewatch build prometheus` has written two rule files."""
    built = tmp_path / "build" / "prometheus"
    for name, text in {
        "prometheus.yaml": MAIN,
        "rules/beacon.yaml": rules("beacon", "BeaconNodeDown", "BeaconNodeSyncing"),
        "rules/validator.yaml": rules("validator", "ValidatorSlashed"),
        "targets/staking/beacon.yaml": TARGETS,
    }.items():
        path = built / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the user's Prometheus, which is not there yet."""
    return tmp_path / "their-prometheus"


def write(bundle: Path, name: str, text: str) -> None:
    (bundle / "build" / "prometheus" / name).write_text(text, encoding="utf-8")


def target(bundle: Path, folder: Path, **options: object) -> Target:
    return make(bundle, "prometheus", config_path=str(folder), **options)


@contextmanager
def running(
    folder: Path, *, flags: tuple[str, ...] = LIFECYCLE, configuration: Path | None = None
) -> Iterator[servers.Prometheus]:
    """Run the user's Prometheus on the published configuration, or on one of their own."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    chosen = configuration or folder / "prometheus.yaml"
    with servers.prometheus(chosen, home, flags=flags) as server:
        yield server


def loaded(server: servers.Prometheus) -> list[str]:
    return sorted(rule.name for rule in server.rules())


def test_files_are_there_before_prometheus_and_loaded_when_it_runs(bundle: Path, folder: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    first = publish(target(bundle, folder, url=url))
    assert set(first.done) == {
        "configuration prometheus.yaml",
        "configuration scrape.yaml",
        "rule file rules/beacon.yaml",
        "rule file rules/validator.yaml",
        "target file targets/staking/beacon.yaml",
    }
    (error,) = first.errors
    assert "no connection" in error
    with running(folder) as server:
        assert publish(target(bundle, folder, url=server.url)).errors == []
        assert plan(target(bundle, folder, url=server.url)).drift is False
        assert loaded(server) == ["BeaconNodeDown", "BeaconNodeSyncing", "ValidatorSlashed"]
        # One that is changed in its expression only is loaded too.
        write(
            bundle, "rules/validator.yaml", rules("validator", "ValidatorSlashed", expression="vector(2) > 1")
        )
        changed = publish(target(bundle, folder, url=server.url))
        assert changed.changed == ["rule file rules/validator.yaml", "loaded Prometheus"]
        assert changed.errors == []
        assert {rule.expression for rule in server.rules() if rule.group == "validator"} == {"vector(2) > 1"}
        assert plan(target(bundle, folder, url=server.url)).drift is False


def test_what_was_written_but_never_loaded_is_loaded_by_the_next_run(bundle: Path, folder: Path) -> None:
    publish(target(bundle, folder))
    with running(folder) as server:
        publish(target(bundle, folder, url=server.url))
        write(bundle, "rules/validator.yaml", rules("validator", "ValidatorSlashed", "Another"))
        # As a run that was killed before it came to the loading: within the same second or later.
        for seconds in (0.0, 1.1):
            time.sleep(seconds)
            publish(target(bundle, folder))
            again = publish(target(bundle, folder, url=server.url))
            assert (again.changed, again.errors) == (["loaded Prometheus"], [])
            assert plan(target(bundle, folder, url=server.url)).drift is False
            text = rules("validator", "ValidatorSlashed", "Another", expression="vector(3) > 4")
            write(bundle, "rules/validator.yaml", text)
        assert "Another" in loaded(server)


def test_a_broken_rule_is_found_by_promtool_before_anything_is_written(bundle: Path, folder: Path) -> None:
    write(bundle, "rules/validator.yaml", rules("validator", "Broken", expression="rate(up"))
    result = publish(target(bundle, folder))
    (flaw,) = result.plan.flaws
    assert flaw.subject.startswith("rules/validator.yaml")
    assert "Broken" in flaw.what or "parse" in flaw.what
    assert not folder.exists()


def test_what_prometheus_refuses_is_taken_back(bundle: Path, folder: Path) -> None:
    publish(target(bundle, folder))
    theirs = folder.parent / "theirs.yaml"
    theirs.write_text(
        f"rule_files: ['{folder}/rules/*.yaml', '{folder.parent}/more.yaml']\n", encoding="utf-8"
    )
    with running(folder, configuration=theirs) as server:
        publish(target(bundle, folder, url=server.url))
        before = {path: path.read_bytes() for path in folder.rglob("*.yaml")}
        (folder.parent / "more.yaml").write_text("groups: 7\n", encoding="utf-8")
        write(bundle, "rules/validator.yaml", rules("validator", "New"))
        write(bundle, "rules/added.yaml", rules("added", "Added"))
        *put_back, error = publish(target(bundle, folder, url=server.url)).errors
        assert [error.split()[2] for error in put_back] == ["rules/added.yaml", "rules/validator.yaml"]
        assert "failed to reload config" in error
        assert "the files are again as they were" in error
        assert {path: path.read_bytes() for path in folder.rglob("*.yaml")} == before
        assert loaded(server) == ["BeaconNodeDown", "BeaconNodeSyncing", "ValidatorSlashed"]
        (folder.parent / "more.yaml").unlink()
        assert publish(target(bundle, folder, url=server.url)).errors == []
        assert "Added" in loaded(server)


def test_a_prometheus_of_their_own_configuration_takes_rules_and_scraping(bundle: Path, folder: Path) -> None:
    publish(target(bundle, folder))
    theirs = folder.parent / "theirs.yaml"
    theirs.write_text(
        f"rule_files: ['{folder}/rules/*.yaml']\nscrape_config_files: ['{folder}/scrape.yaml']\n",
        encoding="utf-8",
    )
    with running(folder, configuration=theirs) as server:
        assert publish(target(bundle, folder, url=server.url)).errors == []
        deadline = time.monotonic() + 60
        while not server.targets():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert server.targets()[0].labels["instance"] == "beacon-1"


def test_a_prometheus_that_loads_other_files_is_told_what_to_write(bundle: Path, folder: Path) -> None:
    theirs = folder.parent / "theirs.yaml"
    theirs.write_text("global: {}\n", encoding="utf-8")
    with running(folder, configuration=theirs) as server:
        (error,) = publish(target(bundle, folder, url=server.url)).errors
        assert "not these 2 rule groups" in error
        assert f"rule_files: [{folder.resolve()}/rules/*.yaml]" in error
        assert plan(target(bundle, folder, url=server.url)).drift


def test_without_the_lifecycle_api_a_signal_does_it(
    bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus_server, "_REFUSED_AFTER_SECONDS", 1.0)
    publish(target(bundle, folder))
    pid_file = folder.parent / "prometheus.pid"
    with running(folder, flags=()) as server:
        pid_file.write_text(f"{server.process.pid}\n", encoding="ascii")
        write(bundle, "rules/validator.yaml", rules("validator", "New"))
        (flaw,) = publish(target(bundle, folder, url=server.url)).plan.flaws
        assert "--web.enable-lifecycle, or write pid_file in stakewatch.yaml:9" in flaw.mend
        assert "New" not in (folder / "rules" / "validator.yaml").read_text(encoding="utf-8")
        options = {"url": server.url, "pid_file": str(pid_file)}
        assert publish(target(bundle, folder, **options)).errors == []
        assert "New" in loaded(server)
        assert plan(target(bundle, folder, **options)).drift is False
        # What it refuses after a signal is seen too, and taken back.
        (folder / "rules" / "theirs.yaml").write_text("groups: 7\n", encoding="utf-8")
        write(bundle, "rules/validator.yaml", rules("validator", "Newer"))
        put_back, error = publish(target(bundle, folder, **options)).errors
        assert put_back == "rule file rules/validator.yaml is again as it was"
        assert "it refuses what is new" in error
        assert "New," in (folder / "rules" / "validator.yaml").read_text(encoding="utf-8")
        (folder / "rules" / "theirs.yaml").unlink()
        # Without a url it is told, and nobody looks.
        alone = publish(target(bundle, folder, pid_file=str(pid_file)))
        assert alone.errors == []
        assert "nobody sees" in alone.done["loaded Prometheus"]
        assert plan(target(bundle, folder, pid_file=str(pid_file))).drift is False
        deadline = time.monotonic() + 60
        while "Newer" not in loaded(server):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_process_that_is_no_prometheus_gets_no_signal(bundle: Path, folder: Path) -> None:
    pid_file = folder.parent / "prometheus.pid"
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        try:
            # For a moment the new process still has the name of the one that made it.
            given_up_at = time.monotonic() + 60
            while Path(f"/proc/{other.pid}/comm").read_text(encoding="ascii") != "sleep\n":
                assert time.monotonic() < given_up_at
                time.sleep(0.01)
            for content, said in (
                (str(other.pid), "is sleep, not a Prometheus"),
                ("1", "holds no process id"),
                ("-1", "holds no process id"),
                ("prometheus", "holds no process id"),
                ("", "holds no process id"),
                ("4194303", "is not there"),
            ):
                pid_file.write_text(content, encoding="ascii")
                (flaw,) = plan(target(bundle, folder, pid_file=str(pid_file))).flaws
                assert said in flaw.what
                # The files may be there before Prometheus is.
                assert flaw.fatal is ("is not there" not in said)
                with pytest.raises(StakewatchError, match=said):
                    prometheus_server.reload_by_signal(pid_file)
            assert other.poll() is None
        finally:
            other.kill()
    pid_file.unlink()
    (error,) = publish(target(bundle, folder, pid_file=str(pid_file))).errors
    assert error == f"{pid_file}: is not there\n  is Prometheus running?"
    assert (folder / "rules" / "beacon.yaml").is_file()


def test_files_of_others_stay_and_ours_that_are_left_over_are_pruned(bundle: Path, folder: Path) -> None:
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "theirs.yaml").write_text(rules("theirs", "Theirs"), encoding="utf-8")
    (folder / "prometheus.yaml").write_text("# theirs\n" + MAIN, encoding="utf-8")
    with running(folder) as server:
        first = publish(target(bundle, folder, url=server.url))
        assert [str(change.item) for change in first.plan.refused] == ["configuration prometheus.yaml"]
        assert (folder / "prometheus.yaml").read_text(encoding="utf-8").startswith("# theirs")
        assert "not all files are as they should be" in first.errors[0]
        assert publish(target(bundle, folder, url=server.url), adopt=True).errors == []
        (bundle / "build" / "prometheus" / "rules" / "validator.yaml").unlink()
        publish(target(bundle, folder, url=server.url))
        assert loaded(server) == ["BeaconNodeDown", "BeaconNodeSyncing", "Theirs", "ValidatorSlashed"]
        removed = prune(target(bundle, folder, url=server.url))
        assert removed.done == {"rule file rules/validator.yaml": "deleted"}
        assert loaded(server) == ["BeaconNodeDown", "BeaconNodeSyncing", "Theirs"]
        assert plan(target(bundle, folder, url=server.url)).drift is False


def test_status_tells_what_fails_and_what_fires(bundle: Path, folder: Path) -> None:
    write(bundle, "rules/beacon.yaml", rules("beacon", "Fires", expression="vector(1)"))
    many = 'label_replace(vector(1), "a", "1", "", "") or label_replace(vector(1), "a", "2", "", "")'
    write(
        bundle, "rules/validator.yaml", rules("validator", "Fails", expression=f"vector(1) * on () ({many})")
    )
    publish(target(bundle, folder))
    with running(folder) as server:
        opened = target(bundle, folder, url=server.url)
        deadline = time.monotonic() + 60
        while True:
            with opened:
                facts = {(fact.subject, fact.state): fact for fact in opened.status(lambda _: None)}
            if ("alert Fires", "fires") in facts and ("rule Fails of validator", "fails") in facts:
                break
            assert time.monotonic() < deadline, facts
            time.sleep(0.2)
        assert "many-to-many" in facts["rule Fails of validator", "fails"].detail
        assert ("Prometheus", "3.15.0") in facts
        assert facts["configuration", "loaded"].healthy
        assert ("files", "5 there") in facts
        # Prometheus tells the time of its loading in whole seconds.
        time.sleep(1.1)
        (folder / "rules" / "beacon.yaml").unlink()
        with opened:
            facts = {(fact.subject, fact.state): fact for fact in opened.status(lambda _: None)}
        assert not facts["rules/beacon.yaml", "missing"].healthy
        assert not facts["configuration", "older than the files"].healthy


def test_the_whole_bundle_is_published_and_loaded(tmp_path: Path, folder: Path) -> None:
    built = tmp_path / "build" / "prometheus"
    built.mkdir(parents=True)
    build_prometheus(Bundle(ROOT), Configuration(), built)
    assert publish(target(tmp_path, folder)).errors == []
    with running(folder) as server:
        assert publish(target(tmp_path, folder, url=server.url)).errors == []
        assert plan(target(tmp_path, folder, url=server.url)).drift is False
        names = {rule.name for rule in server.rules()}
        assert {"BeaconNodeDown", "ValidatorSlashed", "Watchdog"} <= names
    assert not (folder / "alertmanager.yaml").exists()


def test_a_run_that_ends_at_any_write_is_completed_by_the_next(bundle: Path, folder: Path) -> None:
    publish(target(bundle, folder))
    with running(folder) as server:
        for position in range(1, 30):
            for name in ("beacon", "validator"):
                text = rules(name, f"At{position}", expression=f"vector({position}) > 99")
                write(bundle, f"rules/{name}.yaml", text)
            through = _ended_at(position, bundle, folder, server.url)
            assert publish(target(bundle, folder, url=server.url)).errors == []
            assert plan(target(bundle, folder, url=server.url)).drift is False
            assert loaded(server) == [f"At{position}"] * 2
            if through:
                break
        assert 4 < position < 29
    assert not list(folder.rglob(".*.partial"))


def _ended_at(position: int, bundle: Path, folder: Path, url: str) -> bool:
    """Publish in a child that is killed before or after a rename; return whether it came through."""
    child = os.fork()
    if not child:
        renames = 0
        rename = Path.replace

        def counted(self: Path, to: Path) -> Path:
            nonlocal renames
            renames += 1
            if renames == (position + 1) // 2 and position % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            moved = rename(self, to)
            if renames == (position + 1) // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return moved

        Path.replace = counted  # type: ignore[method-assign, assignment]
        try:
            publish(target(bundle, folder, url=url))
        except StakewatchError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
