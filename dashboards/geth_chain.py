"""Geth's chain in depth: where the time of a block goes, in state, database and transaction pool."""

from stakewatch.grafana.board import Board
from stakewatch.grafana.geth import (
    GETH,
    SINCE_THE_LAST_SCRAPE,
    per_second,
    per_second_queries,
    quantile,
    quantile_queries,
    share,
    value_queries,
)
from stakewatch.grafana.joins import newest
from stakewatch.grafana.layout import row
from stakewatch.grafana.links import board_link
from stakewatch.grafana.panels import Stat, Timeseries
from stakewatch.grafana.queries import Query
from stakewatch.grafana.sections import what_is_wrong
from stakewatch.grafana.thresholds import steps
from stakewatch.grafana.variables import contract_variables

# Geth's timers are in nanoseconds.
SLOW_BLOCK = steps(start="green", orange=1e9, red=4e9)
NEEDS_PATH_SCHEME = "Absent with the hash scheme."
NEEDS_HASH_SCHEME = "Absent with the path scheme, which is Geth's default."

THIS_NODE = board_link("geth_chain", "Only this node", ("cluster", "instance"))
THE_NODE = board_link("geth_node", "This node", ("cluster", "instance"))


def last(metric: str, of: str) -> str:
    """Return the quantile of the newest scrape of 5 minutes that had one."""
    return newest(f"last_over_time({quantile(metric, of)}[5m])")


def medians(**metrics: str) -> tuple[Query, ...]:
    """Return the median of a summary per legend."""
    return quantile_queries("0.5", **metrics)


DROPPED = f"increase({GETH.series('chain_reorg_drop')}[$__range])"

IS_IT_WELL = row(
    "Is it well?",
    Stat(
        title="Age of the head",
        description="Time since the timestamp of the head block, by the exporter. Normal: below two slots.",
        unit="s",
        queries=(Query(f"time() - {newest(GETH.series('stakewatch_execution_head_timestamp_seconds'))}"),),
        steps=steps(start="green", orange=60, red=180),
        decimals=0,
    ),
    Stat(
        title="Time to insert a block",
        description="Median of the newest blocks, from receiving one to having it as head. Normal: below "
        "0.5 s. Beyond 4 s the validators of its beacon node vote for an older head.",
        unit="ns",
        queries=(Query(last("chain_inserts", "0.5")),),
        steps=SLOW_BLOCK,
    ),
    Stat(
        title="Gas per second",
        description="How fast the newest blocks were executed, the median. Normal: several hundred on a "
        "machine with a local NVMe disk.",
        unit="suffix: Mgas/s",
        queries=(Query(last("chain_mgasps", "0.5")),),
        colour="none",
    ),
    Stat(
        title="Writes made to wait",
        description="Share of the time in which the database let writes wait for its compaction. Normal: 0. "
        "Above the alert's threshold the disk cannot keep up.",
        unit="percentunit",
        queries=(Query(newest(f"{per_second('eth_db_chaindata_compact_writedelay_duration')} / 1e9")),),
        alerts=("GethDatabaseStalled",),
    ),
    Stat(
        title="Blocks dropped",
        description="Blocks that reorganisations took back in the time range. Normal: some in a day, on all "
        "nodes alike.",
        unit="suffix: blocks",
        queries=(Query(f"round({newest(DROPPED)})"),),
        colour="none",
    ),
    Stat(
        title="Transactions pending",
        description="Transactions in the pool that can go into the next block. Normal: thousands on "
        "mainnet. Near 0 with peers: own blocks will be poor.",
        unit="none",
        queries=(Query(newest(GETH.series("txpool_pending"))),),
        colour="none",
    ),
    width=4,
    height=5,
    links=(THE_NODE,),
)

BLOCKS = row(
    "Where does the time of a block go?",
    Timeseries(
        title="Slow blocks",
        description=f"95 % of the blocks were inserted and executed faster. {SINCE_THE_LAST_SCRAPE} Normal: "
        "below 1 s. The first line far above the second: reading, hashing or writing takes the time.",
        unit="ns",
        queries=quantile_queries("0.95", inserted="chain_inserts", executed="chain_execution"),
        steps=SLOW_BLOCK,
        connect=True,
    ),
    Timeseries(
        title="Slow parts",
        description="95 % of the blocks took less for validation, hashing, committing and writing. "
        f"{SINCE_THE_LAST_SCRAPE} Normal: each below 0.1 s. Commits and writes lead: the disk is slow.",
        unit="ns",
        queries=quantile_queries(
            "0.95",
            validation="chain_validation",
            account_updates="chain_account_updates",
            account_hashes="chain_account_hashes",
            account_commits="chain_account_commits",
            storage_updates="chain_storage_updates",
            storage_commits="chain_storage_commits",
            trie_database_commits="chain_triedb_commits",
            write="chain_write",
        ),
        connect=True,
    ),
    Timeseries(
        title="Reading state for a block",
        description="Median time that a block spent on reading accounts, storage and code. "
        f"{SINCE_THE_LAST_SCRAPE} Normal: below 0.1 s together. It grows with a cold cache and a slow disk.",
        unit="ns",
        queries=medians(
            accounts="chain_account_reads", storage="chain_storage_reads", code="chain_code_reads"
        ),
        connect=True,
    ),
    Timeseries(
        title="One read of state",
        description=f"Median time of a single read. {SINCE_THE_LAST_SCRAPE} Normal: some microseconds from "
        "memory; 100 and more: each goes to the disk.",
        unit="ns",
        queries=medians(
            account="chain_account_single_reads",
            storage="chain_storage_single_reads",
            code="chain_code_single_reads",
        ),
        connect=True,
    ),
    Timeseries(
        title="State read ahead",
        description="Share of the reads of a block that found what had been read ahead for it. Normal: above "
        "0.8 with full blocks. Low: the prefetcher is interrupted, because the blocks come fast.",
        unit="percentunit",
        queries=tuple(
            Query(
                share(f"chain_{kind}_reads_cache_process_hit", f"chain_{kind}_reads_cache_process_miss"),
                f"{{{{instance}}}} {legend}",
            )
            for kind, legend in (("account", "accounts"), ("storage", "storage"))
        ),
        maximum=1,
    ),
    Timeseries(
        title="Reading ahead",
        description="Transactions that were run ahead of a block to warm the cache, those that failed by it, "
        "and runs that were interrupted. Normal: valid ones lead.",
        unit="cps",
        queries=per_second_queries(
            valid="chain_prefetch_txs_valid",
            invalid="chain_prefetch_txs_invalid",
            interrupted="chain_prefetch_interrupts",
        ),
    ),
    links=(THIS_NODE,),
)

STATE = row(
    "State: does memory answer?",
    Timeseries(
        title="Trie nodes from memory",
        description="Look-ups of trie nodes by what answered: changes of the last blocks (dirty), the cache "
        f"(clean), or the disk (missed). Normal: few are missed. {NEEDS_PATH_SCHEME}",
        unit="cps",
        queries=per_second_queries(
            dirty="pathdb_dirty_node_hit", clean="pathdb_clean_node_hit", missed="pathdb_clean_node_miss"
        ),
        stack=True,
    ),
    Timeseries(
        title="Accounts and storage from memory",
        description="Look-ups of flat state by what answered. Normal: few are missed some hours after the "
        f"start. {NEEDS_PATH_SCHEME}",
        unit="cps",
        queries=per_second_queries(
            dirty="pathdb_dirty_state_hit", clean="pathdb_clean_state_hit", missed="pathdb_clean_state_miss"
        ),
        stack=True,
    ),
    Timeseries(
        title="Layers in memory",
        description="How many blocks back 95 % of the look-ups in changes found their answer. Normal: below "
        f"128, which is what Geth keeps. {NEEDS_PATH_SCHEME}",
        unit="suffix: blocks",
        queries=quantile_queries(
            "0.95", trie_nodes="pathdb_dirty_node_depth", state="pathdb_dirty_state_depth"
        ),
    ),
    Timeseries(
        title="State written to disk",
        description="Bytes per second of state that leave memory for the database, and that are thrown away "
        "because later blocks changed them again. Normal: peaks when the buffer is full; more thrown away "
        f"than written is well. {NEEDS_PATH_SCHEME}",
        unit="Bps",
        queries=per_second_queries(
            written="pathdb_commit_bytes",
            nodes_thrown_away="pathdb_gc_node_bytes",
            accounts_thrown_away="pathdb_gc_account_bytes",
            storage_thrown_away="pathdb_gc_storage_bytes",
        ),
    ),
    Timeseries(
        title="History of state",
        description="Bytes per second that are written to the history of state, which reorganisations and "
        f"archive queries need. Normal: steady with the blocks. {NEEDS_PATH_SCHEME}",
        unit="Bps",
        queries=per_second_queries(
            data="pathdb_history_state_bytes_data", index="pathdb_history_state_bytes_index"
        ),
    ),
    Timeseries(
        title="Changes of state",
        description="Accounts and storage slots that blocks change per second. Normal: it follows the "
        "traffic on the chain, the same on all nodes.",
        unit="cps",
        queries=per_second_queries(accounts="state_update_account", storage="state_update_storage"),
    ),
    Timeseries(
        title="Clean cache of the hash scheme",
        description="Bytes per second that the trie cache of the hash scheme answers and takes in. Normal: "
        f"more answered than taken in. {NEEDS_HASH_SCHEME}",
        unit="Bps",
        queries=per_second_queries(
            answered="hashdb_memcache_clean_read", taken_in="hashdb_memcache_clean_write"
        ),
    ),
    Timeseries(
        title="Dirty cache of the hash scheme",
        description="Bytes per second of the trie that are thrown away, flushed for want of memory, and "
        f"committed. Normal: most is thrown away. {NEEDS_HASH_SCHEME}",
        unit="Bps",
        queries=per_second_queries(
            thrown_away="hashdb_memcache_gc_bytes",
            flushed="hashdb_memcache_flush_bytes",
            committed="hashdb_memcache_commit_bytes",
        ),
    ),
    links=(THIS_NODE,),
)

DATABASE = row(
    "Database: does the disk keep up?",
    Timeseries(
        title="Writes made to wait over time",
        description="Share of the time in which the database let writes wait for its compaction. Normal: 0. "
        "The dashed line is the alert's threshold.",
        unit="percentunit",
        queries=(Query(newest(f"{per_second('eth_db_chaindata_compact_writedelay_duration')} / 1e9")),),
        alerts=("GethDatabaseStalled",),
    ),
    Timeseries(
        title="Compaction",
        description="Bytes per second that compaction reads and writes, beside what Geth itself writes. "
        "Normal: compaction writes some times as much as Geth does, in peaks. All the time at the volume's "
        "limit: the volume is too slow.",
        unit="Bps",
        queries=per_second_queries(
            compaction_reads="eth_db_chaindata_compact_input",
            compaction_writes="eth_db_chaindata_compact_output",
            all_writes="eth_db_chaindata_disk_write",
        ),
    ),
    Timeseries(
        title="Compaction that is due",
        description="Bytes that the database has yet to compact, by its own estimate. Normal: it comes and "
        "goes. A climb over hours ends in writes that wait. Absent with LevelDB.",
        unit="bytes",
        queries=value_queries(due="eth_db_chaindata_compact_estimateDebt"),
    ),
    Timeseries(
        title="Tables by level",
        description="Files of the database by level. Normal: few on level 0, most on level 6. Dozens on "
        "level 0: compaction is behind, and each read asks all of them.",
        unit="none",
        queries=tuple(
            Query(GETH.series(f"eth_db_chaindata_tables_level{level}"), f"{{{{instance}}}} level {level}")
            for level in range(7)
        ),
        stack=True,
    ),
    Timeseries(
        title="Ancient blocks",
        description="Bytes per second that are read from and written to the files of ancient blocks. Normal: "
        "writes follow the chain; reads are peers that synchronise, and users of old data.",
        unit="Bps",
        queries=per_second_queries(
            read="eth_db_chaindata_ancient_read", written="eth_db_chaindata_ancient_write"
        ),
    ),
    Timeseries(
        title="Filters of the database",
        description="Share of look-ups of what is not there that a filter answered without the disk. Normal: "
        "above 0.9. Absent with LevelDB.",
        unit="percentunit",
        queries=(Query(share("eth_db_chaindata_filter_hit", "eth_db_chaindata_filter_miss")),),
        maximum=1,
    ),
    links=(THIS_NODE,),
)

TRANSACTIONS = row(
    "Transaction pool: who comes, who goes, and why",
    Timeseries(
        title="Senders",
        description="Accounts with transactions that can go into a block (pending), that wait for another "
        "one (queued), and transactions of this node's own users (local). Normal: pending leads; local is 0 "
        "on a node for validators.",
        unit="none",
        queries=value_queries(
            pending="txpool_pending_accounts", queued="txpool_queued_accounts", local="txpool_local"
        ),
    ),
    Timeseries(
        title="Pending ones that leave",
        description="Pending transactions that left the pool without a block, by reason. Normal: "
        "replacements lead. ratelimit: one sender has too many.",
        unit="cps",
        queries=per_second_queries(
            discarded="txpool_pending_discard",
            replaced="txpool_pending_replace",
            rate_limit="txpool_pending_ratelimit",
            no_funds="txpool_pending_nofunds",
        ),
    ),
    Timeseries(
        title="Queued ones that leave",
        description="Queued transactions that left the pool without a block, by reason. Normal: evictions "
        "after three hours lead.",
        unit="cps",
        queries=per_second_queries(
            discarded="txpool_queued_discard",
            replaced="txpool_queued_replace",
            rate_limit="txpool_queued_ratelimit",
            no_funds="txpool_queued_nofunds",
            evicted="txpool_queued_eviction",
        ),
    ),
    Timeseries(
        title="Announced and sent by peers",
        description="Transactions that peers announced or sent. Normal: most are known already, since "
        "every peer tells. None: no peer tells anything.",
        unit="cps",
        queries=per_second_queries(
            announced="eth_fetcher_transaction_announces_in",
            announced_and_known="eth_fetcher_transaction_announces_known",
            sent="eth_fetcher_transaction_broadcasts_in",
            sent_and_known="eth_fetcher_transaction_broadcasts_known",
            too_many="eth_fetcher_transaction_announces_dos",
        ),
    ),
    Timeseries(
        title="Asked of peers",
        description="Requests for announced transactions, and how they ended. Normal: nearly all are done. "
        "Time-outs lead: peers or the network are bad.",
        unit="cps",
        queries=per_second_queries(
            asked="eth_fetcher_transaction_request_out",
            done="eth_fetcher_transaction_request_done",
            failed="eth_fetcher_transaction_request_fail",
            timed_out="eth_fetcher_transaction_request_timeout",
        ),
    ),
    Timeseries(
        title="Blob transactions",
        description="Blob transactions by what the pool did with them. Normal: valid ones lead. "
        "underpriced: the pool is full.",
        unit="cps",
        queries=per_second_queries(
            valid="blobpool_add_valid",
            invalid="blobpool_add_invalid",
            underpriced="blobpool_add_underpriced",
            gapped="blobpool_add_gapped",
            overdrafted="blobpool_add_overdrafted",
            dropped_underpriced="blobpool_drop_underpriced",
            dropped_for_want_of_room="blobpool_drop_overflown",
        ),
    ),
    Timeseries(
        title="New head in the pool",
        description="95 % of the updates of the pool to a new head took less. Normal: below 50 ms. Longer "
        "ones make own blocks late.",
        unit="ns",
        queries=quantile_queries("0.95", transactions="txpool_reorgtime", blobs="blobpool_resettime"),
    ),
    links=(THIS_NODE,),
)

SYNC = row(
    "Synchronisation and handshakes",
    Timeseries(
        title="Downloaded from peers",
        description="Headers, bodies and receipts per second. Normal: 0 at the head; thousands while the "
        "node synchronises.",
        unit="cps",
        queries=per_second_queries(
            headers="eth_downloader_headers_in",
            bodies="eth_downloader_bodies_in",
            receipts="eth_downloader_receipts_in",
        ),
    ),
    Timeseries(
        title="Downloads that time out",
        description="Requests for headers, bodies and receipts that no peer answered in time. Normal: few. "
        "Many: few or bad peers, or a full line.",
        unit="cps",
        queries=per_second_queries(
            headers="eth_downloader_headers_timeout",
            bodies="eth_downloader_bodies_timeout",
            receipts="eth_downloader_receipts_timeout",
        ),
    ),
    Timeseries(
        title="Handshakes that fail",
        description="Peers that were left at once, and why. Normal: other networks and fork ids. Only fork "
        "ids: this node may have missed an upgrade.",
        unit="cps",
        queries=per_second_queries(
            fork_id="eth_protocols_eth_egress_handshake_error_forkid",
            genesis="eth_protocols_eth_egress_handshake_error_genesis",
            network="eth_protocols_eth_egress_handshake_error_network",
            version="eth_protocols_eth_egress_handshake_error_version",
            too_late="eth_protocols_eth_egress_handshake_error_timeout",
            closed="eth_protocols_eth_egress_handshake_error_peer",
        ),
    ),
    collapsed=True,
    links=(THIS_NODE,),
)

dashboard = Board(
    uid="geth_chain",
    title="Geth chain",
    description="Why a Geth node is slow, in depth: where the time of a block goes, whether memory answers, "
    "whether the disk keeps up, and what the transaction pool does. Begin with the board of the node.",
    variables=contract_variables(role="execution", implementation="geth"),
    rows=(IS_IT_WELL, what_is_wrong(GETH), BLOCKS, STATE, DATABASE, TRANSACTIONS, SYNC),
    firing=GETH.firing,
    tags=("execution", "geth"),
)
