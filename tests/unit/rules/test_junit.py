"""JUnit: every test of both majors, what failed and why, and tests that test nothing."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stakewatch.bundle.checks import Finding
from stakewatch.errors import StakewatchError
from stakewatch.rules.junit import write_junit
from stakewatch.rules.promtool import Failure, Outcome
from stakewatch.rules.suite import SuiteOutcome

TESTS = """rule_files: [rules.yaml]
tests:
  - {name: fires, interval: 1m}
  - {interval: 1m}
"""


def written(tmp_path: Path, *failures: Failure, guarded: tuple[Finding, ...] = ()) -> ET.Element:
    path = tmp_path / "a.test.yaml"
    path.write_text(TESTS, encoding="utf-8")
    runs = (
        Outcome(path, "promtool", "3.15.0", failures, "", 0.25),
        Outcome(path, "promtool2", "2.55.1", (), "", 0.5),
    )
    outcome = SuiteOutcome(1, 2, 2, ("3.15.0", "2.55.1"), guarded, runs)
    write_junit(outcome, tmp_path / "junit.xml")
    return ET.fromstring((tmp_path / "junit.xml").read_text(encoding="utf-8"))  # noqa: S314 - our own file


def test_every_test_is_a_case_of_each_major(tmp_path: Path) -> None:
    root = written(tmp_path)
    assert [(one.get("name"), one.get("tests"), one.get("failures")) for one in root] == [
        ("a.test.yaml on promtool 3.15.0", "2", "0"),
        ("a.test.yaml on promtool 2.55.1", "2", "0"),
    ]
    assert [case.get("name") for case in root[0]] == ["fires", "line 4"]


def test_a_failure_stands_in_its_test_with_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "a.test.yaml"
    root = written(tmp_path, Failure(path, "A at 1m", test="fires", expected="this", got="that"))
    (failure,) = root.findall("testsuite/testcase[@name='fires']/failure")
    assert (failure.get("message"), failure.text) == ("A at 1m", "expected\nthis\ngot\nthat")
    assert root[0].get("failures") == "1"


def test_a_failure_of_no_test_is_a_case_of_its_own(tmp_path: Path) -> None:
    root = written(tmp_path, Failure(tmp_path / "a.test.yaml", "it crashed"))
    assert (root[0].get("tests"), root[0].get("failures")) == ("3", "1")


def test_tests_that_test_nothing_fail_with_the_mend(tmp_path: Path) -> None:
    root = written(tmp_path, guarded=(Finding(tmp_path / "a.test.yaml", 3, "hollow", "fill it"),))
    (failure,) = root.findall("testsuite[@name='tests that test nothing']/testcase/failure")
    assert (failure.get("message"), failure.text) == ("hollow", "fill it")


def test_what_xml_cannot_hold_is_replaced(tmp_path: Path) -> None:
    root = written(tmp_path, Failure(tmp_path / "a.test.yaml", "a\x00b\x1b<&", test="fires"))
    (failure,) = root.iter("failure")
    assert failure.get("message") == "a\ufffdb\ufffd<&"


def test_a_file_that_cannot_be_written_is_an_error_with_the_mend(tmp_path: Path) -> None:
    outcome = SuiteOutcome(0, 0, 0, ("3", "2"), (), ())
    with pytest.raises(StakewatchError, match="cannot be written"):
        write_junit(outcome, tmp_path / "no" / "such" / "folder.xml")
