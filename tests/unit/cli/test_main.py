"""How the command line ends: messages, exit codes, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from stakewatch.cli import main as entry
from stakewatch.errors import InputError, StakewatchError
from tests.unit.cli.conftest import Run


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Make the command `check` raise what the test puts into the list."""
    errors: list[BaseException] = []

    @click.command()
    def command() -> None:
        raise errors[0]

    monkeypatch.setattr(entry.Commands, "get_command", lambda *_: command)
    return errors


def test_without_arguments_it_prints_its_commands(run: Run) -> None:
    answer = run()
    assert answer.code == 2
    for command in ("build", "check", "config", "report"):
        assert command in answer.err


def test_help_and_version_succeed(run: Run) -> None:
    assert run("-h").code == 0
    answer = run("--version")
    assert (answer.code, answer.out.split(",")[0]) == (0, "stakewatch")


def test_an_unknown_command_is_answered_with_the_nearest(run: Run) -> None:
    answer = run("chek")
    assert answer.code == 2
    assert 'there is no command "chek"; did you mean check?' in answer.err


@pytest.mark.parametrize("name", ["main", "options", "output", "../main", "check.x"])
def test_a_module_that_is_no_command_is_not_run(run: Run, name: str) -> None:
    answer = run(name)
    assert answer.code == 2
    assert "there is no command" in answer.err


@pytest.mark.parametrize(("error", "code"), [(StakewatchError, 1), (InputError, 2)])
def test_an_error_of_ours_is_a_message_with_its_exit_code(
    run: Run, fails: list[BaseException], error: type[StakewatchError], code: int
) -> None:
    fails.append(error("it is wrong", where="a.yaml:3", mend="mend it"))
    answer = run("check")
    assert (answer.code, answer.out, answer.err) == (
        code,
        "",
        "stakewatch: a.yaml:3: it is wrong\n  mend it\n",
    )


def test_a_mistake_of_ours_is_a_message_that_asks_for_a_report(run: Run, fails: list[BaseException]) -> None:
    fails.append(ZeroDivisionError("oh"))
    answer = run("check")
    assert answer.code == 1
    assert "a mistake in stakewatch itself: ZeroDivisionError: oh" in answer.err
    assert "Traceback" not in answer.err


def test_debug_shows_the_traceback_of_an_error_of_ours_and_keeps_its_exit_code(
    run: Run, fails: list[BaseException]
) -> None:
    fails.append(InputError("it is wrong"))
    answer = run("--debug", "check")
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert answer.err.endswith("stakewatch: it is wrong\n")


def test_debug_lets_a_mistake_of_ours_through(
    monkeypatch: pytest.MonkeyPatch, fails: list[BaseException]
) -> None:
    fails.append(ZeroDivisionError("a"))
    monkeypatch.setattr(sys, "argv", ["stakewatch", "--debug", "check"])
    with pytest.raises(ZeroDivisionError):
        entry.main()


def test_control_c_is_one_line_and_exit_code_130(run: Run, fails: list[BaseException]) -> None:
    fails.append(KeyboardInterrupt())
    answer = run("check")
    assert (answer.code, answer.err.strip()) == (130, "stakewatch: interrupted")


def test_a_command_that_exits_gives_its_code(run: Run, fails: list[BaseException]) -> None:
    fails.append(SystemExit(7))
    assert run("check").code == 7


def test_a_reader_that_goes_away_is_no_noise() -> None:
    program = [sys.executable, "-c", "from stakewatch.cli.main import main; main()", "config", "--schema"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 1


def test_every_module_here_is_a_command_or_named_as_none() -> None:
    context = click.Context(entry.group)
    names = entry.group.list_commands(context)
    modules = {path.stem for path in Path(entry.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == {name.replace("-", "_") for name in names} | {"main", "options", "output", "publishing"}
    for name in ("build", "check", "config", "report"):
        assert entry.group.get_command(context, name) is not None


# What an installation without extras lacks: each is a package of one of them.
EXTRAS = (
    "aiohttp",
    "boto3",
    "botocore",
    "grafana_foundation_sdk",
    "grafanalib",
    "msgspec",
    "numpy",
    "prometheus_client",
)
BARE = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None
from stakewatch.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "demo        Needs the package msgspec"),
        (["demo", "--list"], 1, "pip install 'stakewatch[aws,dashboards,exporter]'"),
        (["demo", "--help"], 1, "the command demo needs the package msgspec"),
        (["dashboards"], 1, "pip install"),
        (["config", "--help"], 0, "Usage: stakewatch config"),
    ],
)
def test_without_the_extras_what_needs_them_says_so_and_the_rest_works(
    arguments: list[str], code: int, said: str
) -> None:
    bare = subprocess.run(
        [sys.executable, "-c", BARE, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert bare.returncode == code
    assert said in bare.stdout + bare.stderr
    assert "Traceback" not in bare.stderr
    assert "mistake in stakewatch" not in bare.stderr


def test_the_checks_and_targets_of_every_room_are_found(run: Run) -> None:
    checks = {one["check"].partition("/")[0] for one in json.loads(run("check", "--list", "--json").out)}
    assert {"rules", "grafana", "catalogue"} <= checks
    targets = {one["target"] for one in json.loads(run("build", "--list", "--json").out)}
    assert {"rules", "prometheus", "dashboards"} <= targets
