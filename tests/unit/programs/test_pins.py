"""The pins in code and the recipes in tools/ say the same."""

import json
import re
from pathlib import Path

import pytest

import stakewatch
from stakewatch.programs.pins import LODESTAR, PROGRAMS, GoBuild, Wheel
from stakewatch.programs.versions import version_key
from stakewatch.programs.workshop import Workshop, locked_requirement

CHECKOUT = Path(stakewatch.__file__).resolve().parent.parent
WORKSHOP = Workshop(CHECKOUT / "tools", CHECKOUT / ".tools")
GO_BUILDS = {
    program.source.folder: program.source
    for program in PROGRAMS.values()
    if isinstance(program.source, GoBuild)
}
# Prometheus' module carries 3.15.0 as v0.315.0 and 2.55.1 as v0.55.1.
MODULE_VERSIONS = {
    "prometheus": "github.com/prometheus/prometheus v0.315.0",
    "prometheus2": "github.com/prometheus/prometheus v0.55.1",
    "promql": "github.com/prometheus/prometheus v0.315.0",
    "ruleclock": "github.com/prometheus/prometheus v0.315.0",
    "alertmanager": "github.com/prometheus/alertmanager v0.31.1",
    "geth": "github.com/ethereum/go-ethereum v1.17.0",
    "kubeconform": "github.com/yannh/kubeconform v0.8.0",
    "loki": "github.com/grafana/loki/v3 v3.6.15",
}


def test_every_go_recipe_has_its_module_version_written_down() -> None:
    assert set(GO_BUILDS) == set(MODULE_VERSIONS)


@pytest.mark.parametrize("folder", sorted(MODULE_VERSIONS))
def test_a_recipe_requires_the_pinned_module(folder: str) -> None:
    text = (WORKSHOP.recipes / folder / "go.mod").read_text()

    assert re.search(
        rf"^(?:require |\t){re.escape(MODULE_VERSIONS[folder])}(?: // indirect)?$", text, re.MULTILINE
    )


@pytest.mark.parametrize("folder", sorted(MODULE_VERSIONS))
def test_a_recipe_builds_with_the_oldest_accepted_go_and_fetches_no_other(folder: str) -> None:
    text = (WORKSHOP.recipes / folder / "go.mod").read_text()

    go = PROGRAMS["go"].on_path
    assert go is not None
    (version,) = re.findall(r"^go (\S+)$", text, re.MULTILINE)
    assert version_key(version) <= version_key(go.accepted.minimum)
    assert not re.search(r"^toolchain ", text, re.MULTILINE)


@pytest.mark.parametrize("source", GO_BUILDS.values(), ids=GO_BUILDS)
def test_several_programs_of_one_build_are_named_like_their_packages(source: GoBuild) -> None:
    if len(source.packages) > 1:
        assert all(package.endswith(f"/{name}") for name, package in source.packages.items())


@pytest.mark.parametrize("source", GO_BUILDS.values(), ids=GO_BUILDS)
def test_each_program_of_a_build_is_known_by_a_name(source: GoBuild) -> None:
    named = {program.file_name for program in PROGRAMS.values() if program.source is source}

    assert named == set(source.packages)


def test_lodestar_is_pinned_to_the_same_version_in_both_places() -> None:
    package = json.loads((WORKSHOP.recipes / LODESTAR.folder / "package.json").read_text())

    assert package["dependencies"]["@chainsafe/lodestar"] == LODESTAR.version


@pytest.mark.parametrize("name", ["go", "node"])
def test_a_toolchain_is_pinned_by_hashes_to_an_accepted_version(name: str) -> None:
    program = PROGRAMS[name]
    assert isinstance(program.source, Wheel)
    assert program.on_path is not None
    requirement = locked_requirement(WORKSHOP, program.source.distribution)

    assert program.on_path.accepted.allows(requirement.split()[0].split("==")[1])
    # Linux on two architectures and macOS on two.
    assert requirement.count("--hash=sha256:") >= 4


@pytest.mark.parametrize("name", ["toolchains.lock", "lodestar/package-lock.json"])
def test_no_lock_names_an_address_of_a_registry(name: str) -> None:
    content = (WORKSHOP.recipes / name).read_text()

    assert '"resolved"' not in content
    # Not one option: those are where pip would read an address.
    assert not re.search(r"^-", content, re.MULTILINE)
