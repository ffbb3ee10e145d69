"""Trials: one run of promtool in which many mutants stand beside the rules of a test."""

import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import locate
from stakewatch.promql import print_duration
from stakewatch.rules.files import Rule, rule_file_data
from stakewatch.rules.mutation.dependencies import Place, RuleSet, copies
from stakewatch.rules.mutation.mutants import Mutant, Operator
from stakewatch.rules.probes import ANSWER, BROKEN, Labels, identity, parse_samples
from stakewatch.rules.scenarios import Scenario
from stakewatch.rules.twins import unaware_of

_TIMEOUT_SECONDS = 600.0
_PREFIX = "stakewatch_mutant_"
_PATTERN = f"{_PREFIX}.*"
_FIRING = f'ALERTS{{alertname=~"{_PATTERN}", alertstate="firing"}}'
_IMPOSSIBLE = MappingProxyType({"labels": "stakewatch_probe", "value": 0})
_PLAIN, _NOBODY = -1, -2
_COPY = re.compile(rf"{_PREFIX}(?P<number>\d+|plain)_\d+(?::record)?")


@dataclass(frozen=True)
class Candidate:
    """A mutant in one scenario: the place of its rule, the rules below to copy, the alerts that can tell."""

    mutant: Mutant
    place: Place
    wanted: frozenset[Place]
    telling: frozenset[Place]


@dataclass(frozen=True)
class Trial:
    """Which candidates the scenario noticed, by their position; `problem` says why it could not be run."""

    noticed: frozenset[int] = frozenset()
    problem: str | None = None


def run_trial(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
    """Run a scenario with the mutants beside its rules, and return which make an alert fire otherwise.

    An alert fires otherwise when the labels of what fires differ at a time at which the test looks at it; a
    mutant that Prometheus cannot evaluate in it is noticed too.
    Raises StakewatchError when promtool is missing.
    """
    telling = sorted({place for one in candidates for place in one.telling})
    beside, watched = _beside(rules, candidates, telling)
    times = sorted({at for place in telling for at in scenario.looks[rules.rules[place].name]})
    output, broken = _asked(scenario, beside, times, program)
    answers = list(ANSWER.finditer(output))
    if len(answers) != len(times):
        said = output.strip().splitlines()
        return Trial(problem=" ".join(" ".join(said[:3]).split())[:500] or "promtool said nothing")
    firing: dict[tuple[float, int, Place], Counter[Labels]] = {}
    for at, answer in zip(times, answers, strict=True):
        for labels in parse_samples(answer["got"] or ""):
            key = (at, *watched[labels["alertname"]])
            firing.setdefault(key, Counter())[identity(labels)] += 1
    nothing: Counter[Labels] = Counter()
    noticed = set(broken)
    for number, candidate in enumerate(candidates):
        # promtool compares every annotation of what fires, so a test in which it fires notices a missing one.
        other = _NOBODY if candidate.mutant.operator is Operator.ANNOTATION else number
        if any(
            firing.get((at, other, place), nothing) != firing.get((at, _PLAIN, place), nothing)
            for place in candidate.telling
            for at in scenario.looks[rules.rules[place].name]
        ):
            noticed.add(number)
    return Trial(noticed=frozenset(noticed))


def _beside(
    rules: RuleSet, candidates: Sequence[Candidate], telling: Sequence[Place]
) -> tuple[dict[Place, list[Rule]], dict[str, tuple[int, Place]]]:
    """Return the copies behind each place, and of each alert among them the candidate and what it copies."""
    beside: dict[Place, list[Rule]] = {}
    watched: dict[str, tuple[int, Place]] = {}
    for number, place in enumerate(telling):
        name = f"{_PREFIX}plain_{number}"
        plain = replace(rules.rules[place], alert=name, annotations=MappingProxyType({}))
        beside.setdefault(place, []).append(plain)
        watched[name] = (_PLAIN, place)
    for number, candidate in enumerate(candidates):
        if candidate.mutant.operator is Operator.ANNOTATION:
            continue
        made = copies(rules, candidate.place, candidate.mutant.rule, candidate.wanted, f"{_PREFIX}{number}")
        for place, rule in made.items():
            beside.setdefault(place, []).append(rule)
            if rule.alert is not None:
                watched[rule.alert] = (number, place)
    return beside, watched


def _asked(
    scenario: Scenario, beside: Mapping[Place, Sequence[Rule]], times: Sequence[float], program: str
) -> tuple[str, set[int]]:
    """Return what promtool says, and the candidates that were left out as nothing can evaluate them."""
    broken: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as name:
        while True:
            test = _written(Path(name), scenario, _without(beside, broken), times)
            output = _run(test, program)
            newly = {
                int(copy["number"])
                for match in BROKEN.finditer(output)
                if (copy := _COPY.fullmatch(match["name"])) and copy["number"] != "plain"
            }
            if not newly - broken:
                return output, broken
            broken |= newly


def fails(scenario: Scenario, place: Place, changed: Rule, program: str) -> bool:
    """Run a test as it is written on rules of which one is really changed, and tell whether it fails.

    This is what a person would see; annotations and asserted values count too.
    Raises StakewatchError when promtool is missing.
    """
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as name:
        folder = Path(name)
        content = {
            "rule_files": _write_rules(folder, scenario, {}, {place: changed}),
            "evaluation_interval": print_duration(scenario.step_seconds),
            "group_eval_order": list(scenario.test_file.group_eval_order),
            "tests": [dict(scenario.written)],
        }
        test = folder / "mutant.test.yaml"
        test.write_text(json.dumps(content), encoding="utf-8")
        return _exit_code(test, program) != 0


def _without(beside: Mapping[Place, Sequence[Rule]], broken: set[int]) -> dict[Place, list[Rule]]:
    gone = tuple(f"{_PREFIX}{number}_" for number in broken)
    return {
        place: [rule for rule in rules if not gone or not rule.name.startswith(gone)]
        for place, rules in beside.items()
    }


def _written(
    folder: Path, scenario: Scenario, beside: Mapping[Place, Sequence[Rule]], times: Sequence[float]
) -> Path:
    content = {
        "rule_files": _write_rules(folder, scenario, beside, {}),
        "evaluation_interval": print_duration(scenario.step_seconds),
        "group_eval_order": list(scenario.test_file.group_eval_order),
        "tests": [
            {
                **scenario.world,
                "promql_expr_test": [
                    {"eval_time": print_duration(at), "expr": _FIRING, "exp_samples": [{**_IMPOSSIBLE}]}
                    for at in times
                ],
            }
        ],
    }
    test = folder / "trial.test.yaml"
    # JSON is YAML, and quick to write.
    test.write_text(json.dumps(content), encoding="utf-8")
    return test


def _write_rules(
    folder: Path,
    scenario: Scenario,
    beside: Mapping[Place, Sequence[Rule]],
    instead: Mapping[Place, Rule],
) -> list[str]:
    paths = []
    for number, rule_file in enumerate(scenario.rule_files):
        position = 0
        groups = []
        for group in rule_file.groups:
            kept: list[Rule] = []
            for rule in group.rules:
                place = (rule_file.path, position)
                kept.append(instead.get(place, rule))
                kept += beside.get(place, ())
                position += 1
            if beside:
                kept = [replace(one, expression=unaware_of(one.expression, _PATTERN)) for one in kept]
            groups.append(replace(group, rules=tuple(kept)))
        path = folder / f"rules-{number}.yaml"
        path.write_text(json.dumps(rule_file_data(groups), default=str), encoding="utf-8")
        paths.append(str(path))
    return paths


def _run(test: Path, program: str) -> str:
    done = _promtool(test, program)
    return "" if done is None else (done.stdout + done.stderr).decode(errors="replace")


def _exit_code(test: Path, program: str) -> int:
    done = _promtool(test, program)
    # A mutant that never ends would be noticed as well.
    return 1 if done is None else done.returncode


def _promtool(test: Path, program: str) -> subprocess.CompletedProcess[bytes] | None:
    located = locate(program)
    try:
        return subprocess.run(
            [located.path, "test", "rules", test],
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return None
    except OSError as error:
        raise StakewatchError(
            f"{program} cannot be started: {error}",
            where=str(located.path),
            mend=f"`stakewatch tools --install {program}` builds it again",
        ) from error
