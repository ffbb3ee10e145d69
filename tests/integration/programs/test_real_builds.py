"""The recipes of this repository really build, by themselves and in company."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import stakewatch
from stakewatch.programs.build import provide
from stakewatch.programs.workshop import Workshop

RECIPES = Path(stakewatch.__file__).resolve().parent.parent / "tools"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Give the repository's recipes and no products yet."""
    return Workshop(RECIPES, tmp_path / "products")


def test_our_parser_builds_and_answers(workshop: Workshop) -> None:
    path = provide(["promql"], lambda _: None, workshop=workshop)["promql"].path

    answer = subprocess.run(
        [path],
        input=json.dumps({"id": 1, "expr": "up == 0"}) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(answer.stdout.splitlines()[0])["id"] == 1


def test_the_command_line_builds_once_when_called_twice_at_the_same_time(tmp_path: Path) -> None:
    (tmp_path / "tools").symlink_to(RECIPES, target_is_directory=True)
    commands = [
        subprocess.Popen(
            [Path(sys.executable).with_name("stakewatch"), "tools", "--install", "promql"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    errors = [command.communicate(timeout=300)[1] for command in commands]

    assert [command.returncode for command in commands] == [0, 0], errors
    assert sum("building stakewatch-promql" in error for error in errors) == 1
