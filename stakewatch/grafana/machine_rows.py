"""Rows that go into detail on machines and their pods: the kernel, and what each pod is and asks for."""

from stakewatch.grafana.layout import Row, row
from stakewatch.grafana.links import board_link
from stakewatch.grafana.machines import (
    CHOSEN_POD,
    REAL_FILESYSTEM,
    REAL_NETWORK,
    container,
    machine,
    on_machine,
    per_machine,
)
from stakewatch.grafana.panels import Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, Value, headed
from stakewatch.grafana.thresholds import steps

_CONTAINER = "cluster, namespace, pod, container"
_POD = "cluster, namespace, pod"
_CONTAINER_LEGEND = "{{namespace}}/{{pod}} {{container}}"
_POD_LEGEND = "{{namespace}}/{{pod}}"
_NEEDS_KUBE_STATE_METRICS = "Needs kube-state-metrics; absent off Kubernetes."


def kernel() -> Row:
    """Return what the kernels of the chosen machines do, and what they may run out of."""
    this = (board_link("eks_node", "Only this machine", ("cluster", "instance")),)
    return row(
        "Kernel",
        Timeseries(
            title="Context switches and interrupts",
            description="How often each machine's cores change from one task to another, and are "
            "interrupted. Normal: some ten thousand a second, level. A jump without more work: a task spins.",
            unit="ops",
            queries=(
                Query(per_machine(_rate("node_context_switches_total")), "{{instance}} switches"),
                Query(per_machine(_rate("node_intr_total")), "{{instance}} interrupts"),
            ),
        ),
        Timeseries(
            title="Files open",
            description="Share of the files that each kernel lets be open at once. Normal: near 0. A process "
            "has a lower limit of its own, which its log tells of.",
            unit="percentunit",
            queries=(
                Query(per_machine(f"{machine('node_filefd_allocated')} / {machine('node_filefd_maximum')}")),
            ),
            maximum=1,
        ),
        Timeseries(
            title="Packets",
            description="Packets per second that each machine receives and sends on its real devices. "
            "Normal: some thousands with a pair of nodes. EC2 types limit packets too, not only bytes.",
            unit="pps",
            queries=(
                Query(_rate("node_network_receive_packets_total", REAL_NETWORK), "{{instance}} received"),
                Query(_rate("node_network_transmit_packets_total", REAL_NETWORK), "{{instance}} sent"),
            ),
        ),
        Timeseries(
            title="TCP connections",
            description="Established TCP connections of each machine. Normal: about as many as its nodes "
            "have peers, and some hundred for everything else.",
            unit="none",
            queries=(Query(per_machine(machine("node_netstat_Tcp_CurrEstab"))),),
        ),
        Timeseries(
            title="File systems that cannot be read",
            description="File systems of which node_exporter cannot learn how full they are. Normal: 0. "
            "Otherwise the disk has errors, or node_exporter may not look, and alerts on it are silent.",
            unit="none",
            queries=(
                Query(
                    "max by (cluster, instance, mountpoint) ("
                    f"{machine('node_filesystem_device_error', REAL_FILESYSTEM)})",
                    "{{instance}} {{mountpoint}}",
                ),
            ),
            steps=steps(start="green", red=1),
        ),
        collapsed=True,
        links=this,
    )


def pods_in_detail(cpu: str, memory: str) -> Row:
    """Return what the chosen pods are, what they ask for, and how they end.

    `cpu` and `memory` are expressions with one value per container: cores, bytes.
    """
    this = (board_link("eks_node", "Only this pod", ("cluster", "namespace", "pod")),)
    return row(
        "Pods in detail",
        Table(
            title="What the pods are",
            description="Each chosen pod: where it runs, who made it, its class of service and priority. "
            "Normal: staking pods are Guaranteed or Burstable, made by a StatefulSet. "
            f"{_NEEDS_KUBE_STATE_METRICS}",
            unit="none",
            queries=(
                Query(
                    "max by (cluster, namespace, pod, node, pod_ip, created_by_kind, created_by_name, "
                    f"priority_class) (kube_pod_info{{{CHOSEN_POD}}})\n"
                    f"* on ({_POD}) group_left (qos_class)\n"
                    f"topk by ({_POD}) (1, max by ({_POD}, qos_class) "
                    f"(kube_pod_status_qos_class{{{CHOSEN_POD}}}) == 1)"
                ),
            ),
            columns=headed(
                "namespace",
                "pod",
                "node",
                pod_ip="Address",
                created_by_kind="Made by",
                created_by_name="Name",
                qos_class="Class",
                priority_class="Priority",
            ),
        ),
        Table(
            title="How containers ended last",
            description="The reason and the exit code of the last end of containers that were restarted. "
            "Normal: Completed with 0, or long ago. OOMKilled with 137: its memory limit is too low, or it "
            f"leaks. {_NEEDS_KUBE_STATE_METRICS}",
            unit="none",
            queries=(
                Query(
                    f"max by ({_CONTAINER}) "
                    f"(kube_pod_container_status_last_terminated_exitcode{{{CHOSEN_POD}}})\n"
                    f"* on ({_CONTAINER}) group_left (reason)\n"
                    f"topk by ({_CONTAINER}) (1, max by ({_CONTAINER}, reason) "
                    f"(kube_pod_container_status_last_terminated_reason{{{CHOSEN_POD}}}) == 1)"
                ),
            ),
            columns=headed("namespace", "pod", "container", "reason"),
            values=(Value("Exit code", "none", 0),),
            alerts=("OomKilled",),
            no_value="none was restarted",
        ),
        Table(
            title="Images",
            description="What each container runs. Normal: one image for all pods of a kind, except during "
            f"an upgrade; a tag that moves (latest) hides what runs. {_NEEDS_KUBE_STATE_METRICS}",
            unit="none",
            queries=(Query(f"max by ({_CONTAINER}, image) (kube_pod_container_info{{{CHOSEN_POD}}})"),),
            columns=headed("namespace", "pod", "container", image="Image"),
        ),
        Timeseries(
            title="CPU of requests and limits",
            description="Cores in use by each container as a share of what it asked for, and of its limit. "
            "Normal: near 1 of the requests; clients are best without a limit. Absent without them.",
            unit="percentunit",
            queries=tuple(
                Query(_of(kind, "cpu", cpu), f"{_CONTAINER_LEGEND} of its {kind}") for kind in _KINDS
            ),
            links=this,
        ),
        Timeseries(
            title="Memory of requests and limits",
            description="Working set of each container as a share of what it asked for, and of its limit. "
            "Normal: near 1 of the requests, below 0.85 of the limit. Above its requests it may be put out "
            "when the machine is short.",
            unit="percentunit",
            queries=tuple(
                Query(_of(kind, "memory", memory), f"{_CONTAINER_LEGEND} of its {kind}") for kind in _KINDS
            ),
            links=this,
        ),
        Timeseries(
            title="Killed for memory by container",
            description="Processes in each container that the kernel killed for want of memory. Normal: 0.",
            unit="none",
            queries=(
                Query(
                    on_machine(
                        f"max by ({_CONTAINER}) "
                        f"(increase({container('container_oom_events_total')}[$__rate_interval]))"
                    ),
                    _CONTAINER_LEGEND,
                ),
            ),
            alerts=("OomKilled",),
            steps=steps(start="green", red=1),
            draw="bars",
            links=this,
        ),
        *(
            Timeseries(
                title=title,
                description=f"{description} Pods on the machine's own network are not told apart.",
                unit=unit,
                queries=tuple(
                    Query(
                        f"sum by ({_POD}) (rate({metric}{{{CHOSEN_POD}}}[$__rate_interval]))",
                        f"{_POD_LEGEND} {legend}",
                    )
                    for metric, legend in metrics
                ),
                links=this,
            )
            for title, description, unit, metrics in _NETWORK_OF_PODS
        ),
        collapsed=True,
    )


_KINDS = ("requests", "limits")
_NETWORK_OF_PODS = (
    (
        "Traffic of pods",
        "Bytes per second that each pod receives and sends. Normal: up to some MB/s for a node.",
        "Bps",
        (
            ("container_network_receive_bytes_total", "received"),
            ("container_network_transmit_bytes_total", "sent"),
        ),
    ),
    (
        "Packets of pods",
        "Packets per second that each pod receives and sends. Normal: some thousands for a node.",
        "pps",
        (
            ("container_network_receive_packets_total", "received"),
            ("container_network_transmit_packets_total", "sent"),
        ),
    ),
    (
        "Packets that pods lose",
        "Packets per second of each pod that were dropped or damaged. Normal: 0.",
        "pps",
        (
            ("container_network_receive_packets_dropped_total", "dropped inbound"),
            ("container_network_transmit_packets_dropped_total", "dropped outbound"),
            ("container_network_receive_errors_total", "damaged inbound"),
            ("container_network_transmit_errors_total", "damaged outbound"),
        ),
    ),
)


def _rate(metric: str, *matchers: str) -> str:
    return f"rate({machine(metric, *matchers)}[$__rate_interval])"


def _of(kind: str, resource: str, used: str) -> str:
    """Return what each container uses as a share of its requests or limits of a resource."""
    asked = f'kube_pod_container_resource_{kind}{{{CHOSEN_POD},resource="{resource}"}}'
    return f"{used}\n/ on ({_CONTAINER}) max by ({_CONTAINER}) ({asked})"
