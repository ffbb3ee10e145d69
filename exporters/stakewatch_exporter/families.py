"""The metric families that the exporter serves: names, types, labels, buckets, and what they mean."""

from dataclasses import dataclass
from typing import Literal

NODE_LABELS = ("cluster", "region", "instance", "role", "implementation")
_REQUEST_LABELS = ("instance", "role", "implementation", "endpoint")
_KEY_LABELS = ("group", "validator_index", "pubkey")
DISTANCES = (1, 2, 3, 4, 8, 16, 32)


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
VALIDATORS_MISSING = _group(
    "validators_missing", "Keys that missed at least that many attestations in a row", "epochs"
)
VALIDATORS_UNEXPECTED = _group(
    "validators_unexpected", "Keys in a state that their group's configuration does not expect", "reason"
)
VOLUNTARY_EXITS = _group("voluntary_exits_total", "Exits by the keys' own message")
CONSOLIDATIONS = _group("consolidations_total", "Requests to merge a key into another validator")
EXPECTED_SECONDS = _group(
    "expected_seconds_between", "Mean time between events, by the group's share of the stake", "event"
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

PROPOSALS_RECENT = _group("proposals_recent", "Proposals of the last 64 slots by result", "result")
PROPOSALS_EXPECTED = _group("proposals_expected_total", "Sum of the probabilities to propose")
PROPOSALS_UPCOMING = _group("proposals_upcoming", "Proposals that are known and still to come")
NEXT_DUTY = _group("next_duty_timestamp_seconds", "Start of the slot of the next known duty", "duty")


def _twins(name: str, meaning: str, *labels: str, histogram: bool = False) -> tuple[Family, Family]:
    """Return the family of groups and that of the whole network."""
    if histogram:
        return (
            Family(f"stakewatch_{name}", "histogram", meaning, ("group", *labels), DISTANCES),
            Family(f"stakewatch_network_{name}", "histogram", f"Network: {meaning}", labels, DISTANCES),
        )
    return _group(name, meaning, *labels), _fleet(f"network_{name}", f"Network: {meaning}", *labels)


ATTESTATIONS_RECENT = _twins(
    "attestations_recent", "Active keys by the timely flags of the epoch that ended last", "flags"
)
ATTESTATION_DUTIES = _twins("attestation_duties_total", "Attestations that were due")
ATTESTATION_MISSED = _twins("attestation_missed_total", "Attestations that brought no timely vote")
ATTESTATION_VOTES = _twins(
    "attestation_votes_total", "Votes of the attestations that were given", "vote", "result"
)
ATTESTATION_DISTANCE = _twins(
    "attestation_inclusion_distance_slots", "Slots from duty to first inclusion", histogram=True
)
ATTESTATION_REWARD = _twins("attestation_reward_gwei_total", "Rewards for attestations")
ATTESTATION_PENALTY = _twins(
    "attestation_penalty_gwei_total", "Penalties for attestations, as positive amounts", "kind"
)
ATTESTATION_IDEAL_REWARD = _twins(
    "attestation_ideal_reward_gwei_total", "What perfect attestations would have brought"
)
SYNC_COMMITTEE_SEATS = _group("sync_committee_seats", "Seats; one key may hold several", "period")
SYNC_COMMITTEE_DUTIES = _twins(
    "sync_committee_duties_total", "Seats times blocks in which they could take part", "result"
)
SYNC_COMMITTEE_REWARD = _group("sync_committee_reward_gwei_total", "Rewards of seats that took part")
SYNC_COMMITTEE_PENALTY = _group(
    "sync_committee_penalty_gwei_total", "Penalties of seats that did not, as positive amounts"
)

VALIDATOR_EARNED = Family(
    "stakewatch_validator_earned_gwei", "gauge", "As stakewatch_validators_earned_gwei", _KEY_LABELS
)
VALIDATOR_BALANCE = Family("stakewatch_validator_balance_gwei", "gauge", "Balance", _KEY_LABELS)
VALIDATOR_ACTIVE = Family("stakewatch_validator_active", "gauge", "1 while it has duties", _KEY_LABELS)
VALIDATOR_CONSECUTIVE_MISSES = Family(
    "stakewatch_validator_consecutive_misses",
    "gauge",
    "Attestations missed in a row, only while at least 2",
    _KEY_LABELS,
)
VALIDATOR_SLASHED = Family(
    "stakewatch_validator_slashed", "gauge", "Always 1; the validator is slashed", _KEY_LABELS
)
VALIDATOR_LIVE_WHILE_DISABLED = Family(
    "stakewatch_validator_live_while_disabled",
    "gauge",
    "Always 1; seen signing although its group is disabled",
    _KEY_LABELS,
)
OFFENDERS_CUT = _fleet("offenders_cut_total", "Series left out because of a limit", "family")

NETWORK_PROPOSALS = _fleet("network_proposals_total", "Network: Proposals by result", "result")
NETWORK_PROPOSALS_RECENT = _fleet(
    "network_proposals_recent", "Network: Proposals of the last 64 slots by result", "result"
)
NETWORK_ACTIVE_VALIDATORS = _fleet("network_active_validators", "Validators that have duties")
NETWORK_ACTIVE_BALANCE = _fleet("network_active_balance_gwei", "Effective balance of active validators")
NETWORK_PARTICIPATION = _fleet(
    "network_participation_ratio", "Balance behind timely votes by balance behind all duties", "vote"
)
NETWORK_SLASHINGS = _fleet("network_slashings_total", "Slashed validators", "kind")
NETWORK_SLASHINGS_RECENT = _fleet(
    "network_slashings_recent", "Validators slashed in the last 64 slots", "kind"
)
NETWORK_QUEUE_LENGTH = _fleet("network_queue_length", "Entries of the queue", "queue")
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

FAMILIES: tuple[Family, ...] = tuple(
    family
    for value in list(globals().values())
    for family in (value if isinstance(value, tuple) else (value,))
    if isinstance(family, Family)
)
