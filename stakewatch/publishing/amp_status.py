"""What the ruler of a workspace says of its rules, asked in its data plane, where we sign requests ourselves.

Source: the user guide's "Prometheus-compatible APIs" (ListRules).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from stakewatch.bundle.amazon_access import Signature
from stakewatch.bundle.http_access import is_loopback
from stakewatch.bundle.problems import plain
from stakewatch.errors import StakewatchError
from stakewatch.publishing.json_api import Hints, JsonApi
from stakewatch.publishing.objects import Fact
from stakewatch.publishing.target import Report

_HINTS = Hints(
    unauthorized="sign in again, as with aws sso login: the credentials do not hold for queries",
    forbidden="allow aps:ListRules in the IAM policy of these credentials",
    html_forbidden="a network access control stands before the workspace: ask from where it lets you through",
)


def rule_facts(endpoint: str, session: Any, region: str, report: Report) -> Iterator[Fact]:  # noqa: ANN401 - made by boto3
    """Yield what the ruler says: groups and rules, each rule that fails with its error, alerts that fire.

    `endpoint` is the workspace's `prometheusEndpoint`. Raises StakewatchError when it cannot be asked.
    """
    parts = urlsplit(endpoint)
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise StakewatchError(
            f"the workspace names no secure address for queries: {plain(endpoint)}",
            mend="is it ACTIVE? It should begin with https://aps-workspaces",
        )
    report("asking the ruler")
    # The API's model shows the address with this path, the console without.
    api = JsonApi(endpoint.rstrip("/").removesuffix("/api/v1"), hints=_HINTS, auth=Signature(session, region))
    try:
        answer = api.ask("GET", "/api/v1/rules")
    finally:
        api.close()
    try:
        groups = answer["data"]["groups"]
        yield from _facts(groups)
    except (TypeError, KeyError, AttributeError) as error:
        raise StakewatchError(
            f"the ruler's answer is not as documented: {plain(repr(error))}", where=endpoint
        ) from error


def _facts(groups: Sequence[Mapping[str, Any]]) -> Iterator[Fact]:
    rules = [(group, rule) for group in groups for rule in group["rules"]]
    yield Fact("rules", f"{len(rules)} in {len(groups)} groups", healthy=bool(rules))
    for group, rule in rules:
        if rule.get("health") == "err" or rule.get("lastError"):
            place = f"rule {plain(rule['name'])} in {plain(group.get('file', ''))}/{plain(group['name'])}"
            yield Fact(place, "fails", plain(rule.get("lastError", "")), healthy=False)
    unknown = sum(1 for _, rule in rules if rule.get("health") == "unknown")
    if unknown:
        yield Fact("rules", f"{unknown} not evaluated yet")
    for _, rule in rules:
        firing = [one for one in rule.get("alerts") or [] if one.get("state") == "firing"]
        if firing:
            severity = plain(rule.get("labels", {}).get("severity", ""))
            since = min(str(one.get("activeAt", "")) for one in firing)
            detail = f"{severity}, since {plain(since)}" if severity else f"since {plain(since)}"
            yield Fact(f"alert {plain(rule['name'])}", f"fires for {len(firing)}", detail)
