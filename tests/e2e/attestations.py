"""The attestation rewards that we compute from states, against what the chain did to every balance.

Between the last block of an epoch and the first of the next only two things move balances: the epoch's
transition, which pays the attestations of the epoch before, and that first block. What the block does to sync
committee and withdrawals is known exactly; only its proposer is left out, whose reward no node tells here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from stakewatch.ethereum.attestation_rewards import AttestationRewards, reward_parameters
from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.state_layout import fork_at, specification_number, state_layout
from stakewatch.ethereum.state_stream import BeaconState, StateReader
from tests.e2e.chain import Block, Validator
from tests.e2e.devnet import SLOTS_PER_EPOCH
from tests.e2e.earnings import History
from tests.e2e.installation import Group
from tests.e2e.ledger import Chapter
from tests.e2e.recording import Recording
from tests.e2e.scrape import Scrape

_MINIMUM_EPOCHS = 5
_GWEI = 10**9


@dataclass(frozen=True)
class Paid:
    """What the attestations of an epoch brought each key: computed, and seen on the chain where it can be."""

    epoch: int
    computed: tuple[int, ...]
    seen: Mapping[int, int]


def compare_attestations(
    chapter: Chapter,
    record: Recording,
    past: History,
    groups: tuple[Group, ...],
) -> None:
    """Record whether every key's computed reward is its change of balance, and the counters add them up."""
    paid = tuple(rewards(record, past))
    chapter.record("epochs compared", f">= {_MINIMUM_EPOCHS}", len(paid), holds=len(paid) >= _MINIMUM_EPOCHS)
    for one in paid:
        computed = {index: one.computed[index] for index in one.seen}
        chapter.equal(f"rewards of epoch {one.epoch} of {len(computed)} keys", dict(one.seen), computed)
    lost = sum(amount < 0 for one in paid for amount in one.computed)
    chapter.record("attestations that cost something", "> 0", lost, holds=lost > 0)
    for group in groups:
        _compare_counters(chapter, group, paid, record.scrapes[-1])


def rewards(record: Recording, past: History) -> Iterable[Paid]:
    """Yield epoch by epoch what attestations brought, computed and seen."""
    states = {
        slot: record.states[past.roots[slot]] for slot in past.blocks if past.roots[slot] in record.states
    }
    for before, after in pairwise(sorted(states)):
        epoch = after // SLOTS_PER_EPOCH
        if epoch != before // SLOTS_PER_EPOCH + 1 or epoch < 2 or past.roots[before] not in record.encoded:
            continue
        state = decoded(record, before, past.roots[before])
        found = AttestationRewards(state, reward_parameters(record.specification, state.fork))
        computed = found.of(np.arange(len(state.balances))).total.tolist()
        block = past.blocks[after]
        period = specification_number(record.specification, "EPOCHS_PER_SYNC_COMMITTEE_PERIOD")
        seats = state.next_sync_committee if epoch % period == 0 else state.current_sync_committee
        moved = _moved(block, seats, states[after])
        yield Paid(
            epoch - 2,
            tuple(computed),
            {
                index: states[after][index].balance - old.balance - moved.get(index, 0)
                for index, old in enumerate(states[before])
                if index != block.proposer
            },
        )


def decoded(record: Recording, slot: int, root: str) -> BeaconState:
    """Return the recorded state of a slot after a block. Raises StateError."""
    content = record.encoded[root]
    values = record.specification
    reader = StateReader(
        state_layout(values, fork_at(values, slot // SLOTS_PER_EPOCH)),
        slot=slot,
        genesis_validators_root=bytes.fromhex(record.genesis_validators_root[2:]),
        content_length=len(content),
        keys=KeyIndices(frozenset(), MappingProxyType({}), 0),
    )
    reader.feed(content)
    return reader.finish()


def _moved(block: Block, seats: npt.NDArray[np.uint8], validators: tuple[Validator, ...]) -> dict[int, int]:
    """Return what the first block of an epoch did to balances, but its proposer's reward."""
    moved = {index: -amount for index, amount in block.withdrawals.items()}
    active = sum(one.effective_balance for one in validators if one.status.startswith("active"))
    per_increment = _GWEI * 64 // isqrt(active)
    amount = per_increment * (active // _GWEI) * 2 // 64 // SLOTS_PER_EPOCH // len(seats)
    index_of = {one.public_key: one.index for one in validators}
    bits = np.unpackbits(np.frombuffer(block.sync_bits, dtype=np.uint8), bitorder="little")
    for seat, bit in zip(seats, bits, strict=True):
        index = index_of["0x" + seat.tobytes().hex()]
        moved[index] = moved.get(index, 0) + (amount if bit else -amount)
    return moved


def _compare_counters(chapter: Chapter, group: Group, paid: tuple[Paid, ...], page: Scrape) -> None:
    """Record whether a group's counters are the sum of its keys over as many epochs as they have counted."""
    duties = page.value("stakewatch_attestation_duties_total", group=group.name) or 0.0
    reward = page.value("stakewatch_attestation_reward_gwei_total", group=group.name) or 0.0
    penalties = page.by("group", "stakewatch_attestation_penalty_gwei_total", group=group.name)
    epochs = round(duties / len(group.indices))
    by_epoch = [sum(one.computed[index] for index in group.indices) for one in paid]
    sums = [sum(by_epoch[first : first + epochs]) for first in range(len(by_epoch) - epochs + 1)]
    net = int(reward - penalties.get(group.name, 0.0))
    chapter.record(
        f"counters of {group.name} over {epochs} epochs",
        f"one of {sums}",
        net,
        holds=epochs > 0 and net in sums,
    )
