"""Finding rule and test files by what stands in them."""

from pathlib import Path

import pytest

from stakewatch.errors import InputError
from stakewatch.rules.files import files_with


def test_files_are_known_by_their_field_and_not_by_their_name(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "tests.yml").write_text("groups: []\n", encoding="utf-8")
    (tmp_path / "rules.yaml").write_text("tests: []\n", encoding="utf-8")
    (tmp_path / "values.yaml").write_text("a: {groups: []}\n", encoding="utf-8")
    (tmp_path / "groups.txt").write_text("groups: []\n", encoding="utf-8")
    assert list(files_with(tmp_path, "groups")) == [tmp_path / "sub" / "tests.yml"]
    assert list(files_with(tmp_path, "tests")) == [tmp_path / "rules.yaml"]
    assert list(files_with(tmp_path / "groups.txt", "groups")) == [tmp_path / "groups.txt"]


def test_a_template_among_the_files_is_left_out(tmp_path: Path) -> None:
    text = "spec:\n  {{- range .Values.rules }}\n  groups: [\n"
    (tmp_path / "chart.yaml").write_text(text, encoding="utf-8")
    assert list(files_with(tmp_path, "groups")) == []


def test_a_file_that_was_meant_and_is_broken_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("groups:\n  - name: [\n", encoding="utf-8")
    with pytest.raises(InputError, match="no YAML"):
        list(files_with(tmp_path, "groups"))
