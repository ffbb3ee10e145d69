"""`stakewatch tools` says what is there and why, and fails when what was asked for is missing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.cli.tools import command
from stakewatch.errors import InputError, StakewatchError
from stakewatch.programs.pins import PROGRAMS
from stakewatch.programs.workshop import Workshop

Script = Callable[..., Path]


@pytest.fixture(autouse=True)
def _in_the_workshop(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop.recipes)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("path_folder")
def test_every_program_has_a_line_even_when_nothing_is_there() -> None:
    result = CliRunner().invoke(command, [])

    assert result.exit_code == 0
    named = [line.split()[0] for line in result.output.splitlines() if line[:1].strip()]
    assert named == ["program", *PROGRAMS]
    assert result.output.count("missing") == len(PROGRAMS)


def test_a_refused_program_is_shown_with_the_reason(script: Script) -> None:
    script("promtool", "echo 'promtool, version 2.42.0'")

    result = CliRunner().invoke(command, ["--json", "promtool"])

    [row] = json.loads(result.stdout)
    assert row["origin"] == "missing"
    assert "PATH has 2.42.0" in row["remarks"][0]
    assert row["mend"] == "run: stakewatch tools --install promtool"


def test_a_found_program_is_shown_with_its_path(script: Script) -> None:
    path = script("promtool", "echo 'promtool, version 3.6.0'")

    result = CliRunner().invoke(command, ["promtool"])

    assert result.exit_code == 0
    assert "3.6.0" in result.output
    assert "PATH" in result.output
    assert str(path)[-30:] in result.output.replace("\n", "")


@pytest.mark.usefixtures("path_folder")
def test_a_named_program_that_is_missing_is_a_failure() -> None:
    with pytest.raises(StakewatchError, match="missing: geth") as caught:
        CliRunner().invoke(command, ["geth"], catch_exceptions=False)

    assert caught.value.exit_code == 1


def test_an_unknown_name_is_wrong_input() -> None:
    with pytest.raises(InputError, match="no program is named 'gett'"):
        CliRunner().invoke(command, ["--install", "gett"], catch_exceptions=False)


def test_progress_without_a_terminal_is_plain_lines_on_standard_error(script: Script) -> None:
    script(
        "go",
        'if [ "$1" = version ]; then echo "go version go1.26.8 x"; exit; fi\n'
        'while [ "$1" != -o ]; do shift; done\necho program > "$2"',
    )

    result = CliRunner().invoke(command, ["--install", "promql"], catch_exceptions=False)

    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines()[0] == "tools: building stakewatch-promql with go 1.26.8 ..."
    assert "done in" in result.stderr
