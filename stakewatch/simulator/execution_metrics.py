"""The /metrics of execution nodes: a part of what each implementation exposes, under its real names."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from stakewatch.simulator.exposition import Family, Sample, counter, gauge, per_value, summary
from stakewatch.simulator.geth_metrics import geth
from stakewatch.simulator.process import GIB, Process


def nethermind(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Nethermind node: all gauges, each with the same static labels."""
    view = process.view
    head = view.head_block.payload.block_number
    families = (
        gauge("ethereum_blockchain_height", head),
        gauge("ethereum_best_known_block_number", head),
        gauge("ethereum_peer_count", view.peers),
        gauge("ethereum_peer_limit", 50),
        gauge("nethermind_blocks", process.blocks),
        gauge("nethermind_reorganizations", process.reorganisations),
        gauge("nethermind_processing_queue_size", 0),
        gauge("nethermind_mgas_per_sec", round(process.around("mgas", 520), 2)),
        gauge("nethermind_new_payload_execution_time", int(process.around("engine", 85))),
        gauge("nethermind_forkchoice_updated_execution_time", int(process.around("choice", 4))),
        gauge("nethermind_last_block_processing_time_in_ms", int(process.around("block", 70))),
        gauge("nethermind_json_rpc_errors", process.grown("errors", 0.01)),
        gauge("nethermind_transaction_count", int(process.around("pool", 3900))),
        per_value("gauge", "nethermind_db_size", "db", {"state": 210 * GIB, "blocks": 420 * GIB}),
        per_value("gauge", "nethermind_sync_peers", "client_type", {"Geth": view.peers}),
        gauge("nethermind_version", 1),
        gauge("process_working_set_bytes", int(process.memory)),
        gauge("process_private_memory_bytes", int(process.memory * 1.4)),
        gauge("dotnet_total_memory_bytes", int(process.memory * 0.5)),
        counter("process_cpu_seconds_total", round(process.cpu_seconds, 2)),
        gauge("process_start_time_seconds", round(process.started, 2)),
    )
    static = {
        "Instance": process.instance,
        "Network": view.chain.parameters.network,
        "SyncType": "Snap",
        "PruningMode": "Hybrid",
        "Version": "1.39.0",
        "Commit": "2b0c6ee3",
        "Runtime": ".NET 10.0.1",
        "BuildTimestamp": "1790000000",
    }
    return tuple(
        replace(
            family,
            samples=tuple(
                Sample(sample.name, sample.value, {**sample.labels, **static}) for sample in family.samples
            ),
        )
        for family in families
    )


def besu(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Besu node; its best known block is the last one that it was told."""
    view = process.view
    block = view.head_block.payload
    return (
        gauge("ethereum_blockchain_height", block.block_number),
        gauge("ethereum_best_known_block_number", block.block_number),
        gauge("ethereum_blockchain_finalized_block", view.finalized_block.payload.block_number),
        gauge("ethereum_blockchain_safe_block", view.justified_block.payload.block_number),
        gauge("ethereum_peer_count", view.peers),
        gauge("ethereum_peer_limit", 25),
        per_value("gauge", "besu_peers_peer_count_by_client", "client", {"geth": view.peers}),
        gauge("besu_synchronizer_in_sync", int(not view.syncing)),
        gauge("besu_blockchain_chain_head_timestamp", block.timestamp),
        gauge("besu_blockchain_chain_head_gas_used", block.gas_used),
        summary(
            "besu_rpc_request_time",
            {quantile: process.around("engine", 0.1) * (1 + quantile) for quantile in (0.2, 0.5, 0.95)},
            process.blocks,
            process.blocks * 0.1,
            methodName="engine_newPayloadV4",
        ),
        per_value(
            "gauge",
            "besu_transaction_pool_number_of_transactions",
            "layer",
            {"prioritized": 1800, "ready": 900, "sparse": 300},
        ),
        per_value(
            "gauge",
            "jvm_memory_used_bytes",
            "area",
            {"heap": int(process.memory * 0.5), "nonheap": int(process.memory * 0.1)},
        ),
        gauge("process_release", 1, version="26.8.0"),
        *process.standard(),
    )


def reth(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Reth node: all under one prefix, counters without _total."""
    view = process.view
    head = view.head_block.payload.block_number
    engine = process.own("engine", 0.04)
    return (
        gauge("reth_blockchain_tree_canonical_chain_height", head),
        gauge("reth_blockchain_tree_safe_block_height", view.justified_block.payload.block_number),
        gauge("reth_blockchain_tree_finalized_block_height", view.finalized_block.payload.block_number),
        counter("reth_blockchain_tree_reorgs", process.reorganisations, commitment="canonical"),
        gauge("reth_network_connected_peers", view.peers),
        gauge("reth_network_incoming_connections", view.peers // 3),
        gauge("reth_network_outgoing_connections", view.peers - view.peers // 3),
        gauge("reth_transaction_pool_pending_pool_transactions", int(process.around("pool", 3600))),
        gauge("reth_transaction_pool_queued_pool_transactions", int(process.around("queue", 700))),
        *(
            summary(
                name,
                {quantile: round(engine * (0.5 + quantile), 6) for quantile in (0, 0.5, 0.9, 0.95, 0.99, 1)},
                process.blocks,
                process.blocks * engine,
            )
            for name in ("reth_engine_rpc_new_payload_v4", "reth_engine_rpc_fork_choice_updated_v3")
        ),
        per_value("gauge", "reth_sync_checkpoint", "stage", {"Execution": head, "Finish": head}),
        gauge("reth_sync_execution_gas_per_second", int(process.around("gas", 6.1e8))),
        per_value(
            "gauge", "reth_db_table_size", "table", {"Headers": 9 * GIB, "PlainStorageState": 160 * GIB}
        ),
        gauge("reth_jemalloc_resident", int(process.memory)),
        gauge(
            "reth_info",
            1,
            version="2.5.1",
            build_timestamp="2026-08-20T10:00:00Z",
            cargo_features="jemalloc",
            git_sha="8f4d3c2",
            target_triple="x86_64-unknown-linux-gnu",
            build_profile="maxperf",
        ),
        *process.standard("reth_"),
    )


def erigon(process: Process) -> tuple[Family, ...]:
    """Return the metrics of an Erigon node: no prefix, stages hold block numbers."""
    view = process.view
    head = view.head_block.payload.block_number
    stages = ("headers", "bodies", "senders", "execution", "tx_lookup", "finish")
    engine = process.own("engine", 0.12)
    return (
        per_value("gauge", "sync", "stage", {stage: float(head) for stage in stages}),
        gauge("p2p_peers", view.peers),
        gauge("txpool_pending", int(process.around("pool", 4400))),
        gauge("txpool_queued", int(process.around("queue", 800))),
        summary(
            "rpc_duration_seconds",
            {quantile: round(engine * (0.5 + quantile), 6) for quantile in (0.5, 0.9, 0.97, 0.99)},
            process.blocks,
            process.blocks * engine,
            method="engine_newPayloadV4",
            success="success",
        ),
        per_value("gauge", "db_size", "db", {"chaindata": 60 * GIB, "txpool": GIB}),
        gauge("chain_tip_mgas_per_sec", round(process.around("mgas", 480), 2)),
        gauge("mem_rss", int(process.memory)),
        gauge("go_goroutines", int(process.around("goroutines", 1200))),
        gauge("erigon_info", 1, version="3.2.2", commit="9d3f0a1c"),
        *process.standard(),
    )


EXECUTION_METRICS: Mapping[str, Callable[[Process], tuple[Family, ...]]] = MappingProxyType(
    {"geth": geth, "nethermind": nethermind, "besu": besu, "reth": reth, "erigon": erigon}
)
