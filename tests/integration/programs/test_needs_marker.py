"""A test that needs a missing package is listed as not run, and fails in CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stakewatch

CONFTEST = Path(stakewatch.__file__).resolve().parent.parent / "tests" / "conftest.py"
TESTS = """
import pytest

@pytest.mark.needs("haproxy")
def test_the_gate():
    pass

@pytest.mark.needs("promtool", "geth")
def test_what_is_built_here():
    pass

def test_anything():
    pass
"""


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    """Give a function that runs pytest on the tests above without haproxy on PATH."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = needs(program): x\n")
    return Run(tmp_path)


class Run:
    """Pytest in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *options: str, tests: str = TESTS, path: str = "/nonexistent", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the tests with these options of pytest and this PATH."""
        (self.folder / "test_it.py").write_text(tests)
        clean = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(self.folder)],
            cwd=self.folder,
            env={**clean, "PATH": path, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.mark.parametrize("options", [(), ("-n", "2", "--dist", "loadfile")])
def test_a_missing_package_is_listed_with_its_tests_and_the_rest_passes(
    run: Run, options: tuple[str, ...]
) -> None:
    result = run(*options)

    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout
    assert "haproxy is missing; on Debian: apt-get install haproxy, with /usr/sbin on PATH" in result.stdout
    assert "  test_it.py::test_the_gate" in result.stdout


def test_a_missing_package_is_a_failure_in_ci(run: Run) -> None:
    result = run(CI="true")

    assert result.returncode == 1
    assert "1 failed, 2 passed" in result.stdout or "2 passed, 1 error" in result.stdout
    assert "CI runs every test, but haproxy is missing" in result.stdout


def test_a_package_that_is_there_lets_its_tests_run(run: Run, tmp_path: Path) -> None:
    program = tmp_path / "path" / "haproxy"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'HAProxy version 2.6.12 2023'\n")
    program.chmod(0o755)

    result = run(path=str(program.parent))

    assert "3 passed" in result.stdout
    assert "not run" not in result.stdout


def test_an_unknown_program_in_a_marker_is_refused(run: Run) -> None:
    result = run(tests="import pytest\n@pytest.mark.needs('haproxi')\ndef test_it(): pass\n")

    assert result.returncode == 4
    assert "no program is named 'haproxi'" in result.stdout + result.stderr
