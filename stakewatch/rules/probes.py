"""Probes: what the twins of alerts do in a scenario."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from stakewatch.rules.files import Group, Rule, RuleFile
from stakewatch.rules.questions import Labels, ask, identity
from stakewatch.rules.scenarios import Scenario
from stakewatch.rules.twins import Twin, candidates, unaware_of

_PREFIX = "stakewatch_twin_"
_PATTERN = f"{_PREFIX}[0-9]+"
_FIRING = f'ALERTS{{alertname=~"{_PATTERN}", alertstate="firing"}}'


@dataclass(frozen=True)
class Probed:
    """One alert of a scenario by its place among the rules of its file; of its twins the copy is first."""

    path: Path
    position: int
    rule: Rule
    twins: tuple[Twin, ...]


@dataclass(frozen=True)
class Answers:
    """What happened in a scenario.

    `firing` maps seconds and a twin (position of the alert, of the twin) to how often labels fired;
    `instances` maps seconds and an alert's position to the labels that could fire. `broken` are the twins
    that Prometheus could not evaluate. `problem` says why the scenario could not be probed at all.
    """

    firing: Mapping[tuple[float, int, int], Counter[Labels]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    instances: Mapping[tuple[float, int], frozenset[Labels]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    broken: frozenset[tuple[int, int]] = frozenset()
    problem: str | None = None


def probe(scenario: Scenario, probed: Sequence[Probed], program: str) -> Answers:
    """Run a scenario with the twins of its alerts beside them, and return what fired when it was looked.

    `program` is the major of promtool to run it with.
    A twin that breaks the evaluation is left out and the scenario run again.
    Raises StakewatchError when promtool is missing or cannot be started.
    """
    names = {
        f"{_PREFIX}{number}": key
        for number, key in enumerate(
            (alert, twin) for alert, one in enumerate(probed) for twin in range(len(one.twins))
        )
    }
    times = sorted({time for one in probed for time in scenario.looks[one.rule.name]})
    asked = [
        (time, alert, candidates(one.rule.expression))
        for alert, one in enumerate(probed)
        for time in scenario.looks[one.rule.name]
    ]
    questions = [(time, _FIRING) for time in times] + [(time, expression) for time, _, expression in asked]
    broken: frozenset[str] = frozenset()
    with tempfile.TemporaryDirectory(prefix="stakewatch-") as name:
        while True:
            kept = {twin: key for twin, key in names.items() if twin not in broken}
            reply = ask(Path(name), scenario, _beside(scenario, probed, kept), questions, program)
            if not reply.broken or not reply.broken <= kept.keys():
                break
            broken |= reply.broken
    if reply.broken or reply.samples is None:
        return Answers(problem=reply.said)
    firing: dict[tuple[float, int, int], Counter[Labels]] = {}
    for time, samples in zip(times, reply.samples, strict=False):
        for sample in samples:
            key = (time, *names[sample.labels["alertname"]])
            firing.setdefault(key, Counter())[identity(sample.labels)] += 1
    return Answers(
        firing=firing,
        instances={
            (time, alert): frozenset(identity(sample.labels) for sample in samples)
            for (time, alert, _), samples in zip(asked, reply.samples[len(times) :], strict=True)
        },
        broken=frozenset(names[one] for one in broken),
    )


def _beside(
    scenario: Scenario, probed: Sequence[Probed], names: Mapping[str, tuple[int, int]]
) -> list[list[Group]]:
    """Return the groups of each rule file, each alert with its twins behind it."""
    of_alert: dict[int, list[Rule]] = {}
    for name, (alert, twin) in names.items():
        of_alert.setdefault(alert, []).append(replace(probed[alert].twins[twin].rule, alert=name))
    beside = {id(one.rule): of_alert.get(alert, []) for alert, one in enumerate(probed)}
    alerts_are_read = any(map(_reads_alerts, chain(*(one.rules for one in scenario.rule_files))))
    return [
        _with_twins(rule_file, beside, alerts_are_read=alerts_are_read) for rule_file in scenario.rule_files
    ]


def _reads_alerts(rule: Rule) -> bool:
    return any("ALERTS" in text for text in (rule.expression, *rule.labels.values()))


def _with_twins(
    rule_file: RuleFile, beside: Mapping[int, Sequence[Rule]], *, alerts_are_read: bool
) -> list[Group]:
    """Return the groups of a rule file with twins; alerts stay only where another rule may read them."""
    return [
        replace(
            group,
            rules=tuple(
                replace(
                    each,
                    expression=unaware_of(each.expression, _PATTERN),
                    annotations=MappingProxyType({}),
                )
                for rule in group.rules
                for each in (rule, *beside.get(id(rule), ()))
                if alerts_are_read or each is not rule or rule.record is not None
            ),
        )
        for group in rule_file.groups
    ]
