"""Lines that no program should write, through a real Promtail into a real Loki, and their neighbours."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
import requests

from stakewatch.logs.loki_api import LogLine, find_lines
from stakewatch.logs.pipelines import Storm, load_pipelines
from stakewatch.logs.trace import SECOND
from stakewatch.programs.log_servers import Promtail
from tests.bench.logs.shipping import rfc3339, wait_for
from tests.bench.logs.stack import PIPELINES, Stack, new_stack

LONGEST_SECONDS = 60.0
LONGEST_LINE = 256 * 1024
DAY = 86_400 * SECOND
PLACE = {"cluster": "eks-1", "region": "eu-west-1", "network": "mainnet"}
LABELS = {**PLACE, "role": "execution", "implementation": "geth"}
SECRETS = ("hunter2-a", "hunter2-b", "hunter2-c", "hunter2-d", "hunter2,{e}")
HOSTILE: Mapping[str, bytes] = {
    "megabyte": b"INFO [11-21|11:41:57.638] " + b"x" * 1024 * 1024,
    "garbage": bytes(byte for byte in range(1, 256) if byte != 10) * 4,
    "zeros": b"\0" * 1000,
    "no UTF-8": b'{"lvl":"warn","msg":"\xff\xfe\xc3","number":7}',
    "labels": json.dumps(
        {
            "lvl": "info",
            "level": "fatal",
            "instance": "other",
            "cluster": "other",
            "error_class": "slashable",
            "filename": "/etc/passwd",
            "pod": "x",
            "__tenant_id__": "other",
        }
    ).encode(),
    "text like labels": b'level=fatal error_class="slashable" {instance="other"} | pod=`x`\x1b[2J',
    "a line in a line": f"{rfc3339(SECOND)} stderr F panic: not ours".encode(),
    "secrets": json.dumps(
        {
            "lvl": "warn",
            "msg": json.dumps({"auth": [{"password": SECRETS[0]}], "url": f"https://u:{SECRETS[1]}@host/"}),
            "number": f"token={SECRETS[2]}",
            "peercount": {"api_key": SECRETS[3]},
            "password": SECRETS[4],
        }
    ).encode(),
}


def times_around(now: int) -> tuple[tuple[str, str], ...]:
    """Return texts, and what a runtime with a broken clock, or another program, wrote before them."""
    return (
        ("before", rfc3339(now)),
        ("no day", "9999-99-99T99:99:99Z"),
        ("no time", "2026-11-21"),
        ("nothing", "\x1b[2J"),
        ("1970", rfc3339(1)),
        ("next year", rfc3339(now + 365 * DAY)),
        ("after", rfc3339(now + 1)),
    )


@dataclass(frozen=True)
class Shipped:
    """What ran, and when the lines were written."""

    stack: Stack
    shipper: Promtail
    now: int

    def lines(self, instance: str, most: int = 5000) -> tuple[LogLine, ...]:
        """Return the lines of an instance that Loki has, of the last hours."""
        end = time.time_ns() + DAY
        return find_lines(self.stack.address, f'{{instance="{instance}"}}', self.now - DAY, end, most).lines

    def all_lines(self, instance: str, count: int) -> tuple[LogLine, ...]:
        return wait_for(lambda: self.lines(instance), lambda found: len(found) >= count, LONGEST_SECONDS)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    stack = new_stack(tmp_path_factory.mktemp("hostile"))
    now = time.time_ns()
    for name, line in HOSTILE.items():
        # Lines of now around it: what is refused must not take its batch along.
        with stack.log_file(name, {**LABELS, "instance": name}, runtime="cri").open("ab") as file:
            for offset, content in enumerate((b"before", line, b"after")):
                file.write(f"{rfc3339(now + offset)} stderr F ".encode() + content + b"\n")
    times = stack.log_file("times", {**LABELS, "instance": "times"}, runtime="cri")
    times.write_text(
        "".join(f"{written} stderr F {text}\n" for text, written in times_around(now)), encoding="utf-8"
    )
    pipelines = replace(load_pipelines(PIPELINES), storm=Storm(("debug",), lines_per_second=50, burst=1000))
    with stack.loki(), stack.promtail(pipelines=pipelines) as shipper:
        yield Shipped(stack, shipper, now)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_is_kept_and_so_are_its_neighbours(name: str, shipped: Shipped) -> None:
    found = shipped.all_lines(name, 3)
    assert len(found) == 3
    assert {"before", "after"} <= {line.text for line in found}
    assert {line.labels["instance"] for line in found} == {name}
    assert {label: value for label, value in found[0].labels.items() if label in LABELS} == LABELS
    (hostile,) = (line for line in found if line.text not in ("before", "after"))
    assert 0 < len(hostile.text) <= LONGEST_LINE


@pytest.mark.parametrize("name", ["labels", "text like labels", "a line in a line"])
def test_a_line_cannot_say_what_it_is_labelled_with(name: str, shipped: Shipped) -> None:
    (hostile,) = (line for line in shipped.all_lines(name, 3) if line.text not in ("before", "after"))
    assert {**hostile.labels, "level": ""} == {**LABELS, "instance": name, "level": ""}
    assert hostile.labels.get("level", "") in ("", "info")
    assert dict(hostile.metadata) == {}
    assert hostile.time_ns == shipped.now + 1


def test_no_secret_is_left_in_a_line_a_label_or_the_metadata(shipped: Shipped) -> None:
    (hostile,) = (line for line in shipped.all_lines("secrets", 3) if line.text not in ("before", "after"))
    everything = json.dumps([hostile.text, dict(hostile.labels), dict(hostile.metadata)])
    assert [secret for secret in SECRETS if secret in everything] == []
    assert everything.count("<masked>") >= len(SECRETS)


def test_a_time_far_off_costs_its_own_line_only_and_what_is_none_is_about_that_of_the_line_before(
    shipped: Shipped,
) -> None:
    found = shipped.all_lines("times", 5)
    texts = {line.text.rpartition(" stderr F ")[2]: line.time_ns for line in found}
    assert set(texts) == {"before", "after", "no day", "no time", "nothing"}
    assert (texts["before"], texts["after"]) == (shipped.now, shipped.now + 1)
    assert all(shipped.now <= time_ns <= shipped.now + SECOND for time_ns in texts.values())


def test_a_storm_of_debug_lines_is_cut_and_counted_and_no_error_is(shipped: Shipped) -> None:
    storm, errors = 20_000, 100
    start = time.time_ns()
    labels = {**PLACE, "role": "beacon", "implementation": "lighthouse", "instance": "storm"}
    with shipped.stack.log_file("storm", labels, runtime="cri").open("a", encoding="utf-8") as file:
        for number in range(storm):
            file.write(
                f"{rfc3339(start + number)} stderr F Nov 21 11:41:57.638 DEBG Gossip message={number}\n"
            )
            if number % (storm // errors) == 0:
                line = f"Nov 21 11:41:57.638 ERRO Failed number={number}"
                file.write(f"{rfc3339(start + storm + number)} stderr F {line}\n")

    def count(level: str) -> int:
        query = f'sum(count_over_time({{instance="storm", level="{level}"}}[10m]))'
        answer = requests.get(
            f"{shipped.stack.address.url}/loki/api/v1/query", {"query": query}, timeout=30
        ).json()
        return sum(int(one["value"][1]) for one in answer["data"]["result"])

    assert wait_for(lambda: count("error"), lambda found: found == errors, LONGEST_SECONDS) == errors
    metrics = requests.get(f"{shipped.shipper.url}/metrics", timeout=10).text
    dropped = sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("logentry_dropped_lines_total")
    )
    kept = wait_for(lambda: count("debug"), lambda found: found + dropped >= storm, LONGEST_SECONDS)
    assert dropped > 0
    assert kept + dropped == storm
