"""What the exporter would show of a truth, as its contract says: when it is published and when it settles."""

from collections.abc import Iterable, Mapping

import numpy as np

from tests.bench.rules.board import Board, Numbers
from tests.bench.rules.fleet import NETWORK, SIGNED_REMOTELY, Group, Process
from tests.bench.rules.node_model import NodeModel
from tests.bench.rules.truth import EPOCH_SECONDS, SLOT_SECONDS, SLOTS_PER_EPOCH, Truth

GWEI = 10**9
REWARD_GWEI = 9_600
PENALTY_GWEI = 6_700
HEAD_SHARE = 14 / 54
# One state per epoch, read in its last slot and worked through soon after.
_STATE_DELAY_SECONDS = 14
_ELECTED = 1_000_000
_BUCKETS = ("1", "2", "3", "4", "8", "16", "32", "+Inf")
_REQUEST_BUCKETS = ("0.005", "0.025", "0.1", "0.25", "0.5", "1", "2", "4", "8", "+Inf")
_TIERS = ("ssz", "json_network", "json_watched", "blocks")
_OUTCOMES = ("ok", "http_4xx", "http_5xx", "rate_limited", "timeout", "connection", "truncated", "invalid")
_ENDPOINTS: Mapping[str, tuple[str, ...]] = {
    "beacon": ("node", "head", "finality", "block", "duties", "state"),
    "execution": ("rpc",),
}
EXPORTER = {
    "job": "exporter",
    "cluster": "eks-1",
    "region": "eu-west-1",
    "network": NETWORK,
    "role": "exporter",
    "implementation": "stakewatch",
    "instance": "exporter-1",
    "exporter": f"{NETWORK}/exporter-1",
    "namespace": "monitoring",
    "pod": "stakewatch-exporter-0",
    "container": "exporter",
}


class ExporterModel:
    """Writes the exporter's series onto a board; `update` is called once per scrape, times going forward."""

    def __init__(self, board: Board, truth: Truth) -> None:
        self._board = board
        self._truth = truth
        fleet = truth.fleet
        self._nodes = [
            NodeModel(board, process, truth, EXPORTER) for process in fleet.of_role("beacon", "execution")
        ]
        self._groups = {
            group.name: self._counters("stakewatch_", {"group": group.name}) for group in fleet.groups
        }
        self._network = self._counters("stakewatch_network_", {})
        keys = [
            {
                **EXPORTER,
                "group": group.name,
                "validator_index": str(500_000 + key),
                "pubkey": fleet.pubkey(key),
            }
            for group in fleet.groups
            for key in range(group.first_key, group.first_key + group.keys)
        ]
        self._earned = board.add_all("stakewatch_validator_earned_gwei", keys)
        self._balance = board.add_all("stakewatch_validator_balance_gwei", keys)
        self._active = board.add_all("stakewatch_validator_active", keys)
        self._misses = board.add_all("stakewatch_validator_consecutive_misses", keys)
        self._constants: list[tuple[int, float]] = []
        self._group_figures = {group.name: self._gauges(group) for group in fleet.groups}
        self._topology = {
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
        self._requests = [
            (node, self._add_requests(node.process, endpoint))
            for node in self._nodes
            for endpoint in _ENDPOINTS[node.process.role]
        ]
        self._settled = truth.epoch_at(truth.start) - 3
        self._head_epoch = self._settled
        self._earned_gwei = np.zeros(fleet.keys)
        self._balance_gwei = 32 * GWEI + np.random.default_rng(truth.noise.seed + 7).integers(
            0, 15_000_000, fleet.keys
        ).astype(np.float64)

    def start(self) -> None:
        """Set what never changes; the board is frozen."""
        for number, value in self._constants:
            self._board.put(number, value)
        self._board.put(self._active, np.ones(self._active.size))

    def update(self, at: float) -> None:
        """Write what a scrape at this time shows."""
        truth, board = self._truth, self._board
        for node in self._nodes:
            node.update(at)
        epoch = truth.epoch_at(at - _STATE_DELAY_SECONDS)
        while self._head_epoch < epoch:
            self._head_epoch += 1
            self._show_recent(self._head_epoch - 1)
            self._settle(self._head_epoch - 2)
            self._show_duties(self._head_epoch)
        for (client, beacon_node), (_, active) in self._topology.items():
            board.put(active, float(truth.in_use(client, at) == beacon_node))
        slot = truth.slot_at(at)
        board.put(self._updates, np.array([at - 3, epoch * EPOCH_SECONDS + truth.genesis, at - 6, at - 20]))
        board.put(self._processed_slot, float(slot - 1))
        self._show_slots(slot)
        for node, numbers in self._requests:
            # It asks every six seconds.
            count = (at - truth.start) / 6 + 1000
            board.put(numbers[0], count)
            shares = np.array([0.4, 0.95, 0.995, 0.999, 1, 1, 1, 1, 1, 1])
            sick = truth.is_sick(node.process.instance, at)
            if sick:
                shares = np.array([0.1, 0.5, 0.9, 0.97, 0.99, 1, 1, 1, 1, 1])
            board.put(numbers[8:18], np.floor(count * shares))
            board.put(numbers[18:], np.array([count * 0.02, count]))

    # ---- per epoch

    def _settle(self, epoch: int) -> None:
        """Settle an epoch: what the state at the end of the one after it says."""
        truth, board = self._truth, self._board
        missed, late = truth.missed[epoch], truth.late[epoch]
        reward = np.where(missed, -PENALTY_GWEI, np.where(late, REWARD_GWEI * (1 - HEAD_SHARE), REWARD_GWEI))
        self._earned_gwei += reward
        self._balance_gwei += reward
        swept = truth.withdrawals == epoch
        self._balance_gwei[swept] = 32 * GWEI
        board.put(self._earned, np.round(self._earned_gwei))
        board.put(self._balance, np.round(self._balance_gwei))
        streaks = truth.streaks[epoch]
        board.live[self._misses] = streaks >= 2
        board.values[self._misses] = streaks
        for group in truth.fleet.groups:
            keys = slice(group.first_key, group.first_key + group.keys)
            self._count(
                self._groups[group.name], group.keys, float(missed[keys].sum()), float(late[keys].sum())
            )
            figures = self._group_figures[group.name]
            board.put(figures["missing"], np.array([float((streaks[keys] >= n).sum()) for n in (1, 2, 3, 5)]))
            board.put(figures["not_earning"], float((streaks[keys] >= 2).sum()))
            board.put(figures["balance"], float(self._balance_gwei[keys].sum()))
            board.put(figures["earned"], float(self._earned_gwei[keys].sum()))
            board.values[figures["withdrawals"]] += float(swept[keys].sum()) * 10_000_000
            board.live[figures["withdrawals"]] = True
        network_missed, network_late = self._network_losses(epoch)
        self._count(self._network, _ELECTED, network_missed, network_late)
        board.put(
            self._participation,
            np.array(
                [
                    1 - network_missed / _ELECTED,
                    1 - network_missed / _ELECTED - 0.001,
                    1 - (network_missed + network_late) / _ELECTED,
                ]
            ),
        )
        board.put(self._processed_epoch, float(epoch))

    def _show_recent(self, epoch: int) -> None:
        """Show the flags of the epoch that ended last, as the head has them."""
        truth, board = self._truth, self._board
        for group in truth.fleet.groups:
            keys = slice(group.first_key, group.first_key + group.keys)
            none = float(truth.missed[epoch, keys].sum())
            some = float(truth.late[epoch, keys].sum())
            board.put(self._groups[group.name]["recent"], np.array([group.keys - none - some, some, none]))
        none, some = self._network_losses(epoch)
        board.put(self._network["recent"], np.array([_ELECTED - none - some, some, none]))

    def _show_duties(self, epoch: int) -> None:
        """Show the duties that are known: those of this epoch and of the next."""
        truth, board = self._truth, self._board
        for group in truth.fleet.groups:
            keys = range(group.first_key, group.first_key + group.keys)
            coming = [
                proposal.slot
                for proposal in truth.proposals
                if proposal.key in keys and epoch <= proposal.slot // SLOTS_PER_EPOCH <= epoch + 1
            ]
            figures = self._group_figures[group.name]
            board.put(figures["upcoming"], float(len(coming)))
            board.live[figures["next_duty"]] = bool(coming)
            if coming:
                board.put(figures["next_duty"], float(truth.genesis + coming[0] * SLOT_SECONDS))
            board.values[figures["expected"]] += group.keys / truth.noise.network_validators * SLOTS_PER_EPOCH
            board.live[figures["expected"]] = True

    def _network_losses(self, epoch: int) -> tuple[float, float]:
        noise = self._truth.noise
        wobble = 1 + 0.1 * np.sin(epoch / 5)
        reorganised = sum(slot // SLOTS_PER_EPOCH == epoch for slot in self._truth.reorganised_slots)
        missed = float(np.floor(_ELECTED * noise.network_missed_share * wobble))
        late = float(np.floor(_ELECTED * (noise.network_late_share * wobble + reorganised / SLOTS_PER_EPOCH)))
        return missed, late

    # ---- per slot

    def _show_slots(self, slot: int) -> None:
        """Count what settled up to 64 slots ago, and what the last 64 slots hold."""
        truth, board = self._truth, self._board
        settled = slot - 2 * SLOTS_PER_EPOCH
        orphaned = sum(settled >= one for one in truth.reorganised_slots)
        board.put(
            self._network["proposals"], np.array([settled * 0.992, settled * 0.008 - orphaned, orphaned])
        )
        recent = sum(settled < one <= slot for one in truth.reorganised_slots)
        board.put(self._network["proposals_recent"], np.array([64.0 - recent, 0.0, recent]))
        board.put(self._network["sync"], np.array([settled * 505.0, settled * 7.0]))
        proposed = [proposal.key for proposal in truth.proposals if proposal.slot <= settled]
        for group in truth.fleet.groups:
            keys = range(group.first_key, group.first_key + group.keys)
            figures = self._groups[group.name]
            count = float(sum(key in keys for key in proposed))
            board.put(figures["proposals"], np.array([count, 0.0, 0.0]))
            board.put(figures["proposals_recent"], np.zeros(3))
            seats = sum(key in keys for key in truth.seats)
            board.put(figures["sync"], np.floor(np.array([0.996, 0.004]) * seats * settled))

    # ---- series

    def _add(self, name: str, value: float | None = None, /, **labels: str) -> int:
        number = self._board.add(name, EXPORTER, **labels)
        if value is not None:
            self._constants.append((number, value))
        return number

    def _each(
        self, name: str, label: str, values: Iterable[str], of: Mapping[str, str], value: float | None = None
    ) -> Numbers:
        return np.array([self._add(name, value, **{**of, label: one}) for one in values], dtype=np.int64)

    def _counters(self, prefix: str, labels: Mapping[str, str]) -> dict[str, Numbers]:
        """Add the families that groups and the network share."""
        board = self._board

        def add(name: str, **more: str) -> int:
            return board.add(prefix + name, EXPORTER, **labels, **more)

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

    def _count(self, series: dict[str, Numbers], duties: int, missed: float, late: float) -> None:
        """Let the counters of a group or the network grow by an epoch."""
        values, live = self._board.values, self._board.live
        good = duties - missed
        for name, growth in (
            ("duties", (duties, missed)),
            ("votes", (good, 0, good, 0, good - late, late)),
            (
                "distance",
                (
                    *(
                        np.floor(good - late),
                        good - late // 2,
                        good - late // 8,
                        good,
                        good,
                        good,
                        good,
                        good,
                    ),
                    good + late,
                    good,
                ),
            ),
            (
                "gwei",
                (
                    np.floor(good * REWARD_GWEI - late * REWARD_GWEI * HEAD_SHARE),
                    duties * REWARD_GWEI,
                    missed * PENALTY_GWEI // 3,
                    missed * PENALTY_GWEI * 2 // 3,
                    0,
                ),
            ),
        ):
            values[series[name]] += np.array(growth, dtype=np.float64)
            live[series[name]] = True

    def _gauges(self, group: Group) -> dict[str, Numbers | int]:
        """Add what only groups have."""
        of = {"group": group.name}
        add = self._add
        add("stakewatch_group_info", 1, group=group.name, validator_client=group.validator_client)
        for status in (
            "active_ongoing",
            "active_exiting",
            "active_slashed",
            "exited_unslashed",
            "exited_slashed",
        ):
            add("stakewatch_validators", group.keys if status == "active_ongoing" else 0, **of, status=status)
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
        add("stakewatch_network_active_validators", _ELECTED)
        add("stakewatch_network_active_balance_gwei", 32.0 * GWEI * _ELECTED)
        add("stakewatch_network_finality_delay_epochs", 2)
        add("stakewatch_network_inactivity_leak", 0)
        for kind in ("proposer", "attester"):
            add("stakewatch_network_slashings_total", 4, kind=kind)
            add("stakewatch_network_slashings_recent", 0, kind=kind)
        self._each(
            "stakewatch_network_queue_length",
            "queue",
            ("deposit", "consolidation", "withdrawal", "exit"),
            {},
            100,
        )
        self._participation = self._each(
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
        self._updates = self._each(
            "stakewatch_last_update_timestamp_seconds",
            "source",
            ("nodes", "state", "slots", "keymanagers"),
            {},
        )
        self._processed_slot = add("stakewatch_last_processed_slot")
        self._processed_epoch = add("stakewatch_last_processed_epoch")

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
                self._constants.append((self._board.add(f"stakewatch_{name}", {**EXPORTER, **labels}), value))

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
