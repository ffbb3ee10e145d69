"""The /metrics of Geth, where almost everything is a gauge and timers empty themselves.

Names and magnitudes are those of a real scrape of Geth 1.17, scaled to a node on a large network.
"""

from collections.abc import Mapping
from types import MappingProxyType

from stakewatch.simulator.exposition import QUANTILES, Family, gauge, summary
from stakewatch.simulator.process import GIB, Process

_MILLISECOND = 1_000_000
# Skew of a quantile against the median of what Geth times.
_SKEW = MappingProxyType({0.5: 1.0, 0.75: 1.3, 0.95: 2.2, 0.99: 3.1, 0.999: 3.8, 0.9999: 4.0})

# Values that go up and down, by what is typical.
_LEVELS: Mapping[str, float] = MappingProxyType(
    {
        "blobpool_datacap": 2.5 * GIB,
        "blobpool_dataused": 0.3 * GIB,
        "blobpool_slotused": 0.4 * GIB,
        "eth_db_chaindata_ancient_size": 512 * GIB,
        "eth_db_chaindata_compact_estimateDebt": 64 * 1024**2,
        "eth_db_chaindata_disk_size": 310 * GIB,
        "eth_db_chaindata_tables_level0": 6,
        "eth_db_chaindata_tables_level6": 5200,
        "eth_db_stateancient_size": 38 * GIB,
        "system_cpu_goroutines": 420,
        "txpool_pending": 4100,
        "txpool_queued": 900,
        "txpool_slots": 5000,
    }
)
# Values that only grow, by what a second adds.
_METERS: Mapping[str, float] = MappingProxyType(
    {
        "engine_getblobs_available": 2.6,
        "engine_getblobs_hit": 0.4,
        "engine_getblobs_miss": 0.05,
        "engine_getblobs_requested": 3.0,
        "eth_db_chaindata_cache_block_hit": 5200,
        "eth_db_chaindata_cache_block_miss": 240,
        "eth_db_chaindata_cache_table_hit": 9100,
        "eth_db_chaindata_cache_table_miss": 3,
        "eth_db_chaindata_compact_input": 3.1e6,
        "eth_db_chaindata_compact_output": 2.9e6,
        "eth_db_chaindata_compact_time": 3.0e7,
        "eth_db_chaindata_compact_writedelay_counter": 0,
        "eth_db_chaindata_compact_writedelay_duration": 0,
        "eth_db_chaindata_disk_read": 4.2e6,
        "eth_db_chaindata_disk_write": 6.4e6,
        "p2p_dials": 1.2,
        "p2p_dials_error_connection": 0.7,
        "p2p_dials_error_saturated": 0.3,
        "p2p_dials_error_useless": 0.1,
        "p2p_dials_success": 0.05,
        "p2p_egress": 310_000,
        "p2p_ingress": 520_000,
        "p2p_serves": 0.4,
        "pathdb_clean_node_hit": 2300,
        "pathdb_clean_node_miss": 90,
        "pathdb_clean_state_hit": 1800,
        "pathdb_clean_state_miss": 70,
        "rpc_failure": 0.01,
        "rpc_requests": 6.0,
        "rpc_success": 5.99,
        "system_cpu_procload_total": 0.3,
        "system_disk_readbytes": 4.5e6,
        "system_disk_writebytes": 6.8e6,
        "txpool_invalid": 0.2,
        "txpool_known": 14.0,
        "txpool_overflowed": 0.02,
        "txpool_underpriced": 0.5,
        "txpool_valid": 11.0,
    }
)
# Timers that a scrape empties: medians in nanoseconds of what was observed since the last one.
_RESETTING_TIMERS: Mapping[str, float] = MappingProxyType(
    {
        "chain_account_commits": 3.1 * _MILLISECOND,
        "chain_account_hashes": 6.2 * _MILLISECOND,
        "chain_account_updates": 2.4 * _MILLISECOND,
        "chain_crossvalidation": 1.2 * _MILLISECOND,
        "chain_execution": 48 * _MILLISECOND,
        "chain_inserts": 92 * _MILLISECOND,
        "chain_storage_commits": 2.7 * _MILLISECOND,
        "chain_storage_updates": 7.5 * _MILLISECOND,
        "chain_triedb_commits": 1.9 * _MILLISECOND,
        "chain_validation": 4.4 * _MILLISECOND,
        "chain_write": 9.6 * _MILLISECOND,
    }
)
_ENGINE_CALLS: Mapping[str, float] = MappingProxyType(
    {
        "engine_newPayloadV4": 96 * _MILLISECOND,
        "engine_forkchoiceUpdatedV3": 6 * _MILLISECOND,
        "engine_getPayloadV4": 9 * _MILLISECOND,
    }
)
_RUNTIME_HISTOGRAMS: Mapping[str, float] = MappingProxyType(
    {"system_cpu_schedlatency": 40_000, "system_memory_pauses": 70_000}
)


def geth(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Geth node."""
    view = process.view
    head = view.head_block.payload.block_number
    synced = head - int(view.syncing)
    return (
        gauge("chain_head_block", synced),
        gauge("chain_head_header", head),
        gauge("chain_head_receipt", head),
        gauge("chain_head_finalized", view.finalized_block.payload.block_number),
        gauge("chain_head_safe", view.justified_block.payload.block_number),
        gauge("chain_info", 1, chain_id=str(view.chain.parameters.chain_id)),
        gauge("chain_reorg_executes", process.reorganisations),
        gauge("chain_reorg_add", process.reorganisations),
        gauge("chain_reorg_drop", process.reorganisations),
        gauge(
            "geth_info",
            1,
            arch="amd64",
            os="linux",
            protocols="eth/69,eth/68,snap/1",
            version="1.17.0-stable",
        ),
        gauge("p2p_peers", view.peers),
        gauge("p2p_peers_inbound", view.peers // 3),
        gauge("p2p_peers_outbound", view.peers - view.peers // 3),
        gauge("system_memory_held", int(process.memory * 0.95)),
        gauge("system_memory_used", int(process.memory * 0.8)),
        *(gauge(name, int(process.around(name, typical, 0.03))) for name, typical in _LEVELS.items()),
        *(gauge(name, process.grown(name, rate)) for name, rate in _METERS.items()),
        *_emptied_by_a_scrape(process),
        *_timers(process),
    )


def _emptied_by_a_scrape(process: Process) -> tuple[Family, ...]:
    """Return the chain's timers, absent without a new block, and the Engine API's, then 0 but there."""
    fresh = process.fresh_blocks
    families: list[Family] = []
    if fresh:
        families += [
            _timed(name, process.around(f"{name}/{process.blocks}", median, 0.3), fresh)
            for name, median in _RESETTING_TIMERS.items()
        ]
        # Millions of gas per second, kept in a timer.
        families.append(_timed("chain_mgasps", process.around("mgasps", 410), fresh))
    for call, median in _ENGINE_CALLS.items():
        observed = process.around(f"{call}/{process.blocks}", median, 0.3) if fresh else 0.0
        families.append(_timed(f"rpc_duration_{call}_success", observed, fresh))
    return tuple(families)


def _timers(process: Process) -> tuple[Family, ...]:
    return (
        _timed("rpc_duration_all", process.around("rpc", 1.1 * _MILLISECOND), process.grown("rpc", 6.0)),
        *(
            _timed(name, process.around(name, median), process.grown(name, 9.0))
            for name, median in _RUNTIME_HISTOGRAMS.items()
        ),
    )


def _timed(name: str, median: float, count: int) -> Family:
    return summary(
        name, {quantile: round(median * _SKEW[quantile], 1) for quantile in QUANTILES}, count, None
    )
