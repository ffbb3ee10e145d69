"""Pitfalls as findings: each with its place, less those that a comment in the rule file waives."""

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.document import read_text
from stakewatch.bundle.problems import did_you_mean
from stakewatch.catalogue import Catalogue
from stakewatch.errors import InputError
from stakewatch.promql import PromqlError
from stakewatch.promql.errors import line_and_column
from stakewatch.rules.files import Rule, RuleFile
from stakewatch.rules.pitfall_surroundings import Pitfall, Surroundings, surroundings_of
from stakewatch.rules.pitfalls import FINDERS, pitfalls, today, waivers


def pitfall_findings(
    rule_files: Iterable[RuleFile], catalogue: Catalogue, on: date | None = None
) -> Iterator[Finding]:
    """Yield the pitfalls of rules, and waivers that are out of date, give no reason or excuse nothing.

    `on` is the day on which waivers are judged, today by default. What is no PromQL is left to other checks.
    """
    files = tuple(rule_files)
    try:
        surroundings = surroundings_of(files, catalogue)
        for rule_file in files:
            yield from _of_file(rule_file, surroundings, on or today())
    except PromqlError:
        # rules/syntax says where.
        return


def _of_file(rule_file: RuleFile, surroundings: Surroundings, day: date) -> Iterator[Finding]:
    lines = read_text(rule_file.path).splitlines()
    ends = [after.line for _, after in pairwise(rule_file.rules)]
    for rule, end in zip(rule_file.rules, [*ends, len(lines) + 1], strict=True):
        excused: dict[str, int] = {}
        for waiver in waivers(lines, rule, _without_comment(lines, end)):
            if waiver.code not in FINDERS:
                mend = did_you_mean(waiver.code, list(FINDERS), "there are")
                yield Finding(rule_file.path, waiver.line, f"there is no pitfall {waiver.code}", mend)
            elif not waiver.reason:
                message = f"the waiver of {waiver.code} gives no reason"
                yield Finding(
                    rule_file.path, waiver.line, message, "say behind the code why it is right here"
                )
            elif waiver.expired(day):
                message = f"the waiver of {waiver.code} ended on {waiver.until}"
                yield Finding(rule_file.path, waiver.line, message, "mend the rule, or set a new date")
            else:
                excused[waiver.code] = waiver.line
        found = _pitfalls(rule, surroundings)
        for pitfall in found:
            if pitfall.code not in excused:
                yield _finding(rule_file, rule, pitfall)
        for code, line in excused.items():
            if code not in {pitfall.code for pitfall in found}:
                message = f"the waiver of {code} excuses nothing"
                yield Finding(rule_file.path, line, message, "remove the comment")


def _pitfalls(rule: Rule, surroundings: Surroundings) -> list[Pitfall]:
    try:
        return list(pitfalls(rule, surroundings))
    except InputError:
        # A wrong duration: rules/syntax says where.
        return []


def _without_comment(lines: list[str], end: int) -> int:
    """Return the end of a rule less the comment that belongs to the next one."""
    while end > 1 and (not lines[end - 2].strip() or lines[end - 2].strip().startswith("#")):
        end -= 1
    return end


def _finding(rule_file: RuleFile, rule: Rule, pitfall: Pitfall) -> Finding:
    message = f"{rule.name}: {pitfall.message} ({pitfall.code})"
    if pitfall.start < 0:
        return Finding(rule_file.path, rule.line_of(pitfall.part), message, pitfall.mend)
    line, column = line_and_column(rule.expression, pitfall.start)
    return Finding(rule_file.path, rule.expression_line + line - 1, message, pitfall.mend, column=column)
