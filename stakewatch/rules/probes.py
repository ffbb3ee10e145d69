"""Probes: what promtool finds when it is asked, by expectations that cannot be met, what there is."""

import ast
import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import locate
from stakewatch.promql import print_duration
from stakewatch.rules.files import Rule, RuleFile, print_rule_file
from stakewatch.rules.scenarios import Scenario
from stakewatch.rules.twins import Twin, candidates, unaware_of

Labels: TypeAlias = frozenset[tuple[str, str]]

_TIMEOUT_SECONDS = 600.0
_PREFIX = "stakewatch_twin_"
_PATTERN = f"{_PREFIX}[0-9]+"
_FIRING = f'ALERTS{{alertname=~"{_PATTERN}", alertstate="firing"}}'
_IMPOSSIBLE = MappingProxyType({"labels": "stakewatch_probe", "value": 0})
ANSWER = re.compile(
    r"^    expr: \"(?:[^\"\\]|\\.)*\", time: \S+?,"
    r"(?: err: .*|\n        exp: .*\n        got: (?P<got>.*))$",
    re.MULTILINE,
)
BROKEN = re.compile(r"^    rule: (?P<name>.*?), time: (?P<time>\S+?), err: ", re.MULTILINE)
_LABEL = re.compile(r'(?P<name>[a-zA-Z_][\w:]*|"(?:[^"\\]|\\.)*")="(?P<value>(?:[^"\\]|\\.)*)"')
_SAMPLE = re.compile(r'(?:\A|, )\{(?P<labels>(?:[^"{}]|"(?:[^"\\]|\\.)*")*)\} ')
_NOT_OF_THE_ALERT = frozenset({"__name__", "alertname", "alertstate"})


@dataclass(frozen=True)
class Probed:
    """One alert of a scenario by its place among the rules of its file; of its twins the copy is first."""

    path: Path
    position: int
    rule: Rule
    twins: tuple[Twin, ...]


@dataclass(frozen=True)
class Answers:
    """What happened in a scenario.

    `firing` maps seconds and a twin (position of the alert, of the twin) to how often labels fired;
    `instances` maps seconds and an alert's position to the labels that could fire. `broken` are the twins
    that Prometheus could not evaluate. `problem` says why the scenario could not be probed at all.
    """

    firing: Mapping[tuple[float, int, int], Counter[Labels]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    instances: Mapping[tuple[float, int], frozenset[Labels]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    broken: frozenset[tuple[int, int]] = frozenset()
    problem: str | None = None


def probe(scenario: Scenario, probed: Sequence[Probed], program: str) -> Answers:
    """Run a scenario with the twins of its alerts beside them, and return what fired when it was looked.

    `program` is the major of promtool to run it with.
    A twin that breaks the evaluation is left out and the scenario run again.
    Raises StakewatchError when promtool is missing or cannot be started.
    """
    names = {
        f"{_PREFIX}{number}": key
        for number, key in enumerate(
            (alert, twin) for alert, one in enumerate(probed) for twin in range(len(one.twins))
        )
    }
    times = sorted({time for one in probed for time in scenario.looks[one.rule.name]})
    asked = [
        (time, alert, candidates(one.rule.expression))
        for alert, one in enumerate(probed)
        for time in scenario.looks[one.rule.name]
    ]
    questions = [(time, _FIRING) for time in times] + [(time, expression) for time, _, expression in asked]
    broken: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as name:
        folder = Path(name)
        while True:
            kept = {twin: key for twin, key in names.items() if twin not in broken}
            output = _run(_written(folder, scenario, probed, kept, questions), program)
            newly = {match["name"] for match in BROKEN.finditer(output)}
            if not newly or not newly <= kept.keys():
                break
            broken |= newly
    answers = list(ANSWER.finditer(output))
    if newly or len(answers) != len(questions):
        said = output.strip().splitlines()
        return Answers(problem=" ".join(" ".join(said[:3]).split())[:500] or "promtool said nothing")
    firing: dict[tuple[float, int, int], Counter[Labels]] = {}
    for time, answer in zip(times, answers, strict=False):
        for labels in parse_samples(answer["got"] or ""):
            key = (time, *names[labels["alertname"]])
            firing.setdefault(key, Counter())[identity(labels)] += 1
    return Answers(
        firing=firing,
        instances={
            (time, alert): frozenset(identity(labels) for labels in parse_samples(answer["got"] or ""))
            for (time, alert, _), answer in zip(asked, answers[len(times) :], strict=True)
        },
        broken=frozenset(names[one] for one in broken),
    )


def parse_samples(text: str) -> tuple[Mapping[str, str], ...]:
    """Return the labels of each sample in promtool's `{a="1", b="2"} 1E+00, {a="2"} 3E+00`."""
    return tuple(parse_labels(sample["labels"]) for sample in _SAMPLE.finditer(text))


def parse_labels(text: str) -> Mapping[str, str]:
    """Return the labels in promtool's `a="1", b="2"`."""
    return {_unquoted(label["name"]): _unquoted(f'"{label["value"]}"') for label in _LABEL.finditer(text)}


def identity(labels: Mapping[str, str]) -> Labels:
    """Return the labels of a sample of ALERTS that are the alert's own."""
    return frozenset((name, value) for name, value in labels.items() if name not in _NOT_OF_THE_ALERT)


def _unquoted(text: str) -> str:
    # Go and Python escape alike in what strconv.Quote prints.
    return str(ast.literal_eval(text)) if text.startswith('"') else text


def _written(
    folder: Path,
    scenario: Scenario,
    probed: Sequence[Probed],
    names: Mapping[str, tuple[int, int]],
    questions: Sequence[tuple[float, str]],
) -> Path:
    """Write the rule files with twins and the test that asks; return the path of the test."""
    of_alert: dict[int, list[Rule]] = {}
    for name, (alert, twin) in names.items():
        of_alert.setdefault(alert, []).append(replace(probed[alert].twins[twin].rule, alert=name))
    beside = {id(one.rule): of_alert.get(alert, []) for alert, one in enumerate(probed)}
    paths = []
    alerts_are_read = any(map(_reads_alerts, chain(*(one.rules for one in scenario.rule_files))))
    for number, rule_file in enumerate(scenario.rule_files):
        path = folder / f"rules-{number}.yaml"
        path.write_text(_with_twins(rule_file, beside, alerts_are_read=alerts_are_read), encoding="utf-8")
        paths.append(str(path))
    content = {
        "rule_files": paths,
        "evaluation_interval": print_duration(scenario.step_seconds),
        "group_eval_order": list(scenario.test_file.group_eval_order),
        "tests": [
            {
                **scenario.world,
                "promql_expr_test": [
                    {"eval_time": print_duration(time), "expr": expression, "exp_samples": [{**_IMPOSSIBLE}]}
                    for time, expression in questions
                ],
            }
        ],
    }
    test = folder / "probe.test.yaml"
    # JSON is YAML, and quick to write.
    test.write_text(json.dumps(content), encoding="utf-8")
    return test


def _reads_alerts(rule: Rule) -> bool:
    return any("ALERTS" in text for text in (rule.expression, *rule.labels.values()))


def _with_twins(rule_file: RuleFile, beside: Mapping[int, Sequence[Rule]], *, alerts_are_read: bool) -> str:
    """Return the rule file with twins; alerts themselves stay only where another rule may read them."""
    groups = [
        replace(
            group,
            rules=tuple(
                replace(
                    each,
                    expression=unaware_of(each.expression, _PATTERN),
                    annotations=MappingProxyType({}),
                )
                for rule in group.rules
                for each in (rule, *beside.get(id(rule), ()))
                if alerts_are_read or each is not rule or rule.record is not None
            ),
        )
        for group in rule_file.groups
    ]
    return print_rule_file(groups)


def _run(test: Path, program: str) -> str:
    located = locate(program)
    try:
        done = subprocess.run(
            [located.path, "test", "rules", test],
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return f"{program} did not end within {_TIMEOUT_SECONDS:g} s and was stopped"
    except OSError as error:
        raise StakewatchError(
            f"{program} cannot be started: {error}",
            where=str(located.path),
            mend=f"`stakewatch tools --install {program}` builds it again",
        ) from error
    return (done.stdout + done.stderr).decode(errors="replace")
