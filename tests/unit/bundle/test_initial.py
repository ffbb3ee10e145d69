"""The bundle that the package carries."""

import tomllib
from pathlib import Path

import pytest

from stakewatch.bundle.folder import find_bundle
from stakewatch.bundle.initial import CONTENTS, carried_bundle, copy_bundle
from stakewatch.errors import InputError

ROOT = Path(__file__).parents[3]


def test_the_copy_is_a_bundle_with_everything_in_it(tmp_path: Path) -> None:
    made = list(copy_bundle(tmp_path / "new"))
    assert [path.relative_to(tmp_path / "new").as_posix() for path in made] == list(CONTENTS)
    bundle = find_bundle(tmp_path / "new")
    source = carried_bundle()
    assert {path.name for path in bundle.rules.iterdir()} == {
        path.name for path in (source / "rules").iterdir()
    }
    assert not list((tmp_path / "new").rglob("__pycache__"))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "rules"
    mine.mkdir()
    (mine / "mine.yaml").write_text("groups: []\n", encoding="utf-8")
    with pytest.raises(InputError, match="is there already"):
        list(copy_bundle(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["rules"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="not a folder"):
        list(copy_bundle(file))


def test_the_wheel_carries_what_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {name: f"stakewatch/carried/{name}" for name in CONTENTS}.items() <= carried.items()
