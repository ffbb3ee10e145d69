"""Set-up with Python alone."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BOOTSTRAP = Path(__file__).parents[3] / "tools" / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the module and have it work in an empty folder."""
    specification = importlib.util.spec_from_file_location("bootstrap", BOOTSTRAP)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    environment = tmp_path / ".venv"
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "ENVIRONMENT", environment)
    monkeypatch.setattr(module, "PYTHON", environment / "bin" / "python")
    monkeypatch.setattr(module, "STAMP", environment / "stakewatch.stamp")
    monkeypatch.setattr(module, "LOG", environment / "setup.log")
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / "pyproject.toml").write_text("")
    environment.mkdir()
    return module


def test_a_step_that_fails_shows_the_end_of_its_log_and_the_mend(bootstrap: ModuleType) -> None:
    script = "print('the last words'); raise SystemExit(3)"
    with pytest.raises(SystemExit) as stopped:
        bootstrap.run("installing", [sys.executable, "-c", script])
    message = str(stopped.value)
    assert "the last words" in message
    assert "exit code 3" in message
    assert "run make again" in message


def test_a_long_step_gives_signs_of_life(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "HEARTBEAT_SECONDS", 0.2)
    bootstrap.run("installing", [sys.executable, "-c", "import time; time.sleep(1)"])
    said = capsys.readouterr().err
    assert "so far" in said
    assert "done in" in said


def test_a_changed_lock_file_changes_the_fingerprint(bootstrap: ModuleType) -> None:
    before = bootstrap.fingerprint()
    assert bootstrap.fingerprint() == before
    (bootstrap.ROOT / "requirements.lock").write_text("click==8.5.1")
    assert bootstrap.fingerprint() != before


def test_an_old_python_is_told_how_to_name_another(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(SystemExit, match="PYTHON="):
        bootstrap.main()


def test_an_environment_that_was_cut_off_does_not_count_as_working(bootstrap: ModuleType) -> None:
    assert not bootstrap.environment_works()
    bootstrap.PYTHON.parent.mkdir()
    bootstrap.PYTHON.write_text("#!/bin/sh\nexit 1\n")
    bootstrap.PYTHON.chmod(0o755)
    assert not bootstrap.environment_works()


def test_set_up_is_done_once_and_again_when_the_stamp_is_stale(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(bootstrap, "run", lambda what, _arguments: steps.append(what))
    monkeypatch.setattr(bootstrap, "environment_works", lambda: True)
    bootstrap.main()
    bootstrap.main()
    assert len(steps) == 2
    bootstrap.STAMP.write_text("half of a sta")
    bootstrap.main()
    assert len(steps) == 4
    assert bootstrap.STAMP.read_text() == bootstrap.fingerprint()


def test_make_says_what_it_can_do() -> None:
    make = shutil.which("make")
    assert make is not None
    answer = subprocess.run(
        [make, "help"], cwd=BOOTSTRAP.parents[1], capture_output=True, text=True, check=True
    )
    assert "make demo" in answer.stdout
    assert "make test" in answer.stdout
