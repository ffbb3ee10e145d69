"""Rendering: the templates of alerts filled in by Prometheus' own code, to find those that fail only then."""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stakewatch.bundle.checks import Finding
from stakewatch.errors import StakewatchError
from stakewatch.rules import promtool
from stakewatch.rules.files import Rule, RuleFile
from stakewatch.rules.pitfalls_in_texts import used_labels

_TIMEOUT_SECONDS = 120.0
_FAILED = re.compile(r"<error expanding template: (?P<why>.*)>")
# What asks Prometheus for other series finds none in a test.
_ASKS = re.compile(r"\bquery\b")
_INNER = re.compile(r'.*?: executing ".*?" at (?P<why>.*)')


def template_findings(rule_files: Iterable[RuleFile]) -> Iterator[Finding]:
    """Yield texts and labels of alerts that cannot be filled in, though they parse.

    Each alert is made to fire with all labels that its texts use. Raises StakewatchError when promtool is
    missing or refuses the rules; texts that ask for other series are left out.
    """
    for rule_file in rule_files:
        parts = [
            (rule, part, text)
            for rule in rule_file.alerts
            for part, text in _texts(rule)
            if "{{" in text and not _ASKS.search(text)
        ]
        for (rule, part, _), why in zip(parts, _rendered(parts), strict=True):
            if why:
                yield Finding(
                    rule_file.path,
                    rule.line_of(part),
                    f"{rule.name}: {part.partition('.')[2]} cannot be filled in: {why} (template-error)",
                    "mend the template: what is known of an alert are $labels and $value",
                )


def _texts(rule: Rule) -> list[tuple[str, str]]:
    return [
        *((f"annotations.{name}", text) for name, text in rule.annotations.items()),
        *((f"labels.{name}", text) for name, text in rule.labels.items()),
    ]


def _rendered(parts: list[tuple[Rule, str, str]]) -> list[str]:
    """Return why each text fails, an empty text where it does not; all in one run of promtool."""
    if not parts:
        return []
    rules = []
    for number, (_, _, text) in enumerate(parts):
        expression = "vector(1.5)"
        for name in sorted(set(used_labels(text))):
            expression = f'label_replace({expression}, {json.dumps(name)}, "value", "", "")'
        rules.append({"alert": f"Rendered{number}", "expr": expression, "annotations": {"text": text}})
    with tempfile.TemporaryDirectory(prefix="rendering-") as temporary:
        folder = Path(temporary)
        _write(folder / "rules.yaml", {"groups": [{"name": "rendered", "rules": rules}]})
        asked = [{"eval_time": "1m", "alertname": one["alert"], "exp_alerts": []} for one in rules]
        series = [{"series": "present", "values": "1x4"}]
        test = {"interval": "1m", "input_series": series, "alert_rule_test": asked}
        _write(
            folder / "rendered.test.yaml",
            {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]},
        )
        answer = promtool.run(
            promtool.MAJORS[0],
            "test",
            "rules",
            folder / "rendered.test.yaml",
            timeout_seconds=_TIMEOUT_SECONDS,
        )
    failures = {
        failure.alert: failure.got or ""
        for failure in promtool.parse_output(answer.output, folder / "rendered.test.yaml")
    }
    missing = [rule["alert"] for rule in rules if rule["alert"] not in failures]
    if missing:
        said = " ".join(answer.output.split())[:300]
        raise StakewatchError(f"promtool did not fill in the templates: {said}", where=str(parts[0][0].line))
    return [_why(failures[str(rule["alert"])]) for rule in rules]


def _why(got: str) -> str:
    match = _FAILED.search(got.replace('\\"', '"'))
    if match is None:
        return ""
    inner = _INNER.fullmatch(match["why"])
    return (inner or match)["why"]


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
