"""The measurement: which mutants of the rules the tests notice."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stakewatch.bundle.checks import Finding
from stakewatch.errors import InputError
from stakewatch.promql import PromqlError
from stakewatch.rules.files import Rule, RuleFile
from stakewatch.rules.mutation.dependencies import Place, RuleSet, depends_on_edges
from stakewatch.rules.mutation.equivalents import Equivalent
from stakewatch.rules.mutation.memory import Memory, combined
from stakewatch.rules.mutation.mutants import Mutant, Operator, mutants
from stakewatch.rules.mutation.scoring import Mutation, Outcome
from stakewatch.rules.mutation.trials import Candidate, fails, run_trial
from stakewatch.rules.mutation.worlds import World, find_worlds, rule_key
from stakewatch.rules.promtool import MAJORS
from stakewatch.rules.scenarios import Scenario, find_rule_files, find_scenarios

# How many mutants stand beside the rules in one run: more would cost memory and save nothing.
_MOST_AT_ONCE = 400
_DEFAULT_STEP_SECONDS = 30.0

# What of a template may say more than the labels of what fires.
_VALUE = re.compile(r"\$value|\.Value|query")

Job = TypeVar("Job")


@dataclass(eq=False)
class _Subject:
    """A mutant on its way: the tests that can notice it, the majors to ask, and those that did notice."""

    path: Path
    place: Place
    rule: Rule
    mutant: Mutant
    key: str
    worlds: list[World] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    noticed: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Part:
    """A mutant in one run, and what its answer is remembered by."""

    subject: _Subject
    candidate: Candidate
    key: str


@dataclass
class _Keys:
    """Fingerprints of rules, each made once."""

    known: dict[tuple[int, frozenset[Place]], str] = field(default_factory=dict)
    of_rules: dict[tuple[int, Place], str] = field(default_factory=dict)

    def of(self, rules: RuleSet, places: frozenset[Place]) -> str:
        """Return the fingerprint of some rules of a set."""
        key = (id(rules), places)
        if key not in self.known:
            self.known[key] = combined(
                self._of_rule(rules, place) for place in rules.rules if place in places
            )
        return self.known[key]

    def _of_rule(self, rules: RuleSet, place: Place) -> str:
        key = (id(rules), place)
        if key not in self.of_rules:
            self.of_rules[key] = rule_key(rules.rules[place])
        return self.of_rules[key]


def measure_mutation(
    rules: Path,
    tests: Path,
    *,
    memory: Memory,
    equivalents: Sequence[Equivalent] = (),
    equivalents_path: Path | None = None,
    only: Callable[[RuleFile, Rule], bool] = lambda _file, _rule: True,
    report: Callable[[str, int, int], None] = lambda _stage, _done, _of: None,
) -> Mutation:
    """Change the rules below `rules` in small ways, and return which changes the tests below `tests` notice.

    Both may be folders or single files; only mutants of rules that `only` picks are made. Mutants of an alert
    are tried on the tests that look at it, those of a recording rule on the tests of the alerts below it.
    The older major is asked where an expression has ranges: about changes of a range, and about what the
    newer does not notice. `report` hears the stage and how much is done.
    Raises InputError when there are no rules or tests, or a file or an expression is broken; StakewatchError
    when promtool is missing.
    """
    started = time.monotonic()
    rule_files = find_rule_files(rules)
    scenarios = find_scenarios(tests)
    worlds, remarks = find_worlds(scenarios, memory, report)
    subjects = _subjects(rule_files, scenarios, only)
    for subject in subjects:
        _assign(subject, worlds)
    keys = _Keys()
    asked, remembered = _try(subjects, worlds, keys, memory, report)
    more_asked, more_remembered = _confirm(subjects, keys, memory, report)
    listed = {(one.rule, one.change): one for one in equivalents}
    outcomes = tuple(_outcome(subject, listed) for subject in subjects)
    return Mutation(
        outcomes=outcomes,
        remarks=(*remarks, *_stale(equivalents, outcomes, equivalents_path or Path())),
        tests=len(scenarios),
        asked=asked + more_asked,
        remembered=remembered + more_remembered,
        seconds=time.monotonic() - started,
    )


def _subjects(
    rule_files: Sequence[RuleFile],
    scenarios: Sequence[Scenario],
    only: Callable[[RuleFile, Rule], bool],
) -> list[_Subject]:
    # The finest steps in which a file is tested: one step more or less of `for` is one of those.
    steps: dict[Path, float] = {}
    for scenario in scenarios:
        for one in scenario.rule_files:
            steps[one.path] = min(scenario.step_seconds, steps.get(one.path, scenario.step_seconds))
    found = []
    for rule_file in rule_files:
        path = rule_file.path.resolve()
        for position, rule in enumerate(rule_file.rules):
            if not only(rule_file, rule):
                continue
            try:
                made = mutants(rule, steps.get(path, _DEFAULT_STEP_SECONDS))
            except (PromqlError, InputError) as error:
                raise InputError(str(error.what), where=rule_file.place(rule), mend=error.mend) from error
            found += [
                _Subject(
                    rule_file.path, (path, position), rule, one, combined((rule_key(one.rule), one.operator))
                )
                for one in made
            ]
    return found


def _assign(subject: _Subject, worlds: Sequence[World]) -> None:
    """Give a mutant the tests that can notice it, and the majors to ask."""
    for world in worlds:
        if subject.place not in world.rules.rules:
            continue
        below = world.rules.downstream(subject.place)
        if not world.telling(below) and not world.asserts(below):
            continue
        subject.worlds.append(world)
        first, *others = world.programs
        subject.asked.add(first)
        if any(
            depends_on_edges(world.rules.rules[place].expression)
            for place in below | world.rules.upstream(subject.place)
        ):
            subject.asked.update(others)


def _try(
    subjects: Sequence[_Subject],
    worlds: Sequence[World],
    keys: _Keys,
    memory: Memory,
    report: Callable[[str, int, int], None],
) -> tuple[int, int]:
    """Try mutants beside the rules until a test notices; return how many answers were new and remembered."""
    parts: dict[tuple[World, str, bool], list[_Part]] = {}
    remembered = 0
    for subject in subjects:
        unknown = []
        for world, program, part in _parts(subject, keys):
            answer = memory.get(part.key)
            if answer is None:
                unknown.append((world, program, part))
                continue
            remembered += 1
            if answer:
                subject.noticed.add(program)
        for world, program, part in unknown:
            if _is_open(subject, program):
                fires = bool(world.expects(part.candidate.telling))
                parts.setdefault((world, program, fires), []).append(part)
    # Where the alert fires most mutants are noticed at once; the newer major first, its answer may suffice.
    jobs = [
        job
        for fires in (True, False)
        for program in MAJORS
        for world in worlds
        if (job := (world, program, fires)) in parts
    ]
    asked = _in_parallel(
        jobs,
        lambda job: _run(job[0], job[1], parts[job], memory),
        lambda done: report("mutants", done, len(jobs)),
    )
    return asked, remembered


def _is_open(subject: _Subject, program: str) -> bool:
    """Tell whether it is worth asking: one major's notice is enough, but for what changes a range."""
    if subject.mutant.operator is Operator.RANGE:
        return program not in subject.noticed
    return not subject.noticed


def _parts(subject: _Subject, keys: _Keys) -> Iterable[tuple[World, str, _Part]]:
    for world in subject.worlds:
        below = world.rules.downstream(subject.place)
        telling = world.telling(below)
        if not telling:
            continue
        needed = frozenset[Place]().union(*(world.rules.upstream(place) for place in telling))
        candidate = Candidate(subject.mutant, subject.place, below & needed, telling)
        base = combined((keys.of(world.rules, needed), subject.key, world.given))
        for program in world.programs:
            if program in subject.asked:
                key = combined(("trial", base, program, world.versions[program]))
                yield world, program, _Part(subject, candidate, key)


def _run(world: World, program: str, parts: Sequence[_Part], memory: Memory) -> int:
    """Ask one test about the mutants that no test has noticed yet; return how many those were."""
    left = [part for part in parts if _is_open(part.subject, program)]
    for first in range(0, len(left), _MOST_AT_ONCE):
        some = left[first : first + _MOST_AT_ONCE]
        trial = run_trial(world.scenario, world.rules, [part.candidate for part in some], program)
        if trial.problem is not None:
            # This test cannot be asked about many at once: what no other test notices is run alone later.
            continue
        for number in trial.noticed:
            some[number].subject.noticed.add(program)
        memory.put({part.key: number in trial.noticed for number, part in enumerate(some)})
    return len(left)


def _confirm(
    subjects: Sequence[_Subject], keys: _Keys, memory: Memory, report: Callable[[str, int, int], None]
) -> tuple[int, int]:
    """Run the tests on each mutant that is left for real: annotations and asserted values may still tell."""
    jobs = []
    remembered = 0
    for subject in subjects:
        if subject.mutant.operator is Operator.ANNOTATION:
            continue
        revealing = [world for world in subject.worlds if _reveals(world, subject.place)]
        for program in sorted(subject.asked):
            worlds = [world for world in revealing if program in world.programs]
            if not worlds or not _is_open(subject, program):
                continue
            loaded = (keys.of(world.rules, frozenset(world.rules.rules)) for world in worlds)
            key = combined(("alone", program, subject.key, *(one.written for one in worlds), *loaded))
            answer = memory.get(key)
            if answer is None:
                jobs.append((subject, program, worlds, key))
                continue
            remembered += 1
            if answer:
                subject.noticed.add(program)
    asked = _in_parallel(
        jobs,
        lambda job: _alone(job[0], job[1], job[2], job[3], memory),
        lambda done: report("survivors", done, len(jobs)),
    )
    return asked, remembered


def _reveals(world: World, place: Place) -> bool:
    """Tell whether a test compares more than what fires: a value in a text, or the value of an expression."""
    below = world.rules.downstream(place)
    texts = (text for one in world.expects(below) for text in world.rules.rules[one].annotations.values())
    return world.asserts(below) or any("{{" in text and _VALUE.search(text) for text in texts)


def _alone(subject: _Subject, program: str, worlds: Sequence[World], key: str, memory: Memory) -> int:
    if not _is_open(subject, program):
        return 0
    noticed = any(fails(world.scenario, subject.place, subject.mutant.rule, program) for world in worlds)
    memory.put({key: noticed})
    if noticed:
        subject.noticed.add(program)
    return 1


def _in_parallel(jobs: Sequence[Job], function: Callable[[Job], int], report: Callable[[int], None]) -> int:
    """Return the sum of a function of each job; as many at once as there are processors."""
    stopped = threading.Event()

    def unless_stopped(job: Job) -> int:
        return 0 if stopped.is_set() else function(job)

    total = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = [pool.submit(unless_stopped, job) for job in jobs]
        try:
            for done, future in enumerate(as_completed(running), start=1):
                total += future.result()
                report(done)
        except BaseException:
            stopped.set()
            raise
    return total


def _outcome(subject: _Subject, listed: Mapping[tuple[str, str], Equivalent]) -> Outcome:
    return Outcome(
        path=subject.path,
        rule=subject.rule,
        line=_line(subject),
        mutant=subject.mutant,
        tests=len(subject.worlds),
        asked=frozenset(subject.asked),
        noticed=frozenset(subject.noticed),
        equivalent=None if subject.noticed else listed.get((subject.rule.name, subject.mutant.change)),
    )


def _line(subject: _Subject) -> int:
    mutant = subject.mutant
    if mutant.start >= 0:
        return subject.rule.expression_line + subject.rule.expression.count("\n", 0, mutant.start)
    part = mutant.before.partition(":")[0]
    if mutant.operator is Operator.FOR:
        return subject.rule.line_of("for")
    kind = "annotations" if mutant.operator is Operator.ANNOTATION else "labels"
    return subject.rule.line_of(f"{kind}.{part}")


def _stale(equivalents: Sequence[Equivalent], outcomes: Sequence[Outcome], path: Path) -> tuple[Finding, ...]:
    """Return the entries that speak of no mutant, or of one that a test kills."""
    there = {(one.rule.name, one.mutant.change): one for one in outcomes}
    rules = {one.rule.name for one in outcomes}
    found = []
    for entry in equivalents:
        outcome = there.get((entry.rule, entry.change))
        if outcome is None and entry.rule in rules:
            message = f"{entry.rule} has no mutant “{entry.change}”"
        elif outcome is not None and outcome.killed:
            message = f"a test kills “{entry.change}” of {entry.rule}: it is not equivalent"
        else:
            continue
        found.append(Finding(path, entry.line, message, "remove the entry"))
    return tuple(found)
