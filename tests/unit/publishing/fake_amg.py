"""A strict Amazon Managed Grafana on loopback: the control plane of one workspace, with a Grafana behind it.

Every request has to fit botocore's model of the service and carry a right signature; one that does not is
kept in `mistakes`. Tokens that are made here are tokens of the Grafana, until they are deleted.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.publishing.aws_request import NotARequestError, Sent, read_request, signing_fault
from tests.unit.publishing.aws_server import CREDENTIALS, REGION, AwsHandler, Cut, Reply
from tests.unit.publishing.fake_grafana import FakeGrafana
from tests.unit.publishing.loopback import listening

WORKSPACE = "g-0a1b2c3d4e"


@dataclass
class Account:
    """A service account and its tokens by id: each a name and when it ends."""

    name: str
    role: str = "ADMIN"
    disabled: str = "false"
    tokens: dict[str, tuple[str, datetime]] = field(default_factory=dict)


Answer = tuple[int, dict[str, Any]]


@dataclass
class FakeAmg:
    """What the workspace holds, and what goes wrong; `instead` is told number and name of each call."""

    grafana: FakeGrafana
    status: str = "ACTIVE"
    accounts: dict[str, Account] = field(default_factory=dict)
    page_size: int = 100
    instead: Callable[[int, str], Reply | Cut | None] = lambda _number, _operation: None
    calls: list[str] = field(default_factory=list)
    seconds_to_live: list[int] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    url: str = ""
    _made: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def tokens(self) -> list[str]:
        """The names of all tokens that there are."""
        return [name for account in self.accounts.values() for name, _ in account.tokens.values()]

    def respond(self, sent: Sent) -> Answer | Reply | Cut:
        """Answer one request."""
        fault = signing_fault(sent, CREDENTIALS, f"{REGION}/grafana")
        if fault:
            return Reply(403, "InvalidSignatureException", fault)
        try:
            request = read_request("grafana", sent)
        except NotARequestError as error:
            self.mistakes.append(str(error))
            return Reply(400, "ValidationException", str(error))
        with self._lock:
            self.calls.append(request.operation)
            happens = self.instead(len(self.calls), request.operation)
            if isinstance(happens, Reply) or (isinstance(happens, Cut) and not happens.after):
                return happens
            given = dict(request.parameters)
            if given.pop("workspaceId") != WORKSPACE:
                return Reply(404, "ResourceNotFoundException", "workspace not found")
            answer: Answer | Reply = getattr(self, f"_{request.operation}")(**given)
            return happens or answer

    def _DescribeWorkspace(self) -> Answer:  # noqa: N802 - the operation's name
        now = datetime.now(UTC).timestamp()
        workspace = {
            "id": WORKSPACE,
            "created": now,
            "modified": now,
            "status": self.status,
            "endpoint": self.grafana.url.removeprefix("http://"),
            "grafanaVersion": self.grafana.version,
            "dataSources": ["PROMETHEUS"],
            "authentication": {"providers": ["AWS_SSO"]},
        }
        return 200, {"workspace": workspace}

    def _ListWorkspaceServiceAccounts(  # noqa: N802
        self,
        maxResults: int = 100,  # noqa: N803 - the API's names
        nextToken: str = "0",  # noqa: N803
    ) -> Answer:
        listed = [
            {"id": key, "name": one.name, "isDisabled": one.disabled, "grafanaRole": one.role}
            for key, one in self.accounts.items()
        ]
        return 200, {**self._page("serviceAccounts", listed, maxResults, nextToken), "workspaceId": WORKSPACE}

    def _CreateWorkspaceServiceAccount(self, name: str, grafanaRole: str) -> Answer | Reply:  # noqa: N802, N803
        if name in {one.name for one in self.accounts.values()}:
            return Reply(409, "ConflictException", "service account exists")
        key = self._next()
        self.accounts[key] = Account(name, grafanaRole)
        return 200, {"id": key, "name": name, "grafanaRole": grafanaRole, "workspaceId": WORKSPACE}

    def _ListWorkspaceServiceAccountTokens(  # noqa: N802
        self,
        serviceAccountId: str,  # noqa: N803
        maxResults: int = 100,  # noqa: N803
        nextToken: str = "0",  # noqa: N803
    ) -> Answer | Reply:
        account = self.accounts.get(serviceAccountId)
        if account is None:
            return Reply(404, "ResourceNotFoundException", "service account not found")
        listed = [
            {"id": key, "name": name, "createdAt": 1_700_000_000.0, "expiresAt": end.timestamp()}
            for key, (name, end) in account.tokens.items()
        ]
        page = self._page("serviceAccountTokens", listed, maxResults, nextToken)
        return 200, {**page, "serviceAccountId": serviceAccountId, "workspaceId": WORKSPACE}

    def _CreateWorkspaceServiceAccountToken(  # noqa: N802
        self,
        name: str,
        secondsToLive: int,  # noqa: N803
        serviceAccountId: str,  # noqa: N803
    ) -> Answer | Reply:
        account = self.accounts.get(serviceAccountId)
        if account is None:
            return Reply(404, "ResourceNotFoundException", "service account not found")
        if name in {one for one, _ in account.tokens.values()}:
            return Reply(409, "ConflictException", "token exists")
        self.seconds_to_live.append(secondsToLive)
        key = self._next()
        account.tokens[key] = (name, datetime.now(UTC) + timedelta(seconds=secondsToLive))
        self.grafana.tokens[_secret(key)] = account.role.capitalize()
        made = {"id": key, "name": name, "key": _secret(key)}
        return 200, {
            "serviceAccountToken": made,
            "serviceAccountId": serviceAccountId,
            "workspaceId": WORKSPACE,
        }

    def _DeleteWorkspaceServiceAccountToken(self, tokenId: str, serviceAccountId: str) -> Answer | Reply:  # noqa: N802, N803
        account = self.accounts.get(serviceAccountId)
        if account is None or account.tokens.pop(tokenId, None) is None:
            return Reply(404, "ResourceNotFoundException", "token not found")
        self.grafana.tokens.pop(_secret(tokenId), None)
        return 200, {"tokenId": tokenId, "serviceAccountId": serviceAccountId, "workspaceId": WORKSPACE}

    def _page(self, key: str, listed: list[dict[str, Any]], size: int, start: str) -> dict[str, Any]:
        first, count = int(start), min(size, self.page_size)
        more = {"nextToken": str(first + count)} if first + count < len(listed) else {}
        return {key: listed[first : first + count], **more}

    def _next(self) -> str:
        self._made += 1
        return str(self._made)


def _secret(key: str) -> str:
    return f"glsa_made{key}"


@contextmanager
def serving(amg: FakeAmg) -> Iterator[FakeAmg]:
    """Serve the control plane on a free loopback port until the block ends."""

    class Handler(AwsHandler):
        def respond(self, body: bytes) -> Answer | Reply | Cut:
            return amg.respond(Sent(self.command, amg.url + self.path, self.headers, body))

    with listening(Handler) as amg.url:
        yield amg
