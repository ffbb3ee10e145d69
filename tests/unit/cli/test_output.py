"""What is printed where."""

import io
import json
import sys

import pytest

from stakewatch.cli.output import console, print_json, progress_console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_results_go_to_stdout_and_progress_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("result")
    progress_console().print("progress")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("result\n", "progress\n")


def test_brackets_and_colons_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("[red]x[/red] [/y] :smile:")
    assert capsys.readouterr().out == "[red]x[/red] [/y] :smile:\n"


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    [
        (Terminal(), {"TERM": "xterm-256color"}, True),
        (Terminal(), {"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        (io.StringIO(), {"TERM": "xterm-256color"}, False),
    ],
)
def test_colours_are_for_terminals_without_no_color(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, variables: dict[str, str], *, coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream)
    console().print("x", style="red")
    assert ("\x1b[31m" in stream.getvalue()) is coloured


def test_a_line_in_a_file_is_not_folded_at_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    console().print("word " * 30)
    assert capsys.readouterr().out.count("\n") == 1


def test_json_is_read_back_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"b": ["ä", 1.5, None], "a": {}}
    print_json(data)
    assert json.loads(capsys.readouterr().out) == data
