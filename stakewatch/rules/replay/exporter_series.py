"""The series that the exporter has for a fleet: which there are, and those that never change."""

from collections.abc import Iterable, Mapping

import numpy as np

from stakewatch.rules.replay.board import Board, Numbers
from stakewatch.rules.replay.fleet import SIGNED_REMOTELY, Group, Process
from stakewatch.rules.replay.node_model import NodeModel
from stakewatch.rules.replay.truth import SLOT_SECONDS, Truth

GWEI = 10**9
# Active validators of the whole network.
ACTIVE = 1_000_000
STATUSES = ("active_ongoing", "active_exiting", "active_slashed", "exited_unslashed", "exited_slashed")
_BUCKETS = ("1", "2", "3", "4", "8", "16", "32", "+Inf")
_REQUEST_BUCKETS = ("0.005", "0.025", "0.1", "0.25", "0.5", "1", "2", "4", "8", "+Inf")
_TIERS = ("ssz", "json_network", "json_watched", "blocks")
_OUTCOMES = ("ok", "http_4xx", "http_5xx", "rate_limited", "timeout", "connection", "truncated", "invalid")
_ENDPOINTS: Mapping[str, tuple[str, ...]] = {
    "beacon": ("node", "head", "finality", "block", "duties", "state"),
    "execution": ("rpc",),
}


class ExporterSeries:
    """Adds the exporter's series to a board; attributes hold the numbers of those that a model writes."""

    def __init__(self, board: Board, truth: Truth) -> None:
        self._board = board
        self._truth = truth
        self.constants: list[tuple[int, float]] = []
        fleet = truth.fleet
        self._exporter = fleet.exporter
        self.nodes = [
            NodeModel(board, process, truth, fleet.exporter)
            for process in fleet.of_role("beacon", "execution")
        ]
        self.groups = {
            group.name: self._counters("stakewatch_", {"group": group.name}) for group in fleet.groups
        }
        self.network = self._counters("stakewatch_network_", {})
        keys = [
            {
                **self._exporter,
                "group": group.name,
                "validator_index": str(500_000 + key),
                "pubkey": fleet.pubkey(key),
            }
            for group in fleet.groups
            for key in range(group.first_key, group.first_key + group.keys)
        ]
        self.earned = board.add_all("stakewatch_validator_earned_gwei", keys)
        self.balance = board.add_all("stakewatch_validator_balance_gwei", keys)
        self.active = board.add_all("stakewatch_validator_active", keys)
        self.misses = board.add_all("stakewatch_validator_consecutive_misses", keys)
        self.slashed = [
            (key, board.add("stakewatch_validator_slashed", keys[key]))
            for key in np.flatnonzero(np.isfinite(truth.slashed_at)).tolist()
        ]
        self.group_figures = {group.name: self._gauges(group) for group in fleet.groups}
        self.topology = {
            (client, node): (
                self._add(
                    "stakewatch_topology_info",
                    1,
                    validator_client=client,
                    beacon_node=node,
                    priority="primary" if node == uses[0] else "backup",
                ),
                self._add(
                    "stakewatch_topology_active", validator_client=client, beacon_node=node, source="assumed"
                ),
            )
            for client, uses in fleet.uses.items()
            for node in uses
            if node is not None
        }
        self._add_network()
        self._add_itself()
        self._add_signers()
        self.requests = [
            (node, self._add_requests(node.process, endpoint))
            for node in self.nodes
            for endpoint in _ENDPOINTS[node.process.role]
        ]

    def _add(self, name: str, value: float | None = None, /, **labels: str) -> int:
        number = self._board.add(name, self._exporter, **labels)
        if value is not None:
            self.constants.append((number, value))
        return number

    def _each(
        self, name: str, label: str, values: Iterable[str], of: Mapping[str, str], value: float | None = None
    ) -> Numbers:
        return np.array([self._add(name, value, **{**of, label: one}) for one in values], dtype=np.int64)

    def _counters(self, prefix: str, labels: Mapping[str, str]) -> dict[str, Numbers]:
        """Add the families that groups and the network share."""
        board = self._board

        def add(name: str, **more: str) -> int:
            return board.add(prefix + name, self._exporter, **labels, **more)

        results = ("proposed", "missed", "orphaned")
        distance = "attestation_inclusion_distance_slots"
        return {
            "recent": np.array([add("attestations_recent", flags=one) for one in ("all", "some", "none")]),
            "duties": np.array([add("attestation_duties_total"), add("attestation_missed_total")]),
            "votes": np.array(
                [
                    add("attestation_votes_total", vote=vote, result=result)
                    for vote in ("source", "target", "head")
                    for result in ("correct", "wrong")
                ]
            ),
            "distance": np.array(
                [add(f"{distance}_bucket", le=bound) for bound in _BUCKETS]
                + [add(f"{distance}_sum"), add(f"{distance}_count")]
            ),
            "gwei": np.array(
                [add("attestation_reward_gwei_total"), add("attestation_ideal_reward_gwei_total")]
                + [
                    add("attestation_penalty_gwei_total", kind=kind)
                    for kind in ("source", "target", "inactivity")
                ]
            ),
            "proposals": np.array([add("proposals_total", result=one) for one in results]),
            "proposals_recent": np.array([add("proposals_recent", result=one) for one in results]),
            "sync": np.array([add("sync_committee_duties_total", result=one) for one in ("hit", "miss")]),
        }

    def _gauges(self, group: Group) -> dict[str, Numbers | int]:
        """Add what only groups have."""
        of = {"group": group.name}
        add = self._add
        add("stakewatch_group_info", 1, group=group.name, validator_client=group.validator_client)
        add("stakewatch_validators_effective_balance_gwei", 32.0 * GWEI * group.keys, **of)
        self._each(
            "stakewatch_validators_unexpected",
            "reason",
            ("exited", "inactive", "live_while_disabled", "unknown"),
            of,
            0,
        )
        for name in ("deposits_gwei", "voluntary_exits", "consolidations"):
            add(f"stakewatch_{name}_total", 0, **of)
        for event, seconds in (
            ("attestation", 384.0 / group.keys),
            ("proposal", 48_000.0),
            ("sync_committee", 5e6),
        ):
            add("stakewatch_expected_seconds_between", seconds, **of, event=event)
        seats = int(sum(group.first_key <= key < group.first_key + group.keys for key in self._truth.seats))
        self._each("stakewatch_sync_committee_seats", "period", ("current",), of, seats)
        self._each("stakewatch_sync_committee_seats", "period", ("next",), of, 0)
        for name in (
            "proposal_consensus_reward_gwei",
            "sync_committee_reward_gwei",
            "sync_committee_penalty_gwei",
        ):
            add(f"stakewatch_{name}_total", 0, **of)
        self._each(
            "stakewatch_proposal_execution_reward_gwei_total",
            "source",
            ("local", "builder", "unknown"),
            of,
            0,
        )
        add("stakewatch_proposal_fee_recipient_mismatch_total", 0, **of)
        return {
            "statuses": self._each("stakewatch_validators", "status", STATUSES, of),
            "missing": self._each("stakewatch_validators_missing", "epochs", ("1", "2", "3", "5"), of),
            "not_earning": add("stakewatch_validators_not_earning", None, **of),
            "balance": add("stakewatch_validators_balance_gwei", None, **of),
            "earned": add("stakewatch_validators_earned_gwei", None, **of),
            "withdrawals": add("stakewatch_withdrawals_gwei_total", None, **of),
            "upcoming": add("stakewatch_proposals_upcoming", None, **of),
            "next_duty": add("stakewatch_next_duty_timestamp_seconds", None, **of, duty="proposal"),
            "expected": add("stakewatch_proposals_expected_total", None, **of),
        }

    def _add_network(self) -> None:
        add = self._add
        add("stakewatch_genesis_timestamp_seconds", self._truth.genesis)
        add("stakewatch_seconds_per_slot", SLOT_SECONDS)
        add("stakewatch_network_active_validators", ACTIVE)
        add("stakewatch_network_active_balance_gwei", 32.0 * GWEI * ACTIVE)
        self.finality_delay = add("stakewatch_network_finality_delay_epochs")
        self.leak = add("stakewatch_network_inactivity_leak")
        add("stakewatch_network_slashings_total", 4, kind="proposer")
        add("stakewatch_network_slashings_recent", 0, kind="proposer")
        self.slashings = add("stakewatch_network_slashings_total", kind="attester")
        self.slashings_recent = add("stakewatch_network_slashings_recent", kind="attester")
        self._each(
            "stakewatch_network_queue_length",
            "queue",
            ("deposit", "consolidation", "withdrawal", "exit"),
            {},
            100,
        )
        self.participation = self._each(
            "stakewatch_network_participation_ratio", "vote", ("source", "target", "head"), {}
        )

    def _add_itself(self) -> None:
        add = self._add
        for name, group_keys in self._keys_by_client().items():
            add("stakewatch_validator_client_keys", group_keys, validator_client=name)
            add("stakewatch_validator_client_keys_missing", 0, validator_client=name)
        for tier in _TIERS:
            add("stakewatch_source_tier", float(tier == "ssz"), tier=tier)
        for kind in ("balance_jump", "deep_reorg"):
            add("stakewatch_corrections_total", 0, kind=kind)
        add("stakewatch_epochs_skipped_total", 0)
        for family in ("stakewatch_validator_earned_gwei", "stakewatch_validator_balance_gwei"):
            add("stakewatch_offenders_cut_total", 0, family=family)
        add("stakewatch_build_info", 1, version="0.1.0", revision="unknown")
        add("up", 1)
        self.updates = self._each(
            "stakewatch_last_update_timestamp_seconds",
            "source",
            ("nodes", "state", "slots", "keymanagers"),
            {},
        )
        self.processed_slot = add("stakewatch_last_processed_slot")
        self.processed_epoch = add("stakewatch_last_processed_epoch")

    def _add_signers(self) -> None:
        for process in self._truth.fleet.of_role("signer"):
            labels = process.watched_labels
            remote = sum(
                count
                for client, count in self._keys_by_client().items()
                if self._truth.fleet.processes[client].implementation in SIGNED_REMOTELY
                and self._truth.fleet.processes[client].cluster == process.cluster
            )
            for name, value in (
                ("node_up", 1),
                ("node_healthy", 1),
                ("signer_keys", remote),
                ("signer_keys_missing", 0),
            ):
                number = self._board.add(f"stakewatch_{name}", {**self._exporter, **labels})
                self.constants.append((number, value))

    def _keys_by_client(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for group in self._truth.fleet.groups:
            counts[group.validator_client] = counts.get(group.validator_client, 0) + group.keys
        return counts

    def _add_requests(self, process: Process, endpoint: str) -> Numbers:
        """Add the requests to a node: eight outcomes, ten buckets, sum and count."""
        of = {**process.watched_labels, "endpoint": endpoint}
        base = "stakewatch_request_duration_seconds"
        outcomes = [self._add("stakewatch_requests_total", None, **of, outcome=_OUTCOMES[0])]
        outcomes += [self._add("stakewatch_requests_total", 0, **of, outcome=one) for one in _OUTCOMES[1:]]
        buckets = [self._add(f"{base}_bucket", None, **of, le=bound) for bound in _REQUEST_BUCKETS]
        return np.array(
            [
                *outcomes,
                *buckets,
                self._add(f"{base}_sum", None, **of),
                self._add(f"{base}_count", None, **of),
            ]
        )
