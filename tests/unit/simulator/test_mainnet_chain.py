"""A chain of mainnet's form obeys the specification: what it serves leads to the truth that it tells."""

from functools import lru_cache

import msgspec
import numpy as np
import pytest

from stakewatch.ethereum.attestation_rewards import AttestationRewards, AttestationTotals, reward_parameters
from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.state_layout import state_layout
from stakewatch.ethereum.state_stream import BeaconState, StateReader
from stakewatch.simulator.mainnet import block_json, rows
from stakewatch.simulator.mainnet.api import FORK, MainnetApi
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.registry import MainnetParameters
from stakewatch.simulator.mainnet.ssz import state_pieces
from stakewatch.simulator.mainnet.truth import attestation_truth, group_name, slot_truth, validator_truth
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH

PARAMETERS = MainnetParameters(
    validators=25_000, active=12_000, watched=300, groups=4, epochs=5, missed_proposal_ratio=0.1
)


@lru_cache(1)
def chain() -> MainnetChain:
    return MainnetChain(PARAMETERS)


def specification() -> dict[str, str]:
    return MainnetApi(chain(), seconds_per_slot=12, epochs_past=1).specification


def state_of(slot: int) -> BeaconState:
    length, pieces = state_pieces(chain(), slot, 1_700_000_000)
    keys = frozenset(bytes.fromhex(key[2:]) for key in chain().registry.index_of)
    reader = StateReader(
        state_layout(specification(), FORK),
        slot=slot,
        genesis_validators_root=bytes.fromhex(chain().genesis_validators_root[2:]),
        content_length=length,
        keys=KeyIndices(keys),
    )
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


def figures(totals: AttestationTotals) -> dict[str, int]:
    return {
        "duties": totals.duties,
        "missed": totals.missed,
        "votes_source": totals.source_votes,
        "votes_target": totals.target_votes,
        "votes_head": totals.head_votes,
        "reward": totals.reward,
        "ideal": totals.ideal_reward,
        "penalty_source": totals.source_penalty,
        "penalty_target": totals.target_penalty,
        "penalty_inactivity": totals.inactivity_penalty,
    }


def paid_figures(found: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in found.items() if not name.startswith(("seen_", "balance"))}


@pytest.mark.parametrize("epoch", range(PARAMETERS.first_epoch, PARAMETERS.first_epoch + 3))
def test_rewards_computed_from_the_state_are_those_that_the_chain_paid(epoch: int) -> None:
    state = state_of((epoch + 2) * SLOTS_PER_EPOCH - 1)
    rewards = AttestationRewards(state, reward_parameters(specification(), FORK))
    known = attestation_truth(chain(), epoch)
    assert figures(rewards.network()) == paid_figures(known["network"])
    for number in range(PARAMETERS.groups):
        own = np.flatnonzero(chain().registry.group == number)
        assert figures(rewards.totals(own)) == paid_figures(known[group_name(number)])
    assert known["network"]["missed"] > 0
    assert known["network"]["penalty_inactivity"] > 0
    assert not rewards.is_leak


def test_every_watched_key_is_found_in_the_state_at_its_index() -> None:
    state = state_of(chain().first_slot + 70)
    found = {f"0x{key.hex()}": index for key, index in state.keys.indices.items()}
    assert found == chain().registry.index_of
    assert len(found) == PARAMETERS.watched


def test_balances_move_only_by_what_is_told() -> None:
    first, last = chain().first_slot + 40, chain().first_slot + 60
    moved = chain().balances_at(last) - chain().balances_at(first)
    told = slot_truth(chain(), first + 1, last)
    network = told["network"]
    expected = network["consensus_reward"] + network["sync_reward"] - network["sync_penalty"]
    expected -= network["withdrawals"]
    # The slashed validator of the slots between pays what its proposer is told to have got.
    slashed = [slot.slashing_reward for slot in map(chain().slots.get, range(first + 1, last + 1)) if slot]
    assert int(moved.sum()) == expected - sum(slashed)
    assert sum(slashed) > 0


def test_every_vote_in_a_block_is_told_with_its_distance() -> None:
    epoch = PARAMETERS.first_epoch + 1
    first = epoch * SLOTS_PER_EPOCH
    known = slot_truth(chain(), first, chain().last_slot, epoch)["network"]
    later = slot_truth(chain(), first, chain().last_slot, epoch + 1)["network"]
    included: dict[int, int] = {}
    for slot in range(epoch * SLOTS_PER_EPOCH, chain().last_slot + 1):
        for attestation in msgspec.json.decode(msgspec.json.encode(block_json.attestations(chain(), slot))):
            duty = int(attestation["data"]["slot"])
            if duty // SLOTS_PER_EPOCH == epoch:
                for member in members_of(attestation):
                    included.setdefault(member, slot - duty)
    counts = {f"distance_{distance}": 0 for distance in included.values()}
    for distance in included.values():
        counts[f"distance_{distance}"] += 1
    told = {name: value - later.get(name, 0) for name, value in known.items() if name.startswith("distance_")}
    assert counts == told
    assert len(counts) >= 4


def members_of(attestation: dict[str, str]) -> list[int]:
    """Return who attested, read as the specification says (electra, get_attesting_indices)."""
    slot = int(attestation["data"]["slot"])  # type: ignore[index]
    votes = chain().epochs[slot // SLOTS_PER_EPOCH].votes
    committee_bits = unpacked(attestation["committee_bits"])
    bits = unpacked(attestation["aggregation_bits"])
    length = max(place for place, bit in enumerate(bits) if bit)
    bounds = votes.committee_bounds(slot)
    members = votes.members[votes.of_slot(slot)]
    own: list[int] = []
    for number, bit in enumerate(committee_bits):
        if bit:
            own += members[bounds[number] : bounds[number + 1]].tolist()
    assert len(own) == length
    return [member for member, bit in zip(own, bits, strict=False) if bit]


def unpacked(text: str) -> list[int]:
    content = np.frombuffer(bytes.fromhex(text[2:]), dtype=np.uint8)
    return np.unpackbits(content, bitorder="little").tolist()


def test_json_and_ssz_say_the_same_of_every_validator() -> None:
    slot = chain().first_slot + 75
    state = state_of(slot)
    entries = msgspec.json.decode(b"[" + b"".join(rows.ValidatorRows(chain(), slot).pieces()) + b"]")
    assert [int(entry["index"]) for entry in entries] == list(range(PARAMETERS.validators))
    assert [int(entry["balance"]) for entry in entries] == state.balances.tolist()
    registry = state.registry
    effective = [int(entry["validator"]["effective_balance"]) // 10**9 for entry in entries]
    assert effective == registry.effective_balances.tolist()
    assert [entry["validator"]["slashed"] for entry in entries] == registry.is_slashed.tolist()
    never = 2**64 - 1
    exits = [min(int(entry["validator"]["exit_epoch"]), 2**32 - 1) for entry in entries]
    assert exits == registry.exit_epochs.tolist()
    assert any(int(entry["validator"]["exit_epoch"]) == never for entry in entries)
    statuses = {entry["status"] for entry in entries}
    expected = {"active_ongoing", "active_exiting", "active_slashed", "exited_slashed", "pending_queued"}
    assert expected <= statuses


def test_watched_validators_are_told_by_group_and_status() -> None:
    known = validator_truth(chain(), chain().first_slot + 3)
    assert sum(group["active_ongoing"] for group in known.values()) == PARAMETERS.watched - 12
    assert sum(group.get("pending_queued", 0) for group in known.values()) == 2


@pytest.mark.parametrize("number", [0, 7, 10, 999_999, 1_000_000, 10**13 - 1, -1, -42])
def test_numbers_are_written_as_they_are(number: int) -> None:
    (row,) = rows.quoted(np.array([number], dtype=np.int64), 13)
    assert msgspec.json.decode(row.tobytes()) == str(number)
    assert len(row) == 16


def test_epochs_far_and_near_are_written_as_they_are() -> None:
    written = rows.epochs(np.array([0, 411_392, 2**64 - 1], dtype=np.uint64))
    assert [msgspec.json.decode(row.tobytes()) for row in written] == ["0", "411392", str(2**64 - 1)]


def test_the_same_parameters_give_the_same_chain() -> None:
    small = MainnetParameters(validators=6_000, active=5_000, watched=40, groups=2, epochs=2)
    one, other = MainnetChain(small), MainnetChain(small)
    assert one.balances_at(one.last_slot).tolist() == other.balances_at(other.last_slot).tolist()
    assert one.root(one.last_slot) == other.root(other.last_slot)
