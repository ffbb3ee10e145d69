"""The action and the hooks for other people's repositories call commands and options that exist."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from stakewatch.cli.main import group

ROOT = Path(__file__).parents[3]
ACTION = yaml.safe_load((ROOT / ".github/actions/prove-rules/action.yml").read_text(encoding="utf-8"))
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


def calls(script: str) -> list[list[str]]:
    joined = script.replace("\\\n", " ")
    return [shlex.split(line.partition('stakewatch/bin/stakewatch" ')[2]) for line in joined.splitlines()]


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None, name
    return found


@pytest.mark.parametrize(
    "call",
    [
        *(call for step in ACTION["runs"]["steps"] for call in calls(step["run"]) if call),
        *(shlex.split(hook["entry"])[1:] for hook in HOOKS),
    ],
    ids=" ".join,
)
def test_what_is_called_exists(call: list[str]) -> None:
    known = {option for parameter in command(call[0]).params for option in parameter.opts}
    asked = {option for text in call for option in re.findall(r"--[a-z][a-z-]*", text)}
    assert asked <= known


def test_inputs_reach_the_shell_as_variables_only() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"], "an input written into a script is run as one"
        for name in step.get("env", {}).values():
            used = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", name)
            assert used is None or used[1] in ACTION["inputs"]


def test_the_page_names_every_input_and_hook() -> None:
    page = (ROOT / "docs" / "your-rules.md").read_text(encoding="utf-8")
    assert all(f"id: {hook['id']}" in page for hook in HOOKS)
    assert {"rules", "tests", "since", "min-score"} <= set(ACTION["inputs"])
