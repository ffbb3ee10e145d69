"""Amazon Managed Service for Prometheus as a target: rule namespaces and the Alertmanager definition.

The service has no upsert, answers before it is done, and may say so long after: an object counts as there
when it is ACTIVE with what was sent. Source: the service's API model, operations ...RuleGroupsNamespace and
...AlertManagerDefinition.
"""

import contextlib
import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from stakewatch.bundle.problems import plain
from stakewatch.errors import StakewatchError
from stakewatch.publishing.amp_limits import Place, Quotas, flaws, read_quotas
from stakewatch.publishing.amp_objects import (
    DEFINITION,
    DEFINITION_NAME,
    NAMESPACE,
    Naming,
    definition_is_ours,
    desired_definition,
    desired_namespaces,
    place_of_rule,
)
from stakewatch.publishing.amp_status import workspace_facts
from stakewatch.publishing.aws import Access, AwsError, Patience, Service, client, open_session, pause
from stakewatch.publishing.normal_form import normal_alertmanager, normal_rules
from stakewatch.publishing.objects import Fact, Flaw, Item, LiveItem, State
from stakewatch.publishing.pace import Pace, side_by_side
from stakewatch.publishing.target import Report, Source, Target, UnusableTargetError, target_type

# The default of the quota "API operations per region in transactions per second" (L-8491EB93), and of
# Service Quotas.
_CALLS_PER_SECOND = 10
_WORKERS = 4
_OWNER_TAG = "managed-by"
_CONTENT_TAG = "stakewatch-content"
_STATES = {
    "ACTIVE": State.READY,
    "CREATING": State.CHANGING,
    "UPDATING": State.CHANGING,
    "DELETING": State.CHANGING,
    "CREATION_FAILED": State.FAILED,
    "UPDATE_FAILED": State.FAILED,
}
# For so long an answer may still be about what was before.
_STALE_SECONDS = 10.0


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
class _Found:
    """One object as the service describes it; `data` is what was sent, byte for byte."""

    data: str
    text: str
    code: str
    reason: str
    modified: str
    arn: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> State:
        return _STATES.get(self.code, State.CHANGING)


@target_type("amp", builds=("rules", "amp-alertmanager"))
def make_amp(source: Source) -> Target:
    """Return the target that an entry of `publish` of type `amp` describes."""
    return Amp(source)


class Amp:
    """One workspace; it is asked from the moment on that it is entered."""

    kinds = (DEFINITION, NAMESPACE)
    workers = _WORKERS

    def __init__(
        self,
        source: Source,
        *,
        patience: Patience | None = None,
        calls_per_second: int = _CALLS_PER_SECOND,
    ) -> None:
        options = source.destination.options
        self._source = source
        self._patience = patience or Patience()
        self._calls_per_second = calls_per_second
        self._access = Access(options["region"], options.get("profile"), options.get("role_arn"))
        self._workspace: str = options["workspace"]
        self._naming = Naming(options.get("prefix", Naming.prefix), options.get("owner", Naming.owner))
        self._skipped = frozenset(options.get("skip_groups", ("local_prometheus",)))
        self._with_definition: bool = options.get("alertmanager", True)
        self._closing = contextlib.ExitStack()

    @property
    def where(self) -> str:
        """The workspace and its region."""
        return f"{self._workspace} in {self._access.region}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            self._session = open_session(self._access, self.where)
            self._amp = self._service("amp", opening)
            self._described = self._describe_workspace()
            self._closing = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.close()

    def desired(self) -> Sequence[Item]:
        """Return a namespace for each rule file that is built, and the definition where there is one."""
        build = self._source.bundle.build
        items = desired_namespaces(build / "rules", self._naming, self._skipped)
        definition = desired_definition(build / "amp-alertmanager", self._naming)
        if definition is not None and self._with_definition:
            items.append(definition)
        return items

    def limits(self, items: Sequence[Item]) -> Sequence[Flaw]:
        """Return what quotas and rules of the service have against `items`."""
        place = Place(account=self._described["arn"].split(":")[4], region=self._access.region)
        quotas: Quotas = {}
        unread: list[Flaw] = []
        try:
            quotas = self._quotas()
        except AwsError as error:
            mend = "what they forbid is only found out when it is sent; allow servicequotas:ListServiceQuotas"
            unread = [Flaw("quotas", f"they cannot be read: {error.what}", mend, fatal=False)]
        return [*flaws(items, quotas, place), *unread]

    def live(self, items: Sequence[Item], report: Report) -> Sequence[LiveItem]:
        """Return our namespaces, those of the names of `items`, and the definition."""
        wanted = {item.name: item for item in items if item.kind == NAMESPACE}
        listed = [
            one
            for one in self._listed(report)
            if self._is_owned(one.get("tags", {})) or one["name"] in wanted
        ]
        report(f"reading {len(listed)} rule namespaces")
        found = side_by_side(
            lambda one: self._live_namespace(one, wanted.get(one["name"]), report), listed, workers=10
        )
        definition = self._live_definition(report) if self._with_definition else None
        return [one for one in (*found, definition) if one is not None]

    def put(self, item: Item, live: LiveItem | None, report: Report) -> str:
        """Create or change one object, wait until it is ACTIVE with what was sent, and mark it as ours."""
        deadline = time.monotonic() + self._patience.altogether_seconds
        found = self._settled(item.kind, item.name, report, deadline)
        self._expect_as_planned(item, live, found)
        if found is not None and _holds(found, item) and self._is_ours(item.kind, found):
            done = "is so already"
        elif found is not None and _holds(found, item) and item.kind == NAMESPACE:
            done = "is ours now"
        else:
            done = self._send(item, found, report, deadline)
            found = self._active(item, found, report, deadline)
        if item.kind == NAMESPACE:
            self._tag(found, item, report)
        return done

    def remove(self, live: LiveItem, report: Report) -> str:
        """Delete one object of ours and wait until it is gone."""
        item = live.item
        deadline = time.monotonic() + self._patience.altogether_seconds
        while (found := self._settled(item.kind, item.name, report, deadline)) is not None:
            if not self._is_ours(item.kind, found) or found.modified != live.version:
                raise self._changed_meanwhile(item)
            try:
                self._ask_about(item.kind, "delete", item.name, report, clientToken=str(uuid.uuid4()))
            except AwsError as error:
                if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                    raise
                self._pause(report, "another change of it is under way", deadline)
                continue
            while self._describe(item.kind, item.name, report) is not None:
                self._pause(report, "DELETING", deadline)
            return "deleted"
        return "was gone already"

    def status(self, report: Report) -> Sequence[Fact]:
        """Return the state of all namespaces and of the definition, then what the ruler says of the rules."""
        facts = []
        listed = sorted(self._listed(report), key=lambda one: str(one["name"]))
        for one in listed:
            code, reason = one["status"]["statusCode"], one["status"].get("statusReason", "")
            ours = "" if self._is_owned(one.get("tags", {})) else "not ours"
            state = _STATES.get(code, State.CHANGING)
            detail = "; ".join(part for part in (ours, plain(reason)) if part)
            facts.append(Fact(f"{NAMESPACE} {one['name']}", code, detail, healthy=state is not State.FAILED))
        definition = self._describe(DEFINITION, DEFINITION_NAME, report)
        if definition is None:
            facts.append(Fact(DEFINITION, "missing", "no alert reaches anybody", healthy=False))
        else:
            detail = plain(definition.reason)
            healthy = definition.state is not State.FAILED
            facts.append(Fact(DEFINITION, definition.code, detail, healthy=healthy))
        endpoint = str(self._described.get("prometheusEndpoint", ""))
        return [*facts, *workspace_facts(endpoint, self._session, self._access.region, report)]

    def _service(self, name: str, closing: contextlib.ExitStack) -> Service:
        made = client(self._session, name, workers=self.workers)
        pace = Pace(self._calls_per_second)
        service = Service(made, where=self.where, pace=pace, patience=self._patience)
        closing.callback(service.close)
        return service

    def _describe_workspace(self) -> Mapping[str, Any]:
        try:
            answer = self._amp.ask("describe_workspace", workspaceId=self._workspace)
        except AwsError as error:
            if error.status == HTTPStatus.NOT_FOUND or error.code == "ValidationException":
                raise UnusableTargetError(
                    f"there is no workspace {self._workspace} in {self._access.region}",
                    where=self._source.destination.place,
                    mend="compare id and region with what `aws amp list-workspaces` shows",
                ) from error
            raise
        workspace: Mapping[str, Any] = answer["workspace"]
        code = workspace["status"]["statusCode"]
        if code not in {"ACTIVE", "UPDATING"}:
            raise UnusableTargetError(
                f"the workspace is {code}", where=self.where, mend="wait until it is ACTIVE, or make another"
            )
        return workspace

    def _quotas(self) -> Quotas:
        with contextlib.ExitStack() as closing:
            service = self._service("service-quotas", closing)
            pages = []
            for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
                token: dict[str, str] = {}
                while True:
                    page = service.ask(operation, ServiceCode="aps", MaxResults=100, **token)
                    pages.append(page)
                    if not page.get("NextToken"):
                        break
                    token = {"NextToken": page["NextToken"]}
            return read_quotas(pages)

    def _listed(self, report: Report) -> list[dict[str, Any]]:
        """Return the summaries of all namespaces of the workspace."""
        summaries: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = self._amp.ask(
                "list_rule_groups_namespaces", report, workspaceId=self._workspace, maxResults=1000, **token
            )
            summaries += page["ruleGroupsNamespaces"]
            if not page.get("nextToken"):
                return summaries
            token = {"nextToken": page["nextToken"]}

    def _live_namespace(
        self, summary: Mapping[str, Any], wanted: Item | None, report: Report
    ) -> LiveItem | None:
        """Return a namespace that is listed, None when it is going or gone.

        The list holds no content. Our tag says which content was ACTIVE when it was last modified: where that
        still holds and is what is wanted, it need not be asked for.
        """
        code = summary["status"]["statusCode"]
        tags = summary.get("tags", {})
        if code == "DELETING":
            return None
        modified = str(summary["modifiedAt"])
        if wanted is not None and code == "ACTIVE" and tags.get(_CONTENT_TAG) == _content(wanted, modified):
            return LiveItem(wanted, self._is_owned(tags), identity=summary["arn"], version=modified)
        found = self._describe(NAMESPACE, summary["name"], report)
        return None if found is None else self._live(NAMESPACE, summary["name"], found)

    def _live_definition(self, report: Report) -> LiveItem | None:
        found = self._describe(DEFINITION, DEFINITION_NAME, report)
        return None if found is None else self._live(DEFINITION, DEFINITION_NAME, found)

    def _live(self, kind: str, name: str, found: _Found) -> LiveItem | None:
        if found.code == "DELETING":
            return None
        return LiveItem(
            Item(kind, name, found.text),
            owned=self._is_ours(kind, found),
            identity=found.arn,
            version=found.modified,
            state=found.state,
            reason=found.reason,
        )

    def _describe(self, kind: str, name: str, report: Report) -> _Found | None:
        try:
            answer = self._ask_about(kind, "describe", name, report)
        except AwsError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        described = answer[_KINDS[kind].answer]
        data = bytes(described["data"]).decode("utf-8", errors="replace")
        return _Found(
            data=data,
            text=normal_rules(data) if kind == NAMESPACE else normal_alertmanager(data),
            code=described["status"]["statusCode"],
            reason=described["status"].get("statusReason", ""),
            modified=str(described["modifiedAt"]),
            arn=described.get("arn", ""),
            tags=described.get("tags", {}),
        )

    def _ask_about(
        self, kind: str, verb: str, name: str, report: Report, **parameters: object
    ) -> dict[str, Any]:
        named = {"name": name} if kind == NAMESPACE else {}
        operation = f"{verb}_{_KINDS[kind].operation}"
        return self._amp.ask(operation, report, workspaceId=self._workspace, **named, **parameters)

    def _settled(self, kind: str, name: str, report: Report, deadline: float) -> _Found | None:
        """Return the object when no change of it is under way any more, None when it is not there."""
        while (found := self._describe(kind, name, report)) is not None and found.state is State.CHANGING:
            self._pause(report, found.code, deadline)
        return found

    def _expect_as_planned(self, item: Item, live: LiveItem | None, found: _Found | None) -> None:
        """Raise StakewatchError when the object is no longer what the person who said yes was shown."""
        if found is None or found.text == item.text:
            return
        if live is None or (found.modified != live.version and found.text != live.item.text):
            raise self._changed_meanwhile(item)

    def _changed_meanwhile(self, item: Item) -> StakewatchError:
        return StakewatchError(
            f"{item} was changed by somebody else after it was planned",
            where=self.where,
            mend="look at a new plan",
        )

    def _send(self, item: Item, found: _Found | None, report: Report, deadline: float) -> str:
        """Create or put the object, whichever the service takes, and return which it was."""
        data = item.payload.encode()
        token = str(uuid.uuid4())
        while True:
            verb = "put" if found is not None else "create"
            tags = {"tags": {_OWNER_TAG: self._naming.owner}}
            more = tags if found is None and item.kind == NAMESPACE else {}
            try:
                self._ask_about(item.kind, verb, item.name, report, data=data, clientToken=token, **more)
            except AwsError as error:
                if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                    raise self._refused(item, error.what, error) from error
            else:
                return "changed" if verb == "put" else "created"
            # Somebody else is changing, has created or has removed it; or an earlier attempt of ours arrived.
            self._pause(report, "another change of it is under way", deadline)
            before, found = found, self._settled(item.kind, item.name, report, deadline)
            if found is not None and _holds(found, item):
                return "changed" if before is not None else "created"
            if found is not None and (before is None or found.modified != before.modified):
                raise self._changed_meanwhile(item)
            token = str(uuid.uuid4())

    def _active(self, item: Item, before: _Found | None, report: Report, deadline: float) -> _Found:
        """Return the object when the service uses what was sent. Raises StakewatchError with its reason."""
        sent = time.monotonic()
        while True:
            found = self._describe(item.kind, item.name, report)
            if found is not None and _holds(found, item):
                return found
            if found is not None and found.state is State.FAILED:
                fresh = before is None or found.modified != before.modified or found.text == item.text
                if fresh or time.monotonic() > sent + _STALE_SECONDS:
                    raise self._refused(item, f"{found.code}: {plain(found.reason)}", None)
            self._pause(report, "waiting for it to appear" if found is None else found.code, deadline)

    def _refused(self, item: Item, reason: str, error: AwsError | None) -> StakewatchError:
        """Return the service's reason at the rule that caused it, where it names one."""
        if error is not None and isinstance(error, UnusableTargetError):
            return error
        rules = self._source.bundle.rules
        named = (
            place_of_rule(reason, item.name, rules, self._naming.prefix) if item.kind == NAMESPACE else None
        )
        mend = error.mend if error is not None and named is None else "mend what it names and apply again"
        return StakewatchError(f"{item}: {reason}", where=named or self.where, mend=mend)

    def _tag(self, found: _Found | None, item: Item, report: Report) -> None:
        """Mark a namespace as ours, and note what it holds, so that the next plan need not ask for it."""
        if found is None:
            return
        tags = {_OWNER_TAG: self._naming.owner, _CONTENT_TAG: _content(item, found.modified)}
        if any(found.tags.get(key) != value for key, value in tags.items()):
            self._amp.ask("tag_resource", report, resourceArn=found.arn, tags=tags)

    def _is_ours(self, kind: str, found: _Found) -> bool:
        if kind == NAMESPACE:
            return self._is_owned(found.tags)
        return definition_is_ours(found.data, self._naming)

    def _is_owned(self, tags: Mapping[str, str]) -> bool:
        return tags.get(_OWNER_TAG) == self._naming.owner

    def _pause(self, report: Report, awaited: str, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise StakewatchError(
                f"not done within {self._patience.altogether_seconds:g} s, last it was: {awaited}",
                where=self.where,
                mend="apply again: it goes on where it is",
            )
        pause(self._patience.look_seconds, report, awaited)


def _holds(found: _Found, item: Item) -> bool:
    """Return whether the service uses what the item says."""
    return found.state is State.READY and found.text == item.text


def _content(item: Item, modified: str) -> str:
    """Return the value of the tag that says which content an unmodified namespace holds."""
    return f"{hashlib.sha256(item.text.encode()).hexdigest()[:32]}@{modified.replace(' ', 'T')}"
