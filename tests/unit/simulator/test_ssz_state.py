"""The simulated state in SSZ says what the chain did, for any slot that is kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stakewatch.ethereum.attestation_rewards import AttestationRewards, reward_parameters
from stakewatch.ethereum.key_indices import KeyIndices
from stakewatch.ethereum.state_layout import state_layout
from stakewatch.ethereum.state_stream import BeaconState, StateReader
from stakewatch.simulator.beacon_api import fork_versions
from stakewatch.simulator.chain import Chain, ChainParameters
from stakewatch.simulator.presets import MAINNET, specification
from stakewatch.simulator.ssz_state import participation, ssz_state
from stakewatch.simulator.truth import Truth


def chain_of(**parameters: Any) -> Chain:  # noqa: ANN401  fields of ChainParameters
    small = ChainParameters(
        genesis_time=1_700_000_000, validators=256, watched=40, miss_ratio=0.1, missed_proposal_ratio=0.1
    )
    return Chain(replace(small, **parameters))


def values_of(chain: Chain) -> dict[str, str]:
    parameters = chain.parameters
    return specification(
        chain.preset,
        network=parameters.network,
        seconds_per_slot=parameters.seconds_per_slot,
        genesis_time=parameters.genesis_time,
        chain_id=parameters.chain_id,
        fork_versions=fork_versions(chain),
    )


def state_of(chain: Chain, slot: int, chunk: int = 5000) -> BeaconState:
    fork = chain.parameters.fork
    content = ssz_state(chain, slot, bytes.fromhex(fork_versions(chain)[fork][0][2:]))
    reader = StateReader(
        state_layout(values_of(chain), fork),
        slot=slot,
        genesis_validators_root=bytes.fromhex(chain.genesis_validators_root[2:]),
        content_length=len(content),
        keys=KeyIndices(frozenset(bytes.fromhex(pubkey[2:]) for pubkey in chain.pubkeys)),
    )
    for first in range(0, len(content), chunk):
        reader.feed(content[first : first + chunk])
    return reader.finish()


def rewards_of(chain: Chain, epoch: int) -> AttestationRewards:
    """Return the rewards of an epoch from the state of the last slot of the next."""
    state = state_of(chain, chain.first_slot(epoch + 2) - 1)
    return AttestationRewards(state, reward_parameters(values_of(chain), chain.parameters.fork))


def assert_true(chain: Chain, epochs: range) -> None:
    for epoch in epochs:
        rewards = rewards_of(chain, epoch)
        assert rewards.of(slice(None)).total.tolist() == Truth(chain).attestation_deltas(epoch).tolist()
        record = chain.epochs[epoch + 2]
        assert rewards.is_leak == (epoch - record.finalized.epoch > 4)
        assert rewards.finalized_epoch == record.finalized.epoch
        assert rewards.justified_epoch == record.current_justified.epoch


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"fork": "electra", "compounding_ratio": 0.4},
        {"preset": MAINNET, "validators": 600},
        {"seed": 7, "miss_ratio": 0.4},
    ],
    ids=["deneb", "electra", "mainnet preset", "hardly final"],
)
def test_computed_rewards_are_what_the_chain_paid(parameters: dict[str, Any]) -> None:
    chain = chain_of(**parameters)
    chain.advance_to(chain.first_slot(9) + 3)
    assert_true(chain, range(7))


def test_rewards_are_true_into_a_leak_and_out_of_it() -> None:
    chain = chain_of(validators=128)
    chain.advance_to(chain.first_slot(4))
    chain.offline[:70] = True
    chain.advance_to(chain.first_slot(15))
    assert chain.epochs[14].inactivity_leak
    chain.offline[:] = False
    chain.advance_to(chain.first_slot(24) + 1)
    assert not chain.epochs[24].inactivity_leak
    assert chain.epochs[16].inactivity_scores.max() > 20
    assert_true(chain, range(chain.oldest_epoch + 1, 22))


def test_rewards_are_true_after_exits_and_reorganisations() -> None:
    chain = chain_of()
    chain.advance_to(20)
    for index in (3, 5, 200):
        chain.exit(index)
    for slot in (27, 31, 39):
        chain.orphan_proposal(slot)
    chain.advance_to(chain.first_slot(13))
    assert_true(chain, range(11))
    assert chain.epochs[12].exit_epochs[3] < 12


def test_an_exit_shows_in_the_state_of_its_block_and_not_before() -> None:
    chain = chain_of(missed_proposal_ratio=0.0)
    chain.advance_to(17)
    chain.exit(3)
    chain.advance_to(30)
    before, after = (state_of(chain, slot).registry.exit_epochs[3] for slot in (17, 18))
    assert (before, after) == (2**32 - 1, chain.state.exit_epochs[3])


@pytest.mark.parametrize("slot", [0, 1, 7, 8, 23, 40, 41])
def test_a_state_says_what_the_chain_says_of_any_slot(slot: int) -> None:
    chain = chain_of(fork="electra", compounding_ratio=0.3)
    chain.advance_to(20)
    chain.deposit(1, 10**9)
    chain.advance_to(41)
    state, record = state_of(chain, slot), chain.epochs[chain.epoch_of(slot)]
    assert state.balances.tolist() == chain.balances_at(slot).tolist()
    effective = state.registry.effective_balances.astype(np.int64) * state.effective_balance_increment
    assert effective.tolist() == record.effective_balances.tolist()
    assert state.inactivity_scores.tolist() == record.inactivity_scores.tolist()
    assert state.justification_bits == record.justified_bits
    assert state.finalized_root.hex() == record.finalized.root[2:]
    assert (state.registry.withdrawal_prefixes == 2).tolist() == chain.compounding.tolist()
    assert state.queue_lengths["pending_deposits"] == len(chain.slots[slot].pending_deposits)
    seats = [row.tobytes().hex() for row in state.current_sync_committee]
    assert seats == [chain.pubkeys[index][2:] for index in record.sync_committee]
    assert sorted(state.keys.indices.values()) == list(range(256))


def test_the_newest_state_has_the_participation_that_the_chain_holds() -> None:
    chain = chain_of(miss_ratio=0.3)
    for slot in range(20, 45):
        chain.advance_to(slot)
        epoch = chain.epoch_of(slot)
        assert participation(chain, epoch, slot).tolist() == chain.state.current_participation.tolist()
        assert participation(chain, epoch - 1, slot).tolist() == chain.state.previous_participation.tolist()


def test_a_state_in_the_future_or_forgotten_is_not_known() -> None:
    chain = chain_of(keep_epochs=8)
    chain.advance_to(200)
    for slot in (201, 1):
        with pytest.raises(KeyError):
            ssz_state(chain, slot, bytes(4))
