"""A program on PATH is taken in an accepted version only, and a missing one says how to get it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stakewatch.errors import InputError, StakewatchError
from stakewatch.programs.find import locate, search_for
from stakewatch.programs.pins import PROMQL, find_program
from stakewatch.programs.workshop import Stamp, Workshop, inputs_hash, products_of, sizes_of, write_stamp

Script = Callable[..., Path]


def _says(name: str, version: str) -> str:
    return f"echo '{name}, version {version} (branch: HEAD, revision: x)'"


def _build_promql(workshop: Workshop) -> Path:
    path = workshop.binaries / "stakewatch-promql"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"program")
    sizes = sizes_of(products_of(workshop, PROMQL))
    write_stamp(workshop, PROMQL, Stamp(inputs_hash(workshop, PROMQL), "go 1.26.8", sizes))
    return path


def test_an_accepted_program_on_path_is_taken(script: Script, workshop: Workshop) -> None:
    path = script("promtool", _says("promtool", "3.5.0"))

    located = locate("promtool", workshop)

    assert (located.path, located.version, located.origin) == (path, "3.5.0", "PATH")


def test_the_first_acceptable_of_several_is_taken(
    script: Script, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path_folder: Path
) -> None:
    script("promtool", _says("promtool", "2.42.0"))
    newer = script("promtool", _says("promtool", "3.6.0"), tmp_path / "newer")
    monkeypatch.setenv("PATH", os.pathsep.join([str(path_folder), str(newer.parent)]))

    assert locate("promtool", workshop).path == newer


def test_an_older_promtool_serves_as_the_second_major(script: Script, workshop: Workshop) -> None:
    path = script("promtool", _says("promtool", "2.53.0"))

    assert locate("promtool2", workshop).path == path


def test_a_refused_version_is_named_with_what_is_accepted(script: Script, workshop: Workshop) -> None:
    path = script("promtool", _says("promtool", "2.42.0"))

    with pytest.raises(StakewatchError) as caught:
        locate("promtool", workshop)

    assert f"PATH has 2.42.0 ({path}), accepted is 3.5 or newer, older than 4" in str(caught.value)
    assert "stakewatch tools --install promtool" in str(caught.value)


def test_another_program_of_the_same_name_is_refused(script: Script, workshop: Workshop) -> None:
    script("prometheus", "echo 'Prometheus the film, version 3.5'")

    assert search_for(find_program("prometheus"), workshop).located is None


@pytest.mark.usefixtures("path_folder")
def test_a_missing_package_is_named() -> None:
    with pytest.raises(StakewatchError, match="apt-get install haproxy"):
        locate("haproxy")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="promtool2"):
        locate("promtol")


def test_a_file_that_cannot_be_run_is_passed_over(script: Script, workshop: Workshop) -> None:
    script("promtool", _says("promtool", "3.5.0")).chmod(0o644)

    assert search_for(find_program("promtool"), workshop).located is None


def test_a_program_in_the_current_folder_is_not_run_for_an_empty_path_entry(
    script: Script, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = script("promtool", _says("promtool", "3.5.0"), tmp_path / "stranger")
    monkeypatch.chdir(trap.parent)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "bin"]))

    assert search_for(find_program("promtool"), workshop).located is None


@pytest.mark.usefixtures("path_folder")
def test_what_was_built_here_is_found(workshop: Workshop) -> None:
    path = _build_promql(workshop)

    located = locate("promql", workshop)

    assert (located.path, located.origin) == (path, "built here")


@pytest.mark.usefixtures("path_folder")
def test_what_was_built_of_other_sources_is_not_taken(workshop: Workshop) -> None:
    _build_promql(workshop)
    (workshop.recipes / "promql" / "main.go").write_text("package main // changed\n")

    with pytest.raises(StakewatchError, match="out of date"):
        locate("promql", workshop)


@pytest.mark.usefixtures("path_folder")
def test_a_product_that_was_cut_off_is_not_taken(workshop: Workshop) -> None:
    _build_promql(workshop).write_bytes(b"prog")

    with pytest.raises(StakewatchError, match="out of date"):
        locate("promql", workshop)


@pytest.mark.usefixtures("path_folder")
def test_a_broken_recipe_is_a_remark_and_not_a_crash(workshop: Workshop) -> None:
    _build_promql(workshop)
    (workshop.recipes / "promql" / "go.sum").unlink()

    with pytest.raises(StakewatchError, match=r"no go\.sum"):
        locate("promql", workshop)
