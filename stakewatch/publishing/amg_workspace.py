"""A workspace of Amazon Managed Grafana: what it is, and a token for it that does not outlive its use.

Source: the API reference of Amazon Managed Grafana, and its service model in botocore.
"""

import contextlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stakewatch.bundle.problems import plain
from stakewatch.errors import StakewatchError
from stakewatch.publishing.aws import AwsError, Patience, Service
from stakewatch.publishing.interruption import undisturbed
from stakewatch.publishing.pace import StoppedError, shared_pace
from stakewatch.publishing.target import UnusableTargetError

TOKEN_SECONDS = 900

# A new token is made well before the old one ends: what is being sent with it has to arrive.
_RENEWED_AFTER_SECONDS = 600
_TOKEN_PREFIX = "stakewatch-"  # noqa: S105 - the beginning of a name
_ROLE = "ADMIN"
_PAGE_SIZE = 100
# Of each operation on its own one call a second is allowed, of DescribeWorkspace five (user guide, "Amazon
# Managed Grafana quotas"). For Grafana's own API behind it no rate is documented: its 429 is waited out.
_CALLS_PER_SECOND = 1
# States in which nothing can be published, or what is published would be lost.
_UNUSABLE = frozenset(
    {
        "CREATING",
        "CREATION_FAILED",
        "DELETING",
        "DELETION_FAILED",
        "FAILED",
        "UPGRADING",
        "VERSION_UPDATING",
    }
)
_ENDPOINT = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?")

Now = Callable[[], float]


@dataclass(frozen=True)
class Workspace:
    """A workspace: its host, Grafana's version and its state."""

    host: str
    version: str
    status: str


class ControlPlane:
    """The operations of Amazon Managed Grafana on one workspace; `ask` is its one verb. Raises AwsError."""

    def __init__(self, client: Any, workspace_id: str, *, where: str, patience: Patience) -> None:  # noqa: ANN401 - boto3's
        self.workspace_id = workspace_id
        self.where = where
        self._client = client
        self._patience = patience
        self._services: dict[str, Service] = {}

    def ask(self, operation: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to one operation on the workspace."""
        service = self._services.get(operation)
        if service is None:
            pace = shared_pace(f"grafana {operation}", self._client.meta.region_name, _CALLS_PER_SECOND)
            service = self._services[operation] = Service(
                self._client, where=self.where, pace=pace, patience=self._patience
            )
        return service.ask(operation, workspaceId=self.workspace_id, **parameters)

    def pages(self, operation: str, key: str, **parameters: object) -> Iterator[dict[str, Any]]:
        """Yield the members of `key` of all pages of an answer."""
        following: dict[str, object] = {}
        while True:
            answer = self.ask(operation, maxResults=_PAGE_SIZE, **parameters, **following)
            yield from answer[key]
            if not answer.get("nextToken"):
                return
            following = {"nextToken": answer["nextToken"]}


def find_workspace(plane: ControlPlane) -> Workspace:
    """Return the workspace. Raises UnusableTargetError when there is none, or it cannot be used now."""
    try:
        described = plane.ask("describe_workspace")["workspace"]
    except AwsError as error:
        if error.code in {"ResourceNotFoundException", "ValidationException"}:
            raise UnusableTargetError(
                f"there is no workspace of Amazon Managed Grafana {plane.workspace_id}",
                where=plane.where,
                mend="check id, region and account: `aws grafana list-workspaces` shows those that there are",
            ) from error
        raise
    workspace = Workspace(
        host=str(described["endpoint"]), version=str(described["grafanaVersion"]), status=described["status"]
    )
    if workspace.status in _UNUSABLE or not _ENDPOINT.fullmatch(workspace.host):
        reason = plain(described.get("degradedWorkspaceReason") or "")
        raise UnusableTargetError(
            f"the workspace is {workspace.status}" + (f": {reason}" if reason else ""),
            where=plane.where,
            mend="wait until it is ACTIVE, then run it again",
        )
    return workspace


def service_account(plane: ControlPlane, name: str) -> str:
    """Return the id of the service account of this name, which is made where there is none.

    Every one is billed as a user, so there is only ever one. Raises StakewatchError when it cannot be used.
    """
    found = _find_account(plane, name)
    if found is None:
        try:
            return str(plane.ask("create_workspace_service_account", name=name, grafanaRole=_ROLE)["id"])
        except AwsError as error:
            # Another run was faster, or the answer to our own call was lost.
            found = _find_account(plane, name) if error.code == "ConflictException" else None
            if found is None:
                raise
    if found["grafanaRole"] != _ROLE or str(found["isDisabled"]).lower() == "true":
        state = "is disabled" if found["grafanaRole"] == _ROLE else f"has the role {found['grafanaRole']}"
        raise StakewatchError(
            f"the service account {name} {state}",
            where=plane.where,
            mend=f"delete it, so that it is made anew with the role {_ROLE}, or name another",
        )
    return str(found["id"])


def _find_account(plane: ControlPlane, name: str) -> dict[str, Any] | None:
    accounts = plane.pages("list_workspace_service_accounts", "serviceAccounts")
    return next((account for account in accounts if account["name"] == name), None)


class Token:
    """The token of one run: made when it is first asked for, renewed when it is old, deleted at the end.

    What cannot be prevented (SIGKILL, power) leaves a token that ends by itself within 15 minutes.
    """

    def __init__(self, plane: ControlPlane, account_id: str, *, now: Now = time.monotonic) -> None:
        self._plane = plane
        self._account_id = account_id
        self._now = now
        self._lock = threading.Lock()
        # Ids by names; None where it is not known whether there is such a token.
        self._made: dict[str, str | None] = {}
        self._key = ""
        self._made_at = 0.0
        self._ended = False

    def key(self) -> str:
        """Return the token; from any thread.

        Raises AwsError when there can be none, StoppedError when all are deleted.
        """
        with self._lock:
            if self._ended:
                raise StoppedError("the token of this run is deleted")
            if not self._key or self._now() - self._made_at > _RENEWED_AFTER_SECONDS:
                old = dict(self._made)
                self._made_at = self._now()
                self._key = self._make()
                # What cannot be deleted now is deleted at the end.
                with contextlib.suppress(AwsError):
                    self._delete(old)
            return self._key

    def delete(self) -> None:
        """Delete what was made, also where it is not known whether anything was. May be called again.

        Raises AwsError when that fails.
        """
        # Whoever is just making one has made it when we have the lock.
        with undisturbed(), self._lock:
            self._ended = True
            self._key = ""
            self._delete(dict(self._made))

    def _make(self) -> str:
        # Known before it exists: whatever interrupts the call, it can be found by its name.
        name = f"{_TOKEN_PREFIX}{secrets.token_hex(8)}"
        self._made[name] = None
        answer = self._plane.ask(
            "create_workspace_service_account_token",
            name=name,
            secondsToLive=TOKEN_SECONDS,
            serviceAccountId=self._account_id,
        )
        self._made[name] = str(answer["serviceAccountToken"]["id"])
        return str(answer["serviceAccountToken"]["key"])

    def _delete(self, made: dict[str, str | None]) -> None:
        listed: dict[str, str] | None = None
        for name, known_id in made.items():
            token_id = known_id
            if token_id is None:
                if listed is None:
                    listed = {token["name"]: token["id"] for token in _tokens(self._plane, self._account_id)}
                token_id = listed.get(name)
            if token_id is not None:
                _delete_token(self._plane, self._account_id, token_id)
            del self._made[name]


def delete_left_behind(plane: ControlPlane, account_id: str) -> None:
    """Delete the tokens of earlier runs that were killed: ours by their names, and ended."""
    for token in _tokens(plane, account_id):
        if token["name"].startswith(_TOKEN_PREFIX) and token["expiresAt"] < datetime.now(UTC):
            _delete_token(plane, account_id, token["id"])


def _tokens(plane: ControlPlane, account_id: str) -> list[dict[str, Any]]:
    return list(
        plane.pages(
            "list_workspace_service_account_tokens", "serviceAccountTokens", serviceAccountId=account_id
        )
    )


def _delete_token(plane: ControlPlane, account_id: str, token_id: str) -> None:
    """Delete a token; one that is gone already is no error."""
    try:
        plane.ask("delete_workspace_service_account_token", tokenId=token_id, serviceAccountId=account_id)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise


@contextmanager
def workspace_token(plane: ControlPlane, account_name: str) -> Iterator[Token]:
    """Give a token of the service account, and delete it in any case when the block ends.

    Raises AwsError when it cannot be deleted, unless the block itself has failed.
    """
    account_id = service_account(plane, account_name)
    delete_left_behind(plane, account_id)
    token = Token(plane, account_id)
    with ExitStack() as stack:
        # Once more at the very end: an interruption may come just before the first has shut it out.
        stack.callback(_delete_quietly, token)
        try:
            token.key()
            yield token
        except BaseException:
            _delete_quietly(token)
            raise
        else:
            token.delete()


def _delete_quietly(token: Token) -> None:
    # What went wrong before is what has to be said; the token ends by itself.
    with contextlib.suppress(AwsError):
        token.delete()
