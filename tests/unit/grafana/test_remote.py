"""A user's Prometheus: its address, its secrets, what it answers and what it refuses."""

import ssl
import traceback
import unittest.mock
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests
from requests.auth import AuthBase
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, SSLError

from stakewatch.errors import InputError, StakewatchError
from stakewatch.grafana.remote import RefusedError, Series, connect, label_values, scrape_interval
from stakewatch.programs.process import free_port

from .serving import matrix, serving, vector

SECRET = "hunter-2-secret"  # noqa: S105 - looked for in what is printed


def test_a_query_gives_labels_and_values_and_a_scalar_has_no_labels() -> None:
    scalar = {"status": "success", "data": {"resultType": "scalar", "result": [1.5, "2"]}}
    with serving(lambda _, asked: (200, scalar if asked["query"] == "1" else vector(({"a": "b"}, 3)))) as api:
        remote = connect(api.url)
        assert remote.query("x") == (Series({"a": "b"}, ((1_700_000_000.0, 3.0),)),)
        assert remote.query("1") == (Series({}, ((1.5, 2.0),)),)


def test_a_query_over_time_gives_all_points_and_asks_for_the_window() -> None:
    with serving(lambda *_: (200, matrix(({"a": "b"}, [(10, 1), (20, 2)])))) as api:
        (series,) = connect(f"{api.url}/prometheus/").query_range("x", 10, 20, 5)
        assert series.points == ((10.0, 1.0), (20.0, 2.0))
        assert series.newest == 2
        (asked,) = api.asked
        assert asked.path == "/prometheus/api/v1/query_range"
        assert (asked.parameters["start"], asked.parameters["end"], asked.parameters["step"]) == (
            "10",
            "20",
            "5",
        )


def test_nan_and_the_infinite_are_numbers_and_native_histograms_are_left_out() -> None:
    histogram = {"metric": {"h": "1"}, "histogram": [1, {"count": "1"}]}
    samples = [{"metric": {}, "value": [1, value]} for value in ("NaN", "+Inf")]
    body = {"data": {"result": [*samples, histogram]}}
    with serving(lambda *_: (200, body)) as api:
        first, second = connect(api.url).query("x")
        assert first.newest != first.newest
        assert second.newest == float("inf")


def test_what_prometheus_refuses_is_said_in_its_words_on_one_line() -> None:
    body = {"status": "error", "error": "parse error:\n\x1b[31munexpected"}
    with serving(lambda *_: (400, body)) as api, pytest.raises(RefusedError) as refused:
        connect(api.url).query("(")
    assert refused.value.status == 400
    assert refused.value.what == "refused with 400: parse error: ?[31munexpected"


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_not_known_is_told_how_to_say_who_he_is(status: int) -> None:
    with serving(lambda *_: (status, b"no")) as api, pytest.raises(RefusedError) as refused:
        connect(api.url).query("x")
    assert "--bearer-token-file" in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"[]",
        b'"text"',
        b'{"status": "success"}',
        b'{"data": {"result": 5}}',
        b'{"data": {"result": [{"metric": {}, "value": ["x"]}]}}',
        b'{"data": {"result": [{"metric": 5, "value": [1, "1"]}]}}',
        b'{"data": {"result": [{"metric": {}, "value": [1, "one"]}]}}',
        b'{"data": {"result"',
        b"\xff\xfe",
    ],
)
def test_an_answer_of_another_form_is_a_message(body: bytes) -> None:
    with serving(lambda *_: (200, body)) as api, pytest.raises(StakewatchError) as error:
        connect(api.url).query("x")
    assert error.value.where == api.url


def test_nobody_there_is_a_message_without_the_librarys_words() -> None:
    with pytest.raises(StakewatchError) as error:
        connect(f"http://127.0.0.1:{free_port()}").query("x")
    assert error.value.what == "Prometheus does not answer: Connection refused"


def test_https_where_there_is_only_http_is_a_message() -> None:
    with serving(lambda *_: (200, vector())) as api, pytest.raises(StakewatchError) as error:
        connect(api.url.replace("http://", "https://")).query("x")
    assert "Prometheus does not answer: what answers there speaks no TLS" in error.value.what


def test_a_certificate_that_is_not_trusted_is_a_message() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed")
    untrusted.verify_code = 18
    wrapped = requests.exceptions.SSLError(MaxRetryError(HTTPConnectionPool("x"), "/", SSLError(untrusted)))
    remote = connect("https://prometheus.example")
    with (
        unittest.mock.patch.object(requests.Session, "send", side_effect=wrapped),
        pytest.raises(StakewatchError) as error,
    ):
        remote.query("x")
    assert error.value.what == (
        "Prometheus does not answer: its certificate is signed by itself "
        "(set REQUESTS_CA_BUNDLE to a file with this certificate, if you trust it)"
    )


def test_an_address_with_another_path_is_told_to_be_looked_at() -> None:
    with serving(lambda *_: (404, b"404 page not found")) as api, pytest.raises(RefusedError) as refused:
        connect(f"{api.url}/elsewhere").query("x")
    assert refused.value.mend is not None
    assert "with its path if it has one" in refused.value.mend


def test_a_password_in_the_address_is_sent_and_never_shown() -> None:
    with serving(lambda *_: (500, {"error": "broken"})) as api:
        url = api.url.replace("http://", f"http://me:{SECRET}%40@")
        remote = connect(url)
        with pytest.raises(StakewatchError) as error:
            remote.query("x")
    assert api.asked[0].headers["Authorization"].startswith("Basic ")
    printed = "".join(traceback.format_exception(error.value)) + repr(remote) + remote.url
    assert SECRET not in printed


def test_a_password_is_not_shown_when_nobody_answers() -> None:
    with pytest.raises(StakewatchError) as error:
        connect(f"http://me:{SECRET}@127.0.0.1:{free_port()}").query("x")
    assert SECRET not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://[::1]:9090/", "http://[::1]:9090"),
        (f"https://me:{SECRET}@host/a/b//", "https://host/a/b"),
        (f"https://me:{SECRET}@host:8443", "https://host:8443"),
        (f"https://{SECRET}@host", "https://host"),
    ],
)
def test_the_address_that_is_shown_has_no_secrets_and_no_slash_at_its_end(given: str, shown: str) -> None:
    assert connect(given).url == shown


@pytest.mark.parametrize(
    "url",
    [
        f"me:{SECRET}@host",
        f"ftp://me:{SECRET}@host",
        f"http://me:{SECRET}@",
        f"http://me:{SECRET}@host:99999",
        f"http://me:{SECRET}@host:port",
        f"http://[{SECRET}",
        f"http://host/?token={SECRET}",
        f"http://host/#{SECRET}",
        "",
    ],
)
def test_a_wrong_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InputError) as error:
        connect(url)
    assert SECRET not in str(error.value)


def test_a_token_of_a_file_is_sent_and_not_to_another_host(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n")
    with serving(lambda *_: (200, vector())) as api:
        remote = connect(api.url, token_file=token)
        remote.query("x")
        with serving(lambda *_: (302, f"{api.url}/elsewhere".encode())) as leading:
            connect(leading.url, token_file=token).query("x")
    assert api.asked[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert leading.asked[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert "Authorization" not in api.asked[1].headers
    assert SECRET not in repr(remote)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", "größe".encode(), b"x" * 200_000])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    with pytest.raises(InputError):
        connect("http://127.0.0.1:1", token_file=token)


def test_requests_to_amazon_are_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    remote = connect("https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1")
    request = requests.Request("GET", f"{remote.url}/api/v1/query", params={"query": "a + b"}).prepare()
    authentication = remote._session.auth
    assert isinstance(authentication, AuthBase)
    signed = authentication(request)
    assert "%20%2B%20" in str(signed.url)
    assert "/eu-west-1/aps/aws4_request" in signed.headers["Authorization"]
    assert SECRET not in str(signed.headers)


def test_without_credentials_a_workspace_of_amazon_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(StakewatchError, match="no AWS credentials"):
        connect("https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1")


def test_the_loaded_rules_are_read_and_an_old_server_without_times_is_too() -> None:
    rules = [
        {"name": "A", "type": "alerting", "evaluationTime": 0.25},
        {"name": "r:x:sum", "type": "recording"},
    ]
    with serving(lambda *_: (200, {"data": {"groups": [{"rules": rules}]}})) as api:
        alert, record = connect(api.url).rules()
    assert (alert.name, alert.alerting, alert.seconds) == ("A", True, 0.25)
    assert (record.name, record.alerting, record.seconds) == ("r:x:sum", False, 0.0)


def test_the_scrape_interval_is_the_shortest_distance_of_a_targets_scrapes() -> None:
    def answer(_: str, asked: Mapping[str, str]) -> tuple[int, object]:
        if asked["query"] == "topk(1, up)":
            return 200, vector(({"__name__": "up", "job": 'a"b'}, 1))
        assert asked["query"] == 'up{job="a\\"b"}[3m]'
        return 200, matrix(({}, [(0.0, 1), (15.01, 1), (45.0, 1), (60.02, 1)]))

    with serving(answer) as api:
        assert scrape_interval(connect(api.url), 99) == 15
    with serving(lambda *_: (200, vector())) as api:
        assert scrape_interval(connect(api.url), 99) == 99


def test_the_values_of_a_label_are_sorted_and_a_missing_label_is_none() -> None:
    with serving(lambda *_: (200, vector(({"a": "2"}, 1), ({"a": "1"}, 1), ({}, 1)))) as api:
        assert label_values(connect(api.url), 0)("x", "a") == ("1", "2")
        assert api.asked[0].parameters["query"] == "group by (a) (x)"


def test_lines_of_logs_are_the_newest_first_and_numbers_made_of_them_are_series() -> None:
    values: list[list[object]] = [
        [str((1_700_000_000 + second) * 10**9), f"line {second}"] for second in range(150)
    ]
    values[0].append({"trace": "metadata"})
    streams = {"data": {"resultType": "streams", "result": [{"stream": {}, "values": values}]}}
    counted = vector(({"instance": "a"}, 7))
    with serving(lambda path, _: (200, streams if path.endswith("range") else counted)) as api:
        loki = connect(api.url, who="Loki")
        found = loki.logs('{x="y"}', 10, 20, 5, newest=False)
        assert (len(found.lines), found.lines[0]) == (100, (1_700_000_149.0, "line 149"))
        assert found.series == ()
        assert loki.logs("sum(rate({}[5m]))", 10, 20, 5, newest=True).series[0].newest == 7
    first, second = api.asked
    assert first.path == "/loki/api/v1/query_range"
    assert (first.parameters["start"], first.parameters["end"]) == ("10000000000", "20000000000")
    assert (second.path, second.parameters["time"]) == ("/loki/api/v1/query", "20000000000")


def test_errors_of_loki_speak_of_loki() -> None:
    with pytest.raises(StakewatchError) as error:
        connect(f"http://127.0.0.1:{free_port()}", who="Loki").logs("{}", 0, 1, 1, newest=True)
    assert "Loki does not answer" in str(error.value)
    assert "--loki URL" in str(error.value)
    with pytest.raises(InputError, match="no address of a Loki"):
        connect("nonsense", who="Loki")
