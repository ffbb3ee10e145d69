"""Machines and the pods on them, as the variables cluster, instance, namespace and pod choose them.

The instance of a machine is that of its node_exporter.
Each function returns the text of an expression.
"""

from stakewatch.grafana.joins import CHOSEN
from stakewatch.grafana.variables import DatasourceVariable, LabelVariable, Variable

CHOSEN_MACHINE = f'{CHOSEN},instance=~"$instance"'
CHOSEN_NAMESPACE = f'{CHOSEN},namespace=~"$namespace"'
CHOSEN_POD = f'{CHOSEN_NAMESPACE},pod=~"$pod"'
# A pod's cgroup and its sandbox have no container, and would count twice.
REAL_CONTAINER = f'{CHOSEN_POD},container!="",container!="POD"'
REAL_FILESYSTEM = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|fuse.*"'
REAL_DISK = 'device!~"loop.*|ram.*|zram.*"'
IDLE = 'mode="idle"'
REAL_NETWORK = 'device!~"lo|veth.*|cali.*|eni.+|cni.*|docker.*|flannel.*"'

CLUSTER = LabelVariable(
    "cluster", "cluster", "node_uname_info", "Clusters that have machines with node_exporter"
)
MACHINE = LabelVariable(
    "instance",
    "instance",
    f"node_uname_info{{{CHOSEN}}}",
    "Machines of the chosen clusters, as node_exporter is named",
    title="Machine",
)
NAMESPACE = LabelVariable(
    "namespace",
    "namespace",
    f'container_memory_working_set_bytes{{{CHOSEN},container!=""}}',
    "Namespaces of the chosen clusters",
)
POD = LabelVariable(
    "pod",
    "pod",
    f'container_memory_working_set_bytes{{{CHOSEN_NAMESPACE},container!=""}}',
    "Pods of the chosen namespaces",
)
VARIABLES: tuple[Variable, ...] = (DatasourceVariable(), CLUSTER, MACHINE, NAMESPACE, POD)

_POD = "(cluster, namespace, pod)"


def machine(metric: str, *matchers: str) -> str:
    """Return a selector of a metric of node_exporter for the chosen machines."""
    return f"{metric}{{{','.join((CHOSEN_MACHINE, *matchers))}}}"


def container(metric: str) -> str:
    """Return a selector of a metric of the chosen pods' containers."""
    return f"{metric}{{{REAL_CONTAINER}}}"


def on_machine(expression: str) -> str:
    """Return `expression`, which has series of pods, for those on the chosen machines, with their `node`.

    Which pod runs where is known from kube-state-metrics; pods that it does not know are all shown.
    """
    return (
        f"(\n{expression}\n)\n"
        f"* on {_POD} group_left (node)\n"
        "(\n"
        # A pod that moves, or a second kube-state-metrics, has two nodes for a moment: one is taken.
        f"  topk by {_POD} (1, max by (cluster, namespace, pod, node) (kube_pod_info{{{CHOSEN_POD}}}))\n"
        "  * on (cluster, node) group_left ()\n"
        "  max by (cluster, node) (\n"
        f'    label_replace({machine("node_uname_info")}, "node", "$1", "nodename", "(.+)")\n'
        "  )\n"
        ")\n"
        "or\n"
        f"(\n{expression}\n)\n"
        f"unless on {_POD} kube_pod_info{{{CHOSEN}}}"
    )


def per_machine(expression: str) -> str:
    """Return one value per machine, the greatest."""
    return f"max by (cluster, instance) ({expression})"


def memory_used() -> str:
    """Return the share of each machine's memory in use, page cache not counted."""
    return per_machine(
        f"1 - {machine('node_memory_MemAvailable_bytes')} / {machine('node_memory_MemTotal_bytes')}"
    )


def cpu_used() -> str:
    """Return the share of each machine's CPU time in use."""
    idle = f"rate({machine('node_cpu_seconds_total', IDLE)}[$__rate_interval])"
    return f"1 - avg by (cluster, instance) ({idle})"


def in_namespaces(metric: str, *matchers: str) -> str:
    """Return a selector of a metric of the chosen namespaces."""
    return f"{metric}{{{','.join((CHOSEN_NAMESPACE, *matchers))}}}"


def in_clusters(metric: str, *matchers: str) -> str:
    """Return a selector of a metric of the chosen clusters."""
    return f"{metric}{{{','.join((CHOSEN, *matchers))}}}"


def by_node(expression: str) -> str:
    """Return the sums of `expression`, which has series of pods, per node that kube-state-metrics names."""
    return (
        f"sum by (cluster, node) (\n  {expression}\n"
        f"  * on {_POD} group_left (node)\n"
        f"  topk by {_POD} (1, max by (cluster, namespace, pod, node) (kube_pod_info{{{CHOSEN}}}))\n"
        ")"
    )


def with_machine(expression: str) -> str:
    """Return `expression`, one value per Kubernetes node, with the machine's `instance` where it is known."""
    machines = (
        "topk by (cluster, node) (1, max by (cluster, node, instance) (\n"
        f'  label_replace(node_uname_info{{{CHOSEN}}}, "node", "$1", "nodename", "(.+)")\n'
        "))"
    )
    return (
        f"{expression}\n* on (cluster, node) group_left (instance)\n{machines}\n"
        f"or on (cluster, node)\n{expression}"
    )
