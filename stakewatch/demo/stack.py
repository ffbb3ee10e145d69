"""Everything that the demo runs: simulator, exporter, Prometheus, Alertmanager and the one who is paged."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import yaml

from stakewatch.bundle.configuration import Configuration, load_configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.demo.receiver import Receiver, receiving
from stakewatch.errors import StakewatchError
from stakewatch.programs import servers
from stakewatch.programs.process import Process, free_port
from stakewatch.rules.routing import routes_to_webhook
from stakewatch.rules.scaling import scale_rule_files
from stakewatch.rules.scraping import exporter_job, exporter_target

SECONDS_PER_SLOT = 1
SLOTS_PER_EPOCH = 8
MAINNET_EPOCH_SECONDS = 384
SCALE = SECONDS_PER_SLOT * SLOTS_PER_EPOCH / MAINNET_EPOCH_SECONDS
SHORTEST_DURATION_SECONDS = 3.0
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Stack:
    """The running parts; all addresses are on loopback."""

    configuration: Configuration
    simulator: str
    exporter: str
    prometheus: servers.Prometheus
    alertmanager: servers.Alertmanager
    receiver: Receiver
    processes: tuple[Process, ...]

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where a person can look."""
        return {
            "page": f"{self.receiver.address}/",
            "Prometheus": f"{self.prometheus.url}/alerts",
            "Alertmanager": self.alertmanager.url,
            "exporter": f"{self.exporter}/metrics",
        }

    def inject(self, fault: str, arguments: Mapping[str, object]) -> None:
        """Switch a fault on in the simulator.

        Raises StakewatchError when the simulator refuses it.
        """
        with _session() as http:
            answer = http.post(f"{self.simulator}/faults/{fault}", json=dict(arguments), timeout=5)
        if not answer.ok:
            raise StakewatchError(f"the simulator refused the fault {fault}: {answer.text}")

    def expect_running(self) -> None:
        """Raise StakewatchError with the end of its log when a part has died."""
        for process in self.processes:
            process.expect_running()


@contextmanager
def running(bundle: Bundle, folder: Path, report: Callable[[str], None]) -> Iterator[Stack]:
    """Start every part below `folder`, which is emptied first; stop them all when the block ends.

    Raises StakewatchError with the end of its log when a part does not start.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        report("a simulated chain: 1,000 keys of ours, four execution and four beacon nodes")
        simulator = stack.enter_context(_start_simulator(folder))
        control = _control_address(simulator)
        configuration = load_configuration(folder / "stakewatch.yaml")

        report("the exporter, watching all eight nodes")
        exporter_port = free_port()
        exporter = stack.enter_context(_start_exporter(folder, exporter_port))
        exporter_url = f"http://127.0.0.1:{exporter_port}"
        _wait_for(f"{exporter_url}/readyz", exporter)

        report(
            f"Alertmanager with our routes, Prometheus with our rules, durations scaled by 1/{1 / SCALE:.0f}"
        )
        receiver = stack.enter_context(receiving(folder / "index.html"))
        alertmanager_file = folder / "alertmanager.yaml"
        routes = routes_to_webhook(
            bundle.alertmanager / "alertmanager.yaml", url=f"{receiver.address}/notify", factor=SCALE
        )
        alertmanager_file.write_text(routes, encoding="utf-8")
        alertmanager = stack.enter_context(servers.alertmanager(alertmanager_file, folder))
        scale_rule_files(bundle.rules, folder / "rules", SCALE, SHORTEST_DURATION_SECONDS)
        prometheus_file = folder / "prometheus.yaml"
        prometheus_file.write_text(
            _prometheus_configuration(configuration, exporter_port, alertmanager.url), encoding="utf-8"
        )
        prometheus = stack.enter_context(
            # Stale series end with their target here, so the look-back only has to span a few scrapes.
            servers.prometheus(prometheus_file, folder, flags=("--query.lookback-delta=10s",))
        )
        yield Stack(
            configuration=configuration,
            simulator=control,
            exporter=exporter_url,
            prometheus=prometheus,
            alertmanager=alertmanager,
            receiver=receiver,
            processes=(simulator, exporter, prometheus.process, alertmanager.process),
        )


def _start_simulator(folder: Path) -> Process:
    return Process.start(
        [sys.executable, "-m", "stakewatch.simulator", "--plan", "demo", "--folder", folder],
        log=folder / "simulator.log",
    )


def _control_address(simulator: Process) -> str:
    """Wait for the line in which the simulator says that it is ready and where its control API is."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        simulator.expect_running()
        for line in simulator.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            if line.startswith("{") and '"ready"' in line and line.endswith("\n"):
                return str(json.loads(line)["control"])
        time.sleep(_POLL_SECONDS)
    raise StakewatchError(f"the simulator is not ready after {_READY_SECONDS:g} s", where=str(simulator.log))


def _start_exporter(folder: Path, port: int) -> Process:
    return Process.start(
        [
            Path(sys.executable).with_name("stakewatch-exporter"),
            "--config",
            folder / "stakewatch.yaml",
            "--listen",
            f"127.0.0.1:{port}",
        ],
        log=folder / "exporter.log",
    )


def _session() -> requests.Session:
    """Return a session that goes straight to loopback, whatever proxy the environment names."""
    session = requests.Session()
    session.trust_env = False
    return session


def _wait_for(url: str, process: Process) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        process.expect_running()
        try:
            with _session() as http:
                if http.get(url, timeout=1).ok:
                    return
        except requests.RequestException as error:
            last = str(error)
        else:
            last = "it says it is not ready"
        if time.monotonic() > deadline:
            raise StakewatchError(
                f"{process.name} is not ready after {_READY_SECONDS:g} s: {last}", where=str(process.log)
            )
        time.sleep(_POLL_SECONDS)


def _prometheus_configuration(configuration: Configuration, exporter_port: int, alertmanager: str) -> str:
    """Return a configuration that scrapes once a slot: the simulator's targets and the exporter."""
    node = configuration.nodes[0]
    target = exporter_target(
        f"127.0.0.1:{exporter_port}",
        network=configuration.network,
        place={"cluster": node.cluster, "region": node.region},
    )
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules/*.yaml"],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}]
            },
            "scrape_configs": [
                {"job_name": "fleet", "file_sd_configs": [{"files": ["targets.json"]}]},
                exporter_job(static_configs=[target]),
            ],
        },
        sort_keys=False,
    )
