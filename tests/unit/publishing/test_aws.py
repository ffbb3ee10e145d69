"""Asking AWS: credentials, a role of another account, and every way to be refused, in a person's words."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from stakewatch.publishing import aws
from stakewatch.publishing.aws import (
    Access,
    AwsError,
    Patience,
    Service,
    UnusableAwsError,
    open_session,
    refusal,
)
from stakewatch.publishing.pace import Pace
from stakewatch.publishing.target import UnusableTargetError
from tests.unit.publishing.amp_scene import Scene, amp_scene
from tests.unit.publishing.aws_request import service_model
from tests.unit.publishing.aws_server import Reply

QUICK = Patience(look_seconds=0.001, retry_seconds=0.001, longest_retry_seconds=0.002, altogether_seconds=0.5)
ROLE = "arn:aws:iam::999988887777:role/publisher"


class Client:
    """Answers as told, one thing after the other; the last one for ever."""

    meta = SimpleNamespace(
        service_model=service_model("amp"), method_to_api_mapping={"describe": "DescribeWorkspace"}
    )

    def __init__(self, *answers: Any) -> None:  # noqa: ANN401 - errors and answers
        self.answers = list(answers)
        self.asked = 0

    def describe(self, **_: object) -> dict[str, Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """Close nothing."""


def refused(code: str, status: int, message: str = "", **headers: str) -> exceptions.ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return exceptions.ClientError(response, "Describe")


def ask(client: Client) -> dict[str, Any]:
    return Service(client, where="here", pace=Pace(100_000), patience=QUICK).ask("describe")


@pytest.mark.parametrize(
    "passing",
    [
        refused("ThrottlingException", 429),
        refused("Throttling", 400),
        refused("InternalServerException", 500),
        refused("", 503, "<html>"),
        exceptions.EndpointConnectionError(endpoint_url="https://x"),
        exceptions.ReadTimeoutError(endpoint_url="https://x"),
        exceptions.ConnectionClosedError(endpoint_url="https://x"),
    ],
)
def test_what_passes_is_asked_again(passing: Exception) -> None:
    client = Client(passing, passing, {"workspace": {}})
    assert ask(client) == {"workspace": {}}
    assert client.asked == 3


@pytest.mark.parametrize(
    "lasting",
    [
        refused("ValidationException", 400, "bad"),
        refused("AccessDeniedException", 403),
        refused("ServiceQuotaExceededException", 402),
        refused("ConflictException", 409),
        refused("ResourceNotFoundException", 404),
        exceptions.NoCredentialsError(),
        exceptions.SSLError(endpoint_url="https://x", error="certificate"),
    ],
)
def test_what_does_not_pass_is_not_asked_again(lasting: Exception) -> None:
    client = Client(lasting)
    with pytest.raises(AwsError):
        ask(client)
    assert client.asked == 1


def test_what_fails_again_and_again_is_given_up() -> None:
    for error in (
        refused("InternalServerException", 500),
        exceptions.ReadTimeoutError(endpoint_url="https://x"),
    ):
        client = Client(error)
        with pytest.raises(AwsError):
            ask(client)
        assert client.asked == 5


def test_throttling_is_waited_out_as_long_as_our_patience_lasts() -> None:
    client = Client(refused("ThrottlingException", 429))
    with pytest.raises(AwsError, match="asked too often"):
        ask(client)
    assert client.asked > 20


def test_waiting_tells_what_for_and_can_be_ended() -> None:
    class EnoughError(Exception):
        pass

    said: list[str] = []

    def report(awaited: str) -> None:
        said.append(awaited)
        if len(said) > 3:
            raise EnoughError

    service = Service(
        Client(refused("ThrottlingException", 429)), where="here", pace=Pace(100_000), patience=QUICK
    )
    with pytest.raises(EnoughError):
        service.ask("describe", report)
    assert "until AWS is less often asked" in said[0]


@pytest.mark.parametrize(
    ("code", "status", "message", "said", "unusable"),
    [
        ("ExpiredToken", 403, "The security token is expired", "credentials have expired", True),
        ("RequestExpired", 400, "", "credentials have expired", True),
        ("UnrecognizedClientException", 400, "invalid", "does not know these credentials", True),
        ("InvalidSignatureException", 403, "Signature not yet current: x", "clock is wrong", True),
        ("InvalidSignatureException", 403, "does not match", "does not know these credentials", True),
        ("AccessDeniedException", 403, "not authorized to perform: aps:X", "perform: aps:X", True),
        ("403", 403, "<HTML><body>blocked</body></HTML>", "web page", True),
        ("OptInRequired", 403, "", "not enabled", True),
        ("ServiceQuotaExceededException", 402, "full", "quota of the account is used up: full", False),
        ("ValidationException", 400, "bad name", "refused (ValidationException): bad name", False),
        ("InternalServerException", 500, "", "the service failed (500)", False),
    ],
)
def test_a_refusal_says_what_happened_and_what_to_do(
    code: str, status: int, message: str, said: str, *, unusable: bool
) -> None:
    error = refusal(refused(code, status, message).response, "describe", "here")
    assert said in error.what
    assert error.mend
    assert error.where == "here, describe"
    assert isinstance(error, UnusableTargetError) is unusable
    assert "blocked" not in str(error)


def test_what_a_service_writes_cannot_steer_a_terminal_and_has_an_end() -> None:
    error = refusal(refused("ValidationException", 400, "\x1b[2J" + "x" * 10_000).response, "d", "here")
    assert "\x1b" not in str(error)
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (exceptions.NoCredentialsError(), "no credentials"),
        (
            exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            "no credentials",
        ),
        (exceptions.CredentialRetrievalError(provider="p", error_msg="m"), "no credentials"),
        (exceptions.UnauthorizedSSOTokenError(), "sign-in has expired"),
        (exceptions.SSOTokenLoadError(profile_name="p", error_msg="m"), "sign-in has expired"),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="m"), "sign-in has expired"),
        (exceptions.ProfileNotFound(profile="p"), "profile"),
        (exceptions.SSLError(endpoint_url="https://x", error="e"), "no secure connection"),
        (exceptions.ProxyConnectionError(proxy_url="http://p"), "no connection"),
        (ResponseParserError("no JSON"), "not one of AWS"),
        (exceptions.EndpointConnectionError(endpoint_url="https://aps.eu-nowhere-1.x"), "no connection"),
    ],
)
def test_what_never_reached_aws_is_told_too(raised: Exception, said: str) -> None:
    with pytest.raises(UnusableAwsError) as error:
        ask(Client(raised))
    assert said in error.value.what
    assert error.value.mend


def test_credentials_that_cannot_be_sent_are_not_repeated(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "hunter2\nx")
    with pytest.raises(UnusableTargetError) as error, scene.target():
        pass
    assert "hunter2" not in str(error.value)


def test_secrets_in_an_address_are_not_repeated() -> None:
    with pytest.raises(AwsError) as error:
        ask(Client(exceptions.EndpointConnectionError(endpoint_url="https://me:hunter2@proxy/")))
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("body", ["<html>Sign in to the hotel's network</html>", "{}", "", '{"workspace": 1'])
def test_an_answer_of_something_else_is_told_as_such(scene: Scene, body: str) -> None:
    scene.fake.fault = lambda _number, _name: Reply(200, page=body or " ")
    with pytest.raises(UnusableTargetError, match="not one of AWS"), scene.target():
        pass


def test_a_name_that_the_api_does_not_take_is_about_one_object_only() -> None:
    with pytest.raises(AwsError, match="not as the API wants it") as error:
        ask(Client(exceptions.ParamValidationError(report="name: too long")))
    assert not isinstance(error.value, UnusableTargetError)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with amp_scene(tmp_path) as made:
        yield made


def test_a_role_of_another_account_is_assumed_with_what_there_is(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    class Sts:
        meta = SimpleNamespace(
            service_model=service_model("sts"), method_to_api_mapping={"assume_role": "AssumeRole"}
        )

        def assume_role(self, **parameters: object) -> dict[str, Any]:
            asked.update(parameters)
            given = {"AccessKeyId": "AKIDROLE", "SecretAccessKey": "s", "SessionToken": "t"}
            return {"Credentials": given}

        def close(self) -> None:
            asked["closed"] = True

    monkeypatch.setattr(aws, "client", lambda _session, _name, **_: Sts())
    session = open_session(Access("eu-west-1", role_arn=ROLE), "here")
    assert asked == {"RoleArn": ROLE, "RoleSessionName": "stakewatch", "closed": True}
    assert session.get_credentials().access_key == "AKIDROLE"
    assert scene.fake.operations == []


def test_a_role_that_may_not_be_assumed_is_named(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sts(Client):
        def assume_role(self, **_: object) -> dict[str, Any]:
            raise refused("AccessDenied", 403, "not authorized to perform: sts:AssumeRole")

    monkeypatch.setattr(aws, "client", lambda _session, _name, **_: Sts({}))
    with pytest.raises(UnusableAwsError, match="sts:AssumeRole") as error:
        open_session(Access("eu-west-1", role_arn=ROLE), "here")
    assert ROLE in str(error.value.where)
    assert scene.fake.operations == []
