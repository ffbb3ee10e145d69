"""The report `rules`: what the static checks came to, as figures."""

from collections.abc import Sequence

from stakewatch.bundle.checks import Outcome
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.reports import Figure, Report, revision
from stakewatch.rules.files import load_rule_files

_CATALOGUE_CHECKS = ("rules/catalogue", "grafana/catalogue")


def rules_report(bundle: Bundle, outcomes: Sequence[Outcome]) -> Report:
    """Return the figures of a run of all checks.

    `unknown_metrics` counts what rules and panels read that no component exposes, or that misleads.
    Raises InputError when a rule file cannot be read.
    """
    alerts = {rule.name for file in load_rule_files(bundle.rules) for rule in file.alerts}
    unknown = [
        finding
        for outcome in outcomes
        if outcome.check.name in _CATALOGUE_CHECKS
        for finding in outcome.findings
    ]
    without_runbook = [name for name in alerts if not (bundle.runbooks / f"{name}.md").is_file()]
    figures = (
        Figure("unknown_metrics", len(unknown), "metrics", "== 0"),
        Figure("alerts", len(alerts), "alerts", ">= 1"),
        Figure("alerts_without_runbook", len(without_runbook), "alerts", "== 0"),
        Figure("checks", len(outcomes), "checks"),
        Figure("findings", sum(len(outcome.findings) for outcome in outcomes), "findings", "== 0"),
        Figure("not_carried_out", sum(outcome.error is not None for outcome in outcomes), "checks", "== 0"),
    )
    seconds = sum(outcome.seconds for outcome in outcomes)
    return Report(report="rules", revision=revision(bundle.root), seconds=seconds, figures=figures)
