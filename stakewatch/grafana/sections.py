"""Sections: rows that the boards of all implementations have in common, for the processes of one board."""

from collections.abc import Mapping

from stakewatch.grafana import usage
from stakewatch.grafana.joins import Process, either, newest
from stakewatch.grafana.layout import Row, row
from stakewatch.grafana.links import board_link
from stakewatch.grafana.node_panels import (
    api_answers,
    disk_now,
    memory_now,
    memory_of_limit_over_time,
    new_blocks,
)
from stakewatch.grafana.nodes import first_of, peers_of_beacon, peers_of_execution
from stakewatch.grafana.panels import Panel, Stat, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.tables import Table, firing_alerts, headed

_NO_YES: Mapping[float, State] = {0: State("no", "green"), 1: State("yes", "red")}


def is_beacon_well(process: Process, uid: str) -> Row:
    """Return the first row of a board on beacon nodes; a click on a value chooses the node on board `uid`."""
    return row(
        "Is it well?",
        api_answers(process, alert="BeaconNodeDown"),
        Stat(
            title="Behind the clock",
            description="Slots between the clock and the head, by the exporter. Normal: 0 or 1.",
            unit="suffix: slots",
            alerts=("BeaconNodeBehindClock",),
            queries=(Query(newest(process.series("stakewatch_beacon_sync_distance_slots"))),),
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
        ),
        Stat(
            title="Peers",
            description="Connected peers. Normal: 60 to 200.",
            unit="none",
            queries=(Query(peers_of_beacon(process)),),
            alerts=("BeaconNodePeersLow",),
        ),
        memory_now(process),
        disk_now(process),
        width=4,
        height=5,
        links=(_this(uid),),
    )


def is_execution_well(process: Process, uid: str, head: str) -> Row:
    """Return the first row of a board on execution nodes; `head` counts new blocks."""
    return row(
        "Is it well?",
        api_answers(process, alert="ExecutionNodeDown"),
        new_blocks(head),
        Stat(
            title="Behind beacon",
            description="Blocks between the head and the newest payload of the beacon chain, by the "
            "exporter. Normal: 0 or 1.",
            unit="suffix: blocks",
            alerts=("ExecutionBehindBeacon",),
            queries=(Query(newest(process.series("stakewatch_execution_behind_blocks"))),),
        ),
        Stat(
            title="Peers",
            description="Connected peers. Normal: 25 to 50.",
            unit="none",
            queries=(Query(peers_of_execution(process)),),
            alerts=("ExecutionPeersLow",),
        ),
        memory_now(process),
        disk_now(process),
        width=4,
        height=5,
        links=(_this(uid),),
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
        memory_of_limit_over_time(process),
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
                        newest(usage.cpu_of_container(process)),
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
            queries=(Query(newest(usage.cpu_throttled(process))),),
        ),
        Timeseries(
            title="Memory of the machine",
            description="Memory in use on the machine, page cache not counted. The dashed line is the "
            "alert's threshold.",
            unit="percentunit",
            queries=(Query(usage.memory_of_machine(process), "{{instance}} on {{nodename}}"),),
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


def _this(uid: str) -> dict[str, object]:
    return board_link(uid, "Only this node", ("cluster", "instance"))
