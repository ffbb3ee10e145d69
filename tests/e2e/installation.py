"""stakewatch as an operator installs it on this chain: configuration, exporter, Prometheus, Alertmanager.

Rules come out of `stakewatch build` with the overrides of a chain whose nodes have one peer each. Then their
durations are scaled: in rules about whole epochs by the length of an epoch against the main network's, in all
others by the length of a slot.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import requests
import yaml

from stakewatch.demo.receiver import Receiver, receiving
from stakewatch.errors import StakewatchError
from stakewatch.programs.process import Process, free_port
from stakewatch.programs.servers import Alertmanager, Prometheus, alertmanager, prometheus
from stakewatch.rules.routing import routes_to_webhook
from stakewatch.rules.scaling import scale_rule_files
from stakewatch.rules.scraping import exporter_job, exporter_target
from tests.e2e.devnet import SECONDS_PER_SLOT, SLOTS_PER_EPOCH, Devnet, Pair

CLUSTER = "e2e-1"
REGION = "loopback"
NETWORK = "devnet"
MINIMUM_PEERS = 1
SLOT_FACTOR = SECONDS_PER_SLOT / 12
EPOCH_FACTOR = SECONDS_PER_SLOT * SLOTS_PER_EPOCH / (12 * 32)
_RULES_ABOUT_EPOCHS = (
    "validators.yaml",
    "validator_attestations.yaml",
    "validator_duties.yaml",
    "validator_keys.yaml",
    "validator_proposal_rate.yaml",
)
_ROOT = Path(__file__).parents[2]
_START_SECONDS = 30.0
_BUILD_SECONDS = 60.0


@dataclass(frozen=True)
class Group:
    """Keys of one validator client, by index."""

    name: str
    pair: Pair
    indices: range


@dataclass(frozen=True)
class Installation:
    """What runs beside the chain."""

    groups: tuple[Group, ...]
    exporter: str
    exporter_process: Process
    prometheus: Prometheus
    alertmanager: Alertmanager
    receiver: Receiver


def groups_of(pairs: tuple[Pair, ...]) -> tuple[Group, ...]:
    """Share the keys out: the first client holds two groups, the second one."""
    first, second = pairs
    middle = first.key_indices.start + 2 * len(first.key_indices) // 3
    return (
        Group("alpha", first, range(first.key_indices.start, middle)),
        Group("bravo", first, range(middle, first.key_indices.stop)),
        Group("charlie", second, second.key_indices),
    )


@contextmanager
def installation(folder: Path, chain: Devnet, public_keys: Mapping[int, str]) -> Iterator[Installation]:
    """Start everything below `folder`; stop it at the end. `public_keys` are those of the chain by index.

    Raises StakewatchError when a part does not start.
    """
    groups = groups_of(chain.pairs)
    exporter_port = free_port()
    bundle = folder / "bundle"
    for room in ("rules", "alertmanager"):
        shutil.copytree(_ROOT / room, bundle / room)
    configuration = bundle / "stakewatch.yaml"
    content = _configuration(chain.pairs, groups, public_keys, exporter_port)
    configuration.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    rules = _built_rules(bundle, folder)
    address = f"http://127.0.0.1:{exporter_port}"
    log = folder / "exporter.log"
    command: list[str | Path] = [_script("stakewatch-exporter"), "--config", configuration]
    with Process.start(command, log=log) as exporter, receiving(folder / "page.html") as receiver:
        _wait_until_alive(address, exporter)
        routes = routes_to_webhook(
            bundle / "alertmanager" / "alertmanager.yaml",
            url=f"{receiver.address}/notify",
            factor=SLOT_FACTOR,
        )
        (folder / "alertmanager.yaml").write_text(routes, encoding="utf-8")
        with alertmanager(folder / "alertmanager.yaml", folder) as alerts:
            scraping = _scraping(chain.pairs, exporter_port, rules, alerts.url)
            (folder / "prometheus.yaml").write_text(
                yaml.safe_dump(scraping, sort_keys=False), encoding="utf-8"
            )
            with prometheus(folder / "prometheus.yaml", folder) as server:
                yield Installation(groups, address, exporter, server, alerts, receiver)


def _configuration(
    pairs: tuple[Pair, ...], groups: tuple[Group, ...], public_keys: Mapping[int, str], exporter_port: int
) -> dict[str, object]:
    return {
        "network": NETWORK,
        "fleet": {
            "cluster": CLUSTER,
            "region": REGION,
            "beacon_nodes": [
                {
                    "instance": pair.beacon,
                    "implementation": "lodestar",
                    "url": pair.beacon_url,
                    "execution_node": pair.execution,
                }
                for pair in pairs
            ],
            "execution_nodes": [
                {"instance": pair.execution, "implementation": "geth", "url": pair.execution_url}
                for pair in pairs
            ],
            "validator_clients": [
                {"instance": pair.validators, "implementation": "lodestar", "beacon_nodes": [pair.beacon]}
                for pair in pairs
            ],
            "groups": [
                {
                    "name": group.name,
                    "validator_client": group.pair.validators,
                    "keys": [public_keys[index] for index in group.indices],
                    "fee_recipients": [group.pair.fee_recipient],
                    "labels": {"client": "lodestar"},
                }
                for group in groups
            ],
        },
        "health": {"minimum_beacon_peers": MINIMUM_PEERS, "minimum_execution_peers": MINIMUM_PEERS},
        "overrides": {
            "BeaconNodePeersLow": {"threshold": MINIMUM_PEERS},
            "ExecutionPeersLow": {"threshold": MINIMUM_PEERS},
            # Each client has the beacon node of its pair alone, so that a dead one is felt.
            "SharedBeaconBackupMissing": {"enabled": False},
            # Few keys for many slots: each group has a proposal ahead at any time.
            "ValidatorDutyUpcoming": {"enabled": False},
        },
        "exporter": {
            "listen": f"127.0.0.1:{exporter_port}",
            "interval_seconds": SECONDS_PER_SLOT / 2,
            "request_timeout_seconds": 2.0,
            "state_file": "exporter-state.json",
        },
    }


def _built_rules(bundle: Path, folder: Path) -> tuple[Path, ...]:
    """Build the rules of the bundle and return the folders in which they stand scaled."""
    command: list[str | Path] = [_script("stakewatch"), "build", "--bundle", bundle, "rules"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    if done.returncode != 0:
        raise StakewatchError(f"stakewatch build ended with {done.returncode}: {done.stdout}{done.stderr}")
    scaled = []
    for name, factor in (("slots", SLOT_FACTOR), ("epochs", EPOCH_FACTOR)):
        chosen = folder / f"rules-{name}-unscaled"
        chosen.mkdir()
        for path in sorted((bundle / "build" / "rules").glob("*.yaml")):
            if (path.name in _RULES_ABOUT_EPOCHS) == (name == "epochs"):
                shutil.copy(path, chosen)
        scale_rule_files(chosen, folder / f"rules-{name}", factor, minimum_seconds=1.0)
        scaled.append(folder / f"rules-{name}")
    return tuple(scaled)


def _scraping(
    pairs: tuple[Pair, ...], exporter_port: int, rules: tuple[Path, ...], alertmanager_url: str
) -> dict[str, object]:
    """Return Prometheus' configuration, with the labels of the contract on every target."""

    def target(port: int, role: str, implementation: str, instance: str) -> dict[str, object]:
        labels = {"cluster": CLUSTER, "region": REGION, "network": NETWORK, "role": role}
        labels |= {"implementation": implementation, "instance": instance}
        return {"targets": [f"127.0.0.1:{port}"], "labels": labels}

    jobs = {
        "execution": [target(pair.execution_metrics, "execution", "geth", pair.execution) for pair in pairs],
        "beacon": [target(pair.beacon_metrics, "beacon", "lodestar", pair.beacon) for pair in pairs],
        "validator": [
            target(pair.validator_metrics, "validator", "lodestar", pair.validators) for pair in pairs
        ],
    }
    exporter = exporter_target(
        f"127.0.0.1:{exporter_port}", network=NETWORK, place={"cluster": CLUSTER, "region": REGION}
    )
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "*.yaml") for folder in rules],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]
        },
        "scrape_configs": [
            *(
                {"job_name": job, **_METRICS_PATHS.get(job, {}), "static_configs": targets}
                for job, targets in jobs.items()
            ),
            exporter_job(static_configs=[exporter]),
        ],
    }


_METRICS_PATHS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"execution": {"metrics_path": "/debug/metrics/prometheus"}}
)


def _script(name: str) -> Path:
    """Return a console script of the environment that runs this test."""
    return Path(sys.executable).parent / name


def _wait_until_alive(address: str, exporter: Process) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        exporter.expect_running()
        try:
            if requests.get(f"{address}/healthz", timeout=2.0).ok:
                return
        except requests.RequestException as error:
            if time.monotonic() > deadline:
                raise StakewatchError(f"the exporter does not answer: {error}", where=address) from error
        time.sleep(0.1)
