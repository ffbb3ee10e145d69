"""Scaled rule files: the same rules on a chain with shorter slots, for the demo and the end-to-end test."""

from dataclasses import replace
from pathlib import Path

from stakewatch.errors import InputError
from stakewatch.promql import PromqlError, parse_duration, print_duration, scale_durations
from stakewatch.rules.files import Group, Rule, RuleFile, load_rule_files, print_rule_file

_SHORTEST_INTERVAL_SECONDS = 1.0


def scale_rule_files(
    source: Path, destination: Path, factor: float, minimum_seconds: float
) -> tuple[Path, ...]:
    """Write every rule file of `source` into `destination` with all durations multiplied by `factor`.

    Scaled are `for`, `keep_firing_for`, group intervals (none below a second), and in expressions ranges
    (none below `minimum_seconds`, which should span a few scrapes), subqueries and offsets. Labels, texts and
    plain numbers stay. Returns the paths written. Raises InputError (file:line) when a file is no rule file
    or one of its durations cannot be scaled, ValueError when `factor` is not positive.
    """
    written = []
    for rule_file in load_rule_files(source):
        path = destination / rule_file.path.relative_to(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        groups = [_scale_group(group, rule_file, factor, minimum_seconds) for group in rule_file.groups]
        heading = f"Scaled by {factor:.6g} from {rule_file.path.name}: only for trying rules out."
        path.write_text(print_rule_file(groups, heading=heading), encoding="utf-8")
        written.append(path)
    return tuple(written)


def _scale_group(group: Group, rule_file: RuleFile, factor: float, minimum_seconds: float) -> Group:
    return replace(
        group,
        interval=_scale(
            group.interval, factor, f"{rule_file.path}:{group.line}", least_seconds=_SHORTEST_INTERVAL_SECONDS
        ),
        rules=tuple(_scale_rule(rule, rule_file, factor, minimum_seconds) for rule in group.rules),
    )


def _scale_rule(rule: Rule, rule_file: RuleFile, factor: float, minimum_seconds: float) -> Rule:
    try:
        expression = scale_durations(rule.expression, factor, minimum_seconds)
    except PromqlError as error:
        raise InputError(
            f"{rule.name}: {error.message}",
            where=f"{rule_file.path}:{rule.expression_line + error.line - 1}",
            mend=error.mend,
        ) from error
    return replace(
        rule,
        expression=expression,
        duration=_scale(rule.duration, factor, rule_file.place(rule, "for")),
        keep_firing_for=_scale(rule.keep_firing_for, factor, rule_file.place(rule, "keep_firing_for")),
    )


def _scale(duration: str | None, factor: float, where: str, *, least_seconds: float = 0.0) -> str | None:
    if duration is None:
        return None
    try:
        seconds = parse_duration(duration)
    except InputError as error:
        raise InputError(
            f"{duration!r} is no duration", where=where, mend="write 90s, 5m or 1h30m"
        ) from error
    return print_duration(max(round(seconds * factor, 3), least_seconds))
