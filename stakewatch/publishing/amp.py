"""Amazon Managed Service for Prometheus as a target: rule namespaces and the Alertmanager definition.

The service answers before it is done and may say so long after: an object counts as there when it is ACTIVE
with what was sent.
"""

import contextlib
import hashlib
import time
import uuid
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self

from stakewatch.bundle.destinations import skipped_groups
from stakewatch.bundle.problems import plain
from stakewatch.errors import StakewatchError
from stakewatch.publishing.amp_limits import Place, Quotas, flaws
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
from stakewatch.publishing.amp_status import rule_facts
from stakewatch.publishing.amp_workspace import (
    CALLS_PER_SECOND,
    CONNECTIONS,
    GOING,
    Found,
    Way,
    Workspace,
    open_workspace,
)
from stakewatch.publishing.aws import Access, AwsError, Patience, UnusableAwsError, pause
from stakewatch.publishing.objects import Fact, Flaw, Item, LiveItem, State
from stakewatch.publishing.pace import Stop, side_by_side
from stakewatch.publishing.target import Report, Source, Target, nothing_published, target_type

_OWNER_TAG = "managed-by"
_CONTENT_TAG = "stakewatch-content"
# For so long an answer may still be about what was before.
_STALE_SECONDS = 10.0


@target_type("amp", builds=("rules", "amp-alertmanager"))
def make_amp(source: Source) -> Target:
    """Return the target that an entry of `publish` of type `amp` describes."""
    return Amp(source)


class Amp:
    """One workspace; it is asked from the moment on that it is entered."""

    kinds = (DEFINITION, NAMESPACE)
    workers = 4
    together = False

    def __init__(
        self,
        source: Source,
        *,
        patience: Patience | None = None,
        calls_per_second: int = CALLS_PER_SECOND,
    ) -> None:
        options = source.destination.options
        self._source = source
        self._patience = patience or Patience()
        self._way = Way(
            Access(options["region"], options.get("profile"), options.get("role_arn")),
            options["workspace"],
            source.destination.place,
            self._patience,
            calls_per_second,
        )
        self._naming = Naming.of(source.destination)
        self._skipped = skipped_groups(source.destination)
        self._with_definition: bool = options.get("alertmanager", True)
        self._closing = contextlib.ExitStack()
        self._opened: Workspace | None = None

    @property
    def where(self) -> str:
        """The workspace and its region."""
        return self._way.where

    def __enter__(self) -> Self:
        self._opened = self._closing.enter_context(open_workspace(self._way))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened = None
        self._closing.close()

    @property
    def _workspace(self) -> Workspace:
        if self._opened is None:
            raise ValueError("a workspace is asked outside of its `with` block")
        return self._opened

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
        place = Place(account=self._workspace.account, region=self._way.access.region)
        quotas: Quotas = {}
        unread: list[Flaw] = []
        try:
            quotas = self._workspace.quotas()
        except AwsError as error:
            mend = "what they forbid is only found out when it is sent; allow servicequotas:ListServiceQuotas"
            unread = [Flaw("quotas", f"they cannot be read: {error.what}", mend, fatal=False)]
        return [*flaws(items, quotas, place), *unread]

    def live(self, items: Sequence[Item], report: Report) -> Sequence[LiveItem]:
        """Return our namespaces, those of the names of `items`, and the definition."""
        wanted = {item.name: item for item in items if item.kind == NAMESPACE}
        listed = [
            one
            for one in self._workspace.listed(report)
            if self._is_ours(NAMESPACE, one) or one.name in wanted
        ]
        report(f"reading {len(listed)} rule namespaces")
        stop = Stop()
        heard = stop.heard_by(report)
        found = side_by_side(
            lambda one: self._live_namespace(one, wanted.get(one.name), heard),
            listed,
            workers=CONNECTIONS,
            stop=stop,
        )
        definition = self._live(DEFINITION, DEFINITION_NAME, report) if self._with_definition else None
        return [one for one in (*found, definition) if one is not None]

    def put(self, item: Item, live: LiveItem | None, report: Report) -> str:
        """Create or change one object, wait until it is ACTIVE with what was sent, and mark it as ours."""
        deadline = time.monotonic() + self._patience.altogether_seconds
        found = self._settled(item, report, deadline)
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
        while (found := self._settled(item, report, deadline)) is not None:
            if not self._is_ours(item.kind, found) or found.modified != live.version:
                raise self._changed_meanwhile(item)
            try:
                self._workspace.delete(item.kind, item.name, report)
            except AwsError as error:
                if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                    raise
                self._pause(report, "another change of it is under way", deadline)
                continue
            while self._find(item, report) is not None:
                self._pause(report, GOING, deadline)
            return "deleted"
        return "was gone already"

    def status(self, report: Report) -> Sequence[Fact]:
        """Return the state of all namespaces and of the definition, then what the ruler says of the rules."""
        workspace = self._workspace
        listed = sorted(workspace.listed(report), key=lambda found: found.name)
        definition = workspace.find(DEFINITION, DEFINITION_NAME, report)
        here = [(NAMESPACE, one) for one in listed]
        here += [(DEFINITION, definition)] if definition is not None else []
        ours = {kind for kind, one in here if self._is_ours(kind, one)}
        facts = [] if ours else [nothing_published(self._source)]
        for kind, one in here:
            # Whose the definition is need not be known where we leave it alone.
            marked = self._is_ours(kind, one) or (kind == DEFINITION and not self._with_definition)
            subject = f"{kind} {one.name}" if kind == NAMESPACE else kind
            facts.append(_state_fact(subject, one, "" if marked else "not ours"))
        if ours and definition is None:
            facts.append(Fact(DEFINITION, "missing", "no alert reaches anybody", healthy=False))
        if not listed:
            return facts
        region = self._way.access.region
        return [*facts, *rule_facts(workspace.endpoint, workspace.session, region, report)]

    def _live_namespace(self, listed: Found, wanted: Item | None, report: Report) -> LiveItem | None:
        """Return a namespace that is listed, None when it is going or gone.

        The list holds no content. Our tag says which content was ACTIVE when it was last modified: where that
        still holds and is what is wanted, it need not be asked for.
        """
        remembered = listed.tags.get(_CONTENT_TAG)
        if (
            wanted is not None
            and listed.state is State.READY
            and remembered == _content(wanted, listed.modified)
        ):
            owned = self._is_ours(NAMESPACE, listed)
            return LiveItem(wanted, owned, identity=listed.arn, version=listed.modified)
        return None if listed.code == GOING else self._live(NAMESPACE, listed.name, report)

    def _live(self, kind: str, name: str, report: Report) -> LiveItem | None:
        found = self._workspace.find(kind, name, report)
        if found is None or found.code == GOING:
            return None
        return LiveItem(
            Item(kind, name, found.text),
            owned=self._is_ours(kind, found),
            identity=found.arn,
            version=found.modified,
            state=found.state,
            reason=found.reason,
        )

    def _find(self, item: Item, report: Report) -> Found | None:
        return self._workspace.find(item.kind, item.name, report)

    def _settled(self, item: Item, report: Report, deadline: float) -> Found | None:
        """Return the object when no change of it is under way any more, None when it is not there."""
        while (found := self._find(item, report)) is not None and found.state is State.CHANGING:
            self._pause(report, found.code, deadline)
        return found

    def _expect_as_planned(self, item: Item, live: LiveItem | None, found: Found | None) -> None:
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

    def _send(self, item: Item, found: Found | None, report: Report, deadline: float) -> str:
        """Create or put the object, whichever the service takes, and return which it was."""
        token = str(uuid.uuid4())
        tags = {_OWNER_TAG: self._naming.owner}
        while True:
            try:
                if found is None:
                    self._workspace.create(item, token, tags, report)
                else:
                    self._workspace.put(item, token, report)
            except AwsError as error:
                if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                    raise self._refused(item, error.what, error) from error
            else:
                return "created" if found is None else "changed"
            # Somebody else is changing, has created or has removed it; or an earlier attempt of ours arrived.
            self._pause(report, "another change of it is under way", deadline)
            before, found = found, self._settled(item, report, deadline)
            if found is not None and _holds(found, item):
                return "created" if before is None else "changed"
            if found is not None and (before is None or found.modified != before.modified):
                raise self._changed_meanwhile(item)
            token = str(uuid.uuid4())

    def _active(self, item: Item, before: Found | None, report: Report, deadline: float) -> Found:
        """Return the object when the service uses what was sent. Raises StakewatchError with its reason."""
        sent = time.monotonic()
        while True:
            found = self._find(item, report)
            if found is not None and _holds(found, item):
                return found
            if found is not None and found.state is State.FAILED:
                fresh = before is None or found.modified != before.modified or found.text == item.text
                if fresh or time.monotonic() > sent + _STALE_SECONDS:
                    raise self._refused(item, f"{found.code}: {plain(found.reason)}", None)
            self._pause(report, "waiting for it to appear" if found is None else found.code, deadline)

    def _refused(self, item: Item, reason: str, error: AwsError | None) -> StakewatchError:
        """Return the service's reason at the rule that caused it, where it names one."""
        if isinstance(error, UnusableAwsError):
            return error
        rules = self._source.bundle.rules
        named = None
        if item.kind == NAMESPACE:
            named = place_of_rule(reason, item.name, rules, self._naming.prefix)
        mend = error.mend if error is not None and named is None else "mend what it names and apply again"
        return StakewatchError(f"{item}: {reason}", where=named or self.where, mend=mend)

    def _tag(self, found: Found, item: Item, report: Report) -> None:
        """Mark a namespace as ours, and note what it holds, so that the next plan need not ask for it."""
        tags = {_OWNER_TAG: self._naming.owner, _CONTENT_TAG: _content(item, found.modified)}
        if any(found.tags.get(key) != value for key, value in tags.items()):
            self._workspace.tag(found.arn, tags, report)

    def _is_ours(self, kind: str, found: Found) -> bool:
        if kind == NAMESPACE:
            return found.tags.get(_OWNER_TAG) == self._naming.owner
        return definition_is_ours(found.data, self._naming)

    def _pause(self, report: Report, awaited: str, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise StakewatchError(
                f"not done within {self._patience.altogether_seconds:g} s, last it was: {awaited}",
                where=self.where,
                mend="apply again: it goes on where it is",
            )
        pause(self._patience.look_seconds, report, awaited)


def _state_fact(subject: str, found: Found, remark: str = "") -> Fact:
    detail = "; ".join(part for part in (remark, plain(found.reason)) if part)
    return Fact(subject, found.code, detail, healthy=found.state is not State.FAILED)


def _holds(found: Found, item: Item) -> bool:
    """Return whether the service uses what the item says."""
    return found.state is State.READY and found.text == item.text


def _content(item: Item, modified: str) -> str:
    """Return the value of the tag that says which content an unmodified namespace holds."""
    return f"{hashlib.sha256(item.text.encode()).hexdigest()[:32]}@{modified.replace(' ', 'T')}"
