"""What the exporter would show of a truth, as its contract says: when it is published and when it settles."""

import numpy as np
import numpy.typing as npt

from stakewatch.rules.replay.board import Board, Numbers, Values
from stakewatch.rules.replay.exporter_series import ACTIVE, GWEI, ExporterSeries
from stakewatch.rules.replay.truth import EPOCH_SECONDS, SLOT_SECONDS, SLOTS_PER_EPOCH, Truth

REWARD_GWEI = 9_600
PENALTY_GWEI = 6_700
HEAD_SHARE = 14 / 54
# One state per epoch, read in its last slot and worked through soon after.
_STATE_DELAY_SECONDS = 14
_STREAK = 2
# The share that attests and names another target than most.
_WRONG_TARGETS = 0.001
_RECENT_SLOTS = 2 * SLOTS_PER_EPOCH


class ExporterModel:
    """Writes the exporter's series onto a board; `update` is called once per scrape, times going forward."""

    def __init__(self, board: Board, truth: Truth) -> None:
        self._board = board
        self._truth = truth
        self._series = ExporterSeries(board, truth)
        self._settled = truth.epoch_at(truth.start) - 3
        self._head_epoch = self._settled
        self._earned_gwei = np.zeros(truth.fleet.keys)
        self._balance_gwei = 32 * GWEI + np.random.default_rng(truth.noise.seed + 7).integers(
            0, 15_000_000, truth.fleet.keys
        ).astype(np.float64)

    def start(self) -> None:
        """Set what never changes; the board is frozen."""
        for number, value in self._series.constants:
            self._board.put(number, value)

    def update(self, at: float) -> None:
        """Write what a scrape at this time shows."""
        truth, board = self._truth, self._board
        for node in self._series.nodes:
            node.update(at)
        epoch = truth.epoch_at(at - _STATE_DELAY_SECONDS)
        while self._head_epoch < epoch:
            self._head_epoch += 1
            self._show_recent(self._head_epoch - 1)
            self._settle(self._head_epoch - 2)
            self._show_duties(self._head_epoch)
            self._show_statuses(self._head_epoch)
            delay = truth.finality_delay(self._head_epoch)
            board.put(self._series.finality_delay, float(delay))
            board.put(self._series.leak, float(truth.leaks(self._head_epoch)))
        self._show_slashed(at)
        for (client, beacon_node), (_, active) in self._series.topology.items():
            board.put(active, float(truth.in_use(client, at) == beacon_node))
        slot = truth.slot_at(at)
        board.put(
            self._series.updates, np.array([at - 3, epoch * EPOCH_SECONDS + truth.genesis, at - 6, at - 20])
        )
        board.put(self._series.processed_slot, float(slot - 1))
        self._show_slots(slot)
        for node, numbers in self._series.requests:
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
        missed, late, left = truth.missed[epoch], truth.late[epoch], truth.has_left_duty[epoch]
        # In a leak perfect attesters earn nothing.
        full = 0 if truth.leaks(epoch + 1) else REWARD_GWEI
        reward = np.where(missed | left, -PENALTY_GWEI, np.where(late, full * (1 - HEAD_SHARE), full))
        reward = reward - self._slashing_penalties(epoch)
        self._earned_gwei += reward
        self._balance_gwei += reward
        swept = truth.withdrawals == epoch
        self._balance_gwei[swept] = 32 * GWEI
        board.put(self._series.earned, np.round(self._earned_gwei))
        board.put(self._series.balance, np.round(self._balance_gwei))
        streaks = truth.streaks[epoch]
        idle = self._earned_nothing(epoch) & self._earned_nothing(epoch - 1)
        board.live[self._series.misses] = streaks >= _STREAK
        board.values[self._series.misses] = streaks
        for group in truth.fleet.groups:
            keys = slice(group.first_key, group.first_key + group.keys)
            self._count(
                self._series.groups[group.name],
                int((~left[keys]).sum()),
                float(missed[keys].sum()),
                float(late[keys].sum()),
            )
            figures = self._series.group_figures[group.name]
            board.put(figures["missing"], np.array([float((streaks[keys] >= n).sum()) for n in (1, 2, 3, 5)]))
            board.put(figures["not_earning"], float(idle[keys].sum()))
            board.put(figures["balance"], float(self._balance_gwei[keys].sum()))
            board.put(figures["earned"], float(self._earned_gwei[keys].sum()))
            board.values[figures["withdrawals"]] += float(swept[keys].sum()) * 10_000_000
            board.live[figures["withdrawals"]] = True
        network_missed, network_late = self._network_losses(epoch)
        self._count(self._series.network, ACTIVE, network_missed, network_late)
        board.put(
            self._series.participation,
            np.array(
                [
                    1 - network_missed / ACTIVE,
                    1 - network_missed / ACTIVE - _WRONG_TARGETS,
                    1 - (network_missed + network_late) / ACTIVE,
                ]
            ),
        )
        board.put(self._series.processed_epoch, float(epoch))

    def _earned_nothing(self, epoch: int) -> npt.NDArray[np.bool_]:
        """Tell which keys earned nothing by an epoch; in a leak, of those that lost a flag."""
        truth = self._truth
        return np.asarray(truth.missed[epoch] | (truth.late[epoch] & truth.leaks(epoch + 1)))

    def _show_recent(self, epoch: int) -> None:
        """Show the flags of the epoch that ended last, as the head has them."""
        truth, board = self._truth, self._board
        for group in truth.fleet.groups:
            keys = slice(group.first_key, group.first_key + group.keys)
            none = float(truth.missed[epoch, keys].sum())
            some = float(truth.late[epoch, keys].sum())
            due = float((~truth.has_left_duty[epoch, keys]).sum())
            board.put(self._series.groups[group.name]["recent"], np.array([due - none - some, some, none]))
        none, some = self._network_losses(epoch)
        board.put(self._series.network["recent"], np.array([ACTIVE - none - some, some, none]))

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
            figures = self._series.group_figures[group.name]
            board.put(figures["upcoming"], float(len(coming)))
            board.live[figures["next_duty"]] = bool(coming)
            if coming:
                board.put(figures["next_duty"], float(truth.genesis + coming[0] * SLOT_SECONDS))
            board.values[figures["expected"]] += group.keys / truth.noise.network_validators * SLOTS_PER_EPOCH
            board.live[figures["expected"]] = True

    def _network_losses(self, epoch: int) -> tuple[float, float]:
        truth = self._truth
        noise = truth.noise
        wobble = 1 + 0.1 * np.sin(epoch / 5)
        reorganised = sum(slot // SLOTS_PER_EPOCH == epoch for slot in truth.reorganised_slots)
        share = 1 - truth.participation(epoch)
        if epoch in truth.course.participation:
            share = max(0.0, share - _WRONG_TARGETS)
        # Without a block in the next slot nobody is in time.
        next_slots = truth.has_block[epoch * SLOTS_PER_EPOCH + 1 : (epoch + 1) * SLOTS_PER_EPOCH + 1]
        empty = (1 - share) * float((~next_slots).mean())
        missed = float(np.floor(ACTIVE * share))
        late = float(
            np.floor(ACTIVE * (noise.network_late_share * wobble + reorganised / SLOTS_PER_EPOCH + empty))
        )
        return missed, min(late, ACTIVE - missed)

    # ---- keys that are slashed

    def _show_slashed(self, at: float) -> None:
        """Show slashed keys as soon as a block says so, and how many the network saw."""
        truth, board = self._truth, self._board
        for key, number in self._series.slashed:
            if at >= truth.slashed_at[key]:
                board.put(number, 1.0)
        ages = at - truth.slashed_at
        recent = (ages >= 0) & (ages < _RECENT_SLOTS * SLOT_SECONDS)
        settled = ages >= _RECENT_SLOTS * SLOT_SECONDS
        board.put(self._series.slashings_recent, float(recent.sum()))
        board.put(self._series.slashings, 4.0 + float(settled.sum()))

    def _slashing_penalties(self, epoch: int) -> Values:
        """Return what each key lost in an epoch by being slashed in it, in gwei."""
        truth = self._truth
        penalties = np.zeros(truth.fleet.keys)
        for slashing in truth.slashings:
            for key in slashing.keys:
                if truth.epoch_at(truth.slashed_at[key]) == epoch:
                    penalties[key] = slashing.penalty_gwei
        return penalties

    def _show_statuses(self, epoch: int) -> None:
        """Show which keys are active, as the state of the epoch's begin has them."""
        truth, board = self._truth, self._board
        at = truth.genesis + epoch * EPOCH_SECONDS
        slashed = truth.slashed_at <= at
        board.put(self._series.active, (~slashed).astype(np.float64))
        exited = np.array([slashed[key] and truth.exits_at(key) <= at for key in range(slashed.size)])
        for group in truth.fleet.groups:
            keys = slice(group.first_key, group.first_key + group.keys)
            gone = float(exited[keys].sum())
            slashed_keys = float(slashed[keys].sum())
            board.put(
                self._series.group_figures[group.name]["statuses"],
                np.array([group.keys - slashed_keys, 0.0, slashed_keys - gone, 0.0, gone]),
            )

    # ---- per slot

    def _show_slots(self, slot: int) -> None:
        """Count what settled up to 64 slots ago, and what the last 64 slots hold."""
        truth, board = self._truth, self._board
        settled = slot - 2 * SLOTS_PER_EPOCH
        orphaned = sum(settled >= one for one in truth.reorganised_slots)
        empty = float((~truth.has_block[: max(0, settled) + 1]).sum())
        board.put(
            self._series.network["proposals"],
            np.array([settled * 0.992 - empty, settled * 0.008 - orphaned + empty, orphaned]),
        )
        recent = sum(settled < one <= slot for one in truth.reorganised_slots)
        missing = float((~truth.has_block[max(0, settled) + 1 : slot + 1]).sum())
        board.put(
            self._series.network["proposals_recent"], np.array([64.0 - recent - missing, missing, recent])
        )
        board.put(self._series.network["sync"], np.array([settled * 505.0, settled * 7.0]))
        proposed = [proposal.key for proposal in truth.proposals if proposal.slot <= settled]
        for group in truth.fleet.groups:
            keys = range(group.first_key, group.first_key + group.keys)
            figures = self._series.groups[group.name]
            count = float(sum(key in keys for key in proposed))
            board.put(figures["proposals"], np.array([count, 0.0, 0.0]))
            board.put(figures["proposals_recent"], np.zeros(3))
            seats = sum(key in keys for key in truth.seats)
            board.put(figures["sync"], np.floor(np.array([0.996, 0.004]) * seats * settled))

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
