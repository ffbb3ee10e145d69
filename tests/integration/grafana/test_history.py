"""Boards that need a past, on a real Prometheus with 91 days in its database: trends, and cohorts.

What the statistics of cohorts should say is computed here from the same numbers.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from stakewatch.grafana.boardfile import panels

from .asking import Reader, only_panel
from .history import Past, with_past

HOUR = 3600
DAYS = 91
STEP = 300
# Two days in steps of 5 minutes, for what is not recorded once an hour.
FINE_STEPS = 2 * 24 * HOUR // STEP
Value = Callable[[int, int], float]
NETWORK = {"network": "mainnet"}
PLACE = {"cluster": "eks-1", "region": "eu-west-1"}
NODE = {**PLACE, **NETWORK, "role": "beacon", "implementation": "teku", "instance": "beacon-1"}
EXPORTER = {**PLACE, "instance": "exporter-1"}
MACHINE = {**PLACE, "instance": "machine-1"}
VOLUME = {**PLACE, "namespace": "staking", "persistentvolumeclaim": "data-0"}


@dataclass(frozen=True)
class Group:
    """A group with its label `client`, and its attestations due and missed every 5 minutes."""

    client: str
    duties: float
    missed: float


GROUPS = {
    "alpha": Group("v1", 100, 1.0),
    "bravo": Group("v1", 100, 1.4),
    "charlie": Group("v2", 200, 2.0),
}
DAY_IN_STEPS = 24 * HOUR // STEP
WITHOUT_DATA = {
    ("trends", "Firing alerts", "A"),
    ("cohorts", "Firing alerts", "A"),
}


def missed_in_an_hour(group: str, moment: int) -> float:
    """Return the share that a group missed in the hour before a moment: it differs from hour to hour."""
    hour = moment // HOUR
    swing = {"alpha": hour % 5, "bravo": hour % 7, "charlie": hour % 3}[group]
    return 0.01 + 0.001 * swing


def counting(pace: float) -> Value:
    """Return a counter that gains `pace` with each sample."""
    return lambda place, _: place * pace


def always(value: float) -> Value:
    """Return a value that stays."""
    return lambda *_: value


def swinging(group: str, base: float = 0) -> Value:
    """Return `base` and the share that a group missed in the hour before."""
    return lambda _, moment: base + missed_in_an_hour(group, moment)


def hourly(now: int) -> Iterator[Past]:
    """Yield what rules/trends.yaml records, for 91 days."""
    moments = range(now - DAYS * 24 * HOUR, now, HOUR)

    def past(name: str, labels: Mapping[str, str], value: Callable[[int], float]) -> Past:
        return Past(name, labels, ((moment, value(place)) for place, moment in enumerate(moments)))

    for group in GROUPS:
        of_group = {**NETWORK, "group": group}
        yield past("group:stakewatch_attestation_duties:hourly", of_group, lambda _: 1000)
        yield past("group:stakewatch_attestation_missed:hourly", of_group, lambda _: 5)
        yield past("group:stakewatch_inclusion_distance:hourly", of_group, lambda _: 1.05)
        yield past("group:stakewatch_earned_gwei:hourly", of_group, lambda _: 5e7)
        yield past("group:stakewatch_validators_active:hourly", of_group, lambda _: 500)
        yield past("group:stakewatch_proposals:hourly", {**of_group, "result": "proposed"}, lambda _: 1)
        yield past(
            "group:stakewatch_proposals:hourly",
            {**of_group, "result": "missed"},
            lambda hour: float(hour % 100 == 0),
        )
    # Only one group has proposed blocks with fees.
    yield past("group:stakewatch_execution_reward_gwei:hourly", {**NETWORK, "group": "alpha"}, lambda _: 1e7)
    yield past("network:stakewatch_attestation_duties:hourly", NETWORK, lambda _: 1e6)
    yield past("network:stakewatch_attestation_missed:hourly", NETWORK, lambda _: 1e4)
    yield past(
        "network:stakewatch_network_participation:hourly", {**NETWORK, "vote": "target"}, lambda _: 0.99
    )
    yield past("network:stakewatch_network_finality_delay_epochs:hourly", NETWORK, lambda _: 2)
    yield past("instance:stakewatch_node_up:hourly", NODE, lambda _: 1)
    yield past("instance:stakewatch_node_healthy:hourly", NODE, lambda _: 0.99)
    yield past("instance:stakewatch_node_peers:hourly", NODE, lambda _: 80)
    yield past("machine:memory_used:hourly", MACHINE, lambda _: 0.6)
    yield past("machine:cpu_used:hourly", MACHINE, lambda _: 0.3)
    # It began at 0.4 and fills by a thousandth a day.
    yield past("volume:used:hourly", VOLUME, lambda hour: 0.4 + hour / 24000)
    alert = {**PLACE, **NETWORK, "alertname": "BeaconNodeDown", "severity": "critical"}
    yield past("alert:firing_minutes:hourly", alert, lambda hour: 30 if hour % 24 == 0 else 0)


def fine(now: int) -> Iterator[Past]:
    """Yield what the exporter and the rules on attestations say of the groups, for two days."""
    moments = range(now - FINE_STEPS * STEP, now + 1, STEP)

    def past(name: str, labels: Mapping[str, str], value: Value) -> Past:
        return Past(name, labels, ((moment, value(place, moment)) for place, moment in enumerate(moments)))

    for group, of in GROUPS.items():
        names = {**NETWORK, "group": group}
        said = {**names, **EXPORTER}
        info = {**said, "validator_client": "validators-1", "label_client": of.client}
        yield past("stakewatch_group_info", info, always(1))
        # A second exporter says the same.
        yield past("stakewatch_group_info", {**info, "instance": "exporter-2"}, always(1))
        yield past("stakewatch_attestation_duties_total", said, counting(of.duties))
        yield past("stakewatch_attestation_missed_total", said, counting(of.missed))
        yield past("stakewatch_attestation_reward_gwei_total", said, counting(98))
        yield past("stakewatch_attestation_ideal_reward_gwei_total", said, counting(100))
        for result, pace in (("proposed", 0.1), ("missed", 0.002), ("orphaned", 0)):
            yield past("stakewatch_proposals_total", {**said, "result": result}, counting(pace))
        fees = {**said, "source": "builder"}
        yield past("stakewatch_proposal_execution_reward_gwei_total", fees, counting(1e6))
        for vote in ("head", "target"):
            for result, share in (("correct", 0.98), ("wrong", 0.02)):
                labels = {**said, "vote": vote, "result": result}
                yield past("stakewatch_attestation_votes_total", labels, counting(of.duties * share))
        yield past("group:stakewatch_validators_active:sum", names, always(of.duties))
        yield past("group:stakewatch_attestation_missed:ratio1h", names, swinging(group))
        yield past("group:stakewatch_inclusion_distance:mean1h", names, swinging(group, 1))
        yield past("group:stakewatch_wrong_votes:ratio1h", {**names, "vote": "head"}, always(0.02))
    yield past("up", NODE, always(1))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return somebody who looks at the last day of a fleet with a past."""
    now = int(time.time())
    with with_past([*hourly(now), *fine(now)], tmp_path_factory.mktemp("history")) as server:
        yield Reader(server, 24 * HOUR, step_seconds=1200, rate_seconds=1200, until=lambda: now)


@pytest.fixture
def cohorts(boards: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the board that compares."""
    return boards["cohorts"]


def number(reader: Reader, board: dict[str, Any], title: str, **chosen: str) -> float:
    """Return the only value of a panel's first query."""
    (series,) = reader.ask(only_panel(board, title), reader.values(board, **chosen))
    return float(series["value"][1])


def z_of(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the two-proportion z score of (misses, duties) of two sides, as textbooks have it."""
    pooled = (first[0] + second[0]) / (first[1] + second[1])
    error = math.sqrt(pooled * (1 - pooled) * (1 / first[1] + 1 / second[1]))
    return (first[0] / first[1] - second[0] / second[1]) / error


def in_a_day(client: str) -> tuple[float, float]:
    """Return the misses and duties that the groups of a client have in a day."""
    groups = [of for of in GROUPS.values() if of.client == client]
    return DAY_IN_STEPS * sum(of.missed for of in groups), DAY_IN_STEPS * sum(of.duties for of in groups)


@pytest.mark.parametrize(
    ("uid", "days", "chosen"),
    [("trends", 90, {}), ("cohorts", 1, {"by": "label_client", "first": "v1", "second": "v2"})],
)
def test_every_query_has_data(
    reader: Reader, boards: dict[str, dict[str, Any]], uid: str, days: int, chosen: dict[str, str]
) -> None:
    looking = replace(reader, range_seconds=days * 24 * HOUR, step_seconds=days * 1200)
    filled = looking.values(boards[uid], **chosen)
    empty = {
        (uid, panel.title, names)
        for panel in panels(boards[uid])
        if (names := looking.without_data(panel, filled))
    }
    assert empty == {one for one in WITHOUT_DATA if one[0] == uid}


def test_90_days_add_up(reader: Reader, boards: dict[str, dict[str, Any]]) -> None:
    looking = replace(reader, range_seconds=90 * 24 * HOUR, step_seconds=7200)
    board = boards["trends"]
    assert number(looking, board, "Attestations included") == pytest.approx(0.995)
    assert number(looking, board, "Proposals missed") == pytest.approx(3 * 21.6, abs=3)
    # Three groups earn 0.05 ETH an hour, and one of them 0.01 ETH of fees.
    assert number(looking, board, "Earned") == pytest.approx(2160 * 0.16, rel=0.001)
    assert number(looking, board, "Nodes answered") == 1
    assert number(looking, board, "Hours of critical alerts") == pytest.approx(45, abs=0.5)
    assert number(looking, board, "Fullest volume") == pytest.approx(0.491, abs=0.001)
    assert number(looking, board, "Days until full") == pytest.approx(509, abs=2)


def test_the_z_score_is_that_of_the_textbook(reader: Reader, cohorts: dict[str, Any]) -> None:
    expected = z_of(in_a_day("v1"), in_a_day("v2"))
    assert expected > 3
    chosen = {"by": "label_client", "first": "v1", "second": "v2"}
    assert number(reader, cohorts, "z score, duty by duty", **chosen) == pytest.approx(expected, rel=1e-3)
    turned = {"by": "label_client", "first": "v2", "second": "v1"}
    assert number(reader, cohorts, "z score, duty by duty", **turned) == pytest.approx(-expected, rel=1e-3)


def test_without_a_second_choice_all_the_others_are_compared_with(
    reader: Reader, cohorts: dict[str, Any]
) -> None:
    chosen = {"by": "label_client", "first": "v1"}
    difference = in_a_day("v1")[0] / in_a_day("v1")[1] - in_a_day("v2")[0] / in_a_day("v2")[1]
    assert reader.values(cohorts)["second"] == ".*"
    assert number(reader, cohorts, "Difference", **chosen) == pytest.approx(difference, rel=1e-3)


def test_one_side_alone_is_no_comparison(reader: Reader, cohorts: dict[str, Any]) -> None:
    for title in ("Difference", "z score, duty by duty", "Score, hour by hour"):
        filled = reader.values(cohorts, by="validator_client", first="validators-1")
        assert reader.ask(only_panel(cohorts, title), filled) == []


def test_the_score_by_hours_is_a_mean_over_its_own_scatter(reader: Reader, cohorts: dict[str, Any]) -> None:
    now = int(reader.until())
    hours = [moment for moment in range(now - 24 * HOUR + 1, now + 1) if moment % HOUR == 0]

    def share(moment: int, client: str) -> float:
        of = {group: one.duties for group, one in GROUPS.items() if one.client == client}
        # A subquery sees the newest sample before each full hour, up to 5 minutes old.
        seen = max(moment - (moment - now) % STEP, 0)
        return sum(missed_in_an_hour(group, seen) * weight for group, weight in of.items()) / sum(of.values())

    differences = [share(hour, "v1") - share(hour, "v2") for hour in hours]
    scatter = statistics.pstdev(differences) / math.sqrt(len(differences) - 1)
    chosen = {"by": "label_client", "first": "v1", "second": "v2"}
    found = number(reader, cohorts, "Score, hour by hour", **chosen)
    assert found == pytest.approx(statistics.fmean(differences) / scatter, rel=1e-6)


def test_without_any_miss_there_is_no_difference(reader: Reader, cohorts: dict[str, Any]) -> None:
    filled = reader.values(cohorts, by="label_client", first="v1")
    (table,) = (panel for panel in panels(cohorts) if panel.title == "Cohorts")
    for asked, series in ((only_panel(cohorts, "z score, duty by duty"), 1), (table.targets[3], 2)):
        expression = asked["expr"].replace(
            "stakewatch_attestation_missed_total{", 'stakewatch_proposals_total{result="orphaned",'
        )
        assert "orphaned" in expression
        found = reader.ask({"expr": expression, "instant": True}, filled)
        assert [float(one["value"][1]) for one in found] == [0] * series


def test_each_of_two_cohorts_is_as_far_from_the_other(reader: Reader, cohorts: dict[str, Any]) -> None:
    (table,) = (panel for panel in panels(cohorts) if panel.title == "Cohorts")
    rows = reader.ask(table.targets[3], reader.values(cohorts, by="label_client", first="v1"))
    scores = {series["metric"]["cohort"]: float(series["value"][1]) for series in rows}
    expected = z_of(in_a_day("v1"), in_a_day("v2"))
    assert scores == pytest.approx({"v1": expected, "v2": -expected}, rel=1e-3)
