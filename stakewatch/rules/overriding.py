"""Overrides: what `stakewatch.yaml` changes of the rules, with every mistake of a user told by name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from stakewatch.bundle.configuration import Configuration, Objectives, Override, Urls
from stakewatch.bundle.problems import did_you_mean
from stakewatch.errors import InputError
from stakewatch.promql import PromqlError, parse_duration, replace_threshold
from stakewatch.promql.printing import print_number
from stakewatch.rules.files import Group, Rule, RuleFile

THRESHOLD = "threshold"
_PERCENTAGE = "humanizePercentage"


def apply_configuration(rule_files: Sequence[RuleFile], configuration: Configuration) -> tuple[RuleFile, ...]:
    """Return the rule files with objectives and overrides applied and links on the configured bases.

    Rules that are switched off are gone, and groups that lost all their alerts with them.
    Raises InputError when an override names an unknown alert or does not fit the alert, and when no rule
    records an objective that is set.
    """
    known = sorted(rule.name for rule_file in rule_files for rule in rule_file.alerts)
    for name, override in configuration.overrides.items():
        if name not in known:
            raise InputError(
                f"overrides.{name}: no alert has this name",
                where=override.place,
                mend=did_you_mean(name, known, "the alerts are"),
            )
    objectives = _objectives(configuration.objectives, rule_files)
    return tuple(
        replace(
            rule_file,
            groups=tuple(
                changed
                for group in rule_file.groups
                if (changed := _apply_to_group(group, rule_file, configuration, objectives)).rules
            ),
        )
        for rule_file in rule_files
    )


def _objectives(objectives: Objectives, rule_files: Sequence[RuleFile]) -> Mapping[str, str]:
    """Return the expressions of the constant rules that hold the objectives, by what they record."""
    name = "attestation_inclusion"
    share = objectives.attestation_inclusion
    if share is None:
        return {}
    record = f"objective:stakewatch_{name}:ratio"
    if not any(rule.record == record for rule_file in rule_files for rule in rule_file.rules):
        raise InputError(
            f"objectives.{name}: no rule records {record}, so nothing would count against it",
            where=objectives.place,
            mend="take it out, or add the rule: `stakewatch init` copies the file that has it",
        )
    return {record: f"vector({print_number(share)})"}


def _apply_to_group(
    group: Group, rule_file: RuleFile, configuration: Configuration, objectives: Mapping[str, str]
) -> Group:
    rules = tuple(
        _rebase(_apply(_with_objective(rule, objectives), override, rule_file), configuration.urls)
        for rule in group.rules
        if (override := _override(rule, configuration)).enabled
    )
    lost_its_alerts = any(rule.alert for rule in group.rules) and not any(rule.alert for rule in rules)
    return replace(group, rules=() if lost_its_alerts else rules)


def _with_objective(rule: Rule, objectives: Mapping[str, str]) -> Rule:
    expression = objectives.get(rule.record or "")
    return rule if expression is None else replace(rule, expression=expression)


def _override(rule: Rule, configuration: Configuration) -> Override:
    unchanged = Override()
    return configuration.overrides.get(rule.alert, unchanged) if rule.alert else unchanged


def _apply(rule: Rule, override: Override, rule_file: RuleFile) -> Rule:
    if override == Override():
        return rule
    if override.threshold is not None:
        rule = _with_threshold(rule, override, override.threshold, rule_file)
    if override.duration is not None:
        try:
            parse_duration(override.duration)
        except InputError as error:
            what = f"`for: {override.duration}` is no duration"
            raise _refused(rule, override, what, "write 90s, 5m or 1h30m") from error
        rule = replace(rule, duration=override.duration)
    labels = dict(rule.labels)
    if override.severity is not None:
        labels["severity"] = override.severity
    return replace(rule, labels=MappingProxyType({**labels, **override.labels}))


def _with_threshold(rule: Rule, override: Override, threshold: float, rule_file: RuleFile) -> Rule:
    old = rule.annotations.get(THRESHOLD)
    if old is None:
        what = "it has no threshold that may be tuned"
        mend = f"remove `threshold`; the rule stands in {rule_file.place(rule)}"
        raise _refused(rule, override, what, mend)
    # A ratio that is shown in per cent: 90 would be 9,000 %, and the alert could never fire.
    if _PERCENTAGE in rule.annotations.get("description", "") and not 0 <= threshold <= 1:
        what = f"its threshold is a ratio ({old} as it stands), and {threshold:g} is none"
        raise _refused(rule, override, what, "write 0.9 for 90 %")
    try:
        expression = replace_threshold(rule.expression, float(old), threshold)
    except (PromqlError, ValueError) as error:
        raise InputError(
            f"the threshold of {rule.name} cannot be replaced: {error}",
            where=rule_file.place(rule, f"annotations.{THRESHOLD}"),
            mend="the annotation's number must stand once in `expr`, as the right side of a comparison",
        ) from error
    annotations: Mapping[str, str] = {**rule.annotations, THRESHOLD: print_number(threshold)}
    return replace(rule, expression=expression, annotations=MappingProxyType(dict(annotations)))


def _rebase(rule: Rule, urls: Urls) -> Rule:
    bases = ((Urls().runbooks, urls.runbooks), (Urls().grafana, urls.grafana))
    annotations = {
        name: next((new + text.removeprefix(old) for old, new in bases if text.startswith(f"{old}/")), text)
        for name, text in rule.annotations.items()
    }
    return replace(rule, annotations=MappingProxyType(annotations))


def _refused(rule: Rule, override: Override, what: str, mend: str) -> InputError:
    return InputError(f"overrides.{rule.name}: {what}", where=override.place, mend=mend)
