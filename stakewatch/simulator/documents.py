"""The files that tell others about a simulated fleet: stakewatch.yaml and Prometheus' targets."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan
from stakewatch.simulator.platform_metrics import NAMESPACE
from stakewatch.simulator.scraping import metrics_path, pod_of, role_of

_MAINNET_SECONDS_PER_SLOT = 12


def configuration(
    plan: FleetPlan,
    urls: Mapping[str, str],
    keys: Mapping[str, tuple[str, ...]],
    key_folder: Path | None = None,
) -> str:
    """Return a stakewatch.yaml for the APIs at `urls` (by instance) and the public keys of each group.

    With `key_folder` the keys go to files there, `keys-<group>.txt`; the text names them relative to itself.
    """
    pace = plan.seconds_per_slot / _MAINNET_SECONDS_PER_SLOT
    groups = []
    for group in plan.groups:
        listed: object = list(keys[group.name])
        if key_folder is not None:
            file = key_folder / f"keys-{group.name}.txt"
            file.write_text("\n".join(keys[group.name]) + "\n", encoding="utf-8")
            listed = {"file": file.name}
        groups.append(
            {
                "name": group.name,
                "validator_client": group.validator_client,
                "keys": listed,
                "labels": {"customer": group.name},
                "fee_recipients": [fee_recipient(group.name)],
            }
        )
    content = {
        "network": plan.network,
        "fleet": {
            "cluster": plan.cluster,
            "region": plan.region,
            "beacon_nodes": [
                _node(plan, node, urls) | {"execution_node": node.execution_node}
                for node in plan.beacon_nodes
            ],
            "execution_nodes": [_node(plan, node, urls) for node in plan.execution_nodes],
            "validator_clients": [
                {
                    "instance": client.instance,
                    "implementation": client.implementation,
                    "beacon_nodes": list(client.beacon_nodes),
                }
                for client in plan.validator_clients
            ],
            "groups": groups,
        },
        "health": {
            "minimum_beacon_peers": 20,
            "minimum_execution_peers": 10,
            "maximum_head_age_slots": 4,
        },
        "exporter": {
            "listen": "127.0.0.1:9120",
            "interval_seconds": max(1.0, 6 * pace),
            "request_timeout_seconds": max(2.0, 4 * pace),
        },
    }
    return yaml.safe_dump(content, sort_keys=False)


def scrape_targets(
    plan: FleetPlan,
    processes: Mapping[str, str],
    machines: Mapping[str, str],
    kubelet: str,
) -> str:
    """Return file-based service discovery for Prometheus; the mappings are host and port by name.

    Staking processes carry the label contract; platform targets carry cluster and region, and the machine's
    name as `instance`, which Prometheus would otherwise make of the address.
    """
    place = {"cluster": plan.cluster, "region": plan.region}
    entries = [
        {
            "targets": [processes[process.instance]],
            "labels": {
                **place,
                "network": plan.network,
                "role": role_of(process),
                "implementation": process.implementation,
                "instance": process.instance,
                "namespace": NAMESPACE,
                "pod": pod_of(process.instance),
                "container": process.implementation,
                "__metrics_path__": metrics_path(process.implementation),
            },
        }
        for process in plan.processes
    ]
    entries += [
        {"targets": [address], "labels": {**place, "instance": name}} for name, address in machines.items()
    ]
    entries.append(
        {
            "targets": [kubelet],
            "labels": {**place, "instance": "kubelet", "__metrics_path__": "/metrics/cadvisor"},
        }
    )
    return json.dumps(entries, indent=1) + "\n"


def fee_recipient(group: str) -> str:
    """Return the address that a group's proposals pay: the group's name, readable in hex."""
    return "0x" + group.encode().hex().ljust(40, "0")[:40]


def _node(plan: FleetPlan, node: BeaconNode | ExecutionNode, urls: Mapping[str, str]) -> dict[str, str]:
    return {
        "instance": node.instance,
        "implementation": node.implementation,
        "url": urls[node.instance],
        "machine": node.machine,
        "zone": f"{plan.region}a",
    }
