"""Asking AWS: where credentials come from, one call with its retries, every failure as one clear line.

Source of the error codes: "Common errors" of each service's API reference, and botocore's service models.
"""

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import boto3
from botocore import exceptions as botocore_errors
from botocore.config import Config
from botocore.parsers import ResponseParserError

import stakewatch
from stakewatch.bundle.problems import plain
from stakewatch.bundle.tls import tls_failure
from stakewatch.errors import StakewatchError
from stakewatch.publishing.differences import shown_line
from stakewatch.publishing.pace import Pace
from stakewatch.publishing.target import Report, UnusableTargetError

_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "TokenRefreshRequired",
        "ExpiredIdentityToken",
    }
)
_UNKNOWN = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
    }
)
_THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
)
_NOT_ENABLED = frozenset({"OptInRequired", "SubscriptionRequiredException"})
_MOST_RETRIES = 4
_PASSING = (
    botocore_errors.EndpointConnectionError,
    botocore_errors.ConnectionClosedError,
    botocore_errors.ConnectTimeoutError,
    botocore_errors.ReadTimeoutError,
    botocore_errors.ResponseStreamingError,
)
_PAGE = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
_CLOCK = re.compile(r"signature (expired|not yet current)", re.IGNORECASE)


@dataclass(frozen=True)
class Access:
    """Whose credentials are used and for which region; `role_arn` is a role that is assumed with them."""

    region: str
    profile: str | None = None
    role_arn: str | None = None


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: between two looks, before a retry, and for one thing altogether."""

    look_seconds: float = 2.0
    retry_seconds: float = 0.5
    longest_retry_seconds: float = 30.0
    altogether_seconds: float = 300.0


class AwsError(StakewatchError):
    """AWS did not do what it was asked; `code` is the error's name in the API, `status` that of HTTP."""

    def __init__(
        self, what: str, *, code: str, status: int = 0, where: str | None = None, mend: str | None = None
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.code = code
        self.status = status


class UnusableAwsError(AwsError, UnusableTargetError):
    """A failure that every other call would meet too: credentials, permission, region, connection."""


class Service:
    """One service of AWS in one region; `ask` is its one verb, from any thread.

    What was refused because of its rate is asked again when the service says (Retry-After), what failed on
    the way or inside the service a few times more: a call that changes something needs a client token, so
    that it is one and the same call.
    """

    def __init__(self, client: Any, *, where: str, pace: Pace, patience: Patience) -> None:  # noqa: ANN401 - made by boto3
        self._client = client
        self._where = where
        self._pace = pace
        self._patience = patience

    def ask(self, operation: str, report: Report = lambda _: None, /, **parameters: object) -> dict[str, Any]:
        """Return the answer to one operation (`describe_workspace`). Raises AwsError with what to do."""
        deadline = time.monotonic() + self._patience.altogether_seconds
        attempt = 0
        while True:
            self._pace.turn()
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
                self._expect_whole(answer, operation)
            except botocore_errors.ClientError as error:
                wait = self._wait_after(error.response, attempt)
                if wait is None or time.monotonic() + wait > deadline:
                    raise refusal(error.response, operation, self._where) from error
                awaited = "less often asked" if _throttled(error.response) else "well again"
                awaited = f"waiting {wait:.1f} s until AWS is {awaited}"
            except (botocore_errors.BotoCoreError, ResponseParserError) as error:
                wait = self._backoff(attempt)
                if not isinstance(error, _PASSING) or attempt >= _MOST_RETRIES:
                    raise _unreached(error, operation, self._where) from error
                awaited = f"waiting {wait:.1f} s to connect again"
            else:
                return answer
            attempt += 1
            pause(wait, report, awaited)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _expect_whole(self, answer: Mapping[str, Any], operation: str) -> None:
        """Raise ResponseParserError for an answer of something else, as of a proxy that says 200."""
        meta = self._client.meta
        shape = meta.service_model.operation_model(meta.method_to_api_mapping[operation]).output_shape
        missing = set(shape.required_members if shape else ()) - answer.keys()
        if missing:
            raise ResponseParserError(f"it has no {', '.join(sorted(missing))}")

    def _wait_after(self, response: dict[str, Any], attempt: int) -> float | None:
        """Return the seconds until a refused call may be asked again, None where that would be vain."""
        status = response["ResponseMetadata"].get("HTTPStatusCode", 0)
        asked = response["ResponseMetadata"].get("HTTPHeaders", {}).get("retry-after", "")
        if _throttled(response):
            if asked.isascii() and asked.isdigit():
                return float(asked)
            return self._backoff(attempt)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and attempt < _MOST_RETRIES:
            return self._backoff(attempt)
        return None

    def _backoff(self, attempt: int) -> float:
        longest = min(self._patience.retry_seconds * 2.0**attempt, self._patience.longest_retry_seconds)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - so that two do not meet again


def pause(seconds: float, report: Report, awaited: str = "") -> None:
    """Wait, and tell `report` each second what for (nothing when empty), so that it can end the waiting."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        report(awaited)
        time.sleep(min(left, 1.0))


def open_session(access: Access, where: str) -> Any:  # noqa: ANN401 - made by boto3
    """Return a session of boto3 for this access, its credentials found.

    Raises UnusableAwsError when there are none, or the role may not be assumed.
    """
    try:
        session = boto3.Session(region_name=access.region, profile_name=access.profile)
        if session.get_credentials() is None:
            raise botocore_errors.NoCredentialsError
        if access.role_arn is None:
            return session
        with_role = _assumed(session, access, where)
    except botocore_errors.BotoCoreError as error:
        raise _unreached(error, "get credentials", where) from error
    except botocore_errors.ClientError as error:
        raise refusal(error.response, "assume_role", where) from error
    return with_role


def _assumed(session: Any, access: Access, where: str) -> Any:  # noqa: ANN401 - made by boto3
    sts = Service(
        client(session, "sts", workers=1),
        where=f"{where}, {access.role_arn}",
        pace=Pace(10),
        patience=Patience(),
    )
    answer = sts.ask("assume_role", RoleArn=access.role_arn, RoleSessionName="stakewatch")
    sts.close()
    given = answer["Credentials"]
    return boto3.Session(
        region_name=access.region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def client(session: Any, service: str, *, workers: int) -> Any:  # noqa: ANN401 - made by boto3
    """Return a client of boto3 that leaves retries to us."""
    return session.client(
        service,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": 1},
            max_pool_connections=max(workers, 10),
            user_agent_extra=f"stakewatch/{stakewatch.__version__}",
        ),
    )


def _throttled(response: dict[str, Any]) -> bool:
    return (
        response["ResponseMetadata"].get("HTTPStatusCode") == HTTPStatus.TOO_MANY_REQUESTS
        or response["Error"].get("Code", "") in _THROTTLED
    )


def refusal(response: dict[str, Any], operation: str, where: str) -> AwsError:
    """Return what a refused call comes to, with the service's reason and what to do about it."""
    code = str(response["Error"].get("Code", ""))
    message = str(response["Error"].get("Message", ""))
    status = int(response["ResponseMetadata"].get("HTTPStatusCode", 0))
    said = f": {plain(message)}" if message else ""
    where = f"{where}, {operation}"
    kind: type[AwsError] = UnusableAwsError
    if _PAGE.match(message):
        what = f"it answers with a web page ({status}): a network access control or a proxy stands before AWS"
        mend = "ask from a network, VPC endpoint or address that is let through"
    elif code in _EXPIRED:
        what, mend = "the credentials have expired", "get new ones, as with aws sso login, and run it again"
    elif _CLOCK.search(message):
        what, mend = "this machine's clock is wrong, so that AWS refuses its signature", "set the clock"
    elif code in _UNKNOWN:
        what = "AWS does not know these credentials in this region"
        mend = (
            "check the profile or the environment (AWS_…), and whether the region is enabled in the account"
        )
    elif code in _NOT_ENABLED:
        what, mend = f"the account has not enabled this service or region{said}", "enable it in the account"
    elif status == HTTPStatus.FORBIDDEN or code.startswith("AccessDenied"):
        what = f"no permission{said}"
        mend = "allow it in the IAM policy of these credentials: docs/publishing.md has one per command"
    elif status == HTTPStatus.PAYMENT_REQUIRED or code in {"ServiceQuotaExceededException", "LimitExceeded"}:
        quota = response.get("quotaCode") or response["Error"].get("quotaCode") or ""
        kind, what = AwsError, f"a quota of the account is used up{said}"
        named = f" (quota {plain(quota)})" if quota else ""
        mend = f"ask AWS for more under Service Quotas{named}, or send less"
    elif _throttled(response):
        kind, what = AwsError, f"AWS still finds that it is asked too often{said}"
        mend = "run it again later, or look who else asks in this account"
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, what, mend = AwsError, f"the service failed ({status}){said}", "run it again later"
    else:
        kind, what, mend = AwsError, f"refused ({code}){said}", "mend what it names and run it again"
    return kind(what, code=code, status=status, where=where, mend=mend)


def _unreached(error: Exception, operation: str, where: str) -> AwsError:
    """Return what a call comes to that AWS never answered."""
    said = shown_line(plain(error))
    where = f"{where}, {operation}"
    code = type(error).__name__
    if isinstance(error, botocore_errors.ProfileNotFound):
        what, mend = said, "name a profile of ~/.aws/config, or none"
    elif isinstance(
        error, botocore_errors.UnauthorizedSSOTokenError | botocore_errors.TokenRetrievalError
    ) or code in {"SSOTokenLoadError", "LoginRefreshRequired"}:
        what, mend = f"the sign-in has expired: {said}", "sign in again, as with aws sso login"
    elif isinstance(
        error,
        botocore_errors.NoCredentialsError
        | botocore_errors.PartialCredentialsError
        | botocore_errors.CredentialRetrievalError
        | botocore_errors.MetadataRetrievalError,
    ):
        what, mend = f"there are no credentials: {said}", "set a profile, a role of this machine, or AWS_…"
    elif isinstance(error, botocore_errors.ParamValidationError):
        return AwsError(
            f"not as the API wants it: {said}", code=code, where=where, mend="mend that name or value"
        )
    elif isinstance(error, ResponseParserError):
        what, mend = (
            f"its answer is not one of AWS: {said}",
            "a proxy, or AWS_ENDPOINT_URL of something else?",
        )
    elif type(error) is botocore_errors.HTTPClientError:
        # Its text repeats what could not be sent, a token among it.
        what = "the request could not be sent"
        mend = "do the AWS_… variables or the profile hold a line break or other stray characters?"
    elif isinstance(error, botocore_errors.SSLError):
        what, mend = tls_failure(error, variable="AWS_CA_BUNDLE")
    else:
        what = f"no connection: {said}"
        mend = "is the region right and does the service exist there? Is the network, or its proxy, up?"
    return UnusableAwsError(what, code=code, where=where, mend=mend)
