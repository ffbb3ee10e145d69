"""The metric families that the exporter serves: names, types, labels, buckets, and what they mean."""

from dataclasses import dataclass
from typing import Literal

NODE_LABELS = ("cluster", "region", "instance", "role", "implementation")
_REQUEST_LABELS = ("instance", "role", "implementation", "endpoint")
_KEY_LABELS = ("group", "validator_index", "pubkey")


@dataclass(frozen=True)
class Family:
    """One metric family; every series of it also carries `network`.

    A label that ends in `*` stands for any number of labels of that beginning.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _node(name: str, meaning: str, *labels: str) -> Family:
    return Family(f"stakewatch_{name}", "gauge", meaning, (*NODE_LABELS, *labels))


def _group(name: str, meaning: str, *labels: str) -> Family:
    kind: Literal["gauge", "counter"] = "counter" if name.endswith("_total") else "gauge"
    return Family(f"stakewatch_{name}", kind, meaning, ("group", *labels))


def _fleet(name: str, meaning: str, *labels: str) -> Family:
    kind: Literal["gauge", "counter"] = "counter" if name.endswith("_total") else "gauge"
    return Family(f"stakewatch_{name}", kind, meaning, labels)


NODE_UP = _node("node_up", "1 when its API answered in time in the last round")
NODE_HEALTHY = _node("node_healthy", "1 when every check passes")
NODE_CHECK = _node("node_check", "1 when the check passes", "check")
NODE_INFO = _node("node_info", "Always 1; the version that the node says it has", "version")
NODE_VERSION_OUTDATED = _node("node_version_outdated", "1 when its version is below the expected one")
NODE_LOCATION_INFO = _node("node_location_info", "Always 1; where it runs, as configured", "machine", "zone")
NODE_PEERS = _node("node_peers", "Connected peers")
NODE_SYNCING = _node("node_syncing", "1 while the node says that it is syncing; proves nothing alone")
NODE_SYNC_SECONDS_LEFT = _node("node_sync_seconds_left", "Until it is in sync, from the last 10 minutes")
NODE_CLOCK_OFFSET = _node("node_clock_offset_seconds", "Its clock minus ours, from its Date header")
BEACON_HEAD_SLOT = _node("beacon_head_slot", "Slot of its head block")
BEACON_HEAD_TIMESTAMP = _node("beacon_head_timestamp_seconds", "Start of the slot of its head block")
BEACON_SYNC_DISTANCE = _node("beacon_sync_distance_slots", "Slot by our clock minus its head slot")
BEACON_OPTIMISTIC = _node("beacon_optimistic", "1 while its head is not verified by its execution node")
BEACON_EXECUTION_OFFLINE = _node("beacon_execution_offline", "1 while it cannot reach its execution node")
BEACON_JUSTIFIED_EPOCH = _node("beacon_justified_epoch", "Justified epoch of its head")
BEACON_FINALIZED_EPOCH = _node("beacon_finalized_epoch", "Finalised epoch of its head")
BEACON_ROOT_DISAGREEMENT = _node(
    "beacon_root_disagreement", "1 when its block root two slots back differs from the others'"
)
BEACON_FORK_SCHEDULE_MISMATCH = _node(
    "beacon_fork_schedule_mismatch", "1 when its fork schedule differs from the others'"
)
BEACON_EXECUTION_PAIR_INFO = _node(
    "beacon_execution_pair_info", "Always 1; its execution node, as configured", "execution_node"
)
EXECUTION_HEAD_BLOCK = _node("execution_head_block", "Number of its newest block")
EXECUTION_HEAD_TIMESTAMP = _node("execution_head_timestamp_seconds", "Timestamp of its newest block")
EXECUTION_BEHIND_BLOCKS = _node(
    "execution_behind_blocks", "Blocks that it is behind the beacon chain's newest payload"
)
EXECUTION_CHAIN_ID = _node("execution_chain_id", "Chain id")
SIGNER_KEYS = _node("signer_keys", "Keys that a remote signer lists")
SIGNER_KEYS_MISSING = _node("signer_keys_missing", "Configured keys that a remote signer does not list")

EXPECTED_VERSION_INFO = _fleet(
    "expected_version_info", "Always 1; as configured", "role", "implementation", "version"
)
TOPOLOGY_INFO = _fleet(
    "topology_info", "Always 1; as configured", "validator_client", "beacon_node", "priority"
)
TOPOLOGY_ACTIVE = _fleet(
    "topology_active", "1 for the beacon node in use", "validator_client", "beacon_node", "source"
)
GENESIS_TIMESTAMP = _fleet("genesis_timestamp_seconds", "Genesis of the beacon chain")
SECONDS_PER_SLOT = _fleet("seconds_per_slot", "Length of a slot")

VALIDATOR_CLIENT_KEYS = _fleet(
    "validator_client_keys", "Keys that its keymanager API lists", "validator_client"
)
VALIDATOR_CLIENT_KEYS_MISSING = _fleet(
    "validator_client_keys_missing",
    "Configured keys that its keymanager API does not list",
    "validator_client",
)
DUPLICATE_KEYS = _fleet(
    "duplicate_keys", "Keys that two clients list", "validator_client", "other_validator_client"
)

GROUP_INFO = _group(
    "group_info", "Always 1; the group's validator client and labels", "validator_client", "label_*"
)
VALIDATORS = _group("validators", "Keys by status", "status")
VALIDATORS_BALANCE = _group("validators_balance_gwei", "Sum of balances")
VALIDATORS_EFFECTIVE_BALANCE = _group("validators_effective_balance_gwei", "Sum of effective balances")
VALIDATORS_EARNED = _group(
    "validators_earned_gwei",
    "Change of balance plus withdrawals minus deposits, cumulative from the first epoch seen",
)
VALIDATORS_NOT_EARNING = _group(
    "validators_not_earning", "Active keys that earned nothing in the last two epochs"
)
WITHDRAWALS = _group("withdrawals_gwei_total", "Withdrawn from the keys, sweeps included")
DEPOSITS = _group("deposits_gwei_total", "Deposited to the keys, when the deposit is in a block")
PROPOSALS = _group("proposals_total", "Proposals of the keys by result", "result")
PROPOSAL_CONSENSUS_REWARD = _group("proposal_consensus_reward_gwei_total", "Consensus rewards of proposals")
PROPOSAL_EXECUTION_REWARD = _group(
    "proposal_execution_reward_gwei_total", "Priority fees or builder payments of proposals", "source"
)
PROPOSAL_FEE_RECIPIENT_MISMATCH = _group(
    "proposal_fee_recipient_mismatch_total", "Proposals that paid none of the expected fee recipients"
)

VALIDATOR_EARNED = Family(
    "stakewatch_validator_earned_gwei", "gauge", "As stakewatch_validators_earned_gwei", _KEY_LABELS
)
VALIDATOR_BALANCE = Family("stakewatch_validator_balance_gwei", "gauge", "Balance", _KEY_LABELS)
VALIDATOR_ACTIVE = Family("stakewatch_validator_active", "gauge", "1 while it has duties", _KEY_LABELS)
OFFENDERS_CUT = _fleet("offenders_cut_total", "Series left out because of a limit", "family")

NETWORK_FINALITY_DELAY = _fleet(
    "network_finality_delay_epochs", "Previous epoch minus finalised epoch; 1 or 2 when all is well"
)
NETWORK_INACTIVITY_LEAK = _fleet(
    "network_inactivity_leak", "1 while finality is delayed so far that stakes leak"
)

LAST_UPDATE = _fleet("last_update_timestamp_seconds", "When the source last gave good data", "source")
LAST_PROCESSED_SLOT = _fleet("last_processed_slot", "Slot of the newest block taken in")
LAST_PROCESSED_EPOCH = _fleet("last_processed_epoch", "Newest epoch whose balances were taken in")
SOURCE_TIER = _fleet("source_tier", "1 for the tier in use", "tier")
REQUESTS = Family(
    "stakewatch_requests_total", "counter", "Requests by how they ended", (*_REQUEST_LABELS, "outcome")
)
REQUEST_DURATION = Family(
    "stakewatch_request_duration_seconds",
    "histogram",
    "Time until the whole answer was there, or the request failed",
    _REQUEST_LABELS,
    (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8),
)
CORRECTIONS = _fleet("corrections_total", "What had to be taken back or set aside", "kind")
EPOCHS_SKIPPED = _fleet("epochs_skipped_total", "Epochs not back-filled after a gap, by bound")
BUILD_INFO = _fleet("build_info", "Always 1; what is running", "version", "revision")

FAMILIES: tuple[Family, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Family))
