"""The command line: what is wrong is said in one message, without a traceback."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.errors import InputError
from stakewatch_exporter import main

CONFIGURATION = """
network: demonet
fleet:
  cluster: demo-1
  region: eu-west-1
  beacon_nodes:
    - {instance: beacon-1, implementation: teku, url: "http://127.0.0.1:1"}
"""


def _written(folder: Path, text: str) -> str:
    path = folder / "stakewatch.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _refused(*arguments: str) -> InputError:
    result = CliRunner().invoke(main.command, arguments)
    assert isinstance(result.exception, InputError), result.output
    return result.exception


def test_help_teaches_how_to_begin() -> None:
    result = CliRunner().invoke(main.command, ["--help"])
    assert result.exit_code == 0
    assert "stakewatch-exporter --config stakewatch.yaml --check" in result.output
    assert "/offenders" in result.output


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    assert _refused("--config", str(tmp_path / "none.yaml")).exit_code == 2


def test_an_unknown_key_is_refused_with_its_line(tmp_path: Path) -> None:
    error = _refused("--config", _written(tmp_path, CONFIGURATION + "netwrok: x\n"))
    assert "stakewatch.yaml:8" in str(error)


def test_a_fleet_without_nodes_is_refused(tmp_path: Path) -> None:
    error = _refused("--config", _written(tmp_path, "network: demonet\n"))
    assert "nothing to watch" in error.what


def test_a_state_file_in_no_folder_is_refused(tmp_path: Path) -> None:
    text = CONFIGURATION + "exporter: {state_file: missing/state.json}\n"
    error = _refused("--config", _written(tmp_path, text))
    assert "folder of exporter.state_file" in error.what


@pytest.mark.parametrize("listen", ["9120", ":9120", "localhost:", "localhost:x", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, listen: str) -> None:
    error = _refused("--config", _written(tmp_path, CONFIGURATION), "--listen", listen)
    assert error.where == f"--listen {listen}"


def test_an_error_of_ours_ends_with_two_and_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["stakewatch-exporter", "--config", str(tmp_path / "none.yaml")])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("stakewatch-exporter: ")
    assert "Traceback" not in said


def test_a_check_of_a_dead_node_says_why_and_ends_with_one(tmp_path: Path) -> None:
    arguments = ["--config", _written(tmp_path, CONFIGURATION), "--check"]
    result = CliRunner().invoke(main.command, arguments, env={"COLUMNS": "250"})
    assert result.exit_code == 1, result.output
    assert "beacon-1" in result.output
    assert "no connection" in result.output
