"""Collection: where a shipper finds log lines and which labels they get, on a machine and in a cluster.

Rules of relabelling have Prometheus' form, which Promtail and Alloy take alike.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from stakewatch.bundle.configuration import Configuration
from stakewatch.kubernetes.relabelling import of_labelled_pods, of_stakewise_pods
from stakewatch.logs.pipelines import Pipelines

Rule = Mapping[str, Any]

PUSH_PATH = "/loki/api/v1/push"
AUDIT_LOGS = "/var/log/kubernetes/audit/*.log"
# What a kill can lose is a batch: small ones, and rewind.sh goes back by twice as much.
BATCH_BYTES = 256 * 1024
_CONSENSUS = "lighthouse|prysm|teku|lodestar|nimbus"
_UNIT = "__journal__systemd_unit"


@dataclass(frozen=True)
class Shipping:
    """Where a shipper on a machine finds its targets, keeps its positions, listens, and sends to.

    `targets` are files in the form of `file_sd_configs`; `place` are the labels of what the journal holds.
    """

    loki_url: str = "http://127.0.0.1:3100"
    targets: str = "/etc/stakewatch/logs/*.yaml"
    positions: str = "/var/lib/promtail/positions.yaml"
    listen_address: str = "127.0.0.1"
    listen_port: int = 9080
    place: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def push_url(self) -> str:
        """Where lines are sent to."""
        return self.loki_url + PUSH_PATH


def journal_rules(pipelines: Pipelines) -> Sequence[Rule]:
    """Return what makes labels of the journal's fields: kernel, kubelet, and units named after a client.

    `geth.service`, `lighthouse-beacon.service` and `teku-validator@2.service` are known; others are left out.
    """
    known = "|".join(one.implementation for one in pipelines.pipelines if one.roles)
    execution = "|".join(one.implementation for one in pipelines.pipelines if one.roles == ("execution",))
    single = {one.implementation: one.roles[0] for one in pipelines.pipelines if len(one.roles) == 1}
    others = {name: role for name, role in single.items() if role != "execution"}
    return [
        _rule(["__journal__transport"], "kernel", "implementation", "kernel"),
        _rule([_UNIT], r"kubelet\.service", "implementation", "kubelet"),
        _rule([_UNIT], rf"({known})(?:[-_@.].*)?\.service", "implementation"),
        _rule(["implementation"], ".+", action="keep"),
        _rule(["__journal__hostname"], "(.+)", "instance"),
        _rule(["implementation", _UNIT], rf"(?:{known});(.+)\.service", "instance"),
        _rule(["implementation"], execution, "role", "execution"),
        *(_rule(["implementation"], name, "role", role) for name, role in others.items()),
        _rule(["implementation"], _CONSENSUS, "role", "beacon"),
        _rule(
            ["implementation", _UNIT], rf"(?:{_CONSENSUS});.*[-_](?:validators?|vc)\b.*", "role", "validator"
        ),
        # Platform logs are of no network, and only the kernel's priorities are its own levels.
        _rule(["implementation"], "kernel|kubelet", "network", ""),
        _rule(["implementation", "__journal_priority_keyword"], "kernel;(.+)", "priority"),
    ]


def pod_rules(configuration: Configuration) -> Sequence[Rule]:
    """Return what makes labels of pods: those that the monitors for Prometheus give them too.

    Containers of other pods are left out.
    """
    rules = (*of_stakewise_pods(configuration), *of_labelled_pods(configuration))
    ours = [_snake(rule) for rule in rules if rule["targetLabel"] != "__metrics_path__"]
    meta = "__meta_kubernetes_pod"
    return [
        *(rule for number, rule in enumerate(ours) if rule not in ours[:number]),
        # Every chart has a name; only staking processes have a role.
        _rule(["role"], ".+", action="keep"),
        _rule(["__meta_kubernetes_namespace"], "(.+)", "namespace"),
        _rule([f"{meta}_name"], "(.+)", "pod"),
        _rule([f"{meta}_container_name"], "(.+)", "container"),
        {"target_label": "runtime", "replacement": "cri"},
        _rule([f"{meta}_node_name"], "(.+)", "__host__"),
        _rule(
            [f"{meta}_uid", f"{meta}_container_name"], "(.+);(.+)", "__path__", "/var/log/pods/*$1/$2/*.log"
        ),
    ]


def _rule(
    sources: Sequence[str], regex: str, target: str = "", replacement: str | None = None, *, action: str = ""
) -> Rule:
    rule: dict[str, Any] = {"source_labels": list(sources), "regex": regex}
    if target:
        rule["target_label"] = target
    if replacement is not None:
        rule["replacement"] = replacement
    if action:
        rule["action"] = action
    return rule


def _snake(rule: Rule) -> Rule:
    """Return a rule of the Prometheus operator's form in Prometheus' own."""
    return {
        re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value for name, value in rule.items()
    }
