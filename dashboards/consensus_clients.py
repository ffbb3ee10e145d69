"""Teku, Lodestar and Nimbus beacon nodes: is each well, and if not, why not."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.joins import Process, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.panels import State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.sections import beacon_chain, is_beacon_well, resources, what_is_wrong, what_runs
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

ALL = Process(role="beacon", implementation="teku|lodestar|nimbus")
TEKU = Process(role="beacon", implementation="teku")
LODESTAR = Process(role="beacon", implementation="lodestar")
NIMBUS = Process(role="beacon", implementation="nimbus")

LODESTAR_CALLS = "lodestar_execution_engine_http_client_request_time_seconds"
# The ranges of latency, in milliseconds, that Teku writes as text.
FAST = r'interval=~"\\[0,.*|\\[100,300\\)"'
NOT_OK = 'status!="200"'
PER_OUTCOME = "sum by (cluster, instance, method, outcome)"

SYNCED = StateTimeline(
    title="Syncing by their own account",
    description="Whether the node says that it is syncing: Teku's flag, and Lodestar's state other than "
    "synced. Nimbus has none. Normal: no. No while it is behind the clock: it sees no blocks.",
    unit="none",
    queries=(
        Query(newest(TEKU.series("beacon_node_syncing_active"))),
        Query(f"{newest(LODESTAR.series('lodestar_sync_status'))} != bool 3"),
    ),
    states={0: State("no", "green"), 1: State("yes", "orange")},
)

EXECUTION = row(
    "Execution node: does it answer in time?",
    Timeseries(
        title="Engine API latency",
        description="95 % of the calls to the execution node were faster, by method, of Nimbus and Lodestar. "
        "Normal: newPayload below 0.5 s, forkchoiceUpdated below 0.1 s.",
        unit="s",
        queries=(
            Query(
                NIMBUS.quantile(0.95, "engine_api_request_duration_seconds", "request"),
                "{{instance}} {{request}}",
            ),
            Query(LODESTAR.quantile(0.95, LODESTAR_CALLS, "routeId"), "{{instance}} {{routeId}}"),
        ),
        steps=steps(start="green", orange=1, red=4),
    ),
    Timeseries(
        title="Engine API calls of Teku",
        description="Calls of Teku to its execution node by method and outcome. Normal: all success. Teku "
        "counts latencies in ranges only: the panel beside has the slow ones.",
        unit="cps",
        queries=(
            Query(
                f"{PER_OUTCOME} ({TEKU.per_second('beacon_engine_requests_total')})",
                "{{instance}} {{method}} {{outcome}}",
            ),
        ),
    ),
    Timeseries(
        title="Slow calls of Teku",
        description="Share of Teku's calls to its execution node that took 0.3 s or more. Normal: below "
        "0.05.",
        unit="percentunit",
        queries=(
            Query(
                "1 - sum by (cluster, instance, method) "
                f"({TEKU.per_second('beacon_engine_requests_total', FAST)})\n"
                "/ sum by (cluster, instance, method) "
                f"({TEKU.per_second('beacon_engine_requests_total')})",
                "{{instance}} {{method}}",
            ),
        ),
        maximum=1,
    ),
    Timeseries(
        title="Calls of Nimbus that failed",
        description="Answers of the execution node to Nimbus other than 200, and calls without an answer. "
        "Normal: none.",
        unit="cps",
        queries=(
            Query(
                "sum by (cluster, instance, request, status) "
                f"({NIMBUS.per_second('engine_api_responses_total', NOT_OK)})",
                "{{instance}} {{request}} {{status}}",
            ),
            Query(
                f"sum by (cluster, instance, request) ({NIMBUS.per_second('engine_api_timeouts_total')})",
                "{{instance}} {{request}} no answer",
            ),
        ),
        no_value="none failed",
    ),
    Timeseries(
        title="Calls of Lodestar that failed",
        description="Calls of Lodestar to its execution node that failed, by method. Normal: none.",
        unit="cps",
        queries=(
            Query(
                "sum by (cluster, instance, routeId) "
                f"({LODESTAR.per_second('lodestar_execution_engine_http_client_request_errors_total')})",
                "{{instance}} {{routeId}}",
            ),
        ),
        no_value="none failed",
    ),
    Timeseries(
        title="Requests that wait",
        description="Calls to the execution node that Teku holds back. Normal: 0. Otherwise the execution "
        "node is too slow for what is asked.",
        unit="none",
        queries=(Query(newest(TEKU.series("beacon_ee_request_queue_size"))),),
    ),
)

NETWORK = row(
    "Peers",
    Timeseries(
        title="Peers over time",
        description="Connected peers. Of Nimbus those that completed the handshake; its libp2p_peers "
        "counts all connections. Normal: 60 to 200. The dashed line is the alert's threshold.",
        unit="none",
        queries=(
            Query(newest(TEKU.series("libp2p_peers"))),
            Query(newest(LODESTAR.series("libp2p_peers"))),
            Query(newest(NIMBUS.series("nbc_peers"))),
        ),
        alerts=("BeaconNodePeersLow",),
    ),
    Timeseries(
        title="Peers by direction",
        description="Connected peers that dialled this node and that it dialled. Normal: both. No inbound "
        "ones: the port is not reachable from outside.",
        unit="none",
        queries=(
            Query(
                f"sum by (cluster, instance, direction) ({TEKU.series('beacon_peer_count')})",
                "{{instance}} {{direction}}",
            ),
            Query(
                "sum by (cluster, instance, direction) "
                f"({LODESTAR.series('lodestar_peers_by_direction_count')})",
                "{{instance}} {{direction}}",
            ),
        ),
    ),
    Timeseries(
        title="Peers by client",
        description="Connected peers by their implementation. Normal: a mix like the network's.",
        unit="none",
        queries=(
            Query(
                f"sum by (cluster, instance, client) ({TEKU.series('libp2p_connected_peers_current')})",
                "{{instance}} {{client}}",
            ),
            Query(
                f"sum by (cluster, instance, client) ({LODESTAR.series('lodestar_peers_by_client_count')})",
                "{{instance}} {{client}}",
            ),
        ),
        stack=True,
    ),
    Timeseries(
        title="Attestation subnets without peers",
        description="Of the 64 attestation subnets, those on which the node has no peer, by Teku and "
        "Lodestar. Normal: 0 some minutes after a start. The dashed line is the alert's threshold: "
        "attestations there arrive late or never.",
        unit="none",
        queries=tuple(
            Query(
                f"count by (cluster, instance) (max by (cluster, instance, subnet) ({peers}) == 0)\n"
                f"or 0 * count by (cluster, instance) ({peers})"
            )
            for peers in (
                TEKU.series("network_subnet_peer_count", 'subnet=~"attestation_.+"'),
                LODESTAR.series("lodestar_gossip_topic_peers_by_beacon_attestation_subnet_count"),
            )
        ),
        alerts=("BeaconNodeSubnetPeersLow",),
        no_value="not told",
    ),
)

RUNTIME = Timeseries(
    title="Memory of the runtime",
    description="Memory that the program's own runtime manages: Java's heap and beside it (Teku), the heap "
    "of Node.js (Lodestar) and of Nim. Normal: a saw-tooth below the limit that is set for it.",
    unit="bytes",
    queries=(
        Query(
            f"sum by (cluster, instance, area) ({TEKU.series('jvm_memory_used_bytes')})",
            "{{instance}} Java {{area}}",
        ),
        Query(newest(LODESTAR.series("nodejs_heap_size_used_bytes")), "{{instance}} Node.js"),
        Query(f"sum by (cluster, instance) ({NIMBUS.series('nim_gc_mem_bytes')})", "{{instance}} Nim"),
    ),
)

dashboard = Board(
    uid="consensus_clients",
    title="Teku, Lodestar, Nimbus",
    description="Beacon nodes of Teku, Lodestar and Nimbus: is each well, and if not, why not. Top to "
    "bottom: answers, alerts, chain, execution node, peers, resources.",
    variables=contract_variables("beacon", "teku|lodestar|nimbus"),
    rows=(
        is_beacon_well(ALL, "consensus_clients"),
        what_is_wrong(ALL),
        beacon_chain(ALL, SYNCED),
        EXECUTION,
        NETWORK,
        resources(ALL, RUNTIME),
        what_runs(ALL),
    ),
    firing=ALL.firing,
    tags=("beacon", "teku", "lodestar", "nimbus"),
)
