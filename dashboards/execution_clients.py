"""Nethermind, Besu and Reth nodes: is each well, and if not, why not."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.joins import Process, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.nodes import first_of, peers_of_execution
from stakewatch.grafana.panels import State, StateTimeline, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.sections import is_execution_well, resources, what_is_wrong, what_runs
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

ALL = Process(role="execution", implementation="nethermind|besu|reth")
NETHERMIND = Process(role="execution", implementation="nethermind")
BESU = Process(role="execution", implementation="besu")
RETH = Process(role="execution", implementation="reth")

# Nethermind's series carry its version: an upgrade starts new ones, so the greatest is taken.
HEIGHT_OF_NETHERMIND = NETHERMIND.series("ethereum_blockchain_height")
HEIGHT_OF_BESU = BESU.series("ethereum_blockchain_height")
HEIGHT_OF_RETH = RETH.series("reth_blockchain_tree_canonical_chain_height")
NEW_BLOCKS = first_of(
    *(f"changes({height}[5m])" for height in (HEIGHT_OF_NETHERMIND, HEIGHT_OF_BESU, HEIGHT_OF_RETH))
)
QUANTILE = 'quantile="0.95"'
ENGINE_OF_BESU = 'methodName=~"engine_.+"'


def of_reth(call: str) -> str:
    """Return 95 % of the durations of one call of the Engine API; its versions change with each fork."""
    name = f'__name__=~"reth_engine_rpc_{call}_v[1-9]+"'
    return f"{newest(RETH.series('', name, QUANTILE))} > 0"


CHAIN = row(
    "Chain: does it follow?",
    Timeseries(
        title="Age of the head",
        description="Seconds since the timestamp of the head block, by the exporter. Normal: a saw-tooth "
        "of one or two slots. A straight line upwards is a node that stands still.",
        unit="s",
        queries=(Query(f"time() - {newest(ALL.series('stakewatch_execution_head_timestamp_seconds'))}"),),
    ),
    Timeseries(
        title="Head block",
        description="Number of the newest block that each node has. Normal: lines on top of each other "
        "that climb.",
        unit="none",
        queries=(Query(first_of(HEIGHT_OF_NETHERMIND, HEIGHT_OF_BESU, HEIGHT_OF_RETH)),),
        calculations=("lastNotNull",),
        minimum=None,
    ),
    Timeseries(
        title="Head ahead of finalised",
        description="Blocks that could still be reorganised, of Besu and Reth; Nethermind does not tell. "
        "Normal: 64 to 96. Growing without end: the network does not finalise.",
        unit="suffix: blocks",
        queries=(
            Query(
                f"{newest(HEIGHT_OF_BESU)}\n- {newest(BESU.series('ethereum_blockchain_finalized_block'))}",
            ),
            Query(
                f"{newest(HEIGHT_OF_RETH)}\n"
                f"- {newest(RETH.series('reth_blockchain_tree_finalized_block_height'))}",
            ),
        ),
    ),
    Timeseries(
        title="Speed",
        description="Millions of gas per second at which blocks are executed, of Nethermind and Reth. "
        "Normal: several hundred. Falling: disk, CPU or memory is short.",
        unit="suffix: Mgas/s",
        queries=(
            Query(newest(NETHERMIND.series("nethermind_mgas_per_sec"))),
            Query(f"{newest(RETH.series('reth_sync_execution_gas_per_second'))} / 1e6"),
        ),
    ),
    Timeseries(
        title="Reorganisations",
        description="Changes of the head to another branch, of Nethermind and Reth; Besu does not tell. "
        "Normal: a few per hour, on all nodes at once.",
        unit="none",
        queries=(
            Query(newest(f"increase({NETHERMIND.series('nethermind_reorganizations')}[$__rate_interval])")),
            Query(newest(f"increase({RETH.series('reth_blockchain_tree_reorgs')}[$__rate_interval])")),
        ),
        draw="bars",
    ),
    StateTimeline(
        title="Besu in sync by its own account",
        description="Whether Besu says that it is in sync. Normal: yes. It also says so without any peer: "
        "the age of the head is what counts.",
        unit="none",
        queries=(Query(newest(BESU.series("besu_synchronizer_in_sync"))),),
        states={0: State("no", "red"), 1: State("yes", "green")},
    ),
)

ENGINE_API = row(
    "Engine API: what the beacon node feels",
    Timeseries(
        title="Engine API latency",
        description="95 % of the beacon node's calls were faster (Besu, Reth). Normal: newPayload below "
        "0.5 s, forkchoiceUpdated below 0.1 s. From 1 s on attestations suffer.",
        unit="s",
        queries=(
            Query(
                "max by (cluster, instance, methodName) "
                f"({BESU.series('besu_rpc_request_time', ENGINE_OF_BESU, QUANTILE)})",
                "{{instance}} {{methodName}}",
            ),
            Query(of_reth("new_payload"), "{{instance}} newPayload"),
            Query(of_reth("fork_choice_updated"), "{{instance}} forkchoiceUpdated"),
        ),
        steps=steps(start="green", orange=1, red=4),
    ),
    Timeseries(
        title="Newest calls of Nethermind",
        description="Duration of the newest newPayload and forkchoiceUpdated of Nethermind, the longest in "
        "a minute: it shows only the last call. Normal: below 500 ms and 100 ms.",
        unit="ms",
        queries=(
            Query(
                newest(f"max_over_time({NETHERMIND.series('nethermind_new_payload_execution_time')}[1m])"),
                "{{instance}} newPayload",
            ),
            Query(
                newest(
                    f"max_over_time({NETHERMIND.series('nethermind_forkchoice_updated_execution_time')}[1m])"
                ),
                "{{instance}} forkchoiceUpdated",
            ),
        ),
        steps=steps(start="green", orange=1000, red=4000),
    ),
    Timeseries(
        title="Time to process a block",
        description="Duration of the newest block's processing in Nethermind, the longest in a minute. "
        "Normal: below 500 ms.",
        unit="ms",
        queries=(
            Query(
                newest(
                    f"max_over_time({NETHERMIND.series('nethermind_last_block_processing_time_in_ms')}[1m])"
                )
            ),
        ),
        steps=steps(start="green", orange=1000, red=4000),
    ),
)

POOL_AND_PEERS = row(
    "Transactions, peers, database",
    Timeseries(
        title="Transactions",
        description="Transactions in the pool that can go into the next block, by layer in Besu. Normal: "
        "thousands on mainnet. Near 0 with peers: own blocks will be poor.",
        unit="none",
        queries=(
            Query(newest(NETHERMIND.series("nethermind_transaction_count"))),
            Query(
                "sum by (cluster, instance, layer) "
                f"({BESU.series('besu_transaction_pool_number_of_transactions')})",
                "{{instance}} {{layer}}",
            ),
            Query(
                newest(RETH.series("reth_transaction_pool_pending_pool_transactions")), "{{instance}} pending"
            ),
            Query(
                newest(RETH.series("reth_transaction_pool_queued_pool_transactions")), "{{instance}} queued"
            ),
        ),
    ),
    Timeseries(
        title="Peers over time",
        description="Connected peers, by the exporter or by the node. Normal: 25 to 50. The dashed line is "
        "the alert's threshold.",
        unit="none",
        queries=(Query(peers_of_execution(ALL)),),
        alerts=("ExecutionPeersLow",),
    ),
    Timeseries(
        title="Size of databases",
        description="Bytes of the databases of Nethermind and of the tables of Reth, without its static "
        "files; Besu tells only with a flag. Normal: grows by some GB a week.",
        unit="bytes",
        queries=(
            Query(
                "sum by (cluster, instance) (max by (cluster, instance, db) "
                f"({NETHERMIND.series('nethermind_db_size')}))"
            ),
            Query(f"sum by (cluster, instance) ({RETH.series('reth_db_table_size')})"),
        ),
    ),
)

dashboard = Board(
    uid="execution_clients",
    title="Nethermind, Besu, Reth",
    description="Execution nodes of Nethermind, Besu and Reth: is each well, and if not, why not. Top to "
    "bottom: answers, alerts, chain, Engine API, transactions, peers, database, resources.",
    variables=contract_variables("execution", "nethermind|besu|reth"),
    rows=(
        is_execution_well(ALL, "execution_clients", head=NEW_BLOCKS),
        what_is_wrong(ALL),
        CHAIN,
        ENGINE_API,
        POOL_AND_PEERS,
        resources(
            ALL,
            memory=(
                "process_working_set_bytes",
                "process_resident_memory_bytes",
                "reth_process_resident_memory_bytes",
            ),
            cpu=("process_cpu_seconds_total", "reth_process_cpu_seconds_total"),
        ),
        what_runs(ALL, start=("process_start_time_seconds", "reth_process_start_time_seconds")),
    ),
    firing=ALL.firing,
    tags=("execution", "nethermind", "besu", "reth"),
)
