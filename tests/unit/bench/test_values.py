"""What looks for wrong values finds them: a watch that passes everything would prove nothing."""

from collections.abc import Iterator
from functools import lru_cache

import pytest

from stakewatch.simulator.mainnet import truth
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.registry import MainnetParameters
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from tests.bench.corruption import ENDPOINTS, Fault, applies, changed_json, changed_state
from tests.bench.exporter import exponent, percentile
from tests.bench.page import Page, read_page
from tests.bench.values import Truths, Watcher

FIRST = 2_000
Sample = tuple[str, dict[str, str], float]


@lru_cache(1)
def chain() -> MainnetChain:
    return MainnetChain(
        MainnetParameters(
            validators=3000, active=2400, watched=60, groups=2, epochs=6, missed_proposal_ratio=0.1
        )
    )


def samples(epoch: int, attested: tuple[int, ...], slots: int) -> Iterator[Sample]:
    """Yield what a right exporter shows after reading the state of an epoch and counting some others."""
    known = truth.validator_truth(chain(), epoch * SLOTS_PER_EPOCH)
    yield "stakewatch_last_processed_epoch", {}, epoch
    for name, figures in known.items():
        labels = {"group": name}
        yield "stakewatch_validators_balance_gwei", labels, figures["balance"]
        yield "stakewatch_validators_effective_balance_gwei", labels, figures["effective_balance"]
        status = {**labels, "status": "active_ongoing"}
        yield "stakewatch_validators", status, figures["active_ongoing"]
    network = [truth.attestation_truth(chain(), one)["network"] for one in attested]

    def total(figure: str) -> int:
        return sum(one[figure] for one in network)

    yield "stakewatch_network_attestation_duties_total", {}, total("duties")
    yield "stakewatch_network_attestation_missed_total", {}, total("missed")
    for vote in ("source", "target", "head"):
        labels = {"vote": vote, "result": "correct"}
        yield "stakewatch_network_attestation_votes_total", labels, total(f"votes_{vote}")
    yield "stakewatch_network_attestation_reward_gwei_total", {}, total("reward")
    yield "stakewatch_network_attestation_ideal_reward_gwei_total", {}, total("ideal")
    for kind in ("source", "target", "inactivity"):
        yield "stakewatch_network_attestation_penalty_gwei_total", {"kind": kind}, total(f"penalty_{kind}")
    anchor = FIRST * SLOTS_PER_EPOCH
    for name, moved in truth.slot_truth(chain(), anchor + 1, anchor + slots).items():
        for result in ("proposed", "missed"):
            if name == "network":
                yield "stakewatch_network_proposals_total", {"result": result}, moved.get(result, 0)
            else:
                labels = {"group": name, "result": result}
                yield "stakewatch_proposals_total", labels, moved.get(result, 0)


def page(epoch: int, attested: tuple[int, ...] = (), slots: int = 0, **changed: float) -> Page:
    """Return a right page, but for the families that are changed by an amount."""
    return Page(
        tuple(
            (name, labels, value + changed.get(name.removeprefix("stakewatch_"), 0))
            for name, labels, value in samples(epoch, attested, slots)
        )
    )


def watcher() -> Watcher:
    watching = Watcher(Truths(chain()))
    watching.begin(FIRST * SLOTS_PER_EPOCH)
    return watching


def test_right_pages_are_right_however_many_epochs_come_at_once() -> None:
    watching = watcher()
    head = chain().last_slot
    watching.look(page(FIRST + 1), head)
    watching.look(page(FIRST + 2, (FIRST,), 40), head)
    watching.look(page(FIRST + 4, (FIRST, FIRST + 1, FIRST + 2), 100), head)
    assert watching.wrong == []


@pytest.mark.parametrize(
    "family",
    [
        "validators_balance_gwei",
        "validators_effective_balance_gwei",
        "validators",
        "network_attestation_missed_total",
        "network_attestation_votes_total",
        "network_attestation_reward_gwei_total",
        "network_attestation_penalty_gwei_total",
        "network_proposals_total",
        "proposals_total",
        "last_processed_epoch",
    ],
)
def test_a_figure_that_is_one_too_high_is_found(family: str) -> None:
    watching = watcher()
    watching.look(page(FIRST + 1), chain().last_slot)
    watching.look(page(FIRST + 3, (FIRST, FIRST + 1), 60, **{family: 1}), chain().last_slot)
    assert watching.wrong


def test_a_counter_that_falls_is_found() -> None:
    watching = watcher()
    watching.look(page(FIRST + 3, (FIRST, FIRST + 1), 60), chain().last_slot)
    watching.look(page(FIRST + 3, (FIRST,), 60), chain().last_slot)
    assert any("fell from" in what for what in watching.wrong)


BODY = b'{"data":[{"slot":"41","root":"0x%s"}]}' % (b"ab" * 32)


def test_answers_are_spoilt_as_the_fault_says() -> None:
    assert changed_json(BODY, Fault.SLOT) == BODY.replace(b'"41"', b'"42"')
    assert changed_json(BODY, Fault.EMPTY) == b'{"data": []}'
    assert len(changed_json(BODY, Fault.LENGTHS) or b"") == len(BODY) - 1
    framing = changed_json(BODY, Fault.FRAMING) or b""
    assert framing != BODY
    assert b"\x07" in framing
    assert changed_json(b'{"data":{}}', Fault.EMPTY) is None
    assert changed_json(b'{"data":{}}', Fault.SLOT) is None


def test_states_are_spoilt_at_one_place() -> None:
    body = bytes(600_000)
    for fault, place in ((Fault.SLOT, 40), (Fault.LENGTHS, 524556), (Fault.OFFSETS, 524552 + 3)):
        changed = changed_state(body, fault) or b""
        assert [at for at in range(len(body)) if changed[at]] == [place]
    assert len(changed_state(body, Fault.FRAMING) or b"") < len(body)
    assert changed_state(body, Fault.HTML) is None


def test_every_endpoint_meets_at_least_seven_faults() -> None:
    for endpoint in ENDPOINTS:
        assert sum(applies(fault, endpoint) for fault in Fault) >= 7, endpoint
    assert all(applies(fault, "debug/states") for fault in Fault)


def test_pages_are_read_with_their_labels() -> None:
    text = '# HELP a b\nstakewatch_x{a="1",b="q\\"{}"} 7\nstakewatch_y 1.5\nstakewatch_validator_z{k="1"} 2\n'
    read = read_page(text)
    assert read.samples == (
        ("stakewatch_x", {"a": "1", "b": 'q\\"{}'}, 7.0),
        ("stakewatch_y", {}, 1.5),
    )
    assert len(read_page(text, with_keys=True).samples) == 3
    assert read.table("x", "a") == {("1",): 7.0}
    assert read.value("y") == 1.5
    assert read.value("gone") is None


def test_growth_and_percentiles_are_what_they_are_called() -> None:
    assert exponent([100, 1000], [1.0, 10.0]) == pytest.approx(1)
    assert exponent([100, 1000], [2.0, 2.0]) == pytest.approx(0)
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(number) for number in range(1, 101)], 0.99) == 99


def with_earned(epoch: int, amount: float, corrections: int = 0) -> Page:
    """Return a right page on which the first group has earned an amount."""
    own = ("stakewatch_validators_earned_gwei", {"group": "group-000"}, amount)
    corrected = ("stakewatch_corrections_total", {"kind": "balance_jump"}, float(corrections))
    return Page((*page(epoch).samples, own, corrected))


def test_what_was_earned_moves_as_balances_do_or_not_at_all_for_a_while() -> None:
    head = chain().last_slot
    slots = [(FIRST + number) * SLOTS_PER_EPOCH for number in (1, 2)]
    before, after = (truth.validator_truth(chain(), slot)["group-000"] for slot in slots)
    moved = truth.slot_truth(chain(), slots[0] + 1, slots[1])["group-000"]
    earned = after["balance"] + after["pending"] - before["balance"] - before["pending"]
    earned += moved.get("withdrawals", 0) - moved.get("deposits", 0)
    for second, third, corrections, is_right in (
        (earned, earned, 0, True),
        (0, earned, 0, True),
        (earned + 1, earned + 1, 0, False),
        (earned + 1, earned + 1, 1, True),
    ):
        watching = watcher()
        watching.look(with_earned(FIRST + 1, 0), head)
        watching.look(with_earned(FIRST + 2, second, corrections), head)
        watching.look(with_earned(FIRST + 2, third, corrections), head)
        assert (watching.wrong == []) is is_right, (second, watching.wrong)
