"""The /metrics of validator clients: a part of what each implementation exposes, under its real names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stakewatch.simulator.exposition import Family, Sample, counter, gauge, per_value
from stakewatch.simulator.presets import GWEI
from stakewatch.simulator.process import Process


@dataclass(frozen=True)
class Duties:
    """What a validator client did with its keys since its start; one entry per key in each tuple.

    `balances` are in gwei at the start of the epoch, `last_slots` the slot of the last attestation.
    `usable` and `configured` count beacon nodes.
    """

    pubkeys: tuple[str, ...]
    indices: tuple[int, ...]
    attested: tuple[int, ...]
    failed: tuple[int, ...]
    last_slots: tuple[int, ...]
    balances: tuple[int, ...]
    proposed: int
    usable: int
    configured: int
    beacon_urls: tuple[str, ...]


def lighthouse(process: Process, duties: Duties) -> tuple[Family, ...]:
    """Return the metrics of a Lighthouse validator client; series come with their first use."""
    attested = sum(duties.attested)
    signed: tuple[Family, ...] = ()
    if attested:
        signed += (counter("vc_signed_attestations_total", attested, status="success"),)
    if duties.proposed:
        signed += (counter("vc_signed_beacon_blocks_total", duties.proposed, status="success"),)
    return (
        gauge("vc_beacon_nodes_total_count", duties.configured),
        gauge("vc_beacon_nodes_available_count", duties.usable),
        gauge("vc_beacon_nodes_synced_count", duties.usable),
        gauge("sync_eth2_fallback_configured", int(duties.configured > 1)),
        gauge("sync_eth2_fallback_connected", int(duties.usable > 1)),
        gauge("vc_validators_total_count", len(duties.pubkeys)),
        gauge("vc_validators_enabled_count", len(duties.pubkeys)),
        *signed,
        per_value(
            "counter",
            "bn_endpoint_requests",
            "endpoint",
            {url: process.grown(url, 3.0) for url in duties.beacon_urls},
        ),
        gauge("lighthouse_info", 1, version="Lighthouse/v8.1.0-edba56b"),
        *process.standard(whole_seconds_gauge=True),
    )


def prysm(process: Process, duties: Duties) -> tuple[Family, ...]:
    """Return the metrics of a Prysm validator client.

    It exposes the beacon node's metrics too, frozen at 0, because their packages are linked in.
    """
    frozen = (
        gauge("beacon_head_slot", 0),
        gauge("beacon_clock_time_slot", 0),
        gauge("beacon_finalized_epoch", 0),
        counter("beacon_reorgs_total", 0),
    )

    def by_key(type_: str, name: str, values: tuple[float, ...]) -> Family:
        return per_value(type_, name, "pubkey", dict(zip(duties.pubkeys, values, strict=True)))

    return (
        *frozen,
        by_key("gauge", "validator_balance", tuple(balance / GWEI for balance in duties.balances)),
        Family(
            "validator_statuses",
            "gauge",
            tuple(
                Sample("validator_statuses", 3, {"pubkey": pubkey, "index": hex(index)})
                for pubkey, index in zip(duties.pubkeys, duties.indices, strict=True)
            ),
        ),
        by_key("counter", "validator_successful_attestations", duties.attested),
        by_key("counter", "validator_failed_attestations", duties.failed),
        by_key("gauge", "validator_last_attested_slot", duties.last_slots),
        counter(
            "grpc_client_handled_total",
            process.grown("grpc", 4.0),
            grpc_type="unary",
            grpc_service="ethereum.eth.v1alpha1.BeaconNodeValidator",
            grpc_method="GetAttestationData",
            grpc_code="OK",
        ),
        gauge("go_goroutines", int(process.around("goroutines", 300))),
        gauge("prysm_version", 1, version="v7.1.6", commit="a1b2c3d4", buildDate="2026-06-30"),
        *process.standard(),
    )


def teku(process: Process, duties: Duties) -> tuple[Family, ...]:
    """Return the metrics of a Teku validator client."""
    return (
        per_value(
            "counter",
            "validator_duties_performed_total",
            "result",
            {"success": sum(duties.attested), "failed": sum(duties.failed)},
            type="attestation",
        ),
        counter("validator_duties_performed_total", duties.proposed, type="block", result="success"),
        gauge("validator_local_validator_count", len(duties.pubkeys)),
        per_value(
            "gauge",
            "validator_local_validator_counts",
            "status",
            {"active_ongoing": len(duties.pubkeys)},
        ),
        per_value(
            "counter",
            "validator_remote_beacon_nodes_requests_total",
            "endpoint",
            {url: process.grown(url, 2.0) for url in duties.beacon_urls},
            method="get_attestation_data",
            outcome="success",
        ),
        per_value(
            "gauge",
            "jvm_memory_used_bytes",
            "area",
            {"heap": int(process.memory * 0.5), "nonheap": int(process.memory * 0.1)},
        ),
        *process.standard(),
    )


VALIDATOR_METRICS: Mapping[str, Callable[[Process, Duties], tuple[Family, ...]]] = MappingProxyType(
    {"lighthouse": lighthouse, "prysm": prysm, "teku": teku}
)
