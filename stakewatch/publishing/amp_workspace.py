"""The API of one workspace of Amazon Managed Service for Prometheus: what stands there, and calls on it.

Source: the service's API model, operations ...RuleGroupsNamespace and ...AlertManagerDefinition. There is no
upsert, a change is accepted before it is made, and what was sent comes back byte for byte.
"""

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from stakewatch.publishing.amp_limits import Quotas, read_quotas
from stakewatch.publishing.amp_objects import DEFINITION, NAMESPACE
from stakewatch.publishing.aws import Access, AwsError, Patience, Service, client, open_session
from stakewatch.publishing.normal_form import normal_alertmanager, normal_rules
from stakewatch.publishing.objects import Item, State
from stakewatch.publishing.pace import shared_pace
from stakewatch.publishing.target import Report, UnusableTargetError

# "Number of API operations per region in transactions per second", quota L-8491EB93 of `aps`, by default
# (user guide, "Amazon Managed Service for Prometheus service quotas"). Service Quotas itself allows as many
# of each of the two calls that are made there (its quotas L-65470577 and L-71DCD22A).
CALLS_PER_SECOND = 10
CONNECTIONS = 10
GOING = "DELETING"
_STATES = {
    "ACTIVE": State.READY,
    "CREATING": State.CHANGING,
    "UPDATING": State.CHANGING,
    GOING: State.CHANGING,
    "CREATION_FAILED": State.FAILED,
    "UPDATE_FAILED": State.FAILED,
}
_SERVING = frozenset({"ACTIVE", "UPDATING"})


@dataclass(frozen=True)
class _Kind:
    """What the API calls one kind of objects: in its operations and in their answers."""

    operation: str
    answer: str


_KINDS = {
    NAMESPACE: _Kind("rule_groups_namespace", "ruleGroupsNamespace"),
    DEFINITION: _Kind("alert_manager_definition", "alertManagerDefinition"),
}


@dataclass(frozen=True)
class Found:
    """One object as the service shows it.

    `data` is what was sent, `text` its normal form, both empty where only the list was asked. `code` is the
    status as the service calls it, `modified` changes with every write. A definition has no ARN and no tags.
    """

    name: str
    code: str
    reason: str
    modified: str
    data: str = ""
    text: str = ""
    arn: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """Whether the service uses it as it stands there."""
        return _STATES.get(self.code, State.CHANGING)


class Workspace:
    """One workspace that is there and serves; made by `open_workspace`."""

    def __init__(self, service: Service, quotas: Service, session: Any, described: Mapping[str, Any]) -> None:  # noqa: ANN401 - made by boto3
        self.session = session
        self.identity: str = described["workspaceId"]
        self.account: str = described["arn"].split(":")[4]
        self.endpoint = str(described.get("prometheusEndpoint", ""))
        self._service = service
        self._quotas = quotas

    def listed(self, report: Report) -> Iterator[Found]:
        """Yield all namespaces, without what they hold."""
        token: dict[str, str] = {}
        while True:
            page = self._service.ask(
                "list_rule_groups_namespaces", report, workspaceId=self.identity, maxResults=1000, **token
            )
            yield from (_found(NAMESPACE, one["name"], one) for one in page["ruleGroupsNamespaces"])
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def find(self, kind: str, name: str, report: Report) -> Found | None:
        """Return one object with what it holds, None where it is not there."""
        try:
            answer = self._ask("describe", kind, name, report)
        except AwsError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return _found(kind, name, answer[_KINDS[kind].answer])

    def create(self, item: Item, token: str, tags: Mapping[str, str], report: Report) -> None:
        """Create an object; the same `token` is the same call. Raises AwsError, 409 where there is one."""
        more = {"tags": dict(tags)} if item.kind == NAMESPACE else {}
        data = item.payload.encode()
        self._ask("create", item.kind, item.name, report, data=data, clientToken=token, **more)

    def put(self, item: Item, token: str, report: Report) -> None:
        """Change an object; its tags stay. Raises AwsError, 404 where there is none, 409 while it changes."""
        self._ask("put", item.kind, item.name, report, data=item.payload.encode(), clientToken=token)

    def delete(self, kind: str, name: str, report: Report) -> None:
        """Delete an object. Raises AwsError, 404 where there is none, 409 while it changes."""
        self._ask("delete", kind, name, report, clientToken=str(uuid.uuid4()))

    def tag(self, arn: str, tags: Mapping[str, str], report: Report) -> None:
        """Add tags to a namespace, or give them other values."""
        self._service.ask("tag_resource", report, resourceArn=arn, tags=dict(tags))

    def quotas(self) -> Quotas:
        """Return what the account may have. Raises AwsError where it may not be asked."""
        pages = []
        for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
            token: dict[str, str] = {}
            while True:
                page = self._quotas.ask(operation, ServiceCode="aps", MaxResults=100, **token)
                pages.append(page)
                if not page.get("NextToken"):
                    break
                token = {"NextToken": page["NextToken"]}
        return read_quotas(pages)

    def _ask(self, verb: str, kind: str, name: str, report: Report, **parameters: object) -> dict[str, Any]:
        named = {"name": name} if kind == NAMESPACE else {}
        operation = f"{verb}_{_KINDS[kind].operation}"
        return self._service.ask(operation, report, workspaceId=self.identity, **named, **parameters)


@dataclass(frozen=True)
class Way:
    """How to get to a workspace; `place` is where a person wrote its id."""

    access: Access
    identity: str
    place: str
    patience: Patience
    calls_per_second: int = CALLS_PER_SECOND

    @property
    def where(self) -> str:
        """The workspace and its region."""
        return f"{self.identity} in {self.access.region}"

    def service(self, session: Any, name: str, closing: contextlib.ExitStack) -> Service:  # noqa: ANN401 - made by boto3
        """Return a service of AWS, closed with `closing`."""
        made = client(session, name, workers=CONNECTIONS)
        pace = shared_pace(name, self.access.region, self.calls_per_second)
        service = Service(made, where=self.where, pace=pace, patience=self.patience)
        closing.callback(service.close)
        return service


@contextlib.contextmanager
def open_workspace(way: Way) -> Iterator[Workspace]:
    """Get credentials and find the workspace, for a block.

    Raises UnusableTargetError when it is not there, not ready, or we may not look at it.
    """
    session = open_session(way.access, way.where)
    with contextlib.ExitStack() as closing:
        service = way.service(session, "amp", closing)
        described = _described(service, way)
        yield Workspace(service, way.service(session, "service-quotas", closing), session, described)


def _described(service: Service, way: Way) -> Mapping[str, Any]:
    try:
        workspace: Mapping[str, Any] = service.ask("describe_workspace", workspaceId=way.identity)[
            "workspace"
        ]
    except AwsError as error:
        if error.status == HTTPStatus.NOT_FOUND or error.code == "ValidationException":
            raise UnusableTargetError(
                f"there is no workspace {way.identity} in {way.access.region}",
                where=way.place,
                mend="compare id and region with what `aws amp list-workspaces` shows",
            ) from error
        raise
    code = workspace["status"]["statusCode"]
    if code not in _SERVING:
        raise UnusableTargetError(
            f"the workspace is {code}", where=way.where, mend="wait until it is ACTIVE, or make another"
        )
    return workspace


def _found(kind: str, name: str, described: Mapping[str, Any]) -> Found:
    data = bytes(described.get("data", b"")).decode("utf-8", errors="replace")
    return Found(
        name=name,
        code=described["status"]["statusCode"],
        reason=described["status"].get("statusReason", ""),
        modified=str(described["modifiedAt"]),
        data=data,
        text=normal_rules(data) if kind == NAMESPACE else normal_alertmanager(data),
        arn=described.get("arn", ""),
        tags=described.get("tags") or {},
    )
