"""The baseline: which test files pass on the rules as they are, asked only where that may have changed."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stakewatch.bundle.checks import Finding
from stakewatch.promql import PromqlError
from stakewatch.rules.files import Group, Rule, rule_file_data
from stakewatch.rules.mutation.dependencies import Place, RuleSet, placed
from stakewatch.rules.mutation.editions import Editions
from stakewatch.rules.mutation.memory import Memory, combined, fingerprint
from stakewatch.rules.passing import why_failed
from stakewatch.rules.promtool import Outcome, run_unit_tests
from stakewatch.rules.questions import run_tests
from stakewatch.rules.scenarios import Scenario

_TIMEOUT_SECONDS = 600.0
_OF_ALERTS, _OF_EXPRESSIONS = "alert_rule_test", "promql_expr_test"


@dataclass(frozen=True, eq=False)
class _Assertion:
    """What a test asserts of one alert, or of expressions: the cases, below the word that introduces them.

    `decisive` are the rules on which it depends: what else a file has decides nothing, unless it cannot be
    evaluated, which `stakewatch test` tells. Of those in `shown` it compares the texts as well. `said` is the
    fingerprint of the assertion and of what is given, `key` that of the rules too; `places` are the rules
    that it looks at.
    """

    scenario: Scenario
    kind: str
    cases: Sequence[Any]
    decisive: frozenset[Place]
    shown: frozenset[Place]
    places: Sequence[Place]
    said: str
    key: str


def passes(
    scenarios: Sequence[Scenario],
    rules: RuleSet,
    program: tuple[str, str],
    memory: Memory,
    editions: Editions,
) -> bool:
    """Tell whether the tests of a file pass on a program of a version.

    Raises StakewatchError when promtool is missing.
    """
    assertions = list(_assertions(scenarios, rules))
    _carry_over(assertions, rules, program, memory, editions)
    return _passes(scenarios[0].test_file.path, assertions, program, memory)


def find_failing(scenarios: Sequence[Scenario], program: str) -> list[Finding]:
    """Return what is wrong with the tests of a file that does not pass: which do is not remembered.

    Raises StakewatchError when promtool is missing.
    """
    path = scenarios[0].test_file.path
    run = _run(path, program)
    problems = ((scenario, why_failed(run, scenario)) for scenario in scenarios)
    return [
        Finding(
            path,
            scenario.line,
            f"the test {scenario.title} does not count: {problem}",
            "`stakewatch test` shows what fails; mend that first",
        )
        for scenario, problem in problems
        if problem is not None
    ]


def _carry_over(
    assertions: Sequence[_Assertion],
    rules: RuleSet,
    program: tuple[str, str],
    memory: Memory,
    editions: Editions,
) -> None:
    """Remember what held before an edit that makes no difference to it."""
    for one in assertions:
        key = combined((one.key, *program))
        if memory.get(key) is not None:
            continue
        # Editions have no texts for people, so of what shows some nothing could be carried over.
        for instead in editions.instead(one.scenario, rules, program[0], one.decisive - one.shown):
            decisive = rules.replaced(instead).decisive(one.places)
            text = _text(one.scenario, decisive, one.shown, instead)
            if memory.get(combined((combined((one.said, text)), *program))):
                memory.carry(key, answer=True)
                break


def _passes(path: Path, assertions: Sequence[_Assertion], program: tuple[str, str], memory: Memory) -> bool:
    """Tell whether a test file passes on a program of a version."""
    keys = [combined((assertion.key, *program)) for assertion in assertions]
    # Where the file fails, nothing is known of each of its assertions.
    failing = combined(("failing", *keys))
    if memory.get(failing) is not None:
        return False
    unknown = [number for number, key in enumerate(keys) if memory.get(key) is None]
    if not unknown:
        return True
    some = [assertions[number] for number in unknown]
    passed = len(some) < len(keys) and _hold(some, program[0])
    # All of it, as a person would run it, has the last word.
    passed = passed or _run(path, program[0]).passed
    memory.put({keys[number]: True for number in unknown} if passed else {failing: True})
    return passed


def _run(path: Path, program: str) -> Outcome:
    return run_unit_tests(path, program, timeout_seconds=_TIMEOUT_SECONDS)


def _hold(assertions: Sequence[_Assertion], program: str) -> bool:
    """Run some assertions of a file on the rules that decide about them, and tell whether all hold."""
    decisive = frozenset[Place]().union(*(one.decisive for one in assertions))
    tests: dict[int, dict[str, Any]] = {}
    for one in assertions:
        test = tests.setdefault(id(one.scenario), dict(one.scenario.world))
        test[one.kind] = [*test.get(one.kind, ()), *one.cases]
    scenario = assertions[0].scenario
    shown = frozenset[Place]().union(*(one.shown for one in assertions))
    groups = _groups(scenario, decisive, shown, {})
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as folder:
        return run_tests(Path(folder), scenario, groups, list(tests.values()), program).code == 0


def _assertions(scenarios: Sequence[Scenario], rules: RuleSet) -> Iterator[_Assertion]:
    named: dict[str, list[Place]] = {}
    for place, rule in rules.rules.items():
        if rule.alert is not None:
            named.setdefault(rule.alert, []).append(place)
    texts: dict[tuple[frozenset[Place], ...], str] = {}
    for scenario in scenarios:
        test_file = scenario.test_file
        patterns = [pattern for pattern, _ in test_file.rule_files]
        order = list(test_file.group_eval_order)
        given = fingerprint(scenario.world, scenario.step_seconds, order, test_file.is_fuzzy, patterns)
        for kind, cases, places in _cases(scenario, rules, named):
            decisive = rules.decisive(places)
            shown = frozenset(places if kind == _OF_ALERTS else ())
            if (decisive, shown) not in texts:
                texts[decisive, shown] = _text(scenario, decisive, shown, {})
            said = combined(("holds", given, fingerprint(kind, cases)))
            key = combined((said, texts[decisive, shown]))
            yield _Assertion(scenario, kind, cases, decisive, shown, places, said, key)


def _cases(
    scenario: Scenario, rules: RuleSet, named: Mapping[str, Sequence[Place]]
) -> Iterator[tuple[str, Sequence[Any], Sequence[Place]]]:
    """Yield what is asserted of each alert and of all expressions, with the rules that it looks at."""
    of_alerts: dict[str, list[Any]] = {}
    for case in scenario.written.get(_OF_ALERTS) or ():
        of_alerts.setdefault(str(case.get("alertname")), []).append(case)
    for alert, cases in of_alerts.items():
        yield _OF_ALERTS, cases, named.get(alert, ())
    if of_expressions := scenario.written.get(_OF_EXPRESSIONS):
        try:
            places = [place for _, one in scenario.asserted for place in rules.read_by(one)]
        except PromqlError:
            # Whether promtool knows this syntax or not, it may read anything.
            places = list(rules.rules)
        yield _OF_EXPRESSIONS, of_expressions, places


def _text(
    scenario: Scenario,
    decisive: frozenset[Place],
    shown: frozenset[Place],
    instead: Mapping[Place, Rule],
) -> str:
    """Return the fingerprint of what is written of rules, some replaced; texts for people of those shown."""
    return fingerprint([rule_file_data(groups) for groups in _groups(scenario, decisive, shown, instead)])


def _groups(
    scenario: Scenario,
    decisive: frozenset[Place],
    shown: frozenset[Place],
    instead: Mapping[Place, Rule],
) -> list[list[Group]]:
    """Return the groups of each rule file with the decisive rules alone."""

    def bare(place: Place, rule: Rule) -> Rule:
        rule = instead.get(place, rule)
        return rule if place in shown else replace(rule, annotations=MappingProxyType({}))

    return [
        [
            replace(group, rules=tuple(bare(place, rule) for place, rule in some if place in decisive))
            for group, some in placed(rule_file)
        ]
        for rule_file in scenario.rule_files
    ]
