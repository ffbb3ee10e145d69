"""Whether what an exporter shows can be right, at any moment: while its node is broken as well as after."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations, product

from stakewatch.simulator.mainnet import truth
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from tests.bench.page import Page

_LOOK_BACK_EPOCHS = 10
_MOST_EPOCHS_AT_ONCE = 4
_NETWORK = "network"
_NO_ATTESTATIONS = 2**62
_MOST_REMEMBERED = 1024
_LATEST_START_EPOCHS = 6
_LONGEST_STALE_EPOCHS = 4
_FULL = (
    "duties",
    "missed",
    "votes_source",
    "votes_target",
    "votes_head",
    "reward",
    "ideal",
    "penalty_source",
    "penalty_target",
    "penalty_inactivity",
)
_SEEN = ("seen_duties", "seen_missed", "seen_votes_source", "seen_votes_target", "seen_votes_head")
Figures = tuple[int, ...]


class Truths:
    """The truth of one chain, remembered."""

    def __init__(self, chain: MainnetChain) -> None:
        self.chain = chain
        self._known: dict[tuple[str, int, int], dict[str, dict[str, int]]] = {}

    def validators(self, slot: int) -> dict[str, dict[str, int]]:
        """Return the watched validators after a slot, by group."""
        return self._remember("validators", slot, 0)

    def attestations(self, epoch: int) -> dict[str, dict[str, int]]:
        """Return what an epoch's attestations came to, of groups and network."""
        return self._remember("attestations", epoch, 0)

    def slots(self, first: int, last: int) -> dict[str, dict[str, int]]:
        """Return what the slots from first to last held, but for attestations."""
        return self._remember("slots", first, last)

    def _remember(self, what: str, one: int, other: int) -> dict[str, dict[str, int]]:
        key = (what, one, other)
        if key not in self._known:
            match what:
                case "validators":
                    self._known[key] = truth.validator_truth(self.chain, one)
                case "attestations":
                    self._known[key] = truth.attestation_truth(self.chain, one)
                case _:
                    self._known[key] = truth.slot_truth(self.chain, one, other, _NO_ATTESTATIONS)
            while len(self._known) > _MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
        return self._known[key]

    def epochs_add_up(self, name: str, increase: Figures, newest: int) -> bool:
        """Whether figures of attestations are the sum over some of the epochs up to the newest."""
        if not any(increase):
            return True
        recent = [
            epoch
            for epoch in range(newest - _LOOK_BACK_EPOCHS, newest + 1)
            if epoch in self.chain.attestations
        ]
        for number in range(1, _MOST_EPOCHS_AT_ONCE + 1):
            for chosen in combinations(recent, number):
                for sources in product((True, False), repeat=number):
                    told = [
                        self._figures(epoch, name, full=full)
                        for epoch, full in zip(chosen, sources, strict=True)
                    ]
                    if tuple(map(sum, zip(*told, strict=True))) == increase:
                        return True
        return False

    def _figures(self, epoch: int, name: str, *, full: bool) -> Figures:
        known = self.attestations(epoch)[name]
        if full:
            return tuple(known[figure] for figure in _FULL)
        return tuple(known.get(figure, 0) for figure in _SEEN) + (0,) * (len(_FULL) - len(_SEEN))


@dataclass
class Watcher:
    """Looks at an exporter's pages one after another; `look` is its one verb, `wrong` what it found."""

    truths: Truths
    wrong: list[str] = field(default_factory=list)
    _before: Page | None = None
    _totals: dict[str, float] = field(default_factory=dict)
    _earned: dict[str, tuple[int, float]] = field(default_factory=dict)
    _tallies: dict[int, Counter[tuple[str, str]]] = field(default_factory=dict)
    _skipped: float = 0.0
    _corrections: float = 0.0

    def look(self, page: Page, head: int) -> None:
        """Take in the next page."""
        self._look_for_falls(page)
        skipped = page.value("epochs_skipped_total") or 0
        if skipped != self._skipped:
            # What lies in a gap is not counted, and said so: figures are compared from here on.
            self._skipped = skipped
            self._earned.clear()
            self._tallies.clear()
        corrections = sum(page.table("corrections_total", "kind").values())
        if corrections != self._corrections:
            # What could not be was set aside, and said so.
            self._corrections = corrections
            self._earned.clear()
        epoch = page.value("last_processed_epoch")
        if epoch is not None:
            self._look_at_keys(page, int(epoch))
        if self._before is not None:
            self._look_at_attestations(self._before, page, head // SLOTS_PER_EPOCH)
        self._look_at_slots(page)
        self._before = page

    def _say(self, what: str) -> None:
        if what not in self.wrong:
            self.wrong.append(what)

    def _look_for_falls(self, page: Page) -> None:
        """Counters never go down while the exporter runs."""
        for name, labels, value in page.samples:
            if name.endswith(("_total", "_bucket", "_count", "_sum")):
                series = f"{name}{sorted(labels.items())}"
                if value < self._totals.get(series, 0):
                    self._say(f"{series} fell from {self._totals[series]} to {value}")
                self._totals[series] = value

    def _look_at_keys(self, page: Page, epoch: int) -> None:
        slot = epoch * SLOTS_PER_EPOCH
        if slot not in self.truths.chain.slots:
            self._say(f"last_processed_epoch is {epoch}")
            return
        known = self.truths.validators(slot)
        balances = page.table("validators_balance_gwei", "group")
        effective = page.table("validators_effective_balance_gwei", "group")
        statuses = page.table("validators", "group", "status")
        for name, figures in known.items():
            if balances.get((name,)) != figures["balance"]:
                self._say(
                    f"balance of {name} in epoch {epoch}: {balances.get((name,))}, {figures['balance']}"
                )
            if effective.get((name,)) != figures["effective_balance"]:
                self._say(f"effective balance of {name} in epoch {epoch}: {effective.get((name,))}")
            for (group, status), number in statuses.items():
                if group == name and number != figures.get(status, 0):
                    self._say(f"{status} of {name} in epoch {epoch}: {number}, {figures.get(status, 0)}")
        for (name,), earned in page.table("validators_earned_gwei", "group").items():
            first, base = self._earned.get(name, (epoch, earned))
            expected = self._truly_earned(name, first, epoch)
            if earned == base and epoch - first <= _LONGEST_STALE_EPOCHS:
                # It does not move while a part of it is unknown, and catches up afterwards.
                self._earned[name] = (first, base)
                continue
            if earned - base != expected:
                self._say(f"earned of {name} from epoch {first} to {epoch}: {earned - base}, {expected}")
            # From here on the next time, so that a long watch costs no more than a short one.
            self._earned[name] = (epoch, earned)

    def _truly_earned(self, name: str, first: int, last: int) -> int:
        if first == last:
            return 0
        worth = [
            self.truths.validators(epoch * SLOTS_PER_EPOCH)[name]["balance"]
            + self.truths.validators(epoch * SLOTS_PER_EPOCH)[name]["pending"]
            for epoch in (first, last)
        ]
        moved = self.truths.slots(first * SLOTS_PER_EPOCH + 1, last * SLOTS_PER_EPOCH)[name]
        return worth[1] - worth[0] + moved.get("withdrawals", 0) - moved.get("deposits", 0)

    def _look_at_attestations(self, before: Page, page: Page, newest: int) -> None:
        old, new = _network_attestations(before), _network_attestations(page)
        increase = tuple(int(after - earlier) for earlier, after in zip(old, new, strict=True))
        if not self.truths.epochs_add_up(_NETWORK, increase, newest):
            self._say(f"attestations of the network grew by {increase}, which no epochs up to {newest} are")

    def _look_at_slots(self, page: Page) -> None:
        table = page.table("network_proposals_total", "result")
        proposed, missed = int(table.get(("proposed",), 0)), int(table.get(("missed",), 0))
        if not self._tallies or proposed + missed == 0:
            return
        found = Counter({("", "proposed"): proposed, ("", "missed"): missed})
        for (name, result), number in page.table("proposals_total", "group", "result").items():
            found[name, result] = int(number)
        expected: list[Counter[tuple[str, str]]] = []
        for anchor, tally in list(self._tallies.items()):
            self._count(anchor, tally, proposed + missed)
            if +tally != +found:
                expected.append(tally)
                del self._tallies[anchor]
        if not self._tallies:
            self._say(f"slots: {dict(+found)}, not {dict(+expected[0])}")

    def _count(self, anchor: int, tally: Counter[tuple[str, str]], slots: int) -> None:
        """Bring a tally of the slots after an anchor up to so many slots."""
        chain = self.truths.chain
        for slot in range(anchor + tally["", "proposed"] + tally["", "missed"] + 1, anchor + slots + 1):
            record = chain.slots.get(slot)
            if record is None:
                return
            result = "proposed" if record.has_block else "missed"
            tally["", result] += 1
            group = int(chain.registry.group[record.proposer_index])
            if group >= 0:
                tally[truth.group_name(group), result] += 1

    def begin(self, anchor: int) -> None:
        """Note the earliest slot that the exporter can begin to count after.

        It begins with the epoch of the head at its first answer, which a busy machine may delay by some; what
        fits to none of these epochs is wrong.
        """
        starts = range(anchor, anchor + _LATEST_START_EPOCHS * SLOTS_PER_EPOCH, SLOTS_PER_EPOCH)
        self._tallies = {start: Counter() for start in starts}


def _network_attestations(page: Page) -> tuple[float, ...]:
    votes = page.table("network_attestation_votes_total", "vote", "result")
    penalties = page.table("network_attestation_penalty_gwei_total", "kind")
    return (
        page.value("network_attestation_duties_total") or 0,
        page.value("network_attestation_missed_total") or 0,
        *(votes.get((vote, "correct"), 0) for vote in ("source", "target", "head")),
        page.value("network_attestation_reward_gwei_total") or 0,
        page.value("network_attestation_ideal_reward_gwei_total") or 0,
        *(penalties.get((kind,), 0) for kind in ("source", "target", "inactivity")),
    )
