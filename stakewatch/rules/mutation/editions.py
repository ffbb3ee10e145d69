"""Editions: what the rules said in earlier runs, and in which tests they still say the same.

An edit changes how a rule is written, and in most tests nothing of what it yields. All that only reads it
answers there as it did, so an answer that is remembered of the earlier edition holds for this one too.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from stakewatch.rules.files import Rule, RuleFile
from stakewatch.rules.mutation.dependencies import Place, RuleSet, rule_set
from stakewatch.rules.mutation.emptiness import Emptiness
from stakewatch.rules.mutation.memory import Memory, fingerprint
from stakewatch.rules.mutation.trials import run_difference_trial
from stakewatch.rules.scenarios import Scenario

# What a rule is known by through its edits: its file's name, its kind and name, and which of those it is.
_Identity: TypeAlias = str


class Editions:
    """The rules of a few earlier runs, the latest first."""

    def __init__(self, memory: Memory) -> None:
        """Read what `memory` has of them."""
        self._memory = memory
        self._earlier = [
            {identity: Rule(**fields) for identity, fields in json.loads(text).items()}
            for text in memory.editions
        ]
        self._edited: dict[RuleSet, tuple[Mapping[Place, Rule], ...]] = {}
        self._emptiness: dict[tuple[str, int], Emptiness] = {}
        self._answers: dict[tuple[str, ...], bool] = {}
        self._asked: dict[tuple[str, ...], threading.Lock] = {}

    def emptiness(self, scenario: Scenario, rules: RuleSet) -> Emptiness:
        """Return what surely yields nothing in a test; the same test gives the same."""
        key = str(scenario.test_file.path), scenario.line
        if key not in self._emptiness:
            self._emptiness[key] = Emptiness(scenario, rules)
        return self._emptiness[key]

    def instead(
        self, scenario: Scenario, rules: RuleSet, program: str, places: frozenset[Place]
    ) -> Iterator[Mapping[Place, Rule]]:
        """Yield, for each earlier run, those of the rules that were others and yield the same in a test.

        Runs of which there are none are left out. Raises StakewatchError when promtool is missing.
        """
        for edited in self._edited_of(rules):
            same = {
                place: rule
                for place, rule in edited.items()
                if place in places and self._is_same(scenario, rules, program, (place, rule))
            }
            if same:
                yield same

    def keep(self, rule_files: Iterable[RuleFile]) -> None:
        """Remember the rules as they are, and those of other files as they were."""
        loaded = {rule_file.path: rule_file for rule_file in rule_files}
        names = tuple(f"{path.name}/" for path in loaded)
        others = self._earlier[0] if self._earlier else {}
        now = {identity: _fields(rule) for identity, rule in others.items() if not identity.startswith(names)}
        rules = rule_set(loaded.values())
        now |= {identity: _fields(rules.rules[place]) for identity, place in _identities(rules).items()}
        self._memory.keep_edition(json.dumps(now, sort_keys=True))

    def _edited_of(self, rules: RuleSet) -> tuple[Mapping[Place, Rule], ...]:
        if rules not in self._edited:
            places = _identities(rules)
            self._edited[rules] = tuple(
                {
                    place: earlier[identity]
                    for identity, place in places.items()
                    if identity in earlier and rule_key(earlier[identity]) != rule_key(rules.rules[place])
                }
                for earlier in self._earlier
            )
        return self._edited[rules]

    def _is_same(self, scenario: Scenario, rules: RuleSet, program: str, edited: tuple[Place, Rule]) -> bool:
        place, earlier = edited
        file = scenario.test_file.path
        key = (str(file), str(scenario.line), program, str(place[0]), str(place[1]), rule_key(earlier))
        # Who asks the same meanwhile waits for the answer.
        with self._asked.setdefault(key, threading.Lock()):
            if key not in self._answers:
                is_same = self.emptiness(scenario, rules).stays(place, earlier)
                self._answers[key] = is_same or yields_the_same(scenario, rules, place, earlier, program)
        return self._answers[key]


def yields_the_same(scenario: Scenario, rules: RuleSet, place: Place, earlier: Rule, program: str) -> bool:
    """Tell whether a rule yields the same series and values as an earlier edition at every step of a test.

    Raises StakewatchError when promtool is missing.
    """
    trial = run_difference_trial(scenario, rules, [(place, earlier)], program)
    return trial.problem is None and not trial.noticed


def rule_key(rule: Rule) -> str:
    """Return the fingerprint of what a rule does; texts for people are left out."""
    return fingerprint(
        rule.alert, rule.record, rule.expression, rule.duration, rule.keep_firing_for, dict(rule.labels)
    )


def _identities(rules: RuleSet) -> Mapping[_Identity, Place]:
    found: dict[_Identity, Place] = {}
    counts: dict[tuple[str, ...], int] = {}
    for place, rule in rules.rules.items():
        name = (place[0].name, "alert" if rule.alert is not None else "record", rule.name)
        counts[name] = counts.get(name, 0) + 1
        found["/".join((*name, str(counts[name])))] = place
    return found


def _fields(rule: Rule) -> dict[str, Any]:
    return {
        "expression": rule.expression,
        "alert": rule.alert,
        "record": rule.record,
        "duration": rule.duration,
        "keep_firing_for": rule.keep_firing_for,
        "labels": dict(rule.labels),
    }
