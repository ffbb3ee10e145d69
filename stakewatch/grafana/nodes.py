"""Beacon and execution nodes of all implementations: one query per question, and the board of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType

from stakewatch.grafana.joins import Process, either, newest

# The board of an implementation; the others are shown on the board of the whole fleet.
BOARD_OF: Mapping[str, str] = MappingProxyType(
    {
        "geth": "geth_node",
        "erigon": "erigon",
        "nethermind": "execution_clients",
        "besu": "execution_clients",
        "reth": "execution_clients",
        "lighthouse": "lighthouse",
        "prysm": "prysm",
        "teku": "consensus_clients",
        "lodestar": "consensus_clients",
        "nimbus": "consensus_clients",
    }
)
BOARD_OF_THE_REST = "fleet_overview"


@dataclass(frozen=True)
class _Source:
    """A metric that counts the peers of these implementations."""

    implementations: frozenset[str]
    metric: str
    matchers: tuple[str, ...] = ()


_PEERS_OF_BEACON = (
    _Source(frozenset({"nimbus"}), "nbc_peers"),
    _Source(frozenset({"prysm"}), "p2p_peer_count", ('state="Connected"',)),
    _Source(frozenset({"lighthouse", "teku", "lodestar", "nimbus"}), "libp2p_peers"),
)
_PEERS_OF_EXECUTION = (
    _Source(frozenset({"geth", "erigon"}), "p2p_peers"),
    _Source(frozenset({"nethermind", "besu"}), "ethereum_peer_count"),
    _Source(frozenset({"reth"}), "reth_network_connected_peers"),
)


def answers(process: Process) -> str:
    """Return 1 per node whose API answers the exporter, else 0; of unwatched ones, whether Prometheus can."""
    return first_of(process.series("stakewatch_node_up"), process.series("up"))


def peers_of_beacon(process: Process) -> str:
    """Return the peers of each beacon node, counted as the alert BeaconNodePeersLow counts them."""
    return _peers(process, _PEERS_OF_BEACON)


def peers_of_execution(process: Process) -> str:
    """Return the peers of each execution node, counted as the alert ExecutionPeersLow counts them."""
    return _peers(process, _PEERS_OF_EXECUTION)


def first_of(*expressions: str) -> str:
    """Return one value per node: of the first of `expressions` that has the node."""
    return reduce(either, (newest(expression) for expression in expressions))


def with_board(expression: str) -> str:
    """Return `expression` with the label `board`: the uid of the board of its series' implementation."""
    labelled = f'label_replace(\n{expression},\n"board", "{BOARD_OF_THE_REST}", "", "")'
    for implementation, board in sorted(BOARD_OF.items()):
        labelled = f'label_replace({labelled}, "board", "{board}", "implementation", "{implementation}")'
    return labelled


def _peers(process: Process, sources: tuple[_Source, ...]) -> str:
    chosen = set(process.implementation.split("|"))
    own = (
        process.series(source.metric, *source.matchers)
        for source in sources
        if not process.implementation or chosen & source.implementations
    )
    return first_of(process.series("stakewatch_node_peers"), *own)
