"""The log: one line per event, and a state only when it changes."""

import io
import logging
import re
from collections.abc import Iterator

import pytest

from stakewatch_exporter import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    log.write_to(stream)
    yield stream
    logging.getLogger("stakewatch_exporter").handlers.clear()


def test_an_event_is_one_line_in_utc_with_its_fields(lines: io.StringIO) -> None:
    log.event(logging.WARNING, "node_down", instance="beacon-1", reason="no answer", next=None)
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning node_down instance=beacon-1 reason="no answer"\n',
        lines.getvalue(),
    )


def test_what_a_node_sends_cannot_begin_a_line_of_its_own(lines: io.StringIO) -> None:
    log.event(logging.INFO, "answer", text='evil"\n2026-01-01 error fake=1\r\x1b[2J', long="x" * 10_000)
    assert lines.getvalue().count("\n") == 1
    assert "\x1b" not in lines.getvalue()
    assert len(lines.getvalue()) < 1000


def test_a_state_is_told_once_per_change(lines: io.StringIO) -> None:
    changes = log.Changes()
    changes.settle("a", "ok", "again")
    for state in ("timeout", "timeout", "http_5xx", "timeout"):
        changes.report("a", state, logging.WARNING, "failed", outcome=state)
    changes.report("b", "timeout", logging.WARNING, "failed", outcome="other")
    changes.settle("a", "ok", "again")
    changes.settle("a", "ok", "again")
    told = [line.split(" ", 2)[2] for line in lines.getvalue().splitlines()]
    assert told == [
        "failed outcome=timeout",
        "failed outcome=http_5xx",
        "failed outcome=timeout",
        "failed outcome=other",
        "again",
    ]


def test_below_its_level_nothing_is_written(lines: io.StringIO) -> None:
    log.event(logging.DEBUG, "detail")
    assert lines.getvalue() == ""
