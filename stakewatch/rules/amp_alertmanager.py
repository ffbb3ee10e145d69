"""The Alertmanager configuration in the form that Amazon Managed Service for Prometheus takes.

It is a document with `alertmanager_config`, the configuration as text, and `template_files`; receivers are
SNS and PagerDuty only. Source: the service's user guide, "Alertmanager configuration" and "Alert receivers".
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stakewatch.bundle.printing import as_yaml
from stakewatch.errors import InputError
from stakewatch.promql import parse_duration
from stakewatch.rules.routes import read_routes, read_templates

LONGEST_REPEAT_SECONDS = 5 * 86_400
_RECEIVERS = Path("amp") / "receivers.yaml"
_ALLOWED: Mapping[str, frozenset[str]] = {
    "sns_configs": frozenset(
        {
            "topic_arn",
            "phone_number",
            "target_arn",
            "sigv4",
            "subject",
            "message",
            "attributes",
            "send_resolved",
        }
    ),
    "pagerduty_configs": frozenset(
        {
            "routing_key",
            "service_key",
            "client",
            "client_url",
            "description",
            "severity",
            "details",
            "images",
            "links",
            "component",
            "group",
            "class",
            "send_resolved",
        }
    ),
}


def receivers_path(folder: Path) -> Path:
    """Return where the receivers for the service stand, in the folder of alertmanager.yaml."""
    return folder / _RECEIVERS


def amp_definition(folder: Path) -> str:
    """Return the definition made of alertmanager.yaml, amp/receivers.yaml and the templates in `folder`.

    Routes, inhibition and time intervals are those of alertmanager.yaml.
    Raises InputError when a file is missing or broken, or says what the service does not take.
    """
    path = folder / "alertmanager.yaml"
    content = read_routes(path)
    receivers = read_routes(receivers_path(folder)).get("receivers")
    templates = read_templates(content, folder)
    content["receivers"] = receivers
    content["templates"] = list(templates)
    for message in amp_flaws(content):
        raise InputError(
            f"Amazon Managed Service for Prometheus would refuse this: {message}",
            where=str(receivers_path(folder)),
            mend="mend it there, or in alertmanager.yaml where it is about a route",
        )
    definition = {
        "template_files": templates,
        "alertmanager_config": as_yaml(content),
    }
    return as_yaml(definition)


def amp_flaws(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the service refuses in a configuration, some of it only after it has said yes."""
    if "global" in content:
        yield "it has a section `global`, which holds nothing that the service takes"
    receivers = content.get("receivers")
    if not isinstance(receivers, list) or not all(isinstance(one, dict) for one in receivers):
        yield "it has no list of receivers"
        return
    names = {receiver.get("name") for receiver in receivers}
    for receiver in receivers:
        for kind, configurations in receiver.items():
            if kind != "name":
                yield from _receiver_flaws(str(receiver.get("name")), kind, configurations)
    for route in amp_routes(content.get("route")):
        if route.get("receiver", next(iter(names))) not in names:
            yield f"a route goes to {route['receiver']}, which is no receiver"
        repeat = route.get("repeat_interval")
        if repeat is not None and parse_duration(str(repeat)) > LONGEST_REPEAT_SECONDS:
            yield f"repeat_interval {repeat} is longer than 5 days"


def _receiver_flaws(name: str, kind: str, configurations: object) -> Iterator[str]:
    if kind not in _ALLOWED:
        yield f"the receiver {name} has {kind}; only {' and '.join(_ALLOWED)} exist"
        return
    for configuration in configurations if isinstance(configurations, list) else []:
        for unknown in sorted(set(configuration) - _ALLOWED[kind]):
            yield f"the receiver {name} sets {unknown} in {kind}, which cannot be set"
        if kind == "sns_configs" and not (configuration.get("sigv4") or {}).get("region"):
            yield f"the receiver {name} names no sigv4.region"
        if kind == "pagerduty_configs":
            key = configuration.get("routing_key") or configuration.get("service_key")
            if not isinstance(key, dict) or "aws_secrets_manager" not in key:
                yield f"the receiver {name} holds its PagerDuty key itself: it must stand in Secrets Manager"


def amp_routes(route: object) -> Iterator[Mapping[str, Any]]:
    """Yield a route and all routes below it, as they are written."""
    waiting = [route]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.get("routes") or []
