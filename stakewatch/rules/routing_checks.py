"""Checks on routes and inhibition: what Alertmanager, the managed service and the alerts' labels allow."""

import difflib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from stakewatch.bundle.checks import Finding, check
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.document import read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import quoted
from stakewatch.catalogue import load_catalogue
from stakewatch.errors import InputError
from stakewatch.programs.find import locate, search_for
from stakewatch.programs.pins import find_program
from stakewatch.rules.amp_alertmanager import amp_definition, receivers_path
from stakewatch.rules.files import Rule, compose, load_rule_files
from stakewatch.rules.result_labels import Labels, ResultLabels

_MATCHER = re.compile(r'\s*(?P<name>[A-Za-z_]\w*)\s*(?P<operator>=~|!~|!=|=)\s*"?(?P<value>.*?)"?\s*')
_AMTOOL_SECONDS = 30


@dataclass(frozen=True)
class Matcher:
    """One matcher of a route or an inhibition."""

    name: str
    operator: str
    value: str

    def matches(self, text: str) -> bool:
        """Tell whether a label with this text is matched; an absent label has an empty one."""
        equal = re.fullmatch(self.value, text) is not None if "~" in self.operator else self.value == text
        return equal != self.operator.startswith("!")

    @property
    def names_alerts(self) -> tuple[str, ...]:
        """The alerts that it asks for by name, none where it asks for something else."""
        if self.name != "alertname" or self.operator.startswith("!"):
            return ()
        return tuple(self.value.split("|")) if "~" in self.operator else (self.value,)


@dataclass(frozen=True)
class Inhibition:
    """One rule by which some alerts silence others, and the line that it starts on."""

    sources: tuple[Matcher, ...]
    targets: tuple[Matcher, ...]
    equal: tuple[str, ...]
    line: int


def parse_matcher(text: str) -> Matcher:
    """Return the matcher that is written as `name = value`, the value quoted or not.

    Raises ValueError when it is none.
    """
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no matcher")
    return Matcher(found["name"], found["operator"], found["value"])


@check("rules/inhibition", "An inhibition that silences too much, nothing at all, or what does not exist.")
def inhibition(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what is wrong with inhibitions, held against the alerts and the labels that they can carry."""
    rule_files = load_rule_files(bundle.rules)
    alerts = {rule.name: rule for rule_file in rule_files for rule in rule_file.alerts}
    found = ResultLabels(rule_files, load_catalogue(bundle.catalogue))
    labels = {name: found.of_rule(rule) for name, rule in alerts.items()}
    for path in sorted(bundle.alertmanager.glob("*.yaml")):
        try:
            inhibitions = load_inhibitions(path)
        except ValueError as error:
            yield Finding(path, 1, str(error), "write it as Alertmanager does: name = value")
            continue
        if inhibitions is None:
            message = "this is no Alertmanager configuration: it has no route or no receivers"
            yield Finding(path, 1, message, "write both, or move the file elsewhere")
            continue
        for rule in inhibitions:
            for message, mend in (*_dangers(rule), *_voids(rule, alerts, labels)):
                yield Finding(path, rule.line, message, mend)


@check(
    "rules/alertmanager", "A configuration that Alertmanager's own checker refuses, where amtool is there."
)
def alertmanager(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what amtool says about each configuration, and about the one for the managed service.

    Whoever has no Alertmanager here, such as a user of the managed one, need not build it for this.
    """
    if search_for(find_program("amtool")).located is None:
        return
    for path in sorted(bundle.alertmanager.glob("*.yaml")):
        yield from _amtool_findings(path, path)
    if not receivers_path(bundle.alertmanager).is_file():
        return
    definition = yaml.safe_load(amp_definition(bundle.alertmanager))
    with tempfile.TemporaryDirectory(prefix="amtool-") as folder:
        for name, text in definition["template_files"].items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        inner = Path(folder) / "alertmanager.yaml"
        inner.write_text(definition["alertmanager_config"], encoding="utf-8")
        if "aws_secrets_manager" not in definition["alertmanager_config"]:
            yield from _amtool_findings(inner, receivers_path(bundle.alertmanager))


def load_inhibitions(path: Path) -> tuple[Inhibition, ...] | None:
    """Return the inhibitions of an Alertmanager configuration, or None where the file is none.

    Raises InputError when it cannot be read, ValueError for a matcher that is none.
    """
    text = read_text(path)
    try:
        root = compose(text, path)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"this is no YAML that Alertmanager takes: {error}", where=str(path)) from error
    if not isinstance(content, dict) or "route" not in content or "receivers" not in content:
        return None
    lines = _lines(root)
    return tuple(
        Inhibition(
            sources=tuple(parse_matcher(str(one)) for one in rule.get("source_matchers", [])),
            targets=tuple(parse_matcher(str(one)) for one in rule.get("target_matchers", [])),
            equal=tuple(rule.get("equal", [])),
            line=line,
        )
        for rule, line in zip(content.get("inhibit_rules") or [], lines, strict=True)
    )


def _lines(root: yaml.Node | None) -> list[int]:
    for key, value in root.value if isinstance(root, yaml.MappingNode) else []:
        if key.value == "inhibit_rules" and isinstance(value, yaml.SequenceNode):
            return [one.start_mark.line + 1 for one in value.value]
    return []


def _dangers(rule: Inhibition) -> Iterator[tuple[str, str]]:
    """Yield message and mend of what would silence alerts that nobody meant."""
    for label in rule.equal:
        required = any(one.name == label and not one.matches("") for one in rule.sources)
        if label not in {"cluster", "network"} and not required:
            yield (
                f"two alerts that both lack the label {label} count as equal",
                f'add the source matcher {label} != ""',
            )
    positive = [one for one in rule.targets if one.name in {"area", "alertname"} and not one.matches("")]
    if not any(not one.operator.startswith("!") for one in positive):
        yield "it may silence any alert, slashing too", "name the targets' area or alertname"
    areas = [one for one in rule.targets if one.name == "area" and not one.operator.startswith("!")]
    if any(one.matches("slashing") for one in areas):
        yield "a slashing alert is never silenced", "take it out of the targets"


def _voids(
    rule: Inhibition, alerts: Mapping[str, Rule], labels: Mapping[str, Labels]
) -> Iterator[tuple[str, str]]:
    """Yield message and mend of what can never silence anything."""
    for side, matchers in (("source", rule.sources), ("target", rule.targets)):
        chosen = [name for name, alert in alerts.items() if _may_match(matchers, alert, labels[name])]
        asked = [name for matcher in matchers for name in matcher.names_alerts]
        for name in asked:
            if not any(re.fullmatch(name, alert) for alert in alerts):
                close = difflib.get_close_matches(name, alerts, n=1)
                yield (
                    f"no alert is named {quoted(name)}",
                    f"did you mean {close[0]}?" if close else "mend the name, or take it out",
                )
        if not chosen:
            yield f"no alert can be its {side}", "mend its matchers"
        for name in chosen:
            if side == "target" and alerts[name].labels.get("area") == "slashing":
                yield f"it silences {name}: a slashing alert is never silenced", "take it out of the targets"
            for label in rule.equal:
                # Targets that are chosen by area may have others among them, which just are not silenced.
                if label not in labels[name] and (side == "source" or name in asked):
                    yield (
                        f"{name}, a {side}, never carries the label {label}",
                        "add it to the alert's expression or labels, or take it out of `equal`",
                    )


def _may_match(matchers: tuple[Matcher, ...], alert: Rule, labels: Labels) -> bool:
    for matcher in matchers:
        text = alert.name if matcher.name == "alertname" else alert.labels.get(matcher.name)
        if text is None and matcher.name not in labels:
            text = ""
        if text is not None and "{{" not in text and not matcher.matches(text):
            return False
    return True


def _amtool_findings(path: Path, shown: Path) -> Iterator[Finding]:
    done = subprocess.run(
        [locate("amtool").path, "check-config", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=_AMTOOL_SECONDS,
    )
    if done.returncode != 0:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reason = next((line for line in said if "FAILED" in line or "error" in line), said[-1])
        line = re.search(r"line (\d+)", reason)
        number = int(line[1]) if line and shown == path else 1
        yield Finding(shown, number, f"amtool refuses it: {reason}", "mend it as the reason says")
