"""The board of logs on a real Loki: each of its queries is taken, and finds the lines that it is for."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stakewatch.grafana.boardfile import asks_for_logs, panels
from stakewatch.grafana.filling import fill
from stakewatch.grafana.opening import opening_values
from stakewatch.programs.log_servers import Line, Loki
from stakewatch.programs.servers import get_json, loopback_session
from tests.bench.logs.stack import new_stack

from .asking import all_boards, only_panel

RANGE_SECONDS = 3600
STREAM = {
    "cluster": "eks-1",
    "region": "eu-west-1",
    "network": "mainnet",
    "role": "beacon",
    "implementation": "teku",
    "instance": "beacon-1",
}
KEY = "0x8f0ee6f3a1d2"
BUILT_IN = {"__auto": "60s", "__interval": "60s", "__range": f"{RANGE_SECONDS}s"}


def lines(now: int) -> tuple[Line, ...]:
    """Return lines of a beacon node, a validator client and the audit log, of now and of another cluster."""
    client = {**STREAM, "role": "validator", "instance": "validators-1"}
    audit = {"cluster": "eks-1", "region": "eu-west-1", "implementation": "kubernetes-audit", "level": "info"}
    person = {"resource": "secrets", "verb": "get", "user": "somebody"}
    return (
        Line({**STREAM, "level": "info"}, now - 9, "Slot Event", {"slot": "1234"}),
        Line({**STREAM, "level": "error"}, now - 8, "Relay down", {"error_class": "relay_failed"}),
        Line({**STREAM, "level": "fatal"}, now - 7, "Halted"),
        Line(
            {**client, "level": "warn"},
            now - 6,
            "Not signing slashable attestation",
            {"error_class": "slashable", "slot": "1235", "pubkey": KEY, "validator_index": "7"},
        ),
        Line(audit, now - 5, "somebody read a secret", person),
        Line(audit, now - 4, "a kubelet did", {**person, "user": "system:node:a"}),
        Line({**STREAM, "cluster": "eks-2", "level": "error"}, now - 3, "Of another cluster"),
    )


@pytest.fixture(scope="module")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loki]:
    """Run a Loki that has the lines."""
    with new_stack(tmp_path_factory.mktemp("loki")).loki() as server:
        server.push(lines(time.time_ns()))
        yield server


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    """Return the board with default settings."""
    return all_boards()["logs"]


def values(board: Mapping[str, Any], **chosen: str) -> dict[str, str]:
    """Return what Grafana fills in when the board is opened, but for `chosen`."""
    return {**opening_values(board, lambda *_: ()), **BUILT_IN, **chosen}


def ask(loki: Loki, target: Mapping[str, Any], filled: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what Grafana would get for a query: streams with their lines, or series."""
    now = time.time_ns()
    form: dict[str, str | int] = {"query": fill(str(target["expr"]), filled)}
    if target["queryType"] == "instant":
        path = "query"
        form |= {"time": now}
    else:
        path = "query_range"
        form |= {"start": now - RANGE_SECONDS * 10**9, "end": now, "step": "60s", "limit": 100}
    with loopback_session() as session:
        answer = get_json(session, f"{loki.url}/loki/api/v1/{path}", form)
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def texts(loki: Loki, board: Mapping[str, Any], title: str, **chosen: str) -> set[str]:
    """Return the lines that a panel shows."""
    streams = ask(loki, only_panel(board, title), values(board, **chosen))
    return {line[1] for stream in streams for line in stream["values"]}


def test_every_query_for_logs_finds_something(loki: Loki, board: dict[str, Any]) -> None:
    targets = {
        panel.title: target for panel in panels(board) for target in panel.targets if asks_for_logs(target)
    }
    assert len(targets) > 8
    assert [title for title, target in targets.items() if not ask(loki, target, values(board))] == []


def test_a_slot_a_key_a_validator_and_words_find_their_lines(loki: Loki, board: dict[str, Any]) -> None:
    refused = {"Not signing slashable attestation"}
    assert texts(loki, board, "Matching lines", slot="1234") == {"Slot Event"}
    assert texts(loki, board, "Matching lines", slot="123.*") == {"Slot Event", *refused}
    assert texts(loki, board, "Matching lines", key="0x8f0e.*") == refused
    assert texts(loki, board, "Matching lines", validator="7") == refused
    assert texts(loki, board, "Matching lines", words="SLASHABLE") == refused
    assert texts(loki, board, "Matching lines", instance="beacon-1", cluster="eks-2") == {
        "Of another cluster"
    }


def test_lines_about_keys_are_those_of_clients_and_of_people(loki: Loki, board: dict[str, Any]) -> None:
    assert texts(loki, board, "Lines about keys") == {"Not signing slashable attestation"}
    assert texts(loki, board, "Audit log: pods and secrets") == {"somebody read a secret"}


def test_errors_are_counted_by_class(loki: Loki, board: dict[str, Any]) -> None:
    series = ask(loki, only_panel(board, "Known errors by class"), values(board))
    assert {one["metric"]["error_class"] for one in series} == {"relay_failed", "slashable"}
