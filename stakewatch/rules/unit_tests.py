"""Promtool test files, and the kinds of broken test in them that promtool lets pass."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.document import read_text
from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.errors import InputError
from stakewatch.promql import parse_duration
from stakewatch.rules.files import RuleFile, compose, entries, line_of, load_rule_file, scalar

_SUFFIXES = (".test.yaml", ".test.yml", "_test.yaml", "_test.yml", "-test.yaml", "-test.yml")
# As promtool's YAML 1.1 has it.
_YES = frozenset({"true", "yes", "on", "y"})
# Promtool's own default when a file says nothing.
_EVALUATION_INTERVAL_SECONDS = 60.0
_GLOB_SIGNS = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Case:
    """One assertion: an alert, or an expression when `alert` is None, at a time (text as written)."""

    at: str
    line: int
    alert: str | None = None


@dataclass(frozen=True)
class UnitTest:
    """One entry of `tests`; `name` and `interval` are None where they are not written."""

    line: int
    name: str | None
    interval: str | None
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class UnitTestFile:
    """One file of unit tests; `rule_files` are patterns relative to it, with their lines.

    Where `is_fuzzy`, promtool lets values differ in their last digits (`fuzzy_compare`, since Prometheus 3).
    """

    path: Path
    rule_files: tuple[tuple[str, int], ...]
    evaluation_interval_seconds: float
    group_eval_order: tuple[str, ...]
    group_eval_order_line: int
    is_fuzzy: bool
    tests: tuple[UnitTest, ...]

    def rule_paths(self, pattern: str) -> tuple[Path, ...]:
        """Return the files that a pattern of `rule_files` matches."""
        if not _GLOB_SIGNS.search(pattern):
            path = self.path.parent / pattern
            return (path.resolve(),) if path.is_file() else ()
        folder = Path(pattern).anchor or "."
        base = self.path.parent if folder == "." else Path(folder)
        inside = pattern.removeprefix(Path(pattern).anchor)
        up = 0
        while inside.startswith("../"):
            inside, up = inside[3:], up + 1
        for _ in range(up):
            base = base.resolve().parent
        return tuple(sorted(path.resolve() for path in base.glob(inside) if path.is_file()))


def unit_test_paths(folder: Path) -> tuple[Path, ...]:
    """Return the test files in a folder and its sub-folders by name.

    Raises InputError when there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.name.endswith(_SUFFIXES) and path.is_file())
    if not found:
        raise InputError(
            "no test files here",
            where=str(folder),
            mend="test files are named <rule file>.test.yaml; name their folder with --tests",
        )
    return tuple(found)


def load_unit_tests(path: Path) -> UnitTestFile:
    """Return the test file at `path`; series and expectations in it are not looked at.

    Raises InputError (file:line) when it cannot be read or is not built like a test file.
    """
    root = compose(read_text(path), path)
    if root is None:
        raise InputError("the file is empty", where=f"{path}:1", mend="write `rule_files:` and `tests:`")
    fields = entries(root, path, "the file")
    patterns = _list(fields.get("rule_files"), path, "rule_files")
    order = _list(fields.get("group_eval_order"), path, "group_eval_order")
    interval = fields.get("evaluation_interval")
    return UnitTestFile(
        path=path,
        rule_files=tuple((scalar(one, path, "rule_files"), line_of(one)) for one in patterns),
        evaluation_interval_seconds=(
            _seconds(interval[1], path, "evaluation_interval") if interval else _EVALUATION_INTERVAL_SECONDS
        ),
        group_eval_order=tuple(scalar(one, path, "group_eval_order") for one in order),
        group_eval_order_line=line_of(fields["group_eval_order"][0]) if order else 1,
        is_fuzzy="fuzzy_compare" in fields
        and scalar(fields["fuzzy_compare"][1], path, "fuzzy_compare").lower() in _YES,
        tests=tuple(_unit_test(one, path) for one in _list(fields.get("tests"), path, "tests")),
    )


def guard(test_file: UnitTestFile) -> Iterator[Finding]:
    """Yield what is wrong with a test file although promtool would call it a success.

    Raises InputError when a rule file that it names is broken.
    """
    rule_files: list[RuleFile] = []
    for pattern, line in test_file.rule_files:
        paths = test_file.rule_paths(pattern)
        rule_files += [load_rule_file(path) for path in paths]
        if not paths:
            yield Finding(
                test_file.path,
                line,
                f"no file matches {quoted(pattern)}, so every test of silence passes",
                f"mend the path; it is relative to {test_file.path.parent.name}/",
            )
    if not test_file.rule_files:
        yield Finding(test_file.path, 1, "it names no rule_files, so it tests nothing", "name the rule files")
    if not test_file.tests:
        yield Finding(test_file.path, 1, "it has no tests", "add some, or remove the file")
    yield from _guard_groups(test_file, rule_files)
    yield from _guard_names(test_file)
    alerts = sorted({rule.name for rule_file in rule_files for rule in rule_file.alerts})
    for test in test_file.tests:
        yield from _guard_test(test, test_file, alerts)


def unsaid(test_file: UnitTestFile) -> Iterator[Finding]:
    """Yield the tests without a name, and those that do not say of each alert whether it fires.

    Promtool compares only the alerts that a test names, so one that fires beside them goes unseen.
    Raises InputError when a rule file that it names is broken.
    """
    paths = {path for pattern, _ in test_file.rule_files for path in test_file.rule_paths(pattern)}
    alerts = {rule.name for path in sorted(paths) for rule in load_rule_file(path).alerts}
    for test in test_file.tests:
        if test.name is None:
            message = "a test without a name cannot be told from others in a report"
            yield Finding(test_file.path, test.line, message, "give it a `name` that is a sentence")
        missing = sorted(alerts - {case.alert for case in test.cases})
        if missing and any(case.alert for case in test.cases):
            yield Finding(
                test_file.path,
                test.line,
                f"the test {_title(test)} does not say whether {', '.join(missing)} fires",
                "list it with the alerts expected, or with none",
            )


def _guard_groups(test_file: UnitTestFile, rule_files: list[RuleFile]) -> Iterator[Finding]:
    groups = [group.name for rule_file in rule_files for group in rule_file.groups]
    order = test_file.group_eval_order
    missing = [name for name in dict.fromkeys(groups) if name not in order]
    if len(groups) > 1 and missing:
        yield Finding(
            test_file.path,
            test_file.group_eval_order_line,
            f"{len(groups)} groups run in random order: group_eval_order misses {', '.join(missing)}",
            "list all groups in group_eval_order",
        )
    for name in order:
        if groups and name not in groups:
            mend = did_you_mean(name, groups, "the groups are")
            message = f"group_eval_order names {quoted(name)}, which is no group of the rule files"
            yield Finding(test_file.path, test_file.group_eval_order_line, message, mend)


def _guard_names(test_file: UnitTestFile) -> Iterator[Finding]:
    counts = Counter(test.name for test in test_file.tests)
    for test in test_file.tests:
        if test.name is not None and counts[test.name] > 1:
            message = f"{counts[test.name]} tests are named {_title(test)}"
            yield Finding(test_file.path, test.line, message, "say what is different about each")


def _guard_test(test: UnitTest, test_file: UnitTestFile, alerts: list[str]) -> Iterator[Finding]:
    if test.interval is None:
        yield Finding(
            test_file.path,
            test.line,
            f"the test {_title(test)} has no interval, which versions of promtool fill in differently",
            "write `interval: 30s`, or what the samples stand apart",
        )
    if not test.cases:
        message = f"the test {_title(test)} asserts nothing"
        yield Finding(test_file.path, test.line, message, "add alert_rule_test or promql_expr_test")
    step = test_file.evaluation_interval_seconds
    for case in test.cases:
        if case.alert is not None and alerts and case.alert not in alerts:
            message = f"no alert is named {quoted(case.alert)}, so a test of its silence always passes"
            mend = did_you_mean(case.alert, alerts, "the alerts are")
            yield Finding(test_file.path, case.line, message, mend)
        try:
            seconds = parse_duration(case.at)
        except InputError as error:
            yield Finding(test_file.path, case.line, f"eval_time: {error.what}", error.mend or "mend it")
            continue
        if case.alert is not None and step > 0 and round(seconds * 1000) % round(step * 1000):
            message = f"eval_time {case.at} lies between two evaluations, so the one before is tested"
            yield Finding(test_file.path, case.line, message, f"use a multiple of {step:g} s")


def _title(test: UnitTest) -> str:
    return quoted(test.name) if test.name else f"in line {test.line}"


def _unit_test(node: yaml.Node, path: Path) -> UnitTest:
    fields = entries(node, path, "a test")
    name = fields.get("name")
    interval = fields.get("interval")
    cases = [
        *(
            _case(one, path, "alertname")
            for one in _list(fields.get("alert_rule_test"), path, "alert_rule_test")
        ),
        *(_case(one, path, None) for one in _list(fields.get("promql_expr_test"), path, "promql_expr_test")),
    ]
    return UnitTest(
        line=line_of(node),
        name=scalar(name[1], path, "name") if name else None,
        interval=scalar(interval[1], path, "interval") if interval else None,
        cases=tuple(cases),
    )


def _case(node: yaml.Node, path: Path, subject: str | None) -> Case:
    fields = entries(node, path, "an assertion")
    at = scalar(fields["eval_time"][1], path, "eval_time") if "eval_time" in fields else "0s"
    alert = scalar(fields[subject][1], path, subject) if subject and subject in fields else None
    return Case(at=at, line=line_of(node), alert=(alert or "") if subject else None)


def _list(field: tuple[yaml.Node, yaml.Node] | None, path: Path, what: str) -> list[yaml.Node]:
    if field is None or field[1].tag == "tag:yaml.org,2002:null":
        return []
    if not isinstance(field[1], yaml.SequenceNode):
        raise InputError(
            f"{what} must be a list", where=f"{path}:{line_of(field[1])}", mend="start each entry with `- `"
        )
    return list(field[1].value)


def _seconds(node: yaml.Node, path: Path, what: str) -> float:
    try:
        return parse_duration(scalar(node, path, what))
    except InputError as error:
        raise InputError(f"{what}: {error.what}", where=f"{path}:{line_of(node)}", mend=error.mend) from error
