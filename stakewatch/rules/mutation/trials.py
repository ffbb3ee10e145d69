"""Trials: one run of promtool in which many mutants stand beside the rules of a test."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from stakewatch.promql import print_duration
from stakewatch.promql.tree import NAME_LABEL
from stakewatch.rules.files import Group, Rule
from stakewatch.rules.mutation.dependencies import Place, RuleSet, copies, placed, read_names, renamed
from stakewatch.rules.mutation.mutants import Mutant, Operator
from stakewatch.rules.questions import Labels, Reply, Sample, ask, identity, run_tests
from stakewatch.rules.scenarios import Asserted, Scenario
from stakewatch.rules.twins import unaware_of

_PREFIX = "stakewatch_mutant_"
_PATTERN = f"{_PREFIX}.*"
_FIRING = f'ALERTS{{alertname=~"{_PATTERN}", alertstate="firing"}}'
_VALUES = f'{{__name__=~"{_PATTERN}:value"}}'
_DIFFERS = ":differs"
_PLAIN, _NOBODY = -1, -2
_COPY = re.compile(rf"{_PREFIX}(?P<number>\d+|plain)_\d+(?::record|:value|{_DIFFERS})?")


# What a test looks at: an alert, or an expression of which it asserts values.
Sight: TypeAlias = Place | str


@dataclass(frozen=True)
class Candidate:
    """A mutant in one scenario: the place of its rule, the rules below to copy, and what can tell.

    That are alerts and assertions of values. With `at` (s) alerts are looked at only then, else whenever the
    scenario does.
    """

    mutant: Mutant
    place: Place
    wanted: frozenset[Place]
    telling: frozenset[Place]
    asserted: frozenset[Asserted] = frozenset()
    at: float | None = None

    def looks(self, scenario: Scenario, rules: RuleSet) -> Iterator[tuple[float, Place]]:
        """Yield when to look at which alert."""
        for place in self.telling:
            for at in scenario.looks[rules.rules[place].name]:
                if self.at is None or at == self.at:
                    yield at, place

    def sights(self, scenario: Scenario, rules: RuleSet) -> Iterator[tuple[float, Sight]]:
        """Yield when to look at what."""
        yield from self.looks(scenario, rules)
        yield from self.asserted


@dataclass(frozen=True)
class Trial:
    """Which candidates the scenario noticed, by their position; `problem` says why it could not be run.

    `by` has what was otherwise, each with when it first was (s).
    """

    noticed: frozenset[int] = frozenset()
    by: Mapping[int, Mapping[Sight, float]] = field(default_factory=lambda: MappingProxyType({}))
    problem: str | None = None


def run_difference_trial(
    scenario: Scenario, rules: RuleSet, changed: Sequence[tuple[Place, Rule]], program: str
) -> Trial:
    """Run a scenario with changed rules beside the real ones; return which of them ever yield otherwise.

    Of what records or fires the same at every step nothing else in the test can differ. One that cannot be
    evaluated differs too. Raises StakewatchError when promtool is missing.
    """
    beside = {
        place: [_named(rules.rules[place], f"{_PREFIX}plain_{number}")]
        for number, place in enumerate(sorted({place for place, _ in changed}))
    }
    for number, (place, rule) in enumerate(changed):
        # Both may read what the rule itself leads to: as long as they agree, it is what either would lead to.
        one, other = _named(rule, f"{_PREFIX}{number}_0"), beside[place][0]
        differs = Rule(record=f"{_PREFIX}{number}_0{_DIFFERS}", expression=f"count({_otherwise(one, other)})")
        beside[place] += [one, differs]
    read = (place for _, rule in changed for place in rules.read_by(rule.expression))
    groups = partial(_groups, scenario, beside, rules.decisive((*beside, *read)))
    # A range leaves out where it begins, and the first step is to be part of it.
    span = print_duration(scenario.end_seconds + scenario.step_seconds)
    ever = f'last_over_time({{__name__=~"{_PATTERN}{_DIFFERS}"}}[{span}])'
    reply, broken = _asked(scenario, groups, [(scenario.end_seconds, ever)], program)
    if reply.samples is None:
        return Trial(problem=reply.said)
    (samples,) = reply.samples
    found = (_COPY.fullmatch(sample.labels["__name__"]) for sample in samples)
    return Trial(noticed=broken | {int(copy["number"]) for copy in found if copy})


def _named(rule: Rule, name: str) -> Rule:
    if rule.record is not None:
        return replace(rule, record=f"{name}:record")
    return replace(rule, alert=name, annotations=MappingProxyType({}))


def _otherwise(rule: Rule, other: Rule) -> str:
    """Return an expression that yields something where two rules differ in labels, or in recorded values."""
    if rule.alert is not None:
        firing = f'ALERTS{{alertname="{rule.name}"}}', f'ALERTS{{alertname="{other.name}"}}'
        return " or ".join(
            f"({one} unless ignoring (alertname) {two})" for one, two in (firing, reversed(firing))
        )
    one, two = rule.name, other.name
    # What is not a number is the same as what is none, though it does not equal itself.
    same = f"{one} == {two} or ({one} != {one} and {two} != {two})"
    return f"({one} unless ({same})) or ({two} unless {one})"


def run_trial(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str) -> Trial:
    """Run a scenario with the mutants beside its rules, and return which change what it tests.

    An alert fires otherwise when the labels of what fires differ at a time at which the test looks at it, an
    assertion is otherwise when its expression yields other series or values; a mutant that Prometheus cannot
    evaluate in it is noticed too.
    Raises StakewatchError when promtool is missing.
    """
    telling = _telling(candidates)
    beside, watched, names = _beside(rules, candidates, telling)
    scenario = _with_given_records(scenario, rules, beside)
    times = _times(scenario, rules, candidates)
    assertions = _assertions(candidates, names)
    read = (place for one in candidates for _, text in one.asserted for place in rules.read_by(text))
    needed = rules.decisive((*telling, *read), (one.mutant.rule for one in candidates), beside)
    groups = partial(_groups, scenario, beside, needed)
    questions = [*((at, _FIRING) for at in times), *assertions]
    reply, broken = _asked(scenario, groups, questions, program)
    if reply.samples is None:
        return Trial(problem=reply.said)
    firing: dict[tuple[float, int, Place], Counter[Labels]] = {}
    for at, samples in zip(times, reply.samples, strict=False):
        for sample in samples:
            key = (at, *watched[sample.labels["alertname"]])
            firing.setdefault(key, Counter())[identity(sample.labels)] += 1
    nothing: Counter[Labels] = Counter()
    yielded = dict(zip(assertions, reply.samples[len(times) :], strict=True))
    by: dict[int, dict[Sight, float]] = {}
    for number, candidate in enumerate(candidates):
        # promtool compares every annotation of what fires, so a test in which it fires notices a missing one.
        is_text = candidate.mutant.operator is Operator.ANNOTATION
        other = _NOBODY if is_text else number
        for at, place in sorted(candidate.looks(scenario, rules), reverse=True):
            if firing.get((at, other, place), nothing) != firing.get((at, _PLAIN, place), nothing):
                by.setdefault(number, {})[place] = at
        for at, text in () if is_text else sorted(candidate.asserted, reverse=True):
            copied = renamed(text, names[number])
            if _values(yielded[at, copied], names[number]) != _values(yielded[at, text], {}):
                by.setdefault(number, {})[text] = at
    return Trial(noticed=broken | by.keys(), by=by)


def _assertions(
    candidates: Sequence[Candidate], names: Mapping[int, Mapping[str, str]]
) -> dict[Asserted, None]:
    """Return what to ask for the assertions of values: as they are, and of the copies of each mutant."""
    asked: dict[Asserted, None] = {}
    for number, candidate in enumerate(candidates):
        for at, text in candidate.asserted:
            asked[at, text] = asked[at, renamed(text, names.get(number, {}))] = None
    return asked


def _values(samples: Sequence[Sample], names: Mapping[str, str]) -> Counter[tuple[Labels, str]]:
    """Return series and values, those of copies by the names of what they are copies of."""
    originals = {copied: name for name, copied in names.items()}
    return Counter(
        (
            frozenset(
                (label, originals.get(value, value) if label == NAME_LABEL else value)
                for label, value in sample.labels.items()
            ),
            sample.value,
        )
        for sample in samples
    )


def run_value_trial(
    scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate], program: str
) -> Trial:
    """Run a scenario with the mutants beside its rules, and return which give an alert other values.

    Those are the values that `$value` stands for in a text of the alert, at a time at which the test looks at
    it. Where all are equal, so is the text; where they differ it may still be, by rounding.
    Raises StakewatchError when promtool is missing.
    """
    telling = _telling(candidates)
    alerts, watched, _ = _beside(rules, candidates, telling)
    scenario = _with_given_records(scenario, rules, alerts)
    beside = {place: [_valued(rule) for rule in some] for place, some in alerts.items()}
    times = _times(scenario, rules, candidates)
    needed = rules.decisive(telling, (one.mutant.rule for one in candidates), beside)
    groups = partial(_groups, scenario, beside, needed)
    reply, broken = _asked(scenario, groups, [(at, _VALUES) for at in times], program)
    if reply.samples is None:
        return Trial(problem=reply.said)
    values: dict[tuple[float, int, Place], set[tuple[Labels, str]]] = {}
    for at, samples in zip(times, reply.samples, strict=True):
        for sample in samples:
            key = (at, *watched[sample.labels["__name__"].removesuffix(":value")])
            values.setdefault(key, set()).add((identity(sample.labels), sample.value))
    differing = {
        number
        for number, candidate in enumerate(candidates)
        for at, place in candidate.looks(scenario, rules)
        if values.get((at, number, place)) != values.get((at, _PLAIN, place))
    }
    return Trial(noticed=frozenset(differing | broken))


def _telling(candidates: Sequence[Candidate]) -> list[Place]:
    return sorted({place for one in candidates for place in one.telling})


def _times(scenario: Scenario, rules: RuleSet, candidates: Sequence[Candidate]) -> list[float]:
    return sorted({at for one in candidates for at, _ in one.looks(scenario, rules)})


def _valued(rule: Rule) -> Rule:
    """Return a recording rule of what an alert's expression yields; what is recorded already stays."""
    if rule.alert is None:
        return rule
    return replace(
        rule,
        alert=None,
        record=f"{rule.alert}:value",
        duration=None,
        keep_firing_for=None,
        labels=MappingProxyType({}),
    )


def _beside(
    rules: RuleSet, candidates: Sequence[Candidate], telling: Sequence[Place]
) -> tuple[dict[Place, list[Rule]], dict[str, tuple[int, Place]], dict[int, dict[str, str]]]:
    """Return the copies behind each place, what each alert among them is a copy of, and the names of records.

    Of an alert that is the candidate and the place; names are by candidate, from the record to its copy.
    """
    beside: dict[Place, list[Rule]] = {}
    watched: dict[str, tuple[int, Place]] = {}
    names: dict[int, dict[str, str]] = {}
    for number, place in enumerate(telling):
        name = f"{_PREFIX}plain_{number}"
        plain = replace(rules.rules[place], alert=name, annotations=MappingProxyType({}))
        beside.setdefault(place, []).append(plain)
        watched[name] = (_PLAIN, place)
    for number, candidate in enumerate(candidates):
        if candidate.mutant.operator is Operator.ANNOTATION:
            continue
        made = copies(rules, candidate.place, candidate.mutant.rule, candidate.wanted, f"{_PREFIX}{number}")
        names[number] = {}
        for place, rule in made.items():
            beside.setdefault(place, []).append(rule)
            if rule.alert is not None:
                watched[rule.alert] = (number, place)
            elif record := rules.rules[place].record:
                names[number][record] = rule.name
    return beside, watched, names


def _with_given_records(
    scenario: Scenario, rules: RuleSet, beside: Mapping[Place, Sequence[Rule]]
) -> Scenario:
    """Return the scenario with what it gives of recorded series given of their copies too."""
    copied: dict[str, set[str]] = {}
    for place, some in beside.items():
        record = rules.rules[place].record
        if record is not None:
            copied.setdefault(record, set()).update(rule.name for rule in some)
    series = scenario.world.get("input_series") or ()
    more = [
        {**one, "series": renamed(text, {record: name})}
        for one in series
        for record in copied
        if record in (text := str(one.get("series", ""))) and record in read_names(text)
        for name in sorted(copied[record])
    ]
    return replace(scenario, world={**scenario.world, "input_series": [*series, *more]}) if more else scenario


def _asked(
    scenario: Scenario,
    groups: Callable[[frozenset[int]], list[list[Group]]],
    questions: Sequence[tuple[float, str]],
    program: str,
) -> tuple[Reply, frozenset[int]]:
    """Return the reply, and the candidates that were left out as nothing can evaluate them."""
    broken: frozenset[int] = frozenset()
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as name:
        while True:
            reply = ask(Path(name), scenario, groups(broken), questions, program)
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
    groups = [
        [
            replace(group, rules=tuple(changed if one == place else rule for one, rule in some))
            for group, some in placed(rule_file)
        ]
        for rule_file in scenario.rule_files
    ]
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as name:
        return run_tests(Path(name), scenario, groups, [scenario.written], program).code != 0


def _without(beside: Mapping[Place, Sequence[Rule]], broken: frozenset[int]) -> dict[Place, list[Rule]]:
    gone = tuple(f"{_PREFIX}{number}_" for number in broken)
    return {
        place: [rule for rule in rules if not gone or not rule.name.startswith(gone)]
        for place, rules in beside.items()
    }


def _groups(
    scenario: Scenario,
    beside: Mapping[Place, Sequence[Rule]],
    needed: frozenset[Place],
    broken: frozenset[int],
) -> list[list[Group]]:
    """Return the groups of each rule file: the rules that are needed, unbroken copies behind their places."""
    beside = _without(beside, broken)
    files = []
    for rule_file in scenario.rule_files:
        groups = []
        for group, some in placed(rule_file):
            kept: list[Rule] = []
            for place, rule in some:
                kept += [rule] if place in needed else []
                kept += beside.get(place, ())
            groups.append(replace(group, rules=tuple(_unaware(one) for one in kept)))
        files.append(groups)
    return files


def _unaware(rule: Rule) -> Rule:
    """Return a rule that does not see the copies of alerts firing, unless they are what it is about."""
    if rule.name.endswith(_DIFFERS):
        return rule
    return replace(rule, expression=unaware_of(rule.expression, _PATTERN))
