"""The account: a diagnosis for people, by reason, and for programs, one by one."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from stakewatch.catalogue.inventory import Catalogue
from stakewatch.grafana.doctor.cost import Cost
from stakewatch.grafana.doctor.diagnosis import Diagnosis
from stakewatch.grafana.doctor.examination import CRITICAL, Finding, Kind, Status
from stakewatch.grafana.fleet import Fleet, Gap, Process

_HEADINGS = (
    (Status.CANNOT, "Cannot work"),
    (Status.PARTLY, "Works in part: something that it also reads is missing"),
    (Status.UNTOLD, "Cannot be told yet: the program is scraped, the series has not come"),
    (Status.NEEDLESS, "Nothing to watch here"),
)


def print_diagnosis(diagnosis: Diagnosis, catalogue: Catalogue, url: str, console: Console) -> None:
    """Print what is scraped, what does not work by its reason with the mend, and the cost."""
    _print_fleet(diagnosis.fleet, catalogue, url, console)
    for status, heading in _HEADINGS:
        reasons = diagnosis.by_reason(status)
        if reasons:
            console.print(f"\n{heading}", style="bold")
        for reason, findings in reasons.items():
            console.print(f"  {reason.said}", soft_wrap=True)
            _print_names("alerts", _alerts(findings), console)
            _print_names("panels", _panels(findings), console)
            console.print(f"    mend: {reason.mend}", soft_wrap=True)
    _print_blind(diagnosis, console)
    console.print()
    console.print(_summary(diagnosis))
    _print_cost(diagnosis.cost, console)
    if diagnosis.rules_loaded is None:
        console.print("This Prometheus does not tell which rules it has loaded.", soft_wrap=True)
    if diagnosis.critical:
        names = ", ".join(one.name for one in diagnosis.critical)
        console.print(f"Critical alerts that cannot work: {names}", style="bold red", soft_wrap=True)


def as_data(diagnosis: Diagnosis, catalogue: Catalogue) -> dict[str, Any]:
    """Return the whole diagnosis as plain data: each alert and panel with its status and reasons."""
    cost = diagnosis.cost
    return {
        "scraped": {
            "components": [
                {"component": name, "title": catalogue.components[name].title}
                for name in sorted(diagnosis.fleet.components)
            ],
            "processes": [
                {
                    "role": process.role,
                    "implementation": process.implementation,
                    "targets": count,
                    "up": diagnosis.fleet.answering.get(process, 0),
                }
                for process, count in sorted(
                    diagnosis.fleet.targets.items(), key=lambda item: (item[0].role, item[0].implementation)
                )
            ],
            "missing_labels": [
                {
                    "component": gap.component,
                    "job": gap.job,
                    "label": gap.label,
                    "expected": gap.expected,
                    "found": gap.found,
                }
                for gap in diagnosis.fleet.gaps
            ],
        },
        "alerts": [_finding_data(one, "severity") for one in diagnosis.of(Kind.ALERT)],
        "panels": [_finding_data(one, "board") for one in diagnosis.of(Kind.PANEL)],
        "critical_alerts_that_cannot_work": [one.name for one in diagnosis.critical],
        "cost": {
            "series": cost.series,
            "samples_per_second": round(cost.samples_per_second, 1),
            "recorded_series": cost.recorded_series,
            "rules": cost.rules,
            "rules_seconds": round(cost.rules_seconds, 4),
            "rules_are_loaded": cost.measured,
            "refused": [{"rule": name, "reason": reason} for name, reason in cost.refused],
        },
        "rules_loaded": diagnosis.rules_loaded,
    }


def _finding_data(finding: Finding, of: str) -> dict[str, Any]:
    return {
        "name": finding.name,
        of: finding.of,
        "status": finding.status.value,
        "blind_for": [f"{one.implementation} ({one.role})" for one in finding.blind],
        "lacks": [
            {
                "series": lack.wanted.selector,
                "cause": lack.reason.cause.value,
                "why": lack.reason.said,
                "mend": lack.reason.mend,
            }
            for lack in finding.lacks
        ],
    }


def _print_fleet(fleet: Fleet, catalogue: Catalogue, url: str, console: Console) -> None:
    console.print(f"{url} scrapes", style="bold", soft_wrap=True)
    staking = [
        f"{process.implementation or '(no implementation)'} ({process.role}): {count} targets, "
        f"{fleet.answering.get(process, 0)} up"
        for process, count in sorted(fleet.targets.items(), key=lambda item: item[0].role)
    ]
    shown = {(process.role, process.implementation) for process in fleet.targets}
    others = [
        component.title
        for name in sorted(fleet.components)
        if ((component := catalogue.components[name]).role, component.implementation) not in shown
    ]
    for line in [*staking, *others] or ["nothing that the catalogue knows"]:
        console.print(f"  {line}", soft_wrap=True)
    if fleet.gaps:
        console.print("\nLabels of the contract that are missing or other than they should be", style="bold")
    for gap in fleet.gaps:
        console.print(f"  {_said(gap, catalogue)}", soft_wrap=True)


def _said(gap: Gap, catalogue: Catalogue) -> str:
    title = catalogue.components[gap.component].title
    is_so = f'has {gap.label}="{gap.found}"' if gap.found else f"has no {gap.label}"
    mend = f'; give its targets {gap.label}="{gap.expected}"' if gap.expected else ""
    return f"{title} of the job {gap.job or '(none)'} {is_so}{mend}"


def _print_blind(diagnosis: Diagnosis, console: Console) -> None:
    blind: dict[Process, list[Finding]] = {}
    for finding in diagnosis.of(Kind.ALERT):
        for process in finding.blind:
            blind.setdefault(process, []).append(finding)
    if blind:
        console.print("\nWorks, but says nothing about these: they have no such signal", style="bold")
    for process, findings in blind.items():
        name = f"{process.implementation} ({process.role})"
        console.print(f"  {name}: {', '.join(_alerts(findings))}", soft_wrap=True)


def _alerts(findings: Iterable[Finding]) -> list[str]:
    """Return the names of alerts, the critical ones first and marked."""
    alerts = [one for one in findings if one.kind is Kind.ALERT]
    ordered = sorted(alerts, key=lambda one: one.of != CRITICAL)
    return [f"{one.name} (critical)" if one.of == CRITICAL else one.name for one in ordered]


def _panels(findings: Iterable[Finding]) -> list[str]:
    """Return how many panels of each board there are, with their titles."""
    boards: dict[str, list[str]] = {}
    for one in findings:
        if one.kind is Kind.PANEL:
            boards.setdefault(one.of, []).append(one.name)
    return [f"{board} ({', '.join(titles)})" for board, titles in boards.items()]


def _print_names(what: str, names: Sequence[str], console: Console) -> None:
    if names:
        console.print(f"    {what}: {', '.join(names)}", soft_wrap=True)


def _summary(diagnosis: Diagnosis) -> Table:
    table = Table("", *(status.value for status in Status), highlight=False)
    for kind in Kind:
        counts = (str(len(diagnosis.of(kind, status))) for status in Status)
        table.add_row(f"{kind.value}s", *counts)
    return table


def _print_cost(cost: Cost, console: Console) -> None:
    how = "as it measures itself" if cost.measured else "each asked for once: they are not loaded"
    console.print(
        f"Cost here: {cost.series:,} series read, {cost.samples_per_second:,.0f} samples/s; "
        f"{cost.rules:,} rules add {cost.recorded_series:,} series and take "
        f"{cost.rules_seconds:.3f} s a round ({how})",
        soft_wrap=True,
    )
    for name, reason in cost.refused:
        console.print(f"  the rule {name} is refused: {reason}", soft_wrap=True)
