"""The page in sections: written when out of date, and the same as gzip."""

import gzip
from collections.abc import Iterable
from functools import partial

import pytest

from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.families import SECONDS_PER_SLOT, SOURCE_TIER
from stakewatch_exporter.page import Page


def _samples(number: int) -> Iterable[Sample]:
    return (Sample(SOURCE_TIER, {"tier": f"{place}"}, number) for place in range(number))


def test_a_section_is_written_anew_only_for_another_key() -> None:
    page = Page("demonet", ("first", "second"))
    assert page.update("second", 1, lambda: _samples(2))
    assert not page.update("second", 1, lambda: _samples(3))
    assert page.is_current("second", 1)
    assert page.text().count(b"\nstakewatch_source_tier{") == 2
    assert page.update("second", 2, lambda: _samples(3))
    assert page.text().count(b"\nstakewatch_source_tier{") == 3


def test_sections_stand_in_their_order() -> None:
    page = Page("demonet", ("first", "second"))
    page.update("second", 1, lambda: _samples(1))
    page.update("first", 1, lambda: [Sample(SECONDS_PER_SLOT, {}, 12)])
    assert page.text().index(b"seconds_per_slot") < page.text().index(b"source_tier")


def test_the_packed_page_is_the_page_whatever_changes() -> None:
    page = Page("demonet", ("first", "second", "third"))
    assert gzip.decompress(page.packed()) == b""
    for round_number in range(1, 6):
        page.update("first", round_number // 3, partial(_samples, 500 * round_number))
        page.update("third", round_number, partial(_samples, round_number))
        assert gzip.decompress(page.packed()) == page.text()
        assert gzip.decompress(page.packed()) == page.text()
    assert len(page.packed()) < len(page.text()) / 4


def test_a_section_that_cannot_be_written_stays_as_it_was() -> None:
    page = Page("demonet", ("only",))
    page.update("only", 1, lambda: _samples(1))
    before = page.text()

    def broken() -> Iterable[Sample]:
        yield from _samples(1)
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        page.update("only", 2, broken)
    assert page.text() == before
    assert page.is_current("only", 1)
