"""What the books come to: the figures of groups and the keys at fault, from the newest data."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from stakewatch.ethereum.beacon_api import Status, Validator
from stakewatch_exporter.ledger import READINGS_KEPT, Ledger

# Attestations of epoch e - 3 and e - 2 are paid at the two boundaries before the state of epoch e.
_EPOCHS_UNTIL_PAID = 3
MISSES = (1, 2, 3, 5)


class Unexpected(StrEnum):
    """Why a key is not as its group's configuration lets one expect."""

    EXITED = "exited"
    INACTIVE = "inactive"
    LIVE_WHILE_DISABLED = "live_while_disabled"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class GroupFigures:
    """Figures of one group from the last reading; gwei; None where unknown.

    `active_balance` is the effective balance of its active keys, `active` their number.
    """

    statuses: Mapping[Status, int]
    balance: int
    effective_balance: int
    active: int
    active_balance: int
    earned: int | None
    not_earning: int | None
    unexpected: Mapping[Unexpected, int]


def group_figures(ledger: Ledger, *, is_leaking: bool | None) -> dict[str, GroupFigures]:
    """Return the groups' figures of the last reading; empty before the first."""
    if not ledger.readings:
        return {}
    last = ledger.readings[-1]
    names = tuple(ledger.counters)
    not_earning = not_earning_keys(ledger, is_leaking=is_leaking)
    idle = (
        None if not_earning is None else Counter(ledger.keys.by_index[index].group for index in not_earning)
    )
    statuses: dict[str, Counter[Status]] = {name: Counter() for name in names}
    balances: Counter[str] = Counter()
    effective: Counter[str] = Counter()
    active: Counter[str] = Counter()
    active_balances: Counter[str] = Counter()
    earned: Counter[str] = Counter()
    unexpected = _unknown_keys(ledger)
    live = live_keys(ledger)
    for index, key in ledger.keys.by_index.items():
        validator = last.validators.get(index)
        if validator is not None:
            statuses[key.group][validator.status] += 1
            balances[key.group] += validator.balance
            effective[key.group] += validator.effective_balance
            if validator.status.is_active:
                active[key.group] += 1
                active_balances[key.group] += validator.effective_balance
            reason = _unexpected(validator, is_disabled=key.group in ledger.disabled, is_live=index in live)
            if reason is not None:
                unexpected[key.group][reason] += 1
        if index in ledger.accounts:
            earned[key.group] += ledger.accounts[index].earned
    return {
        name: GroupFigures(
            statuses={status: statuses[name][status] for status in Status},
            balance=balances[name],
            effective_balance=effective[name],
            active=active[name],
            active_balance=active_balances[name],
            earned=earned[name] if ledger.accounts or not len(ledger.keys) else None,
            not_earning=None if idle is None else idle[name],
            unexpected={reason: unexpected[name][reason] for reason in Unexpected},
        )
        for name in names
    }


def _unknown_keys(ledger: Ledger) -> dict[str, Counter[Unexpected]]:
    unexpected: dict[str, Counter[Unexpected]] = {name: Counter() for name in ledger.counters}
    for name, number in ledger.keys.unknown().items():
        unexpected[name][Unexpected.UNKNOWN] = number
    return unexpected


def _unexpected(validator: Validator, *, is_disabled: bool, is_live: bool) -> Unexpected | None:
    if is_disabled:
        return Unexpected.LIVE_WHILE_DISABLED if is_live else None
    if validator.status.is_active:
        return None
    return Unexpected.INACTIVE if validator.status.is_pending else Unexpected.EXITED


def live_keys(ledger: Ledger) -> frozenset[int]:
    """Return the validators that signed in the newest epoch that is known, although disabled."""
    latest = ledger.book.latest
    return frozenset() if latest is None else frozenset(latest.live)


def slashed_keys(ledger: Ledger) -> list[int]:
    """Return our slashed validators: by the last reading, and by blocks that are newer."""
    slashed = set(ledger.slashed)
    for outcome in ledger.recent().values():
        slashed.update(outcome.proposer_slashings, outcome.attester_slashings)
    return sorted(index for index in slashed if index in ledger.keys.by_index)


def missing(ledger: Ledger) -> dict[str, dict[int, int]]:
    """Return by group how many keys missed at least 1, 2, 3, 5 attestations in a row."""
    counts = {name: dict.fromkeys(MISSES, 0) for name in ledger.counters}
    for index, misses in ledger.book.misses.items():
        key = ledger.keys.by_index.get(index)
        if key is not None and key.group not in ledger.disabled:
            for bound in MISSES:
                counts[key.group][bound] += misses >= bound
    return counts


def not_earning_keys(ledger: Ledger, *, is_leaking: bool | None) -> list[int] | None:
    """Return the indices of active keys that earned nothing in the last two epochs, None when unknown.

    Keys of a disabled group are not among them: that they earn nothing is as it must be. In an inactivity
    leak nobody earns, so there only those count that failed to give a timely vote.
    """
    if len(ledger.readings) < READINGS_KEPT or is_leaking is None:
        return None
    first, _, last = ledger.readings
    if last.epoch - first.epoch != READINGS_KEPT - 1 or first.earned is None or last.earned is None:
        return None
    paid = range(last.epoch - _EPOCHS_UNTIL_PAID, last.epoch - 1)
    faults = [ledger.book.imperfect.get(epoch) for epoch in paid]
    at_fault: set[int] = set()
    for fault in faults:
        if fault is None and is_leaking:
            return None
        at_fault.update(fault or ())
    found = []
    for index, key in ledger.keys.by_index.items():
        validator = last.validators.get(index)
        if key.group in ledger.disabled or validator is None or not validator.status.is_active:
            continue
        if validator.activation_epoch > last.epoch - _EPOCHS_UNTIL_PAID:
            continue
        if index not in first.earned or index not in last.earned or last.earned[index] > first.earned[index]:
            continue
        if not is_leaking or index in at_fault:
            found.append(index)
    return found


def shares(figures: Mapping[str, GroupFigures], active_balance: int) -> dict[str, float]:
    """Return each group's part of the network's active balance, which is its chance to be drawn."""
    return {name: own.active_balance / active_balance for name, own in figures.items()}
