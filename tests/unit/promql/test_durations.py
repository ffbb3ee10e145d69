"""Durations are read and written as Prometheus does."""

import random

import pytest

from stakewatch.errors import InputError
from stakewatch.promql import parse, parse_duration, print_duration
from stakewatch.promql.tree import Duration, MatrixSelector


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("0s", 0), ("5m", 300), ("1h30m", 5400), ("90s", 90), ("625ms", 0.625), ("1y", 31_536_000),
        ("1w2d", 777_600), ("1y2w3d4h5m6s7ms", 33_019_506.007), ("1000ms", 1), ("007s", 7), ("60m60s", 3660),
    ],
)  # fmt: skip
def test_a_duration_has_its_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "5", "m", "-5m", "+5m", "5 m", " 5m", "5m ", "5m\n", "1.5h", "5x", "5M", "30m1h", "5m5m",
        "1ms1s", "\u0665m", "5m" * 1000, "300y", "9" * 10_000 + "ms", "1h30", "None", "1e3s",
    ],
)  # fmt: skip
def test_what_prometheus_would_not_read_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration(text)
    assert caught.value.mend
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.0004, "0s"), (0.625, "625ms"), (1, "1s"), (60, "1m"), (90, "1m30s"), (5400, "1h30m"),
        (86_400, "1d"), (604_800, "1w"), (691_200, "8d"), (31_536_000, "1y"), (0.1 + 0.2, "300ms"),
    ],
)  # fmt: skip
def test_seconds_are_written_in_the_canonical_form(seconds: float, text: str) -> None:
    assert print_duration(seconds) == text


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), float("inf"), 1e10])
def test_what_no_duration_can_hold_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        print_duration(seconds)


def test_every_number_of_milliseconds_survives_writing_and_reading() -> None:
    draw = random.Random(7)  # noqa: S311 - nothing secret is drawn
    for _ in range(2000):
        milliseconds = draw.randrange(1, 10 ** draw.randrange(1, 13))
        assert parse_duration(print_duration(milliseconds / 1000)) == milliseconds / 1000


def test_prometheus_reads_what_is_written_as_the_same_length() -> None:
    draw = random.Random(11)  # noqa: S311 - nothing secret is drawn
    for _ in range(200):
        seconds = draw.randrange(1, 10 ** draw.randrange(1, 13)) / 1000
        tree = parse(f"x[{print_duration(seconds)}]")
        assert isinstance(tree, MatrixSelector)
        assert tree.range == Duration(seconds=seconds)
