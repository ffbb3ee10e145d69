"""Who is at fault, for a person who asks."""

from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.offenders import offenders

from .conftest import ETH, ledger, validator, validators


def _books() -> Ledger:
    books = ledger(8)
    state = validators(dict.fromkeys(range(3), 32 * ETH))
    state[1] = validator(1, 32 * ETH, is_slashed=True)
    books.read(1, 8, state, {})
    books.book.misses = {0: 4, 1: 1, 2: 2}
    return books


def test_before_anything_is_known_nobody_is_blamed() -> None:
    found = offenders(None, is_leaking=False, limit=10)
    assert found["not_earning"] is None
    assert found["missing"] == found["slashed"] == []


def test_keys_are_named_with_their_fault() -> None:
    found = offenders(_books(), is_leaking=False, limit=10)
    missing = found["missing"]
    assert isinstance(missing, list)
    assert [(one["validator_index"], one["group"], one["why"]) for one in missing] == [
        (0, "alpha", "missed 4 attestations in a row"),
        (2, "bravo", "missed 2 attestations in a row"),
    ]
    assert [one["validator_index"] for one in found["slashed"]] == [1]  # type: ignore[attr-defined] # a list
    assert found["not_earning"] is None


def test_what_the_limit_leaves_out_is_counted() -> None:
    found = offenders(_books(), is_leaking=False, limit=1)
    assert len(found["missing"]) == 1  # type: ignore[arg-type] # a list
    assert found["cut"] == 1
