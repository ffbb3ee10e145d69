"""Equivalents: entries with a reason, and nothing else."""

from pathlib import Path

import pytest

from stakewatch.errors import InputError
from stakewatch.rules.mutation.equivalents import load_equivalents


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mutation.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_entries_are_read_with_their_lines(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "equivalents:\n  - rule: A\n    change: 'number: 1 -> 2'\n    reason: a truth\n",
    )
    (entry,) = load_equivalents(path)
    assert (entry.rule, entry.change, entry.line) == ("A", "number: 1 -> 2", 2)
    assert "truth" in entry.reason


@pytest.mark.parametrize("text", ["", "equivalents:\n", "equivalents: []\n"])
def test_no_entries_are_no_error(tmp_path: Path, text: str) -> None:
    assert load_equivalents(written(tmp_path, text)) == ()


def test_a_missing_file_has_no_entries(tmp_path: Path) -> None:
    assert load_equivalents(tmp_path / "none.yaml") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other: []\n", "has one field"),
        ("equivalents: no\n", "is a list"),
        ("equivalents: [no]\n", "must be a mapping"),
        ("equivalents: [{rule: A, change: b}]\n", "has rule, change and reason"),
        ("equivalents: [{rule: A, change: b, reason: ' '}]\n", "reason is empty"),
        ("equivalents: [{rule: A, change: b, reason: c}, {rule: A, change: b, reason: d}]\n", "stands twice"),
        ("equivalents: [\n", "no YAML"),
    ],
)
def test_what_is_built_otherwise_is_an_error_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        load_equivalents(written(tmp_path, text))
    assert "mutation.yaml:" in str(raised.value)
