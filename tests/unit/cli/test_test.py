"""`stakewatch test` from the command line, on outcomes made by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stakewatch.bundle.checks import Finding
from stakewatch.cli import test as module
from stakewatch.rules.promtool import Failure, Outcome
from stakewatch.rules.suite import SuiteOutcome
from tests.unit.cli.conftest import Run

FILE = Path("tests/rules/beacon.test.yaml")
FAILURE = Failure(
    FILE,
    "BeaconNodeDown at 2m is not what is expected",
    line=7,
    alert="BeaconNodeDown",
    test="fires after two minutes",
    at="2m",
    expected="[0: Labels]",
    got="[]",
)
HOLLOW = Finding(FILE, 3, "no rule is named BeaconNodeDwn", "did you mean BeaconNodeDown?")

Suite = Callable[..., list[tuple[Path, Path]]]


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return a function that sets what the suite comes to; what it gets back are the folders asked for."""

    def come_to(
        on_three: tuple[Failure, ...] = (),
        on_two: tuple[Failure, ...] = (),
        guarded: tuple[Finding, ...] = (),
    ) -> list[tuple[Path, Path]]:
        asked: list[tuple[Path, Path]] = []

        def run_suite(rules: Path, tests: Path, report: Callable[[int, int], None]) -> SuiteOutcome:
            asked.append((rules, tests))
            report(2, 2)
            runs = (
                Outcome(FILE, "promtool", "3.15.0", on_three, "", 0.1),
                Outcome(FILE, "promtool2", "2.55.1", on_two, "", 0.1),
            )
            return SuiteOutcome(1, 4, 9, ("3.15.0", "2.55.1"), guarded, runs)

        monkeypatch.setattr(module, "run_suite", run_suite)
        return asked

    return come_to


def test_a_suite_that_passes_is_said_in_one_line(run: Run, suite: Suite, bundle: Path) -> None:
    asked = suite()
    answer = run("test", "--bundle", bundle)
    assert answer.code == 0
    assert answer.out == "1 files, 4 tests, 9 assertions on promtool 3.15.0 and 2.55.1: passed\n"
    assert asked == [(bundle / "rules", bundle / "tests" / "rules")]


def test_any_folders_can_be_named(run: Run, suite: Suite, tmp_path: Path) -> None:
    asked = suite()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "proofs").mkdir()
    assert run("test", "--rules", tmp_path / "theirs", "--tests", tmp_path / "proofs").code == 0
    assert asked == [(tmp_path / "theirs", tmp_path / "proofs")]


def test_a_failure_on_one_major_alone_is_a_failure(run: Run, suite: Suite, bundle: Path) -> None:
    suite(on_two=(FAILURE,))
    answer = run("test", "--bundle", bundle)
    assert answer.code == 1
    assert "1 failures" in answer.out
    row = next(line for line in answer.out.splitlines() if f"{FILE}:7" in line)
    assert "2.55.1" in row
    assert "3.15.0" not in row
    assert "fires after two minutes" in row
    assert "expected [0: Labels]" in answer.out
    assert "got      []" in answer.out


def test_a_path_that_is_not_there_is_an_error_before_anything_runs(
    run: Run, suite: Suite, tmp_path: Path
) -> None:
    asked = suite()
    assert run("test", "--rules", tmp_path / "none", "--tests", tmp_path).code == 2
    assert asked == []


def test_alerts_that_differ_are_a_table_of_labels(run: Run, suite: Suite, bundle: Path) -> None:
    expected = 'Labels:{alertname="A", instance="a", severity="critical"}\nAnnotations:{summary="s"}'
    got = expected.replace("critical", "warning")
    suite(on_three=(Failure(FILE, "A at 2m", expected=expected, got=got),))
    out = run("test", "--bundle", bundle).out
    assert [line.split() for line in out.splitlines()[1:3]] == [
        ["alert", "label", "expected", "got"],
        ["instance=a", "severity", "critical", "warning"],
    ]


def test_a_failure_on_both_majors_is_one_row(run: Run, suite: Suite, bundle: Path) -> None:
    suite(on_three=(FAILURE,), on_two=(FAILURE,))
    answer = run("test", "--bundle", bundle)
    assert answer.code == 1
    assert "3.15.0, 2.55.1" in answer.out
    assert answer.out.count("is not what is expected") == 1


def test_a_message_without_two_sides_is_printed_alone(run: Run, suite: Suite, bundle: Path) -> None:
    suite(on_three=(Failure(FILE, "it cannot be read"),))
    answer = run("test", "--bundle", bundle)
    assert "it cannot be read" in answer.out
    assert "expected" not in answer.out


def test_a_test_that_tests_nothing_is_a_failure_with_its_mend(run: Run, suite: Suite, bundle: Path) -> None:
    suite(guarded=(HOLLOW,))
    answer = run("test", "--bundle", bundle)
    assert answer.code == 1
    assert f"{FILE}:3: no rule is named BeaconNodeDwn\n  did you mean BeaconNodeDown?\n" in answer.out


def test_json_says_all_of_it_with_the_same_exit_code(run: Run, suite: Suite, bundle: Path) -> None:
    suite(on_two=(FAILURE,), guarded=(HOLLOW,))
    answer = run("test", "--bundle", bundle, "--json")
    assert answer.code == 1
    data = json.loads(answer.out)
    assert (data["passed"], data["tests"], data["promtool"]) == (False, 4, ["3.15.0", "2.55.1"])
    (failure,) = data["failures"]
    assert (failure["promtool"], failure["path"], failure["line"]) == ("2.55.1", str(FILE), 7)
    assert (failure["expected"], failure["got"], failure["at"]) == ("[0: Labels]", "[]", "2m")
    assert data["hollow"][0]["mend"] == "did you mean BeaconNodeDown?"
