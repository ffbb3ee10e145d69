"""`build`, `check`, `report` and `config` from the command line."""

import json
import math
from pathlib import Path

import pytest

from stakewatch.bundle import build as building
from stakewatch.bundle import checks, targets
from stakewatch.bundle.checks import Finding
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, write_report
from stakewatch.errors import StakewatchError
from tests.unit.cli.conftest import Run

EXAMPLE = Path(__file__).parents[3] / "stakewatch.example.yaml"


@pytest.fixture(autouse=True)
def _empty_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_REGISTRY", {})
    monkeypatch.setattr(checks, "_REGISTRY", {})
    monkeypatch.setattr(building, "import_from_rooms", lambda _: ())
    monkeypatch.setattr(checks, "import_from_rooms", lambda _: ())


@pytest.fixture
def network_target() -> None:
    """Register a target that writes the configured network."""

    @targets.target("network", "the network's name")
    def _render(_bundle: Bundle, configuration: Configuration, folder: Path) -> None:
        (folder / "network").write_text(configuration.network)


def figures(bundle: Path, value: float) -> None:
    report = Report(report="bench", revision="r", seconds=1, figures=(Figure("x", value, "s", "<= 2"),))
    write_report(report, Bundle(bundle).reports)


@pytest.mark.usefixtures("network_target")
def test_build_uses_the_bundles_stakewatch_yaml_and_says_what_changed(run: Run, bundle: Path) -> None:
    (bundle / "stakewatch.yaml").write_text("network: sepolia\n")
    assert "1 files, changed" in run("build", "--bundle", bundle).out
    assert (bundle / "build" / "network" / "network").read_text() == "sepolia"
    assert "unchanged" in run("build", "--bundle", bundle, "network").out


@pytest.mark.usefixtures("network_target")
def test_build_takes_another_configuration_and_prints_json(run: Run, bundle: Path) -> None:
    (bundle / "other.yaml").write_text("network: hoodi\n")
    answer = run("build", "--bundle", bundle / "rules", "--config", bundle / "other.yaml", "--json")
    (built,) = json.loads(answer.out)
    assert (built["target"], built["files"], built["changed"]) == ("network", 1, True)
    assert (Path(built["folder"]) / "network").read_text() == "hoodi"


@pytest.mark.usefixtures("network_target")
@pytest.mark.parametrize("command", ["build", "check"])
def test_a_wrong_configuration_is_exit_code_2_and_builds_nothing(
    run: Run, bundle: Path, command: str
) -> None:
    (bundle / "stakewatch.yaml").write_text("netwrok: hoodi\n")
    answer = run(command, "--bundle", bundle)
    assert answer.code == 2
    assert f"{bundle}/stakewatch.yaml:1: unknown key" in answer.err
    assert "did you mean network?" in answer.err
    assert not (bundle / "build").exists()


def test_outside_a_bundle_there_is_a_message(run: Run, tmp_path: Path) -> None:
    answer = run("check", "--bundle", tmp_path)
    assert answer.code == 2
    assert "no bundle folder here" in answer.err


def test_a_bundle_that_can_be_no_folder_is_an_input_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for folder in (tmp_path / "loop", "x" * 5000):
        answer = run("build", "--bundle", folder)
        assert answer.code == 2
        assert "cannot be the bundle's folder" in answer.err


@pytest.mark.usefixtures("network_target")
def test_build_lists_its_targets_without_building(run: Run, bundle: Path) -> None:
    assert "the network's name" in run("build", "--list", "--bundle", bundle).out
    listed = json.loads(run("build", "--list", "--json").out)
    assert listed == [{"target": "network", "describes": "the network's name"}]
    assert run("build", "--list", "netwrk").code == 2


def test_check_prints_place_check_message_and_mend_and_exits_1(run: Run, bundle: Path) -> None:
    @checks.check("rules/a", "what a finds")
    def _run(found: Bundle, _configuration: Configuration) -> tuple[Finding, ...]:
        path = found.rules / "[a].yaml"
        return (Finding(path=path, line=3, column=7, message="wrong " * 50, mend="mend it"),)

    answer = run("check", "--bundle", bundle)
    assert answer.code == 1
    first, second, last = answer.out.splitlines()
    assert first.startswith("rules/[a].yaml:3:7: rules/a: wrong wrong")
    assert second == "  mend it"
    assert last == "1 checks, 1 findings; failed: rules/a"
    (outcome,) = json.loads(run("check", "--bundle", bundle, "--json").out)
    assert outcome["findings"][0]["line"] == 3
    assert not outcome["passed"]


def test_check_exits_1_when_a_check_cannot_be_carried_out(run: Run, bundle: Path) -> None:
    @checks.check("rules/a", "what a finds")
    def _run(_bundle: Bundle, _configuration: Configuration) -> tuple[Finding, ...]:
        raise StakewatchError("promtool is missing", mend="make tools")

    answer = run("check", "--bundle", bundle)
    assert answer.code == 1
    assert "rules/a could not be carried out: promtool is missing\n  make tools" in answer.out


def test_check_without_findings_exits_0(run: Run, bundle: Path) -> None:
    @checks.check("rules/a", "what a finds")
    def _run(_bundle: Bundle, _configuration: Configuration) -> tuple[Finding, ...]:
        return ()

    answer = run("check", "--bundle", bundle)
    assert (answer.code, answer.out) == (0, "1 checks, 0 findings\n")
    assert json.loads(run("check", "--list", "--json").out) == [
        {"check": "rules/a", "describes": "what a finds"}
    ]


@pytest.mark.parametrize(("value", "code", "word"), [(1.0, 0, "holds"), (3.0, 1, "MISSED")])
def test_report_exits_1_when_a_bar_does_not_hold(
    run: Run, bundle: Path, value: float, code: int, word: str
) -> None:
    figures(bundle, value)
    answer = run("report", "--bundle", bundle)
    assert answer.code == code
    assert "bench.x" in answer.out
    assert word in answer.out
    (report,) = json.loads(run("report", "--bundle", bundle, "--json").out)
    assert report["holds"] is (code == 0)


def test_what_was_not_measured_is_null_in_json(run: Run, bundle: Path) -> None:
    figures(bundle, math.nan)
    answer = run("report", "--bundle", bundle, "--json")
    assert answer.code == 1
    (report,) = json.loads(answer.out, parse_constant=pytest.fail)
    assert report["figures"][0]["value"] is None


def test_report_shows_the_sound_reports_beside_a_broken_one_and_exits_1(run: Run, bundle: Path) -> None:
    figures(bundle, 1)
    broken = bundle / "build" / "reports" / "broken.json"
    broken.write_text('{"report":')
    answer = run("report", "--bundle", bundle)
    assert answer.code == 1
    assert "bench.x" in answer.out
    assert f"{broken}: no report" in answer.err


def test_report_without_reports_says_what_makes_one(run: Run, bundle: Path) -> None:
    answer = run("report", "--bundle", bundle)
    assert answer.code == 1
    assert "there are no reports yet" in answer.err


def test_config_prints_what_the_example_comes_to(run: Run) -> None:
    answer = run("config", EXAMPLE)
    assert answer.code == 0
    words = ("network hoodi", "execution-2", "eu-central-1", "client=lighthouse", "threshold: 0.9")
    for word in (*words, "from signer-1"):
        assert word in answer.out


def test_config_prints_everything_as_json(run: Run) -> None:
    data = json.loads(run("config", EXAMPLE, "--json").out)
    assert data["groups"][2] == {
        "name": "retired",
        "validator_client": "validators-2",
        "keys": ["77"],
        "labels": {},
        "fee_recipients": [],
        "enabled": False,
        "source": None,
        "signers": [],
    }


def test_config_takes_stakewatch_yaml_of_the_current_folder(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    assert "stakewatch.yaml: no such file" in run("config").err
    (bundle / "stakewatch.yaml").write_text("network: sepolia\n")
    assert "network sepolia" in run("config").out


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("NodeMemoryHih: {threshold: 0.9}", "no alert has this name"),
        ("Watchdog: {threshold: 3}", "no threshold that may be tuned"),
    ],
)
def test_config_holds_overrides_against_the_rules(run: Run, tmp_path: Path, override: str, what: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"overrides:\n  {override}\n", encoding="utf-8")
    answer = run("config", file)
    assert answer.code == 2
    assert f"{file}:2: overrides." in answer.err
    assert what in answer.err


def test_config_finds_the_bundle_from_a_folder_in_it(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle / "stakewatch.yaml").write_text("network: hoodi\n", encoding="utf-8")
    monkeypatch.chdir(bundle / "rules")
    answer = run("config")
    assert (answer.code, answer.out.splitlines()[0]) == (0, "network hoodi")


def test_config_prints_the_schema(run: Run) -> None:
    assert json.loads(run("config", "--schema").out)["title"] == "stakewatch.yaml"
