"""Mismatches: what a failed assertion expected against what it got, label by label."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stakewatch.rules.promtool import Failure
from stakewatch.rules.questions import parse_labels

_ALERT = re.compile(r"^Labels:\{(?P<labels>.*)\}$")
_TEXTS = re.compile(r"^Annotations:\{(?P<texts>.*)\}$")
_NOTHING = "nothing"


@dataclass(frozen=True)
class Difference:
    """One label or annotation of one alert that is not as expected; empty where that side has none."""

    of: str
    name: str
    expected: str
    got: str


def differences(failure: Failure) -> tuple[Difference, ...]:
    """Return how the alerts of a failed assertion differ; nothing where it is not about alerts.

    Alerts are paired with the one that they have most in common with; one without a partner is a difference.
    """
    expected, got = _alerts(failure.expected), _alerts(failure.got)
    if expected is None or got is None:
        return ()
    found: list[Difference] = []
    left = list(got)
    for one in expected:
        if one in left:
            left.remove(one)
    for one in expected:
        if one in got:
            continue
        partner = max(left, key=lambda other: len(one.items() & other.items()), default=None)
        if partner is None:
            found.append(Difference(_named(one), "alert", "fires", ""))
            continue
        left.remove(partner)
        found += [
            Difference(_named(one), name, one.get(name, ""), partner.get(name, ""))
            for name in sorted(one.keys() | partner.keys())
            if one.get(name) != partner.get(name)
        ]
    found += [Difference(_named(one), "alert", "", "fires") for one in left]
    return tuple(found)


def _alerts(side: str | None) -> Sequence[Mapping[str, str]] | None:
    """Return the alerts of one side, their annotations among the labels; None where these are no alerts."""
    if side is None:
        return None
    if side == _NOTHING:
        return []
    found: list[dict[str, str]] = []
    for line in side.splitlines():
        if match := _ALERT.match(line):
            found.append(dict(parse_labels(match["labels"])))
        elif (match := _TEXTS.match(line)) and found:
            texts = parse_labels(match["texts"])
            found[-1].update({f"annotation {name}": text for name, text in texts.items()})
        else:
            return None
    return found


def _named(alert: Mapping[str, str]) -> str:
    """Return the labels that tell an alert from others in a line."""
    hidden = {"alertname", "severity", "area"}
    shown = (f"{name}={value}" for name, value in sorted(alert.items()) if name not in hidden)
    return ", ".join(text for text in shown if not text.startswith("annotation ")) or "without labels"
