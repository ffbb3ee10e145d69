"""Questions: what promtool finds in a scenario when it is asked, by expectations that cannot be met."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from stakewatch.promql import print_duration
from stakewatch.rules import promtool
from stakewatch.rules.files import Group, rule_file_data
from stakewatch.rules.scenarios import Scenario

Labels: TypeAlias = frozenset[tuple[str, str]]

_TIMEOUT_SECONDS = 600.0
# A run is short: fewer rounds of the collector cost memory that is given back at once, and spare an eighth.
_ENVIRONMENT = MappingProxyType({"GOGC": "400"})
_IMPOSSIBLE = MappingProxyType({"labels": "stakewatch_probe", "value": 0})
_ANSWER = re.compile(
    r"^    expr: \"(?:[^\"\\]|\\.)*\", time: \S+?,"
    r"(?: err: .*|\n        exp: .*\n        got: (?P<got>.*))$",
    re.MULTILINE,
)
_BROKEN = re.compile(r"^    rule: (?P<name>.*?), time: (?P<time>\S+?), err: ", re.MULTILINE)
_LABEL = re.compile(r'(?P<name>[a-zA-Z_][\w:]*|"(?:[^"\\]|\\.)*")="(?P<value>(?:[^"\\]|\\.)*)"')
_SAMPLE = re.compile(r'(?:\A|, )\{(?P<labels>(?:[^"{}]|"(?:[^"\\]|\\.)*")*)\} (?P<value>[^,\s]*)')
# A text in quotes is passed over as a whole.
_NO_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')
_IN_YAML = {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}
_NOT_OF_THE_ALERT = frozenset({"__name__", "alertname", "alertstate"})


@dataclass(frozen=True)
class Sample:
    """A sample that promtool found; its value as it prints it, in full precision."""

    labels: Mapping[str, str]
    value: str


@dataclass(frozen=True)
class Reply:
    """The samples found by each question, in their order; None when promtool did not answer all.

    `broken` are the names of rules that cannot be evaluated in the scenario, `said` is how its output begins.
    """

    samples: tuple[tuple[Sample, ...], ...] | None
    broken: frozenset[str]
    said: str


def ask(
    folder: Path,
    scenario: Scenario,
    groups: Sequence[Sequence[Group]],
    questions: Sequence[tuple[float, str]],
    program: str,
) -> Reply:
    """Run a scenario on rules, one sequence of groups a file; return what expressions yield at times (s).

    Raises StakewatchError when promtool is missing or cannot be started.
    """
    asked = [
        {"eval_time": print_duration(time), "expr": expression, "exp_samples": [{**_IMPOSSIBLE}]}
        for time, expression in questions
    ]
    test = {**scenario.world, "promql_expr_test": asked}
    output = run_tests(folder, scenario, groups, [test], program).output
    answers = list(_ANSWER.finditer(output))
    said = " ".join(" ".join(output.strip().splitlines()[:3]).split())[:500]
    return Reply(
        samples=(
            tuple(parse_samples(answer["got"] or "") for answer in answers)
            if len(answers) == len(questions)
            else None
        ),
        broken=frozenset(match["name"] for match in _BROKEN.finditer(output)),
        said=said or "promtool said nothing",
    )


def run_tests(
    folder: Path,
    scenario: Scenario,
    groups: Sequence[Sequence[Group]],
    tests: Sequence[Mapping[str, Any]],
    program: str,
) -> promtool.Answer:
    """Run tests as of a scenario's file on other rules, one sequence of groups a file.

    Raises StakewatchError when promtool is missing or cannot be started.
    """
    paths = [folder / f"rules-{number}.yaml" for number in range(len(groups))]
    for path, some in zip(paths, groups, strict=True):
        _write(path, rule_file_data(some))
    content: dict[str, Any] = {
        "rule_files": [str(path) for path in paths],
        "evaluation_interval": print_duration(scenario.step_seconds),
        "group_eval_order": list(scenario.test_file.group_eval_order),
        "tests": [dict(test) for test in tests],
    }
    if scenario.test_file.is_fuzzy:
        # The older major refuses the mere word.
        content["fuzzy_compare"] = True
    path = folder / "asked.test.yaml"
    _write(path, content)
    return promtool.run(
        program, "test", "rules", path, timeout_seconds=_TIMEOUT_SECONDS, environment=_ENVIRONMENT
    )


def parse_samples(text: str) -> tuple[Sample, ...]:
    """Return the samples in promtool's `{a="1", b="2"} 1E+00, {a="2"} 3E+00`."""
    return tuple(Sample(parse_labels(sample["labels"]), sample["value"]) for sample in _SAMPLE.finditer(text))


def parse_labels(text: str) -> Mapping[str, str]:
    """Return the labels in promtool's `a="1", b="2"`."""
    return {_unquoted(label["name"]): _unquoted(f'"{label["value"]}"') for label in _LABEL.finditer(text)}


def identity(labels: Mapping[str, str]) -> Labels:
    """Return the labels of a sample of ALERTS that are the alert's own."""
    return frozenset((name, value) for name, value in labels.items() if name not in _NOT_OF_THE_ALERT)


def _unquoted(text: str) -> str:
    # Go and Python escape alike in what strconv.Quote prints.
    return str(ast.literal_eval(text)) if text.startswith('"') else text


def _write(path: Path, content: Mapping[str, Any]) -> None:
    # JSON is YAML, and quick to write; only what is no number or endless has another name there.
    text = json.dumps(content, default=str)
    path.write_text(_NO_NUMBER.sub(lambda found: _IN_YAML.get(found[0], found[0]), text), encoding="utf-8")
