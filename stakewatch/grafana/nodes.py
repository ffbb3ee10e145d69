"""Beacon and execution nodes of all implementations: one query per question, and the board of each."""

from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType

from stakewatch.grafana.joins import Process, either, newest

# The board of an implementation; the others are shown on the board of the whole fleet.
BOARD_OF: Mapping[str, str] = MappingProxyType({"geth": "geth_node"})
BOARD_OF_THE_REST = "fleet_overview"


def answers(process: Process) -> str:
    """Return 1 per node whose API answers the exporter, else 0; of unwatched ones, whether Prometheus can."""
    return first_of(process.series("stakewatch_node_up"), process.series("up"))


def peers_of_beacon(process: Process) -> str:
    """Return the peers of each beacon node, counted as the alert BeaconNodePeersLow counts them."""
    return first_of(
        process.series("stakewatch_node_peers"),
        process.series("nbc_peers"),
        process.series("p2p_peer_count", 'state="Connected"'),
        process.series("libp2p_peers"),
    )


def peers_of_execution(process: Process) -> str:
    """Return the peers of each execution node, counted as the alert ExecutionPeersLow counts them."""
    return first_of(
        process.series("stakewatch_node_peers"),
        process.series("p2p_peers"),
        process.series("ethereum_peer_count"),
        process.series("reth_network_connected_peers"),
    )


def first_of(*expressions: str) -> str:
    """Return one value per node: of the first of `expressions` that has the node."""
    return reduce(either, (newest(expression) for expression in expressions))


def with_board(expression: str) -> str:
    """Return `expression` with the label `board`: the uid of the board of its series' implementation."""
    labelled = f'label_replace(\n{expression},\n"board", "{BOARD_OF_THE_REST}", "", "")'
    for implementation, board in sorted(BOARD_OF.items()):
        labelled = f'label_replace({labelled}, "board", "{board}", "implementation", "{implementation}")'
    return labelled
