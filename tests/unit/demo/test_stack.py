"""How the demo's parts are started and joined, with parts that only note what they are given."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
import requests
import yaml

from stakewatch.bundle.folder import Bundle
from stakewatch.demo import stack as demo_stack
from stakewatch.demo.stack import SCALE, running
from stakewatch.errors import StakewatchError
from stakewatch.programs import servers
from stakewatch.programs.process import Process
from stakewatch.promql import parse_duration
from stakewatch.rules.files import load_rule_files

ROOT = Path(__file__).parents[3]
CONTROL = "http://127.0.0.1:1"
READY = json.dumps({"ready": True, "control": CONTROL}) + "\n"
CONFIGURATION = """
network: demonet
fleet:
  cluster: demo-1
  region: eu-west-1
  beacon_nodes:
    - {instance: beacon-1, implementation: lighthouse, url: "http://127.0.0.1:2"}
"""


@dataclass
class Clock:
    """Time that passes only where somebody sleeps."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 2_000.0, "the wait does not end"


@dataclass
class Part:
    """A process that is only a log and the arguments that it was started with."""

    arguments: Sequence[str | Path]
    log: Path
    name: str = "part"
    alive: bool = True
    stopped: bool = False

    def expect_running(self) -> None:
        if not self.alive:
            raise StakewatchError(f"{self.name} ended with exit code 1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True


@dataclass
class Server:
    """A Prometheus or Alertmanager that is only its address."""

    url: str
    process: Part


@dataclass
class World:
    """What the demo starts, and how each part behaves."""

    clock: Clock = field(default_factory=Clock)
    simulator_says: str = READY
    simulator_lives: bool = True
    exporter_answers: Callable[[], bool] = lambda: True
    parts: list[Part] = field(default_factory=list)

    def start(self, arguments: Sequence[str | Path], *, log: Path) -> Part:
        part = Part(arguments, log)
        if "stakewatch.simulator" in arguments:
            log.write_text(self.simulator_says, encoding="utf-8")
            (log.parent / "stakewatch.yaml").write_text(CONFIGURATION, encoding="utf-8")
            part.alive = self.simulator_lives
        self.parts.append(part)
        return part

    @contextmanager
    def server(self, _configuration: Path, folder: Path, *, flags: Sequence[str] = ()) -> Iterator[Server]:
        part = Part(flags, folder / "server.log")
        self.parts.append(part)
        with part:
            yield Server(f"http://127.0.0.1:{9000 + len(self.parts)}", part)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    def get(session: requests.Session, _url: str, timeout: float) -> requests.Response:
        assert not session.trust_env, "a proxy of the environment knows nothing of our loopback"
        assert timeout > 0
        answer = requests.Response()
        answer.status_code = 200 if world.exporter_answers() else 503
        return answer

    monkeypatch.setattr(demo_stack, "time", world.clock)
    monkeypatch.setattr(Process, "start", world.start)
    monkeypatch.setattr(servers, "prometheus", world.server)
    monkeypatch.setattr(servers, "alertmanager", world.server)
    monkeypatch.setattr(requests.Session, "get", get)
    return world


def test_prometheus_scrapes_the_fleet_and_the_exporter_by_the_label_contract(
    world: World, tmp_path: Path
) -> None:
    with running(Bundle(ROOT), tmp_path / "demo", lambda _: None) as stack:
        scraping = yaml.safe_load((tmp_path / "demo" / "prometheus.yaml").read_text(encoding="utf-8"))
    assert scraping["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == [
        stack.alertmanager.url.removeprefix("http://")
    ]
    fleet, exporter = scraping["scrape_configs"]
    assert fleet["file_sd_configs"] == [{"files": ["targets.json"]}]
    (target,) = exporter["static_configs"]
    assert exporter["honor_labels"] is True
    assert target["targets"] == [stack.exporter.removeprefix("http://")]
    assert target["labels"]["cluster"] == "demo-1"
    assert target["labels"]["network"] == "demonet"
    assert f"--listen={target['targets'][0]}" in {
        f"{name}={value}"
        for part in world.parts
        for name, value in zip(part.arguments, part.arguments[1:], strict=False)
    }


def test_every_rule_of_the_bundle_is_scaled_to_the_demo_s_epoch(world: World, tmp_path: Path) -> None:
    assert world.parts == []
    with running(Bundle(ROOT), tmp_path / "demo", lambda _: None):
        scaled = load_rule_files(tmp_path / "demo" / "rules")
    written = {rule.name: rule for file in load_rule_files(ROOT / "rules") for rule in file.alerts}
    found = {rule.name: rule for file in scaled for rule in file.alerts}
    assert found.keys() == written.keys()
    for name, rule in written.items():
        if rule.duration is not None:
            assert parse_duration(found[name].duration or "") == pytest.approx(
                parse_duration(rule.duration) * SCALE, abs=0.001
            )


def test_everything_is_notified_to_the_demo_s_own_webhook(world: World, tmp_path: Path) -> None:
    assert world.parts == []
    with running(Bundle(ROOT), tmp_path / "demo", lambda _: None) as stack:
        routes = yaml.safe_load((tmp_path / "demo" / "alertmanager.yaml").read_text(encoding="utf-8"))
        address = stack.receiver.address
    assert {hook["url"] for one in routes["receivers"] for hook in one["webhook_configs"]} == {
        f"{address}/notify"
    }


def test_what_an_earlier_run_left_is_gone(world: World, tmp_path: Path) -> None:
    left = tmp_path / "demo" / "prometheus-data" / "wal"
    left.parent.mkdir(parents=True)
    left.write_text("of another chain", encoding="utf-8")
    with running(Bundle(ROOT), tmp_path / "demo", lambda _: None) as stack:
        assert not left.exists()
        assert [id(part) for part in stack.processes] == [id(world.parts[index]) for index in (0, 1, 3, 2)]


def test_all_parts_are_stopped_when_the_run_fails(world: World, tmp_path: Path) -> None:
    def fail() -> None:
        with running(Bundle(ROOT), tmp_path / "demo", lambda _: None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [part.stopped for part in world.parts] == [True] * 4


def test_a_dead_part_is_noticed(world: World, tmp_path: Path) -> None:
    with running(Bundle(ROOT), tmp_path / "demo", lambda _: None) as stack:
        stack.expect_running()
        world.parts[1].alive = False
        with pytest.raises(StakewatchError, match="ended with exit code 1"):
            stack.expect_running()


@pytest.mark.parametrize("said", ["", "starting\n", READY[:20], READY.rstrip("\n"), "{not ready\n"])
def test_a_simulator_that_never_says_it_is_ready_ends_the_start(
    world: World, tmp_path: Path, said: str
) -> None:
    world.simulator_says = said
    with (
        pytest.raises(StakewatchError, match="the simulator is not ready after 30 s"),
        running(Bundle(ROOT), tmp_path / "demo", lambda _: None),
    ):
        pytest.fail("it must not begin")
    assert [part.stopped for part in world.parts] == [True]


def test_a_simulator_that_dies_ends_the_start_at_once(world: World, tmp_path: Path) -> None:
    world.simulator_says, world.simulator_lives = "", False
    with (
        pytest.raises(StakewatchError, match="ended with exit code 1"),
        running(Bundle(ROOT), tmp_path / "demo", lambda _: None),
    ):
        pytest.fail("it must not begin")
    assert world.clock.now == 1_000.0


def test_an_exporter_that_is_not_ready_yet_is_waited_for(world: World, tmp_path: Path) -> None:
    world.exporter_answers = lambda: world.clock.now > 1_010.0
    with running(Bundle(ROOT), tmp_path / "demo", lambda _: None):
        assert 1_010.0 < world.clock.now < 1_011.0


def test_an_exporter_that_never_is_ready_ends_the_start(world: World, tmp_path: Path) -> None:
    world.exporter_answers = lambda: False
    with (
        pytest.raises(StakewatchError, match="not ready after 30 s: it says it is not ready"),
        running(Bundle(ROOT), tmp_path / "demo", lambda _: None),
    ):
        pytest.fail("it must not begin")
    assert [part.stopped for part in world.parts] == [True, True]


@pytest.mark.parametrize("status", [404, 400])
def test_a_fault_that_the_simulator_refuses_is_an_error(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    asked: list[tuple[str, object]] = []

    def post(session: requests.Session, url: str, json: object, timeout: float) -> requests.Response:
        assert not session.trust_env
        assert timeout > 0
        asked.append((url, json))
        answer = requests.Response()
        answer.status_code = status
        return answer

    assert world.parts == []
    monkeypatch.setattr(requests.Session, "post", post)
    with (
        running(Bundle(ROOT), tmp_path / "demo", lambda _: None) as stack,
        pytest.raises(StakewatchError, match="refused the fault down"),
    ):
        stack.inject("down", {"instance": "beacon-9"})
    assert asked == [(f"{CONTROL}/faults/down", {"instance": "beacon-9"})]
