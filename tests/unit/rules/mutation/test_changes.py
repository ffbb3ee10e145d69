"""Changes: only rules that say something else than in a revision."""

import shutil
import subprocess
from pathlib import Path

import pytest

from stakewatch.errors import InputError
from stakewatch.rules.files import load_rule_file
from stakewatch.rules.mutation.changes import changed_since

BEFORE = """groups:
  - name: a
    rules:
      - alert: Same
        expr: up == 0
      - alert: Changed
        expr: up > 0
"""
AFTER = """groups:
  - name: a
    rules:
      # A comment is no change, and neither is an annotation.
      - alert: Same
        expr: up == 0
        annotations: {summary: new}
      - alert: Changed
        expr: up > 1
      - alert: New
        expr: up
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        program = shutil.which("git")
        assert program is not None
        subprocess.run([program, "-C", tmp_path, *arguments], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(BEFORE, encoding="utf-8")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    (tmp_path / "rules" / "a.yaml").write_text(AFTER, encoding="utf-8")
    (tmp_path / "rules" / "b.yaml").write_text(BEFORE, encoding="utf-8")
    return tmp_path


def test_rules_that_changed_or_are_new_are_picked(repository: Path) -> None:
    changed = changed_since("HEAD", repository / "rules")
    rule_file = load_rule_file(repository / "rules" / "a.yaml")
    assert [rule.name for rule in rule_file.rules if changed(rule_file, rule)] == ["Changed", "New"]
    new_file = load_rule_file(repository / "rules" / "b.yaml")
    assert all(changed(new_file, rule) for rule in new_file.rules)


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", ""])
def test_a_revision_that_git_does_not_know_is_named(repository: Path, revision: str) -> None:
    with pytest.raises(InputError, match="git knows no revision"):
        changed_since(revision, repository)


def test_outside_of_a_repository_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository"):
        changed_since("HEAD", tmp_path)
