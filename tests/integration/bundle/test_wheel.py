"""The built wheel, installed where there is no checkout: what a newcomer gets."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from stakewatch.bundle.merging import ORIGIN_FILE

REPOSITORY = Path(__file__).parents[3]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def stakewatch(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Install the wheel into an environment of its own; return a function that runs its command line.

    What it depends on, and the programs that are built already, are those of this environment.
    """
    folder = tmp_path_factory.mktemp("clean")
    hatchling: list[str | Path] = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        folder / "dist",
    ]
    subprocess.run(hatchling, cwd=REPOSITORY, check=True, capture_output=True, timeout=120)
    (wheel,) = (folder / "dist").glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=120)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    install = [*pip, "install", "--no-index", "--no-deps", "--no-compile", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    # Python does not follow the .pth files of a folder that is named in one: the checkout stays out of sight.
    (installed,) = environment.glob("lib/python*/site-packages")
    (installed / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (folder / "cache" / "stakewatch").mkdir(parents=True)
    (folder / "cache" / "stakewatch" / "tools").symlink_to(REPOSITORY / ".tools")
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}

    def run(*arguments: str | Path, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [environment / "bin" / "stakewatch", *arguments]
        return subprocess.run(
            command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.fixture(scope="module")
def mine(stakewatch: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the installed command line has copied the bundle into."""
    folder = tmp_path_factory.mktemp("home") / "mine"
    answer = stakewatch("init", folder)
    assert answer.returncode == 0, answer.stderr
    return folder


def test_the_installed_bundle_is_that_of_the_wheel_and_not_of_the_checkout(
    stakewatch: Run, mine: Path
) -> None:
    answer = stakewatch("tools", "--json", cwd=mine)
    assert answer.returncode == 0, answer.stderr
    assert str(REPOSITORY / "tools") not in answer.stdout
    origin = json.loads((mine / ORIGIN_FILE).read_text(encoding="utf-8"))
    assert "rules/beacon.yaml" in origin["files"]
    assert "nothing to do" in stakewatch("init", mine).stdout


def test_the_copied_bundle_is_built_as_the_checkout_is(stakewatch: Run, mine: Path) -> None:
    answer = stakewatch("build", "--json", cwd=mine)
    assert answer.returncode == 0, answer.stderr
    built = {one["target"]: one["files"] for one in json.loads(answer.stdout)}
    assert {"rules", "dashboards", "prometheus", "kubernetes"} <= set(built)
    assert all(built[name] for name in ("rules", "dashboards", "prometheus", "kubernetes"))
    # What is built is nobody's change of the bundle.
    assert "nothing to do" in stakewatch("init", mine).stdout


def test_the_copied_bundle_passes_every_check(stakewatch: Run, mine: Path) -> None:
    answer = stakewatch("check", cwd=mine)
    assert answer.returncode == 0, answer.stdout + answer.stderr
