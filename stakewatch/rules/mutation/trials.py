"""Trials: one run of promtool in which many mutants stand beside the rules of a test."""

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from stakewatch.rules.files import Group, Rule
from stakewatch.rules.mutation.dependencies import Place, RuleSet, copies
from stakewatch.rules.mutation.mutants import Mutant, Operator
from stakewatch.rules.questions import Labels, Reply, ask, identity, run_test
from stakewatch.rules.scenarios import Scenario
from stakewatch.rules.twins import unaware_of

_PREFIX = "stakewatch_mutant_"
_PATTERN = f"{_PREFIX}.*"
_FIRING = f'ALERTS{{alertname=~"{_PATTERN}", alertstate="firing"}}'
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
    reply, broken = _asked(scenario, beside, times, program)
    if reply.samples is None:
        return Trial(problem=reply.said)
    firing: dict[tuple[float, int, Place], Counter[Labels]] = {}
    for at, samples in zip(times, reply.samples, strict=True):
        for labels in samples:
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
) -> tuple[Reply, set[int]]:
    """Return the reply, and the candidates that were left out as nothing can evaluate them."""
    broken: set[int] = set()
    questions = [(at, _FIRING) for at in times]
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as name:
        while True:
            groups = _groups(scenario, _without(beside, broken), {})
            reply = ask(Path(name), scenario, groups, questions, program)
            newly = {
                int(copy["number"])
                for rule in reply.broken
                if (copy := _COPY.fullmatch(rule)) and copy["number"] != "plain"
            }
            if not newly - broken:
                return reply, broken
            broken |= newly


def fails(scenario: Scenario, place: Place, changed: Rule, program: str) -> bool:
    """Run a test as it is written on rules of which one is really changed, and tell whether it fails.

    This is what a person would see; annotations and asserted values count too, and so does not to end.
    Raises StakewatchError when promtool is missing.
    """
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as name:
        groups = _groups(scenario, {}, {place: changed})
        return run_test(Path(name), scenario, groups, scenario.written, program).code != 0


def _without(beside: Mapping[Place, Sequence[Rule]], broken: set[int]) -> dict[Place, list[Rule]]:
    gone = tuple(f"{_PREFIX}{number}_" for number in broken)
    return {
        place: [rule for rule in rules if not gone or not rule.name.startswith(gone)]
        for place, rules in beside.items()
    }


def _groups(
    scenario: Scenario, beside: Mapping[Place, Sequence[Rule]], instead: Mapping[Place, Rule]
) -> list[list[Group]]:
    """Return the groups of each rule file, with copies behind their places and rules instead of others."""
    files = []
    for rule_file in scenario.rule_files:
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
        files.append(groups)
    return files
