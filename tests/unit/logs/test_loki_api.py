"""Loki's HTTP API against a server that answers what a Loki, or something else, would."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stakewatch.errors import InputError, StakewatchError
from stakewatch.logs.loki_api import Address, LogLine, find_lines
from tests.unit.logs.fake_loki import FakeLoki, fake_loki

QUERY = '{role="beacon"}'


@pytest.fixture
def server() -> Iterator[FakeLoki]:
    with fake_loki() as server:
        yield server


def test_lines_come_in_order_with_labels_and_metadata(server: FakeLoki) -> None:
    streams = [
        {"stream": {"role": "beacon"}, "values": [["20", "b", {"structuredMetadata": {"slot": "7"}}]]},
        {"stream": {"role": "proxy"}, "values": [["10", "a"]]},
    ]
    server.answer = (200, json.dumps({"data": {"resultType": "streams", "result": streams}}))
    found = find_lines(Address(server.url), QUERY, 0, 100, 10)
    assert found.lines == (
        LogLine(10, {"role": "proxy"}, "a"),
        LogLine(20, {"role": "beacon"}, "b", {"slot": "7"}),
    )
    assert not found.cut_off


def test_many_lines_are_asked_for_page_by_page_and_none_is_lost_or_doubled(server: FakeLoki) -> None:
    # Lines of one time stand on both sides of the end of a page.
    server.lines = [(number // 7, f"line {number}") for number in range(3500)]
    found = find_lines(Address(server.url), QUERY, 0, 10_000, 5000)
    assert [line.text for line in found.lines] == [text for _, text in sorted(server.lines)]
    assert not found.cut_off
    assert len(server.requests) > 3


def test_a_page_that_is_short_because_lines_were_in_it_twice_is_not_the_last(server: FakeLoki) -> None:
    server.lines = [(number, f"line {number}") for number in range(2500)] + [(7, "line 7")] * 900
    found = find_lines(Address(server.url), QUERY, 0, 10_000, 5000)
    assert [line.time_ns for line in found.lines] == list(range(2500))
    assert not found.cut_off


def test_a_page_full_of_one_time_does_not_go_on_for_ever(server: FakeLoki) -> None:
    server.lines = [(5, f"line {number}") for number in range(1500)] + [(6, "after")]
    found = find_lines(Address(server.url), QUERY, 0, 10, 5000)
    assert found.lines[-1].text == "after"
    assert len(found.lines) == 1001
    assert found.cut_off


def test_what_is_more_than_was_asked_for_is_cut_off_and_said(server: FakeLoki) -> None:
    server.lines = [(number, "x") for number in range(30)]
    found = find_lines(Address(server.url), QUERY, 0, 100, 10)
    assert [line.time_ns for line in found.lines] == list(range(10))
    assert found.cut_off


def test_no_page_is_asked_for_beyond_what_is_shown(server: FakeLoki) -> None:
    server.lines = [(number, "x") for number in range(5000)]
    assert find_lines(Address(server.url), QUERY, 0, 10_000, 10).cut_off
    assert len(server.requests) == 1


def test_tenant_and_token_go_along_and_an_address_may_end_with_a_slash(
    server: FakeLoki, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n", encoding="utf-8")
    find_lines(Address(server.url + "/", "staking", token), QUERY, 0, 100, 10)
    path, headers = server.requests[0]
    assert path.startswith("/loki/api/v1/query_range?")
    assert headers["X-Scope-OrgID"] == "staking"
    assert headers["Authorization"] == "Bearer secret"


def test_a_token_is_never_carried_to_where_a_server_points(server: FakeLoki) -> None:
    server.answer = (302, "")
    server.redirect = "http://127.0.0.1:9/"
    with pytest.raises(StakewatchError, match="answered 302"):
        find_lines(Address(server.url), QUERY, 0, 100, 10)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, "parse error\x1b[2J\n", r"answered 400: parse error\?\[2J"),
        (401, "", "answered 401: nothing"),
        (502, "x" * 5000, r"answered 502: x{300}…"),
        (200, "<html>", "not what Loki answers"),
        (200, "[]", "not what Loki answers"),
        (200, '{"data": {"resultType": "matrix", "result": []}}', "not what Loki answers"),
        (
            200,
            '{"data": {"resultType": "streams", "result": [{"stream": {}, "values": [["x", "y"]]}]}}',
            "not what Loki",
        ),
        (
            200,
            '{"data": {"resultType": "streams", "result": [{"stream": {}, "values": [[]]}]}}',
            "not what Loki",
        ),
    ],
)
def test_any_other_answer_is_one_error_that_a_terminal_can_show(
    server: FakeLoki, status: int, body: str, message: str
) -> None:
    server.answer = (status, body)
    with pytest.raises(StakewatchError, match=message) as caught:
        find_lines(Address(server.url), QUERY, 0, 100, 10)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        (301, "is this the address of a Loki?"),
        (400, "ask for less"),
        (401, "--token-file"),
        (403, "--token-file"),
        (404, "is this the address of a Loki?"),
        (429, "ask for less"),
        (500, "ask for less"),
    ],
)
def test_what_to_do_follows_from_the_status(server: FakeLoki, status: int, mend: str) -> None:
    server.answer = (status, "")
    with pytest.raises(StakewatchError) as caught:
        find_lines(Address(server.url), QUERY, 0, 100, 10)
    assert mend in str(caught.value.mend)


def test_a_loki_that_is_not_there_is_an_error(server: FakeLoki) -> None:
    with pytest.raises(StakewatchError, match="does not answer: Connection refused"):
        find_lines(Address("http://127.0.0.1:9"), QUERY, 0, 100, 10)
    assert not server.requests


@pytest.mark.parametrize(
    "url", ["", "loki:3100", "ftp://loki", "http://", "http://loki?x=1", "http://loki:99999", "http://["]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        Address(url)


@pytest.mark.parametrize("who", ["user:hunter2", "hunter2", ":hunter2"])
def test_a_password_in_an_address_is_refused_and_not_repeated(who: str) -> None:
    with pytest.raises(InputError, match="has credentials in it") as caught:
        Address(f"http://{who}@loki:3100")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "write",
    [
        lambda _: None,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"a\nb"),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: path.mkdir(),
    ],
)
def test_a_token_file_without_a_token_is_an_error(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    token = tmp_path / "token"
    write(token)
    with pytest.raises(InputError):
        find_lines(Address("http://127.0.0.1:9", token_file=token), QUERY, 0, 100, 10)
