"""The Geth boards on real input: two scrapes of a real Geth in a real Prometheus, through every query."""

import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana.boardfile import Placed, annotation_expressions, panels, variable_query, variables
from stakewatch.grafana.filling import fill
from stakewatch.grafana.generation import generated, load_board
from stakewatch.grafana.setting import setting_of
from stakewatch.programs.servers import Prometheus, prometheus
from tests.unit.grafana.serving import serving

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "samples"

SCRAPES_OF_THE_FIRST_SAMPLE = 4
# The first sample is 2.5 minutes of work, the second the 30 seconds after it. Six scrapes of the second are
# enough for every rate over the change between them.
SECONDS_TO_SCRAPE = 12
VALUES = {
    "cluster": "demo-1",
    "network": ".*",
    "instance": ".*",
    "__rate_interval": "6s",
    "__interval": "1s",
    "__range": "30s",
}

# Queries that these two samples cannot answer, by board, panel and legend.
NO_SUCH_READS = "blocks without transactions read nearly no state"
WITHOUT_DATA: Mapping[tuple[str, str, str], str] = {
    (
        "geth_node",
        "Engine API calls per scrape",
        "{{instance}} {{method}} failed",
    ): "no call of the Engine API failed",
    (
        "geth_node",
        "State cache hits",
        "{{instance}} trie nodes",
    ): "changed nodes, all in the dirty cache, answered every read",
    ("geth_node", "State cache hits", "{{instance}} state"): "blocks without transactions read no accounts",
    ("geth_chain", "Reading state for a block", "{{instance}} storage"): NO_SUCH_READS,
    ("geth_chain", "Reading state for a block", "{{instance}} code"): NO_SUCH_READS,
    ("geth_chain", "One read of state", "{{instance}} storage"): NO_SUCH_READS,
    ("geth_chain", "One read of state", "{{instance}} code"): NO_SUCH_READS,
    ("geth_chain", "State read ahead", "{{instance}} accounts"): NO_SUCH_READS,
    ("geth_chain", "State read ahead", "{{instance}} storage"): NO_SUCH_READS,
    ("geth_chain", "Filters of the database", "{{instance}}"): "the small database looked nothing up",
}

PROCESS = 'cluster="demo-1",region="eu-west-1",network="demonet",role="execution",implementation="geth"'
EXPORTER = """
stakewatch_node_up{{{labels}}} 1
stakewatch_node_peers{{{labels}}} {peers}
stakewatch_node_check{{{labels},check="synced"}} 1
stakewatch_node_check{{{labels},check="peers"}} 0
stakewatch_execution_behind_blocks{{{labels}}} 1
stakewatch_execution_head_timestamp_seconds{{{labels}}} {head_time}
"""
CONTAINER = 'namespace="staking",pod="geth-0",container="geth"'
CLAIM = 'namespace="staking",persistentvolumeclaim="data-geth-0"'
PAUSE = 'namespace="staking",pod="geth-0",container=""'


def exporter(second: int) -> str:
    """Return two nodes as the exporter sees them; the second is known to run on machine-b."""
    nodes = (
        EXPORTER.format(
            labels=f'{PROCESS},instance="{instance}"', peers=peers, head_time=int(time.time()) - second % 12
        )
        for instance, peers in (("execution-1", 42), ("execution-2", 7))
    )
    location = (
        f'stakewatch_node_location_info{{{PROCESS},instance="execution-2",machine="machine-b",zone="a"}} 1\n'
    )
    return "".join(nodes) + location


def platform(second: int) -> str:
    """Return what kubelet, cAdvisor and kube-state-metrics say of the first node's pod (limit 8 GB)."""
    return f"""
container_memory_working_set_bytes{{{CONTAINER}}} 6e9
container_memory_working_set_bytes{{{PAUSE}}} 7.9e9
container_spec_memory_limit_bytes{{{CONTAINER}}} 8e9
container_cpu_usage_seconds_total{{{CONTAINER},cpu="total"}} {second * 0.5}
container_cpu_cfs_throttled_periods_total{{{CONTAINER}}} {second}
container_cpu_cfs_periods_total{{{CONTAINER}}} {second * 10}
kubelet_volume_stats_used_bytes{{{CLAIM}}} 6e11
kubelet_volume_stats_capacity_bytes{{{CLAIM}}} 1e12
kube_pod_spec_volumes_persistentvolumeclaims_info{{{CLAIM},pod="geth-0",volume="data"}} 1
kube_pod_info{{namespace="staking",pod="geth-0",node="machine-a",uid="1"}} 1
kube_pod_info{{namespace="staking",pod="geth-0",node="machine-a",uid="2"}} 1
kube_pod_container_status_restarts_total{{{CONTAINER}}} 1
"""


def machine(name: str, available: float) -> Callable[[int], str]:
    """Return a machine with 10 GB of memory and half of its disk in use."""
    return lambda second: (
        f"""
node_uname_info{{nodename="{name}",machine="aarch64"}} 1
node_memory_MemTotal_bytes 1e10
node_memory_MemAvailable_bytes {available}
node_filesystem_size_bytes{{mountpoint="/",fstype="xfs"}} 1e12
node_filesystem_avail_bytes{{mountpoint="/",fstype="xfs"}} 5e11
node_filesystem_size_bytes{{mountpoint="/run",fstype="tmpfs"}} 1e6
node_filesystem_avail_bytes{{mountpoint="/run",fstype="tmpfs"}} 0
node_cpu_seconds_total{{cpu="0",mode="idle"}} {second * 0.75}
node_cpu_seconds_total{{cpu="0",mode="user"}} {second * 0.25}
"""
    )


def geth(first: str, second: str) -> Callable[[int], str]:
    """Return a real Geth's scrapes: the first for a while, then the one of 30 seconds later."""
    texts = [(SAMPLES / name).read_text(encoding="utf-8") for name in (first, second)]
    scrapes = itertools.count()
    return lambda _second: texts[next(scrapes) >= SCRAPES_OF_THE_FIRST_SAMPLE]


@dataclass(frozen=True)
class Job:
    """A scrape job: what it serves, and its target labels."""

    serve: Callable[[int], str]
    labels: Mapping[str, str]


def jobs() -> dict[str, Job]:
    """Return two Geths, one in a pod and one on a machine of its own, and all that watches them."""
    place = {"cluster": "demo-1", "region": "eu-west-1"}
    process = {**place, "network": "demonet", "role": "execution", "implementation": "geth"}
    pod = {"namespace": "staking", "pod": "geth-0", "container": "geth"}
    return {
        "geth-in-a-pod": Job(
            geth("geth-1.17.prom", "geth-1.17-30s-later.prom"), {**process, **pod, "instance": "execution-1"}
        ),
        "geth-on-a-machine": Job(
            geth("geth-1.17-hash-leveldb.prom", "geth-1.17-hash-leveldb.prom"),
            {**process, "instance": "execution-2"},
        ),
        "exporter-1": Job(exporter, {"role": "exporter"}),
        "exporter-2": Job(exporter, {"role": "exporter"}),
        "platform": Job(platform, {**place, "instance": "kubelet"}),
        "machine-a": Job(machine("machine-a", 3e9), {**place, "instance": "10.0.0.1:9100"}),
        "machine-b": Job(machine("machine-b", 1e9), {**place, "instance": "10.0.0.2:9100"}),
    }


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Serve each job under its name on loopback."""
    served = jobs()
    started = time.monotonic()

    def page(path: str, _parameters: Mapping[str, str]) -> tuple[int, bytes]:
        job = served[path.strip("/")]
        return HTTPStatus.OK, job.serve(int(time.monotonic() - started)).encode()

    with serving(page) as api:
        yield urlsplit(api.url).netloc


@pytest.fixture(scope="module")
def server(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus with our rules that has scraped everything for a while."""
    folder = tmp_path_factory.mktemp("geth-node")
    # The board's alerts take minutes to fire; this one shows that a firing alert is shown.
    test_alert = {"alert": "TestAlert", "expr": 'up{role="execution"} == 1', "labels": {"severity": "info"}}
    (folder / "test-alert.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "test", "rules": [test_alert]}]}), encoding="utf-8"
    )
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "rules" / "*.yaml"), "test-alert.yaml"],
        "scrape_configs": [
            {
                "job_name": name,
                "metrics_path": f"/{name}",
                "honor_labels": name.startswith(("exporter", "platform")),
                "static_configs": [{"targets": [origin], "labels": dict(job.labels)}],
            }
            for name, job in jobs().items()
        ],
    }
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    with prometheus(path, folder) as running:
        time.sleep(SECONDS_TO_SCRAPE)
        down = [target for target in running.targets() if target.health != "up"]
        assert not down
        yield running


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    """Return the board with default settings."""
    return board_of("geth_node")


def board_of(uid: str) -> dict[str, Any]:
    """Return a board with default settings."""
    source = load_board(ROOT / "dashboards" / f"{uid}.py")
    return generated(source, setting_of(Bundle(ROOT), Configuration()))


def over_time(server: Prometheus, expression: str) -> dict[tuple[tuple[str, str], ...], list[float]]:
    """Return the values of each series over the time since the first scrape."""
    now = time.time()
    answer = requests.get(
        f"{server.url}/api/v1/query_range",
        params={
            "query": fill(expression, VALUES),
            "start": str(now - SECONDS_TO_SCRAPE),
            "end": str(now),
            "step": "1",
        },
        timeout=10,
    )
    content = answer.json()
    assert content["status"] == "success", (expression, content)
    return {
        tuple(sorted(series["metric"].items())): [float(value) for _, value in series["values"]]
        for series in content["data"]["result"]
    }


def with_queries(board: dict[str, Any]) -> list[Placed]:
    """Return the panels that ask for something."""
    return [panel for panel in panels(board) if panel.targets]


def panel(board: dict[str, Any], title: str, kind: str) -> Placed:
    """Return the one panel of this title and kind."""
    (found,) = (one for one in panels(board) if (one.title, one.kind) == (title, kind))
    return found


def now_by_instance(server: Prometheus, expression: str) -> dict[str, float]:
    """Return the newest value of each instance; more than one per instance is a mistake in the query."""
    samples = server.query(fill(expression, VALUES))
    values = {sample.labels["instance"]: sample.value for sample in samples}
    assert len(values) == len(samples)
    return values


@pytest.mark.parametrize("uid", ["geth_node", "geth_chain"])
def test_every_query_of_the_board_gets_data_from_a_real_geth(server: Prometheus, uid: str) -> None:
    asked = [
        ((uid, one.title, str(target["legendFormat"])), str(target["expr"]))
        for one in with_queries(board_of(uid))
        for target in one.targets
    ]
    assert len(asked) > 60
    empty = {key for key, expression in asked if not any(over_time(server, expression).values())}
    assert empty == {key for key in WITHOUT_DATA if key[0] == uid}


def test_every_variable_is_filled_from_the_targets(server: Prometheus, board: dict[str, Any]) -> None:
    filled = {}
    for variable in variables(board):
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable_query(variable))
            assert match
            samples = server.query(fill(match[1], VALUES))
            filled[variable["name"]] = {sample.labels[match[2]] for sample in samples}
    assert filled == {
        "cluster": {"demo-1"},
        "network": {"demonet"},
        "instance": {"execution-1", "execution-2"},
    }


def test_the_firing_alert_is_an_annotation(server: Prometheus, board: dict[str, Any]) -> None:
    (expression,) = annotation_expressions(board)
    alerts = {
        (sample.labels["alertname"], sample.labels["instance"])
        for sample in server.query(fill(expression, VALUES))
    }
    assert {("TestAlert", "execution-1"), ("TestAlert", "execution-2")} <= alerts


@pytest.mark.parametrize(
    ("title", "kind", "expected"),
    [
        ("Answers", "stat", {"execution-1": 1, "execution-2": 1}),
        ("Behind beacon", "stat", {"execution-1": 1, "execution-2": 1}),
        ("Peers", "stat", {"execution-1": 42, "execution-2": 7}),
        # 6 of 8 GB of the container's limit; 9 of 10 GB of the machine of the one that is in no container.
        ("Memory used", "gauge", {"execution-1": 0.75, "execution-2": 0.9}),
        # 600 GB of the claim's 1 TB; half of the machine's disk, the full tmpfs does not count.
        ("Disk used", "gauge", {"execution-1": 0.6, "execution-2": 0.5}),
    ],
)
def test_the_first_row_says_what_was_served(
    server: Prometheus, board: dict[str, Any], title: str, kind: str, expected: dict[str, float]
) -> None:
    (expression,) = panel(board, title, kind).expressions
    assert now_by_instance(server, expression) == pytest.approx(expected)


def test_new_blocks_are_those_between_the_two_scrapes(server: Prometheus, board: dict[str, Any]) -> None:
    (expression,) = panel(board, "New blocks in 5 min", "stat").expressions
    # The head moved once between the two samples; the other Geth's scrape is always the same.
    assert now_by_instance(server, expression) == {"execution-1": 1, "execution-2": 0}


def test_the_engine_api_is_shown_by_method_whatever_its_version(
    server: Prometheus, board: dict[str, Any]
) -> None:
    (expression,) = panel(board, "Engine API latency", "timeseries").expressions
    methods = {
        dict(labels)["method"]
        for labels in over_time(server, expression)
        if dict(labels)["instance"] == "execution-1"
    }
    assert {"newPayload", "forkchoiceUpdated", "getPayload"} <= methods
