"""Rule files as boards read them: what is none is refused with its place."""

import os
from pathlib import Path

import pytest

from stakewatch.errors import InputError
from stakewatch.grafana.rulefiles import rules_of


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no groups"),
        (b"[" * 100_000, "nested too deeply"),
        (b"groups: \xff", "not UTF-8"),
        (b"groups: {", "not YAML"),
        (b"groups: !!python/object/apply:os.getcwd []", "not YAML"),
        (b"groups: [5]", "no rules"),
    ],
)
def test_what_is_no_rule_file_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=what) as caught:
        list(rules_of(path))
    assert str(caught.value.where).startswith(str(path))


def test_a_folder_or_a_pipe_in_place_of_a_rule_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    for path in (tmp_path, tmp_path / "a.yaml"):
        with pytest.raises(InputError, match=r"is a folder|not a regular file"):
            list(rules_of(path))
