"""The fault switch: what it takes, what it refuses, what is wrong at a moment."""

import pytest

from stakewatch.errors import InputError
from stakewatch.simulator.attesting import beacon_in_use, is_usable, offline_keys
from stakewatch.simulator.faults import KINDS, FaultSwitch
from stakewatch.simulator.plan import DEMO


@pytest.fixture
def switch() -> FaultSwitch:
    return FaultSwitch(DEMO)


def test_every_fault_says_in_one_sentence_what_it_is() -> None:
    for kind in KINDS.values():
        assert kind.describes
        assert "\n" not in kind.describes


def test_a_fault_is_there_until_it_is_cleared(switch: FaultSwitch) -> None:
    fault = switch.inject("down", {"instance": "beacon-2"})
    assert switch.find("down", "beacon-2") is fault
    assert switch.find("down", "beacon-1") is None
    assert switch.clear() == (fault,)
    assert switch.active == ()


def test_clearing_takes_only_what_is_named(switch: FaultSwitch) -> None:
    switch.inject("down", {"instance": "beacon-1"})
    switch.inject("hang", {"instance": "beacon-1"})
    switch.inject("down", {"instance": "beacon-2"})
    assert len(switch.clear("down", "beacon-1")) == 1
    assert {(one.kind.name, one.target) for one in switch.active} == {
        ("hang", "beacon-1"),
        ("down", "beacon-2"),
    }


def test_the_same_fault_again_replaces_the_first(switch: FaultSwitch) -> None:
    switch.inject("few_peers", {"instance": "beacon-1", "count": 3})
    switch.inject("few_peers", {"instance": "beacon-1", "count": 7})
    (fault,) = switch.active
    assert fault.number("count") == 7


def test_the_newest_api_fault_is_what_the_api_does(switch: FaultSwitch) -> None:
    switch.inject("http_500", {"instance": "beacon-1"})
    newest = switch.inject("html", {"instance": "beacon-1"})
    switch.inject("few_peers", {"instance": "beacon-1", "count": 0})
    assert switch.api_fault("beacon-1") is newest


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("meltdown", {}, "there is no fault 'meltdown'"),
        ("down", {}, "no good 'instance'"),
        ("down", {"instance": "beacon-9"}, "no good 'instance'"),
        ("down", {"instance": ["beacon-1"]}, "no good 'instance'"),
        ("hang", {"instance": "validators-1"}, "no good 'instance'"),
        ("optimistic", {"instance": "execution-1"}, "no good 'instance'"),
        ("down", {"instance": "beacon-1", "speed": 3}, "has no argument speed"),
        ("few_peers", {"instance": "beacon-1"}, "no good 'count'"),
        ("few_peers", {"instance": "beacon-1", "count": -1}, "no good 'count'"),
        ("few_peers", {"instance": "beacon-1", "count": 2.5}, "no good 'count'"),
        ("few_peers", {"instance": "beacon-1", "count": "3"}, "no good 'count'"),
        ("few_peers", {"instance": "beacon-1", "count": True}, "no good 'count'"),
        ("slow", {"instance": "beacon-1", "seconds": float("nan")}, "no good 'seconds'"),
        ("machine_memory", {"machine": "beacon-1", "ratio": 0.9}, "no good 'machine'"),
        ("machine_memory", {"machine": "machine-1", "ratio": 1.2}, "no good 'ratio'"),
        ("keys_offline", {"group": "zulu"}, "no group is named 'zulu'"),
        ("keys_offline", {"group": 3}, "no good 'group'"),
        ("keys_offline", {"indices": []}, "no good 'indices'"),
        ("keys_offline", {"indices": "12"}, "no good 'indices'"),
        ("keys_offline", {"indices": [4000]}, "no good 'indices'"),
        ("keys_offline", {"indices": [True, -1]}, "no good 'indices'"),
        ("keys_offline", {"indices": [True]}, "no good 'indices'"),
        ("keys_offline", {"indices": [[1]]}, "no good 'indices'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    switch: FaultSwitch, name: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        switch.inject(name, arguments)
    assert caught.value.mend
    assert switch.active == ()


def test_keys_can_be_named_by_group_count_share_and_index(switch: FaultSwitch) -> None:
    assert switch.inject("keys_offline", {"group": "bravo", "count": 2}).indices == (300, 301)
    assert len(switch.inject("keys_offline", {"group": "bravo", "share": 0.1}).indices) == 20
    assert switch.inject("keys_offline", {"indices": [7, 900, 7]}).indices == (7, 900)
    assert len(switch.inject("keys_offline", {}).indices) == 1000


def test_a_momentary_fault_is_not_there_afterwards(switch: FaultSwitch) -> None:
    switch.inject("withdrawal_sweep", {})
    assert switch.active == ()


def test_without_faults_all_keys_attest(switch: FaultSwitch) -> None:
    assert not offline_keys(DEMO, switch).any()


def test_a_dead_beacon_node_stops_only_clients_without_a_backup(switch: FaultSwitch) -> None:
    switch.inject("down", {"instance": "beacon-2"})
    offline = offline_keys(DEMO, switch)
    assert offline[500:800].all()
    assert offline.sum() == 300
    switch.inject("down", {"instance": "beacon-3"})
    assert offline_keys(DEMO, switch).sum() == 300
    (_, _, client) = DEMO.validator_clients
    assert beacon_in_use(DEMO, switch, client) == "beacon-4"


@pytest.mark.parametrize(
    "name", ["hang", "http_500", "html", "syncing", "optimistic", "frozen_head", "other_network"]
)
def test_an_unfit_beacon_node_is_not_used(switch: FaultSwitch, name: str) -> None:
    switch.inject(name, {"instance": "beacon-1"})
    assert not is_usable(DEMO, switch, "beacon-1")
    assert beacon_in_use(DEMO, switch, DEMO.validator_clients[0]) == "beacon-2"


@pytest.mark.parametrize(("name", "arguments"), [("slow", {"seconds": 1}), ("few_peers", {"count": 0})])
def test_a_slow_or_lonely_beacon_node_is_still_used(
    switch: FaultSwitch, name: str, arguments: dict[str, object]
) -> None:
    switch.inject(name, {"instance": "beacon-1", **arguments})
    assert is_usable(DEMO, switch, "beacon-1")


def test_a_dead_execution_node_makes_its_beacon_node_unfit(switch: FaultSwitch) -> None:
    switch.inject("down", {"instance": "execution-2"})
    assert offline_keys(DEMO, switch)[500:800].all()


def test_a_dead_validator_client_stops_its_groups(switch: FaultSwitch) -> None:
    switch.inject("down", {"instance": "validators-1"})
    assert offline_keys(DEMO, switch)[:500].all()
    assert offline_keys(DEMO, switch).sum() == 500


def test_lost_finality_leaves_the_watched_keys_online(switch: FaultSwitch) -> None:
    switch.inject("finality_lost", {"share": 0.6})
    offline = offline_keys(DEMO, switch)
    assert not offline[:1000].any()
    assert offline.sum() == 1800
