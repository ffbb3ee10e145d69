"""Panels on nodes that several boards share, each for the processes of one board."""

from stakewatch.grafana import usage
from stakewatch.grafana.joins import Process, either, newest
from stakewatch.grafana.nodes import answers
from stakewatch.grafana.panels import Gauge, Panel, Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.thresholds import steps


def api_answers(process: Process, *, alert: str) -> Panel:
    """Return whether each node answers."""
    return Stat(
        title="Answers",
        description="Whether the node's API answers the exporter, or its metrics port answers Prometheus "
        "where no exporter watches it. Normal: up.",
        unit="none",
        queries=(Query(answers(process)),),
        alerts=(alert,),
        states={0: State("Down", "red"), 1: State("Up", "green")},
        no_value="unknown",
    )


def new_blocks(changes: str) -> Panel:
    """Return how often each execution node's head changed: `changes` counts it over the last 5 minutes."""
    return Stat(
        title="New blocks in 5 min",
        description="How often the head changed in the last 5 minutes. Normal: about 25 on a network with "
        "slots of 12 seconds. 0 with a healthy node nearly always means that no beacon node drives it.",
        unit="none",
        alerts=("ExecutionHeadStalled", "ExecutionNodeSyncing"),
        queries=(Query(changes),),
        steps=steps(start="red", green=1),
    )


def memory_now(process: Process) -> Panel:
    """Return how much memory each node uses of what it has."""
    return Gauge(
        title="Memory used",
        description="Memory that cannot be taken back, as a share of the container's limit; of the machine's "
        "memory where the node runs in no container with a limit. Normal: below the alert's threshold.",
        unit="percentunit",
        queries=(
            Query(either(newest(usage.memory_of_limit(process)), newest(usage.memory_of_machine(process)))),
        ),
        alerts=("ContainerMemoryHigh", "NodeMemoryHigh"),
    )


def disk_now(process: Process, remark: str = "") -> Panel:
    """Return how full each node's disk is; `remark` is what its implementation does when that is full."""
    return Gauge(
        title="Disk used",
        description="The fullest volume of the node's pod; the fullest file system of its machine where "
        f"there is no pod. {remark}Normal: below 80 %.",
        unit="percentunit",
        alerts=("VolumeAlmostFull",),
        queries=(
            Query(either(newest(usage.volumes_used(process)), newest(usage.fullest_filesystem(process)))),
        ),
    )


def memory_of_limit_over_time(process: Process) -> Panel:
    """Return how near each node is to being killed for its memory."""
    return Timeseries(
        title="Memory of the container's limit",
        description="Memory that cannot be taken back, as a share of the container's limit; at 1 the "
        "container is killed. The dashed line is the alert's threshold. Absent off Kubernetes and without a "
        "limit.",
        unit="percentunit",
        queries=(Query(newest(usage.memory_of_limit(process))),),
        alerts=("ContainerMemoryHigh",),
    )


def healthy_over_time(process: Process, title: str, description: str, *links: dict[str, object]) -> Panel:
    """Return a band per node that is green while the node passes all checks of the exporter."""
    return StateTimeline(
        title=title,
        description=description,
        unit="none",
        queries=(
            Query(
                f"min by (cluster, instance, implementation) ({process.series('stakewatch_node_healthy')})",
                "{{instance}} ({{implementation}})",
            ),
        ),
        states={0: State("fails a check", "red"), 1: State("healthy", "green")},
        links=links,
    )


def peers_by_direction(process: Process, connected: str, directions: str) -> Panel:
    """Return the peers of beacon nodes, all and by direction.

    `connected` is an expression, `directions` a metric of the implementation with the label `direction`.
    """
    return Timeseries(
        title="Peers by direction",
        description="Connected peers that dialled this node and that it dialled. Normal: both. No inbound "
        "ones: the port is not reachable from outside. The dashed line is the alert's threshold.",
        unit="none",
        queries=(
            Query(connected, "{{instance}} all"),
            Query(
                f"sum by (cluster, instance, direction) ({process.series(directions)})",
                "{{instance}} {{direction}}",
            ),
        ),
        alerts=("BeaconNodePeersLow",),
    )
