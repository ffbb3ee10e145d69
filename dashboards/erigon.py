"""Erigon nodes: is each well, and if not, why not."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.joins import Process, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.panels import Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.sections import is_execution_well, resources, what_is_wrong, what_runs
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

ERIGON = Process(role="execution", implementation="erigon")

EXECUTION_STAGE = ERIGON.series("sync", 'stage="execution"')
PER_METHOD = "max by (cluster, instance, method)"
MEDIAN = 'quantile="0.5"'
NINETY = 'quantile="0.9"'
SUCCESS = 'success="success"'
ENGINE = 'method=~"engine_.+"'


def values(**metrics: str) -> tuple[Query, ...]:
    """Return the newest value per legend."""
    return tuple(
        Query(newest(ERIGON.series(metric)), f"{{{{instance}}}} {legend.replace('_', ' ')}")
        for legend, metric in metrics.items()
    )


CHAIN = row(
    "Chain: does it follow?",
    Timeseries(
        title="Age of the head",
        description="Seconds since the timestamp of the head block, by the exporter. Normal: a saw-tooth "
        "of one or two slots. A straight line upwards is a node that stands still.",
        unit="s",
        alerts=("ExecutionHeadStalled",),
        queries=(Query(f"time() - {newest(ERIGON.series('stakewatch_execution_head_timestamp_seconds'))}"),),
    ),
    Timeseries(
        title="Stages",
        description="Block that each stage has reached. Normal: lines on top of each other that climb; "
        "headers may lag behind since the merge. During the download of snapshots only otter_sync moves, "
        "for hours.",
        unit="none",
        alerts=("ErigonStageStalled",),
        queries=(
            Query(f"max by (cluster, instance, stage) ({ERIGON.series('sync')})", "{{instance}} {{stage}}"),
        ),
        calculations=("lastNotNull",),
        minimum=None,
    ),
    Timeseries(
        title="Steps of the execution stage",
        description="How often the execution stage moved on in the last 10 minutes. Normal: about 50 on a "
        "network with slots of 12 seconds. 0: the stage stands still, whatever the others do.",
        unit="none",
        queries=(Query(f"changes({EXECUTION_STAGE}[10m])"),),
        steps=steps(start="red", green=1),
    ),
    Timeseries(
        title="Gas per second",
        description="How fast the node executes blocks at the head. Normal: several hundred on a machine "
        "with a local NVMe disk. Falling: disk, CPU or memory is short.",
        unit="suffix: Mgas/s",
        queries=(Query(newest(ERIGON.series("chain_tip_mgas_per_sec"))),),
    ),
    Timeseries(
        title="Time in stages",
        description="Half of the newest runs of each stage were shorter. Normal: execution leads, below 1 "
        "s at the head.",
        unit="s",
        queries=(
            Query(
                f"max by (cluster, instance, stage) ({ERIGON.series('run_stage_duration_secs', MEDIAN)})",
                "{{instance}} {{stage}}",
            ),
        ),
    ),
    Timeseries(
        title="Work in the background",
        description="Whether files of the database are built or merged, or blocks are taken back. Normal: "
        "building and merging now and then, which slows blocks down; taking back seldom.",
        unit="none",
        queries=values(
            building="domain_running_files_building",
            merging="domain_running_merges",
            taking_back="domain_running_unwind",
        ),
    ),
)

ENGINE_API = row(
    "Engine API and JSON-RPC: what the beacon node feels",
    Timeseries(
        title="Engine API latency",
        description="90 % of the beacon node's calls of the last 5 minutes were faster, by method. Normal: "
        "newPayload below 0.5 s, forkchoiceUpdated below 0.1 s. Absent where RPC runs in a process of its "
        "own.",
        unit="s",
        queries=(
            Query(
                f"{PER_METHOD} ({ERIGON.series('rpc_duration_seconds', ENGINE, NINETY, SUCCESS)})",
                "{{instance}} {{method}}",
            ),
        ),
        steps=steps(start="green", orange=1, red=4),
    ),
    Timeseries(
        title="Engine API calls",
        description="Calls of the beacon node by method and whether they succeeded. Normal: newPayload and "
        "forkchoiceUpdated once or twice per slot, no failure. None: no beacon node is connected.",
        unit="cps",
        queries=(
            Query(
                "sum by (cluster, instance, method, success) "
                f"({ERIGON.per_second('rpc_duration_seconds_count', ENGINE)})",
                "{{instance}} {{method}} {{success}}",
            ),
        ),
    ),
    Timeseries(
        title="JSON-RPC requests",
        description="All requests and failed ones. Normal: steady, failures near 0. A jump is a new user "
        "of this node, who competes with your validators.",
        unit="reqps",
        queries=(
            Query(newest(ERIGON.per_second("rpc_total")), "{{instance}} requests"),
            Query(newest(ERIGON.per_second("rpc_failure")), "{{instance}} failures"),
        ),
    ),
)

POOL_AND_PEERS = row(
    "Transactions, peers, database",
    Timeseries(
        title="Transactions",
        description="Transactions in the pool: pending can go into the next block, queued wait for another "
        "of the same sender, basefee ones pay too little now. Normal: thousands on mainnet.",
        unit="none",
        queries=values(pending="txpool_pending", queued="txpool_queued", basefee="txpool_basefee"),
    ),
    Timeseries(
        title="Peers over time",
        description="Connected peers. Normal: 25 to 50. The dashed line is the alert's threshold.",
        unit="none",
        queries=(Query(newest(ERIGON.series("p2p_peers"))),),
        alerts=("ExecutionPeersLow",),
    ),
    Timeseries(
        title="Traffic with peers",
        description="Bytes per second from and to peers. Normal: some hundred kB/s each way on mainnet.",
        unit="Bps",
        queries=(
            Query(newest(ERIGON.per_second("p2p_ingress")), "{{instance}} received"),
            Query(newest(ERIGON.per_second("p2p_egress")), "{{instance}} sent"),
        ),
    ),
    Timeseries(
        title="Size of databases",
        description="Bytes of each database; the snapshots' files lie beside them. Normal: level, for old "
        "data moves into the files.",
        unit="bytes",
        queries=(
            Query(f"max by (cluster, instance, db) ({ERIGON.series('db_size')})", "{{instance}} {{db}}"),
        ),
        stack=True,
    ),
)

dashboard = Board(
    uid="erigon",
    title="Erigon",
    description="One or several Erigon nodes: is each well, and if not, why not. Top to bottom: answers, "
    "alerts, chain, Engine API, transactions, peers, database, resources. Erigon maps its database: its "
    "working set is larger than what it needs.",
    variables=contract_variables("execution", "erigon"),
    rows=(
        is_execution_well(ERIGON, "erigon", head=f"changes({EXECUTION_STAGE}[5m])"),
        what_is_wrong(ERIGON),
        CHAIN,
        ENGINE_API,
        POOL_AND_PEERS,
        resources(ERIGON, memory=("mem_rss", "process_resident_memory_bytes")),
        what_runs(ERIGON),
    ),
    firing=ERIGON.firing,
    tags=("execution", "erigon"),
)
