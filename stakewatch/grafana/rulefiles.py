"""Rule files as boards need them: the rules as they stand, and which series are recorded."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from stakewatch.bundle.document import read_text
from stakewatch.errors import InputError


def rules_of(path: Path) -> Iterator[Mapping[str, object]]:
    """Yield the rules of one file, alerting and recording.

    Raises InputError (file:line) when it is no rule file.
    """
    try:
        document = yaml.safe_load(read_text(path))
    except RecursionError as error:
        raise InputError(
            "nested too deeply for a rule file", where=str(path), mend="is it the right file?"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise InputError(
            "this is not YAML", where=f"{path}:{line}", mend=str(error).splitlines()[0]
        ) from error
    groups = document.get("groups") if isinstance(document, dict) else None
    if not isinstance(groups, list):
        raise InputError(
            "this rule file has no groups", where=f"{path}:1", mend="write `groups:` with a list"
        )
    for group in groups:
        rules = group.get("rules") if isinstance(group, dict) else None
        if not isinstance(rules, list):
            raise InputError("a group has no rules", where=f"{path}:1", mend="write `rules:` with a list")
        yield from (rule for rule in rules if isinstance(rule, dict))


def alert_rules(folder: Path) -> Iterator[tuple[Path, Mapping[str, object]]]:
    """Yield the alerts of all rule files in `folder`, each with its file.

    Raises InputError (file:line) when one of them is no rule file.
    """
    for path in sorted(folder.glob("*.yaml")):
        yield from ((path, rule) for rule in rules_of(path) if "alert" in rule)


def dashboard_url(rule: Mapping[str, object]) -> str:
    """Return the template of an alert's link to a board, empty where it has none."""
    annotations = rule.get("annotations")
    return str(annotations.get("dashboard_url", "")) if isinstance(annotations, dict) else ""


def line_of_alert(path: Path, name: str) -> int:
    """Return the line on which an alert begins, or 1 when it is written in another way than ours."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.strip() == f"- alert: {name}"), 1)


def recorded_series(folder: Path) -> frozenset[str]:
    """Return the names of all series that the rule files in `folder` record.

    Raises InputError (file:line) when one of them is no rule file.
    """
    return frozenset(
        str(rule["record"])
        for path in sorted(folder.glob("*.yaml"))
        for rule in rules_of(path)
        if "record" in rule
    )
