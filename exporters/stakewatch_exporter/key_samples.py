"""The samples of single keys: what each has and earned, and which are at fault."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stakewatch.ethereum.beacon_api import Validator
from stakewatch_exporter import families
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.figures import live_keys, slashed_keys
from stakewatch_exporter.keys import Key
from stakewatch_exporter.ledger import Ledger

_FEWEST_SHOWN_MISSES = 2
_CAPPED = (families.VALIDATOR_EARNED, families.VALIDATOR_BALANCE, families.VALIDATOR_ACTIVE)


@dataclass(frozen=True)
class KeyFigures:
    """What is shown of every key, copied, so that it can be written in a thread; by validator index."""

    keys: Mapping[int, Key]
    validators: Mapping[int, Validator]
    earned: Mapping[int, int]
    disabled: frozenset[str]


def key_figures(ledger: Ledger) -> KeyFigures:
    """Return a copy of what is known of single keys."""
    return KeyFigures(
        keys=dict(ledger.keys.by_index),
        validators=ledger.readings[-1].validators if ledger.readings else {},
        earned={index: account.earned for index, account in ledger.accounts.items()},
        disabled=ledger.disabled,
    )


def key_samples(figures: KeyFigures, *, limit: int) -> Iterable[Sample]:
    """Return balances and earnings of as many keys as the limit lets through."""
    for index, key in list(figures.keys.items())[:limit]:
        validator = figures.validators.get(index)
        if validator is None:
            continue
        labels = _labels(index, key)
        if index in figures.earned:
            yield Sample(families.VALIDATOR_EARNED, labels, figures.earned[index])
        yield Sample(families.VALIDATOR_BALANCE, labels, validator.balance)
        if key.group not in figures.disabled:
            # Rules take an active key that earns nothing for a loss; a disabled one must earn nothing.
            yield Sample(families.VALIDATOR_ACTIVE, labels, int(validator.status.is_active))


def keys_cut(number: int, *, limit: int) -> dict[str, int]:
    """Return by family how many of so many keys the limit leaves out."""
    return {family.name: max(0, number - limit) for family in _CAPPED}


@dataclass(frozen=True)
class KeyFaults:
    """Keys at fault by validator index: misses in a row, slashed, seen signing although disabled."""

    keys: Mapping[int, Key]
    misses: Mapping[int, int]
    slashed: tuple[int, ...]
    live: tuple[int, ...]


NO_FAULTS = KeyFaults({}, {}, (), ())


def key_faults(ledger: Ledger) -> KeyFaults:
    """Return which keys are at fault now."""
    known = ledger.keys.by_index
    return KeyFaults(
        keys=known,
        misses={
            index: number
            for index, number in sorted(ledger.book.misses.items())
            if number >= _FEWEST_SHOWN_MISSES and index in known and known[index].group not in ledger.disabled
        },
        slashed=tuple(slashed_keys(ledger)),
        live=tuple(index for index in sorted(live_keys(ledger)) if index in known),
    )


def offender_samples(faults: KeyFaults, *, limit: int) -> Iterable[Sample]:
    """Return the keys at fault, of each fault as many as the limit lets through."""
    for index, number in list(faults.misses.items())[:limit]:
        labels = _labels(index, faults.keys[index])
        yield Sample(families.VALIDATOR_CONSECUTIVE_MISSES, labels, number)
    for family, indices in (
        (families.VALIDATOR_SLASHED, faults.slashed),
        (families.VALIDATOR_LIVE_WHILE_DISABLED, faults.live),
    ):
        for index in indices[:limit]:
            yield Sample(family, _labels(index, faults.keys[index]), 1)


def offenders_cut(faults: KeyFaults, *, limit: int) -> dict[str, int]:
    """Return by family how many keys at fault the limit leaves out."""
    return {
        family.name: max(0, number - limit)
        for family, number in (
            (families.VALIDATOR_CONSECUTIVE_MISSES, len(faults.misses)),
            (families.VALIDATOR_SLASHED, len(faults.slashed)),
            (families.VALIDATOR_LIVE_WHILE_DISABLED, len(faults.live)),
        )
    }


def _labels(index: int, key: Key) -> dict[str, str]:
    return {"group": key.group, "validator_index": str(index), "pubkey": key.pubkey}
