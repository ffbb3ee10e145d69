"""All boards on real input: the demo's fleet with one more pair, the real exporter, Prometheus and our rules.

Something is broken in the fleet, so that panels on what is wrong have something to show.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from stakewatch.grafana.boardfile import annotation_expressions, panels, variable_query, variables
from stakewatch.grafana.filling import fill
from stakewatch.programs.servers import Prometheus

from .asking import Reader, by, only_panel
from .stack import PLAN, running

LONGEST_WAIT_SECONDS = 45
EXPECTED_ALERTS = {"ExecutionNodeDown", "NodeMemoryHigh", "ValidatorGroupNotEarning", "Watchdog"}
# One minute of the fleet is too little for these: another test has a past for them.
NEED_A_PAST = {"cohorts", "trends"}
NO_SIGNER = "no remote signer in this fleet"
NO_PACE = "nobody knows the pace of the last hours yet"
NOT_SIMULATED = "the simulated process does not expose it"
# Panels with queries (A, B, …) without data, and why. An entry whose queries get data must be changed.
WITHOUT_DATA: Mapping[tuple[str, str, str], str] = {
    ("network", "Firing alerts", "A"): "the network is well",
    ("lighthouse", "Time to process a block", "A"): NOT_SIMULATED,
    ("lighthouse", "Blocks seen and attestable", "AB"): NOT_SIMULATED,
    ("lighthouse", "Fork choice", "A"): NOT_SIMULATED,
    ("lighthouse", "Hashing a block", "AB"): NOT_SIMULATED,
    ("lighthouse", "Attesters and aggregators heard", "AB"): NOT_SIMULATED,
    ("lighthouse", "Synchronising", "A"): NOT_SIMULATED,
    ("lighthouse", "Discovery", "AB"): NOT_SIMULATED,
    ("lighthouse", "Requests of discovery", "A"): NOT_SIMULATED,
    ("lighthouse", "Peers in the mesh by topic", "A"): NOT_SIMULATED,
    ("lighthouse", "Score of peers by client", "A"): NOT_SIMULATED,
    ("lighthouse", "Traffic", "A"): NOT_SIMULATED,
    ("lighthouse", "Size on disk", "AB"): NOT_SIMULATED,
    ("lighthouse", "Reads and writes of the database", "AB"): NOT_SIMULATED,
    ("prysm", "Engine API latency", "C"): NOT_SIMULATED,
    ("prysm", "Answers to payloads", "C"): NOT_SIMULATED,
    ("prysm", "Blocks arrive", "A"): NOT_SIMULATED,
    ("prysm", "Time to process a block", "AB"): NOT_SIMULATED,
    ("prysm", "Inclusion delay seen", "A"): NOT_SIMULATED,
    ("consensus_clients", "Calls of Nimbus that failed", "AB"): "no call of Nimbus fails",
    ("consensus_clients", "Calls of Lodestar that failed", "A"): NOT_SIMULATED,
    ("erigon", "Time in stages", "A"): NOT_SIMULATED,
    ("erigon", "Work in the background", "ABC"): NOT_SIMULATED,
    ("erigon", "JSON-RPC requests", "AB"): NOT_SIMULATED,
    ("erigon", "Transactions", "C"): NOT_SIMULATED,
    ("erigon", "Traffic with peers", "AB"): NOT_SIMULATED,
    ("validator_clients", "Not signed by Lighthouse", "A"): "Lighthouse refuses to sign nothing",
    ("eks_node", "Pressure", "AB"): NOT_SIMULATED,
    ("eks_node", "Connections tracked", "A"): NOT_SIMULATED,
    ("eks_storage", "Firing alerts", "A"): "volumes and disks are well",
    ("eks_storage", "Claims", "C"): NO_PACE,
    ("eks_storage", "Full within 8 hours", "A"): "nothing fills",
    ("eks_storage", "Operations of the limit", "B"): "the EBS driver tells",
    ("eks_storage", "Throughput of the limit", "B"): "the EBS driver tells",
    ("proposals_and_rewards", "Missed in a week", "A"): "no group is a week old, not even in this fast fleet",
    (
        "proposals_and_rewards",
        "Missed more than the whole committee",
        "A",
    ): "no group has had enough duties yet",
    ("slashing_safety", "Keys that sign although disabled", "A"): "no key does",
    ("slashing_safety", "Slashed keys", "A"): "no key was slashed",
    ("slashing_safety", "Refusals of slashing protection", "ABCDE"): NOT_SIMULATED,
    ("slashing_safety", "Refused in the last 15 minutes", "A"): "nothing refuses to sign",
    ("slashing_safety", "Doppelganger protection of Lodestar", "A"): NOT_SIMULATED,
    ("slashing_safety", "Keys in an unexpected state", "A"): "all keys are as expected",
    ("monitoring", "Firing alerts", "A"): "the monitoring itself is well",
    ("monitoring", "Messages of Alertmanager", "AB"): "the test's Alertmanager notifies nobody",
    ("monitoring", "Remote write", "ABC"): "the test writes to no remote store",
    ("consensus_clients", "Attestation subnets without peers", "AB"): NOT_SIMULATED,
    ("monitoring", "Remote write behind", "A"): "the test writes to no remote store",
    ("monitoring", "Samples lost on the way", "A"): "the test writes to no remote store",
    ("monitoring", "Notifications that fail", "A"): "the test's Alertmanager notifies nobody",
    ("monitoring", "Log lines lost", "A"): "the test ships no logs",
    ("monitoring", "Certificates end in", "AB"): "the test watches no certificates",
    ("eks_node", "Memory in a day", "A"): NO_PACE,
    ("validators", "Missed more than the network", "A"): NO_PACE,
    ("validators", "Budget of the objective burnt", "AB"): NO_PACE,
    ("validator_clients", "Time to sign", "A"): NO_SIGNER,
    ("validator_clients", "Signatures that fail", "A"): NO_SIGNER,
    ("validator_clients", "Remote signers run", "A"): NO_SIGNER,
}


# Whether these have data depends on the moment.
MAY_HAVE_DATA = {
    ("validator_clients", "Calls to beacon nodes that fail", "A"),
    ("validators", "Keys that miss in a row now", "A"),
}


def wait_for(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def firing(server: Prometheus) -> set[str]:
    """Return the names of the alerts that fire."""
    return {alert.name for alert in server.alerts() if alert.state == "firing"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run the fleet, break a node, a client and a machine, and wait until the alerts on them fire."""
    with running(tmp_path_factory.mktemp("boards")) as stack:
        # A rate needs a few scrapes of what is about to die.
        wait_for(lambda: stack.prometheus.query('count_over_time(up{instance="validators-3"}[20s]) >= 4'))
        stack.break_something("down", instance="validators-3")
        stack.break_something("http_500", instance="execution-2")
        stack.break_something("machine_memory", machine="machine-2", ratio=0.95)
        wait_for(lambda: firing(stack.prometheus) >= EXPECTED_ALERTS)
        # ALERTS and what is recorded are there with the next evaluation.
        time.sleep(1.5)
        yield stack.prometheus


@pytest.fixture(scope="module")
def reader(server: Prometheus) -> Reader:
    """Return somebody who looks at the last minute."""
    return Reader(server, range_seconds=60, step_seconds=2, rate_seconds=6)


def test_every_query_of_every_board_has_data_or_a_reason(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    empty = {
        (uid, panel.title, names)
        for uid, board in boards.items()
        # The fleet's Geth says less than a real one, whose scrapes another test feeds to these boards.
        if not uid.startswith("geth_") and uid not in NEED_A_PAST
        for filled in [reader.values(board)]
        for panel in panels(board)
        if (names := reader.without_data(panel, filled))
    }
    empty -= MAY_HAVE_DATA
    assert sorted(empty - set(WITHOUT_DATA)) == [], "panels without data and without a reason"
    assert sorted(set(WITHOUT_DATA) - empty) == [], "panels that have data now"


def test_the_first_row_of_every_board_has_data(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    for uid, board in boards.items():
        first = [panel for panel in panels(board) if panel.content["gridPos"]["y"] == 0]
        assert 4 <= len(first) <= 6, uid
        assert {panel.kind for panel in first} <= {"stat", "gauge"}, uid
        filled = reader.values(board)
        for panel in first:
            if uid not in NEED_A_PAST:
                assert reader.without_data(panel, filled) == "", (uid, panel.title)


def test_every_variable_of_every_board_is_filled(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    for uid, board in boards.items():
        for variable in variables(board):
            if variable["type"] == "query":
                match = re.fullmatch(r"label_values\((.+), ([$\w]+)\)", variable_query(variable))
                if match:
                    opened = reader.values(board)
                    found = reader.label_values(fill(match[1], opened), fill(match[2], opened))
                else:
                    names = re.fullmatch(r"label_names\((.+)\)", variable_query(variable))
                    assert names, (uid, variable)
                    labels = {
                        name
                        for sample in reader.server.query(fill(names[1], reader.values(board)))
                        for name in sample.labels
                    }
                    found = {name for name in labels if re.search(str(variable["regex"]).strip("/"), name)}
                    assert str(variable["current"]["value"]) in found
                assert found, (uid, variable["name"])


@pytest.mark.parametrize(
    ("uid", "alert"),
    [
        ("fleet_overview", "ExecutionNodeDown"),
        ("fleet_overview", "NodeMemoryHigh"),
        ("fleet_overview", "ValidatorGroupNotEarning"),
        ("validators", "ValidatorGroupNotEarning"),
        ("eks_node", "NodeMemoryHigh"),
        ("shared_beacon", "ValidatorGroupNotEarning"),
        ("validator_clients", "ValidatorGroupNotEarning"),
        ("execution_clients", "ExecutionNodeDown"),
    ],
)
def test_a_firing_alert_is_an_annotation_and_in_the_table(
    reader: Reader, boards: dict[str, dict[str, Any]], uid: str, alert: str
) -> None:
    board = boards[uid]
    (expression,) = annotation_expressions(board)
    in_table = reader.ask(only_panel(board, "Firing alerts"), reader.values(board))
    assert alert in {
        sample.labels["alertname"] for sample in reader.server.query(fill(expression, reader.values(board)))
    }
    assert alert in {series["metric"]["alertname"] for series in in_table}


def test_the_most_severe_alert_stands_first_in_the_table(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    board = boards["fleet_overview"]
    in_table = reader.ask(only_panel(board, "Firing alerts"), reader.values(board))
    severities = [series["metric"]["severity"] for series in in_table]
    assert {"critical", "warning"} <= set(severities)
    assert severities == sorted(severities, key=["critical", "warning", "info"].index)


def test_the_watchdog_is_no_annotation_of_any_board(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    for board in boards.values():
        for expression in annotation_expressions(board):
            names = {
                sample.labels["alertname"]
                for sample in reader.server.query(fill(expression, reader.values(board)))
            }
            assert "Watchdog" not in names


def test_the_fleets_first_row_counts_what_is_broken(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    board = boards["fleet_overview"]

    def number(title: str) -> float:
        (series,) = reader.ask(only_panel(board, title), reader.values(board))
        return float(series["value"][1])

    assert number("Nodes down") == 1
    assert number("Nodes not healthy") >= 1
    assert number("Critical alerts") >= 2
    assert number("Keys active") == 1000
    # Keys of validators-3, which is dead: more with each epoch that settles.
    assert number("Keys not earning") >= 5


def test_choosing_a_node_hides_the_others(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    board = boards["fleet_overview"]
    chosen = reader.values(board, instance="beacon-3")
    found = {series["metric"]["instance"] for series in reader.ask(only_panel(board, "Nodes"), chosen)}
    assert found == {"beacon-3"}


def test_an_implementation_leads_to_its_board(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    board = boards["fleet_overview"]
    rows = reader.ask(only_panel(board, "Nodes"), reader.values(board))
    leads = {series["metric"]["implementation"]: series["metric"]["board"] for series in rows}
    assert set(leads.values()) <= set(boards)
    assert leads["geth"] == "geth_node"


def test_each_group_names_its_client_and_beacon_node(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    board = boards["validators"]
    rows = reader.ask(only_panel(board, "Groups"), reader.values(board))
    causes = {
        series["metric"]["group"]: (series["metric"]["validator_client"], series["metric"]["beacon_node"])
        for series in rows
    }
    assert causes == {
        "alpha": ("validators-1", "beacon-1"),
        "bravo": ("validators-1", "beacon-1"),
        "charlie": ("validators-2", "beacon-2"),
        "delta": ("validators-3", "beacon-3"),
        "echo": ("validators-3", "beacon-3"),
    }


def test_the_keys_that_earned_least_are_those_whose_client_or_node_is_broken(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    board = boards["validators"]
    rows = reader.ask(only_panel(board, "Keys that earned least"), reader.values(board))
    assert len(rows) == 20
    assert {series["metric"]["group"] for series in rows} <= {"charlie", "delta", "echo"}


def test_choosing_a_machine_shows_its_pods_only(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    board = boards["eks_node"]
    chosen = reader.values(board, instance="machine-2")
    pods = by("pod", reader.ask(only_panel(board, "Pods by what they use"), chosen))
    assert set(pods) == {"beacon-2-0", "execution-2-0", "validators-2-0"}
    assert by("instance", reader.ask(only_panel(board, "Memory used"), chosen)) == pytest.approx(
        {"machine-2": 0.95}
    )


def test_the_target_that_is_down_is_named(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    board = boards["monitoring"]
    rows = reader.ask(only_panel(board, "Targets that are down"), reader.values(board))
    assert {series["metric"]["instance"] for series in rows} == {"validators-3"}


def test_operations_of_volumes_are_held_against_what_the_reader_typed_in(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    board = boards["eks_storage"]
    for iops, expected in ((board["templating"]["list"][4]["query"], 0.3), ("9000", 0.1)):
        rows = reader.ask(only_panel(board, "Operations of the limit"), reader.values(board, iops=iops))
        newest = {
            series["metric"]["persistentvolumeclaim"]: float(series["values"][-1][1]) for series in rows
        }
        assert "data-beacon-1-0" in newest
        assert list(newest.values()) == pytest.approx([expected] * len(newest), rel=0.2)


def test_requests_are_held_against_what_each_machine_can_give(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    board = boards["eks_cluster"]
    panel = only_panel(board, "Machines by what they have and give")
    rows = reader.ask(panel, reader.values(board))
    assert {series["metric"]["instance"] for series in rows} == set(PLAN.machines)
    requested = reader.values(board, namespace="none")
    shares = reader.ask(only_panel(board, "CPU requested"), requested)
    # A core for each process, of 8 on each machine: whatever namespace is chosen.
    assert float(shares[0]["value"][1]) == pytest.approx(len(PLAN.processes) / (8 * len(PLAN.machines)))


def test_the_pod_that_waits_for_its_image_is_told(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    board = boards["eks_cluster"]
    filled = reader.values(board)
    (waiting,) = reader.ask(only_panel(board, "Containers that wait"), filled)
    (unready,) = reader.ask(only_panel(board, "Pods not ready"), filled)
    assert (waiting["metric"]["pod"], waiting["metric"]["reason"]) == ("web-0", "ImagePullBackOff")
    assert float(unready["value"][1]) == 1


def test_a_key_in_two_clients_is_told(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    board = boards["slashing_safety"]
    (pair,) = reader.ask(only_panel(board, "Keys in two validator clients"), reader.values(board))
    names = (pair["metric"]["validator_client"], pair["metric"]["other_validator_client"])
    assert names == ("validators-1", "validators-2")
    rows = reader.ask(only_panel(board, "Firing alerts"), reader.values(board))
    assert "DuplicateValidatorKey" in {series["metric"]["alertname"] for series in rows}


def test_what_lokis_ruler_counts_is_on_the_board_of_logs(
    reader: Reader, boards: dict[str, dict[str, Any]]
) -> None:
    board = boards["logs"]
    filled = reader.values(board)
    (known,) = reader.ask(only_panel(board, "Lines of known errors"), filled)
    (touched,) = reader.ask(only_panel(board, "Keys touched"), filled)
    assert [float(one["value"][1]) for one in (known, touched)] == [2, 2]
    rows = reader.ask(only_panel(board, "Firing alerts"), filled)
    assert "KeystoreSecretRead" in {series["metric"]["alertname"] for series in rows}
