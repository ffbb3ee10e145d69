"""Finding what registers itself in the rooms."""

import sys
from pathlib import Path

import pytest

import stakewatch
from stakewatch.bundle.rooms import import_from_rooms
from stakewatch.errors import StakewatchError


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "attic"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.setattr(stakewatch, "__path__", [str(tmp_path)])
    for name in ("stakewatch.attic", "stakewatch.attic.checks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def test_a_room_that_has_the_module_is_imported_and_one_without_is_passed_over(room: Path) -> None:
    assert import_from_rooms("checks") == ()
    (room / "checks.py").write_text("FOUND = True\n")
    sys.path_importer_cache.clear()
    assert import_from_rooms("checks") == ("stakewatch.attic.checks",)
    assert sys.modules["stakewatch.attic.checks"].FOUND


def test_a_package_that_is_not_installed_is_named_with_the_way_to_install_it(room: Path) -> None:
    (room / "checks.py").write_text("import surely_not_installed\n")
    sys.path_importer_cache.clear()
    with pytest.raises(
        StakewatchError, match=r"(?s)attic needs the package surely_not_installed.*pip install"
    ):
        import_from_rooms("checks")


def test_a_missing_module_of_our_own_is_our_mistake_and_not_the_users(room: Path) -> None:
    (room / "checks.py").write_text("import stakewatch.attic.nowhere\n")
    sys.path_importer_cache.clear()
    with pytest.raises(ModuleNotFoundError):
        import_from_rooms("checks")


def test_the_catalogues_checks_are_found_in_the_real_package() -> None:
    assert "stakewatch.catalogue.checks" in import_from_rooms("checks")
