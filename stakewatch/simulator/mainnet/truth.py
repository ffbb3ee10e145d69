"""What really happened on a large chain, by group and network, to compare an exporter's figures with."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.mainnet.blocks import Slot
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.rows import ValidatorRows
from stakewatch.simulator.mainnet.ssz import pending_deposits
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH

Figures = dict[str, int]
_NETWORK = "network"


def attestation_truth(chain: MainnetChain, epoch: int) -> dict[str, Figures]:
    """Return the figures of an epoch's attestations by group name, and of the network as `network`.

    Beside those of `AttestationTruth` there are seen_duties, seen_missed, seen_votes_source, ...: what blocks
    and committees alone show, where slashed validators count like others.
    Raises KeyError while the epoch after the next has not begun.
    """
    known = chain.attestations[epoch]
    found = {_NETWORK: dict(known.network)}
    found |= {group_name(number): dict(figures) for number, figures in enumerate(known.groups)}
    if epoch in chain.epochs:
        _add_seen(chain, found, epoch)
    return found


def slot_truth(
    chain: MainnetChain, first_slot: int, last_slot: int, first_epoch: int = 0
) -> dict[str, Figures]:
    """Return what the slots from first to last held, by group name, and of the network as `network`.

    proposed, missed, consensus_reward (gwei), withdrawals and deposits (gwei), exits, slashings, sync_hit,
    sync_miss, sync_reward and sync_penalty (gwei), and distance_1, ... of the votes in their blocks, of those
    whose duty was in `first_epoch` or later.
    """
    sums = {name: Counter[str]() for name in (_NETWORK, *map(group_name, range(chain.parameters.groups)))}
    for number in range(max(first_slot, chain.first_slot), last_slot + 1):
        slot = chain.slots[number]
        for index, name, amount in _moves(chain, slot):
            group = int(chain.registry.group[index])
            sums[_NETWORK][name] += amount
            if group >= 0:
                sums[group_name(group)][name] += amount
    found = {name: dict(counter) for name, counter in sums.items()}
    for epoch in range(first_slot // SLOTS_PER_EPOCH - 1, last_slot // SLOTS_PER_EPOCH + 1):
        if epoch not in chain.epochs or epoch < first_epoch:
            continue
        votes = chain.epochs[epoch].votes
        inside = (votes.included >= first_slot) & (votes.included <= last_slot)
        distances = np.where(inside, votes.included - votes.duty_slots(), 0)
        _add_distances(chain, found, votes.members, distances)
    return found


def validator_truth(chain: MainnetChain, slot: int) -> dict[str, Figures]:
    """Return the watched validators after a slot by group name: number by status, gwei they own and await."""
    rows = ValidatorRows(chain, slot)
    balances = chain.balances_at(slot)
    effective = chain.epochs[slot // SLOTS_PER_EPOCH].effective
    waiting = Counter[int]()
    for deposit in pending_deposits(chain, slot):
        waiting[int(chain.registry.group[deposit.validator_index])] += deposit.amount
    found: dict[str, Figures] = {}
    for group in range(chain.parameters.groups):
        own = chain.registry.watched[chain.registry.group[chain.registry.watched] == group]
        counts = Counter(rows.statuses(own))
        found[group_name(group)] = {
            **counts,
            "balance": int(balances[own].sum()),
            "pending": waiting[group],
            "effective_balance": int(effective[own].sum()) * 10**9,
        }
    return found


def group_name(number: int) -> str:
    """Return the name of a watched group."""
    return f"group-{number:03d}"


def _moves(chain: MainnetChain, slot: Slot) -> list[tuple[int, str, int]]:
    """Return what a slot adds to which figure of which validator."""
    proposer = slot.proposer_index
    if not slot.has_block:
        return [(proposer, "missed", 1)]
    moves = [(proposer, "proposed", 1), (proposer, "consensus_reward", slot.consensus_reward)]
    moves += [(one.validator_index, "withdrawals", one.amount) for one in slot.withdrawals]
    moves += [(index, "deposits", amount) for index, amount in slot.deposits]
    moves += [(one.validator_index, "slashings" if one.is_slashed else "exits", 1) for one in slot.leaves]
    for index, bit in zip(chain.sync_committee.tolist(), slot.sync_bits.tolist(), strict=True):
        moves.append((index, "sync_hit" if bit else "sync_miss", 1))
        moves.append((index, "sync_reward" if bit else "sync_penalty", slot.sync_reward_each))
    return moves


def _add_seen(chain: MainnetChain, found: dict[str, Figures], epoch: int) -> None:
    votes = chain.epochs[epoch].votes
    flags = votes.flags((epoch + 2) * SLOTS_PER_EPOCH - 1)
    groups = chain.registry.group[votes.members]
    columns = {"seen_duties": np.ones(len(flags), dtype=np.bool_), "seen_missed": flags == 0}
    for place, name in enumerate(("source", "target", "head")):
        columns[f"seen_votes_{name}"] = (flags >> place & 1).astype(np.bool_)
    for name, column in columns.items():
        found[_NETWORK][name] = int(column.sum())
        own = groups[column]
        counts = np.bincount(own[own >= 0], minlength=chain.parameters.groups)
        for number, count in enumerate(counts.tolist()):
            found[group_name(number)][name] = count


def _add_distances(
    chain: MainnetChain,
    found: dict[str, Figures],
    members: npt.NDArray[np.int32],
    distances: npt.NDArray[np.int64],
) -> None:
    groups = chain.registry.group[members]
    highest = 2 * SLOTS_PER_EPOCH
    table = np.zeros((chain.parameters.groups, highest), dtype=np.int64)
    ours = groups >= 0
    np.add.at(table, (groups[ours], distances[ours]), 1)
    everybody = np.bincount(distances, minlength=highest)
    for name, counts in [(_NETWORK, everybody), *((group_name(n), row) for n, row in enumerate(table))]:
        figures = found[name]
        for distance in range(1, highest):
            if counts[distance]:
                key = f"distance_{distance}"
                figures[key] = figures.get(key, 0) + int(counts[distance])
