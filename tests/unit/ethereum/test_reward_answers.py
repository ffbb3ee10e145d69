"""Votes, rewards and penalties as nodes tell them."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stakewatch.ethereum.reward_answers import RewardAnswer, indices_body

IDEAL = [
    {"effective_balance": "0", "head": "0", "target": "0", "source": "0", "inactivity": "0"},
    {"effective_balance": "32000000000", "head": "30", "target": "50", "source": "28", "inactivity": "0"},
]


def _total(
    index: int, source: object, target: object, head: object, inactivity: object = "0"
) -> dict[str, object]:
    return {
        "validator_index": str(index),
        "head": str(head),
        "target": str(target),
        "source": str(source),
        "inactivity": str(inactivity),
    }


def _answer(*totals: dict[str, object], ideal: object = None) -> RewardAnswer:
    answer = RewardAnswer()
    data = {"ideal_rewards": IDEAL if ideal is None else ideal, "total_rewards": list(totals)}
    content = json.dumps({"data": data}, separators=(",", ":")).encode()
    for start in range(0, len(content), 37):
        answer.feed(content[start : start + 37])
    return answer.finish()


def _all_have_duties(count: int) -> dict[str, Any]:
    return {
        "has_duty": np.ones(count, dtype=np.bool_),
        "effective_balances": np.full(count, 32 * 10**9, dtype=np.int64),
    }


def test_votes_are_seen_in_their_rewards() -> None:
    answer = _answer(
        _total(0, 28, 50, 30), _total(1, 28, 50, 0), _total(2, 28, -50, 0), _total(3, -28, -50, 0, -7)
    )
    rewards = answer.of(np.arange(4), **_all_have_duties(4))
    assert rewards.flags.tolist() == [7, 3, 1, 0]
    assert rewards.total.tolist() == [108, 78, -22, -85]
    assert rewards.inactivity.tolist() == [0, 0, 0, -7]
    assert rewards.ideal.tolist() == [108] * 4


def test_the_order_of_the_question_is_kept() -> None:
    rewards = _answer(_total(5, 28, 50, 30), _total(9, -28, -50, 0)).of(
        np.array([9, 5]), **_all_have_duties(2)
    )
    assert rewards.flags.tolist() == [0, 7]


def test_who_had_no_duty_need_not_be_there() -> None:
    rewards = _answer(_total(0, 28, 50, 30)).of(
        np.array([0, 77]),
        has_duty=np.array([True, False]),
        effective_balances=np.array([32 * 10**9, 5], dtype=np.int64),
    )
    assert rewards.flags.tolist() == [7, 0]
    assert rewards.ideal.tolist() == [108, 0]


def test_a_slashed_validator_loses_without_a_duty() -> None:
    rewards = _answer(_total(0, -28, -50, 0, -3)).of(
        np.array([0]), has_duty=np.array([False]), effective_balances=np.array([32 * 10**9])
    )
    assert rewards.total.tolist() == [-81]
    assert rewards.flags.tolist() == [0]


def test_fractions_of_some_clients_are_cut() -> None:
    ideal = [{"effective_balance": "32000000000", "head": "30.75", "target": "50.5", "source": "28.25"}]
    rewards = _answer(_total(0, 28, 50, 30), ideal=ideal).of(np.array([0]), **_all_have_duties(1))
    assert rewards.ideal.tolist() == [108]


def test_a_duty_without_an_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="1 validators with a duty are not in it"):
        _answer(_total(0, 28, 50, 30)).of(np.array([0, 1]), **_all_have_duties(2))


def test_an_unknown_effective_balance_is_refused() -> None:
    with pytest.raises(ValueError, match="31000000000"):
        _answer(_total(0, 28, 50, 30)).of(
            np.array([0]), has_duty=np.array([True]), effective_balances=np.array([31 * 10**9])
        )


def test_in_a_leak_the_answer_is_refused() -> None:
    ideal = [{"effective_balance": "32000000000", "head": "0", "target": "0", "source": "0"}]
    with pytest.raises(ValueError, match="leak"):
        _answer(_total(0, 0, 0, 0), ideal=ideal)


@pytest.mark.parametrize(
    "totals",
    [
        (_total(0, 1, 1, 1), _total(0, 1, 1, 1)),
        (_total(10_000_000, 1, 1, 1),),
        (_total(-1, 1, 1, 1),),
        (_total(0, "NaN", 1, 1),),
        (_total(0, "1e300", 1, 1),),
    ],
    ids=["twice", "index too large", "negative index", "no number", "beyond all ether"],
)
def test_answers_that_cannot_be_are_refused(totals: tuple[dict[str, object], ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        _answer(*totals)


def test_a_real_answer_is_read(sample: Callable[[str], bytes]) -> None:
    answer = RewardAnswer()
    answer.feed(sample("rewards_att_all.json"))
    with pytest.raises(ValueError, match="not in it"):
        answer.finish().of(np.arange(65), **_all_have_duties(65))


def test_validators_are_asked_for_by_text() -> None:
    assert indices_body([3, 12]) == b'["3","12"]'
    assert indices_body([]) == b"[]"
