"""Trying: many mutants beside the rules in one run of a test, until one test has noticed each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto
from functools import partial
from typing import TypeAlias

from stakewatch.rules.mutation.memory import Memory
from stakewatch.rules.mutation.subjects import (
    MOST_AT_ONCE,
    Keys,
    Part,
    Subject,
    in_parallel,
    notice_key,
    part_of,
)
from stakewatch.rules.mutation.trials import run_difference_trial, run_trial
from stakewatch.rules.mutation.worlds import World
from stakewatch.rules.promtool import MAJORS

_NOTICE = "notice"


class _Turn(Enum):
    """In which order tests are asked about a mutant: one is enough that notices it."""

    NOTICED_BEFORE = auto()
    # Where the alert fires most mutants are noticed.
    FIRES = auto()
    SILENT = auto()


_Job: TypeAlias = tuple[World, str, _Turn]


def try_mutants(
    subjects: Sequence[Subject],
    worlds: Sequence[World],
    keys: Keys,
    memory: Memory,
    report: Callable[[str, int, int], None],
) -> tuple[int, int]:
    """Try mutants beside the rules until a test notices; return how many answers were new and remembered.

    Raises StakewatchError when promtool is missing.
    """
    jobs: dict[_Job, list[Part]] = {}
    remembered = 0
    for subject in subjects:
        parts, known = _unknown(subject, keys)
        remembered += known
        for part in parts:
            for turn, one in _turns(part, keys, memory) if subject.is_open(part.program) else ():
                jobs.setdefault((part.world, part.program, turn), []).append(one)
    asked = ended = 0
    # One turn after the other, the newer major first: its answer may suffice.
    for turn in _Turn:
        for program in MAJORS:
            some = [asking for world in worlds if (asking := (world, program, turn)) in jobs]
            asked += in_parallel(
                some,
                lambda job: _run(*job, jobs[job], memory),
                partial(_report, report, ended, len(jobs)),
            )
            ended += len(some)
    return asked, remembered


def _report(report: Callable[[str, int, int], None], ended: int, of: int, done: int) -> None:
    report("mutants", ended + done, of)


def _unknown(subject: Subject, keys: Keys) -> tuple[Sequence[Part], int]:
    """Recall what tests said of a mutant; return what is not known, and how many answers were remembered."""
    parts: Iterable[Part] = _parts(subject, keys)
    unknown: list[Part] = []
    remembered = 0
    # What is known of the rules as they are may be enough, and is found at once.
    for recall in (keys.recall_now, keys.recall_same, keys.recall_earlier):
        unknown = []
        for part in parts:
            answer = recall(part) if subject.is_open(part.program) else None
            if answer is None:
                unknown.append(part)
                continue
            remembered += 1
            if answer:
                subject.noticed.add(part.program)
        parts = unknown
    return unknown, remembered


def _parts(subject: Subject, keys: Keys) -> Iterator[Part]:
    """Yield the mutant in each test that can notice it, with the major to ask, while it is worth asking."""
    for world in subject.worlds:
        telling = world.telling(world.rules.downstream(subject.place))
        for program in subject.asked.intersection(world.programs) if telling else ():
            if subject.is_open(program):
                yield part_of(subject, (world, program), telling, keys, question="trial")


def _turns(part: Part, keys: Keys, memory: Memory) -> Iterator[tuple[_Turn, Part]]:
    """Yield when to ask a test about a mutant, and about what.

    By the alert by which it noticed before it mostly does again; else it is asked about all when others are.
    """
    before = _noticed_before(part, keys, memory)
    if before is not None and keys.recall(before.key):
        part.subject.noticed.add(part.program)
        return
    if before is not None:
        yield _Turn.NOTICED_BEFORE, before
    yield _Turn.FIRES if part.world.expects(part.candidate.telling) else _Turn.SILENT, part


def _noticed_before(part: Part, keys: Keys, memory: Memory) -> Part | None:
    """Return what to ask about the alert by which a test noticed the mutant in an earlier run, if it did."""
    subject, job = part.subject, (part.world, part.program)
    rules = part.world.rules.rules
    for place in part.candidate.telling:
        if memory.get(notice_key(_NOTICE, subject, part.program, part.world, rules[place].name)):
            return part_of(subject, job, frozenset({place}), keys, question="trial")
    return None


def _run(world: World, program: str, turn: _Turn, parts: Sequence[Part], memory: Memory) -> int:
    """Ask one test about the mutants that no test has noticed yet; return how many answers it gave."""
    left = [part for part in parts if part.subject.is_open(program)]
    asked = 0
    if turn is not _Turn.NOTICED_BEFORE:
        wide = [part for part in left if part.same is not None]
        same = _same(world, program, wide, memory)
        left = [part for part in left if part not in same]
        asked = len(wide)
    for some in _batches(left):
        trial = run_trial(world.scenario, world.rules, [part.candidate for part in some], program)
        if trial.problem is not None:
            # This test cannot be asked about many at once: it is run on what no other test notices.
            for part in some:
                part.subject.untold.append((world, program))
            continue
        answers = {part.key.now: number in trial.noticed for number, part in enumerate(some)}
        for number in trial.noticed:
            some[number].subject.noticed.add(program)
        for number, place in trial.by.items():
            alert = world.rules.rules[place].name
            answers[notice_key(_NOTICE, some[number].subject, program, world, alert)] = True
        memory.put(answers)
    return asked + len(left)


def _same(world: World, program: str, parts: Sequence[Part], memory: Memory) -> set[Part]:
    """Return the mutants that record what the rule does at every step of a test: all else is the same too."""
    found: set[Part] = set()
    for some in _batches(parts):
        candidates = [part.candidate for part in some]
        trial = run_difference_trial(world.scenario, world.rules, candidates, program)
        if trial.problem is not None:
            continue
        same = {part for number, part in enumerate(some) if number not in trial.noticed}
        memory.put({part.same().now: part in same for part in some if part.same is not None})
        found |= same
    return found


def _batches(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    for first in range(0, len(parts), MOST_AT_ONCE):
        yield parts[first : first + MOST_AT_ONCE]
