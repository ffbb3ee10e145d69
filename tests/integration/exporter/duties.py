"""What the simulated chain knows of duties, in the shape of the exporter's counters: (seen, true) by name."""

from collections import Counter
from collections.abc import Collection, Mapping
from math import isqrt

import numpy as np

from stakewatch.simulator.chain import Chain
from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.ssz_state import participation

from .exporting import Page

BUCKETS = ("1", "2", "3", "4", "8", "16", "32", "+Inf")


def attestations(
    fleet: Fleet, page: Page, own: Collection[int] | None, epochs: range, **labels: str
) -> dict[str, tuple[float, float]]:
    """Return the counters of attestations of some validators, of all when None, over settled epochs."""
    chain = fleet.chain
    prefix = "stakewatch_" if own is not None else "stakewatch_network_"
    indices = list(range(chain.parameters.validators) if own is None else own)
    true: Counter[str] = Counter()
    for epoch in epochs:
        flags = participation(chain, epoch, chain.first_slot(epoch + 2) - 1)[indices]
        voted = flags != 0
        true["duties"] += len(indices)
        true["missed"] += int((~voted).sum())
        for bit, vote in enumerate(("source", "target", "head")):
            hit = flags >> bit & 1 == 1
            true[f"{vote} correct"] += int(hit.sum())
            true[f"{vote} wrong"] += int((voted & ~hit).sum())
        true["net"] += int(fleet.truth.attestation_deltas(epoch)[indices].sum())
    seen = {
        "duties": page.value(f"{prefix}attestation_duties_total", **labels),
        "missed": page.value(f"{prefix}attestation_missed_total", **labels),
        "net": page.value(f"{prefix}attestation_reward_gwei_total", **labels)
        - sum(page.values(f"{prefix}attestation_penalty_gwei_total", **labels)),
    }
    for vote in ("source", "target", "head"):
        for result in ("correct", "wrong"):
            name = f"{prefix}attestation_votes_total"
            seen[f"{vote} {result}"] = page.value(name, vote=vote, result=result, **labels)
    return {name: (value, true[name]) for name, value in seen.items()}


def distances(
    fleet: Fleet, page: Page, own: Collection[int] | None, slots: range, **labels: str
) -> dict[str, tuple[float, float]]:
    """Return the histogram of inclusions in the blocks of some slots, of attestations to slots among them."""
    chain = fleet.chain
    wanted = None if own is None else frozenset(own)
    found: Counter[int] = Counter()
    included: set[tuple[int, int]] = set()
    for slot in slots:
        block = chain.slots[slot].block
        for aggregate in block.aggregates if block else ():
            if aggregate.slot < slots.start - 1:
                continue
            epoch = chain.epoch_of(aggregate.slot)
            committees = chain.epochs[epoch].committees[aggregate.slot % chain.preset.slots_per_epoch]
            for member in committees[aggregate.committee][aggregate.bits].tolist():
                if (epoch, member) not in included and (wanted is None or member in wanted):
                    included.add((epoch, member))
                    found[slot - aggregate.slot] += 1
    name = "attestation_inclusion_distance_slots"
    name = f"stakewatch_{name}" if own is not None else f"stakewatch_network_{name}"
    pairs: dict[str, tuple[float, float]] = {
        bound: (
            page.value(f"{name}_bucket", le=bound, **labels),
            sum(number for distance, number in found.items() if distance <= float(bound)),
        )
        for bound in BUCKETS
    }
    pairs["sum"] = (
        page.value(f"{name}_sum", **labels),
        sum(distance * number for distance, number in found.items()),
    )
    return pairs


def seats(
    fleet: Fleet, page: Page, own: Collection[int] | None, slots: range, **labels: str
) -> dict[str, tuple[float, float]]:
    """Return the counters of sync committees over the blocks of some slots."""
    chain = fleet.chain
    true: Counter[str] = Counter()
    for slot in slots:
        block = chain.slots[slot].block
        if block is None:
            continue
        members = chain.epochs[chain.epoch_of(slot)].sync_committee
        ours = np.ones(len(members), dtype=np.bool_) if own is None else np.isin(members, list(own))
        hits, misses = int((ours & block.sync_bits).sum()), int((ours & ~block.sync_bits).sum())
        amount = _seat_reward(chain, slot)
        true.update(hit=hits, miss=misses, reward=hits * amount, penalty=misses * amount)
    prefix = "stakewatch_" if own is not None else "stakewatch_network_"
    seen = {
        result: page.value(f"{prefix}sync_committee_duties_total", result=result, **labels)
        for result in ("hit", "miss")
    }
    if own is not None:
        for kind in ("reward", "penalty"):
            seen[kind] = page.value(f"stakewatch_sync_committee_{kind}_gwei_total", **labels)
    return {name: (value, true[name]) for name, value in seen.items()}


def _seat_reward(chain: Chain, slot: int) -> int:
    """Return what a seat gets (altair, process_sync_aggregate), written down anew."""
    balance = chain.epochs[chain.epoch_of(slot)].active_balance
    gwei = 10**9
    per_increment = gwei * 64 // isqrt(balance)
    return (
        per_increment
        * (balance // gwei)
        * 2
        // 64
        // chain.preset.slots_per_epoch
        // chain.preset.sync_committee_size
    )


def wrong(pairs: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Return what is seen differently from the truth."""
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
