"""Which chain is ours, and who differs from the others."""

from types import MappingProxyType

from stakewatch.ethereum.specification import GENESIS_VALIDATORS_ROOTS, Specification
from stakewatch_exporter.agreement import Chain, dissenters, elect_chain


def _chain(root: str, *, genesis: int = 1000, slot_milliseconds: int = 12_000) -> Chain:
    return Chain(root, genesis, Specification(slot_milliseconds, 32, 1, 4, MappingProxyType({})))


A, B = _chain("0xaa"), _chain("0xbb")
MAINNET = _chain(GENESIS_VALIDATORS_ROOTS["mainnet"])


def test_nobody_has_answered_so_there_is_no_chain() -> None:
    assert elect_chain([None, None], network="demonet") is None


def test_the_majority_decides() -> None:
    assert elect_chain([A, B, B], network="demonet") is B


def test_on_a_tie_the_first_node_decides() -> None:
    assert elect_chain([None, A, B], network="demonet") is A


def test_on_a_tie_the_chain_that_was_ours_stays_ours() -> None:
    assert elect_chain([A, B], network="demonet", remembered_root="0xbb") is B


def test_a_memory_does_not_beat_the_majority() -> None:
    assert elect_chain([A, A, B], network="demonet", remembered_root="0xbb") is A


def test_a_known_network_is_known_by_its_root_whatever_the_majority_says() -> None:
    assert elect_chain([A, A, MAINNET], network="mainnet") is MAINNET
    assert elect_chain([A, A], network="mainnet") is None


def test_another_genesis_or_pace_is_another_chain() -> None:
    later, faster = _chain("0xaa", genesis=2000), _chain("0xaa", slot_milliseconds=6000)
    assert elect_chain([later, A, A], network="demonet") is A
    assert faster.identity != A.identity


def test_one_alone_differs_from_nobody() -> None:
    assert dissenters({}) == {}
    assert dissenters({"a": 1}) == {}


def test_of_two_that_differ_both_say_so() -> None:
    assert dissenters({"a": 1, "b": 2}) == {"a": True, "b": True}
    assert dissenters({"a": 1, "b": 1}) == {"a": False, "b": False}


def test_of_three_the_odd_one_differs() -> None:
    assert dissenters({"a": 1, "b": 2, "c": 1}) == {"a": False, "b": True, "c": False}


def test_without_a_majority_all_differ() -> None:
    assert dissenters({"a": 1, "b": 1, "c": 2, "d": 3}) == dict.fromkeys("abcd", True)
