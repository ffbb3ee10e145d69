"""Subjects: the mutants on their way through a measurement, and what is asked about them."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stakewatch.rules.files import Rule
from stakewatch.rules.mutation.dependencies import Place, RuleSet, depends_on_edges
from stakewatch.rules.mutation.editions import Editions, rule_key
from stakewatch.rules.mutation.memory import Memory, combined, fingerprint
from stakewatch.rules.mutation.mutants import Mutant, Operator
from stakewatch.rules.mutation.trials import Candidate
from stakewatch.rules.mutation.worlds import World
from stakewatch.rules.scenarios import Asserted

# How many mutants stand beside the rules in one run: more would cost memory and save nothing.
MOST_AT_ONCE = 400
# How a mutant was noticed: with others beside the rules, or in a run of its own.
NOTICED, NOTICED_ALONE = "notice", "noticed alone"
# How many rules a mutant must have an effect on to make it worth asking first whether it has any.
_WIDE = 4

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
class Key:
    """What an answer is remembered by: with the rules as they are, and as they were in earlier runs.

    An earlier one is only there where what was edited since makes no difference to the answer.
    """

    now: str
    earlier: Callable[[], Iterator[str]]


@dataclass(frozen=True, eq=False)
class Part:
    """A mutant in one test, asked by one major, and what its answer is remembered by.

    `same` makes what it is remembered by whether it records the same as the rule.
    """

    subject: Subject
    world: World
    program: str
    candidate: Candidate
    key: Key
    same: Callable[[], Key]


@dataclass
class Keys:
    """What answers are remembered by, of which each part is made once."""

    memory: Memory
    editions: Editions
    known: dict[tuple[RuleSet, frozenset[Place]], str] = field(default_factory=dict)
    of_rules: dict[tuple[RuleSet, Place], str] = field(default_factory=dict)
    survivors: dict[Subject, bool] = field(default_factory=dict)

    def of(self, rules: RuleSet, places: frozenset[Place]) -> str:
        """Return the fingerprint of some rules of a set."""
        key = (rules, places)
        if key not in self.known:
            self.known[key] = combined(
                self._of_rule(rules, place) for place in rules.rules if place in places
            )
        return self.known[key]

    def key(
        self,
        world: World,
        program: str,
        needed: Callable[[RuleSet], frozenset[Place]],
        touched: Callable[[RuleSet], frozenset[Place]],
        complete: Callable[[str], str],
    ) -> Key:
        """Return what the answer of a test about a mutant is remembered by.

        `needed` tells which rules of a set decide about it, `touched` which of them the mutant has an effect
        on; `complete` makes a key of the fingerprint of the rules.
        """

        def of(rules: RuleSet) -> str:
            return complete(self.of(rules, needed(rules)))

        def earlier() -> Iterator[str]:
            rules = world.rules
            untouched = needed(rules) - touched(rules)
            for instead in self.editions.instead(world.scenario, rules, program, untouched):
                as_it_was = rules.replaced(instead)
                if touched(as_it_was).isdisjoint(instead):
                    yield of(as_it_was)

        return Key(of(world.rules), earlier)

    def recall(self, key: Key) -> bool | None:
        """Return what is remembered, None where nothing is."""
        answer = self.memory.get(key.now)
        return answer if answer is not None else self._recall_earlier(key)

    def recall_now(self, part: Part) -> bool | None:
        """Return what is remembered of the rules as they are."""
        return self.memory.get(part.key.now)

    def recall_earlier(self, part: Part) -> bool | None:
        """Return what is remembered of the rules as they were, where that holds still."""
        return self._recall_earlier(part.key)

    def recall_same(self, part: Part) -> bool | None:
        """Return False where the mutant records the same as the rule, so that nobody can notice it."""
        return False if self.compares(part) and self.recall(part.same()) else None

    def compares(self, part: Part) -> bool:
        """Tell whether it is worth asking first if the mutant records the same as the rule.

        It is where much rests on the rule, and where nobody has noticed the mutant before.
        """
        candidate = part.candidate
        if candidate.mutant.rule.record is None or candidate.at is not None:
            return False
        return len(candidate.wanted) >= _WIDE or self.survived(part.subject)

    def survived(self, subject: Subject) -> bool:
        """Tell whether there were earlier runs, and a mutant of this name was noticed in none."""
        if subject not in self.survivors:
            hints = (
                notice_key(how, subject, program)
                for how in (NOTICED, NOTICED_ALONE)
                for program in subject.asked
            )
            self.survivors[subject] = bool(self.memory.editions) and not any(map(self.memory.get, hints))
        return self.survivors[subject]

    def _recall_earlier(self, key: Key) -> bool | None:
        for earlier in key.earlier():
            answer = self.memory.get(earlier)
            if answer is not None:
                self.memory.carry(key.now, answer=answer)
                return answer
        return None

    def _of_rule(self, rules: RuleSet, place: Place) -> str:
        key = (rules, place)
        if key not in self.of_rules:
            self.of_rules[key] = rule_key(rules.rules[place])
        return self.of_rules[key]


def assign(subjects: Sequence[Subject], worlds: Sequence[World]) -> None:
    """Give each mutant the tests that can notice it, and the majors to ask."""
    known: dict[Place, tuple[list[World], set[str]]] = {}
    for subject in subjects:
        if subject.place not in known:
            known[subject.place] = _assigned(subject.place, worlds)
        some, asked = known[subject.place]
        subject.worlds += some
        subject.asked |= asked


def _assigned(place: Place, worlds: Sequence[World]) -> tuple[list[World], set[str]]:
    some: list[World] = []
    asked: set[str] = set()
    for world in worlds:
        if place not in world.rules.rules:
            continue
        below = world.rules.downstream(place)
        if not world.telling(below) and not world.asserted(below):
            continue
        some.append(world)
        first, *others = world.programs
        asked.add(first)
        if any(
            depends_on_edges(world.rules.rules[one].expression) for one in below | world.rules.upstream(place)
        ):
            asked.update(others)
    # In the order in which they are asked, so that the one that noticed is found soon.
    some.sort(key=lambda world: not world.expects(world.telling(world.rules.downstream(place))))
    return some, asked


def part_of(
    subject: Subject,
    job: tuple[World, str],
    telling: frozenset[Place],
    keys: Keys,
    *,
    question: str,
    asserted: frozenset[Asserted] = frozenset(),
    at: float | None = None,
) -> Part:
    """Return a mutant as it stands in a run of a test by a major, about alerts and asserted values.

    `question` names what is asked, with `at` (s) only of then.
    """
    world, program = job
    place, changed = subject.place, subject.mutant.rule
    version = world.versions[program]
    below = world.rules.downstream(place)
    seen = telling.union(*(world.read_by(one) for one in asserted)) if asserted else telling

    def key(looked_at: frozenset[Place], what: str, given: str) -> Key:
        return keys.key(
            world,
            program,
            lambda rules: rules.decisive(looked_at, [changed]),
            # Nothing that stands beside the rules has an effect on what reads the ALERTS series.
            lambda rules: rules.downstream(place),
            lambda of_rules: combined((what, combined((of_rules, subject.key, given)), program, version)),
        )

    wanted = below & world.rules.decisive(seen)
    what = question if at is None else " ".join((f"{question} at {at}", *(text for _, text in asserted)))
    return Part(
        subject,
        world,
        program,
        Candidate(subject.mutant, place, wanted, telling, asserted, at),
        key(seen, what, world.given),
        lambda: key(frozenset({place}), "same", f"{world.given} {world.scenario.end_seconds}"),
    )


def notice_key(
    how: str, subject: Subject, program: str, world: World | None = None, by: tuple[str, float] | None = None
) -> str:
    """Return what it is remembered by that a mutant was noticed: by some test, this one, an alert at a time.

    It holds whatever the rule and the test said then, so it only tells whom to ask first after an edit.
    """
    test = (world.scenario.test_file.path.name, world.scenario.title) if world is not None else ()
    return fingerprint(how, subject.rule.name, subject.mutant.change, *test, program, *(by or ()))


def in_parallel(
    jobs: Sequence[Job], function: Callable[[Job], int], report: Callable[[int], None] = lambda _done: None
) -> int:
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
