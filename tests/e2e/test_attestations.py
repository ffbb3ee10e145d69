"""The comparison of attestation rewards holds on a chain that is right, and notices a single gwei."""

import dataclasses

import numpy as np
import pytest

from stakewatch.simulator.beacon_api import fork_versions
from stakewatch.simulator.chain import Chain, ChainParameters
from stakewatch.simulator.presets import specification
from stakewatch.simulator.ssz_state import ssz_state
from tests.e2e.attestations import compare_attestations, rewards
from tests.e2e.chain import Block, Validator
from tests.e2e.devnet import SLOTS_PER_EPOCH
from tests.e2e.earnings import History
from tests.e2e.ledger import Ledger
from tests.e2e.recording import Recording
from tests.e2e.scrape import Scrape
from tests.e2e.test_comparisons import GROUPS, KEYS

EPOCHS = 9


@pytest.fixture(scope="module")
def chain() -> Chain:
    """Return a simulated chain on which many miss."""
    chain = Chain(ChainParameters(genesis_time=0, validators=64, watched=8, miss_ratio=0.2))
    chain.advance_to(EPOCHS * SLOTS_PER_EPOCH)
    return chain


def _recorded(chain: Chain) -> tuple[Recording, History]:
    record = Recording(genesis_validators_root=chain.genesis_validators_root)
    versions = fork_versions(chain)
    values = specification(
        chain.preset,
        network="demonet",
        seconds_per_slot=1,
        genesis_time=0,
        chain_id=1,
        fork_versions=versions,
    )
    record.specification.update(values)
    blocks: dict[int, Block] = {}
    roots: dict[int, str] = {}
    for slot in range(1, chain.slot + 1):
        block = chain.slots[slot].block
        if block is None:
            continue
        epoch = chain.epochs[chain.epoch_of(slot)]
        record.states[block.root] = tuple(
            Validator(index, chain.pubkeys[index], "active_ongoing", int(balance), int(effective))
            for index, (balance, effective) in enumerate(
                zip(chain.balances_at(slot), epoch.effective_balances, strict=True)
            )
        )
        record.encoded[block.root] = ssz_state(chain, slot, bytes.fromhex(versions["deneb"][0][2:]))
        withdrawals: dict[int, int] = {}
        for withdrawal in block.payload.withdrawals:
            index = withdrawal.validator_index
            withdrawals[index] = withdrawals.get(index, 0) + withdrawal.amount
        bits = np.packbits(block.sync_bits, bitorder="little").tobytes()
        roots[slot] = block.root
        blocks[slot] = Block(slot, block.proposer_index, "0x", slot, "0x", withdrawals, bits)
    return record, History(blocks, {}, {}, {}, {}, {}, {}, roots)


def _page(record: Recording, past: History, *, wrong_by: int = 0) -> Scrape:
    """Return a page whose counters have counted the third to the sixth epoch."""
    paid = list(rewards(record, past))[2:6]
    series: dict[str, list[tuple[dict[str, str], float]]] = {}
    for group in GROUPS:
        labels = {"group": group.name}
        net = sum(one.computed[index] for one in paid for index in group.indices) + wrong_by
        for name, value in (
            ("duties_total", len(paid) * len(group.indices)),
            ("reward_gwei_total", net + 70),
            ("penalty_gwei_total", 70),
        ):
            series.setdefault(f"stakewatch_attestation_{name}", []).append((labels, float(value)))
    return Scrape(0.0, {name: tuple(found) for name, found in series.items()})


def _failed(record: Recording, past: History) -> set[str]:
    ledger = Ledger()
    compare_attestations(ledger.chapter("attestations"), record, past, GROUPS)
    assert len(ledger.checks) >= 5 + KEYS // 2
    return {check.name for check in ledger.failed()}


def test_a_chain_that_is_right_passes(chain: Chain) -> None:
    record, past = _recorded(chain)
    record.scrapes.append(_page(record, past))
    assert _failed(record, past) == set()


def test_a_gwei_on_one_balance_is_noticed(chain: Chain) -> None:
    record, past = _recorded(chain)
    record.scrapes.append(_page(record, past))
    slot = min(slot for slot in past.blocks if slot >= 5 * SLOTS_PER_EPOCH)
    changed = list(record.states[past.roots[slot]])
    index = next(index for index in range(KEYS) if index != past.blocks[slot].proposer)
    changed[index] = dataclasses.replace(changed[index], balance=changed[index].balance + 1)
    record.states[past.roots[slot]] = tuple(changed)
    assert _failed(record, past) == {"rewards of epoch 3 of 63 keys"}


def test_a_gwei_on_the_counters_is_noticed(chain: Chain) -> None:
    record, past = _recorded(chain)
    record.scrapes.append(_page(record, past, wrong_by=1))
    assert _failed(record, past) == {"counters of alpha over 4 epochs", "counters of bravo over 4 epochs"}
