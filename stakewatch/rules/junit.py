"""JUnit: what a run of the suite came to, as the XML that build servers show."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET  # written, never read

from stakewatch.errors import StakewatchError
from stakewatch.rules.promtool import Failure, Outcome
from stakewatch.rules.suite import SuiteOutcome
from stakewatch.rules.unit_tests import load_unit_tests

# What XML 1.0 cannot hold.
_CONTROL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(outcome: SuiteOutcome, path: Path) -> None:
    """Write one suite for each test file and major, and one for tests that test nothing.

    Raises StakewatchError when the file cannot be written.
    """
    root = ET.Element("testsuites", name="stakewatch test")
    for run in outcome.runs:
        _of_run(root, run)
    if outcome.guarded:
        suite = ET.SubElement(root, "testsuite", name="tests that test nothing")
        for finding in outcome.guarded:
            place = f"{finding.path.name}:{finding.line}"
            case = ET.SubElement(suite, "testcase", name=place, classname=finding.path.name)
            _failure(case, finding.message, finding.mend)
        _count(suite, len(outcome.guarded), len(outcome.guarded))
    ET.indent(root)
    try:
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise StakewatchError(
            f"the JUnit file cannot be written: {error.strerror}", where=str(path), mend="name another file"
        ) from error


def _of_run(root: ET.Element, run: Outcome) -> None:
    name = f"{run.path.name} on promtool {run.version}"
    suite = ET.SubElement(root, "testsuite", name=name, time=f"{run.seconds:.3f}")
    tests = load_unit_tests(run.path).tests
    titles = [test.name or f"line {test.line}" for test in tests]
    loose = [failure for failure in run.failures if failure.test not in titles]
    failed = 0
    for title in titles:
        case = ET.SubElement(suite, "testcase", name=_clean(title), classname=run.path.stem)
        own = [failure for failure in run.failures if failure.test == title]
        failed += bool(own)
        for failure in own:
            _failure(case, failure.message, _details(failure))
    for failure in loose:
        case = ET.SubElement(suite, "testcase", name="promtool", classname=run.path.stem)
        _failure(case, failure.message, _details(failure))
    _count(suite, len(titles) + len(loose), failed + len(loose))


def _details(failure: Failure) -> str:
    if failure.expected is None and failure.got is None:
        return failure.message
    return f"expected\n{failure.expected}\ngot\n{failure.got}"


def _failure(case: ET.Element, message: str, details: str) -> None:
    element = ET.SubElement(case, "failure", message=_clean(message))
    element.text = _clean(details)


def _count(suite: ET.Element, tests: int, failures: int) -> None:
    suite.set("tests", str(tests))
    suite.set("failures", str(failures))
    suite.set("errors", "0")


def _clean(text: str) -> str:
    return _CONTROL.sub("�", text)
