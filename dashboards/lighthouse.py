"""Lighthouse beacon nodes: is each well, and if not, why not."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.joins import Process, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.node_panels import peers_by_direction
from stakewatch.grafana.panels import State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.sections import beacon_chain, is_beacon_well, resources, what_is_wrong, what_runs
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

PAYLOAD_STATUS = "execution_layer_payload_status"
NEW_PAYLOAD = 'method="new_payload"'
LIGHTHOUSE = Process(role="beacon", implementation="lighthouse")


SYNC = StateTimeline(
    title="Synced by its own account",
    description="Whether Lighthouse says that it is synced; it looks once per slot. Normal: yes. Yes while "
    "it is behind the clock: the node sees no blocks, check its peers.",
    unit="none",
    queries=(Query(newest(LIGHTHOUSE.series("sync_eth2_synced"))),),
    states={0: State("no", "red"), 1: State("yes", "green")},
)

TRAFFIC = LIGHTHOUSE.per_second("libp2p_bandwidth_bytes_total")
CALLED = LIGHTHOUSE.per_second("execution_layer_request_times_count", NEW_PAYLOAD)
ANSWERED = LIGHTHOUSE.per_second("execution_layer_payload_status", NEW_PAYLOAD)

EXECUTION = row(
    "Execution node: does it answer in time?",
    Timeseries(
        title="Engine API latency",
        description="95 % of the calls to the execution node were faster, by method. Normal: new_payload "
        "below 0.5 s, forkchoice_updated below 0.1 s. From 1 s on attestations suffer.",
        unit="s",
        alerts=("EngineApiSlow",),
        queries=(
            Query(
                LIGHTHOUSE.quantile(0.95, "execution_layer_request_times", "method"),
                "{{instance}} {{method}}",
            ),
        ),
    ),
    Timeseries(
        title="Answers to payloads",
        description="Payloads that the execution node judged, by status. Normal: valid. syncing or "
        "accepted: the execution node is behind. invalid: look at its logs at once.",
        unit="cps",
        alerts=("ExecutionPayloadInvalid",),
        queries=(
            Query(
                f"sum by (cluster, instance, method, status) ({LIGHTHOUSE.per_second(PAYLOAD_STATUS)})",
                "{{instance}} {{method}} {{status}}",
            ),
        ),
    ),
    Timeseries(
        title="Calls that got no answer",
        description="Calls of new_payload less those that were answered with a status. Normal: 0. "
        "Lighthouse has no counter of errors, so this is what tells of them.",
        unit="cps",
        queries=(
            Query(
                "clamp_min(\n"
                f"  sum by (cluster, instance) ({CALLED})\n"
                f"  - sum by (cluster, instance) ({ANSWERED}),\n"
                "  0\n"
                ")"
            ),
        ),
    ),
)

BLOCKS = row(
    "Blocks: are they heard and processed in time?",
    Timeseries(
        title="Time to process a block",
        description="Mean time to verify and import a block, without waiting for the execution node's "
        "answer to the next. Normal: below 0.5 s. Beyond 2 s heads are voted for too late.",
        unit="s",
        queries=(Query(LIGHTHOUSE.mean("beacon_block_processing_seconds")),),
        steps=steps(start="green", orange=1, red=2),
    ),
    Timeseries(
        title="Blocks seen and attestable",
        description="How long after the start of its slot the newest block was heard, and could be "
        "attested to. Normal: below 3 s. From 4 s on attestations of that slot vote for an older head.",
        unit="ms",
        queries=(
            Query(newest(LIGHTHOUSE.series("beacon_block_delay_observed_slot_start")), "{{instance}} heard"),
            Query(
                newest(LIGHTHOUSE.series("beacon_block_delay_attestable_slot_start")),
                "{{instance}} attestable",
            ),
        ),
        steps=steps(start="green", orange=3000, red=4000),
    ),
    Timeseries(
        title="Fork choice",
        description="Mean time to find the head. Normal: below 0.1 s.",
        unit="s",
        queries=(Query(LIGHTHOUSE.mean("beacon_fork_choice_seconds")),),
    ),
    Timeseries(
        title="Hashing a block",
        description="Mean time to hash a block, and the state after it. Normal: below 10 ms for the block, "
        "0.2 s for the state; longer at the first block of an epoch.",
        unit="s",
        queries=(
            Query(LIGHTHOUSE.mean("beacon_block_processing_block_root_seconds"), "{{instance}} block"),
            Query(LIGHTHOUSE.mean("beacon_block_processing_state_root_seconds"), "{{instance}} state"),
        ),
    ),
    Timeseries(
        title="Attesters and aggregators heard",
        description="Validators of the whole network whose attestations and aggregates of the last epoch "
        "this node heard. Normal: level. Falling on one node only: it hears little, look at its peers. "
        "Lighthouse counts what its subnets let it hear.",
        unit="none",
        queries=(
            Query(
                newest(LIGHTHOUSE.series("beacon_attn_observation_epoch_attesters")), "{{instance}} attesters"
            ),
            Query(
                newest(LIGHTHOUSE.series("beacon_attn_observation_epoch_aggregators")),
                "{{instance}} aggregators",
            ),
        ),
    ),
    Timeseries(
        title="Synchronising",
        description="Slots per second that the node takes in while it is behind. Normal: 0 at the head; tens "
        "while it synchronises, and the slots behind the clock divided by it is the time that is left.",
        unit="suffix: slots/s",
        queries=(Query(newest(LIGHTHOUSE.series("sync_slots_per_second"))),),
    ),
)

NETWORK = row(
    "Peers",
    peers_by_direction(LIGHTHOUSE, newest(LIGHTHOUSE.series("libp2p_peers")), "libp2p_peers_multi"),
    Timeseries(
        title="Peers by client",
        description="Connected peers by their implementation. Normal: a mix like the network's. One kind "
        "only: the node may be on another fork than the rest.",
        unit="none",
        queries=(
            Query(
                f"sum by (cluster, instance, Client) ({LIGHTHOUSE.series('libp2p_peers_per_client')})",
                "{{instance}} {{Client}}",
            ),
        ),
        stack=True,
    ),
    Timeseries(
        title="Traffic",
        description="Bytes per second from and to peers. Normal: some MB/s on mainnet.",
        unit="Bps",
        queries=(
            Query(
                f"sum by (cluster, instance, direction) ({TRAFFIC})",
                "{{instance}} {{direction}}",
            ),
        ),
    ),
)

GOSSIP = row(
    "Discovery and gossip",
    Timeseries(
        title="Discovery",
        description="Sessions with nodes that discovery knows, and queries that wait. Normal: hundreds of "
        "sessions, and an empty queue. Sessions at 0: UDP does not get through.",
        unit="none",
        queries=(
            Query(newest(LIGHTHOUSE.series("discovery_sessions")), "{{instance}} sessions"),
            Query(newest(LIGHTHOUSE.series("discovery_queue_size")), "{{instance}} waiting"),
        ),
    ),
    Timeseries(
        title="Requests of discovery",
        description="Requests per second that other nodes make, unasked. Normal: some. Many: somebody looks "
        "over the network.",
        unit="reqps",
        queries=(Query(newest(LIGHTHOUSE.series("discovery_requests"))),),
    ),
    Timeseries(
        title="Peers in the mesh by topic",
        description="Peers that forward a topic to this node, the five topics with fewest. Normal: 4 to 12. "
        "Fewer for blocks: they arrive late.",
        unit="none",
        queries=(
            Query(
                "bottomk by (cluster, instance) (5, max by (cluster, instance, hash) "
                f"({LIGHTHOUSE.series('gossipsub_mesh_peer_counts')}))",
                "{{instance}} {{hash}}",
            ),
        ),
    ),
    Timeseries(
        title="Score of peers by client",
        description="How well this node thinks of its peers, by their implementation. Normal: above 0. Below "
        "0 for one implementation: the two disagree on something.",
        unit="none",
        queries=(
            Query(
                f"max by (cluster, instance, client) ({LIGHTHOUSE.series('peer_score_per_client')})",
                "{{instance}} {{client}}",
            ),
        ),
        minimum=None,
    ),
    width=6,
    collapsed=True,
)

DATABASE = row(
    "Database",
    Timeseries(
        title="Size on disk",
        description="The database of hot and of frozen states and blocks, and of blobs. Normal: grows "
        "slowly; blobs stay level.",
        unit="bytes",
        queries=(
            Query(newest(LIGHTHOUSE.series("store_disk_db_size")), "{{instance}} hot"),
            Query(newest(LIGHTHOUSE.series("store_freezer_db_size")), "{{instance}} frozen"),
        ),
        stack=True,
    ),
    Timeseries(
        title="Reads and writes of the database",
        description="Bytes per second that the database reads and writes. Normal: well below what the "
        "volume may do; peaks at each epoch.",
        unit="Bps",
        queries=(
            Query(
                f"sum by (cluster, instance) ({LIGHTHOUSE.per_second('store_disk_db_read_bytes_total')})",
                "{{instance}} read",
            ),
            Query(
                f"sum by (cluster, instance) ({LIGHTHOUSE.per_second('store_disk_db_write_bytes_total')})",
                "{{instance}} written",
            ),
        ),
    ),
)

dashboard = Board(
    uid="lighthouse",
    title="Lighthouse",
    description="One or several Lighthouse beacon nodes: is each well, and if not, why not. Top to bottom: "
    "answers, alerts, chain, execution node, blocks, peers, database, resources.",
    variables=contract_variables("beacon", "lighthouse"),
    rows=(
        is_beacon_well(LIGHTHOUSE, "lighthouse"),
        what_is_wrong(LIGHTHOUSE),
        beacon_chain(LIGHTHOUSE, SYNC),
        EXECUTION,
        BLOCKS,
        NETWORK,
        GOSSIP,
        DATABASE,
        resources(LIGHTHOUSE),
        what_runs(LIGHTHOUSE),
    ),
    firing=LIGHTHOUSE.firing,
    tags=("beacon", "lighthouse"),
)
