"""The /metrics of beacon nodes: a part of what each implementation exposes, under its real names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from stakewatch.simulator.exposition import Family, counter, gauge, histogram, per_value
from stakewatch.simulator.process import Process

_CLIENTS = ("lighthouse", "prysm", "teku", "nimbus", "lodestar")


def _shared(process: Process) -> tuple[Family, ...]:
    """Return what the clients agreed on (ethereum/beacon-metrics)."""
    view = process.view
    record = view.epoch
    return (
        gauge("beacon_head_slot", view.head_block.slot),
        gauge("beacon_finalized_epoch", record.finalized.epoch),
        gauge("beacon_current_justified_epoch", record.current_justified.epoch),
        gauge("beacon_previous_justified_epoch", record.previous_justified.epoch),
        gauge("beacon_current_active_validators", int(view.chain.state.active(record.epoch).sum())),
    )


def _peers_by(process: Process, names: tuple[str, ...]) -> dict[str, float]:
    """Share the peers out."""
    peers = process.view.peers
    parts = [peers // len(names)] * len(names)
    parts[0] += peers - sum(parts)
    return {name: float(part) for name, part in zip(names, parts, strict=True)}


def lighthouse(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Lighthouse beacon node; it registers a series with its first use."""
    view = process.view
    synced = not view.is_syncing
    executions: tuple[Family, ...] = ()
    if process.blocks:
        executions = (
            histogram(
                "execution_layer_request_times",
                process.blocks,
                process.own("engine", 0.08),
                [{"method": "new_payload"}, {"method": "forkchoice_updated"}],
            ),
            counter("execution_layer_payload_status", process.blocks, method="new_payload", status="valid"),
        )
    return (
        *_shared(process),
        counter("beacon_reorgs_total", process.reorganisations),
        gauge("slotclock_present_slot", view.chain.slot),
        gauge("slotclock_present_epoch", view.chain.epoch_of(view.chain.slot)),
        gauge("beacon_head_state_slot", view.head_block.slot),
        gauge("notifier_head_slot", view.head_block.slot),
        gauge("sync_eth2_synced", int(synced)),
        *((gauge("optimistic_sync", int(view.optimistic)),) if synced else ()),
        gauge("libp2p_peers", view.peers),
        per_value(
            "gauge", "libp2p_peers_multi", "direction", _peers_by(process, ("in", "out")), transport="quic"
        ),
        per_value(
            "gauge",
            "libp2p_peers_per_client",
            "Client",
            _peers_by(process, tuple(client.capitalize() for client in _CLIENTS)),
        ),
        *executions,
        gauge("execution_layer_info", 1, code="GE", name="Geth", version="v1.17.0-stable", commit="0cf3a71f"),
        gauge("lighthouse_info", 1, version="Lighthouse/v8.1.0-edba56b"),
        *process.standard(whole_seconds_gauge=True),
    )


def prysm(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Prysm beacon node; its three slots move only when it processes a block."""
    view = process.view
    slot = view.head_block.slot
    return (
        *_shared(process),
        counter("beacon_reorgs_total", process.reorganisations),
        gauge("beacon_slot", slot),
        gauge("beacon_clock_time_slot", slot),
        gauge("head_finalized_epoch", view.epoch.finalized.epoch),
        per_value(
            "gauge",
            "p2p_peer_count",
            "state",
            {
                "Connected": view.peers,
                "Disconnected": 140,
                "Connecting": 2,
                "Disconnecting": 0,
                "Bad": 11,
            },
        ),
        per_value(
            "gauge",
            "p2p_peer_count_direction_type",
            "direction",
            _peers_by(process, ("inbound", "outbound")),
            type="QUIC",
        ),
        per_value("gauge", "connected_libp2p_peers", "agent", _peers_by(process, _CLIENTS)),
        histogram("new_payload_v1_latency_milliseconds", process.blocks, process.own("engine", 90)),
        histogram("forkchoice_updated_v1_latency_milliseconds", process.blocks, process.own("choice", 30)),
        gauge("powchain_sync_eth1_connected", int(not view.execution_offline)),
        counter("new_payload_valid_node_count", process.blocks),
        counter("new_payload_optimistic_node_count", 0),
        gauge("go_goroutines", int(process.around("goroutines", 900))),
        gauge("go_memstats_heap_inuse_bytes", int(process.memory * 0.6)),
        gauge("prysm_version", 1, version="v7.1.6", commit="a1b2c3d4", buildDate="2026-06-30"),
        *process.standard(),
    )


def teku(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Teku beacon node; its `beacon_slot` is the clock."""
    view = process.view
    return (
        *_shared(process),
        counter("beacon_reorgs_total", process.reorganisations),
        gauge("beacon_slot", view.chain.slot),
        gauge("beacon_epoch", view.chain.epoch_of(view.chain.slot)),
        gauge("beacon_node_syncing_active", int(view.is_syncing)),
        gauge("libp2p_peers", view.peers),
        per_value("gauge", "beacon_peer_count", "direction", _peers_by(process, ("inbound", "outbound"))),
        per_value("gauge", "libp2p_connected_peers_current", "client", _peers_by(process, _CLIENTS)),
        per_value(
            "counter",
            "beacon_engine_requests_total",
            "interval",
            {"[0,100)": process.blocks * 9 // 10, "[100,300)": process.blocks - process.blocks * 9 // 10},
            method="new_payload",
            outcome="success",
        ),
        gauge("beacon_ee_request_queue_size", 0),
        per_value(
            "gauge",
            "jvm_memory_used_bytes",
            "area",
            {"heap": int(process.memory * 0.5), "nonheap": int(process.memory * 0.1)},
        ),
        *process.standard(),
    )


def nimbus(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Nimbus beacon node; `libp2p_peers` counts connections, `nbc_peers` peers."""
    view = process.view
    url = "http://execution:8551"
    return (
        *_shared(process),
        gauge("beacon_reorgs_total", process.reorganisations),
        gauge("beacon_reorgs_total_total", process.reorganisations),
        gauge("beacon_slot", view.chain.slot),
        gauge("libp2p_peers", view.peers + 4),
        gauge("nbc_peers", view.peers),
        gauge("finalization_delay", max(0, view.chain.epoch_of(view.head) - view.epoch.finalized.epoch)),
        histogram(
            "engine_api_request_duration_seconds",
            process.blocks,
            process.own("engine", 0.07),
            [{"url": url, "request": "newPayload"}, {"url": url, "request": "forkchoiceUpdated"}],
        ),
        counter("engine_api_responses_total", process.blocks, url=url, request="newPayload", status="200"),
        per_value("gauge", "nim_gc_mem_bytes", "thread_id", {"1": int(process.memory * 0.4)}),
        gauge("version", 1, version="v24.12.0-4e440277-stateofus", commit="4e440277"),
        *process.standard(),
    )


def lodestar(process: Process) -> tuple[Family, ...]:
    """Return the metrics of a Lodestar beacon node; most of its totals are gauges."""
    view = process.view
    return (
        *_shared(process),
        gauge("beacon_reorgs_total", process.reorganisations),
        gauge("beacon_clock_slot", view.chain.slot),
        gauge("lodestar_sync_status", 1 if view.is_syncing else 3),
        gauge("libp2p_peers", view.peers),
        per_value(
            "gauge",
            "lodestar_peers_by_direction_count",
            "direction",
            _peers_by(process, ("inbound", "outbound")),
        ),
        per_value("gauge", "lodestar_peers_by_client_count", "client", _peers_by(process, _CLIENTS)),
        histogram(
            "lodestar_execution_engine_http_client_request_time_seconds",
            process.blocks,
            process.own("engine", 0.06),
            [{"routeId": "notifyNewPayload"}, {"routeId": "forkchoiceUpdated"}],
        ),
        per_value(
            "gauge",
            "lodestar_execution_engine_notify_new_payload_result_total",
            "result",
            {"VALID": process.blocks},
        ),
        gauge("nodejs_heap_size_used_bytes", int(process.memory * 0.5)),
        gauge("lodestar_version", 1, version="v1.5.1", commit="fa7e2a8", network="devnet"),
        *process.standard(),
    )


BEACON_METRICS: Mapping[str, Callable[[Process], tuple[Family, ...]]] = MappingProxyType(
    {"lighthouse": lighthouse, "prysm": prysm, "teku": teku, "nimbus": nimbus, "lodestar": lodestar}
)
