"""`stakewatch tools --install` on a machine that lacks a package."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.cli import tools
from stakewatch.programs.find import Search
from stakewatch.programs.pins import Program, find_program


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pretend that nothing is here and collect what would be brought."""
    brought: list[str] = []
    monkeypatch.setattr(tools, "search_for", lambda program: Search(program, None, ()))
    monkeypatch.setattr(tools, "provide", lambda names, *_arguments, **_options: brought.extend(names))
    return brought


def lacking(program: Program) -> tuple[Search, ...]:
    """Return a compiler that is missing where one is needed."""
    return tuple(Search(find_program(name), None, ()) for name in program.needs)


def test_what_cannot_be_made_is_left_out_with_the_name_of_the_package(
    installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "missing_needs", lacking)
    answer = CliRunner().invoke(tools.command, ["--install"])
    assert "lodestar is left out: g++ is missing" in answer.output
    assert "apt-get install g++" in answer.output
    assert "lodestar" not in installed
    assert "geth" in installed


def test_with_a_compiler_nothing_is_left_out(
    installed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tools, "missing_needs", lambda _program: ())
    answer = CliRunner().invoke(tools.command, ["--install"])
    assert "left out" not in answer.output
    assert "lodestar" in installed
