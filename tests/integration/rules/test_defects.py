"""Defects of public rule sets that promtool, coverage or mutation name."""

import pytest

from tests.bench.defects import Defect, is_named, load_defects, said_of

RUN = [one for one in load_defects() if one.found_by not in {"rules/pitfalls", "rules/catalogue"}]


@pytest.mark.parametrize("defect", RUN, ids=lambda one: one.name)
def test_a_published_defect_is_named_and_its_mended_form_is_not(defect: Defect) -> None:
    only = (defect.found_by,)
    assert is_named(defect, said_of(defect, defect.rules, defect.suite, only))
    assert not is_named(defect, said_of(defect, defect.mended, defect.mended_suite, only))
