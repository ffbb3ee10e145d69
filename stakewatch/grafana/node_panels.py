"""Panels on nodes that several boards share, each for the processes of one board."""

from stakewatch.grafana.joins import Process
from stakewatch.grafana.panels import Panel, State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query


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
