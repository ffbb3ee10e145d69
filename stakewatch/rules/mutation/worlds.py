"""Worlds: the tests that count, with what an answer about them is remembered by."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.checks import Finding
from stakewatch.programs.find import locate
from stakewatch.promql import PromqlError
from stakewatch.rules.mutation.baseline import find_passing
from stakewatch.rules.mutation.dependencies import Place, RuleSet, read_names, rule_set
from stakewatch.rules.mutation.editions import Editions
from stakewatch.rules.mutation.memory import Memory, fingerprint
from stakewatch.rules.promtool import MAJORS
from stakewatch.rules.scenarios import Scenario


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
    scenarios: Sequence[Scenario],
    memory: Memory,
    editions: Editions,
    report: Callable[[str, int, int], None],
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
            pool.submit(find_passing, members, sets[_paths(members[0])], memory, editions, versions): path
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


def _paths(scenario: Scenario) -> tuple[Path, ...]:
    return tuple(one.path for one in scenario.rule_files)


def _world(
    scenario: Scenario, rules: RuleSet, programs: tuple[str, ...], versions: Mapping[str, str]
) -> World:
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
        cost=int(scenario.end_seconds / scenario.step_seconds + 1) * (len(series) + 1),
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
