"""Worlds: the tests that count, with what an answer about them is remembered by."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.checks import Finding
from stakewatch.programs.find import locate
from stakewatch.promql import PromqlError
from stakewatch.rules.files import Rule
from stakewatch.rules.mutation.dependencies import Place, RuleSet, read_names, rule_set
from stakewatch.rules.mutation.memory import Memory, fingerprint
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
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = {
            pool.submit(_passing, path, members, memory, versions): path for path, members in by_file.items()
        }
        for done, future in enumerate(as_completed(running), start=1):
            report("tests as they are", done, len(by_file))
            programs, found = future.result()
            remarks += found
            failed = {finding.line for finding in found}
            for scenario in by_file[running[future]]:
                if scenario.line in failed:
                    continue
                paths = tuple(one.path for one in scenario.rule_files)
                if paths not in sets:
                    sets[paths] = rule_set(scenario.rule_files)
                worlds.append(_world(scenario, sets[paths], programs, versions))
    worlds.sort(key=lambda world: (world.cost, str(world.scenario.test_file.path), world.scenario.line))
    remarks.sort(key=lambda remark: (str(remark.path), remark.line))
    return tuple(worlds), tuple(remarks)


def rule_key(rule: Rule) -> str:
    """Return the fingerprint of what a rule does; texts for people are left out."""
    return fingerprint(
        rule.alert, rule.record, rule.expression, rule.duration, rule.keep_firing_for, dict(rule.labels)
    )


def _passing(
    path: Path, scenarios: Sequence[Scenario], memory: Memory, versions: Mapping[str, str]
) -> tuple[tuple[str, ...], list[Finding]]:
    """Return the majors on which a test file passes, else one of them and the tests that do not."""
    files = {one.path for scenario in scenarios for one in scenario.rule_files}
    texts = [one.read_text(encoding="utf-8") for one in (path, *sorted(files))]
    found = []
    outcomes: dict[str, Outcome] = {}
    for program in MAJORS:
        key = fingerprint("file", program, versions[program], texts)
        passed = memory.get(key)
        if passed is None:
            outcomes[program] = run_unit_tests(path, program, timeout_seconds=_TIMEOUT_SECONDS)
            passed = outcomes[program].passed
            memory.put({key: passed})
        if passed:
            found.append(program)
    if found:
        return tuple(found), []
    # That a file failed is remembered, which of its tests did is not.
    run = outcomes.get(MAJORS[0]) or run_unit_tests(path, MAJORS[0], timeout_seconds=_TIMEOUT_SECONDS)
    problems = ((scenario, why_failed(run, scenario)) for scenario in scenarios)
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
        written=fingerprint(scenario.written, scenario.step_seconds, order),
        fires=scenario.fires,
        cost=int(latest / scenario.step_seconds + 1) * (len(series) + 1),
    )


def _names(expression: str) -> frozenset[str]:
    try:
        return read_names(expression)
    except PromqlError:
        # promtool has accepted it: syntax of a version that our parser does not know tells us nothing.
        return frozenset()
