"""What a workspace takes, found out before anything is sent: quotas of the account, and what is fixed.

Sources: Service Quotas (service `aps`; the codes below), the API's model for names, and the user guide's
pages "Alert receivers" and "Message truncation and validation".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from stakewatch.promql import parse_duration
from stakewatch.publishing.amp_objects import DEFINITION, NAMESPACE
from stakewatch.publishing.objects import Flaw, Item
from stakewatch.rules.amp_alertmanager import amp_flaws, amp_routes
from stakewatch.rules.files import RuleFile, parse_rule_file

RULES = "L-3D15CDB4"
FILE_SIZE = "L-C62641E3"
INTERVAL = "L-8DEDEE8E"
DEFINITION_SIZE = "L-3316EF76"
TEMPLATES = "L-0F151AA2"
ROUTES = "L-E3E60B3E"
INHIBITIONS = "L-46D5E194"

_LONGEST_NAME = 128
_LONGEST_NAMES_BYTES = 721
_LONGEST_SUBJECT = 100
_DEFAULT_INTERVAL = "1m"
_EXAMPLE_ACCOUNT = "123456789012"
_ASK_FOR_MORE = "ask AWS for more under Service Quotas (quota {code}), or send less"
_BYTES = {"Bytes": 1, "Kilobytes": 1024, "Megabytes": 1024**2, "Gigabytes": 1024**3}
_TOPIC = re.compile(r"arn:[a-z-]+:sns:(?P<region>[^:]*):(?P<account>[^:]*):.+")
_UNSURE = frozenset({"limit", "labels"})


@dataclass(frozen=True)
class Quota:
    """One quota of the account: bytes where it is a size, seconds where it is a time, else a number."""

    code: str
    name: str
    value: float


Quotas: TypeAlias = Mapping[str, Quota]


@dataclass(frozen=True)
class Place:
    """The workspace that is published to: its account and region, which topics have to share."""

    account: str
    region: str


def read_quotas(pages: Sequence[Mapping[str, Any]]) -> Quotas:
    """Return the quotas in answers of Service Quotas, by code; what a later page says holds."""
    quotas = {}
    for page in pages:
        for one in page.get("Quotas", []):
            code, value = one.get("QuotaCode", ""), one.get("Value")
            if isinstance(value, int | float):
                size = _BYTES.get(one.get("Unit", ""), 1)
                quotas[code] = Quota(code, one.get("QuotaName", code), value * size)
    return quotas


def flaws(items: Sequence[Item], quotas: Quotas, place: Place) -> Iterator[Flaw]:
    """Yield why the workspace would refuse these items."""
    namespaces = [item for item in items if item.kind == NAMESPACE]
    for item in namespaces:
        yield from namespace_flaws(item, quotas)
    total = sum(len(_parsed(item).rules) for item in namespaces)
    yield from _over(quotas, RULES, "all rule namespaces", total, "rules")
    for item in items:
        if item.kind == DEFINITION:
            yield from _definition_flaws(item, quotas, place)


def namespace_flaws(item: Item, quotas: Quotas) -> Iterator[Flaw]:
    """Yield why a workspace would refuse this rule namespace; without quotas only what no account may do."""
    rule_file = _parsed(item)
    yield from _name_flaws(item, rule_file)
    yield from _over(quotas, FILE_SIZE, str(item), len(item.payload.encode()), "bytes")
    yield from _group_flaws(item, rule_file, quotas)


def _parsed(item: Item) -> RuleFile:
    return parse_rule_file(item.payload, Path(item.name))


def _over(quotas: Quotas, code: str, subject: str, amount: int, unit: str) -> Iterator[Flaw]:
    quota = quotas.get(code)
    if quota is not None and amount > quota.value:
        what = f"{amount:,} {unit}, and the quota “{quota.name}” is {quota.value:,.0f}"
        yield Flaw(subject, what, _ASK_FOR_MORE.format(code=code))


def _name_flaws(item: Item, rule_file: RuleFile) -> Iterator[Flaw]:
    if len(item.name) > _LONGEST_NAME:
        what = f"the name has {len(item.name)} characters; at most {_LONGEST_NAME} are taken"
        yield Flaw(str(item), what, "give the rule file a shorter name, or publish.….prefix")
    for group in rule_file.groups:
        size = len(item.name.encode()) + len(group.name.encode())
        if size > _LONGEST_NAMES_BYTES:
            what = f"its name and that of the group {group.name[:40]}… have {size} bytes together"
            yield Flaw(str(item), what, f"at most {_LONGEST_NAMES_BYTES} are taken: shorten one of them")


def _group_flaws(item: Item, rule_file: RuleFile, quotas: Quotas) -> Iterator[Flaw]:
    shortest = quotas.get(INTERVAL)
    for group in rule_file.groups:
        interval = group.interval or _DEFAULT_INTERVAL
        if shortest is not None and parse_duration(interval) < shortest.value:
            what = (
                f"the group {group.name} is evaluated every {interval}, and the quota “{shortest.name}” is "
            )
            yield Flaw(str(item), f"{what}{shortest.value:g} s", _ASK_FOR_MORE.format(code=shortest.code))
        for name in sorted(_UNSURE & group.more.keys()):
            what = f"the group {group.name} has {name}, of which the service's guide says nothing"
            yield Flaw(str(item), what, "it may be refused, or do nothing: better without", fatal=False)


def _definition_flaws(item: Item, quotas: Quotas, place: Place) -> Iterator[Flaw]:
    subject = str(item)
    content = yaml.safe_load(item.payload)
    configuration = yaml.safe_load(content["alertmanager_config"])
    mend = "mend alertmanager/amp/receivers.yaml, or alertmanager.yaml where it is about a route"
    for message in amp_flaws(configuration):
        yield Flaw(subject, message, mend)
    yield from _over(quotas, DEFINITION_SIZE, subject, len(item.payload.encode()), "bytes")
    yield from _over(quotas, TEMPLATES, subject, len(content.get("template_files") or {}), "templates")
    yield from _over(quotas, ROUTES, subject, len(list(amp_routes(configuration.get("route")))), "routes")
    yield from _over(
        quotas, INHIBITIONS, subject, len(configuration.get("inhibit_rules") or []), "inhibition rules"
    )
    for receiver in configuration.get("receivers") or []:
        for topic in receiver.get("sns_configs") or []:
            for message in _topic_flaws(topic, place):
                yield Flaw(subject, f"the receiver {receiver.get('name')} {message}", mend)


def _topic_flaws(topic: Mapping[str, Any], place: Place) -> Iterator[str]:
    arn = str(topic.get("topic_arn") or "")
    signed_for = (topic.get("sigv4") or {}).get("region")
    named = _TOPIC.fullmatch(arn)
    if arn and named is None:
        yield f"goes to {arn}, which is no topic"
    if named is not None and named["account"] == _EXAMPLE_ACCOUNT != place.account:
        yield f"still goes to a topic of the example's account {_EXAMPLE_ACCOUNT}"
    elif named is not None and named["account"] != place.account:
        yield f"goes to a topic of the account {named['account']}; only those of {place.account} are taken"
    if named is not None and signed_for != named["region"]:
        yield f"goes to a topic in {named['region']} and signs for {signed_for}"
    subject = str(topic.get("subject") or "")
    fixed = re.sub(r"\{\{.*?\}\}", "", subject, flags=re.DOTALL)
    if not all(" " <= one <= "~" for one in fixed):
        yield "has a subject with other characters than printable ASCII, which SNS replaces"
    elif len(fixed) > _LONGEST_SUBJECT:
        yield f"has a subject of more than {_LONGEST_SUBJECT} characters, which SNS cuts off"
