"""The measurement: which mutants of the rules the tests notice."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stakewatch.bundle.checks import Finding
from stakewatch.errors import InputError
from stakewatch.promql import PromqlError
from stakewatch.rules.files import Rule, RuleFile
from stakewatch.rules.mutation.confirmation import confirm, notice_again
from stakewatch.rules.mutation.editions import Editions, rule_key
from stakewatch.rules.mutation.equivalents import Equivalent
from stakewatch.rules.mutation.memory import Memory, combined
from stakewatch.rules.mutation.mutants import Operator, mutants
from stakewatch.rules.mutation.outcomes import Outcomes
from stakewatch.rules.mutation.scoring import Mutation, Outcome
from stakewatch.rules.mutation.subjects import Keys, Subject, assign
from stakewatch.rules.mutation.trying import compare_survivors, try_mutants
from stakewatch.rules.mutation.worlds import find_worlds
from stakewatch.rules.scenarios import Scenario, find_rule_files, find_scenarios

_DEFAULT_STEP_SECONDS = 30.0


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
    subjects = _subjects(rule_files, scenarios, only)
    # A test that loads no file with a mutant has nothing to say of it.
    concerned = {subject.place[0] for subject in subjects}
    scenarios = tuple(
        one for one in scenarios if not concerned.isdisjoint(file.path for file in one.rule_files)
    )
    editions = Editions(memory)
    worlds, remarks = find_worlds(scenarios, memory, editions, report)
    assign(subjects, worlds)
    keys = Keys(memory, editions)
    earlier = Outcomes(keys, memory)
    unknown = earlier.recall(subjects)
    stages = (
        (0, len(subjects) - len(unknown)),
        notice_again(unknown, keys, memory, report),
        try_mutants(unknown, worlds, keys, memory, report),
        confirm(unknown, keys, memory, report),
        (compare_survivors(unknown, keys, memory, report), 0),
    )
    earlier.keep(unknown)
    editions.keep(rule_file for one in scenarios for rule_file in one.rule_files)
    listed = {(one.rule, one.change): one for one in equivalents}
    outcomes = tuple(_outcome(subject, listed) for subject in subjects)
    return Mutation(
        outcomes=outcomes,
        remarks=(*remarks, *_stale(equivalents, outcomes, equivalents_path or Path())),
        tests=len(scenarios),
        asked=sum(asked for asked, _ in stages),
        remembered=sum(remembered for _, remembered in stages),
        seconds=time.monotonic() - started,
    )


def _subjects(
    rule_files: Sequence[RuleFile],
    scenarios: Sequence[Scenario],
    only: Callable[[RuleFile, Rule], bool],
) -> list[Subject]:
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
                Subject(
                    rule_file.path, (path, position), rule, one, combined((rule_key(one.rule), one.operator))
                )
                for one in made
            ]
    return found


def _outcome(subject: Subject, listed: Mapping[tuple[str, str], Equivalent]) -> Outcome:
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


def _line(subject: Subject) -> int:
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
