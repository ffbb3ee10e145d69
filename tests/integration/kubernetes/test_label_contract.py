"""A real Prometheus gives the targets of a cluster the labels of the contract."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stakewatch.bundle.printing import as_yaml
from stakewatch.kubernetes.exporter import LABELS
from stakewatch.kubernetes.monitors import exporter_monitor, pod_monitors, volume_monitor
from stakewatch.programs.servers import Prometheus, Target, prometheus
from tests.integration.kubernetes.building import fleet
from tests.integration.kubernetes.operator import endpoint, pod, scrape_job

CHART = "app.kubernetes.io/name"
LABELLED = {"stakewatch-role": "beacon", "stakewatch-implementation": "teku"}
PODS = [
    pod("geth-0", {CHART: "geth"}),
    pod("geth-0", {CHART: "geth"}, port="http"),
    pod("erigon-0", {CHART: "erigon"}),
    pod("lighthouse-0", {CHART: "lighthouse"}),
    pod("prysm-validator-0", {CHART: "prysm-validator"}),
    pod("vero-0", {CHART: "vero"}),
    pod("web3signer-0", {CHART: "web3signer"}),
    pod("teku-0", LABELLED),
    # Of a chart and labelled: what its owner says counts, and it is scraped once.
    pod("nimbus-0", {CHART: "nimbus", **LABELLED, "stakewatch-implementation": "nimbus"}),
    pod("teku-mainnet-0", {**LABELLED, "stakewatch-network": "mainnet"}),
    pod(
        "mev-boost-5b8f-q7w2e",
        {
            "stakewatch-role": "relay",
            "stakewatch-implementation": "mev-boost",
            "stakewatch-instance": "mev-boost-1",
        },
    ),
    pod("grafana-0", {CHART: "grafana"}),
    pod("half-labelled-0", {"stakewatch-role": "beacon"}),
    pod("geth-1", {CHART: "geth"}, phase="Succeeded"),
]
ENDPOINTS = [
    endpoint("stakewatch-exporter", {CHART: "stakewatch-exporter"}, name="stakewatch-exporter-7d9c-x2x4p"),
    endpoint("ebs-csi-node", {"app": "ebs-csi-node"}, name="ebs-csi-node-abcde"),
    endpoint("other", {"app": "other"}, name="other-0"),
]
PLACE = {"cluster": "staking-1", "region": "eu-west-1"}


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Target]]:
    """Run a Prometheus with what the operator makes of our monitors; give its targets by pod."""
    folder = tmp_path_factory.mktemp("cluster")
    configuration = fleet(folder)
    monitors = [
        *pod_monitors(configuration),
        volume_monitor(configuration),
        exporter_monitor(configuration, LABELS),
    ]
    for name, found in (("PodMonitor", PODS), ("ServiceMonitor", ENDPOINTS)):
        (folder / f"{name}.yaml").write_text(as_yaml(found), encoding="utf-8")
    jobs = [scrape_job(one, {"file_sd_configs": [{"files": [f"{one['kind']}.yaml"]}]}) for one in monitors]
    path = folder / "prometheus.yaml"
    path.write_text(as_yaml({"scrape_configs": jobs}), encoding="utf-8")
    # The default is 5 seconds.
    with prometheus(path, folder, flags=["--scrape.discovery-reload-interval=100ms"]) as server:
        yield discovered(server)


def discovered(server: Prometheus) -> Mapping[str, Target]:
    deadline = time.monotonic() + 60
    jobs: set[str] = set()
    found: tuple[Target, ...] = ()
    # The jobs are discovered one after the other.
    while len(jobs) < 4:
        assert time.monotonic() < deadline, f"only {jobs} were discovered"
        time.sleep(0.1)
        found = server.targets()
        jobs = {target.labels["job"] for target in found}
    by_pod = {target.labels["pod"]: target for target in found}
    assert len(by_pod) == len(found), "a pod is scraped twice"
    return by_pod


def contract(target: Target) -> dict[str, Any]:
    return {
        name: target.labels.get(name)
        for name in ("cluster", "region", "network", "role", "implementation", "instance")
    }


def test_only_staking_pods_the_exporter_and_the_volumes_driver_are_scraped(
    targets: Mapping[str, Target],
) -> None:
    assert set(targets) == {
        "geth-0",
        "erigon-0",
        "lighthouse-0",
        "prysm-validator-0",
        "vero-0",
        "web3signer-0",
        "teku-0",
        "nimbus-0",
        "teku-mainnet-0",
        "mev-boost-5b8f-q7w2e",
        "stakewatch-exporter-7d9c-x2x4p",
        "ebs-csi-node-abcde",
    }


@pytest.mark.parametrize(
    ("name", "role", "implementation", "network"),
    [
        ("geth-0", "execution", "geth", "hoodi"),
        ("erigon-0", "execution", "erigon", "hoodi"),
        ("lighthouse-0", "beacon", "lighthouse", "hoodi"),
        ("prysm-validator-0", "validator", "prysm", "hoodi"),
        ("vero-0", "validator", "vero", "hoodi"),
        ("web3signer-0", "signer", "web3signer", "hoodi"),
        ("teku-0", "beacon", "teku", "hoodi"),
        ("nimbus-0", "beacon", "nimbus", "hoodi"),
        ("teku-mainnet-0", "beacon", "teku", "mainnet"),
    ],
)
def test_a_staking_pod_carries_the_contract_and_where_it_runs(
    targets: Mapping[str, Target], name: str, role: str, implementation: str, network: str
) -> None:
    target = targets[name]
    assert contract(target) == {
        **PLACE,
        "network": network,
        "role": role,
        "implementation": implementation,
        "instance": name,
    }
    assert {key: target.labels[key] for key in ("namespace", "pod", "container")} == {
        "namespace": "staking",
        "pod": name,
        "container": "client",
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("geth-0", "/debug/metrics/prometheus"),
        ("erigon-0", "/debug/metrics/prometheus"),
        ("lighthouse-0", "/metrics"),
        ("teku-0", "/metrics"),
    ],
)
def test_a_client_is_asked_where_it_serves_its_metrics(
    targets: Mapping[str, Target], name: str, path: str
) -> None:
    assert targets[name].url == f"http://127.0.0.1:1{path}"


def test_a_pod_whose_name_changes_carries_the_name_that_its_owner_gives(
    targets: Mapping[str, Target],
) -> None:
    assert contract(targets["mev-boost-5b8f-q7w2e"]) == {
        **PLACE,
        "network": "hoodi",
        "role": "relay",
        "implementation": "mev-boost",
        "instance": "mev-boost-1",
    }


def test_the_exporter_carries_the_contract_under_a_name_that_outlives_its_pod(
    targets: Mapping[str, Target],
) -> None:
    target = targets["stakewatch-exporter-7d9c-x2x4p"]
    assert contract(target) == {
        **PLACE,
        "network": "hoodi",
        "role": "exporter",
        "implementation": "stakewatch",
        "instance": "exporter-staking-1",
    }
    assert target.labels["exporter"] == "hoodi/exporter-staking-1"


def test_a_target_of_the_platform_carries_where_it_is_and_its_machine(targets: Mapping[str, Target]) -> None:
    assert contract(targets["ebs-csi-node-abcde"]) == {
        **PLACE,
        "network": None,
        "role": None,
        "implementation": None,
        "instance": "machine-b",
    }
