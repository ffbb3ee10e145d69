"""Thresholds of alerts, read from the rule files so that no board retypes a number."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from stakewatch.bundle.configuration import Configuration, Urls
from stakewatch.errors import InputError
from stakewatch.grafana.rulefiles import rules_of

Comparison = Literal["<", "<=", ">", ">=", "==", "!="]

COLOUR_OF_SEVERITY: Mapping[str, str] = {"critical": "red", "warning": "orange", "info": "blue"}
WELL = "green"

_STRING_OR_COMMENT = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|#[^\n]*""")
_COMPARISON_WITH_NUMBER = re.compile(
    r"(==|!=|<=|>=|<|>)\s*(?:bool\b\s*)?([-+]?[0-9.][0-9.eE_]*(?:[eE][-+]?[0-9]+)?)"
)


@dataclass(frozen=True)
class Alert:
    """An alert as a board needs it; `threshold` and `comparison` are None where the number is not tunable.

    `comparison` is the one that is true while the alert is: `<` for too few peers.
    A disabled alert is one that the user's overrides switch off.
    """

    name: str
    severity: str
    summary: str
    runbook_url: str
    threshold: float | None = None
    comparison: Comparison | None = None
    enabled: bool = True


@dataclass(frozen=True)
class Step:
    """A colour from `value` upwards; the first step of a scale has no value."""

    value: float | None
    colour: str

    def to_json_data(self) -> dict[str, object]:
        """Return Grafana's form."""
        return {"value": self.value, "color": self.colour}


def steps(*, start: str, **colours: float) -> tuple[Step, ...]:
    """Return a scale that starts with the colour `start`: `steps(start="green", orange=0.8, red=0.9)`."""
    ordered = sorted(colours.items(), key=lambda item: item[1])
    return (Step(None, start), *(Step(value, colour) for colour, value in ordered))


def steps_of(alerts: Iterable[Alert]) -> tuple[Step, ...]:
    """Return the scale on which the given alerts' bad ranges have the colours of their severities.

    Disabled alerts and alerts without a threshold draw nothing. Alerts on both sides of the good range are
    allowed; of two alerts at one number the more severe one gives the colour. A scale of Grafana starts at
    a number, so `> 0.85` and `>= 0.85` look the same.
    """
    low: dict[float, str] = {}
    high: dict[float, str] = {}
    for alert in sorted(alerts, key=_mildness, reverse=True):
        if alert.enabled and alert.threshold is not None:
            side = low if alert.comparison in {"<", "<="} else high
            side[alert.threshold] = COLOUR_OF_SEVERITY.get(alert.severity, "purple")
    scale: list[Step] = []
    lower_end: float | None = None
    for threshold, colour in sorted(low.items()):
        scale.append(Step(lower_end, colour))
        lower_end = threshold
    scale.append(Step(lower_end, WELL))
    scale.extend(Step(threshold, colour) for threshold, colour in sorted(high.items()))
    return tuple(scale)


def load_alerts(folder: Path, configuration: Configuration) -> Mapping[str, Alert]:
    """Return the alerts of all rule files in `folder`, with the user's overrides, by name.

    Runbook links get the configured base. Raises InputError (file:line) when a file is not a rule file,
    when two alerts have one name, or when a threshold does not stand exactly once in its expression.
    """
    alerts: dict[str, Alert] = {}
    for path in sorted(folder.glob("*.yaml")):
        for rule in rules_of(path):
            if "alert" not in rule:
                continue
            alert = _alert(rule, path, configuration)
            if alert.name in alerts:
                raise InputError(
                    f"two alerts are named {alert.name}", where=str(path), mend="rename one of them"
                )
            alerts[alert.name] = alert
    return alerts


def _mildness(alert: Alert) -> int:
    severities = list(COLOUR_OF_SEVERITY)
    return severities.index(alert.severity) if alert.severity in severities else len(severities)


def _alert(rule: Mapping[str, object], path: Path, configuration: Configuration) -> Alert:
    name = str(rule["alert"])
    labels = rule.get("labels")
    annotations = rule.get("annotations")
    labels = labels if isinstance(labels, dict) else {}
    annotations = annotations if isinstance(annotations, dict) else {}
    override = configuration.overrides.get(name)
    threshold: float | None = None
    comparison: Comparison | None = None
    if "threshold" in annotations:
        threshold, comparison = _threshold(
            str(annotations["threshold"]), str(rule.get("expr", "")), name, path
        )
        if override and override.threshold is not None:
            threshold = float(override.threshold)
    severity = override.severity if override and override.severity else str(labels.get("severity", ""))
    return Alert(
        name=name,
        severity=severity,
        summary=str(annotations.get("summary", "")),
        runbook_url=_rebased(str(annotations.get("runbook_url", "")), configuration.urls),
        threshold=threshold,
        comparison=comparison,
        enabled=override.enabled if override else True,
    )


def _threshold(written: str, expression: str, name: str, path: Path) -> tuple[float, Comparison]:
    try:
        threshold = float(written)
    except ValueError as error:
        raise InputError(
            f"the threshold {written!r} of {name} is not a number",
            where=str(path),
            mend="write a plain number, such as 0.85",
        ) from error
    plain = _STRING_OR_COMMENT.sub(" ", expression)
    found = [
        operator
        for operator, number in _COMPARISON_WITH_NUMBER.findall(plain)
        if is_number(number) and math.isclose(float(number), threshold, rel_tol=1e-12)
    ]
    if len(found) != 1:
        raise InputError(
            f"the threshold {written} of {name} stands {len(found)} times in its expression, not once",
            where=str(path),
            mend="write it once, as the right side of a comparison",
        )
    return threshold, cast("Comparison", found[0])


def is_number(text: str) -> bool:
    """Return whether a text is a number, as Python writes it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rebased(url: str, urls: Urls) -> str:
    default = Urls().runbooks
    return urls.runbooks + url.removeprefix(default) if url.startswith(f"{default}/") else url
