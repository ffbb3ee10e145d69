"""Every alert that fired in the run, against what happened: the chain's record says whether it was right.

On a busy machine a validator client may really miss attestations. So an alert on keys is judged by the chain:
it is right when its keys earned nothing in two epochs in a row shortly before, or lost by as many
attestations in a row as it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from stakewatch.programs.servers import Prometheus
from tests.e2e.attestations import Paid
from tests.e2e.devnet import SECONDS_PER_SLOT, SLOTS_PER_EPOCH, Devnet
from tests.e2e.earnings import History
from tests.e2e.installation import Group
from tests.e2e.ledger import Chapter

# The rule looks back 2.3 epochs, and its data settle and wait for one more.
_EPOCHS_LOOKED_BACK = 5
_HANDED_OVER_KEYS = 5
# The chain's record of what keys earned says of these whether they were right.
ON_INCOME = frozenset({"ValidatorBalanceNotGrowing", "ValidatorGroupNotEarning"})
# What this chain raises while all is well, because it is so small.
STANDING = frozenset(
    {
        "Watchdog",
        # Each client has one beacon node.
        "SharedBeaconBackupMissing",
        # Each node has one peer.
        "BeaconNodeSubnetPeersLow",
        # Nearly every slot is a duty of ours.
        "ValidatorDutyUpcoming",
    }
)
# Of these, how many attestations in a row a key has missed.
_ON_MISSES = MappingProxyType({"ValidatorConsecutiveMisses": 2, "ValidatorMissingRepeatedly": 3})
# What a group's duties came to says of these whether they were right.
_ON_DUTIES = frozenset(
    {
        "ValidatorAttestationBudgetBurnFast",
        "ValidatorAttestationBudgetBurnSlow",
        "ValidatorGroupBelowNetwork",
        "ValidatorInclusionDistanceAboveNetwork",
        "ValidatorWrongVotesAboveNetwork",
        "SyncCommitteeParticipationLow",
    }
)


@dataclass(frozen=True)
class Alarm:
    """An alert that fired; `at` is Unix seconds of the first evaluation that found it firing."""

    labels: Mapping[str, str]
    at: float

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]

    @property
    def subject(self) -> str:
        """What it speaks about."""
        key = self.labels.get("validator_index")
        if key is not None:
            return f"validator {key}"
        return self.labels.get("group") or self.labels.get("instance") or "all"


@dataclass(frozen=True)
class Past:
    """The chain's record that alerts on keys are judged by: what keys owned, what attestations brought."""

    history: History
    paid: tuple[Paid, ...]


def alarms(server: Prometheus) -> tuple[Alarm, ...]:
    """Return every alert that fired since Prometheus was started."""
    first_seen = 'min_over_time(timestamp(ALERTS{alertstate="firing"})[15m:1s])'
    return tuple(Alarm(sample.labels, sample.value) for sample in server.query(first_seen))


def compare_alarms(
    chapter: Chapter, chain: Devnet, past: Past, groups: tuple[Group, ...], fired: tuple[Alarm, ...]
) -> None:
    """Record for each alert that fired whether the chain's record or the dead node explains it."""
    healthy, faulty = chain.pairs
    names = {alarm.name for alarm in fired}
    for expected in ("Watchdog", "BeaconNodeDown", "ValidatorGroupNotEarning"):
        chapter.record(f"{expected} fired", "in the run", sorted(names), holds=expected in names)
    dead = {faulty.beacon, faulty.execution, faulty.validators}
    suffering = {group.name for group in groups if group.pair == faulty}
    for alarm in fired:
        # The dead node was its only peer; and its keys are a good part of all there are.
        follows = (alarm.name, alarm.subject) == ("BeaconNodePeersLow", healthy.beacon)
        follows = follows or alarm.labels.get("area") == "network"
        names_it = bool(dead & set(alarm.labels.values())) or alarm.labels.get("group") in suffering
        slot = int((alarm.at - chain.genesis_time) // SECONDS_PER_SLOT)
        epoch = slot // SLOTS_PER_EPOCH
        if alarm.name in ON_INCOME:
            _compare_with_income(chapter, alarm, epoch, past.history, groups)
        elif alarm.name in _ON_MISSES and not names_it:
            _compare_with_misses(chapter, alarm, epoch, past.paid)
        elif alarm.name == "ValidatorProposalMissed" and not names_it:
            _compare_with_proposals(chapter, alarm, slot, past.history, groups)
        elif alarm.name in _ON_DUTIES and not names_it:
            _compare_with_duties(chapter, alarm, epoch, past.paid, groups)
        else:
            chapter.record(
                f"{alarm.name} of {alarm.subject}",
                "an alert that the dead node or the smallness of this chain explains",
                dict(alarm.labels),
                holds=alarm.name in STANDING or names_it or follows,
            )


def _compare_with_income(
    chapter: Chapter, alarm: Alarm, epoch: int, past: History, groups: tuple[Group, ...]
) -> None:
    key = alarm.labels.get("validator_index")
    if key is not None:
        unpaid = [int(key)] if _rose_at_neither(_incomes(past, int(key), epoch)) else []
        least = 1
    else:
        indices = _indices(alarm, groups)
        unpaid = [index for index in indices if _lost_in_two(_incomes(past, index, epoch))]
        least = _HANDED_OVER_KEYS
    chapter.record(
        f"{alarm.name} of {alarm.subject} in epoch {epoch}",
        f"at least {least} keys earned nothing in two epochs up to then",
        f"validators {unpaid}",
        holds=len(unpaid) >= least,
    )


def _compare_with_misses(chapter: Chapter, alarm: Alarm, epoch: int, paid: tuple[Paid, ...]) -> None:
    key, least = int(alarm.labels["validator_index"]), _ON_MISSES[alarm.name]
    looked_at = range(max(0, epoch - _EPOCHS_LOOKED_BACK - least), epoch + 1)
    rewards = {one.epoch: one.computed[key] for one in paid if one.epoch in looked_at}
    # What the recording did not catch on a busy machine speaks for nobody, so one of a streak must be known.
    streaks = (range(first, first + least) for first in looked_at)
    holds = any(
        all(rewards.get(one, -1) < 0 for one in streak) and not rewards.keys().isdisjoint(streak)
        for streak in streaks
    )
    chapter.record(
        f"{alarm.name} of {alarm.subject} in epoch {epoch}",
        f"{least} attestations in a row that cost something, up to then",
        f"gwei by epoch {rewards}",
        holds=holds,
    )


def _compare_with_proposals(
    chapter: Chapter, alarm: Alarm, slot: int, past: History, groups: tuple[Group, ...]
) -> None:
    indices = _indices(alarm, groups)
    empty = [
        duty
        for duty, proposer in past.proposers.items()
        if duty <= slot and proposer in indices and duty not in past.blocks
    ]
    chapter.record(
        f"{alarm.name} of {alarm.subject} in slot {slot}",
        "a slot without its block up to then",
        f"slots {sorted(empty)}",
        holds=bool(empty),
    )


def _compare_with_duties(
    chapter: Chapter, alarm: Alarm, epoch: int, paid: tuple[Paid, ...], groups: tuple[Group, ...]
) -> None:
    indices = _indices(alarm, groups)
    worse = {
        one.epoch: [index for index in indices if one.computed[index] < max(one.computed)]
        for one in paid
        if one.epoch <= epoch
    }
    chapter.record(
        f"{alarm.name} of {alarm.subject} in epoch {epoch}",
        "keys that got less for an attestation than the best up to then",
        f"validators by epoch {worse}",
        holds=any(worse.values()),
    )


def _indices(alarm: Alarm, groups: tuple[Group, ...]) -> range:
    return next(group.indices for group in groups if group.name == alarm.labels["group"])


def _incomes(past: History, index: int, epoch: int) -> list[int]:
    """Return a key's income at the boundaries up to an epoch, as far back as a rule looks."""
    epochs = range(max(0, epoch - _EPOCHS_LOOKED_BACK), epoch + 1)
    # Where the first slot of an epoch is empty, its first block shows what the boundary brought.
    newest = max(past.income)
    firsts = [epoch * SLOTS_PER_EPOCH for epoch in epochs]
    slots = [min((slot for slot in past.income if slot >= first), default=newest) for first in firsts]
    return [past.income[slot][index] for slot in slots]


def _rose_at_neither(incomes: list[int]) -> bool:
    """Tell whether it did not rise at two boundaries in a row: what the rule on one key says."""
    rises = [after > before for before, after in pairwise(incomes)]
    return any(not one and not other for one, other in pairwise(rises))


def _lost_in_two(incomes: list[int]) -> bool:
    """Tell whether two epochs together brought nothing: what the exporter counts for a group."""
    return any(after <= before for before, after in zip(incomes, incomes[2:], strict=False))
