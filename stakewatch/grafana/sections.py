"""Sections: rows that the boards of all implementations have in common, for the processes of one board."""

from collections.abc import Mapping

from stakewatch.grafana.joins import CHOSEN, Process, either, newest
from stakewatch.grafana.layout import Row, row
from stakewatch.grafana.links import board_link
from stakewatch.grafana.nodes import answers, first_of, peers_of_beacon, peers_of_execution
from stakewatch.grafana.panels import Gauge, Panel, Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, firing_alerts, headed
from stakewatch.grafana.thresholds import steps

_REAL_FILESYSTEM = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|fuse.*"'
_IN_CONTAINER = f'{{{CHOSEN},container!=""}}[$__rate_interval]'
_UP: Mapping[float, State] = {0: State("Down", "red"), 1: State("Up", "green")}
_NO_YES: Mapping[float, State] = {0: State("no", "green"), 1: State("yes", "red")}


def is_beacon_well(process: Process, uid: str) -> Row:
    """Return the first row of a board on beacon nodes; a click on a value chooses the node on board `uid`."""
    this = (_this(uid),)
    return row(
        "Is it well?",
        _answers(process, this, alert="BeaconNodeDown"),
        Stat(
            title="Behind the clock",
            description="Slots between the clock and the head, by the exporter. Normal: 0 or 1.",
            unit="suffix: slots",
            alerts=("BeaconNodeBehindClock",),
            queries=(Query(newest(process.series("stakewatch_beacon_sync_distance_slots"))),),
            links=this,
        ),
        Stat(
            title="Execution link broken",
            description="Whether the node's head is unverified, or its execution node out of reach: its "
            "validators then attest to nothing. Normal: no.",
            unit="none",
            alerts=("BeaconNodeExecutionOffline", "BeaconNodeOptimistic"),
            queries=(
                Query(
                    newest(
                        process.series(
                            "", '__name__=~"stakewatch_beacon_optimistic|stakewatch_beacon_execution_offline"'
                        )
                    )
                ),
            ),
            states=_NO_YES,
            links=this,
        ),
        Stat(
            title="Peers",
            description="Connected peers. Normal: 60 to 200.",
            unit="none",
            queries=(Query(peers_of_beacon(process)),),
            alerts=("BeaconNodePeersLow",),
            links=this,
        ),
        _memory(process, this),
        _disk(process, this),
        width=4,
        height=5,
    )


def is_execution_well(process: Process, uid: str, head: str) -> Row:
    """Return the first row of a board on execution nodes; `head` is the number of the newest block."""
    this = (_this(uid),)
    return row(
        "Is it well?",
        _answers(process, this, alert="ExecutionNodeDown"),
        Stat(
            title="New blocks in 5 min",
            description="How often the head changed in the last 5 minutes. Normal: about 25 on a network "
            "with slots of 12 seconds. 0 with a healthy node nearly always means that no beacon node "
            "drives it.",
            unit="none",
            alerts=("ExecutionHeadStalled", "ExecutionNodeSyncing"),
            queries=(Query(head),),
            steps=steps(start="red", green=1),
            links=this,
        ),
        Stat(
            title="Behind beacon",
            description="Blocks between the head and the newest payload of the beacon chain, by the "
            "exporter. Normal: 0 or 1.",
            unit="suffix: blocks",
            alerts=("ExecutionBehindBeacon",),
            queries=(Query(newest(process.series("stakewatch_execution_behind_blocks"))),),
            links=this,
        ),
        Stat(
            title="Peers",
            description="Connected peers. Normal: 25 to 50.",
            unit="none",
            queries=(Query(peers_of_execution(process)),),
            alerts=("ExecutionPeersLow",),
            links=this,
        ),
        _memory(process, this),
        _disk(process, this),
        width=4,
        height=5,
    )


def what_is_wrong(process: Process) -> Row:
    """Return the firing alerts and the exporter's checks of the processes."""
    return row(
        "What is wrong",
        firing_alerts("Alerts that fire for the chosen nodes now", process.firing, "instance"),
        StateTimeline(
            title="Health checks",
            description="Each check of the exporter over time: synced, enough peers, head advancing, the "
            "right chain. Normal: all pass.",
            unit="none",
            queries=(
                Query(
                    f"min by (cluster, instance, check) ({process.series('stakewatch_node_check')})",
                    "{{instance}} {{check}}",
                ),
            ),
            states={0: State("fails", "red"), 1: State("passes", "green")},
        ),
        width=12,
    )


def beacon_chain(process: Process, *more: Panel) -> Row:
    """Return how the beacon nodes follow the chain, with further panels of an implementation."""
    return row(
        "Chain: does it follow?",
        Timeseries(
            title="Slots behind the clock",
            description="Slots between the clock and the head, by the exporter's clock, which does not stand "
            "still when the node does. Normal: 0 or 1; a missed slot makes one higher tooth.",
            unit="suffix: slots",
            alerts=("BeaconNodeBehindClock", "BeaconNodeHeadStalled", "BeaconNodeSyncing"),
            queries=(Query(newest(process.series("stakewatch_beacon_sync_distance_slots"))),),
        ),
        Timeseries(
            title="Justified and finalised",
            description="Justified and finalised epoch of the node's head. Normal: two stairs, one epoch "
            "apart. Flat on this node only: it is on another branch, or stands still.",
            unit="none",
            queries=(
                Query(newest(process.series("beacon_current_justified_epoch")), "{{instance}} justified"),
                Query(newest(process.series("beacon_finalized_epoch")), "{{instance}} finalised"),
            ),
            calculations=("lastNotNull",),
            minimum=None,
        ),
        Timeseries(
            title="Reorganisations",
            description="Changes of the head to another branch. Normal: a few per hour. Many on one node "
            "only: it hears blocks late.",
            unit="none",
            queries=(Query(newest(f"increase({process.series('beacon_reorgs_total')}[$__rate_interval])")),),
            draw="bars",
        ),
        StateTimeline(
            title="On the same chain?",
            description="Whether the node has another block than the others two slots back, or another fork "
            "schedule. Normal: neither. With two nodes both say yes.",
            unit="none",
            alerts=("BeaconNodeRootDisagreement", "BeaconNodeForkScheduleMismatch"),
            queries=(
                Query(
                    newest(process.series("stakewatch_beacon_root_disagreement")), "{{instance}} other block"
                ),
                Query(
                    newest(process.series("stakewatch_beacon_fork_schedule_mismatch")),
                    "{{instance}} other fork schedule",
                ),
            ),
            states=_NO_YES,
        ),
        *more,
    )


def resources(
    process: Process,
    *more: Panel,
    memory: tuple[str, ...] = ("process_resident_memory_bytes",),
    cpu: tuple[str, ...] = ("process_cpu_seconds_total",),
) -> Row:
    """Return what the processes use.

    `memory` and `cpu` are the metrics in which the implementations say it: bytes, and seconds that only grow.
    """
    return row(
        "Resources",
        Timeseries(
            title="Memory of the container's limit",
            description="Memory that cannot be taken back, as a share of the container's limit; at 1 the "
            "container is killed. The dashed line is the alert's threshold. Absent off Kubernetes and "
            "without a limit.",
            unit="percentunit",
            queries=(Query(newest(_of_limit(process))),),
            alerts=("ContainerMemoryHigh",),
        ),
        Timeseries(
            title="Memory of the process",
            description="Memory of the process as it says itself. Normal: flat some hours after the start. A "
            "line that only climbs ends at the limit.",
            unit="bytes",
            queries=(Query(first_of(*(process.series(name) for name in memory))),),
        ),
        Timeseries(
            title="CPU of the process",
            description="Cores in use, as the container runtime measures it; as the process does where there "
            "is no container. Normal: below 2 at the head, all cores while it synchronises.",
            unit="suffix: cores",
            queries=(
                Query(
                    either(
                        newest(
                            process.of_container(
                                "sum by (cluster, namespace, pod, container) "
                                f"(rate(container_cpu_usage_seconds_total{_IN_CONTAINER}))"
                            )
                        ),
                        first_of(*(f"rate({process.series(name)}[$__rate_interval])" for name in cpu)),
                    )
                ),
            ),
        ),
        Timeseries(
            title="CPU throttled",
            description="Share of scheduling periods in which the container's CPU limit stopped it. "
            "Normal: 0. Anything else makes duties late: raise or remove the CPU limit. Absent without a "
            "limit.",
            unit="percentunit",
            alerts=("ContainerCpuThrottled",),
            queries=(
                Query(
                    newest(
                        process.of_container(
                            f"rate(container_cpu_cfs_throttled_periods_total{_IN_CONTAINER})\n"
                            f"/ rate(container_cpu_cfs_periods_total{_IN_CONTAINER})"
                        )
                    )
                ),
            ),
        ),
        Timeseries(
            title="Memory of the machine",
            description="Memory in use on the machine, page cache not counted. The dashed line is the "
            "alert's threshold.",
            unit="percentunit",
            queries=(Query(_memory_of_machine(process), "{{instance}} on {{nodename}}"),),
            alerts=("NodeMemoryHigh",),
            maximum=1,
        ),
        *more,
    )


def what_runs(process: Process, start: tuple[str, ...] = ("process_start_time_seconds",)) -> Row:
    """Return the versions, by the exporter, and the age of the processes: `start` are Unix seconds."""
    return row(
        "What runs",
        Table(
            title="Versions",
            description="What runs where. Normal: one version of an implementation, except during an "
            "upgrade.",
            unit="none",
            alerts=("ClientVersionOutdated", "ClientVersionsDrift"),
            queries=(
                Query(
                    "max by (cluster, network, instance, implementation, version) "
                    f"({process.series('stakewatch_node_info')})"
                ),
            ),
            columns=headed("cluster", "network", "instance", "implementation", "version"),
        ),
        Stat(
            title="Up for",
            description="Time since the process started. Normal: since the last upgrade.",
            unit="s",
            queries=(Query("time() - (" + first_of(*(process.series(name) for name in start)) + ")"),),
            colour="none",
            decimals=0,
        ),
        width=(16, 8),
        height=7,
    )


def _answers(process: Process, links: tuple[dict[str, object], ...], *, alert: str) -> Panel:
    return Stat(
        title="Answers",
        description="Whether the node's API answers the exporter, or its metrics port answers Prometheus "
        "where no exporter watches it. Normal: up.",
        unit="none",
        queries=(Query(answers(process)),),
        alerts=(alert,),
        states=_UP,
        no_value="unknown",
        links=links,
    )


def _memory(process: Process, links: tuple[dict[str, object], ...]) -> Panel:
    return Gauge(
        title="Memory used",
        description="Memory that cannot be taken back, as a share of the container's limit; of the machine's "
        "memory where the node runs in no container with a limit. Normal: below the alert's threshold.",
        unit="percentunit",
        queries=(Query(either(newest(_of_limit(process)), newest(_memory_of_machine(process)))),),
        alerts=("ContainerMemoryHigh", "NodeMemoryHigh"),
        links=links,
    )


def _disk(process: Process, links: tuple[dict[str, object], ...]) -> Panel:
    volume = process.of_volume(
        f"kubelet_volume_stats_used_bytes{{{CHOSEN}}} / kubelet_volume_stats_capacity_bytes{{{CHOSEN}}}"
    )
    filesystem = process.of_machine(
        f"max by (cluster, instance) (1 - node_filesystem_avail_bytes{{{CHOSEN},{_REAL_FILESYSTEM}}}"
        f" / node_filesystem_size_bytes{{{CHOSEN},{_REAL_FILESYSTEM}}})"
    )
    return Gauge(
        title="Disk used",
        description="The fullest volume of the node's pod; the fullest file system of its machine where "
        "there is no pod. Normal: below 80 %.",
        unit="percentunit",
        alerts=("VolumeAlmostFull",),
        queries=(Query(either(newest(volume), newest(filesystem))),),
        links=links,
    )


def _of_limit(process: Process) -> str:
    return process.of_container(f"container:memory_used:ratio{{{CHOSEN}}}")


def _memory_of_machine(process: Process) -> str:
    return process.of_machine(
        f"(1 - node_memory_MemAvailable_bytes{{{CHOSEN}}} / node_memory_MemTotal_bytes{{{CHOSEN}}})"
    )


def _this(uid: str) -> dict[str, object]:
    return board_link(uid, "Only this node", ("cluster", "instance"))
