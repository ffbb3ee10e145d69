"""The command line: what is wrong is said in one message, without a traceback."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.bundle.configuration import Configuration
from stakewatch.errors import InputError
from stakewatch_exporter import command_line

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
    result = CliRunner().invoke(command_line.command, arguments)
    assert isinstance(result.exception, InputError), result.output
    return result.exception


def test_help_teaches_how_to_begin() -> None:
    result = CliRunner().invoke(command_line.command, ["--help"])
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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300, "File name too long"),
        (f"{'x' * 300}/state.json", "File name too long"),
        ('"st\\0ate"', "embedded null byte"),
        (".", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("stakewatch.yaml/state.json", "folder of exporter.state_file"),
    ],
)
def test_a_state_file_that_cannot_be_one_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    text = CONFIGURATION + f"exporter: {{state_file: {name}}}\n"
    assert reason in _refused("--config", _written(tmp_path, text)).what


@pytest.mark.parametrize("listen", ["9120", ":9120", "localhost:", "localhost:x", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, listen: str) -> None:
    error = _refused("--config", _written(tmp_path, CONFIGURATION), "--listen", listen)
    assert error.where == f"--listen {listen}"


def test_an_error_of_ours_ends_with_two_and_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["stakewatch-exporter", "--config", str(tmp_path / "none.yaml")])
    with pytest.raises(SystemExit) as caught:
        command_line.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("stakewatch-exporter: ")
    assert "Traceback" not in said


def test_a_mistake_of_ours_is_one_message_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Path) -> Configuration:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(command_line, "load_configuration", broken)
    monkeypatch.setattr("sys.argv", ["stakewatch-exporter"])
    with pytest.raises(SystemExit) as caught:
        command_line.main()
    assert caught.value.code == 1
    assert "a mistake in stakewatch itself: ZeroDivisionError: by nought" in capsys.readouterr().err


def test_a_check_prints_a_version_as_it_is_and_never_as_markup(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"data": {"version": "[/x]\x1b[2J\nTeku"}}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def check() -> str:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            path = _written(tmp_path, CONFIGURATION.replace("127.0.0.1:1", f"127.0.0.1:{port}"))
            result = await asyncio.to_thread(
                CliRunner().invoke,
                command_line.command,
                ["--config", path, "--check"],
                env={"COLUMNS": "250"},
            )
        assert result.exit_code == 1, result.exception
        return result.output

    assert "[/x]?[2J Teku" in asyncio.run(check())


def test_a_check_in_a_narrow_terminal_cuts_nothing_off(tmp_path: Path) -> None:
    content = CONFIGURATION.replace("beacon-1", f"beacon-{'1' * 80}")
    arguments = ["--config", _written(tmp_path, content), "--check"]
    result = CliRunner().invoke(command_line.command, arguments, env={"COLUMNS": "80"})
    assert result.exit_code == 1, result.output
    assert "…" not in result.output
    cells = [line.split("│")[1].strip() for line in result.output.splitlines() if line.startswith("│")]
    assert "".join(cells).count("1") >= 80


def test_a_check_of_a_dead_node_says_why_and_ends_with_one(tmp_path: Path) -> None:
    arguments = ["--config", _written(tmp_path, CONFIGURATION), "--check"]
    result = CliRunner().invoke(command_line.command, arguments, env={"COLUMNS": "250"})
    assert result.exit_code == 1, result.output
    assert "beacon-1" in result.output
    assert "no connection" in result.output
