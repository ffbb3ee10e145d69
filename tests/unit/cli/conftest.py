"""Runs the command line in this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from stakewatch.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a run printed and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `stakewatch` with its arguments, as wide as where no terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def answer(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["stakewatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Answer(code=code, out=captured.out, err=captured.err)

    return answer


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return the root of an empty bundle."""
    (tmp_path / "rules").mkdir()
    return tmp_path
