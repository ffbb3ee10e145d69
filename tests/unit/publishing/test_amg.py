"""Publishing to Amazon Managed Grafana: one service account, and a token that is gone whatever happens."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.publishing import amg, amg_workspace, json_api
from stakewatch.publishing.amg_workspace import ControlPlane, Token
from stakewatch.publishing.aws import Access, AwsError, Patience, client, open_session
from stakewatch.publishing.pace import StoppedError, forget_paces
from stakewatch.publishing.target import Target
from tests.unit.publishing import fake_grafana
from tests.unit.publishing.aws_server import CREDENTIALS, REGION, Cut, Reply, environment
from tests.unit.publishing.fake_amg import WORKSPACE, Account, FakeAmg, serving
from tests.unit.publishing.fake_grafana import FakeGrafana
from tests.unit.publishing.publishing_to import make, plan, publish, write_board

AMP = {"url": "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/", "region": "eu-west-1"}
WRITES = {"CreateWorkspaceServiceAccount", "CreateWorkspaceServiceAccountToken"}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUICK = Patience(look_seconds=0.01, retry_seconds=0.01, longest_retry_seconds=0.05, altogether_seconds=5.0)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAmg]:
    """Return a workspace; a request that botocore's model does not know fails the test."""
    with fake_grafana.serving(FakeGrafana()) as grafana, serving(FakeAmg(grafana)) as workspace:
        for name, value in environment("AWS_ENDPOINT_URL_GRAFANA", workspace.url).items():
            monkeypatch.setenv(name, value)
        # Each session reads the models of all services again.
        monkeypatch.setattr(amg, "open_session", lambda access, _where: session_for(access.region))
        monkeypatch.setattr(amg, "_SCHEME", "http")
        monkeypatch.setattr(amg, "_PATIENCE", QUICK)
        monkeypatch.setattr(amg_workspace, "_CALLS_PER_SECOND", 1000)
        forget_paces()
        monkeypatch.setattr(json_api, "_FIRST_PAUSE_SECONDS", 0.001)
        yield workspace
    assert workspace.mistakes == []
    assert grafana.wrong == []


@cache
def session_for(region: str) -> Any:  # noqa: ANN401 - made by boto3
    return open_session(Access(region), "there")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle with a board."""
    write_board(tmp_path, "lighthouse")
    return tmp_path


def target(bundle: Path, *, workspace: str = WORKSPACE, **options: object) -> Target:
    return make(bundle, "amg", region=REGION, workspace=workspace, **options)


def once(operation: str, happens: Reply | Cut) -> Callable[[int, str], Reply | Cut | None]:
    """Let one thing happen at the first call of an operation."""
    left = [happens]
    return lambda _number, name: left.pop() if name == operation and left else None


def test_all_is_published_with_a_token_that_is_gone_afterwards(bundle: Path, there: FakeAmg) -> None:
    result = publish(target(bundle, data_source=AMP))
    assert result.errors == []
    assert result.changed == ["folder stakewatch", "data source stakewatch", "dashboard lighthouse"]
    assert there.tokens == []
    assert [account.name for account in there.accounts.values()] == ["stakewatch"]
    assert there.seconds_to_live == [900]
    assert publish(target(bundle, data_source=AMP)).plan.drift is False


def test_one_service_account_is_reused_however_many_there_are(bundle: Path, there: FakeAmg) -> None:
    there.page_size = 2
    there.accounts = {f"a{number}": Account(f"other-{number}") for number in range(5)}
    publish(target(bundle))
    plan(target(bundle))
    assert [account.name for account in there.accounts.values()].count("stakewatch") == 1
    assert there.calls.count("CreateWorkspaceServiceAccount") == 1


@pytest.mark.parametrize(
    ("version", "kind"),
    [("10.4", "prometheus"), ("12.4", "grafana-amazonprometheus-datasource"), ("9.4", "prometheus")],
)
def test_the_data_source_is_signed_by_the_workspaces_role_in_the_type_of_its_version(
    bundle: Path, there: FakeAmg, version: str, kind: str
) -> None:
    there.grafana.version = version
    publish(target(bundle, data_source=AMP))
    source = there.grafana.data_sources["stakewatch"]
    assert source["type"] == kind
    assert source["jsonData"]["sigV4AuthType"] == "workspace-iam-role"
    assert source["jsonData"]["sigV4Region"] == "eu-west-1"
    # The version is the control plane's: a workspace need not tell it to a stranger.
    assert "GET /api/health" not in there.grafana.requests


def test_a_lost_answer_to_the_making_of_a_token_leaves_none(bundle: Path, there: FakeAmg) -> None:
    there.instead = once("CreateWorkspaceServiceAccountToken", Cut(after=True))
    with pytest.raises(StakewatchError, match="ConflictException"):
        publish(target(bundle))
    assert there.tokens == []


def test_a_lost_answer_to_the_making_of_the_account_is_no_second_account(
    bundle: Path, there: FakeAmg
) -> None:
    there.instead = once("CreateWorkspaceServiceAccount", Cut(after=True))
    assert publish(target(bundle)).errors == []
    assert len(there.accounts) == 1


@pytest.mark.parametrize("carried_out", [False, True])
def test_no_token_is_left_when_grafana_fails_at_any_request(
    bundle: Path, there: FakeAmg, *, carried_out: bool
) -> None:
    reply = fake_grafana.Reply(0, lost=True) if carried_out else fake_grafana.page(403)
    for position in range(1, 30):
        there.grafana.requests.clear()
        there.grafana.instead = lambda _method, _path, number, at=position: reply if number >= at else None  # type: ignore[misc]
        try:
            through = not publish(target(bundle, data_source=AMP)).errors
        except StakewatchError:
            through = False
        assert there.tokens == []
        if through:
            break
    assert 6 < position < 29
    there.grafana.instead = lambda _method, _path, _number: None
    assert publish(target(bundle, data_source=AMP)).errors == []
    assert len(there.accounts) == 1


@pytest.mark.parametrize(
    "happens", [Cut(after=False), Cut(after=True), Reply(500, "InternalServerException")]
)
def test_no_token_is_left_when_the_control_plane_fails_once_at_any_call(
    bundle: Path, there: FakeAmg, happens: Reply | Cut
) -> None:
    for position in range(1, 20):
        there.accounts.clear()
        there.calls.clear()
        there.instead = lambda number, _name, at=position: happens if number == at else None  # type: ignore[misc]
        try:
            publish(target(bundle))
        except StakewatchError:
            assert happens == Cut(after=True)
        assert there.tokens == []
        if len(there.calls) < position:
            break
    assert position > 6


def test_a_token_that_cannot_be_deleted_is_told_and_ends_by_itself(bundle: Path, there: FakeAmg) -> None:
    refusal = Reply(403, "AccessDeniedException", "not authorized to delete")
    there.instead = lambda _number, name: refusal if name == "DeleteWorkspaceServiceAccountToken" else None
    with pytest.raises(StakewatchError, match="not authorized to delete"):
        publish(target(bundle))
    assert len(there.tokens) == 1
    assert there.seconds_to_live == [900]


def test_the_first_error_is_told_and_not_that_of_cleaning_up(bundle: Path, there: FakeAmg) -> None:
    refusal = Reply(403, "AccessDeniedException", "not authorized to delete")
    there.instead = lambda _number, name: refusal if name == "DeleteWorkspaceServiceAccountToken" else None
    there.grafana.instead = lambda _method, _path, _number: fake_grafana.page(403)
    with pytest.raises(StakewatchError, match="network access control does not admit this address"):
        publish(target(bundle))


def test_tokens_of_killed_runs_are_tidied_up_when_they_have_ended_and_no_others(
    bundle: Path, there: FakeAmg
) -> None:
    now = datetime.now(UTC)
    tokens = {
        "t1": ("stakewatch-0011223344556677", now - timedelta(minutes=1)),
        "t2": ("stakewatch-8899aabbccddeeff", now + timedelta(minutes=5)),
        "t3": ("somebody-else", now - timedelta(minutes=1)),
    }
    there.accounts = {"a": Account("stakewatch", tokens=tokens)}
    publish(target(bundle))
    assert there.tokens == ["stakewatch-8899aabbccddeeff", "somebody-else"]


def test_a_run_longer_than_a_token_gets_a_new_one_and_leaves_none(there: FakeAmg) -> None:
    times = [0.0]
    there.accounts = {"a": Account("stakewatch")}
    token = Token(plane(), "a", now=lambda: times[0])
    first = token.key()
    assert token.key() == first
    times[0] = 700.0
    second = token.key()
    assert second != first
    assert len(there.tokens) == 1
    token.delete()
    token.delete()
    assert there.tokens == []


def test_a_renewed_token_whose_elder_cannot_be_deleted_at_once_leaves_none_at_the_end(there: FakeAmg) -> None:
    times = [0.0]
    there.accounts = {"a": Account("stakewatch")}
    token = Token(plane(), "a", now=lambda: times[0])
    token.key()
    refusal = Reply(403, "AccessDeniedException", "not now")
    there.instead = once("DeleteWorkspaceServiceAccountToken", refusal)
    times[0] = 700.0
    token.key()
    assert len(there.tokens) == 2
    token.delete()
    assert there.tokens == []


def test_several_threads_share_one_token(there: FakeAmg) -> None:
    there.accounts = {"a": Account("stakewatch")}
    token = Token(plane(), "a")
    keys: list[str] = []
    threads = [threading.Thread(target=lambda: keys.append(token.key())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == len(there.seconds_to_live) == 1
    token.delete()


def test_a_straggler_cannot_make_a_token_when_all_are_deleted(there: FakeAmg) -> None:
    there.accounts = {"a": Account("stakewatch")}
    token = Token(plane(), "a")
    token.key()
    token.delete()
    with pytest.raises(StoppedError):
        token.key()
    assert there.tokens == []


def test_a_token_that_is_being_made_by_another_thread_is_deleted_too(there: FakeAmg) -> None:
    there.accounts = {"a": Account("stakewatch")}
    token = Token(plane(), "a")
    asked, goes_on = threading.Event(), threading.Event()

    def hold(_number: int, operation: str) -> None:
        if operation == "CreateWorkspaceServiceAccountToken":
            asked.set()
            assert goes_on.wait(30)

    there.instead = hold
    makes = threading.Thread(target=token.key)
    makes.start()
    assert asked.wait(30)
    threading.Timer(0.1, goes_on.set).start()
    token.delete()
    makes.join()
    assert len(there.seconds_to_live) == 1
    assert there.tokens == []


def plane() -> ControlPlane:
    asked = client(session_for(REGION), "grafana", workers=1)
    return ControlPlane(asked, WORKSPACE, where="there", patience=QUICK)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (Account("stakewatch", role="VIEWER"), "has the role VIEWER"),
        (Account("stakewatch", disabled="true"), "is disabled"),
    ],
)
def test_a_service_account_that_cannot_publish_is_told(
    bundle: Path, there: FakeAmg, account: Account, said: str
) -> None:
    there.accounts = {"a": account}
    with pytest.raises(StakewatchError, match=f"the service account stakewatch {said}"):
        plan(target(bundle))
    assert there.seconds_to_live == []


@pytest.mark.parametrize("status", ["CREATING", "VERSION_UPDATING", "DELETING", "FAILED"])
def test_a_workspace_that_is_not_ready_is_told(bundle: Path, there: FakeAmg, status: str) -> None:
    there.status = status
    with pytest.raises(StakewatchError, match=f"the workspace is {status}"):
        plan(target(bundle))
    assert there.calls == ["DescribeWorkspace"]


def test_a_wrong_workspace_id_is_one_clear_line(bundle: Path, there: FakeAmg) -> None:
    with pytest.raises(
        StakewatchError, match=r"there is no workspace of Amazon Managed Grafana g-ffffffffff"
    ):
        plan(target(bundle, workspace="g-ffffffffff"))
    assert there.tokens == []


def test_a_wrong_region_is_one_clear_line(bundle: Path, there: FakeAmg) -> None:
    with pytest.raises(StakewatchError, match="AWS does not know these credentials in this region"):
        plan(make(bundle, "amg", region="us-east-1", workspace=WORKSPACE))
    assert there.calls == []


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (Reply(403, "ExpiredTokenException", "expired"), "the credentials have expired"),
        (
            Reply(403, "AccessDeniedException", "grafana:DescribeWorkspace"),
            "no permission: grafana:Describe",
        ),
        (Reply(403, page="<html>Forbidden</html>"), "it answers with a web page|no permission"),
    ],
)
def test_each_refusal_of_the_control_plane_is_one_clear_line(
    bundle: Path, there: FakeAmg, refusal: Reply, said: str
) -> None:
    there.instead = lambda _number, _name: refusal
    with pytest.raises(StakewatchError, match=said):
        plan(target(bundle))
    assert there.accounts == {}


def test_a_limit_of_calls_is_waited_for(bundle: Path, there: FakeAmg) -> None:
    limited = Reply(429, "ThrottlingException", "slow down", {"Retry-After": "0"})
    there.instead = once("CreateWorkspaceServiceAccountToken", limited)
    assert publish(target(bundle)).errors == []


def test_no_operation_is_asked_for_more_often_than_its_quota_allows(
    there: FakeAmg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amg_workspace, "_CALLS_PER_SECOND", 1)
    asked = plane()
    started = time.monotonic()
    asked.ask("describe_workspace")
    asked.ask("list_workspace_service_accounts")
    assert time.monotonic() - started < 1
    asked.ask("list_workspace_service_accounts")
    assert time.monotonic() - started > 1
    # Another workspace of the region has no quota of its own.
    plane().ask("list_workspace_service_accounts")
    assert time.monotonic() - started > 2
    assert len(there.calls) == 4


def test_status_tells_the_workspaces_state(bundle: Path, there: FakeAmg) -> None:
    there.status = "DEGRADED"
    opened = target(bundle)
    with opened:
        facts = {fact.subject: fact for fact in opened.status(lambda _: None)}
    assert (facts["workspace"].state, facts["workspace"].healthy) == ("DEGRADED", False)
    assert facts["published"].state == "nothing yet"


def test_secrets_stand_in_no_message(bundle: Path, there: FakeAmg) -> None:
    there.grafana.instead = lambda _method, _path, _number: fake_grafana.Reply(401, {"message": "Invalid"})
    with pytest.raises(StakewatchError) as raised:
        plan(target(bundle))
    assert "glsa_" not in str(raised.value)
    assert str(CREDENTIALS.secret_key) not in str(raised.value)


# Publishes in a child of its own for each line that it reads, and tells the child and how it ended.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from stakewatch.publishing import amg, amg_workspace
from stakewatch.publishing.interruption import ending_in_order
from stakewatch.publishing.sessions import Prepared, plan_each
from tests.unit.publishing.publishing_to import publish, source_of
amg._SCHEME = "http"
amg_workspace._CALLS_PER_SECOND = 1000
session = amg.open_session(amg.Access(sys.argv[2]), "there")
session.client("grafana")
amg.open_session = lambda _access, _where: session
signal.signal(signal.SIGINT, signal.default_int_handler)
options = {"region": sys.argv[2], "workspace": sys.argv[3]}
source = source_of(Path(sys.argv[1]), "amg", options)
# What is read once is read here, not in each child.
publish(amg.amg(source))
while sys.stdin.readline():
    child = os.fork()
    if not child:
        os.close(2)
        with ending_in_order():
            if sys.argv[4] == "publish":
                publish(amg.amg(source))
            else:
                plan_each([Prepared(source.destination, amg.amg(source))])
        sys.exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


# Targets are asked in threads for a plan, and signals reach the main thread only.
@pytest.mark.parametrize("command", ["publish", "plan"])
def test_no_token_is_left_when_a_signal_ends_the_program_at_any_call(
    bundle: Path, there: FakeAmg, command: str
) -> None:
    child: queue.SimpleQueue[int] = queue.SimpleQueue()
    calls = 0
    position, number = 0, signal.SIGINT

    def count() -> None:
        """Send the signal while a call, counted over both APIs, is being answered."""
        nonlocal calls
        calls += 1
        if calls == position:
            os.kill(child.get(timeout=10), number)

    there.instead = lambda _number, _name: count()
    there.grafana.instead = lambda _method, _path, _number: count()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, bundle, REGION, WORKSPACE, command],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write("once more\n")
        program.stdin.flush()
        program.stdout.readline()
        assert program.stdout.readline() == "0\n"
        codes: list[int] = []
        while 0 not in codes:
            position, number = 1 + len(codes), SIGNALS[len(codes) % len(SIGNALS)]
            there.accounts.clear()
            there.grafana.folders.clear()
            there.grafana.dashboards.clear()
            calls = 0
            program.stdin.write("once more\n")
            program.stdin.flush()
            child.put(int(program.stdout.readline()))
            codes.append(int(program.stdout.readline()))
            if calls < position:
                child.get()
            assert there.tokens == [], f"after {number.name} at call {position}"
        program.stdin.close()
    assert position > 6
    # The first call comes before there is anything to give back.
    assert codes[:3] == [-signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGHUP]


def test_the_errors_type_is_aws_own(there: FakeAmg) -> None:
    there.instead = lambda _number, _name: Reply(400, "ValidationException", "no")
    with pytest.raises(AwsError):
        plane().ask("list_workspace_service_accounts")
    assert set(there.calls).isdisjoint(WRITES)
