"""A Kubernetes cluster: is there room, who takes it, and which workload is not as it should be."""

from collections.abc import Callable

from stakewatch.grafana.board import Board
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link, row_link
from stakewatch.grafana.machines import (
    CLUSTER,
    NAMESPACE,
    REAL_NETWORK,
    by_node,
    in_clusters,
    in_namespaces,
    with_machine,
)
from stakewatch.grafana.panels import BarGauge, Gauge, Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, firing_alerts, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import DatasourceVariable

FIRING = (
    'ALERTS{alertstate="firing",area=~"resources|storage|kubernetes",cluster=~"$cluster",'
    'namespace=~"$namespace|"}'
)
NEEDS_KUBE_STATE_METRICS = "Needs kube-state-metrics."
REAL = ('container!=""', 'container!="POD"')
STATUS = 'status="true"'
READY = ('condition="Ready"', STATUS)
OTHERS = 'condition!="Ready"'
TRUE = 'condition="true"'
POD = "cluster, namespace, pod"
PHASE = 'phase=~"Succeeded|Failed"'
Selector = Callable[..., str]

THIS_MACHINE = board_link("eks_node", "This machine", ("cluster", "instance"))
THESE_MACHINES = board_link("eks_node", "Machines of this cluster", ("cluster",))
THIS_NAMESPACE = board_link("eks_node", "Pods of this namespace", ("cluster", "namespace"))
THIS_POD = board_link("eks_node", "This pod", ("cluster", "namespace", "pod"))

NODES_READY = f"max by (cluster, node) ({in_clusters('kube_node_status_condition', *READY)})"
NOT_READY = (
    f"max by ({POD}) ({in_namespaces('kube_pod_status_ready', TRUE)}) == 0\n"
    f"unless on ({POD}) {in_namespaces('kube_pod_status_phase', PHASE)} == 1"
)
# Pods that have ended hold nothing of what they asked for.
HELD = f"unless on ({POD}) {in_clusters('kube_pod_status_phase', PHASE)} == 1"


def memory(selector: Selector) -> str:
    """Return the memory that each pod uses."""
    return (
        f"sum by ({POD}) (max by ({POD}, container) ("
        f"{selector('container_memory_working_set_bytes', *REAL)}))"
    )


def cpu(selector: Selector) -> str:
    """Return the cores that each pod uses."""
    return f"sum by ({POD}) (rate({selector('container_cpu_usage_seconds_total', *REAL)}[$__rate_interval]))"


def _of(resource: str) -> str:
    return f'resource="{resource}"'


def reserved(kind: str, resource: str) -> str:
    """Return the `kind` (requests, limits) of a resource of each pod of the chosen namespaces."""
    selector = in_namespaces(f"kube_pod_container_resource_{kind}", _of(resource))
    return f"sum by ({POD}) (max by ({POD}, container) ({selector}))"


def reserved_by_node(kind: str, resource: str) -> str:
    """Return the `kind` (requests, limits) of a resource of all pods on each node."""
    selector = in_clusters(f"kube_pod_container_resource_{kind}", _of(resource))
    return f"sum by (cluster, node) (max by ({POD}, node, container) ({selector}) {HELD})"


def allocatable(resource: str) -> str:
    """Return what of a resource each node can give to pods."""
    return f"max by (cluster, node) ({in_clusters('kube_node_status_allocatable', _of(resource))})"


def share_of_cluster(kind: str, resource: str) -> Query:
    """Return the share of a resource of each cluster that is requested, or that limits add up to."""
    reserved_there = f"sum by (cluster) ({reserved_by_node(kind, resource)})"
    return Query(f"{reserved_there}\n/ sum by (cluster) ({allocatable(resource)})", "{{cluster}}")


def share_of_nodes(resource: str) -> tuple[Query, ...]:
    """Return the shares of a resource of each node that are requested, and that limits add up to."""
    return tuple(
        Query(f"{reserved_by_node(kind, resource)}\n/ {allocatable(resource)}", f"{{{{node}}}} {kind}")
        for kind in ("requests", "limits")
    )


def in_total(resource: str, used: str) -> tuple[Query, ...]:
    """Return what each cluster has of a resource, what pods asked for, and what they use."""
    return (
        Query(f"sum by (cluster) ({allocatable(resource)})", "{{cluster}} can give"),
        Query(f"sum by (cluster) ({reserved_by_node('limits', resource)})", "{{cluster}} limits"),
        Query(f"sum by (cluster) ({reserved_by_node('requests', resource)})", "{{cluster}} requests"),
        Query(f"sum by (cluster) ({used})", "{{cluster}} used"),
    )


def by_namespace(expression: str) -> Query:
    """Return the sum of `expression` over the pods of each namespace."""
    return Query(f"sum by (cluster, namespace) ({expression})", "{{namespace}}")


def how_many(metric: str, legend: str, *labels: str) -> Query:
    """Return how many objects of a kind there are in each cluster, from a series that each has once."""
    by = ", ".join(("cluster", *labels))
    return Query(f"count by (cluster) (group by ({by}) ({in_clusters(metric)}))", f"{{{{cluster}}}} {legend}")


def missing(kind: str, wanted: str, there: str) -> Query:
    """Return how many pods each workload of a kind lacks."""
    by = f"cluster, namespace, {kind}"
    return Query(
        f"max by ({by}) ({in_namespaces(wanted)}) - max by ({by}) ({in_namespaces(there)}) > 0",
        f"{{{{namespace}}}}/{{{{{kind}}}}}",
    )


def counted(metric: str, *matchers: str) -> Query:
    """Return by how much a counter of containers grew in each namespace."""
    return by_namespace(f"increase({in_namespaces(metric, *matchers)}[$__rate_interval])")


def by_reason(title: str, description: str, metric: str, *, nobody: str, alert: str) -> Table:
    """Return the containers of which a metric gives a reason; `nobody` is what an empty table says."""
    return Table(
        title=title,
        description=f"{description} {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(Query(f"max by ({POD}, container, reason) ({in_namespaces(metric)}) == 1"),),
        columns=headed("namespace", "pod", "container", "reason"),
        no_value=nobody,
        alerts=(alert,),
    )


IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Machines lost",
        description="Machines of each cluster that Kubernetes does not hear from. Normal: 0; one for some "
        f"minutes during an upgrade. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(Query(f"sum by (cluster) (1 - {NODES_READY})", "{{cluster}}"),),
        alerts=("KubernetesNodeNotReady",),
        steps=steps(start="green", red=1),
        links=(THESE_MACHINES,),
    ),
    Stat(
        title="Pods not ready",
        description="Pods of the chosen namespaces that run, or should, and are not ready. Normal: 0; single "
        f"ones while they start. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            Query(
                f"count by (cluster) ({NOT_READY})\n"
                f"or 0 * count by (cluster) ({in_namespaces('kube_pod_status_ready')})",
                "{{cluster}}",
            ),
        ),
        alerts=("PodNotReady",),
        steps=steps(start="green", orange=1),
    ),
    Gauge(
        title="Memory requested",
        description="Memory that pods asked for, as a share of what the machines can give. Normal: below "
        "0.85. Near 1 a pod that must move finds no place.",
        unit="percentunit",
        queries=(share_of_cluster("requests", "memory"),),
        steps=steps(start="green", orange=0.85, red=0.95),
    ),
    Gauge(
        title="CPU requested",
        description="Cores that pods asked for, as a share of what the machines can give. Normal: below "
        "0.85. Near 1 a pod that must move finds no place.",
        unit="percentunit",
        queries=(share_of_cluster("requests", "cpu"),),
        steps=steps(start="green", orange=0.85, red=0.95),
    ),
    Gauge(
        title="Fullest machine",
        description="Memory in use on the machine of each cluster that uses most, page cache not counted. "
        "Normal: below the alerts' thresholds.",
        unit="percentunit",
        queries=(Query(f"max by (cluster) ({in_clusters('machine:memory_used:ratio')})", "{{cluster}}"),),
        alerts=("NodeMemoryHigh", "NodeMemoryCritical"),
        links=(THESE_MACHINES,),
    ),
    Gauge(
        title="Busiest machine",
        description="CPU time in use on the machine of each cluster that uses most. Normal: below 0.7; all "
        "of it while a node synchronises. Above the alert's threshold attestations come late.",
        unit="percentunit",
        queries=(Query(f"max by (cluster) ({in_clusters('machine:cpu_used:ratio')})", "{{cluster}}"),),
        alerts=("NodeCpuHigh",),
        links=(THESE_MACHINES,),
    ),
    width=4,
    height=5,
)

WHAT_IS_WRONG = row(
    "What is wrong",
    firing_alerts(
        "Alerts on machines, volumes and pods of the chosen clusters that fire now",
        FIRING,
        "cluster",
        "namespace",
        "pod",
        "instance",
    ),
    Table(
        title="Machines by what they have and give",
        description="What each machine can give to pods, what they asked for, and what they use. "
        "Normal: used below requested, requested below what there is. A click on a machine opens its "
        f"board. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=tuple(
            Query(with_machine(expression))
            for expression in (
                allocatable("cpu"),
                reserved_by_node("requests", "cpu"),
                by_node(cpu(in_clusters)),
                allocatable("memory"),
                reserved_by_node("requests", "memory"),
                by_node(memory(in_clusters)),
            )
        ),
        columns=headed("cluster", "node", instance="Machine"),
        values=(
            Value("Cores", "none"),
            Value("Cores requested", "none"),
            Value("Cores used", "none"),
            Value("Memory", "bytes"),
            Value("Memory requested", "bytes"),
            Value("Memory used", "bytes"),
        ),
        decimals=1,
        column_links={
            "Machine": (row_link("eks_node", "This machine", {"cluster": "Cluster", "instance": "Machine"}),),
        },
    ),
    width=(10, 14),
    height=9,
)

MEMORY = row(
    "Memory across machines",
    Timeseries(
        title="Memory used by machine",
        description="Memory in use on each machine, page cache not counted. The dashed lines are the alerts' "
        "thresholds.",
        unit="percentunit",
        queries=(Query(f"max by (cluster, instance) ({in_clusters('machine:memory_used:ratio')})"),),
        alerts=("NodeMemoryHigh", "NodeMemoryCritical"),
        maximum=1,
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Memory requested and limits by machine",
        description="What the pods on each machine asked for and are limited to, as a share of what it can "
        "give. Normal: requests below 1; limits may be above, and then not all pods can have theirs. "
        f"{NEEDS_KUBE_STATE_METRICS}",
        unit="percentunit",
        queries=share_of_nodes("memory"),
    ),
    Timeseries(
        title="Memory of the cluster",
        description="What all machines can give to pods, the sums of limits and requests, and what "
        "containers use. Normal: used near requests. Far below: the machines are larger than need be.",
        unit="bytes",
        queries=in_total("memory", memory(in_clusters)),
    ),
)

CPU = row(
    "CPU across machines",
    Timeseries(
        title="CPU used by machine",
        description="Share of each machine's CPU time in use. The dashed line is the alert's threshold.",
        unit="percentunit",
        queries=(Query(f"max by (cluster, instance) ({in_clusters('machine:cpu_used:ratio')})"),),
        alerts=("NodeCpuHigh",),
        maximum=1,
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="CPU requested and limits by machine",
        description="What the pods on each machine asked for and are limited to, as a share of its cores. "
        "Normal: requests below 1. Clients are best without a CPU limit. "
        f"{NEEDS_KUBE_STATE_METRICS}",
        unit="percentunit",
        queries=share_of_nodes("cpu"),
    ),
    Timeseries(
        title="CPU of the cluster",
        description="Cores that all machines can give to pods, the sums of limits and requests, and what "
        "containers use. Normal: used below requests, with room for an epoch's end.",
        unit="suffix: cores",
        queries=in_total("cpu", cpu(in_clusters)),
    ),
    Timeseries(
        title="Most throttled containers",
        description="The 10 containers that their CPU limit stopped in the greatest share of periods. "
        "Normal: 0. The dashed line is the alert's threshold, which is for staking processes.",
        unit="percentunit",
        queries=(
            Query(
                f"topk(10, {in_namespaces('container:cpu_throttled:ratio')})",
                "{{namespace}}/{{pod}} {{container}}",
            ),
        ),
        alerts=("ContainerCpuThrottled",),
        no_value="no limits",
        links=(THIS_POD,),
    ),
    Timeseries(
        title="Traffic of machines",
        description="Bytes per second that each machine receives and sends. Normal: some MB/s with a pair of "
        "nodes on mainnet.",
        unit="Bps",
        queries=tuple(
            Query(
                "sum by (cluster, instance) (rate("
                + in_clusters(
                    f"node_network_{direction}_bytes_total",
                    REAL_NETWORK,
                )
                + "[$__rate_interval]))",
                f"{{{{instance}}}} {legend}",
            )
            for direction, legend in (("receive", "received"), ("transmit", "sent"))
        ),
        links=(THIS_MACHINE,),
    ),
    Timeseries(
        title="Held back by the EC2 type",
        description="Packets per second that a machine's network card held back or dropped, because its EC2 "
        "type grants no more. Normal: 0. The dashed line is the alert's threshold. Needs node_exporter with "
        "--collector.ethtool.",
        unit="pps",
        queries=(
            Query(in_clusters("machine:network_allowance_exceeded:rate5m"), "{{instance}} {{allowance}}"),
        ),
        alerts=("NodeNetworkAllowanceExceeded",),
        no_value="not told",
        links=(THIS_MACHINE,),
    ),
)

NAMESPACES = row(
    "Who takes it, by namespace",
    Timeseries(
        title="Memory by namespace",
        description="Working set of the containers of each namespace, on top of each other. Normal: "
        "staking leads. Clients that map their database show pages here that the kernel can drop.",
        unit="bytes",
        queries=(by_namespace(memory(in_namespaces)),),
        stack=True,
        links=(THIS_NAMESPACE,),
    ),
    Timeseries(
        title="CPU by namespace",
        description="Cores in use by the containers of each namespace, on top of each other. Normal: "
        "staking leads.",
        unit="suffix: cores",
        queries=(by_namespace(cpu(in_namespaces)),),
        stack=True,
        links=(THIS_NAMESPACE,),
    ),
    Timeseries(
        title="Traffic by namespace",
        description="Bytes per second that the pods of each namespace receive and send. Normal: some "
        "MB/s per pair of nodes. Pods on the machine's own network are not told apart.",
        unit="Bps",
        queries=tuple(
            Query(
                "sum by (cluster, namespace) (rate("
                f"{in_namespaces(f'container_network_{direction}_bytes_total')}[$__rate_interval]))",
                f"{{{{namespace}}}} {legend}",
            )
            for direction, legend in (("receive", "received"), ("transmit", "sent"))
        ),
        links=(THIS_NAMESPACE,),
    ),
    Table(
        title="Namespaces",
        description="Pods of each namespace, the cores and the memory that they use, asked for, and "
        "are limited to. Normal: nothing without requests where staking runs. "
        f"{NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            Query(f"count by (cluster, namespace) (group by ({POD}) ({in_namespaces('kube_pod_info')}))"),
            by_namespace(cpu(in_namespaces)),
            by_namespace(reserved("requests", "cpu")),
            by_namespace(reserved("limits", "cpu")),
            by_namespace(memory(in_namespaces)),
            by_namespace(reserved("requests", "memory")),
            by_namespace(reserved("limits", "memory")),
        ),
        columns=headed("cluster", "namespace"),
        values=(
            Value("Pods", "none"),
            Value("Cores used", "none"),
            Value("Cores requested", "none"),
            Value("Cores at most", "none"),
            Value("Memory used", "bytes"),
            Value("Memory requested", "bytes"),
            Value("Memory at most", "bytes"),
        ),
        decimals=1,
        column_links={
            "Namespace": (
                row_link(
                    "eks_node",
                    "Pods of this namespace",
                    {"cluster": "Cluster", "namespace": "Namespace"},
                ),
            ),
        },
    ),
    width=(8, 8, 8, 24),
)

WORKLOADS = row(
    "Which workload is not as it should be?",
    Timeseries(
        title="Pods by phase",
        description="Pods of the chosen namespaces by phase. Normal: Running, and Succeeded ones of jobs. "
        f"Pending: no machine has room, or a volume is missing. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            Query(
                f"sum by (cluster, phase) (max by ({POD}, phase) "
                f"({in_namespaces('kube_pod_status_phase')})) > 0",
                "{{cluster}} {{phase}}",
            ),
        ),
        stack=True,
    ),
    by_reason(
        "Containers that wait",
        "Containers that do not run, and why. Normal: none. CrashLoopBackOff: see its log; "
        "ImagePullBackOff: the image's name or the way to it.",
        "kube_pod_container_status_waiting_reason",
        nobody="none waits",
        alert="PodCrashLooping",
    ),
    by_reason(
        "How containers ended last",
        "The reason of the last end of containers that were restarted. Normal: Completed, or long ago. "
        "OOMKilled: its memory limit is too low, or it leaks.",
        "kube_pod_container_status_last_terminated_reason",
        nobody="none was restarted",
        alert="OomKilled",
    ),
    Timeseries(
        title="Restarts by namespace",
        description="How often containers of each namespace were restarted. Normal: 0, and one each at an "
        f"upgrade. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(counted("kube_pod_container_status_restarts_total"),),
        draw="bars",
        stack=True,
        alerts=("PodCrashLooping",),
        links=(THIS_NAMESPACE,),
    ),
    Timeseries(
        title="Killed for memory by namespace",
        description="Processes in containers of each namespace that the kernel killed for want of memory. "
        "Normal: 0.",
        unit="none",
        queries=(counted("container_oom_events_total", *REAL),),
        draw="bars",
        stack=True,
        alerts=("OomKilled",),
        steps=steps(start="green", red=1),
        links=(THIS_NAMESPACE,),
    ),
    Timeseries(
        title="Pods that were never made",
        description="Pods that StatefulSets, Deployments and DaemonSets of the chosen namespaces lack. "
        "Normal: none; one at a time during an upgrade. "
        f"{NEEDS_KUBE_STATE_METRICS}",
        unit="suffix: pods",
        queries=(
            missing("statefulset", "kube_statefulset_replicas", "kube_statefulset_status_replicas_ready"),
            missing(
                "deployment", "kube_deployment_spec_replicas", "kube_deployment_status_replicas_available"
            ),
            missing(
                "daemonset",
                "kube_daemonset_status_desired_number_scheduled",
                "kube_daemonset_status_number_available",
            ),
        ),
        alerts=("StakingStatefulSetDegraded",),
        no_value="none missing",
    ),
    Timeseries(
        title="Pods by quality of service",
        description="Pods of the chosen namespaces by their class: Guaranteed (requests are limits), "
        "Burstable, BestEffort. Normal: no BestEffort among staking pods: those are killed first. "
        f"{NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            Query(
                f"sum by (cluster, qos_class) (max by ({POD}, qos_class) "
                f"({in_namespaces('kube_pod_status_qos_class')})) > 0",
                "{{cluster}} {{qos_class}}",
            ),
        ),
        stack=True,
    ),
    Table(
        title="Pods that no machine takes",
        description="Pods that the scheduler finds no place for. Normal: none. Look at requested memory and "
        f"cores above, and at the zone of its volume. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(Query(f"max by ({POD}) ({in_namespaces('kube_pod_status_unschedulable')}) == 1"),),
        columns=headed("cluster", "namespace", "pod"),
        no_value="none",
    ),
    BarGauge(
        title="What there is",
        description="How many objects of each kind the clusters hold. Normal: what you deployed and the "
        f"cluster's own; slow changes. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            how_many("kube_node_info", "nodes", "node"),
            how_many("kube_namespace_status_phase", "namespaces", "namespace"),
            how_many("kube_pod_info", "pods", "namespace", "pod"),
            how_many("kube_pod_container_info", "containers", "namespace", "pod", "container"),
            how_many("kube_statefulset_replicas", "stateful sets", "namespace", "statefulset"),
            how_many("kube_deployment_spec_replicas", "deployments", "namespace", "deployment"),
            how_many(
                "kube_daemonset_status_desired_number_scheduled", "daemon sets", "namespace", "daemonset"
            ),
            how_many(
                "kube_persistentvolumeclaim_info", "volume claims", "namespace", "persistentvolumeclaim"
            ),
        ),
    ),
)

WHAT_RUNS = row(
    "What runs",
    Table(
        title="Versions of machines",
        description="Kubelet, container runtime, kernel and system of each machine. Normal: one of "
        f"each, except during an upgrade. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            Query(
                "max by (cluster, node, kubelet_version, container_runtime_version, kernel_version, "
                f"os_image) ({in_clusters('kube_node_info')})"
            ),
        ),
        columns=headed(
            "cluster",
            "node",
            kubelet_version="Kubelet",
            container_runtime_version="Runtime",
            kernel_version="Kernel",
            os_image="System",
        ),
    ),
    StateTimeline(
        title="Conditions of machines",
        description="What each machine says of itself: ready, and short of memory, disk or process "
        f"numbers. Normal: ready and nothing else. {NEEDS_KUBE_STATE_METRICS}",
        unit="none",
        queries=(
            Query(
                "max by (cluster, node, condition) ("
                f"{in_clusters('kube_node_status_condition', STATUS, OTHERS)})",
                "{{node}} {{condition}}",
            ),
            Query(f"1 - {NODES_READY}", "{{node}} not ready"),
        ),
        states={0: State("no", "green"), 1: State("yes", "red")},
    ),
    width=(14, 10),
)

dashboard = Board(
    uid="eks_cluster",
    title="EKS cluster",
    description="Is there room in the cluster, who takes it, and which workload is not as it should be. Top "
    "to bottom: machines, memory, CPU, namespaces, workloads, versions. A machine and its pods are on the "
    "board of the node.",
    variables=(DatasourceVariable(), CLUSTER, NAMESPACE),
    rows=(IS_IT_WELL, WHAT_IS_WRONG, MEMORY, CPU, NAMESPACES, WORKLOADS, WHAT_RUNS),
    firing=FIRING,
    tags=("kubernetes", "resources"),
)
