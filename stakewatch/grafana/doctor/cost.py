"""The cost: what the bundle's series and rules mean for a Prometheus."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stakewatch.grafana.remote import LoadedRule, RefusedError, Remote
from stakewatch.grafana.supply import name_patterns
from stakewatch.rules.files import Rule, RuleFile

_RATE_SECONDS = 300


@dataclass(frozen=True)
class Cost:
    """What the bundle costs.

    `series` are those that its rules and boards read, and `samples_per_second` what they brought in the last
    five minutes.
    `recorded_series` are those that its rules add, `rules_seconds` is what evaluating all of them once takes.
    `measured` tells whether the rules are loaded there: else each was asked for once, as a query.
    `refused` are the rules whose query was refused, with the reason.
    """

    series: int
    samples_per_second: float
    recorded_series: int
    rules: int
    rules_seconds: float
    measured: bool
    refused: tuple[tuple[str, str], ...] = ()


def cost_of(
    remote: Remote,
    names: Iterable[str],
    rule_files: Iterable[RuleFile],
    loaded: Iterable[LoadedRule],
    report: Callable[[str], None],
) -> Cost:
    """Return what reading the metrics `names` and evaluating the rules costs.

    `report` is told how far it is. Raises StakewatchError when Prometheus does not answer.
    """
    scrapes = _by_job(remote, f"max by (job) (count_over_time(up[{_RATE_SECONDS}s]))")
    series = samples = 0.0
    for pattern in name_patterns(names):
        for job, count in _by_job(remote, f'count by (job) ({{__name__=~"{pattern}"}})').items():
            series += count
            samples += count * scrapes.get(job, 0.0)
    rules = [rule for rule_file in rule_files for rule in rule_file.rules]
    ours = {rule.name for rule in rules}
    there = [rule for rule in loaded if rule.name in ours]
    measured = ours <= {rule.name for rule in there}
    evaluation = _evaluated(remote, rules, there) if measured else _asked(remote, rules, report)
    return Cost(
        series=int(series),
        samples_per_second=samples / _RATE_SECONDS,
        recorded_series=evaluation.series,
        rules=len(rules),
        rules_seconds=evaluation.seconds,
        measured=measured,
        refused=evaluation.refused,
    )


@dataclass(frozen=True)
class _Evaluation:
    series: int
    seconds: float
    refused: tuple[tuple[str, str], ...] = ()


def _evaluated(remote: Remote, rules: list[Rule], there: list[LoadedRule]) -> _Evaluation:
    recorded = {rule.name for rule in rules if rule.record}
    series = sum(_number(remote, f'count({{__name__=~"{some}"}})') for some in name_patterns(recorded))
    return _Evaluation(int(series), sum(rule.seconds for rule in there))


def _asked(remote: Remote, rules: list[Rule], report: Callable[[str], None]) -> _Evaluation:
    recorded = 0
    seconds = 0.0
    refused: list[tuple[str, str]] = []
    for place, rule in enumerate(rules, 1):
        report(f"rule {place} of {len(rules)}: {rule.name}")
        started = time.perf_counter()
        try:
            found = remote.query(rule.expression)
        except RefusedError as error:
            refused.append((rule.name, error.what))
            found = ()
        seconds += time.perf_counter() - started
        recorded += len(found) if rule.record else 0
    return _Evaluation(recorded, seconds, tuple(refused))


def _by_job(remote: Remote, expression: str) -> dict[str, float]:
    return {one.labels.get("job", ""): one.newest for one in remote.query(expression)}


def _number(remote: Remote, expression: str) -> float:
    return sum(one.newest for one in remote.query(expression))
