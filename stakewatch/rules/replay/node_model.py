"""What the exporter would show of one beacon or execution node."""

from collections.abc import Mapping

import numpy as np

from stakewatch.rules.replay.board import Board
from stakewatch.rules.replay.fleet import Process
from stakewatch.rules.replay.truth import SLOT_SECONDS, SLOTS_PER_EPOCH, Truth

# What a node said last is shown for so long after it stopped answering.
_KEPT_SECONDS = 30
# A head that has not moved for so long is called standing.
_ADVANCES_AFTER_SECONDS = 120


class NodeModel:
    """What the exporter says about one beacon or execution node."""

    def __init__(self, board: Board, process: Process, truth: Truth, exporter: Mapping[str, str]) -> None:
        self.process = process
        self._board = board
        self._truth = truth
        machines = {machine.instance: machine for machine in truth.fleet.machines}
        labels = {**exporter, **process.watched_labels}

        def add(name: str, **more: str) -> int:
            return board.add(name, {**labels, **more})

        self._always = [
            add(
                "stakewatch_node_location_info",
                machine=process.machine,
                zone=machines[process.machine].zone,
            )
        ]
        if process.role == "beacon":
            pair = truth.fleet.pairs[process.instance]
            self._always.append(add("stakewatch_beacon_execution_pair_info", execution_node=pair))
        self._up = add("stakewatch_node_up")
        names = {
            "beacon": ("synced", "execution_synced", "peers", "head_advancing", "same_chain"),
            "execution": ("synced", "peers", "head_advancing", "same_chain"),
        }[process.role]
        self._healthy = add("stakewatch_node_healthy")
        self._checks = np.array([add("stakewatch_node_check", check=name) for name in names])
        self._versions = [add("stakewatch_node_info", version=version) for version in ("v8.1.0", "v8.2.0")]
        self._outdated = add("stakewatch_node_version_outdated")
        self._peers = add("stakewatch_node_peers")
        self._syncing = add("stakewatch_node_syncing")
        self._offset = add("stakewatch_node_clock_offset_seconds")
        if process.role == "beacon":
            self._own = {
                name: add(f"stakewatch_beacon_{name}")
                for name in (
                    "head_slot",
                    "head_timestamp_seconds",
                    "sync_distance_slots",
                    "optimistic",
                    "execution_offline",
                    "justified_epoch",
                    "finalized_epoch",
                    "root_disagreement",
                    "fork_schedule_mismatch",
                )
            }
        else:
            self._own = {
                name: add(f"stakewatch_execution_{name}")
                for name in ("head_block", "head_timestamp_seconds", "behind_blocks", "chain_id")
            }
        self._last_up = 0.0

    def update(self, at: float) -> None:
        """Write what is known of the node at this time."""
        board, truth, instance = self._board, self._truth, self.process.instance
        up = not truth.is_down(instance, at)
        for number in self._always:
            board.put(number, 1.0)
        board.put(self._up, float(up))
        if not up:
            board.put(self._healthy, 0.0)
            board.put(self._checks, np.zeros(self._checks.size))
            board.live[self._offset] = False
            if at - self._last_up > _KEPT_SECONDS:
                for number in (self._peers, self._syncing, *self._own.values()):
                    board.live[number] = False
            return
        self._last_up = at
        self._update_running(at)

    def _update_running(self, at: float) -> None:
        board, truth, instance = self._board, self._truth, self.process.instance
        age = at - truth.started(instance, at)
        slot = truth.head_of(instance, at)
        pair = truth.fleet.pairs.get(instance)
        offline = pair is not None and truth.is_down(pair, at)
        if offline:
            slot = min(slot, truth.newest_block(at) - 1)
        behind = truth.newest_block(at) - slot
        synced = behind <= 1
        upgraded = truth.is_upgraded(instance, at)
        board.live[self._versions[int(not upgraded)]] = False
        board.put(self._versions[int(upgraded)], 1.0)
        # Whoever rolls out a version expects it everywhere from the beginning of the roll-out on.
        begins = truth.noise.upgrade_begins
        expected = begins is not None and at >= truth.start + begins * 3600
        board.put(self._outdated, float(expected and not upgraded))
        board.put(self._peers, float(min(60 + len(instance), age / 4)))
        # A node that refuses or has halted takes itself for one that is done.
        board.put(self._syncing, float(not synced and truth.stands_since(instance, at) is None))
        board.put(self._offset, 0.01)
        if self.process.role == "beacon":
            optimistic = offline or truth.is_optimistic(instance, at)
            advances = age > _ADVANCES_AFTER_SECONDS and truth.stands_since(instance, at) is None
            checks = [synced, not optimistic, advances, True, True]
            self._put_beacon(at, slot, offline=offline, optimistic=optimistic)
        else:
            advances = age > _ADVANCES_AFTER_SECONDS and truth.stands_since(instance, at) is None
            checks = [synced, advances, True, True]
            for name, value in (
                ("head_block", 24_000_000 + slot),
                ("head_timestamp_seconds", truth.genesis + slot * SLOT_SECONDS),
                ("behind_blocks", behind),
                ("chain_id", 1),
            ):
                board.put(self._own[name], float(value))
        board.put(self._checks, np.array(checks, dtype=np.float64))
        board.put(self._healthy, float(all(checks)))

    def _put_beacon(self, at: float, slot: int, *, offline: bool, optimistic: bool) -> None:
        truth = self._truth
        if truth.is_sick(self.process.instance, at):
            # It hears blocks some seconds late, after its validators have voted: in step with every block
            # when it is asked, so no check fails.
            slot = truth.newest_block(at - 3)
        # Without new blocks it learns of no further epoch.
        epoch = min(truth.epoch_at(at), slot // SLOTS_PER_EPOCH + 1)
        for name, value in (
            ("head_slot", slot),
            ("head_timestamp_seconds", truth.genesis + slot * SLOT_SECONDS),
            ("sync_distance_slots", truth.slot_at(at) - slot),
            ("optimistic", optimistic),
            ("execution_offline", offline),
            ("justified_epoch", truth.justified(epoch)),
            ("finalized_epoch", truth.finalised[epoch]),
            ("root_disagreement", self._dissents(at)),
            ("fork_schedule_mismatch", False),
        ):
            self._board.put(self._own[name], float(value))

    def _dissents(self, at: float) -> bool:
        """Tell whether the exporter finds its root to be another than most others': of two halves, both."""
        truth = self._truth
        beacon_nodes = [one.instance for one in truth.fleet.of_role("beacon")]
        forked = {one for one in beacon_nodes if truth.is_forked(one, at)}
        same = len(forked) if self.process.instance in forked else len(beacon_nodes) - len(forked)
        return bool(forked) and same * 2 <= len(beacon_nodes)
