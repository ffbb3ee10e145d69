"""The samples of groups and network that come from the ledger, a function for each section of the page."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from stakewatch.ethereum.clock import SlotClock
from stakewatch.ethereum.rewards import RewardSource
from stakewatch_exporter import families
from stakewatch_exporter.counters import AttestationCounters
from stakewatch_exporter.duty_book import ProposalResult
from stakewatch_exporter.epoch_result import Recent
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.families import Family
from stakewatch_exporter.figures import GroupFigures, missing
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.seats import seats_by_group

_WEI_PER_GWEI = 10**9


# ---- what a new state or result changes


def figure_samples(ledger: Ledger, figures: Mapping[str, GroupFigures], clock: SlotClock) -> Iterable[Sample]:
    """Return gauges of groups and network from the last reading and the last epoch's result.

    Which epoch they are of and what was set aside stand beside them: a page shows all of one moment.
    """
    if ledger.last_epoch is not None:
        yield Sample(families.LAST_PROCESSED_EPOCH, {}, ledger.last_epoch)
    for kind, number in ledger.corrections.items():
        yield Sample(families.CORRECTIONS, {"kind": kind}, number)
    yield Sample(families.EPOCHS_SKIPPED, {}, ledger.epochs_skipped)
    missed = missing(ledger) if ledger.book.settled is not None else {}
    for name, own in figures.items():
        labels = {"group": name}
        yield from _reading_samples(labels, own)
        for bound, number in missed.get(name, {}).items():
            yield Sample(families.VALIDATORS_MISSING, {**labels, "epochs": str(bound)}, number)
    yield from _expected_samples(ledger, figures, clock)
    yield from _seat_samples(ledger, clock)
    yield from _newest_samples(ledger)
    settled = ledger.book.settled
    if settled is not None and settled.network is not None and settled.network.balance:
        totals = settled.network
        for vote, balance in (
            ("source", totals.source_balance),
            ("target", totals.target_balance),
            ("head", totals.head_balance),
        ):
            yield Sample(families.NETWORK_PARTICIPATION, {"vote": vote}, balance / totals.balance)


def _reading_samples(labels: Mapping[str, str], own: GroupFigures) -> Iterable[Sample]:
    for status, number in own.statuses.items():
        yield Sample(families.VALIDATORS, {**labels, "status": status.value}, number)
    yield Sample(families.VALIDATORS_BALANCE, labels, own.balance)
    yield Sample(families.VALIDATORS_EFFECTIVE_BALANCE, labels, own.effective_balance)
    if own.earned is not None:
        yield Sample(families.VALIDATORS_EARNED, labels, own.earned)
    if own.not_earning is not None:
        yield Sample(families.VALIDATORS_NOT_EARNING, labels, own.not_earning)
    for reason, number in own.unexpected.items():
        yield Sample(families.VALIDATORS_UNEXPECTED, {**labels, "reason": reason.value}, number)


def _newest_samples(ledger: Ledger) -> Iterable[Sample]:
    latest = ledger.book.latest
    if latest is None:
        return
    for name, recent in (latest.recent or {}).items():
        if name in ledger.counters:
            yield from _recent_samples(families.ATTESTATIONS_RECENT[0], {"group": name}, recent)
    if latest.network_recent is not None:
        yield from _recent_samples(families.ATTESTATIONS_RECENT[1], {}, latest.network_recent)
    if latest.figures is not None:
        yield Sample(families.NETWORK_ACTIVE_VALIDATORS, {}, latest.figures.active_validators)
        yield Sample(families.NETWORK_ACTIVE_BALANCE, {}, latest.figures.active_balance)
        for queue, length in latest.figures.queues.items():
            yield Sample(families.NETWORK_QUEUE_LENGTH, {"queue": queue.value}, length)


def _recent_samples(family: Family, labels: Mapping[str, str], recent: Recent) -> Iterable[Sample]:
    for flags, number in vars(recent).items():
        yield Sample(family, {**labels, "flags": flags}, number)


def _expected_samples(
    ledger: Ledger, figures: Mapping[str, GroupFigures], clock: SlotClock
) -> Iterable[Sample]:
    book = ledger.book
    for name, own in figures.items():
        if own.active:
            seconds = clock.slots_per_epoch * clock.slot_seconds / own.active
            yield Sample(families.EXPECTED_SECONDS, {"group": name, "event": "attestation"}, seconds)
        share = book.shares.get(name, 0.0)
        if not share:
            continue
        yield Sample(
            families.EXPECTED_SECONDS, {"group": name, "event": "proposal"}, clock.slot_seconds / share
        )
        if book.seat_parameters is not None and book.seats:
            seats = len(next(iter(book.seats.values())))
            period = book.seat_parameters.epochs_per_period * clock.slots_per_epoch * clock.slot_seconds
            yield Sample(
                families.EXPECTED_SECONDS,
                {"group": name, "event": "sync_committee"},
                period / (seats * share),
            )


def _seat_samples(ledger: Ledger, clock: SlotClock) -> Iterable[Sample]:
    parameters = ledger.book.seat_parameters
    if parameters is None:
        return
    present = parameters.period(clock.epoch_of(ledger.tree.newest_slot))
    for label, period in (("current", present), ("next", present + 1)):
        seats = ledger.book.seats.get(period)
        if seats is None:
            continue
        held = seats_by_group(seats, ledger.membership)
        for name in ledger.counters:
            yield Sample(families.SYNC_COMMITTEE_SEATS, {"group": name, "period": label}, held.get(name, 0))


# ---- what settling changes


def counter_samples(ledger: Ledger) -> Iterable[Sample]:
    """Return the settled counters of groups and network."""
    for name, counters in ledger.counters.items():
        labels = {"group": name}
        yield Sample(families.WITHDRAWALS, labels, counters.withdrawals)
        yield Sample(families.DEPOSITS, labels, counters.deposits)
        yield Sample(families.VOLUNTARY_EXITS, labels, counters.voluntary_exits)
        yield Sample(families.CONSOLIDATIONS, labels, counters.consolidations)
        results = {"proposed": counters.proposed, "missed": counters.missed, "orphaned": counters.orphaned}
        for result, number in results.items():
            yield Sample(families.PROPOSALS, {**labels, "result": result}, number)
        yield Sample(families.PROPOSALS_EXPECTED, labels, counters.proposals_expected)
        yield Sample(families.PROPOSAL_CONSENSUS_REWARD, labels, counters.consensus_reward)
        for source in RewardSource:
            wei = counters.execution_wei[source]
            gwei = wei // _WEI_PER_GWEI if wei % _WEI_PER_GWEI == 0 else wei / _WEI_PER_GWEI
            yield Sample(families.PROPOSAL_EXECUTION_REWARD, {**labels, "source": source.value}, gwei)
        yield Sample(families.PROPOSAL_FEE_RECIPIENT_MISMATCH, labels, counters.fee_recipient_mismatches)
        yield from _attestation_samples(0, labels, counters.attestations)
        yield Sample(families.SYNC_COMMITTEE_DUTIES[0], {**labels, "result": "hit"}, counters.sync_hits)
        yield Sample(families.SYNC_COMMITTEE_DUTIES[0], {**labels, "result": "miss"}, counters.sync_misses)
        yield Sample(families.SYNC_COMMITTEE_REWARD, labels, counters.sync_reward)
        yield Sample(families.SYNC_COMMITTEE_PENALTY, labels, counters.sync_penalty)
    network = ledger.book.network
    results = {"proposed": network.proposed, "missed": network.missed, "orphaned": network.orphaned}
    for result, number in results.items():
        yield Sample(families.NETWORK_PROPOSALS, {"result": result}, number)
    yield from _attestation_samples(1, {}, network.attestations)
    yield Sample(families.SYNC_COMMITTEE_DUTIES[1], {"result": "hit"}, network.sync_hits)
    yield Sample(families.SYNC_COMMITTEE_DUTIES[1], {"result": "miss"}, network.sync_misses)
    yield Sample(families.NETWORK_SLASHINGS, {"kind": "proposer"}, network.proposer_slashings)
    yield Sample(families.NETWORK_SLASHINGS, {"kind": "attester"}, network.attester_slashings)


def _attestation_samples(
    twin: int, labels: Mapping[str, str], counters: AttestationCounters
) -> Iterable[Sample]:
    yield Sample(families.ATTESTATION_DUTIES[twin], labels, counters.duties)
    yield Sample(families.ATTESTATION_MISSED[twin], labels, counters.missed)
    votes = {
        ("source", "correct"): counters.source_correct,
        ("source", "wrong"): counters.source_wrong,
        ("target", "correct"): counters.target_correct,
        ("target", "wrong"): counters.target_wrong,
        ("head", "correct"): counters.head_correct,
        ("head", "wrong"): counters.head_wrong,
    }
    for (vote, result), number in votes.items():
        yield Sample(families.ATTESTATION_VOTES[twin], {**labels, "vote": vote, "result": result}, number)
    yield Sample(
        families.ATTESTATION_DISTANCE[twin], labels, counters.distance_sum, tuple(counters.distances)
    )
    yield Sample(families.ATTESTATION_REWARD[twin], labels, counters.reward)
    penalties = {
        "source": counters.source_penalty,
        "target": counters.target_penalty,
        "inactivity": counters.inactivity_penalty,
    }
    for kind, amount in penalties.items():
        yield Sample(families.ATTESTATION_PENALTY[twin], {**labels, "kind": kind}, amount)
    yield Sample(families.ATTESTATION_IDEAL_REWARD[twin], labels, counters.ideal_reward)


# ---- what a new block changes


def head_samples(ledger: Ledger, clock: SlotClock) -> Iterable[Sample]:
    """Return gauges of the last 64 slots, and of duties to come."""
    recent: dict[str, Counter[ProposalResult]] = {name: Counter() for name in ledger.counters}
    network: Counter[ProposalResult] = Counter()
    slashed: Counter[str] = Counter()
    for outcome in ledger.recent().values():
        network[outcome.result] += 1
        slashed["proposer"] += len(outcome.proposer_slashings)
        slashed["attester"] += len(outcome.attester_slashings)
        key = None if outcome.proposer is None else ledger.keys.by_index.get(outcome.proposer)
        if key is not None:
            recent[key.group][outcome.result] += 1
    for name, results in recent.items():
        for result in ProposalResult:
            yield Sample(families.PROPOSALS_RECENT, {"group": name, "result": result.value}, results[result])
    for result in ProposalResult:
        yield Sample(families.NETWORK_PROPOSALS_RECENT, {"result": result.value}, network[result])
    for kind in ("proposer", "attester"):
        yield Sample(families.NETWORK_SLASHINGS_RECENT, {"kind": kind}, slashed[kind])
    yield from _coming_samples(ledger, clock)


def _coming_samples(ledger: Ledger, clock: SlotClock) -> Iterable[Sample]:
    now = clock.slot_at(time.time())
    coming: dict[str, list[int]] = {name: [] for name in ledger.counters}
    for slot, index in ledger.upcoming.items():
        key = ledger.keys.by_index.get(index)
        if key is not None and slot > now:
            coming[key.group].append(slot)
    for name, slots in coming.items():
        yield Sample(families.PROPOSALS_UPCOMING, {"group": name}, len(slots))
        if slots:
            labels = {"group": name, "duty": "proposal"}
            yield Sample(families.NEXT_DUTY, labels, clock.start_of(min(slots)))
    parameters = ledger.book.seat_parameters
    if parameters is None:
        return
    present = parameters.period(clock.epoch_of(max(0, now)))
    first_of_next = clock.first_slot((present + 1) * parameters.epochs_per_period)
    seated = seats_by_group(ledger.book.seats.get(present, ()), ledger.membership)
    to_be_seated = seats_by_group(ledger.book.seats.get(present + 1, ()), ledger.membership)
    for name in ledger.counters:
        if seated.get(name):
            slot = now + 1
        elif to_be_seated.get(name):
            slot = first_of_next
        else:
            continue
        yield Sample(families.NEXT_DUTY, {"group": name, "duty": "sync_committee"}, clock.start_of(slot))
