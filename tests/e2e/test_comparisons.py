"""The comparisons of the run notice a figure that is wrong by one gwei, one epoch or one key."""

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import pytest
from eth_keys.datatypes import PrivateKey

from tests.e2e.alarms import Alarm, Past, compare_alarms
from tests.e2e.attestations import Paid
from tests.e2e.chain import Block
from tests.e2e.devnet import SECONDS_PER_SLOT, SLOTS_PER_EPOCH, Devnet, Pair
from tests.e2e.earnings import Height, History, compare_keys, compare_proposals
from tests.e2e.installation import Group
from tests.e2e.ledger import Check, Ledger
from tests.e2e.recording import Recording
from tests.e2e.scrape import Scrape

KEYS = 4
STAKE = 32 * 10**9
EPOCHS = 6
SWEEP_SLOT = 20
PAIR = Pair(1, range(KEYS), "0x" + "01" * 20, PrivateKey(b"1" * 32), *range(8))
GROUPS = (Group("alpha", PAIR, range(2)), Group("bravo", PAIR, range(2, KEYS)))
CHAIN = Devnet(Path(), 0, (PAIR,), print, MappingProxyType({}), ExitStack())
SLOTS = range(EPOCHS * SLOTS_PER_EPOCH + 1)


def income(slot: int, index: int) -> int:
    """Return what a key owns or has withdrawn: every key earns another amount in each slot."""
    return STAKE + 1000 * slot + index * slot


def withdrawn(slot: int, index: int) -> int:
    """Return what was withdrawn of a key by a slot: once, all that it earned until then."""
    return income(SWEEP_SLOT, index) - STAKE if slot >= SWEEP_SLOT else 0


def truth() -> History:
    blocks = {
        slot: Block(slot, slot % KEYS, "0x", slot, PAIR.fee_recipient, MappingProxyType({}))
        for slot in SLOTS
        if slot and slot != 9
    }
    figures = {slot: tuple(income(slot, index) for index in range(KEYS)) for slot in SLOTS}
    taken = {slot: tuple(withdrawn(slot, index) for index in range(KEYS)) for slot in SLOTS}
    return History(
        blocks=blocks,
        proposers={slot: slot % KEYS for slot in SLOTS if slot},
        balances={
            slot: tuple(own - away for own, away in zip(figures[slot], taken[slot], strict=True))
            for slot in SLOTS
        },
        effective=dict.fromkeys(SLOTS, (STAKE,) * KEYS),
        income=figures,
        withdrawn=taken,
        tips={slot: 10 + slot for slot in blocks},
        roots={slot: f"0x{slot}" for slot in blocks},
    )


def page(epoch: int, past: History) -> Scrape:
    """Return what a right exporter shows at the end of an epoch."""
    slot = epoch * SLOTS_PER_EPOCH
    group_of = {index: group.name for group in GROUPS for index in group.indices}
    series: dict[str, list[tuple[dict[str, str], float]]] = {}

    def add(name: str, value: float, **labels: str) -> None:
        series.setdefault(f"stakewatch_{name}", []).append((labels, value))

    for index, name in group_of.items():
        key = {"validator_index": str(index), "pubkey": f"0x{index}", "group": name}
        add("validator_balance_gwei", past.balances[slot][index], **key)
        add("validator_earned_gwei", past.income[slot][index] - past.income[SLOTS_PER_EPOCH][index], **key)
        add("validator_active", 1, **key)
    for group in GROUPS:
        own = {"group": group.name}
        balances = [past.balances[slot][index] for index in group.indices]
        earned = [past.income[slot][index] - past.income[SLOTS_PER_EPOCH][index] for index in group.indices]
        add("validators_balance_gwei", sum(balances), **own)
        add("validators_earned_gwei", sum(earned), **own)
        add("validators_effective_balance_gwei", STAKE * len(group.indices), **own)
        add("validators", len(group.indices), status="active_ongoing", **own)
        add("withdrawals_gwei_total", sum(past.withdrawn[slot][index] for index in group.indices), **own)
        duties = [duty for duty in range(1, slot + 1) if duty % KEYS in group.indices]
        proposed = [duty for duty in duties if duty in past.blocks]
        add("proposals_total", len(proposed), result="proposed", **own)
        add("proposals_total", len(duties) - len(proposed), result="missed", **own)
        tips = sum(past.tips[duty] for duty in proposed)
        add("proposal_execution_reward_gwei_total", tips, source="local", **own)
        add("proposal_fee_recipient_mismatch_total", 0, **own)
    add("beacon_finalized_epoch", epoch - 2, instance=PAIR.beacon)
    return Scrape((slot + 2) * SECONDS_PER_SLOT, {name: tuple(found) for name, found in series.items()})


def compared(pages: list[Scrape], orphans: tuple[Height, ...] = ()) -> Ledger:
    past = dataclasses.replace(truth(), orphans=orphans)
    ledger = Ledger()
    record = Recording(scrapes=pages)
    compare_keys(ledger.chapter("keys"), CHAIN, record, past, GROUPS)
    compare_proposals(ledger.chapter("proposals"), past, GROUPS, pages)
    return ledger


def right_pages() -> list[Scrape]:
    past = truth()
    return [page(epoch, past) for epoch in range(1, EPOCHS + 1)]


def changed(before: Scrape, metric: str, change: float, **labels: str) -> Scrape:
    """Return a page with one series moved by `change`."""
    series = dict(before.series)
    series[metric] = tuple(
        (own, value + change if labels.items() <= own.items() else value) for own, value in series[metric]
    )
    return dataclasses.replace(before, series=series)


def test_a_right_exporter_passes_every_check() -> None:
    ledger = compared(right_pages())
    assert ledger.failed() == ()
    assert len(ledger.checks) > 20


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        ("stakewatch_validator_balance_gwei", {"validator_index": "3"}),
        ("stakewatch_validator_earned_gwei", {"validator_index": "0"}),
        ("stakewatch_validators_balance_gwei", {"group": "alpha"}),
        ("stakewatch_validators_earned_gwei", {"group": "bravo"}),
        ("stakewatch_validators_effective_balance_gwei", {"group": "alpha"}),
        ("stakewatch_validators", {"group": "alpha"}),
        ("stakewatch_validator_active", {"validator_index": "1"}),
        ("stakewatch_withdrawals_gwei_total", {"group": "bravo"}),
        ("stakewatch_proposals_total", {"group": "alpha", "result": "missed"}),
        ("stakewatch_proposal_execution_reward_gwei_total", {"group": "bravo"}),
        ("stakewatch_proposal_fee_recipient_mismatch_total", {"group": "bravo"}),
    ],
)
def test_one_figure_that_is_wrong_by_one_fails(metric: str, labels: dict[str, str]) -> None:
    pages = right_pages()
    pages[-1] = changed(pages[-1], metric, 1, **labels)
    assert compared(pages).failed() != ()


def test_figures_of_two_heights_on_one_page_fail() -> None:
    pages = right_pages()
    older = dict(pages[2].series["stakewatch_validator_balance_gwei"][0][0])
    value = pages[2].series["stakewatch_validator_balance_gwei"][0][1]
    newer = pages[3].series["stakewatch_validator_balance_gwei"][1:]
    mixed = {**pages[3].series, "stakewatch_validator_balance_gwei": ((older, value), *newer)}
    pages[3] = dataclasses.replace(pages[3], series=mixed)
    assert compared(pages).failed() != ()


def test_figures_of_a_block_that_was_taken_back_are_right_while_it_was_the_head() -> None:
    pages = right_pages()
    past, slot = truth(), 4 * SLOTS_PER_EPOCH
    orphan = Height(
        slot,
        tuple(amount + 7 for amount in past.balances[slot]),
        tuple(amount + 7 for amount in past.income[slot]),
    )
    for group in GROUPS:
        for index in group.indices:
            for metric in ("balance", "earned"):
                name = f"stakewatch_validator_{metric}_gwei"
                pages[3] = changed(pages[3], name, 7, validator_index=str(index))
                pages[3] = changed(pages[3], f"stakewatch_validators_{metric}_gwei", 7, group=group.name)
    assert compared(pages, (orphan,)).failed() == ()
    assert len(compared(pages).failed()) >= 2


def test_an_epoch_that_was_left_out_fails() -> None:
    pages = right_pages()
    del pages[2]
    assert compared(pages).failed() != ()


def test_figures_that_stand_still_fail() -> None:
    pages = right_pages()
    late = [dataclasses.replace(one, at=one.at + 40 * SECONDS_PER_SLOT) for one in pages]
    assert compared(late).failed() != ()


def test_pages_without_keys_fail() -> None:
    empty = [dataclasses.replace(one, series={}) for one in right_pages()]
    assert compared(empty).failed() != ()


def alarm(name: str, epoch: int, **labels: str) -> Alarm:
    at = epoch * SLOTS_PER_EPOCH * SECONDS_PER_SLOT
    return Alarm(MappingProxyType({"alertname": name, **labels}), float(at))


def judged(fired: Alarm, unpaid_epochs: range, unknown: int = -1) -> tuple[Check, ...]:
    """Return the checks of one alarm, where validator 0 earns nothing at the boundaries into these epochs.

    What attestations brought in an epoch that is unknown was not recorded.
    """
    incomes = {slot: (STAKE, *truth().income[slot][1:]) for slot in SLOTS}
    earned = 0
    for slot in SLOTS:
        epoch, rest = divmod(slot, SLOTS_PER_EPOCH)
        earned += 1000 if rest == 0 and epoch not in unpaid_epochs else 0
        incomes[slot] = (STAKE + earned, *incomes[slot][1:])
    past = dataclasses.replace(truth(), income=incomes)
    ledger = Ledger()
    usual = (alarm("Watchdog", 0), alarm("BeaconNodeDown", 3, instance="beacon-2"))
    group = alarm("ValidatorGroupNotEarning", 0, group="none")
    other = Pair(2, range(0), "0x" + "02" * 20, PrivateKey(b"2" * 32), *range(8))
    chain = dataclasses.replace(CHAIN, pairs=(PAIR, other))
    groups = (*GROUPS, Group("none", PAIR, range(0)))
    paid = tuple(
        Paid(epoch, (-9 if epoch in unpaid_epochs else 9, *(9,) * (KEYS - 1)), {})
        for epoch in range(EPOCHS)
        if epoch != unknown
    )
    compare_alarms(ledger.chapter("alarms"), chain, Past(past, paid), groups, (*usual, group, fired))
    return tuple(check for check in ledger.checks if fired.subject in check.name)


def test_an_alarm_on_a_key_that_earned_nothing_twice_is_right() -> None:
    fired = alarm("ValidatorBalanceNotGrowing", 5, validator_index="0")
    assert [check.holds for check in judged(fired, range(4, 6))] == [True]


def test_an_alarm_on_a_key_that_missed_once_is_wrong() -> None:
    fired = alarm("ValidatorBalanceNotGrowing", 5, validator_index="0")
    assert [check.holds for check in judged(fired, range(4, 5))] == [False]


def test_an_alarm_on_misses_in_a_row_is_right_only_when_there_are_as_many() -> None:
    twice = alarm("ValidatorConsecutiveMisses", 5, validator_index="0")
    thrice = alarm("ValidatorMissingRepeatedly", 5, validator_index="0")
    assert [check.holds for check in judged(twice, range(2, 4))] == [True]
    assert [check.holds for check in judged(thrice, range(2, 4))] == [False]
    assert [check.holds for check in judged(thrice, range(2, 5))] == [True]
    assert [check.holds for check in judged(thrice, range(2, 4), unknown=4)] == [True]
    assert [check.holds for check in judged(twice, range(0), unknown=4)] == [False]


def test_an_alarm_on_a_proposal_is_right_only_when_a_block_of_the_group_is_missing() -> None:
    # Slot 9, the duty of validator 1, has no block.
    assert [
        check.holds for check in judged(alarm("ValidatorProposalMissed", 5, group="alpha"), range(0))
    ] == [True]
    assert [
        check.holds for check in judged(alarm("ValidatorProposalMissed", 5, group="bravo"), range(0))
    ] == [False]
    assert [
        check.holds for check in judged(alarm("ValidatorProposalMissed", 1, group="alpha"), range(0))
    ] == [False]


def test_an_alarm_on_duties_is_right_only_when_a_key_of_the_group_got_less() -> None:
    worse = alarm("ValidatorGroupBelowNetwork", 5, group="alpha")
    assert [check.holds for check in judged(worse, range(3, 4))] == [True]
    assert [check.holds for check in judged(worse, range(0))] == [False]
    other = alarm("ValidatorGroupBelowNetwork", 5, group="bravo")
    assert [check.holds for check in judged(other, range(3, 4))] == [False]


def test_an_alarm_on_a_group_of_which_one_key_suffers_is_wrong() -> None:
    fired = alarm("ValidatorGroupNotEarning", 5, group="alpha")
    assert [check.holds for check in judged(fired, range(4, 6))] == [False]


def test_an_alarm_on_a_node_that_is_well_is_wrong() -> None:
    fired = alarm("ExecutionNodeDown", 5, instance="execution-1")
    assert [check.holds for check in judged(fired, range(0))] == [False]


def test_a_run_in_which_nothing_fired_fails() -> None:
    ledger = Ledger()
    compare_alarms(
        ledger.chapter("alarms"),
        dataclasses.replace(CHAIN, pairs=(PAIR, PAIR)),
        Past(truth(), ()),
        GROUPS,
        (),
    )
    assert len(ledger.failed()) == 3


def test_what_was_never_measured_holds_no_bar(tmp_path: Path) -> None:
    report = Ledger().write(tmp_path, "none", 1.0)
    assert {figure.name for figure in report.figures if not figure.holds} == {
        "checks",
        "detect_seconds",
        "resolve_seconds",
    }
    assert (tmp_path / "e2e" / "checks.json").read_text(encoding="utf-8") == "[]\n"
