"""Subjects: the mutants on their way through a measurement, and what is asked about them."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stakewatch.rules.files import Rule
from stakewatch.rules.mutation.dependencies import Place, RuleSet, depends_on_edges
from stakewatch.rules.mutation.memory import combined, fingerprint
from stakewatch.rules.mutation.mutants import Mutant, Operator
from stakewatch.rules.mutation.trials import Candidate
from stakewatch.rules.mutation.worlds import World, rule_key

# How many mutants stand beside the rules in one run: more would cost memory and save nothing.
MOST_AT_ONCE = 400

Job = TypeVar("Job")


@dataclass(eq=False)
class Subject:
    """A mutant on its way: the tests that can notice it, the majors to ask, and those that did notice.

    `untold` are tests, with the major, that cannot be asked about many mutants at once.
    """

    path: Path
    place: Place
    rule: Rule
    mutant: Mutant
    key: str
    worlds: list[World] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    noticed: set[str] = field(default_factory=set)
    untold: list[tuple[World, str]] = field(default_factory=list)

    def is_open(self, program: str) -> bool:
        """Tell whether it is worth asking: one major's notice is enough, but for what changes a range."""
        if self.mutant.operator is Operator.RANGE:
            return program not in self.noticed
        return not self.noticed


@dataclass(frozen=True)
class Part:
    """A mutant in one run, and what its answer is remembered by."""

    subject: Subject
    candidate: Candidate
    key: str


@dataclass
class Keys:
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


def assign(subject: Subject, worlds: Sequence[World]) -> None:
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


def part_of(
    subject: Subject, job: tuple[World, str], telling: frozenset[Place], keys: Keys, *, question: str
) -> Part:
    """Return a mutant as it stands in a run of a test by a major, about what these alerts do.

    `question` names what is asked.
    """
    world, program = job
    below = world.rules.downstream(subject.place)
    needed = frozenset[Place]().union(*(world.rules.upstream(place) for place in telling))
    base = combined((keys.of(world.rules, needed), subject.key, world.given))
    return Part(
        subject,
        Candidate(subject.mutant, subject.place, below & needed, telling),
        combined((question, base, program, world.versions[program])),
    )


def notice_key(how: str, subject: Subject, program: str, world: World | None = None) -> str:
    """Return what it is remembered by that a mutant was noticed, by some test or by this one.

    It holds whatever the rule and the test said then, so it only tells whom to ask first after an edit.
    """
    test = (world.scenario.test_file.path.name, world.scenario.title) if world is not None else ()
    return fingerprint(how, subject.rule.name, subject.mutant.change, *test, program)


def in_parallel(jobs: Sequence[Job], function: Callable[[Job], int], report: Callable[[int], None]) -> int:
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
