"""Recording rules on logs: the files of `loki/rules/`, whose series Loki's ruler writes to Prometheus."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stakewatch.bundle.document import read_document, read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import Problem, as_error, quoted

# How often an alert's line may be looked for: with Prometheus' own round, it comes within a minute.
LONGEST_INTERVAL_SECONDS = 15
_SUM = re.compile(r"\s*sum by \(([a-z_, ]+)\) \(")
_NAME = re.compile(r"[a-z_]+:[a-z_]+:[a-z0-9_]+")
_INTERVAL = re.compile(r"(\d{1,4})s")


@dataclass(frozen=True)
class RecordingRule:
    """What one rule records: the series' name, the labels that it has, and the LogQL that makes it."""

    path: Path
    line: int
    group: str
    name: str
    labels: tuple[str, ...]
    expression: str


def recording_rules_folder(bundle: Bundle) -> Path:
    """Return where a bundle has its rules on logs; it may have none."""
    return bundle.root / "loki" / "rules"


def load_recording_rules(folder: Path) -> tuple[RecordingRule, ...]:
    """Return the rules of all files of a folder, in their order; none where there is no folder.

    The LogQL itself is not parsed: Loki does.
    Raises InputError with file, line and mend of everything that is wrong.
    """
    rules: list[RecordingRule] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for path in sorted(folder.glob("*.yaml")):
        for found in _of_file(path):
            if isinstance(found, Problem):
                problems.append(found)
            elif found.name in seen:
                mend = "rename one of the two: Prometheus would take both for one series"
                problems.append(Problem(path, found.line, f"{found.name} is recorded twice", mend))
            else:
                seen.add(found.name)
                rules.append(found)
    if problems:
        raise as_error(problems)
    return tuple(rules)


def _of_file(path: Path) -> Iterator[RecordingRule | Problem]:
    document = read_document(read_text(path), path)
    yield from document.problems
    data: Any = document.data
    groups = data.get("groups") if isinstance(data, dict) else None
    if not isinstance(groups, list):
        yield Problem(path, 1, "the file has no groups", "write `groups:`, as in a rule file of Prometheus")
        return
    for number, group in enumerate(groups):
        place = ("groups", number)
        if not isinstance(group, dict) or not isinstance(group.get("rules"), list):
            yield Problem(path, document.line(place), "the group has no rules", "write `rules:` with a list")
            continue
        interval = _INTERVAL.fullmatch(str(group.get("interval", "")))
        if interval is None or not 0 < int(interval[1]) <= LONGEST_INTERVAL_SECONDS:
            mend = f"write `interval: {LONGEST_INTERVAL_SECONDS}s`, or less"
            yield Problem(path, document.line(place), "the group is not evaluated often enough", mend)
        for position, rule in enumerate(group["rules"]):
            line = document.line((*place, "rules", position))
            yield _rule(path, line, str(group.get("name", "")), rule)


def _rule(path: Path, line: int, group: str, rule: Any) -> RecordingRule | Problem:  # noqa: ANN401 - YAML
    if not isinstance(rule, dict) or set(rule) != {"record", "expr"}:
        mend = "record what the logs say, and write the alert in PromQL (rules/)"
        return Problem(path, line, "this is not a record with an expr, and nothing else", mend)
    name, expression = str(rule["record"]), str(rule["expr"])
    if not _NAME.fullmatch(name):
        return Problem(path, line, f"{quoted(name)} is no name of a record", "write level:what:operation")
    labels = _SUM.match(expression)
    if labels is None:
        mend = "begin with `sum by (labels) (`: every other label of a line would become one of the series"
        return Problem(path, line, f"{name} does not say which labels it has", mend)
    return RecordingRule(path, line, group, name, tuple(labels[1].split(", ")), expression)
