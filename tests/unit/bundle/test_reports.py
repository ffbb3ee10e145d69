"""Reports: what is measured, written, read again and held to its bars."""

import io
import json
import math
import os
from pathlib import Path

import pytest
from rich.console import Console

from stakewatch.bundle.reports import (
    Figure,
    Report,
    conclude_report,
    load_report,
    revision,
    write_report,
)
from stakewatch.errors import StakewatchError


def report(*figures: Figure) -> Report:
    return Report(report="bench", revision="abc", seconds=1.5, figures=figures)


@pytest.mark.parametrize(
    ("value", "bar", "holds"),
    [
        (1.5, "<= 1.5", True),
        (1.6, "<= 1.5", False),
        (0, "== 0", True),
        (1, "== 0", False),
        (95, ">= 95", True),
        (60, "< 60", False),
        (1, "> 0", True),
        (math.inf, "> 0", False),
        (math.nan, "<= 5", False),
        (math.nan, "", True),
    ],
)
def test_a_bar_holds_on_its_side_only_and_never_for_what_was_not_measured(
    value: float, bar: str, *, holds: bool
) -> None:
    assert Figure("x", value, "s", bar).holds is holds


@pytest.mark.parametrize("bar", ["<=1", "1", "=< 1", "<= one", "<= 1 "])
def test_a_bar_of_another_form_is_refused_when_it_is_made(bar: str) -> None:
    with pytest.raises(ValueError, match="is no bar"):
        Figure("x", 1, "s", bar)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = report(Figure("a", 1, "s", "<= 2"), Figure("b", 0.25, "", ""))
    path = write_report(written, tmp_path / "reports")
    assert path.name == "bench.json"
    assert load_report(path) == written
    assert json.loads(path.read_text())["figures"][0]["holds"] is True
    assert [entry.name for entry in path.parent.iterdir()] == ["bench.json"]


def test_what_was_not_measured_is_written_as_null_and_stays_unmeasured(tmp_path: Path) -> None:
    path = write_report(report(Figure("a", math.inf, "s", "< 60")), tmp_path)
    assert json.loads(path.read_text())["figures"][0]["value"] is None
    (figure,) = load_report(path).figures
    assert math.isnan(figure.value)
    assert not figure.holds


def test_a_claim_in_the_file_that_a_bar_holds_is_not_believed(tmp_path: Path) -> None:
    path = write_report(report(Figure("a", 3, "s", "<= 2")), tmp_path)
    path.write_text(path.read_text().replace('"holds": false', '"holds": true'))
    assert not load_report(path).holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"report": "a", "revision": "b", "seconds": 1, "figures": 5}',
        '{"report": "a", "revision": "b", "seconds": 1, "figures": [5]}',
        '{"report": "a", "revision": "b", "seconds": true, "figures": []}',
        '{"report": 1, "revision": "b", "seconds": 1, "figures": []}',
        '{"report": "a", "revision": "b", "seconds": 1, "figures": [{"name": "x", "value": 1, "unit": ""}]}',
        '{"report":"","revision":"","seconds":1,"figures":[{"name":"","value":1,"unit":"","bar":"1"}]}',
        '{"report": "a", "revision": "b", "seconds": NaN, "figures": []}',
        '{"report": "a", "revision": "\\u001b[2J", "seconds": 1, "figures": []}',
        "[" * 100_000,
    ],
)
def test_a_broken_file_is_named_and_is_no_input_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(StakewatchError, match="no report") as caught:
        load_report(path)
    assert caught.value.exit_code == 1
    assert caught.value.where == str(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StakewatchError, match="cannot be read"):
        load_report(tmp_path / "x.json")


def test_a_pipe_in_place_of_a_report_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(StakewatchError, match="not a regular file") as caught:
        load_report(tmp_path / "x.json")
    assert caught.value.exit_code == 1


def test_concluding_writes_prints_and_answers_with_the_exit_code(tmp_path: Path) -> None:
    output = io.StringIO()
    console = Console(file=output, width=120)
    assert conclude_report(report(Figure("a", 1, "s", "<= 2")), tmp_path, console) == 0
    assert "bench.a" in output.getvalue()
    assert "holds" in output.getvalue()
    assert conclude_report(report(Figure("[/b]", 12_345.6, "s", "<= 2")), tmp_path, console) == 1
    assert "MISSED" in output.getvalue()
    assert "12,345.600" in output.getvalue()


def test_the_revision_is_unknown_where_there_is_no_repository(tmp_path: Path) -> None:
    assert revision(tmp_path) == "unknown"
    assert revision(tmp_path / "nowhere") == "unknown"


def test_the_revision_is_unknown_where_there_is_no_git(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision() == "unknown"
