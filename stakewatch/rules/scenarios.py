"""Scenarios: the tests of promtool test files as input series and the times at which alerts are looked at."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from stakewatch.bundle.document import read_text
from stakewatch.errors import InputError
from stakewatch.promql import parse_duration
from stakewatch.rules.files import RuleFile, files_with, load_rule_file
from stakewatch.rules.unit_tests import UnitTestFile, load_unit_tests

if TYPE_CHECKING or not yaml.__with_libyaml__:
    from yaml import SafeLoader as _Loader
else:
    from yaml import CSafeLoader as _Loader

_SUFFIXES = (".yaml", ".yml")
_MERGE = "tag:yaml.org,2002:merge"
_DEFAULT_STEP_SECONDS = 60.0
# An expression of which a test asserts the values at a time (s).
Asserted: TypeAlias = tuple[float, str]

_KEPT = ("interval", "input_series", "external_labels", "external_url", "start_timestamp")


@dataclass(frozen=True)
class Scenario:
    """One test: `world` is what is given (as written, all scalars text), `looks` what is asserted of alerts.

    In `written` the values of `exp_samples` are numbers: promtool takes no text for them.

    `looks` maps each alert's name to the seconds of its assertions, each taken back to the evaluation that
    promtool compares. `title` is the test's name, or its place where it has none; `written` is all of it.
    `end_seconds` is the last evaluation at which anything is asserted.
    """

    test_file: UnitTestFile
    rule_files: tuple[RuleFile, ...]
    title: str
    name: str | None
    line: int
    step_seconds: float
    world: Mapping[str, Any]
    looks: Mapping[str, tuple[float, ...]]
    end_seconds: float
    written: Mapping[str, Any]

    @property
    def fires(self) -> frozenset[str]:
        """The alerts that the test expects to fire at some time."""
        return frozenset(
            str(case.get("alertname"))
            for case in self.written.get("alert_rule_test") or ()
            if case.get("exp_alerts")
        )

    @property
    def asserted(self) -> tuple[Asserted, ...]:
        """The expressions of which the test asserts values, each with its time (s)."""
        return tuple(
            (parse_duration(str(case.get("eval_time") or "0s")), str(case.get("expr", "")))
            for case in self.written.get("promql_expr_test") or ()
        )


class _TextLoader(_Loader):
    """Reads every scalar as the text that was written, so that it can be written back unchanged."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the name and form are PyYAML's
        first: [one for one in resolvers if one[0] == _MERGE]
        for first, resolvers in _Loader.yaml_implicit_resolvers.items()
    }


def find_rule_files(place: Path) -> tuple[RuleFile, ...]:
    """Return the rule files of a folder and its sub-folders, or the one file; known by their `groups`.

    Raises InputError when there is none, or one is broken.
    """
    found = tuple(load_rule_file(path) for path in files_with(place, "groups"))
    if not found:
        raise InputError("no rule files here", where=str(place), mend="name their folder with --rules")
    return found


def find_scenarios(place: Path) -> tuple[Scenario, ...]:
    """Return every test of a folder and its sub-folders, or of the one file; known by its `tests`.

    Raises InputError when there is none, or a test file or a rule file that it names is broken.
    """
    loaded: dict[Path, RuleFile] = {}
    found: list[Scenario] = []
    for path in files_with(place, "tests"):
        found += _scenarios(path, loaded)
    if not found:
        raise InputError("no tests of rules here", where=str(place), mend="name their folder with --tests")
    return tuple(found)


def _scenarios(path: Path, loaded: dict[Path, RuleFile]) -> Iterator[Scenario]:
    test_file = load_unit_tests(path)
    rule_paths = {one for pattern, _ in test_file.rule_files for one in test_file.rule_paths(pattern)}
    for rule_path in rule_paths:
        if rule_path not in loaded:
            loaded[rule_path] = load_rule_file(rule_path)
    rule_files = tuple(loaded[rule_path] for rule_path in sorted(rule_paths))
    # The loader only makes texts, lists and mappings of what `load_unit_tests` has accepted.
    content = yaml.load(read_text(path), Loader=_TextLoader)  # noqa: S506 - derived from SafeLoader
    step = test_file.evaluation_interval_seconds or _DEFAULT_STEP_SECONDS
    for test, written in zip(test_file.tests, content["tests"] or (), strict=True):
        _count_samples(written)
        looks: dict[str, list[float]] = {}
        end = 0.0
        for case in test.cases:
            at = _seconds(case.at, step, path, case.line)
            end = max(end, at)
            if case.alert:
                looks.setdefault(case.alert, []).append(at)
        yield Scenario(
            test_file=test_file,
            rule_files=rule_files,
            title=test.name or f"{path.name}:{test.line}",
            name=test.name,
            line=test.line,
            step_seconds=step,
            world={key: written[key] for key in _KEPT if written.get(key)},
            looks={alert: tuple(sorted(set(times))) for alert, times in looks.items()},
            end_seconds=end,
            written=written,
        )


def _count_samples(written: Mapping[str, Any]) -> None:
    """Make numbers of the values that a test asserts of expressions; what is none is promtool's to refuse."""
    for case in written.get("promql_expr_test") or ():
        for sample in case.get("exp_samples") or ():
            # In YAML what is no number and what is endless begin with a dot.
            text = str(sample.get("value")).lower().replace(".nan", "nan").replace(".inf", "inf")
            with suppress(ValueError):
                sample["value"] = float(text)


def _seconds(at: str, step: float, path: Path, line: int) -> float:
    try:
        # In whole milliseconds, as Prometheus counts.
        return round(parse_duration(at) * 1000) // round(step * 1000) * round(step * 1000) / 1000
    except InputError as error:
        raise InputError(f"eval_time: {error.what}", where=f"{path}:{line}", mend=error.mend) from error
