"""Mismatches: which labels of which alerts are not as expected."""

from pathlib import Path

import pytest

from stakewatch.rules.mismatch import Difference, differences
from stakewatch.rules.promtool import Failure

A = 'Labels:{alertname="A", instance="a", severity="critical"}\nAnnotations:{summary="one"}'
OTHER_SEVERITY = A.replace("critical", "warning")
OTHER_TEXT = A.replace("one", "two")
B = A.replace('instance="a"', 'instance="b\\"}, c"')


def between(expected: str | None, got: str | None) -> tuple[Difference, ...]:
    return differences(Failure(Path("a.yaml"), "m", expected=expected, got=got))


def test_a_label_and_a_text_that_differ_are_named() -> None:
    assert between(A, OTHER_SEVERITY) == (Difference("instance=a", "severity", "critical", "warning"),)
    assert between(A, OTHER_TEXT) == (Difference("instance=a", "annotation summary", "one", "two"),)


def test_an_alert_that_is_missing_or_was_not_expected_is_one_difference() -> None:
    assert between(A, "nothing") == (Difference("instance=a", "alert", "fires", ""),)
    assert between("nothing", A) == (Difference("instance=a", "alert", "", "fires"),)


def test_equal_alerts_are_left_out_and_the_others_paired_by_likeness() -> None:
    assert between(f"{A}\n{B}", f"{B}\n{OTHER_SEVERITY}") == (
        Difference("instance=a", "severity", "critical", "warning"),
    )


def test_a_label_that_one_side_lacks_is_empty_there() -> None:
    without = A.replace(', severity="critical"', "")
    assert between(A, without) == (Difference("instance=a", "severity", "critical", ""),)


def test_hostile_values_stay_whole() -> None:
    (difference,) = between(B, "nothing")
    assert difference.of == 'instance=b"}, c'


@pytest.mark.parametrize(("expected", "got"), [(None, None), (A, None), ("{} 1E+00", "{} 2E+00"), (A, "odd")])
def test_what_is_not_about_alerts_has_no_differences(expected: str | None, got: str | None) -> None:
    assert between(expected, got) == ()
