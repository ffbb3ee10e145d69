"""The label contract as relabelling: what a target of Kubernetes must be told to carry it.

Rules of the operator's form (`sourceLabels`, `targetLabel`). The operator sets `namespace`, `pod`,
`container` and, on targets that are nodes, `node` before these run.
"""

from collections.abc import Mapping
from typing import Any

from stakewatch.bundle.configuration import Configuration, Role
from stakewatch.rules.scraping import exporter_job

Relabelling = Mapping[str, Any]

ROLE_LABEL = "stakewatch-role"
IMPLEMENTATION_LABEL = "stakewatch-implementation"
NETWORK_LABEL = "stakewatch-network"
INSTANCE_LABEL = "stakewatch-instance"
CHART_LABEL = "app.kubernetes.io/name"
# Charts of github.com/stakewise/helm-charts (June 2025) whose pods have a port `metrics`, by role.
STAKEWISE_CHARTS: Mapping[Role, tuple[str, ...]] = {
    Role.EXECUTION: ("besu", "erigon", "geth", "nethermind", "reth"),
    Role.BEACON: ("lighthouse", "lodestar", "nimbus", "prysm", "teku"),
    Role.VALIDATOR: (
        "lighthouse-validator",
        "lodestar-validator",
        "prysm-validator",
        "teku-validator",
        "vero",
    ),
    Role.SIGNER: ("web3signer",),
}
# The machine of a target that is a pod.
NODE_OF_POD = "__meta_kubernetes_pod_node_name"
_POD_LABEL = "__meta_kubernetes_pod_label_"


def place(configuration: Configuration) -> dict[str, str]:
    """Return `cluster` and `region` of the cluster, without what neither it nor any node says."""
    settings = configuration.kubernetes
    node = configuration.nodes[0] if configuration.nodes else None
    known = {
        "cluster": settings.cluster or (node.cluster if node else None),
        "region": settings.region or (node.region if node else None),
    }
    return {name: value for name, value in known.items() if value}


def of_platform(configuration: Configuration, *, instance: str) -> list[Relabelling]:
    """Return what targets of the platform carry; `instance` is the label that holds its value."""
    return [*of_place(configuration), _copied(instance, "instance")]


def of_place(configuration: Configuration) -> list[Relabelling]:
    """Return what says which cluster a target is of."""
    return _constants(place(configuration))


def of_stakewise_pods(configuration: Configuration) -> list[Relabelling]:
    """Return what pods of the StakeWise charts carry: the chart's name says role and implementation."""
    chart = _meta(CHART_LABEL)
    return [
        *(
            {
                "sourceLabels": [chart],
                "regex": "|".join(charts),
                "targetLabel": "role",
                "replacement": role.value,
            }
            for role, charts in STAKEWISE_CHARTS.items()
        ),
        {"sourceLabels": [chart], "regex": "(.+?)(-validator)?", "targetLabel": "implementation"},
        *_of_process(configuration),
    ]


def of_labelled_pods(configuration: Configuration) -> list[Relabelling]:
    """Return what pods carry whose owner has labelled them with role and implementation."""
    return [
        _copied(_meta(ROLE_LABEL), "role"),
        _copied(_meta(IMPLEMENTATION_LABEL), "implementation"),
        *_of_process(configuration),
    ]


def of_exporter(configuration: Configuration) -> list[Relabelling]:
    """Return what the exporter's target carries: its name outlives its pod, and differs between clusters."""
    here = place(configuration)
    rules: Any = exporter_job()["relabel_configs"]
    return [
        *_constants(
            {
                **here,
                "network": configuration.network,
                "role": Role.EXPORTER.value,
                "implementation": "stakewatch",
                "instance": f"exporter-{here['cluster']}" if "cluster" in here else "exporter",
            }
        ),
        *(_in_the_operators_form(one) for one in rules),
    ]


def _of_process(configuration: Configuration) -> list[Relabelling]:
    """Return what every staking process carries; role and implementation are there already."""
    return [
        *_constants({**place(configuration), "network": configuration.network}),
        _copied(_meta(NETWORK_LABEL), "network"),
        # The name of a pod of a StatefulSet is stable; address and port are not.
        _copied("__meta_kubernetes_pod_name", "instance"),
        # That of a Deployment is not: its owner names it.
        _copied(_meta(INSTANCE_LABEL), "instance"),
        {
            "sourceLabels": ["implementation"],
            "regex": "geth|erigon",
            "targetLabel": "__metrics_path__",
            "replacement": "/debug/metrics/prometheus",
        },
    ]


def _constants(labels: Mapping[str, str]) -> list[Relabelling]:
    return [{"targetLabel": name, "replacement": value} for name, value in labels.items()]


def _copied(source: str, target: str) -> Relabelling:
    """Return a rule that copies a label, where there is one."""
    return {"sourceLabels": [source], "regex": "(.+)", "targetLabel": target}


def _meta(label: str) -> str:
    """Return the label under which Prometheus discovers a label of a pod."""
    return _POD_LABEL + "".join(character if character.isalnum() else "_" for character in label)


def _in_the_operators_form(rule: Mapping[str, Any]) -> Relabelling:
    def camel(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(word.capitalize() for word in rest)

    return {camel(name): value for name, value in rule.items()}
