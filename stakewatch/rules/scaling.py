"""Rule files with all durations scaled, so that a quarter of an hour passes in seconds: to try them out."""

from pathlib import Path
from typing import Any

import yaml

from stakewatch.errors import InputError
from stakewatch.promql import parse_duration, print_duration, scale_durations

_RULE_DURATIONS = ("for", "keep_firing_for")
_SHORTEST_INTERVAL_SECONDS = 1.0


def scale_rule_files(source: Path, destination: Path, factor: float, minimum_seconds: float) -> None:
    """Write every rule file of `source` to `destination` with its durations multiplied by `factor`.

    Ranges, offsets, subqueries, `for`, `keep_firing_for` and the groups' intervals are scaled; a range is
    never shorter than `minimum_seconds`, so that it still spans several scrapes. Thresholds and texts stay.
    Raises InputError when a file is missing or is no rule file, PromqlError when an expression is wrong.
    """
    files = sorted(source.glob("*.yaml"))
    if not files:
        raise InputError("there are no rule files here", where=str(source))
    destination.mkdir(parents=True, exist_ok=True)
    for file in files:
        scaled = _scaled(file, factor, minimum_seconds)
        (destination / file.name).write_text(yaml.safe_dump(scaled, sort_keys=False), encoding="utf-8")


def _scaled(file: Path, factor: float, minimum_seconds: float) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in content["groups"]:
            if "interval" in group:
                seconds = parse_duration(group["interval"]) * factor
                group["interval"] = print_duration(max(seconds, _SHORTEST_INTERVAL_SECONDS))
            for rule in group["rules"]:
                rule["expr"] = scale_durations(str(rule["expr"]), factor, minimum_seconds)
                for name in _RULE_DURATIONS:
                    if name in rule:
                        rule[name] = print_duration(parse_duration(rule[name]) * factor)
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise InputError(f"this is no rule file: {error!r}", where=str(file)) from error
    return dict(content)
