"""The blocks of a large chain as the Beacon API writes them (fulu, JSON)."""

from typing import Any

import msgspec
import numpy as np

from stakewatch.simulator.beacon_json import bits, signature
from stakewatch.simulator.mainnet.blocks import Aggregate, Leave
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.votes import CORRECT, SLOTS_PER_EPOCH, WRONG_TARGET

_MOST_COMMITTEES = 64
_TRANSACTION = "0x02" + "c0ffee12" * 120
_LOGS_BLOOM = "0x" + "00" * 256
_FEE_RECIPIENT = "0x" + "ab" * 20
_ADDRESS = "0x" + "cd" * 20


def signed_header(chain: MainnetChain, slot: int) -> dict[str, object]:
    """Return the signed header of a slot's block."""
    return {
        "message": {
            "slot": str(slot),
            "proposer_index": str(chain.slots[slot].proposer_index),
            "parent_root": chain.parent_root(slot),
            "state_root": chain.state_root(slot),
            "body_root": chain.state_root(slot),
        },
        "signature": signature(chain.root(slot)),
    }


def signed_block(chain: MainnetChain, slot: int, timestamp: int) -> bytes:
    """Return the signed block of a slot as JSON."""
    record = chain.slots[slot]
    root = chain.root(slot)
    message = {
        "slot": str(slot),
        "proposer_index": str(record.proposer_index),
        "parent_root": chain.parent_root(slot),
        "state_root": chain.state_root(slot),
        "body": {
            "randao_reveal": signature(root),
            "eth1_data": {"deposit_root": root, "deposit_count": "1", "block_hash": root},
            "graffiti": "0x" + b"stakewatch simulator".ljust(32, b"\0").hex(),
            "proposer_slashings": [],
            "attester_slashings": [_slashing(chain, slot, one) for one in record.leaves if one.is_slashed],
            "attestations": attestations(chain, slot),
            "deposits": [],
            "voluntary_exits": [_exit(slot, root, one) for one in record.leaves if not one.is_slashed],
            "sync_aggregate": {
                "sync_committee_bits": bits(record.sync_bits, delimited=False),
                "sync_committee_signature": signature(root),
            },
            "execution_payload": _payload(chain, slot, timestamp),
            "bls_to_execution_changes": [],
            "blob_kzg_commitments": [signature(root)[:98]] * 6,
            "execution_requests": {
                "deposits": [
                    deposit_data(chain, index, amount) | {"index": "1"} for index, amount in record.deposits
                ],
                "withdrawals": [],
                "consolidations": [],
            },
        },
    }
    return msgspec.json.encode({"message": message, "signature": signature(root)})


def attestations(chain: MainnetChain, slot: int) -> list[dict[str, object]]:
    """Return the attestations in a slot's block (EIP-7549)."""
    found: list[dict[str, object]] = []
    for aggregate in chain.slots[slot].aggregates:
        committees = np.zeros(_MOST_COMMITTEES, dtype=np.bool_)
        committees[: len(aggregate.committees)] = aggregate.committees
        found.append(
            {
                "aggregation_bits": bits(aggregate.bits, delimited=True),
                "data": _data(chain, aggregate),
                "signature": signature(chain.root(slot)),
                "committee_bits": bits(committees, delimited=False),
            }
        )
    return found


def deposit_data(chain: MainnetChain, index: int, amount: int) -> dict[str, Any]:
    """Return a top-up of a validator."""
    return {
        "pubkey": chain.registry.pubkey(index),
        "withdrawal_credentials": "0x"
        + chain.registry.records["withdrawal_credentials"][index].tobytes().hex(),
        "amount": str(amount),
        "signature": signature(chain.genesis_validators_root),
    }


def _data(chain: MainnetChain, aggregate: Aggregate) -> dict[str, object]:
    epoch = aggregate.slot // SLOTS_PER_EPOCH
    head = chain.root(aggregate.slot)
    if aggregate.kind != CORRECT:
        head = _before(chain, aggregate.slot)
    target = chain.checkpoint_root(epoch)
    if aggregate.kind == WRONG_TARGET:
        target = _before(chain, epoch * SLOTS_PER_EPOCH)
    return {
        "slot": str(aggregate.slot),
        "index": "0",
        "beacon_block_root": head,
        "source": {"epoch": str(epoch - 1), "root": chain.checkpoint_root(epoch - 1)},
        "target": {"epoch": str(epoch), "root": target},
    }


def _before(chain: MainnetChain, slot: int) -> str:
    """Return the root of the block before the one that is the newest at a slot."""
    while slot in chain.slots and not chain.slots[slot].has_block:
        slot -= 1
    return chain.parent_root(slot)


def _slashing(chain: MainnetChain, slot: int, leave: Leave) -> dict[str, object]:
    def attestation(root: str) -> dict[str, object]:
        return {
            "attesting_indices": [str(leave.validator_index)],
            "data": {
                "slot": str(slot - 1),
                "index": "0",
                "beacon_block_root": root,
                "source": {"epoch": "0", "root": root},
                "target": {"epoch": str(slot // SLOTS_PER_EPOCH), "root": root},
            },
            "signature": signature(root),
        }

    return {
        "attestation_1": attestation(chain.root(slot - 1)),
        "attestation_2": attestation(chain.state_root(slot - 1)),
    }


def _exit(slot: int, root: str, leave: Leave) -> dict[str, object]:
    return {
        "message": {"epoch": str(slot // SLOTS_PER_EPOCH), "validator_index": str(leave.validator_index)},
        "signature": signature(root),
    }


def _payload(chain: MainnetChain, slot: int, timestamp: int) -> dict[str, object]:
    own, parent = chain.payload_hash(slot), chain.payload_hash(slot - 1)
    return {
        "parent_hash": parent,
        "fee_recipient": _FEE_RECIPIENT,
        "state_root": own,
        "receipts_root": own,
        "logs_bloom": _LOGS_BLOOM,
        "prev_randao": parent,
        "block_number": str(slot - chain.first_slot + 1),
        "gas_limit": "45000000",
        "gas_used": "21000000",
        "timestamp": str(timestamp),
        "extra_data": "0x",
        "base_fee_per_gas": "7000000000",
        "block_hash": own,
        "transactions": [_TRANSACTION] * chain.parameters.transactions,
        "withdrawals": [
            {
                "index": str(one.index),
                "validator_index": str(one.validator_index),
                "address": _ADDRESS,
                "amount": str(one.amount),
            }
            for one in chain.slots[slot].withdrawals
        ],
        "blob_gas_used": "786432",
        "excess_blob_gas": "0",
    }
