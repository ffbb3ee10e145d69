"""A strict Amazon Managed Service for Prometheus on loopback: control plane, ruler, and Service Quotas.

Strict where the service is: create and put are told apart, changes take a while and may fail long after they
were accepted, nothing may be changed meanwhile. Every request has to fit botocore's model of the service and
carry a right signature; one that does not is kept in `mistakes`.
"""

import contextlib
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml
from botocore import xform_name

from tests.unit.publishing.aws_request import NotARequestError, Request, Sent, read_request, signing_fault
from tests.unit.publishing.aws_server import CREDENTIALS, REGION, AwsHandler, Cut, Reply, environment
from tests.unit.publishing.loopback import listening

WORKSPACE = "ws-0a1b2c3d-0000-1111-2222-333344445555"
ACCOUNT = "111122223333"
QUOTAS = (
    ("L-3D15CDB4", "Rules per workspace", 2000, "None"),
    ("L-C62641E3", "Rule group namespace definition file size", 1, "Megabytes"),
    ("L-8DEDEE8E", "Rule evaluation interval", 30, "Seconds"),
    ("L-3316EF76", "Alert manager definition file size", 1, "Megabytes"),
    ("L-0F151AA2", "Templates in alert manager definition file", 100, "None"),
    ("L-E3E60B3E", "Nodes in alert manager routing tree", 100, "None"),
    ("L-46D5E194", "Inhibition rules in alert manager definition file", 100, "None"),
)


# Told the number and name of each call; what it returns happens instead.
Fault = Callable[[int, str], Reply | Cut | None]


@dataclass
class Stored:
    """One object: how many looks its change still takes, and how that will end."""

    data: bytes
    modified: float
    status: str
    looks: int = 0
    then: str = "ACTIVE"
    reason: str = ""
    tags: dict[str, str] = field(default_factory=dict)


class FakeAmp:
    """One account with one workspace, in one region. All of it is under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.namespaces: dict[str, Stored] = {}
        self.definition: Stored | None = None
        self.workspace_status = "ACTIVE"
        self.looks = 0
        self.fails: Callable[[str, str], str] = lambda _name, _text: ""
        self.fault: Fault = lambda _number, _operation: None
        self.seconds = 0.0
        self.page = 100
        self.quotas = {code: (name, float(value), unit) for code, name, value, unit in QUOTAS}
        self.rules: dict[str, Any] = {"status": "success", "data": {"groups": []}}
        self.calls: list[tuple[float, str]] = []
        self.mistakes: list[str] = []
        self.url = ""
        self.endpoint = ""
        self._answered: dict[tuple[str, str], dict[str, Any]] = {}
        self._clock = 1_700_000_000_000

    @property
    def operations(self) -> list[str]:
        """The names of the calls so far."""
        return [name for _, name in self.calls]

    def now(self) -> float:
        """Return a time that no other write has."""
        self._clock += 1
        return self._clock / 1000

    def write(self, name: str, text: str, *, tags: Mapping[str, str] | None = None) -> None:
        """Put a namespace there as somebody else would."""
        with self.lock:
            old = self.namespaces.get(name)
            kept = dict(old.tags) if old is not None and tags is None else dict(tags or {})
            self.namespaces[name] = Stored(text.encode(), self.now(), "ACTIVE", tags=kept)

    def write_definition(self, text: str) -> None:
        """Put a definition there as somebody else would."""
        with self.lock:
            self.definition = Stored(text.encode(), self.now(), "ACTIVE")

    def texts(self) -> dict[str, str]:
        """Return what all namespaces hold, and the definition under an empty name."""
        with self.lock:
            held = {name: one.data.decode() for name, one in self.namespaces.items()}
            return held if self.definition is None else {**held, "": self.definition.data.decode()}

    def answer(self, request: Request) -> tuple[int, dict[str, Any]] | Reply:
        """Carry out one operation."""
        verb = getattr(self, f"_{xform_name(request.operation)}", None)
        if verb is None:
            raise NotARequestError(f"nobody here does {request.operation}")
        given = {xform_name(name): value for name, value in request.parameters.items()}
        workspace = given.pop("workspace_id", WORKSPACE)
        token = given.pop("client_token", "")
        with self.lock:
            if workspace != WORKSPACE:
                return _missing(workspace)
            known = self._answered.get((request.operation, token)) if token else None
            if known is not None:
                return 202, known
            answer: tuple[int, dict[str, Any]] | Reply = verb(**given)
            if token and isinstance(answer, tuple):
                self._answered[request.operation, token] = answer[1]
            return answer

    def _describe_workspace(self) -> tuple[int, dict[str, Any]]:
        workspace = {
            "workspaceId": WORKSPACE,
            "arn": f"arn:aws:aps:{REGION}:{ACCOUNT}:workspace/{WORKSPACE}",
            "status": {"statusCode": self.workspace_status},
            "prometheusEndpoint": self.endpoint or f"{self.url}/workspaces/{WORKSPACE}/",
            "createdAt": 1_600_000_000.0,
        }
        return 200, {"workspace": workspace}

    def _list_rule_groups_namespaces(
        self,
        name: str = "",
        max_results: int = 100,
        next_token: str = "",
    ) -> tuple[int, dict[str, Any]]:
        names = sorted(one for one in self.namespaces if one.startswith(name))
        start, size = int(next_token or 0), min(max_results, self.page)
        summaries = [
            {key: value for key, value in self._namespace(one).items() if key != "data"}
            for one in names[start : start + size]
        ]
        more = {"nextToken": str(start + size)} if start + size < len(names) else {}
        return 200, {"ruleGroupsNamespaces": summaries, **more}

    def _describe_rule_groups_namespace(self, name: str) -> tuple[int, dict[str, Any]] | Reply:
        stored = self.namespaces.get(name)
        if stored is None or not self._looked_at(stored):
            self.namespaces.pop(name, None)
            return _missing(name)
        return 200, {"ruleGroupsNamespace": self._namespace(name)}

    def _create_rule_groups_namespace(
        self, name: str, data: bytes, tags: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]] | Reply:
        if name in self.namespaces:
            return _conflict(name)
        if (refused := _broken_rules(data)) is not None:
            return refused
        self.namespaces[name] = self._changed(name, data, "CREATING", dict(tags or {}))
        return 202, self._summary(name)

    def _put_rule_groups_namespace(self, name: str, data: bytes) -> tuple[int, dict[str, Any]] | Reply:
        stored = self.namespaces.get(name)
        if stored is None:
            return _missing(name)
        if stored.status.endswith("ING"):
            return _conflict(name)
        if (refused := _broken_rules(data)) is not None:
            return refused
        self.namespaces[name] = self._changed(name, data, "UPDATING", stored.tags)
        return 202, self._summary(name)

    def _delete_rule_groups_namespace(self, name: str) -> tuple[int, dict[str, Any]] | Reply:
        stored = self.namespaces.get(name)
        if stored is None:
            return _missing(name)
        if stored.status.endswith("ING"):
            return _conflict(name)
        stored.status, stored.looks, stored.then = "DELETING", self.looks, ""
        return 202, {}

    def _describe_alert_manager_definition(self) -> tuple[int, dict[str, Any]] | Reply:
        if self.definition is None or not self._looked_at(self.definition):
            self.definition = None
            return _missing("alertmanager")
        stored = self.definition
        return 200, {"alertManagerDefinition": {"data": b64encode(stored.data).decode(), **_about(stored)}}

    def _create_alert_manager_definition(self, data: bytes) -> tuple[int, dict[str, Any]] | Reply:
        if self.definition is not None:
            return _conflict("alertmanager")
        self.definition = self._changed("", data, "CREATING", {})
        return 202, {"status": {"statusCode": "CREATING"}}

    def _put_alert_manager_definition(self, data: bytes) -> tuple[int, dict[str, Any]] | Reply:
        if self.definition is None:
            return _missing("alertmanager")
        if self.definition.status.endswith("ING"):
            return _conflict("alertmanager")
        self.definition = self._changed("", data, "UPDATING", {})
        return 202, {"status": {"statusCode": "UPDATING"}}

    def _delete_alert_manager_definition(self) -> tuple[int, dict[str, Any]] | Reply:
        if self.definition is None:
            return _missing("alertmanager")
        if self.definition.status.endswith("ING"):
            return _conflict("alertmanager")
        self.definition.status, self.definition.looks, self.definition.then = "DELETING", self.looks, ""
        return 202, {}

    def _tag_resource(self, resource_arn: str, tags: Mapping[str, str]) -> tuple[int, dict[str, Any]] | Reply:
        name = resource_arn.rpartition("/")[2]
        if name not in self.namespaces or resource_arn != _arn(name):
            return _missing(resource_arn)
        self.namespaces[name].tags.update(tags)
        return 200, {}

    def _list_aws_default_service_quotas(self, **_: object) -> tuple[int, dict[str, Any]]:
        return 200, {
            "Quotas": [
                {"ServiceCode": "aps", "QuotaCode": code, "QuotaName": name, "Value": value, "Unit": unit}
                for code, (name, value, unit) in self.quotas.items()
            ]
        }

    def _list_service_quotas(self, **_: object) -> tuple[int, dict[str, Any]]:
        return 200, {"Quotas": []}

    def _changed(self, name: str, data: bytes, status: str, tags: dict[str, str]) -> Stored:
        reason = self.fails(name, data.decode())
        failed = "CREATION_FAILED" if status == "CREATING" else "UPDATE_FAILED"
        then = failed if reason else "ACTIVE"
        stored = Stored(data, self.now(), status, self.looks, then, reason, tags)
        if not self.looks:
            stored.status = then
        return stored

    @staticmethod
    def _looked_at(stored: Stored) -> bool:
        """Let a change come nearer to its end; return whether the object is there."""
        if stored.status.endswith("ING"):
            if stored.looks <= 0:
                stored.status = stored.then
            stored.looks -= 1
        return stored.status != ""

    def _namespace(self, name: str) -> dict[str, Any]:
        stored = self.namespaces[name]
        return {
            "arn": _arn(name),
            "name": name,
            "data": b64encode(stored.data).decode(),
            "tags": stored.tags,
            **_about(stored),
        }

    def _summary(self, name: str) -> dict[str, Any]:
        made = self._namespace(name)
        return {key: made[key] for key in ("arn", "name", "status", "tags")}


def _about(stored: Stored) -> dict[str, Any]:
    failed = stored.status.endswith("_FAILED")
    return {
        "status": {"statusCode": stored.status, **({"statusReason": stored.reason} if failed else {})},
        "createdAt": 1_600_000_000.0,
        "modifiedAt": stored.modified,
    }


def _arn(name: str) -> str:
    return f"arn:aws:aps:{REGION}:{ACCOUNT}:rulegroupsnamespace/{WORKSPACE}/{name}"


def _missing(name: str) -> Reply:
    more = {"resourceId": name, "resourceType": "unknown"}
    return Reply(404, "ResourceNotFoundException", f"{name} not found", more=more)


def _conflict(name: str) -> Reply:
    more = {"resourceId": name, "resourceType": "unknown"}
    return Reply(409, "ConflictException", f"{name} exists or is being changed", more=more)


def _broken_rules(data: bytes) -> Reply | None:
    """Refuse what the service refuses at once: no YAML, or an expression that cannot be parsed."""
    try:
        groups = yaml.safe_load(data)["groups"]
    except (yaml.YAMLError, TypeError, KeyError) as error:
        said = f"Invalid RuleGroupsNamespace data: {str(error).splitlines()[0]}"
        return Reply(400, "ValidationException", said, more={"reason": "CANNOT_PARSE"})
    for group in groups:
        for number, rule in enumerate(group["rules"], 1):
            if "unheard_of(" in rule["expr"]:
                name = rule.get("alert") or rule.get("record")
                where = f'group "{group["name"]}", rule {number}, "{name}"'
                said = f"Invalid RuleGroupsNamespace data: [9:13: {where}: could not parse expression]"
                return Reply(400, "ValidationException", said, more={"reason": "FIELD_VALIDATION_FAILED"})
    return None


class _Handler(AwsHandler):
    fake: FakeAmp

    def respond(self, body: bytes) -> tuple[int, dict[str, Any]] | Reply | Cut:
        arrived = time.monotonic()
        fake = self.fake
        quotas = "ServiceQuotas" in self.headers.get("X-Amz-Target", "")
        service = "servicequotas" if quotas else "aps"
        if fake.seconds:
            time.sleep(fake.seconds)
        sent = Sent(self.command, fake.url + self.path, self.headers, body)
        fault = signing_fault(sent, CREDENTIALS, f"{REGION}/{service}")
        if fault:
            return Reply(403, "InvalidSignatureException", fault)
        if urlsplit(self.path).path == f"/workspaces/{WORKSPACE}/api/v1/rules":
            return self._replace_or(lambda: (200, fake.rules), "ListRules", arrived)
        try:
            request = read_request("service-quotas" if quotas else "amp", sent)
            return self._replace_or(lambda: fake.answer(request), request.operation, arrived)
        except NotARequestError as error:
            fake.mistakes.append(str(error))
            return Reply(400, "ValidationException", str(error))

    def _replace_or(
        self, do: Callable[[], tuple[int, dict[str, Any]] | Reply], operation: str, arrived: float
    ) -> tuple[int, dict[str, Any]] | Reply | Cut:
        """Return what `do` returns, or let happen what is to happen instead."""
        fake = self.fake
        with fake.lock:
            fake.calls.append((arrived, operation))
            happens = fake.fault(len(fake.calls), operation)
            if happens is None:
                return do()
            if isinstance(happens, Cut) and happens.after:
                do()
            return happens


@contextlib.contextmanager
def serving(fake: FakeAmp) -> Iterator[Mapping[str, str]]:
    """Serve on a free port of loopback; yields the environment in which boto3 finds it, and credentials."""
    with listening(type("Handler", (_Handler,), {"fake": fake})) as fake.url:
        yield environment("AWS_ENDPOINT_URL", fake.url)
