"""Worlds: the tests that count, with what an answer about them is remembered by."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from stakewatch.bundle.checks import Finding
from stakewatch.programs.find import locate
from stakewatch.promql import PromqlError
from stakewatch.rules.mutation.baseline import find_failing, passes
from stakewatch.rules.mutation.dependencies import Place, RuleSet, rule_set, selects_by_name
from stakewatch.rules.mutation.editions import Editions
from stakewatch.rules.mutation.emptiness import Emptiness
from stakewatch.rules.mutation.memory import Memory, fingerprint
from stakewatch.rules.promtool import MAJORS
from stakewatch.rules.scenarios import Asserted, Scenario


@dataclass(frozen=True, eq=False)
class World:
    """A test that counts: `programs` are the majors of promtool on which it passes.

    `versions` has the version of each major, `given` is the fingerprint of the test's input and of when it
    looks at what, `written` of all of it, `cost` is how much there is to evaluate, `emptiness` tells which
    rules yield nothing in it.
    """

    scenario: Scenario
    rules: RuleSet
    programs: tuple[str, ...]
    versions: Mapping[str, str]
    given: str
    written: str
    fires: frozenset[str]
    cost: int
    emptiness: Emptiness
    _read: dict[str, frozenset[Place]] = field(default_factory=dict)
    _sights: dict[Place, tuple[frozenset[Place], frozenset[Asserted]]] = field(default_factory=dict)

    def sights(self, place: Place) -> tuple[frozenset[Place], frozenset[Asserted]]:
        """Return what can tell copies of a rule from it: alerts, and assertions of values."""
        if place not in self._sights:
            below = self.rules.downstream(place)
            told = frozenset(filter(self.tells_of_copies, self.asserted(below)))
            self._sights[place] = self.telling(below), told
        return self._sights[place]

    def telling(self, below: Iterable[Place]) -> frozenset[Place]:
        """Return those of the rules that are alerts at which the test looks."""
        return frozenset(place for place in below if self.rules.rules[place].alert in self.scenario.looks)

    def expects(self, places: Iterable[Place]) -> frozenset[Place]:
        """Return those of the rules that are alerts which the test expects to fire."""
        return frozenset(place for place in places if self.rules.rules[place].alert in self.fires)

    def asserted(self, below: frozenset[Place]) -> frozenset[Asserted]:
        """Return the assertions of values that read what these rules record or fire."""
        return frozenset(one for one in self.scenario.asserted if not below.isdisjoint(self.read_by(one)))

    def tells_of_copies(self, asserted: Asserted) -> bool:
        """Tell whether copies of rules show what an assertion would say: it selects all by name.

        Copies of alerts have other names; where small differences are let pass only the test itself tells.
        """
        _, expression = asserted
        return not self.scenario.test_file.is_fuzzy and selects_by_name(expression)

    def read_by(self, asserted: Asserted) -> frozenset[Place]:
        """Return the rules of whose series a test asserts something."""
        _, expression = asserted
        if expression not in self._read:
            try:
                self._read[expression] = frozenset(self.rules.read_by(expression))
            except PromqlError:
                # promtool has accepted it: syntax that our parser does not know tells us nothing.
                self._read[expression] = frozenset()
        return self._read[expression]


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
    sets: dict[tuple[Path, ...], RuleSet] = {}
    for scenario in scenarios:
        paths = _paths(scenario)
        if paths not in sets:
            sets[paths] = rule_set(scenario.rule_files)

    def passes_on(job: tuple[Path, str]) -> bool:
        path, major = job
        members = by_file[path]
        rules = sets[_paths(members[0])]
        return passes(members, rules, (major, versions[major]), memory, editions)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = {
            pool.submit(passes_on, (path, major)): (path, major) for path in by_file for major in MAJORS
        }
        passing = set()
        for done, future in enumerate(as_completed(running), start=1):
            report("tests as they are", done, len(running))
            if future.result():
                passing.add(running[future])
        programs = {path: tuple(one for one in MAJORS if (path, one) in passing) for path in by_file}
        failing = [path for path, some in programs.items() if not some]
        told = pool.map(lambda path: find_failing(by_file[path], MAJORS[0]), failing)
        remarks = [remark for found in told for remark in found]
    failed = {(remark.path, remark.line) for remark in remarks}
    worlds = [
        # Of a file of which some tests fail the others count, on the newer major.
        _world(scenario, sets[_paths(scenario)], programs[path] or MAJORS[:1], versions, editions)
        for path, members in by_file.items()
        for scenario in members
        if (path, scenario.line) not in failed
    ]
    worlds.sort(key=lambda world: (world.cost, str(world.scenario.test_file.path), world.scenario.line))
    remarks.sort(key=lambda remark: (str(remark.path), remark.line))
    return tuple(worlds), tuple(remarks)


def _paths(scenario: Scenario) -> tuple[Path, ...]:
    return tuple(one.path for one in scenario.rule_files)


def _world(
    scenario: Scenario,
    rules: RuleSet,
    programs: tuple[str, ...],
    versions: Mapping[str, str],
    editions: Editions,
) -> World:
    series = scenario.world.get("input_series") or ()
    order = list(scenario.test_file.group_eval_order)
    return World(
        scenario=scenario,
        rules=rules,
        programs=programs,
        versions=versions,
        given=fingerprint(
            scenario.world, scenario.looks, scenario.step_seconds, order, *sorted(scenario.asserted)
        ),
        written=_written(scenario),
        fires=scenario.fires,
        emptiness=editions.emptiness(scenario, rules),
        cost=int(scenario.end_seconds / scenario.step_seconds + 1) * (len(series) + 1),
    )


def _written(scenario: Scenario) -> str:
    """Return the fingerprint of a test and of what its file says of all tests."""
    test_file = scenario.test_file
    order = list(test_file.group_eval_order)
    return fingerprint(scenario.written, scenario.step_seconds, order, test_file.is_fuzzy)
