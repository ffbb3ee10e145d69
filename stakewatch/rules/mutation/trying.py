"""Trying: many mutants beside the rules in one run of a test, until one test has noticed each."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from stakewatch.rules.mutation.memory import Memory
from stakewatch.rules.mutation.subjects import (
    MOST_AT_ONCE,
    NOTICED,
    Keys,
    Part,
    Subject,
    in_parallel,
    notice_key,
    part_of,
)
from stakewatch.rules.mutation.trials import Sight, run_difference_trial, run_trial
from stakewatch.rules.mutation.worlds import World
from stakewatch.rules.promtool import MAJORS

_TRIAL = "trial"
# How many mutants that were noticed before stand in one run: few, so that all processors have some.
_PIECE = 12

# What to ask at once: a test, a major, and the mutants.
_Job: TypeAlias = tuple[World, str, Sequence[Part]]


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
    noticed: dict[tuple[Subject, str], Part] = {}
    left: dict[tuple[World, str, bool], list[Part]] = {}
    unknown: dict[Subject, Sequence[Part]] = {}

    def recall(subject: Subject) -> int:
        unknown[subject], recalled = _unknown(subject, keys)
        return recalled

    remembered = in_parallel(subjects, recall)
    for subject in subjects:
        for part in unknown[subject]:
            if not subject.is_open(part.program):
                continue
            before = list(_noticed_before(part, keys, memory))
            if any(map(keys.recall_now, before)):
                remembered += 1
                subject.noticed.add(part.program)
                continue
            if before:
                known = noticed.get((subject, part.program), before[0])
                noticed[subject, part.program] = min(known, *before, key=_effort)
            fires = bool(part.candidate.asserted or part.world.expects(part.candidate.telling))
            left.setdefault((part.world, part.program, fires), []).append(part)
    # Nobody has a hint on what survived before, so every test is asked, by both majors at the same time.
    survivors = (part for some in left.values() for part in some if keys.survived(part.subject))
    asked = _compare_all(survivors, keys, memory, report)
    ended = 0
    rounds = list(_rounds(worlds, noticed, left))
    of = sum(map(len, rounds))
    for jobs in rounds:
        asked += in_parallel(jobs, lambda job: _run(*job, keys, memory), partial(_report, report, ended, of))
        ended += len(jobs)
    return asked, remembered


def compare_survivors(
    subjects: Sequence[Subject], keys: Keys, memory: Memory, report: Callable[[str, int, int], None]
) -> int:
    """Ask in which tests a mutant that nobody noticed records the same as the rule; return how many answers.

    Those need not be asked again when what reads the rule is edited. Raises StakewatchError when promtool is
    missing.
    """
    parts = (part for subject in subjects if not subject.noticed for part in _parts(subject, keys))
    return _compare_all(parts, keys, memory, report)


def _compare_all(
    parts: Iterable[Part], keys: Keys, memory: Memory, report: Callable[[str, int, int], None]
) -> int:
    by_run: dict[tuple[World, str], list[Part]] = {}
    for part in parts:
        if part.subject.rule.record is not None:
            by_run.setdefault((part.world, part.program), []).append(part)
    jobs: list[_Job] = [(*run, some) for run, some in by_run.items()]
    return in_parallel(
        jobs,
        lambda job: _compare(*job, keys, memory),
        lambda done: report("what survivors record", done, len(jobs)),
    )


def _rounds(
    worlds: Sequence[World],
    noticed: Mapping[tuple[Subject, str], Part],
    left: Mapping[tuple[World, str, bool], Sequence[Part]],
) -> Iterator[list[_Job]]:
    """Yield what to ask at the same time: after each round many mutants need not be asked about any more.

    The test that noticed before mostly does again, and where an alert fires most mutants are noticed. Of the
    majors the newer is first: its answer may suffice.
    """
    for program in MAJORS:
        jobs: list[_Job] = []
        for world in worlds:
            parts = [one for one in noticed.values() if (one.world, one.program) == (world, program)]
            # Those that are looked at early need no more than the beginning of the test.
            parts.sort(key=lambda part: part.candidate.at or 0.0)
            jobs += [(world, program, piece) for piece in _batches(parts, _PIECE)]
        yield jobs
    for fires in (True, False):
        for program in MAJORS:
            yield [
                (world, program, parts)
                for world in worlds
                for parts in _by_end(left.get((world, program, fires), ()))
            ]


def _by_end(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """Yield the mutants that are looked at about as long: the beginning suffices for some."""
    found: dict[int, list[Part]] = {}
    for part in parts:
        scenario = part.world.scenario
        last = max(at for at, _ in part.candidate.sights(scenario, part.world.rules))
        found.setdefault(int(last / scenario.step_seconds).bit_length(), []).append(part)
    for _, some in sorted(found.items()):
        yield some


def _effort(part: Part) -> float:
    """Return how much there is to evaluate."""
    return (part.candidate.at or 0.0) / part.world.scenario.step_seconds * (len(part.candidate.wanted) + 1)


def _report(report: Callable[[str, int, int], None], ended: int, of: int, done: int) -> None:
    report("mutants", ended + done, of)


def _unknown(subject: Subject, keys: Keys) -> tuple[Sequence[Part], int]:
    """Recall what tests said of a mutant; return what is not known, and how many answers were remembered."""
    parts: Iterable[Part] = _parts(subject, keys)
    unknown: list[Part] = []
    remembered = 0
    # What is known of the rules as they are may be enough, and is found at once.
    for recall in (keys.recall_now, keys.recall_same):
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
        if world.emptiness.stays(subject.place, subject.mutant.rule):
            continue
        telling, asserted = world.sights(subject.place)
        for program in subject.asked.intersection(world.programs) if telling or asserted else ():
            if subject.is_open(program):
                yield part_of(subject, (world, program), telling, keys, question=_TRIAL, asserted=asserted)


def _noticed_before(part: Part, keys: Keys, memory: Memory) -> Iterator[Part]:
    """Yield what to ask of each thing by which the test noticed the mutant in an earlier run."""
    if not all(
        memory.get(notice_key(NOTICED, part.subject, part.program, one)) for one in (None, part.world)
    ):
        return
    for at, sight in part.candidate.sights(part.world.scenario, part.world.rules):
        if memory.get(_notice_key_of(part, sight, at)):
            yield _narrowed(part, sight, at, keys)


def _narrowed(part: Part, sight: Sight, at: float, keys: Keys) -> Part:
    """Return what to ask where only one thing is looked at, only then (s)."""
    job = part.world, part.program
    if isinstance(sight, str):
        one = frozenset({(at, sight)})
        return part_of(part.subject, job, frozenset(), keys, question=_TRIAL, asserted=one, at=at)
    return part_of(part.subject, job, frozenset({sight}), keys, question=_TRIAL, at=at)


def _notice_key_of(part: Part, sight: Sight, at: float) -> str:
    what = sight if isinstance(sight, str) else part.world.rules.rules[sight].name
    return notice_key(NOTICED, part.subject, part.program, part.world, (what, at))


def _run(world: World, program: str, parts: Sequence[Part], keys: Keys, memory: Memory) -> int:
    """Ask one test about the mutants that no test has noticed yet; return how many answers it gave."""
    left = [part for part in parts if _is_unknown(part, keys)]
    asked = _compare(world, program, [part for part in left if keys.compares(part)], keys, memory)
    left = [part for part in left if keys.recall_same(part) is None]
    for some in _batches(left, MOST_AT_ONCE):
        trial = run_trial(world.scenario, world.rules, [part.candidate for part in some], program)
        if trial.problem is not None:
            # This test cannot be asked about many at once: it is run on what no other test notices.
            for part in some:
                part.subject.untold.append((world, program))
            continue
        answers = {part.key.now: number in trial.noticed for number, part in enumerate(some)}
        for number in trial.noticed:
            some[number].subject.noticed.add(program)
        for number, by in trial.by.items():
            subject = some[number].subject
            answers |= dict.fromkeys(
                (notice_key(NOTICED, subject, program, one) for one in (None, world)), True
            )
            for sight, at in by.items():
                answers[_notice_key_of(some[number], sight, at)] = True
                # What it says alone holds when another alert is edited.
                answers[_narrowed(some[number], sight, at, keys).key.now] = True
        memory.put(answers)
    return asked + len(left)


def _is_unknown(part: Part, keys: Keys) -> bool:
    """Tell whether a mutant is to be asked about; what was said before an edit may hold."""
    if not part.subject.is_open(part.program):
        return False
    answer = keys.recall_same(part)
    if answer is None:
        answer = keys.recall_earlier(part)
    if answer:
        part.subject.noticed.add(part.program)
    return answer is None


def _compare(world: World, program: str, parts: Sequence[Part], keys: Keys, memory: Memory) -> int:
    """Ask, where that is not known, which mutants record what the rule does at every step of a test.

    For them all else is the same too. Returns how many answers it gave.
    """
    unknown = [part for part in parts if keys.recall(part.same()) is None]
    for some in _batches(unknown, MOST_AT_ONCE):
        changed = [(part.candidate.place, part.candidate.mutant.rule) for part in some]
        trial = run_difference_trial(world.scenario, world.rules, changed, program)
        if trial.problem is None:
            memory.put({part.same().now: number not in trial.noticed for number, part in enumerate(some)})
    return len(unknown)


def _batches(parts: Sequence[Part], most: int) -> Iterator[Sequence[Part]]:
    for first in range(0, len(parts), most):
        yield parts[first : first + most]
