"""The registry of checks and its runner."""

from pathlib import Path

import pytest

from stakewatch.bundle import checks as checking
from stakewatch.bundle.checks import Finding
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError, StakewatchError


@pytest.fixture(autouse=True)
def _empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_REGISTRY", {})
    monkeypatch.setattr(checking, "import_from_rooms", lambda _: ())


def register(name: str, *findings: Finding, error: Exception | None = None) -> None:
    @checking.check(name, "a check of the test")
    def _run(_bundle: Bundle, _configuration: Configuration) -> tuple[Finding, ...]:
        if error is not None:
            raise error
        return findings


def finding(line: int, path: str = "a.yaml") -> Finding:
    return Finding(path=Path(path), line=line, message="wrong", mend="mend it")


def run(*names: str) -> tuple[checking.Outcome, ...]:
    return checking.run_checks(Bundle(Path()), Configuration(), names)


def test_findings_come_in_the_order_of_files_and_lines() -> None:
    register("rules/a", finding(3), finding(1), finding(2, "0.yaml"))
    (outcome,) = run()
    assert [(str(one.path), one.line) for one in outcome.findings] == [
        ("0.yaml", 2),
        ("a.yaml", 1),
        ("a.yaml", 3),
    ]
    assert not outcome.passed


def test_a_check_without_findings_passes() -> None:
    register("rules/a")
    assert run()[0].passed


def test_a_check_that_cannot_be_carried_out_fails_and_the_others_still_run() -> None:
    register("rules/a", error=StakewatchError("no promtool"))
    register("rules/b", finding(1))
    first, second = run()
    assert str(first.error) == "no promtool"
    assert not first.passed
    assert len(second.findings) == 1


def test_a_check_that_cannot_read_a_file_says_which_and_the_others_still_run() -> None:
    register("rules/a", error=IsADirectoryError(21, "Is a directory", "rules/a.yaml"))
    register("rules/b", finding(1))
    first, second = run()
    assert "rules/a.yaml: cannot be read or written: Is a directory" in str(first.error)
    assert len(second.findings) == 1


def test_a_mistake_of_ours_in_a_check_is_not_swallowed() -> None:
    register("rules/a", error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        run()


def test_a_rooms_name_stands_for_all_its_checks_but_not_for_its_namesakes() -> None:
    for name in ("rules/a", "rules/b", "rules-other/a"):
        register(name)
    assert [outcome.check.name for outcome in run("rules")] == ["rules/a", "rules/b"]
    assert [outcome.check.name for outcome in run("rules/b", "rules")] == ["rules/a", "rules/b"]


def test_an_unknown_check_is_an_input_error_with_the_nearest_name() -> None:
    register("rules/links")
    with pytest.raises(InputError, match="did you mean rules/links"):
        run("rules/link")


def test_two_checks_of_one_name_are_refused() -> None:
    register("rules/a")
    with pytest.raises(ValueError, match="two checks"):
        register("rules/a")
