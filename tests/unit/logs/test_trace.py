"""The time line of one event: which queries are asked, and what of their answers is shown."""

import re

import pytest

from stakewatch.errors import InputError
from stakewatch.logs.loki_api import Found, LogLine
from stakewatch.logs.stages import Replace
from stakewatch.logs.trace import (
    SECOND,
    Question,
    component,
    names_key,
    shown,
    trace,
)

KEY = "0xa852816b8e463178eea5acebb4b86d0acb6d8c6812cf313296bd271ea4d2fd89d281e5fc296df4df49019169bdf96922"
OTHER_KEY = "0xa852816" + KEY[9:-1] + "3"
NOON = 1_795_000_000 * SECOND
HOUR = 3600 * SECOND


class Loki:
    """Answers queries from a list, and remembers them."""

    def __init__(self, **answers: Found) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self._answers = answers

    def __call__(self, query: str, start_ns: int, end_ns: int) -> Found:
        self.asked.append((query, start_ns, end_ns))
        return next((found for part, found in self._answers.items() if part in query), Found(()))


def line(seconds: float, text: str, role: str = "beacon", level: str = "info", **metadata: str) -> LogLine:
    labels = {
        "cluster": "eks-1",
        "role": role,
        "implementation": "teku",
        "instance": f"{role}-1",
        "level": level,
    }
    return LogLine(NOON + int(seconds * SECOND), labels, text, metadata)


def question(**changes: int | str | None) -> Question:
    return Question(**{"start_ns": NOON - HOUR, "end_ns": NOON + HOUR, **changes})  # type: ignore[arg-type] # by keyword


def test_a_slot_brings_its_lines_those_of_its_block_and_what_was_wrong_meanwhile() -> None:
    imported = line(1, "block imported", slot="7", block_number="4")
    attested = line(4, "attested", role="validator", slot="7")
    executed = line(0.9, "new payload", role="execution", block_number="4")
    refused = line(2, "relay refused", role="relay", level="warn")
    loki = Loki(
        **{
            'slot="7"': Found((imported, attested)),
            "block_number": Found((executed,)),
            "warn": Found((refused,)),
        }
    )
    answer = trace(question(slot=7), loki)
    assert [(moment.line.text, moment.because) for moment in answer.moments] == [
        ("new payload", "block"),
        ("block imported", "slot"),
        ("relay refused", "around"),
        ("attested", "slot"),
    ]
    assert not answer.cut_off


def test_around_a_slot_is_around_the_middle_of_its_lines_not_around_a_duty_known_long_before() -> None:
    lines = (
        line(-1800, "duty at slot 7", slot="7"),
        line(0, "block", slot="7"),
        line(3, "attested", slot="7"),
    )
    loki = Loki(**{'slot="7"': Found(lines)})
    trace(question(slot=7), loki)
    around = [(start, end) for query, start, end in loki.asked if "slot" not in query]
    assert around == [(NOON - 12 * SECOND, NOON + 12 * SECOND)] * 3


def test_without_a_block_number_execution_nodes_are_shown_by_what_they_did_at_that_time() -> None:
    loki = Loki(**{'slot="7"': Found((line(0, "attested", slot="7"),))})
    trace(question(slot=7), loki)
    assert any('role=~"execution"' in query and 'block_number != ""' in query for query, _, _ in loki.asked)


def test_a_slot_of_which_nothing_was_logged_is_one_query_and_no_line() -> None:
    loki = Loki()
    assert trace(question(slot=7), loki).moments == ()
    assert len(loki.asked) == 1


def test_what_two_queries_find_is_shown_once_and_for_the_first_reason() -> None:
    late = line(1, "late block", level="warn", slot="7")
    answer = trace(question(slot=7), Loki(**{"beacon": Found(()), "": Found((late,))}))
    assert [(moment.line.text, moment.because) for moment in answer.moments] == [("late block", "slot")]


def test_a_block_number_that_is_none_never_reaches_a_query() -> None:
    loki = Loki(**{'slot="7"': Found((line(0, "x", slot="7", block_number='4" or 1="1'),))})
    trace(question(slot=7), loki)
    assert not any("or 1=" in query for query, _, _ in loki.asked)


def test_a_key_brings_lines_that_name_it_in_full_or_shortened_and_no_other_key() -> None:
    texts = [
        f"attested {KEY}",
        "attested a852816",
        "Published 0xa852816b8e46 slot 4",
        "duties of 0xa852…6922",
        f"attested {OTHER_KEY}",
        "duties of 0xa852…6923",
        "root 0xa85281600000",
    ]
    found = Found(tuple(line(number, text) for number, text in enumerate(texts)))
    answer = trace(question(pubkey=KEY), Loki(a852816=found))
    assert [moment.line.text for moment in answer.moments] == texts[:4]


def test_loki_is_asked_for_a_key_in_all_its_spellings_and_for_no_other() -> None:
    loki = Loki()
    trace(question(pubkey=KEY), loki)
    pattern = loki.asked[0][0].split("`")[1]
    for text in (KEY, KEY.upper(), "a852816", "0xa852…6922", "0xa852..6922", "a852...6922"):
        assert re.search(pattern, text), text
    for text in ("a85281", "0xa852…6923", "0xb852…6922", "a852.6922", "a852xx6922"):
        assert not re.search(pattern, text), text


def test_capitals_do_not_hide_a_key() -> None:
    assert names_key(line(0, f"attested {KEY.upper()}"), KEY)


def test_without_slot_and_key_every_warning_and_error_is_shown() -> None:
    loki = Loki(warn=Found((line(1, "oh", level="error"),)))
    assert [moment.because for moment in trace(question(), loki).moments] == ["level"]
    assert loki.asked[0][0] == '{role=~".+", level=~"warn|error|fatal"}'


def test_cluster_and_network_stand_in_every_query() -> None:
    loki = Loki(**{'slot="7"': Found((line(0, "block", slot="7"),))})
    trace(question(slot=7, cluster="eks-1", network="hoodi"), loki)
    assert len(loki.asked) > 1
    assert all('cluster="eks-1", network="hoodi"' in query for query, _, _ in loki.asked)


def test_debug_lines_are_never_asked_for() -> None:
    loki = Loki(**{'slot="7"': Found((line(0, "block", slot="7"),))})
    trace(question(slot=7), loki)
    assert all('level!~"trace|debug"' in query or 'level=~"warn' in query for query, _, _ in loki.asked)


def test_what_is_around_a_slot_never_leaves_the_time_asked_for() -> None:
    loki = Loki(**{'slot="7"': Found((line(0, "block", slot="7"),))})
    trace(question(slot=7, start_ns=NOON - SECOND, end_ns=NOON + SECOND), loki)
    assert {(start, end) for _, start, end in loki.asked} == {(NOON - SECOND, NOON + SECOND)}


def test_one_answer_that_was_cut_off_is_told_of_the_whole() -> None:
    assert trace(question(), Loki(warn=Found((), cut_off=True))).cut_off


@pytest.mark.parametrize(
    "changes",
    [
        {"slot": -1},
        {"slot": 2**63},
        {"slot": 1, "pubkey": KEY},
        {"pubkey": KEY[:-1]},
        {"pubkey": KEY[2:]},
        {"pubkey": "12"},
        {"pubkey": "`} or {"},
        {"cluster": 'a"} or {b="'},
        {"network": "a\nb"},
        {"cluster": "-a"},
        {"start_ns": NOON, "end_ns": NOON},
        {"start_ns": -1},
    ],
)
def test_a_question_that_cannot_be_meant_is_refused(changes: dict[str, int | str]) -> None:
    with pytest.raises(InputError):
        question(**changes)


def test_secrets_are_masked_and_terminal_commands_made_harmless() -> None:
    text = "token=abc\x1b[2J\x07 done\tnow\N{RIGHT-TO-LEFT OVERRIDE}"
    assert shown(text, (Replace("token=([a-z]+)", "<masked>"),)) == "token=<masked>�[2J� done now�"


def test_a_program_is_named_by_what_is_known_of_it() -> None:
    labels = {"role": "proxy", "instance": "proxy-1", "cluster": "eks-1"}
    assert component(labels) == "proxy proxy-1"
    assert component(labels, with_cluster=True) == "proxy proxy-1 eks-1"
    assert component({}) == ""
