"""`stakewatch logs trace` against a Loki that answers every query with the same lines."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.logs.fake_loki import FakeLoki, fake_loki

NOON = 1_795_000_000_000_000_000
LINES: list[object] = [
    {
        "stream": {
            "cluster": "eks-1",
            "role": "beacon",
            "implementation": "teku",
            "instance": "teku-1",
            "level": "error",
        },
        "values": [
            [
                str(NOON),
                "relay http://user:hunter2@relay/ refused\x1b[2J",
                {"structuredMetadata": {"slot": "7"}},
            ]
        ],
    },
    {
        "stream": {"cluster": "eks-2", "role": "proxy", "instance": "proxy-1"},
        "values": [[str(NOON + 1), "GET"]],
    },
]


def answer_of(streams: list[object]) -> tuple[int, str]:
    return 200, json.dumps({"data": {"resultType": "streams", "result": streams}})


@pytest.fixture
def loki(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLoki]:
    """Answer LINES to every query, at STAKEWATCH_LOKI_URL."""
    with fake_loki() as server:
        server.answer = answer_of(LINES)
        monkeypatch.setenv("STAKEWATCH_LOKI_URL", server.url)
        yield server


@pytest.mark.usefixtures("loki")
def test_a_trace_is_a_table_in_order_of_time_with_secrets_masked(run: Run) -> None:
    answer = run("logs", "trace", "--slot", "7")
    assert answer.code == 0
    assert "beacon teku teku-1 eks-1" in answer.out
    assert answer.out.index("teku-1") < answer.out.index("proxy-1")
    assert "relay http://<masked>@relay/ refused\N{REPLACEMENT CHARACTER}[2J" in answer.out
    assert "hunter2" not in answer.out


@pytest.mark.usefixtures("loki")
def test_json_has_all_labels_metadata_and_nanoseconds(run: Run) -> None:
    first, second = json.loads(run("logs", "trace", "--slot", "7", "--json").out)
    assert first == {
        "time": "2026-11-18T11:06:40.000000000Z",
        "because": "slot",
        "cluster": "eks-1",
        "implementation": "teku",
        "instance": "teku-1",
        "level": "error",
        "role": "beacon",
        "metadata": {"slot": "7"},
        "line": "relay http://<masked>@relay/ refused\N{REPLACEMENT CHARACTER}[2J",
    }
    assert second["time"] == "2026-11-18T11:06:40.000000001Z"


@pytest.mark.usefixtures("loki")
def test_secrets_are_masked_outside_of_any_bundle_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "hunter2" not in run("logs", "trace").out


def test_nothing_found_is_said_and_is_no_error(run: Run, loki: FakeLoki) -> None:
    loki.answer = answer_of([])
    answer = run("logs", "trace", "--slot", "7")
    assert (answer.code, answer.out) == (0, "")
    assert "nothing was logged" in answer.err


@pytest.mark.usefixtures("loki")
def test_an_answer_that_was_cut_off_is_said(run: Run) -> None:
    assert "there are more" in run("logs", "trace", "--most", "1").err


@pytest.mark.usefixtures("loki")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--slot", "seven"],
        ["--slot", "-1"],
        ["--slot", "9" * 30],
        ["--slot", "1", "--pubkey", "0x" + "a" * 96],
        ["--pubkey", "0xabc"],
        ["--since", "yesterday"],
        ["--until", "5x"],
        ["--since", "1h", "--until", "2h"],
        ["--since", "0"],
        ["--since", "200y"],
        ["--cluster", 'x"} or {y="'],
        ["--most", "0"],
        ["--loki", "file:///etc/passwd"],
        ["--loki", "http://user:hunter2@127.0.0.1"],
    ],
)
def test_what_cannot_be_meant_exits_with_2_and_names_the_option(run: Run, arguments: list[str]) -> None:
    answer = run("logs", "trace", *arguments)
    assert answer.code == 2
    assert not answer.out
    assert arguments[0] in answer.err
    assert "hunter2" not in answer.err


def test_a_token_that_is_not_there_exits_with_2_and_names_the_file(run: Run) -> None:
    answer = run("logs", "trace", "--token-file", "/nonexistent", "--loki", "http://127.0.0.1:9")
    assert answer.code == 2
    assert "/nonexistent: the token cannot be read" in answer.err


@pytest.mark.usefixtures("loki")
def test_a_key_may_be_written_without_0x_and_in_capitals(run: Run) -> None:
    assert run("logs", "trace", "--pubkey", "A" * 96).code == 0


def test_without_an_address_it_says_how_to_give_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAKEWATCH_LOKI_URL", raising=False)
    answer = run("logs", "trace")
    assert answer.code == 2
    assert "--loki" in answer.err


def test_a_loki_that_is_away_exits_with_1(run: Run) -> None:
    answer = run("logs", "trace", "--loki", "http://127.0.0.1:9")
    assert answer.code == 1
    assert "does not answer" in answer.err
