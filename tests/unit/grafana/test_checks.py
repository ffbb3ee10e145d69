"""The registered checks, the build target and the command, on a copy of the real bundle."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.configuration import Configuration, Urls
from stakewatch.bundle.folder import Bundle
from stakewatch.cli.dashboards import command
from stakewatch.errors import StakewatchError
from stakewatch.grafana import checks, extra
from stakewatch.grafana.targets import dashboards

CHECKS: tuple[Callable[[Bundle, Configuration], Iterable[Finding]], ...] = (
    checks.round_trip,
    checks.lint,
    checks.catalogue,
    checks.generated_files,
)


def findings(run: Callable[[Bundle, Configuration], Iterable[Finding]], bundle: Bundle) -> list[Finding]:
    return list(run(bundle, Configuration()))


def edit(bundle: Bundle, before: str, after: str, name: str = "geth_node.py") -> None:
    path = bundle.dashboards / name
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.mark.parametrize("run", CHECKS, ids=lambda run: run.__name__)
def test_our_own_boards_pass(
    run: Callable[[Bundle, Configuration], Iterable[Finding]], bundle: Bundle
) -> None:
    assert findings(run, bundle) == []


def test_a_series_that_nobody_exposes_is_found_at_the_panels_line(bundle: Bundle) -> None:
    edit(bundle, '"chain_head_receipt"', '"chain_head_recipe"')
    (finding,) = findings(checks.catalogue, bundle)
    assert "exposes chain_head_recipe" in finding.message
    line = finding.path.read_text(encoding="utf-8").splitlines()[finding.line - 1]
    assert 'title="Head block"' in line


def test_a_panel_without_description_is_found(bundle: Bundle) -> None:
    edit(bundle, 'description="Connected peers. ', 'description="" and "')
    (finding,) = findings(checks.lint, bundle)
    assert finding.message == "Peers: the panel has no description (panel-description)"


def test_an_unknown_colour_mode_is_found_by_the_models(bundle: Bundle) -> None:
    edit(bundle, 'draw="bars"', 'draw="bar"')
    found = findings(checks.round_trip, bundle)
    assert found
    assert all("'bar' is not one of 'line', 'bars', 'points'" in finding.message for finding in found)


def test_two_boards_of_one_address_are_found(bundle: Bundle) -> None:
    text = (bundle.dashboards / "geth_node.py").read_text(encoding="utf-8")
    (bundle.dashboards / "second.py").write_text(text, encoding="utf-8")
    messages = [finding.message for finding in findings(checks.lint, bundle)]
    assert any("the uid geth_node is that of geth_node.py too" in message for message in messages)
    assert any("is not the module's name" in message for message in messages)


def test_a_generated_file_that_was_edited_is_found(bundle: Bundle) -> None:
    edit(bundle, '"Geth node"', '"Geth"', "json/geth_node.json")
    (finding,) = findings(checks.generated_files, bundle)
    assert finding.path.name == "geth_node.json"
    assert "stakewatch dashboards" in finding.mend


def test_the_generated_files_do_not_depend_on_the_users_settings(bundle: Bundle) -> None:
    configuration = Configuration(urls=Urls(runbooks="https://wiki.example"))
    assert list(checks.generated_files(bundle, configuration)) == []


def test_the_build_target_writes_the_users_addresses(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    dashboards(bundle, Configuration(urls=Urls(runbooks="https://wiki.example")), folder)
    assert {path.stem for path in folder.iterdir()} == {path.stem for path in bundle.dashboards.glob("*.py")}
    path = folder / "geth_node.json"
    assert json.loads(path.read_text(encoding="utf-8"))["uid"] == "geth_node"
    assert "https://wiki.example/ExecutionPeersLow" in path.read_text(encoding="utf-8")


def test_without_the_extra_every_entrance_says_what_to_install(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("grafanalib_that_is_missing",))
    for run in CHECKS:
        with pytest.raises(StakewatchError, match=r"stakewatch\[dashboards\]"):
            findings(run, bundle)
    with pytest.raises(StakewatchError, match=r"stakewatch\[dashboards\]"):
        dashboards(bundle, Configuration(), tmp_path)


@pytest.fixture
def runner(bundle: Bundle) -> Callable[..., tuple[int, str]]:
    """Give a function that runs the command on the copy and returns its exit code and output."""

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, ["--bundle", str(bundle.root), *arguments])
        return result.exit_code, result.output

    return run


def test_the_command_writes_what_differs_and_says_so(
    bundle: Bundle, runner: Callable[..., tuple[int, str]]
) -> None:
    committed = bundle.dashboards / "json" / "geth_node.json"
    before = committed.read_text(encoding="utf-8")
    committed.write_text("{}", encoding="utf-8")
    code, output = runner()
    assert code == 0
    assert "geth_node.json  written" in output
    assert committed.read_text(encoding="utf-8") == before
    code, output = runner()
    assert "written" not in output


def test_the_command_only_checks_when_told_and_fails_on_a_difference(
    bundle: Bundle, runner: Callable[..., tuple[int, str]]
) -> None:
    assert runner("--check")[0] == 0
    committed = bundle.dashboards / "json" / "geth_node.json"
    committed.write_text("{}", encoding="utf-8")
    (bundle.dashboards / "json" / "left.json").write_text("{}", encoding="utf-8")
    code, output = runner("--check")
    assert code == 1
    assert "geth_node.json is not what its module makes" in output
    assert "left.json is made by no module" in output
    assert committed.read_text(encoding="utf-8") == "{}"
