"""What the exporter says of keys and proposals over the whole run, against what the chain recorded.

The exporter's figures of one moment belong to one height, which it need not tell. So each set of figures is
looked up among the chain's heights: it is right when all keys agree with the chain at one height, and when
those heights go on from one set to the next. A reorganisation may take a height's block back later.
"""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.e2e.chain import WEI_PER_GWEI, Block, balance_wei, tips_wei
from tests.e2e.devnet import SECONDS_PER_SLOT, SLOTS_PER_EPOCH, Devnet, Pair
from tests.e2e.installation import Group
from tests.e2e.ledger import Chapter
from tests.e2e.recording import Recording
from tests.e2e.scrape import Scrape

_MINIMUM_EPOCHS = 5
# A figure of an epoch is there at its end; one more epoch for the exporter to ask and to settle.
_LARGEST_AGE_SLOTS = 3 * SLOTS_PER_EPOCH

Figures = tuple[int, ...]


@dataclass(frozen=True)
class Height:
    """Gwei of all keys after a block that was the head for a while, and is not on the chain."""

    slot: int
    balances: Figures
    income: Figures


@dataclass(frozen=True)
class History:
    """The canonical chain of the run: blocks by slot, gwei by slot and key, tips in gwei by slot.

    `roots` has the blocks' roots by slot, `orphans` what stood beside the chain.
    """

    blocks: Mapping[int, Block]
    proposers: Mapping[int, int]
    balances: Mapping[int, Figures]
    effective: Mapping[int, Figures]
    income: Mapping[int, Figures]
    withdrawn: Mapping[int, Figures]
    tips: Mapping[int, int]
    roots: Mapping[int, str]
    orphans: tuple[Height, ...] = ()


def history(pair: Pair, record: Recording) -> History:
    """Return the chain of the run as it was noted; only tips are asked for now."""
    roots = record.canonical()
    count = len(next(iter(record.states.values())))
    withdrawn_by_root: dict[str, Figures] = {}
    for header in sorted(record.headers.values(), key=lambda header: header.slot):
        before = withdrawn_by_root.get(header.parent_root, (0,) * count)
        block = record.blocks.get(header.root)
        taken = {} if block is None else block.withdrawals
        withdrawn_by_root[header.root] = tuple(
            amount + taken.get(index, 0) for index, amount in enumerate(before)
        )
    withdrawn: dict[int, Figures] = {}
    figures = (0,) * count
    for slot in range(max(roots) + 1):
        figures = withdrawn_by_root[roots[slot]] if slot in roots else figures
        withdrawn[slot] = figures
    blocks = {slot: record.blocks[root] for slot, root in roots.items() if root in record.blocks}
    states = {slot: record.states[root] for slot, root in roots.items() if root in record.states}
    balances = {slot: tuple(key.balance for key in keys) for slot, keys in states.items()}
    return History(
        blocks=blocks,
        proposers=record.proposers,
        balances=balances,
        effective={slot: tuple(key.effective_balance for key in keys) for slot, keys in states.items()},
        income={slot: _sum(figures, withdrawn[slot]) for slot, figures in balances.items()},
        withdrawn=withdrawn,
        tips={slot: tips_wei(pair, block) // WEI_PER_GWEI for slot, block in blocks.items()},
        roots=roots,
        orphans=tuple(
            _height(record, root, withdrawn_by_root[root])
            for root in record.states
            if root not in roots.values()
        ),
    )


def _height(record: Recording, root: str, withdrawn: Figures) -> Height:
    balances = tuple(key.balance for key in record.states[root])
    return Height(record.headers[root].slot, balances, _sum(balances, withdrawn))


def compare_keys(
    chapter: Chapter,
    chain: Devnet,
    record: Recording,
    past: History,
    groups: tuple[Group, ...],
) -> None:
    """Record whether balances and earned gwei of every key and group agree with the chain, epoch by epoch."""
    keys = len(next(iter(past.balances.values())))
    pages = record.scrapes
    balances = _changes(pages, "stakewatch_validator_balance_gwei", keys)
    orphaned = [(height.slot, height.balances) for height in past.orphans]
    _compare_heights(chapter, "balance", chain, balances, _heights((*past.balances.items(), *orphaned)))
    earned = _changes(pages, "stakewatch_validator_earned_gwei", keys)
    base = _base_slot(past, [figures for _, figures in earned])
    chapter.record("earned gwei count from one slot on", "a slot", base, holds=base is not None and base >= 0)
    if base is not None:
        since = _since(past, base)
        _compare_heights(chapter, "earned", chain, earned, _heights(since))
    for group in groups:
        _compare_group(chapter, group, pages)
    _compare_effective(chapter, past, groups, pages[-1])
    _compare_withdrawals(chapter, past, groups, pages)


def _changes(pages: Iterable[Scrape], metric: str, keys: int) -> list[tuple[float, Figures]]:
    """Return each new set of figures of all keys with the time at which it was first seen."""
    found: list[tuple[float, Figures]] = []
    for page in pages:
        values = page.by("validator_index", metric)
        if not values:
            continue
        figures = tuple(int(values.get(str(index), -1)) for index in range(keys))
        if not found or found[-1][1] != figures:
            found.append((page.at, figures))
    return found


def _heights(figures: Iterable[tuple[int, Figures]]) -> dict[Figures, list[int]]:
    """Return the slots by figures."""
    found: dict[Figures, list[int]] = {}
    for slot, values in figures:
        found.setdefault(values, []).append(slot)
    return found


def _base_slot(past: History, earned: list[Figures]) -> int | None:
    """Return the slot from which on earned gwei are counted: that at which most sets agree with the chain."""
    best: tuple[int, int] | None = None
    for base in past.income:
        since = {figures for _, figures in _since(past, base)}
        agreeing = sum(figures in since for figures in earned)
        if agreeing and (best is None or agreeing > best[0]):
            best = (agreeing, base)
    return None if best is None else best[1]


def _since(past: History, base: int) -> list[tuple[int, Figures]]:
    """Return by slot what the keys earned since a slot, orphaned blocks' figures among them."""
    heights = (*past.income.items(), *((height.slot, height.income) for height in past.orphans))
    return [(slot, _difference(figures, past.income[base])) for slot, figures in heights if slot >= base]


def _compare_heights(
    chapter: Chapter,
    what: str,
    chain: Devnet,
    seen: list[tuple[float, Figures]],
    heights: Mapping[Figures, list[int]],
) -> None:
    slots: list[int] = []
    for number, (at, figures) in enumerate(seen, start=1):
        # Before genesis a node shows the genesis state, slot 0.
        clock = max(0, int((at - chain.genesis_time) // SECONDS_PER_SLOT))
        found = [slot for slot in heights.get(figures, ()) if slot <= clock]
        slot = max(found, default=None)
        chapter.record(
            f"{what} of {len(figures)} keys, set {number}",
            f"the chain's at one slot of the last {_LARGEST_AGE_SLOTS} before {clock}",
            _nearest(figures, heights) if slot is None else f"slot {slot}",
            holds=slot is not None and clock - slot <= _LARGEST_AGE_SLOTS,
        )
        if slot is not None:
            slots.append(slot)
    epochs = [slot // SLOTS_PER_EPOCH for slot in slots]
    expected = list(range(epochs[0], epochs[-1] + 1)) if epochs else []
    chapter.equal(f"epochs for which the {what} of all keys was shown", expected, sorted(set(epochs)))
    chapter.record(
        f"epochs compared by {what}",
        f"at least {_MINIMUM_EPOCHS}",
        len(set(epochs)),
        holds=len(set(epochs)) >= _MINIMUM_EPOCHS,
    )


def _nearest(figures: Figures, heights: Mapping[Figures, list[int]]) -> str:
    """Say at which slot most keys agree and by how many gwei the others differ."""
    nearest = max(heights, key=lambda truth: sum(map(operator.eq, truth, figures)), default=())
    wrong = {
        index: seen - right
        for index, (seen, right) in enumerate(zip(figures, nearest, strict=True))
        if seen != right
    }
    return f"no slot; at slot {heights[nearest]} these keys differ by gwei: {wrong}"


def _compare_group(
    chapter: Chapter,
    group: Group,
    pages: list[Scrape],
) -> None:
    for of_group, of_key in (
        ("stakewatch_validators_balance_gwei", "stakewatch_validator_balance_gwei"),
        ("stakewatch_validators_earned_gwei", "stakewatch_validator_earned_gwei"),
    ):
        shown = [page for page in pages if page.value(of_group, group=group.name) is not None]
        wrong = [
            page.at
            for page in shown
            if page.value(of_group, group=group.name)
            != sum(page.by("pubkey", of_key, group=group.name).values())
        ]
        name = f"{of_group} of {group.name} is the sum of its keys'"
        chapter.record(
            name,
            "on every page",
            f"on {len(shown) - len(wrong)} of {len(shown)}",
            holds=bool(shown) and not wrong,
        )
    last = pages[-1]
    chapter.equal(
        f"keys of {group.name} by status",
        {"active_ongoing": len(group.indices)},
        {
            status: int(count)
            for status, count in last.by("status", "stakewatch_validators", group=group.name).items()
            if count
        },
    )
    active = last.by("validator_index", "stakewatch_validator_active", group=group.name)
    chapter.equal(f"active keys of {group.name}", {str(index): 1.0 for index in group.indices}, active)


def _compare_effective(
    chapter: Chapter,
    past: History,
    groups: tuple[Group, ...],
    page: Scrape,
) -> None:
    newest = past.effective[max(past.effective)]
    for group in groups:
        seen = page.value("stakewatch_validators_effective_balance_gwei", group=group.name)
        expected = sum(newest[index] for index in group.indices)
        chapter.equal(f"effective balance of {group.name}", expected, seen)


def _compare_withdrawals(
    chapter: Chapter,
    past: History,
    groups: tuple[Group, ...],
    pages: list[Scrape],
) -> None:
    # The exporter counts from the start of the epoch in which it was started.
    by_slot = {
        tuple(
            sum(figures[index] - past.withdrawn[start][index] for index in group.indices) for group in groups
        ): slot
        for start in range(0, _LARGEST_AGE_SLOTS, SLOTS_PER_EPOCH)
        for slot, figures in past.withdrawn.items()
        if slot > start
    }
    metric = "stakewatch_withdrawals_gwei_total"
    seen = tuple(int(pages[-1].value(metric, group=group.name) or 0) for group in groups)
    chapter.record(
        "withdrawn gwei of all groups",
        "the chain's up to one slot, and some",
        f"{seen} = up to slot {by_slot.get(seen)}",
        holds=seen in by_slot and sum(seen) > 0,
    )


def compare_proposals(
    chapter: Chapter,
    past: History,
    groups: tuple[Group, ...],
    pages: list[Scrape],
) -> None:
    """Record whether settled proposals and their rewards of every group agree with the chain."""
    page = pages[-1]
    seen = tuple(
        (
            int(page.value("stakewatch_proposals_total", group=group.name, result="proposed") or 0),
            int(page.value("stakewatch_proposals_total", group=group.name, result="missed") or 0),
            int(
                sum(
                    page.by(
                        "source", "stakewatch_proposal_execution_reward_gwei_total", group=group.name
                    ).values()
                )
            ),
        )
        for group in groups
    )
    # The exporter counts from the start of the epoch in which it was started.
    matches = {
        slot: totals
        for start in range(0, _LARGEST_AGE_SLOTS, SLOTS_PER_EPOCH)
        for slot, totals in _proposals_by_slot(past, groups, start).items()
        if _counts(totals) == _counts(seen)
    }
    settled = max(matches, key=lambda slot: matches[slot] == seen, default=None)
    finalized = int(page.value("stakewatch_beacon_finalized_epoch", instance=groups[0].pair.beacon) or 0)
    chapter.record(
        "proposed and missed of all groups",
        f"the chain's up to one slot, at least the start of epoch {finalized - 1}",
        f"{_counts(seen)} = up to slot {settled}",
        holds=settled is not None and settled >= (finalized - 1) * SLOTS_PER_EPOCH,
    )
    if settled is not None:
        chapter.equal(f"execution gwei of all groups up to slot {settled}", matches[settled], seen)
    for group, (proposed, _, reward) in zip(groups, seen, strict=True):
        chapter.record(
            f"{group.name} proposed and earned tips",
            "some",
            (proposed, reward),
            holds=min(proposed, reward) > 0,
        )
        local = page.value(
            "stakewatch_proposal_execution_reward_gwei_total", group=group.name, source="local"
        )
        chapter.equal(f"all execution gwei of {group.name} are of local blocks", reward, int(local or 0))
        wrong = page.value("stakewatch_proposal_fee_recipient_mismatch_total", group=group.name)
        chapter.equal(f"wrong fee recipients of {group.name}", 0, int(wrong or 0))
        # This version of Lodestar has no endpoint for it, and what is not known must not be made up.
        consensus = page.value("stakewatch_proposal_consensus_reward_gwei_total", group=group.name)
        chapter.equal(f"consensus rewards of {group.name}, which nobody told", 0, int(consensus or 0))


Proposals = tuple[tuple[int, int, int], ...]


def _counts(proposals: Proposals) -> tuple[tuple[int, int], ...]:
    return tuple((proposed, missed) for proposed, missed, _ in proposals)


def _proposals_by_slot(past: History, groups: tuple[Group, ...], start: int) -> dict[int, Proposals]:
    """Return proposed, missed and execution gwei of each group from a slot on, up to each later slot."""
    truth: dict[int, Proposals] = {}
    totals = {group.name: (0, 0, 0) for group in groups}
    for slot in range(start + 1, max(past.proposers) + 1):
        proposer = past.proposers.get(slot)
        if proposer is None:
            return {}
        name = next(group.name for group in groups if proposer in group.indices)
        proposed, missed, reward = totals[name]
        if slot in past.blocks:
            totals[name] = (proposed + 1, missed, reward + past.tips[slot])
        else:
            totals[name] = (proposed, missed + 1, reward)
        truth[slot] = tuple(totals[group.name] for group in groups)
    return truth


def compare_fee_recipients(
    chapter: Chapter,
    past: History,
    pairs: tuple[Pair, ...],
) -> None:
    """Record that tips by receipts, which rewards are compared with, are what the accounts received."""
    last = max(past.blocks)
    for pair in pairs:
        paid = sum(
            past.tips[slot] for slot, block in past.blocks.items() if block.proposer in pair.key_indices
        )
        received = balance_wei(pairs[0], pair.fee_recipient, past.blocks[last].execution_number)
        chapter.equal(
            f"gwei that the fee recipient of {pair.validators} received",
            received // WEI_PER_GWEI,
            paid,
        )
        others = {
            block.fee_recipient for block in past.blocks.values() if block.proposer in pair.key_indices
        } - {pair.fee_recipient}
        chapter.equal(f"other fee recipients of {pair.validators}", set(), others)


def _sum(one: Figures, other: Figures) -> Figures:
    return tuple(left + right for left, right in zip(one, other, strict=True))


def _difference(one: Figures, other: Figures) -> Figures:
    return tuple(left - right for left, right in zip(one, other, strict=True))
