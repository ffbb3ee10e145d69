"""The exporter against a chain whose every figure is known, over sweeps, deposits, misses and a restart."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stakewatch.catalogue.contract import load_contract
from stakewatch.simulator.chain import Result
from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, Group, ValidatorClient

from . import duties
from .exporting import Exporter, Page, configured, exporting

ROOT = Path(__file__).parents[3]
EPOCHS_BEFORE_RESTART = 3
EPOCHS_AFTER_RESTART = 3
# Keys that stop attesting; they are the last ones of bravo.
OFFLINE = 3

PLAN = FleetPlan(
    beacon_nodes=(
        BeaconNode("beacon-1", "lighthouse", "execution-1", "machine-1"),
        BeaconNode("beacon-2", "lodestar", "execution-2", "machine-1"),
    ),
    execution_nodes=(
        ExecutionNode("execution-1", "geth", "machine-1"),
        ExecutionNode("execution-2", "besu", "machine-1"),
    ),
    validator_clients=(ValidatorClient("validators-1", "lighthouse", ("beacon-1", "beacon-2"), "machine-1"),),
    groups=(Group("alpha", "validators-1", 60), Group("bravo", "validators-1", 20)),
    validators=128,
)


@dataclass(frozen=True)
class Observed:
    """What the exporter showed at the end, and what was true; by group where it is a mapping."""

    page: Page
    earned_by_key: Mapping[int, tuple[int, int]]
    settled: Mapping[str, Mapping[str, tuple[float, float]]]
    not_earning: tuple[int, ...]
    offenders: Mapping[str, object]
    epochs: int
    duties: Mapping[str, Mapping[str, tuple[float, float]]]
    settled_epochs: int
    log: str


async def _epochs_on(exporter: Exporter, number: int) -> None:
    page = await exporter.wait_for(
        "a first state", lambda page: bool(page.values("stakewatch_last_processed_epoch"))
    )
    until = page.value("stakewatch_last_processed_epoch") + number
    await exporter.wait_for(
        f"the state of epoch {until:.0f}",
        lambda page: page.value("stakewatch_last_processed_epoch") >= until,
        60,
    )


async def _observe(fork: str, folder: Path) -> Observed:
    plan = replace_fork(fork)
    async with Fleet(plan) as fleet:
        configuration = configured(fleet, state_file=folder / "state.json")
        last = max(plan.indices("bravo")) + 1
        async with exporting(configuration) as exporter:
            page = await exporter.wait_for(
                "a first state", lambda page: bool(page.values("stakewatch_last_processed_epoch"))
            )
            began = int(page.value("stakewatch_last_processed_epoch"))
            first_slot = fleet.chain.first_slot(began)
            fleet.chain.deposit(5, 2 * 10**9)
            await fleet.inject("withdrawal_sweep")
            await fleet.inject("missed_proposal", group="alpha")
            await fleet.inject("keys_offline", indices=list(range(last - OFFLINE, last)))
            await _epochs_on(exporter, EPOCHS_BEFORE_RESTART)
        await asyncio.sleep(1.5)
        async with exporting(configuration) as exporter:
            await fleet.inject("orphaned_proposal", group="alpha")
            await _epochs_on(exporter, EPOCHS_AFTER_RESTART)
            # What is settled now must be paid: the rewards of the last blocks may be on their way.
            await asyncio.sleep(1.0)
            service = exporter.service
            assert service.follower is not None
            ledger = service.follower.ledger
            assert ledger is not None
            page = await exporter.page()
            _, offenders = await exporter.text("/offenders")
            last_slot = ledger.tree.anchor.slot
            epoch = ledger.readings[-1].epoch
            assert ledger.book.settled is not None
            epochs = range(began - 1, ledger.book.settled.epoch + 1)
            slots = range(first_slot + 1, last_slot + 1)
            earned = fleet.truth.earned_by_all(began, epoch)
            seen = {index: account.earned for index, account in ledger.accounts.items()}
            assert ledger.last_epoch == page.value("stakewatch_last_processed_epoch")
            return Observed(
                page=page,
                earned_by_key={index: (seen[index], int(earned[index])) for index in range(plan.keys)},
                settled={
                    group.name: _settled(fleet, page, group.name, first_slot + 1, last_slot)
                    for group in plan.groups
                },
                not_earning=fleet.truth.not_earning(range(plan.keys), epoch),
                offenders=json.loads(offenders),
                epochs=epoch - began,
                settled_epochs=len(epochs),
                duties={
                    f"{kind} of {name or 'the network'}": known(
                        fleet, page, own, range_of, **({} if own is None else {"group": name})
                    )
                    for name, own in (
                        ("", None),
                        *((group.name, plan.indices(group.name)) for group in plan.groups),
                    )
                    for kind, known, range_of in (
                        ("attestations", duties.attestations, epochs),
                        ("distances", duties.distances, slots),
                        ("seats", duties.seats, slots),
                    )
                },
                log=exporter.logged.getvalue(),
            )


def replace_fork(fork: str) -> FleetPlan:
    """Return the plan on a chain of another fork."""
    return FleetPlan(
        beacon_nodes=PLAN.beacon_nodes,
        execution_nodes=PLAN.execution_nodes,
        validator_clients=PLAN.validator_clients,
        groups=PLAN.groups,
        validators=PLAN.validators,
        fork="electra" if fork == "electra" else "deneb",
    )


def _settled(
    fleet: Fleet, page: Page, group: str, first_slot: int, last_slot: int
) -> dict[str, tuple[float, float]]:
    """Return (seen, true) of the counters of a group."""
    own = fleet.plan.indices(group)
    proposals = fleet.truth.proposals(first_slot, last_slot, own)
    results = Counter(proposal.result for proposal in proposals)
    wei = Counter[str]()
    for proposal in proposals:
        if proposal.source is not None:
            wei[proposal.source.value] += proposal.execution_reward
    withdrawn = fleet.truth.withdrawn(first_slot - 1, last_slot)[list(own)].sum()

    def seen(name: str, **labels: str) -> float:
        return page.value(f"stakewatch_{name}", group=group, **labels)

    reward = "proposal_execution_reward_gwei_total"
    return {
        "withdrawals": (seen("withdrawals_gwei_total"), int(withdrawn)),
        "proposed": (seen("proposals_total", result="proposed"), results[Result.PROPOSED]),
        "missed": (seen("proposals_total", result="missed"), results[Result.MISSED]),
        "orphaned": (seen("proposals_total", result="orphaned"), results[Result.ORPHANED]),
        "consensus": (
            seen("proposal_consensus_reward_gwei_total"),
            sum(proposal.consensus_reward for proposal in proposals),
        ),
        "local": (seen(reward, source="local"), wei["local"] / 10**9),
        "builder": (seen(reward, source="builder"), wei["builder"] / 10**9),
        "unknown": (seen(reward, source="unknown"), 0),
        "mismatches": (seen("proposal_fee_recipient_mismatch_total"), 0),
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Observed]:
    """Run both forks side by side."""

    async def both() -> list[Observed]:
        return await asyncio.gather(
            *(_observe(fork, tmp_path_factory.mktemp(fork)) for fork in ("deneb", "electra"))
        )

    deneb, electra = asyncio.run(both())
    return {"deneb": deneb, "electra": electra}


@pytest.fixture(params=["deneb", "electra"])
def observed(request: pytest.FixtureRequest, runs: Mapping[str, Observed]) -> Observed:
    return runs[str(request.param)]


def test_what_each_key_earned_over_all_epochs_is_exact(observed: Observed) -> None:
    assert observed.epochs >= EPOCHS_BEFORE_RESTART + EPOCHS_AFTER_RESTART
    wrong = {index: pair for index, pair in observed.earned_by_key.items() if pair[0] != pair[1]}
    assert wrong == {}
    assert any(true < 0 for _, true in observed.earned_by_key.values())
    assert any(true > 0 for _, true in observed.earned_by_key.values())


def test_each_key_shows_what_its_book_says(observed: Observed) -> None:
    for index, (seen, _) in observed.earned_by_key.items():
        shown = observed.page.value("stakewatch_validator_earned_gwei", validator_index=str(index))
        assert shown == seen
        assert observed.page.value("stakewatch_validator_active", validator_index=str(index)) == 1


def test_a_group_earned_what_its_keys_earned(observed: Observed) -> None:
    for group in PLAN.groups:
        total = sum(observed.earned_by_key[index][1] for index in PLAN.indices(group.name))
        assert observed.page.value("stakewatch_validators_earned_gwei", group=group.name) == total


@pytest.mark.parametrize("group", ["alpha", "bravo"])
@pytest.mark.parametrize(
    "figure",
    [
        "withdrawals",
        "proposed",
        "missed",
        "orphaned",
        "consensus",
        "local",
        "builder",
        "unknown",
        "mismatches",
    ],
)
def test_settled_counters_are_exact_over_a_restart(observed: Observed, group: str, figure: str) -> None:
    seen, true = observed.settled[group][figure]
    assert seen == pytest.approx(true, rel=1e-12)


@pytest.mark.parametrize("whose", ["alpha", "bravo", "the network"])
@pytest.mark.parametrize("kind", ["attestations", "distances", "seats"])
def test_duties_are_exact_over_a_restart(observed: Observed, kind: str, whose: str) -> None:
    assert duties.wrong(observed.duties[f"{kind} of {whose}"]) == {}


def test_duties_were_settled_of_many_epochs_with_and_without_misses(observed: Observed) -> None:
    assert observed.settled_epochs > EPOCHS_BEFORE_RESTART
    assert observed.duties["attestations of alpha"]["missed"][1] == 0
    assert observed.duties["attestations of bravo"]["missed"][1] > 0
    assert observed.duties["attestations of the network"]["head wrong"][1] > 0
    assert observed.duties["seats of the network"]["hit"][1] > 0


def test_the_best_tier_is_in_use(observed: Observed) -> None:
    assert observed.page.value("stakewatch_source_tier", tier="ssz") == 1
    assert sum(observed.page.values("stakewatch_source_tier")) == 1


def test_keys_that_miss_are_told_with_how_often(observed: Observed) -> None:
    misses = observed.page.values("stakewatch_validator_consecutive_misses", group="bravo")
    assert len(misses) == OFFLINE
    assert observed.page.values("stakewatch_validator_consecutive_misses", group="alpha") == []
    for bound in ("1", "2"):
        shown = observed.page.value("stakewatch_validators_missing", group="bravo", epochs=bound)
        assert shown == OFFLINE


def test_the_network_is_described(observed: Observed) -> None:
    assert observed.page.value("stakewatch_network_active_validators") == PLAN.validators
    balance = observed.page.value("stakewatch_network_active_balance_gwei")
    assert 31 * 10**9 * PLAN.validators < balance <= 32 * 10**9 * PLAN.validators
    for vote in ("source", "target", "head"):
        assert 0.9 < observed.page.value("stakewatch_network_participation_ratio", vote=vote) < 1


def test_the_scenario_had_what_it_is_about(observed: Observed) -> None:
    alpha = observed.settled["alpha"]
    assert alpha["withdrawals"][1] > 0
    assert alpha["proposed"][1] > 0
    assert alpha["missed"][1] > 0
    assert alpha["consensus"][1] > 0
    assert alpha["local"][1] + alpha["builder"][1] > 0


def test_the_deposit_is_counted_as_one(observed: Observed) -> None:
    assert observed.page.value("stakewatch_deposits_gwei_total", group="alpha") == 2 * 10**9


def test_who_earns_nothing_is_told(observed: Observed) -> None:
    bravo = PLAN.indices("bravo")
    true = [index for index in observed.not_earning if index in bravo]
    assert len(true) >= OFFLINE
    assert observed.page.value("stakewatch_validators_not_earning", group="bravo") == len(true)


def test_the_offenders_are_those_who_earn_nothing(observed: Observed) -> None:
    listed = observed.offenders["not_earning"]
    assert isinstance(listed, list)
    assert {offender["validator_index"] for offender in listed} == set(observed.not_earning)
    assert {offender["group"] for offender in listed} <= {group.name for group in PLAN.groups}
    assert all(offender["pubkey"].startswith("0x") and offender["why"] for offender in listed)
    assert observed.offenders["cut"] == 0


def test_nothing_was_corrected_or_skipped(observed: Observed) -> None:
    assert observed.page.value("stakewatch_epochs_skipped_total") == 0
    assert set(observed.page.values("stakewatch_corrections_total")) == {0.0}
    assert "unexpected_error" not in observed.log


def test_the_page_keeps_to_the_contract(observed: Observed) -> None:
    families = load_contract(ROOT / "catalogue" / "exporter-metrics.yaml").families
    for name, labels, _ in observed.page.samples:
        base = name
        if name not in families:
            base = name.rpartition("_")[0]
            assert families[base].type == "histogram", name
        family = families[base]
        own = {label for label in labels if label != "le"}
        extra = own - set(family.labels)
        assert set(family.labels) <= own, name
        assert all(label.startswith(family.label_prefixes) for label in extra), (name, extra)
        for label, allowed in family.labels.items():
            assert allowed is None or labels[label] in allowed, (name, label, labels[label])


def test_every_value_of_an_enumerated_label_is_there(observed: Observed) -> None:
    families = load_contract(ROOT / "catalogue" / "exporter-metrics.yaml").families
    left_out = {
        # Whoever sits in the sync committee by chance.
        "stakewatch_next_duty_timestamp_seconds": {"sync_committee", "proposal"},
        # Nothing is observed and no keymanager is asked in this half of the exporter; roles differ by client.
        "stakewatch_topology_active": {"observed"},
        "stakewatch_last_update_timestamp_seconds": {"keymanagers"},
    }
    names = {name for name, _, _ in observed.page.samples}
    for name in names & set(families):
        for label, allowed in families[name].labels.items():
            if allowed is not None:
                seen = {labels[label] for found, labels, _ in observed.page.samples if found == name}
                assert seen <= set(allowed), (name, label)
                assert set(allowed) - seen <= left_out.get(name, set()), (name, label)


def test_times_are_of_today(observed: Observed) -> None:
    for source in ("nodes", "slots", "state"):
        at = observed.page.value("stakewatch_last_update_timestamp_seconds", source=source)
        assert 0 <= time.time() - at < 600
