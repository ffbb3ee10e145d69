"""Worlds: the tests that count, with what an answer about them is remembered by."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from stakewatch.bundle.checks import Finding
from stakewatch.programs.find import locate
from stakewatch.promql import PromqlError
from stakewatch.rules.files import Rule, rule_file_data
from stakewatch.rules.mutation.dependencies import Place, RuleSet, placed, read_names, rule_set
from stakewatch.rules.mutation.memory import Memory, combined, fingerprint
from stakewatch.rules.passing import why_failed
from stakewatch.rules.promtool import MAJORS, Outcome, run_unit_tests
from stakewatch.rules.scenarios import Scenario

_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True, eq=False)
class World:
    """A test that counts: `programs` are the majors of promtool on which it passes.

    `versions` has the version of each major, `given` is the fingerprint of the test's input, `written` of all
    of it, `cost` is how much there is to evaluate.
    """

    scenario: Scenario
    rules: RuleSet
    programs: tuple[str, ...]
    versions: Mapping[str, str]
    given: str
    written: str
    fires: frozenset[str]
    cost: int

    def telling(self, below: Iterable[Place]) -> frozenset[Place]:
        """Return those of the rules that are alerts at which the test looks."""
        return frozenset(place for place in below if self.rules.rules[place].alert in self.scenario.looks)

    def expects(self, places: Iterable[Place]) -> frozenset[Place]:
        """Return those of the rules that are alerts which the test expects to fire."""
        return frozenset(place for place in places if self.rules.rules[place].alert in self.fires)

    def asserts(self, below: Iterable[Place]) -> bool:
        """Tell whether the test asserts values of what these rules record or fire."""
        rules = [self.rules.rules[place] for place in below]
        names = {rule.record for rule in rules if rule.record is not None}
        if any(rule.alert is not None for rule in rules):
            names.add("ALERTS")
        return any(names & _names(expression) for expression in self.scenario.expressions)


def find_worlds(
    scenarios: Sequence[Scenario], memory: Memory, report: Callable[[str, int, int], None]
) -> tuple[tuple[World, ...], tuple[Finding, ...]]:
    """Run the tests as they are, and return those that pass, the quickest first, with remarks on the others.

    Raises StakewatchError when promtool is missing.
    """
    versions = {program: locate(program).version for program in MAJORS}
    by_file: dict[Path, list[Scenario]] = {}
    for scenario in scenarios:
        by_file.setdefault(scenario.test_file.path, []).append(scenario)
    worlds: list[World] = []
    remarks: list[Finding] = []
    sets: dict[tuple[Path, ...], RuleSet] = {}
    for scenario in scenarios:
        paths = _paths(scenario)
        if paths not in sets:
            sets[paths] = rule_set(scenario.rule_files)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = {
            pool.submit(_passing, path, [(one, sets[_paths(one)]) for one in members], memory, versions): path
            for path, members in by_file.items()
        }
        for done, future in enumerate(as_completed(running), start=1):
            report("tests as they are", done, len(by_file))
            programs, found = future.result()
            remarks += found
            failed = {finding.line for finding in found}
            for scenario in by_file[running[future]]:
                if scenario.line in failed:
                    continue
                worlds.append(_world(scenario, sets[_paths(scenario)], programs, versions))
    worlds.sort(key=lambda world: (world.cost, str(world.scenario.test_file.path), world.scenario.line))
    remarks.sort(key=lambda remark: (str(remark.path), remark.line))
    return tuple(worlds), tuple(remarks)


def rule_key(rule: Rule) -> str:
    """Return the fingerprint of what a rule does; texts for people are left out."""
    return fingerprint(
        rule.alert, rule.record, rule.expression, rule.duration, rule.keep_firing_for, dict(rule.labels)
    )


def _paths(scenario: Scenario) -> tuple[Path, ...]:
    return tuple(one.path for one in scenario.rule_files)


def _passing(
    path: Path, tests: Sequence[tuple[Scenario, RuleSet]], memory: Memory, versions: Mapping[str, str]
) -> tuple[tuple[str, ...], list[Finding]]:
    """Return the majors on which a test file passes, else one of them and the tests that do not."""
    keyed = [(scenario, _passing_key(scenario, rules)) for scenario, rules in tests]
    programs = tuple(
        program for program in MAJORS if _passes(path, keyed, (program, versions[program]), memory)
    )
    if programs:
        return programs, []
    # That a file failed is remembered, which of its tests did is not.
    run = _run(path, MAJORS[0])
    problems = ((scenario, why_failed(run, scenario)) for scenario, _ in tests)
    return (run.program,), [
        Finding(
            path,
            scenario.line,
            f"the test {scenario.title} does not count: {problem}",
            "`stakewatch test` shows what fails; mend that first",
        )
        for scenario, problem in problems
        if problem is not None
    ]


def _passes(
    path: Path, keyed: Sequence[tuple[Scenario, str]], program: tuple[str, str], memory: Memory
) -> bool:
    """Tell whether a test file passes on a program of a version; only tests not known to pass are run."""
    answers = {combined((key, *program)): scenario for scenario, key in keyed}
    # Where the file fails, nothing is known of each of its tests.
    failing = combined(("failing", *answers))
    if memory.get(failing) is not None:
        return False
    unknown = [key for key in answers if memory.get(key) is None]
    passed = True
    if 0 < len(unknown) < len(answers):
        names = {answers[key].name or "" for key in unknown}
        passed = _run(path, program[0], sorted(names)).passed
    if len(unknown) == len(answers) or not passed:
        passed = _run(path, program[0]).passed
    memory.put(dict.fromkeys(unknown, True) if passed else {failing: True})
    return passed


def _run(path: Path, program: str, names: Sequence[str] = ()) -> Outcome:
    return run_unit_tests(path, program, names=names, timeout_seconds=_TIMEOUT_SECONDS)


def _passing_key(scenario: Scenario, rules: RuleSet) -> str:
    """Return the fingerprint of all that decides whether a test passes.

    What a test file loads and a test does not look at decides nothing about this test.
    """
    looked_at = [place for place, rule in rules.rules.items() if rule.alert in scenario.looks]
    try:
        looked_at += [place for expression in scenario.expressions for place in rules.read_by(expression)]
    except PromqlError:
        # Whether promtool knows this syntax or not, it may read anything.
        looked_at = list(rules.rules)
    decisive = frozenset[Place]().union(*(rules.upstream(place) for place in looked_at))
    written = [
        rule_file_data(
            replace(group, rules=tuple(rule for place, rule in some if place in decisive))
            for group, some in placed(rule_file)
        )
        for rule_file in scenario.rule_files
    ]
    patterns = [pattern for pattern, _ in scenario.test_file.rule_files]
    return fingerprint("passes", patterns, written, _written(scenario))


def _world(
    scenario: Scenario, rules: RuleSet, programs: tuple[str, ...], versions: Mapping[str, str]
) -> World:
    latest = max((at for times in scenario.looks.values() for at in times), default=0.0)
    series = scenario.world.get("input_series") or ()
    order = list(scenario.test_file.group_eval_order)
    return World(
        scenario=scenario,
        rules=rules,
        programs=programs,
        versions=versions,
        given=fingerprint(scenario.world, scenario.looks, scenario.step_seconds, order),
        written=_written(scenario),
        fires=scenario.fires,
        cost=int(latest / scenario.step_seconds + 1) * (len(series) + 1),
    )


def _written(scenario: Scenario) -> str:
    """Return the fingerprint of a test and of what its file says of all tests."""
    test_file = scenario.test_file
    order = list(test_file.group_eval_order)
    return fingerprint(scenario.written, scenario.step_seconds, order, test_file.is_fuzzy)


def _names(expression: str) -> frozenset[str]:
    try:
        return read_names(expression)
    except PromqlError:
        # promtool has accepted it: syntax of a version that our parser does not know tells us nothing.
        return frozenset()
