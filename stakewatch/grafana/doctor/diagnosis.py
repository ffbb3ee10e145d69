"""The diagnosis: everything that the doctor finds out about a Prometheus, as data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stakewatch.bundle.configuration import Configuration, Role
from stakewatch.catalogue.inventory import Catalogue
from stakewatch.grafana.doctor.cost import Cost, cost_of
from stakewatch.grafana.doctor.examination import (
    CRITICAL,
    Finding,
    Kind,
    Status,
    Subject,
    alerts_of,
    examine,
    panels_of,
)
from stakewatch.grafana.fleet import Fleet, survey
from stakewatch.grafana.opening import opening_values
from stakewatch.grafana.reasons import Judge, Reason
from stakewatch.grafana.remote import LoadedRule, RefusedError, Remote, label_values
from stakewatch.grafana.supply import present, records_of, wanted_by
from stakewatch.rules.files import RuleFile


@dataclass(frozen=True)
class Bundled:
    """What of a bundle is examined; `rule_files` are as the configuration leaves them."""

    rule_files: Sequence[RuleFile]
    boards: Sequence[Mapping[str, Any]]
    catalogue: Catalogue
    configuration: Configuration


@dataclass(frozen=True)
class Diagnosis:
    """What is scraped, what of the bundle can work on it, and what it costs there.

    `rules_loaded` is None where the Prometheus does not tell.
    """

    fleet: Fleet
    findings: tuple[Finding, ...]
    cost: Cost
    rules_loaded: int | None

    def of(self, kind: Kind, *statuses: Status) -> tuple[Finding, ...]:
        """Return the findings of a kind; with statuses, those that have one of them."""
        return tuple(
            one for one in self.findings if one.kind is kind and (not statuses or one.status in statuses)
        )

    @property
    def critical(self) -> tuple[Finding, ...]:
        """The critical alerts that cannot work."""
        return tuple(one for one in self.of(Kind.ALERT, Status.CANNOT) if one.of == CRITICAL)

    def by_reason(self, *statuses: Status) -> Mapping[Reason, tuple[Finding, ...]]:
        """Return the findings of these statuses by why they are so, the reason of most first."""
        found: dict[Reason, list[Finding]] = {}
        for finding in self.findings:
            if finding.status in statuses:
                for reason in finding.reasons:
                    found.setdefault(reason, []).append(finding)
        ordered = sorted(found.items(), key=lambda item: len(item[1]), reverse=True)
        return {reason: tuple(several) for reason, several in ordered}


def diagnose(remote: Remote, bundled: Bundled, at: float, report: Callable[[str], None]) -> Diagnosis:
    """Examine a Prometheus at a time (Unix seconds); `report` is told how far it is.

    Raises StakewatchError when Prometheus does not answer, InputError when the bundle is not right.
    """
    report("what is scraped")
    fleet = survey(remote, bundled.catalogue, at)
    loaded = _rules(remote)
    known = None if loaded is None else frozenset(rule.name for rule in loaded)
    records = replace(records_of(bundled.rule_files), loaded=known)
    report("the bundle's alerts and boards")
    opened = label_values(remote, at)
    subjects: list[Subject] = list(alerts_of(bundled.rule_files))
    for board in bundled.boards:
        subjects += panels_of(board, opening_values(board, opened))
    expressions = [expression for subject in subjects for expression in subject.expressions]
    report("which series are there")
    there = present(remote, wanted_by(expressions, records), fleet.names, at)
    judge = Judge(fleet, bundled.catalogue, records.expressions, _roles(bundled.configuration))
    findings = examine(subjects, there, records, judge)
    report("what it costs")
    names = {one.name for one in there if one.name}
    return Diagnosis(
        fleet=fleet,
        findings=findings,
        cost=cost_of(remote, names, bundled.rule_files, loaded or (), report),
        rules_loaded=None if loaded is None else len(loaded),
    )


def _rules(remote: Remote) -> tuple[LoadedRule, ...] | None:
    try:
        return remote.rules()
    except RefusedError:
        # Some managed services keep their rules to themselves.
        return None


def _roles(configuration: Configuration) -> frozenset[str]:
    """Return the roles of the processes that the user says he has."""
    several = (
        (Role.EXECUTION, configuration.execution_nodes),
        (Role.BEACON, configuration.beacon_nodes),
        (Role.VALIDATOR, configuration.validator_clients),
        (Role.SIGNER, configuration.signers),
    )
    return frozenset(role for role, processes in several if processes)
