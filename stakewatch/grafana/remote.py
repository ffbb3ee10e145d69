"""A Prometheus or Loki of the user's own: where it is, how it is asked, and what it answers, as types.

Everything that a user's secrets could leak through stands here: the address is taken apart once, and what is
printed, logged or raised afterwards never holds them.
"""

import itertools
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, unquote, urlunsplit

import requests
from prometheus_api_client import PrometheusConnect
from requests.auth import AuthBase, HTTPBasicAuth

from stakewatch.bundle.http_access import Bearer, address_parts, failure_of, is_loopback, read_token
from stakewatch.bundle.problems import plain
from stakewatch.bundle.rooms import WITH_ALL_EXTRAS
from stakewatch.errors import InputError, StakewatchError

_TIMEOUT_SECONDS = 60
_MOST_LINES = 100
_NANOSECONDS = 10**9
# A workspace of Amazon Managed Service for Prometheus; its requests are signed.
_AMP = re.compile(r"aps-workspaces(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)")
_NO_LABELS: Mapping[str, str] = MappingProxyType({})


class RefusedError(StakewatchError):
    """Prometheus answered, and refused what it was asked; `status` is the HTTP status."""

    def __init__(self, what: str, *, status: int, where: str, mend: str | None = None) -> None:
        super().__init__(what, where=where, mend=mend)
        self.status = status


@dataclass(frozen=True)
class Series:
    """One series of an answer: its labels, and its values as (Unix seconds, value), the oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def newest(self) -> float:
        """The last value, NaN where there is none."""
        return self.points[-1][1] if self.points else math.nan


@dataclass(frozen=True)
class Logs:
    """What Loki answers: lines as (Unix seconds, text), the newest first, or series made of them."""

    lines: tuple[tuple[float, str], ...] = ()
    series: tuple[Series, ...] = ()


@dataclass(frozen=True)
class LoadedRule:
    """A rule that the Prometheus has loaded; `seconds` is what its last evaluation took."""

    name: str
    alerting: bool
    seconds: float


@dataclass(frozen=True)
class Remote:
    """A Prometheus or Loki (`who`) at `url`, which has neither secrets nor a trailing slash in it."""

    url: str
    who: str
    _session: requests.Session = field(repr=False, compare=False)
    _client: PrometheusConnect = field(repr=False, compare=False)

    def query(self, expression: str, at: float | None = None) -> tuple[Series, ...]:
        """Return what an expression is at a time (Unix seconds, default: now); a scalar has no labels.

        Raises RefusedError when Prometheus refuses it, StakewatchError when it does not answer.
        """
        parameters = {"time": repr(time.time() if at is None else at)}
        with self._spoken():
            return _series(self._client.custom_query(expression, params=parameters), self.url)

    def query_range(self, expression: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        """Return what an expression was from `start` to `end` (Unix seconds), every `step` seconds.

        Raises as `query` does.
        """
        first, last = (datetime.fromtimestamp(moment, UTC) for moment in (start, end))
        with self._spoken():
            return _series(self._client.custom_query_range(expression, first, last, str(step)), self.url)

    def metric_names(self, since: float) -> frozenset[str]:
        """Return the names of the series that there were since a time (Unix seconds) or a bit longer.

        Raises as `query` does.
        """
        with self._spoken():
            names = self._client.get_label_values("__name__", params={"start": repr(since)})
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise StakewatchError("the names of metrics are no list of texts", where=self.url)
        return frozenset(names)

    def rules(self) -> tuple[LoadedRule, ...]:
        """Return all loaded rules. Raises as `query` does; some managed services refuse it."""
        with self._spoken():
            answer = self._session.get(f"{self.url}/api/v1/rules", timeout=_TIMEOUT_SECONDS).json()
            return tuple(
                LoadedRule(
                    name=str(rule["name"]),
                    alerting=rule["type"] == "alerting",
                    seconds=float(rule.get("evaluationTime", 0.0)),
                )
                for group in answer["data"]["groups"]
                for rule in group["rules"]
            )

    def logs(self, expression: str, start: float, end: float, step: float, *, newest: bool) -> Logs:
        """Return what a LogQL expression gives from `start` to `end` (Unix seconds), or only at the end.

        Of lines, the newest 100. Raises as `query` does.
        """
        parameters: dict[str, str | int] = {"query": expression, "limit": _MOST_LINES}
        if newest:
            parameters["time"] = int(end * _NANOSECONDS)
        else:
            first, last = int(start * _NANOSECONDS), int(end * _NANOSECONDS)
            parameters |= {"start": first, "end": last, "step": f"{step:g}"}
        url = f"{self.url}/loki/api/v1/{'query' if newest else 'query_range'}"
        with self._spoken():
            data = self._session.get(url, params=parameters, timeout=_TIMEOUT_SECONDS).json()["data"]
            if data["resultType"] != "streams":
                return Logs(series=_series(data["result"], self.url))
            # A third element of a line is its structured metadata.
            lines = [
                (int(line[0]) / _NANOSECONDS, str(line[1]))
                for one in data["result"]
                for line in one["values"]
            ]
            return Logs(lines=tuple(sorted(lines, reverse=True)[:_MOST_LINES]))

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Turn what goes wrong with a request into our words."""
        try:
            yield
        except requests.exceptions.Timeout as error:
            raise StakewatchError(
                f"no answer within {_TIMEOUT_SECONDS} s", where=self.url, mend="is it overloaded?"
            ) from error
        except requests.exceptions.JSONDecodeError as error:
            raise StakewatchError(
                "the answer is not JSON", where=self.url, mend=f"is this the address of a {self.who}?"
            ) from error
        except requests.RequestException as error:
            raise StakewatchError(
                f"{self.who} does not answer: {failure_of(error)}",
                where=self.url,
                mend=f"give its address with --{self.who.lower()} URL",
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StakewatchError(
                f"the answer has another form than {self.who} gives",
                where=self.url,
                mend=f"is this the address of a {self.who}, without /api/v1?",
            ) from error


def connect(url: str, *, token_file: Path | None = None, who: str = "Prometheus") -> Remote:
    """Return the Prometheus, or the Loki, at `url`; nothing is asked yet.

    `user:password@` in the URL becomes basic authentication, the content of `token_file` a bearer token, and
    requests to a workspace of Amazon's service are signed with the credentials of the environment.
    Raises InputError when the URL or the file is not right, StakewatchError when a package is missing.
    """
    parts = _parts(url, who)
    session = requests.Session()
    host = parts.hostname or ""
    # Proxies of the environment are for other hosts than this one.
    session.trust_env = not is_loopback(host)
    workspace = _AMP.fullmatch(host)
    if token_file is not None:
        session.auth = Bearer(read_token(token_file))
    elif parts.username is not None:
        session.auth = HTTPBasicAuth(unquote(parts.username), unquote(parts.password or ""))
    elif workspace is not None:
        session.auth = _signature(workspace["region"])
    port = f":{parts.port}" if parts.port is not None else ""
    shown_host = f"[{host}]" if ":" in host else host
    clean = urlunsplit((parts.scheme, f"{shown_host}{port}", parts.path.rstrip("/"), "", ""))
    session.hooks["response"].append(_refuse(clean, who))
    # No second attempts: they would wait long before they say why the first one failed.
    client = PrometheusConnect(url=clean, session=session, timeout=_TIMEOUT_SECONDS, retry=0)
    return Remote(clean, who, session, client)


def scrape_interval(remote: Remote, otherwise: int) -> int:
    """Return the seconds between two scrapes of a target of this Prometheus; `otherwise` if none is scraped.

    Raises as `Remote.query` does.
    """
    some = remote.query("topk(1, up)")
    if not some:
        return otherwise
    labels = {name: value for name, value in some[0].labels.items() if name != "__name__"}
    selector = ",".join(f"{name}={_quoted(value)}" for name, value in labels.items())
    times = [moment for series in remote.query(f"up{{{selector}}}[3m]") for moment, _ in series.points]
    distances = [later - earlier for earlier, later in itertools.pairwise(times)]
    return max(1, math.ceil(min(distances) - 0.5)) if distances else otherwise


def label_values(remote: Remote, at: float) -> Callable[[str, str], tuple[str, ...]]:
    """Return what gives the values that a label has on the series of a selector at a time (Unix seconds)."""

    def values(selector: str, label: str) -> tuple[str, ...]:
        found = remote.query(f"group by ({label}) ({selector})", at)
        return tuple(sorted(series.labels[label] for series in found if label in series.labels))

    return values


def _signature(region: str) -> AuthBase:
    """Return Amazon's signature (version 4) for its managed Prometheus.

    Raises StakewatchError when the package or the credentials are missing.
    """
    try:
        # Only those who ask Amazon need the package.
        from botocore.session import get_session  # noqa: PLC0415

        from stakewatch.bundle.amazon_access import Signature  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StakewatchError(
            "asking Amazon's managed Prometheus needs the package botocore, which is not installed",
            mend=WITH_ALL_EXTRAS,
        ) from error
    session = get_session()
    if session.get_credentials() is None:
        raise StakewatchError(
            "there are no AWS credentials to sign with",
            mend="set AWS_PROFILE, or the variables that `aws configure export-credentials` prints",
        )
    return Signature(session, region)


def _parts(url: str, who: str) -> SplitResult:
    option = f"--{who.lower()}"
    parts = address_parts(url)
    # The address itself is not shown: a mistyped one may hold a password at any place.
    if parts is None:
        mend = "write it like http://127.0.0.1:9090, without /api/v1"
        raise InputError(f"this is no address of a {who}", where=option, mend=mend)
    if parts.query or parts.fragment:
        raise InputError("the address has a ? or # in it", where=option, mend="leave out what follows it")
    return parts


def _refuse(url: str, who: str) -> Any:  # noqa: ANN401 - a hook of requests
    """Return what looks at every response and raises for one that is no success."""

    def look(response: requests.Response, *_: object, **__: object) -> None:
        if response.ok:
            return
        try:
            said = str(response.json()["error"])
        except (ValueError, KeyError, TypeError):
            said = response.reason or "no reason given"
        mend = None
        if response.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
            mend = "say who asks: --bearer-token-file FILE, user:password@ in the URL, or AWS credentials"
        elif response.status_code == requests.codes.not_found:
            mend = f"is this the address of a {who}, with its path if it has one, without /api/v1?"
        raise RefusedError(
            f"refused with {response.status_code}: {plain(said)}",
            status=response.status_code,
            where=url,
            mend=mend,
        )

    return look


def _series(answer: object, where: str) -> tuple[Series, ...]:
    """Return an answer as types; native histograms, which no board of ours reads, are left out."""
    if not isinstance(answer, list):
        raise StakewatchError("the answer is no list", where=where)
    if answer and not isinstance(answer[0], dict):
        moment, value = answer
        return (Series(_NO_LABELS, ((float(moment), float(value)),)),)
    return tuple(
        Series(
            MappingProxyType({str(name): str(value) for name, value in item["metric"].items()}),
            tuple((float(moment), float(value)) for moment, value in item.get("values") or [item["value"]]),
        )
        for item in answer
        if "value" in item or "values" in item
    )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
