"""The bundle that the package carries."""

import posixpath
import re
import tomllib
from pathlib import Path

import pytest

from stakewatch.bundle.folder import find_bundle
from stakewatch.bundle.initial import CONTENTS, bring_bundle, carried_bundle, carried_files
from stakewatch.bundle.merging import ORIGIN_FILE, Fate
from stakewatch.errors import InputError

ROOT = Path(__file__).parents[3]


def test_the_copy_is_a_bundle_with_everything_in_it(tmp_path: Path) -> None:
    steps = bring_bundle(tmp_path / "new")
    assert {step.fate for step in steps} == {Fate.ADDED}
    bundle = find_bundle(tmp_path / "new")
    source = carried_bundle()
    assert {path.name for path in bundle.rules.iterdir()} == {
        path.name for path in (source / "rules").iterdir()
    }
    assert all((tmp_path / "new" / name).exists() for name in CONTENTS)
    assert not list((tmp_path / "new").rglob("__pycache__"))


def test_nothing_of_a_strangers_folder_is_touched(tmp_path: Path) -> None:
    mine = tmp_path / "rules"
    mine.mkdir()
    (mine / "mine.yaml").write_text("groups: []\n", encoding="utf-8")
    with pytest.raises(InputError, match="is there already"):
        bring_bundle(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rules"]


def test_who_says_so_gets_the_bundle_into_a_folder_of_their_own(tmp_path: Path) -> None:
    mine = tmp_path / "rules"
    mine.mkdir()
    (mine / "beacon.yaml").write_text("groups: []\n", encoding="utf-8")
    steps = {step.path: step for step in bring_bundle(tmp_path, into_others=True)}
    assert steps["rules/beacon.yaml"].fate is Fate.CONFLICT
    assert (mine / "beacon.yaml").read_text(encoding="utf-8") == "groups: []\n"
    assert (mine / "beacon.yaml.new").read_bytes() == (ROOT / "rules" / "beacon.yaml").read_bytes()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    steps = bring_bundle(tmp_path / "new", dry=True)
    assert len(steps) == len(carried_files(carried_bundle()))
    assert list(tmp_path.iterdir()) == []


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    bring_bundle(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert {step.fate for step in bring_bundle(tmp_path)} == {Fate.UNCHANGED}
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} <= {ORIGIN_FILE}
    assert set(before) == set(after)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="not a folder"):
        bring_bundle(file)


def test_the_wheel_carries_what_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {name: f"stakewatch/carried/{name}" for name in CONTENTS}.items() <= carried.items()


def test_no_page_of_the_copy_leads_to_one_that_is_not_in_it() -> None:
    files = carried_files(carried_bundle())
    dead = [
        f"{name}: {link}"
        for name, path in files.items()
        if path.suffix == ".md"
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        if posixpath.normpath(posixpath.join(posixpath.dirname(name), link)) not in files
    ]
    assert dead == []
