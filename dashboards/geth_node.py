"""One Geth node: is it well, and if not, why not."""

from stakewatch.grafana import usage
from stakewatch.grafana.board import Board
from stakewatch.grafana.geth import (
    GETH,
    SINCE_THE_LAST_SCRAPE,
    per_second,
    per_second_queries,
    quantile,
    share,
    value_queries,
)
from stakewatch.grafana.joins import CHOSEN, newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link
from stakewatch.grafana.node_panels import (
    api_answers,
    disk_now,
    memory_now,
    memory_of_limit_over_time,
    new_blocks,
)
from stakewatch.grafana.nodes import peers_of_execution
from stakewatch.grafana.panels import Panel, Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.sections import what_is_wrong
from stakewatch.grafana.tables import Table, headed
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

THIS_NODE = board_link("geth_node", "Only this node", ("cluster", "instance"))


def engine(outcome: str, *matchers: str) -> str:
    """Return what Geth measures of the Engine API's methods; their versions change with each fork."""
    name = f'__name__=~"rpc_duration_engine_[a-zA-Z]+V[0-9]+_{outcome}"'
    return (
        "max by (cluster, instance, method) (\n"
        f"  label_replace({GETH.series('', name, *matchers)}, "
        f'"method", "$1", "__name__", "rpc_duration_engine_([a-zA-Z]+)V[0-9]+_{outcome}")\n'
        ") > 0"
    )


IS_IT_WELL = row(
    "Is it well?",
    api_answers(GETH, alert="ExecutionNodeDown"),
    new_blocks(f"changes({GETH.series('chain_head_block')}[5m])"),
    Stat(
        title="Behind beacon",
        description="Blocks between this node's head and the newest payload of the beacon chain, by the "
        "exporter. Normal: 0 or 1.",
        unit="suffix: blocks",
        alerts=("ExecutionBehindBeacon",),
        queries=(Query(newest(GETH.series("stakewatch_execution_behind_blocks"))),),
    ),
    Stat(
        title="Peers",
        description="Connected peers. Normal: 25 to 50; Geth aims at 50 (--maxpeers).",
        unit="none",
        queries=(Query(peers_of_execution(GETH)),),
        alerts=("ExecutionPeersLow",),
    ),
    memory_now(GETH),
    disk_now(GETH, "Geth stops by itself when its disk is nearly full. "),
    width=4,
    height=5,
    links=(THIS_NODE,),
)

CHAIN = row(
    "Chain: does it follow?",
    Timeseries(
        title="Age of the head",
        description="Seconds since the timestamp of the head block, by the exporter. Normal: a saw-tooth "
        "between 0 and one or two slots; a missed slot makes one higher tooth. A straight line upwards is "
        "a node that stands still.",
        unit="s",
        alerts=("ExecutionHeadStalled",),
        queries=(Query(f"time() - {newest(GETH.series('stakewatch_execution_head_timestamp_seconds'))}"),),
    ),
    Timeseries(
        title="Head block",
        description="Number of the newest block, header and receipts that the node has. Normal: three "
        "lines on top of each other that climb. While Geth synchronises, the block stands still and the "
        "header runs ahead.",
        unit="none",
        queries=value_queries(
            block="chain_head_block", header="chain_head_header", receipts="chain_head_receipt"
        ),
        calculations=("lastNotNull",),
        minimum=None,
    ),
    Timeseries(
        title="Behind",
        description="Blocks behind the beacon chain's newest payload (by the exporter), and blocks whose "
        "header is known but not yet executed. Normal: 0 or 1.",
        unit="suffix: blocks",
        alerts=("ExecutionBehindBeacon",),
        queries=(
            Query(newest(GETH.series("stakewatch_execution_behind_blocks")), "{{instance}} behind beacon"),
            Query(
                f"{GETH.series('chain_head_header')} - {GETH.series('chain_head_block')}",
                "{{instance}} header ahead of block",
            ),
        ),
    ),
    Timeseries(
        title="Head ahead of safe and finalised",
        description="Blocks that could still be reorganised. Normal: up to 64 ahead of safe and 64 to 96 "
        "ahead of finalised. Growing without end: the network does not finalise. Absent until the beacon "
        "node has spoken.",
        unit="suffix: blocks",
        queries=(
            Query(
                f"{GETH.series('chain_head_block')} - ({GETH.series('chain_head_safe')} > 0)",
                "{{instance}} safe",
            ),
            Query(
                f"{GETH.series('chain_head_block')} - ({GETH.series('chain_head_finalized')} > 0)",
                "{{instance}} finalised",
            ),
        ),
    ),
    Timeseries(
        title="Reorganisations",
        description="Changes of the head to another branch, and the blocks that this dropped. Normal: one "
        "block now and then. Many, or deep ones, on one node only: it hears blocks late.",
        unit="none",
        queries=(
            Query(
                f"increase({GETH.series('chain_reorg_executes')}[$__rate_interval])",
                "{{instance}} reorganisations",
            ),
            Query(
                f"increase({GETH.series('chain_reorg_drop')}[$__rate_interval])",
                "{{instance}} blocks dropped",
            ),
        ),
        draw="bars",
    ),
    Timeseries(
        title="Gas per second",
        description=f"How fast the node executes blocks. {SINCE_THE_LAST_SCRAPE} Normal: several hundred "
        "on a machine with a local NVMe disk. Falling: disk, CPU or memory is short.",
        unit="suffix: Mgas/s",
        queries=(Query(quantile("chain_mgasps", "0.5"), "{{instance}} median"),),
        connect=True,
    ),
)

BLOCK_PROCESSING = row(
    "Block processing: where does the time go?",
    Timeseries(
        title="Time to insert a block",
        description=f"From receiving a block to having it as head. {SINCE_THE_LAST_SCRAPE} Normal: below "
        "0.5 s. Beyond 4 s the validators of its beacon node vote for an older head.",
        unit="ns",
        queries=(
            Query(quantile("chain_inserts", "0.5"), "{{instance}} median"),
            Query(quantile("chain_inserts", "0.95"), "{{instance}} 95 %"),
        ),
        steps=steps(start="green", orange=1e9, red=4e9),
        connect=True,
    ),
    Timeseries(
        title="Parts of it",
        description="Median time of executing, validating, hashing and writing a block. "
        f"{SINCE_THE_LAST_SCRAPE} Normal: execution leads. Writing or committing leads: the disk is slow.",
        unit="ns",
        queries=tuple(
            Query(quantile(metric, "0.5"), f"{{{{instance}}}} {legend}")
            for legend, metric in (
                ("execution", "chain_execution"),
                ("validation", "chain_validation"),
                ("cross-validation", "chain_crossvalidation"),
                ("account updates", "chain_account_updates"),
                ("account hashes", "chain_account_hashes"),
                ("account commits", "chain_account_commits"),
                ("storage updates", "chain_storage_updates"),
                ("storage commits", "chain_storage_commits"),
                ("trie database commits", "chain_triedb_commits"),
                ("write", "chain_write"),
            )
        ),
        connect=True,
    ),
    Timeseries(
        title="State cache hits",
        description="Share of state reads that memory answered: trie nodes and flat state of the path "
        "scheme. Normal: above 0.9 a while after the start. Low: the cache (--cache) is too small. Absent "
        "with the hash scheme.",
        unit="percentunit",
        queries=(
            Query(share("pathdb_clean_node_hit", "pathdb_clean_node_miss"), "{{instance}} trie nodes"),
            Query(share("pathdb_clean_state_hit", "pathdb_clean_state_miss"), "{{instance}} state"),
        ),
        maximum=1,
    ),
)

ENGINE_API = row(
    "Engine API and JSON-RPC: what the beacon node feels",
    Timeseries(
        title="Engine API latency",
        description=f"95 % of the beacon node's calls were faster, by method. {SINCE_THE_LAST_SCRAPE} "
        "Normal: newPayload below 0.5 s, forkchoiceUpdated below 0.1 s. From 1 s on attestations suffer, "
        "at 8 s the beacon node gives up.",
        unit="ns",
        queries=(Query(engine("success", 'quantile="0.95"'), "{{instance}} {{method}}"),),
        steps=steps(start="green", orange=1e9, red=4e9),
        connect=True,
    ),
    Timeseries(
        title="Engine API calls per scrape",
        description=f"Calls of the beacon node by method, and failed ones. {SINCE_THE_LAST_SCRAPE} Normal: "
        "one or two of newPayload and forkchoiceUpdated per slot and no failures. None: no beacon node is "
        "connected.",
        unit="suffix: calls",
        queries=(
            Query(engine("success_count"), "{{instance}} {{method}}"),
            Query(engine("failure_count"), "{{instance}} {{method}} failed"),
        ),
        draw="bars",
    ),
    Timeseries(
        title="JSON-RPC requests",
        description="All requests and failed ones, the Engine API's included. Normal: steady, failures "
        "near 0. A jump is a new user of this node, who competes with your validators.",
        unit="reqps",
        queries=per_second_queries(requests="rpc_requests", failures="rpc_failure"),
    ),
    Timeseries(
        title="JSON-RPC latency",
        description="Time to answer any request, newest requests weighted most. Normal: the median below "
        "10 ms.",
        unit="ns",
        queries=(
            Query(quantile("rpc_duration_all", "0.5"), "{{instance}} median"),
            Query(quantile("rpc_duration_all", "0.95"), "{{instance}} 95 %"),
        ),
    ),
    Timeseries(
        title="Blobs for the beacon node",
        description="Blobs that the beacon node asked the pool for, and those that the pool had. Normal: "
        "most are there; each miss is fetched from peers instead, which takes longer.",
        unit="suffix: blobs/s",
        queries=per_second_queries(
            requested="engine_getblobs_requested", available="engine_getblobs_available"
        ),
    ),
)

TRANSACTIONS = row(
    "Transaction pool: what own blocks are made of",
    Timeseries(
        title="Transactions",
        description="Transactions in the pool: pending can go into the next block, queued wait for "
        "another of the same sender. Normal: thousands on mainnet. Near 0 with peers: own blocks will be "
        "poor.",
        unit="none",
        queries=value_queries(pending="txpool_pending", queued="txpool_queued", slots="txpool_slots"),
    ),
    Timeseries(
        title="Transactions in and out",
        description="New transactions by what the pool did with them. Normal: valid and already known "
        "ones lead. Many overflowed or underpriced ones: the pool is full.",
        unit="cps",
        queries=per_second_queries(
            valid="txpool_valid",
            known="txpool_known",
            invalid="txpool_invalid",
            underpriced="txpool_underpriced",
            overflowed="txpool_overflowed",
        ),
    ),
    Timeseries(
        title="Blob pool",
        description="Bytes of blob transactions that the pool holds, and its limit. Normal: well below "
        "the limit.",
        unit="bytes",
        queries=value_queries(used="blobpool_dataused", limit="blobpool_datacap"),
    ),
)

DATABASE = row(
    "Database",
    Timeseries(
        title="Size on disk",
        description="The key-value store, the ancient blocks, and the history of state beside them. "
        "Normal: grows by some GB a week; a restart with --state.scheme or pruning options changes it.",
        unit="bytes",
        queries=value_queries(
            key_value_store="eth_db_chaindata_disk_size",
            ancient_blocks="eth_db_chaindata_ancient_size",
            state_history="eth_db_stateancient_size",
        ),
        stack=True,
    ),
    Timeseries(
        title="Reads and writes of the database",
        description="Bytes per second that the key-value store reads and writes. Normal: below a third of "
        "what the volume may do; compaction makes peaks.",
        unit="Bps",
        queries=per_second_queries(
            read="eth_db_chaindata_disk_read",
            write="eth_db_chaindata_disk_write",
        ),
    ),
    Timeseries(
        title="Compaction and write delay",
        description="Share of time spent on compaction, and on making writes wait for it. Normal: "
        "compaction below 0.5, delay 0. Any delay: the disk cannot keep up, and blocks will be late.",
        unit="percentunit",
        alerts=("GethDatabaseStalled",),
        queries=(
            Query(f"{per_second('eth_db_chaindata_compact_time')} / 1e9", "{{instance}} compaction"),
            Query(
                f"{per_second('eth_db_chaindata_compact_writedelay_duration')} / 1e9",
                "{{instance}} write delay",
            ),
        ),
    ),
    Timeseries(
        title="Block cache hits of the database",
        description="Share of look-ups in the key-value store that its cache answered. Normal: above 0.8. "
        "Absent with LevelDB.",
        unit="percentunit",
        queries=(
            Query(
                share("eth_db_chaindata_cache_block_hit", "eth_db_chaindata_cache_block_miss"),
                "{{instance}} blocks",
            ),
            Query(
                share("eth_db_chaindata_cache_table_hit", "eth_db_chaindata_cache_table_miss"),
                "{{instance}} tables",
            ),
        ),
        maximum=1,
    ),
)

NETWORK = row(
    "Peers and traffic",
    Timeseries(
        title="Peers by direction",
        description="Connected peers that this node dialled and that dialled it. Normal: both. No inbound "
        "ones: the port is not reachable from outside. The dashed line is the alert's threshold.",
        unit="none",
        queries=value_queries(all="p2p_peers", inbound="p2p_peers_inbound", outbound="p2p_peers_outbound"),
        alerts=("ExecutionPeersLow",),
    ),
    Timeseries(
        title="Traffic",
        description="Bytes per second from and to peers. Normal: some hundred kB/s each way on mainnet.",
        unit="Bps",
        queries=per_second_queries(received="p2p_ingress", sent="p2p_egress"),
    ),
    Timeseries(
        title="Dials",
        description="Attempts to connect to peers, and why they failed. Normal: many attempts, most fail "
        "because the other side is full. Only connection errors: the network or a firewall is broken.",
        unit="cps",
        queries=per_second_queries(
            attempts="p2p_dials",
            successes="p2p_dials_success",
            inbound="p2p_serves",
            full="p2p_dials_error_saturated",
            no_connection="p2p_dials_error_connection",
            useless="p2p_dials_error_useless",
        ),
    ),
)

RESOURCES = row(
    "Resources",
    memory_of_limit_over_time(GETH),
    Timeseries(
        title="Memory of the machine",
        description="Memory in use on the machine, page cache not counted. The dashed line is the alert's "
        "threshold.",
        unit="percentunit",
        queries=(Query(usage.memory_of_machine(GETH), "{{instance}} on {{nodename}}"),),
        alerts=("NodeMemoryHigh",),
    ),
    Timeseries(
        title="Go memory",
        description="Memory of Geth's own heap: in use, and held from the system. Not the whole process: "
        "the database maps files beside it. Normal: below the size given by --cache plus 2 GB; a "
        "saw-tooth.",
        unit="bytes",
        queries=value_queries(used="system_memory_used", held="system_memory_held"),
    ),
    Timeseries(
        title="CPU of the process",
        description="Cores in use by Geth, as Geth and as the container runtime measure it. Normal: below "
        "1 at the head, all cores while it synchronises.",
        unit="suffix: cores",
        queries=(
            Query(per_second("system_cpu_procload_total"), "{{instance}} by Geth"),
            Query(
                newest(usage.cpu_of_container(GETH)),
                "{{instance}} by container",
            ),
        ),
    ),
    Timeseries(
        title="CPU throttled",
        description="Share of scheduling periods in which the container's CPU limit stopped it. Normal: "
        "0. Anything else delays blocks: raise or remove the CPU limit. Absent without a limit.",
        unit="percentunit",
        alerts=("ContainerCpuThrottled",),
        queries=(Query(newest(usage.cpu_throttled(GETH))),),
    ),
    Timeseries(
        title="CPU of the machine",
        description="Share of the machine's CPU time in use by everything on it. Normal: below 0.7.",
        unit="percentunit",
        alerts=("NodeCpuHigh",),
        queries=(
            Query(
                GETH.of_machine(
                    "(1 - avg by (cluster, instance) "
                    f'(rate(node_cpu_seconds_total{{{CHOSEN},mode="idle"}}[$__rate_interval])))'
                ),
                "{{instance}} on {{nodename}}",
            ),
        ),
        maximum=1,
    ),
    Timeseries(
        title="Disk traffic of the process",
        description="Bytes per second that Geth reads from and writes to the disk. Normal: steady at the "
        "head; a cold cache after a start reads much more.",
        unit="Bps",
        queries=per_second_queries(read="system_disk_readbytes", write="system_disk_writebytes"),
    ),
    Timeseries(
        title="Disk used",
        description="How full the volumes of the node's pod and the file systems of its machine are. "
        "Normal: below 0.8, and no step upwards that stays.",
        unit="percentunit",
        alerts=("VolumeAlmostFull",),
        queries=(
            Query(usage.volumes_used(GETH), "{{instance}} {{persistentvolumeclaim}}"),
            Query(usage.fullest_filesystem(GETH), "{{instance}} fullest of {{nodename}}"),
        ),
        maximum=1,
    ),
    Timeseries(
        title="Waiting in the process",
        description="99 % of garbage collection pauses, and of waits of runnable goroutines for a CPU, "
        "were shorter. Normal: below 10 ms. Higher: too few cores, or too little memory.",
        unit="ns",
        queries=(
            Query(quantile("system_memory_pauses", "0.99"), "{{instance}} garbage collection"),
            Query(quantile("system_cpu_schedlatency", "0.99"), "{{instance}} scheduling"),
        ),
    ),
)

BUILD_INFO: Panel = Table(
    title="Build",
    description="What runs where. Normal: one version on all nodes, except during an upgrade.",
    unit="none",
    queries=(Query(GETH.series("geth_info")),),
    columns=headed(
        "cluster", "network", "instance", "version", protocols="Protocols", os="System", arch="Architecture"
    ),
)

RESTARTS = Timeseries(
    title="Restarts of the container",
    description="How often Kubernetes restarted the container. Normal: 0. The reason of the last one "
    "stands in `kubectl describe pod`.",
    unit="none",
    alerts=("PodCrashLooping",),
    queries=(
        Query(
            newest(
                GETH.of_container(
                    f"increase(kube_pod_container_status_restarts_total{{{CHOSEN}}}[$__rate_interval])"
                )
            )
        ),
    ),
    draw="bars",
)

WHAT_RUNS = row("What runs", BUILD_INFO, RESTARTS, width=(16, 8), height=7)

dashboard = Board(
    uid="geth_node",
    title="Geth node",
    description="One or several Geth nodes: is each well, and if not, why not. Top to bottom: answers, "
    "alerts, chain, Engine API, transactions, database, peers, resources.",
    variables=contract_variables(role="execution", implementation="geth"),
    rows=(
        IS_IT_WELL,
        what_is_wrong(GETH),
        CHAIN,
        BLOCK_PROCESSING,
        ENGINE_API,
        TRANSACTIONS,
        DATABASE,
        NETWORK,
        RESOURCES,
        WHAT_RUNS,
    ),
    firing=GETH.firing,
    tags=("execution", "geth"),
)
