"""Confirmation: whether a test fails on a mutant that fires as the rule does, by a text or an asserted value.

promtool compares the texts of what fires as well. So a mutant that is left is asked for the values that its
alerts' texts may show, many at once; only where they differ, or where that cannot be told, the test is run on
the mutant alone, as a person would.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from stakewatch.rules.mutation.dependencies import Place, RuleSet
from stakewatch.rules.mutation.memory import Memory, combined, fingerprint
from stakewatch.rules.mutation.mutants import Operator
from stakewatch.rules.mutation.subjects import (
    MOST_AT_ONCE,
    NOTICED_ALONE,
    Key,
    Keys,
    Part,
    Subject,
    in_parallel,
    notice_key,
    part_of,
)
from stakewatch.rules.mutation.trials import fails, run_value_trial
from stakewatch.rules.mutation.worlds import World

# What of a template may say more than the labels of what fires.
_VALUE = re.compile(r"\$value|\.Value")
_QUERY = re.compile(r"\bquery\b")

Report = Callable[[str, int, int], None]


@dataclass(eq=False)
class _Doubt:
    """A mutant that one major has not noticed, and the tests to run on it alone."""

    subject: Subject
    program: str
    worlds: list[World]


def notice_again(subjects: Sequence[Subject], keys: Keys, memory: Memory, report: Report) -> tuple[int, int]:
    """Run tests on the mutants that they alone noticed in an earlier run, whatever was edited since.

    Mostly they do again, and nobody else has to be asked. Returns how many answers were new, and remembered.
    Raises StakewatchError when promtool is missing.
    """
    unknown: dict[Subject, list[_Doubt]] = {}

    def recall(subject: Subject) -> int:
        unknown[subject], recalled = _noticed_alone(subject, keys, memory)
        return recalled

    remembered = in_parallel(subjects, recall)
    jobs = [job for subject in subjects for job in unknown[subject]]
    asked = in_parallel(
        jobs,
        lambda job: _alone(job, keys, memory),
        lambda done: report("what was noticed before", done, len(jobs)),
    )
    return asked, remembered


def _noticed_alone(subject: Subject, keys: Keys, memory: Memory) -> tuple[list[_Doubt], int]:
    """Return the tests that noticed a mutant alone of which nothing is known, and of how many it is."""
    unknown = []
    remembered = 0
    for program in sorted(subject.asked):
        if memory.get(notice_key(NOTICED_ALONE, subject, program)) is None:
            continue
        for world in subject.worlds:
            if (
                program not in world.programs
                or memory.get(notice_key(NOTICED_ALONE, subject, program, world)) is None
            ):
                continue
            answer = keys.recall(_key_alone(subject, program, world, keys))
            if answer is None:
                unknown.append(_Doubt(subject, program, [world]))
                continue
            remembered += 1
            if answer:
                subject.noticed.add(program)
    return unknown, remembered


def confirm(subjects: Sequence[Subject], keys: Keys, memory: Memory, report: Report) -> tuple[int, int]:
    """Ask about the mutants that are left; return how many answers were new and how many remembered.

    Raises StakewatchError when promtool is missing.
    """
    doubts = [
        _Doubt(subject, program, [])
        for subject in subjects
        if subject.mutant.operator is not Operator.ANNOTATION
        for program in sorted(subject.asked)
        if subject.is_open(program)
    ]
    parts: dict[tuple[World, str], list[tuple[_Doubt, Part]]] = {}
    remembered = 0
    for doubt in doubts:
        for job, part in _parts(doubt, keys):
            answer = keys.recall(part.key)
            if answer is None:
                parts.setdefault(job, []).append((doubt, part))
                continue
            remembered += 1
            if answer:
                doubt.worlds.append(job[0])
    jobs = list(parts)
    asked = in_parallel(
        jobs,
        lambda job: _compare(*job, parts[job], memory),
        lambda done: report("values of survivors", done, len(jobs)),
    )
    more_asked, more_remembered = _run_alone(doubts, keys, memory, report)
    return asked + more_asked, remembered + more_remembered


def _parts(doubt: _Doubt, keys: Keys) -> Iterator[tuple[tuple[World, str], Part]]:
    """Yield what to ask about values; a test that must be run on the mutant alone is noted as such."""
    subject, program = doubt.subject, doubt.program
    for world in subject.worlds:
        if program not in world.programs or world.emptiness.stays(subject.place, subject.mutant.rule):
            continue
        job = world, program
        if job in subject.untold or _must_run(world, subject.place):
            doubt.worlds.append(world)
        elif telling := _valued(world, subject.place):
            part = part_of(subject, job, telling, keys, question="value")
            if keys.recall_same(part) is None:
                yield job, part


def _compare(world: World, program: str, parts: Sequence[tuple[_Doubt, Part]], memory: Memory) -> int:
    """Ask one test for the values of many mutants, and note where it must be run on one alone."""
    for first in range(0, len(parts), MOST_AT_ONCE):
        some = parts[first : first + MOST_AT_ONCE]
        candidates = [part.candidate for _, part in some]
        trial = run_value_trial(world.scenario, world.rules, candidates, program)
        if trial.problem is not None:
            for doubt, _ in some:
                doubt.worlds.append(world)
            continue
        for number in trial.noticed:
            some[number][0].worlds.append(world)
        memory.put({part.key.now: number in trial.noticed for number, (_, part) in enumerate(some)})
    return len(parts)


def _run_alone(doubts: Sequence[_Doubt], keys: Keys, memory: Memory, report: Report) -> tuple[int, int]:
    jobs = []
    remembered = 0
    for doubt in doubts:
        if not doubt.worlds or not doubt.subject.is_open(doubt.program):
            continue
        unknown = []
        for world in sorted(doubt.worlds, key=lambda world: world.cost):
            answer = keys.recall(_key_alone(doubt.subject, doubt.program, world, keys))
            if answer is None:
                unknown.append(world)
                continue
            remembered += 1
            if answer:
                doubt.subject.noticed.add(doubt.program)
        if unknown and doubt.subject.is_open(doubt.program):
            jobs.append(replace(doubt, worlds=unknown))
    asked = in_parallel(
        jobs,
        lambda job: _alone(job, keys, memory),
        lambda done: report("survivors", done, len(jobs)),
    )
    return asked, remembered


def _alone(doubt: _Doubt, keys: Keys, memory: Memory) -> int:
    """Run tests on a mutant alone until one fails; return how many were run."""
    subject, program = doubt.subject, doubt.program
    if not subject.is_open(program):
        return 0
    for number, world in enumerate(doubt.worlds, start=1):
        key = _key_alone(subject, program, world, keys).now
        if not fails(world.scenario, subject.place, subject.mutant.rule, program):
            memory.put({key: False})
            continue
        notices = (notice_key(NOTICED_ALONE, subject, program, one) for one in (None, world))
        memory.put(dict.fromkeys((key, *notices), True))
        subject.noticed.add(program)
        return number
    return len(doubt.worlds)


def _key_alone(subject: Subject, program: str, world: World, keys: Keys) -> Key:
    """Return what the answer is remembered by whether this test fails on the mutant alone."""
    place, changed = subject.place, subject.mutant.rule

    def needed(rules: RuleSet) -> frozenset[Place]:
        # The test passes as it is: what else it loads decides nothing about this mutant.
        seen = {one for one in rules.affected(place) if rules.rules[one].alert in world.scenario.looks}
        return rules.decisive(seen | rules.downstream(place), [changed])

    head = ("alone", program, world.versions[program], subject.key, world.written)
    texts = _texts(world, place)
    return keys.key(
        world,
        program,
        needed,
        lambda rules: rules.affected(place),
        lambda of_rules: combined((*head, of_rules, texts)),
    )


def _texts(world: World, place: Place) -> str:
    below = sorted(world.rules.downstream(place))
    return fingerprint([dict(world.rules.rules[one].annotations) for one in below])


def _must_run(world: World, place: Place) -> bool:
    """Tell whether a test compares what no copy of a rule tells: series of alerts, questions in a text.

    Nor does it for an alert that goes on firing after its expression has ended.
    """
    below = world.rules.downstream(place)
    _, told = world.sights(place)
    return told != world.asserted(world.rules.affected(place)) or any(
        world.rules.rules[one].keep_firing_for is not None
        or any("{{" in text and _QUERY.search(text) for text in world.rules.rules[one].annotations.values())
        for one in world.expects(below)
    )


def _valued(world: World, place: Place) -> frozenset[Place]:
    """Return the alerts that a test expects and whose text shows a value."""
    return frozenset(
        one
        for one in world.expects(world.rules.downstream(place))
        if any("{{" in text and _VALUE.search(text) for text in world.rules.rules[one].annotations.values())
    )
