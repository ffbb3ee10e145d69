"""Our keys: by pubkey or by index, in one group each."""

from dataclasses import replace

import pytest

from stakewatch.bundle.configuration import Group
from stakewatch_exporter.keys import KeyBook

from .conftest import groups, pubkey, validator


def test_keys_are_asked_as_configured_until_their_index_is_known() -> None:
    book = KeyBook(groups())
    assert book.identities() == [pubkey(0), pubkey(1), "2"]
    book.learn([validator(1), validator(2)])
    assert book.identities() == [pubkey(0), "1", "2"]


def test_a_key_is_found_by_index_and_by_pubkey() -> None:
    book = KeyBook(groups())
    book.learn([validator(0), validator(2), validator(77)])
    assert book.by_index[0].group == "alpha"
    assert book.by_pubkey[pubkey(2)].group == "bravo"
    assert 77 not in book.by_index
    assert len(book) == 3


def test_index_zero_is_a_key_like_any_other() -> None:
    book = KeyBook([Group("zero", "v", ("0",))])
    book.learn([validator(0)])
    assert book.by_index[0].group == "zero"


def test_pubkeys_in_capitals_are_the_same_keys() -> None:
    book = KeyBook([Group("a", "v", (pubkey(10).upper().replace("0X", "0x"),))])
    book.learn([validator(10)])
    assert book.by_index[10].group == "a"


def test_a_key_given_twice_belongs_to_the_first_group() -> None:
    book = KeyBook([Group("a", "v", (pubkey(3),)), Group("b", "w", ("3",))])
    book.learn([validator(3)])
    assert book.by_index[3].group == "a"
    assert book.identities() == ["3"]


def test_an_index_that_changes_its_pubkey_is_refused_and_nothing_learnt() -> None:
    book = KeyBook(groups())
    book.learn([validator(0)])
    changed = replace(validator(0), pubkey=pubkey(5))
    with pytest.raises(ValueError, match="was"):
        book.learn([validator(1), changed])
    assert list(book.by_index) == [0]


def test_a_hundred_thousand_keys_are_learnt_at_once() -> None:
    number = 100_000
    book = KeyBook([Group("large", "v", tuple(pubkey(index) for index in range(number)))])
    book.learn(validator(index) for index in range(number))
    assert len(book.by_index) == number
    assert book.identities()[-1] == str(number - 1)
