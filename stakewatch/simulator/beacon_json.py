"""Beacon API answers as JSON values: blocks, headers and validators in the shapes that real clients give."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.blocks import Aggregate, Block, Checkpoint, Deposit, Payload
from stakewatch.simulator.chain import Chain, EpochRecord
from stakewatch.simulator.presets import FAR_FUTURE_EPOCH
from stakewatch.simulator.state import Gwei

_LOGS_BLOOM = "0x" + "00" * 256
# Type 2, a list with nothing in it: nobody here decodes transactions, the execution API tells what they are.
_TRANSACTION_PREFIX = "02c0"


def signature(root: str) -> str:
    """Return 96 bytes that look like a signature and depend on a root."""
    return "0x" + root[2:] * 3


def bits(values: npt.NDArray[np.bool_], *, delimited: bool) -> str:
    """Return a bitlist (with its delimiting bit) or a bitvector as SSZ hex."""
    if delimited:
        values = np.append(values, True)
    return "0x" + np.packbits(values, bitorder="little").tobytes().hex()


def header(block: Block) -> dict[str, object]:
    """Return a signed block header."""
    return {
        "message": {
            "slot": str(block.slot),
            "proposer_index": str(block.proposer_index),
            "parent_root": block.parent_root,
            "state_root": block.state_root,
            "body_root": "0x" + block.root[:1:-1],
        },
        "signature": signature(block.root),
    }


def checkpoint(value: Checkpoint) -> dict[str, str]:
    """Return a checkpoint."""
    return {"epoch": str(value.epoch), "root": value.root}


def signed_block(chain: Chain, block: Block, *, checksummed: bool) -> dict[str, object]:
    """Return a signed block with its payload, in the shape of the chain's fork (deneb or electra)."""
    electra = chain.parameters.fork == "electra"
    body: dict[str, object] = {
        "randao_reveal": signature(block.state_root),
        "eth1_data": {
            "deposit_root": chain.genesis_validators_root,
            "deposit_count": str(chain.parameters.validators),
            "block_hash": chain.genesis_block.payload.block_hash,
        },
        "graffiti": "0x" + b"stakewatch simulator".ljust(32, b"\0").hex(),
        "proposer_slashings": [],
        "attester_slashings": [],
        "attestations": _electra_attestations(chain, block) if electra else _attestations(block),
        "deposits": [] if electra else [_deposit(chain, deposit) for deposit in block.deposits],
        "voluntary_exits": [
            {
                "message": {"epoch": str(chain.epoch_of(block.slot)), "validator_index": str(index)},
                "signature": signature(block.root),
            }
            for index in block.exits
        ],
        "sync_aggregate": {
            "sync_committee_bits": bits(block.sync_bits, delimited=False),
            "sync_committee_signature": signature(block.parent_root),
        },
        "execution_payload": _payload(block.payload, checksummed=checksummed),
        "bls_to_execution_changes": [],
        "blob_kzg_commitments": [],
    }
    if electra:
        body["execution_requests"] = {
            "deposits": [
                _deposit_data(chain, deposit) | {"index": str(chain.parameters.validators + position)}
                for position, deposit in enumerate(block.deposits)
            ],
            "withdrawals": [],
            "consolidations": [],
        }
    return {
        "message": {
            "slot": str(block.slot),
            "proposer_index": str(block.proposer_index),
            "parent_root": block.parent_root,
            "state_root": block.state_root,
            "body": body,
        },
        "signature": signature(block.root),
    }


def _attestation_data(aggregate: Aggregate, index: int) -> dict[str, object]:
    return {
        "slot": str(aggregate.slot),
        "index": str(index),
        "beacon_block_root": aggregate.head_root,
        "source": checkpoint(aggregate.source),
        "target": checkpoint(aggregate.target),
    }


def _attestations(block: Block) -> list[dict[str, object]]:
    return [
        {
            "aggregation_bits": bits(aggregate.bits, delimited=True),
            "data": _attestation_data(aggregate, aggregate.committee),
            "signature": signature(aggregate.head_root),
        }
        for aggregate in block.aggregates
    ]


def _electra_attestations(chain: Chain, block: Block) -> list[dict[str, object]]:
    """Merge the committees of a slot into one attestation (EIP-7549)."""
    merged: list[dict[str, object]] = []
    for slot in sorted({aggregate.slot for aggregate in block.aggregates}, reverse=True):
        aggregates = [aggregate for aggregate in block.aggregates if aggregate.slot == slot]
        committees = np.zeros(chain.preset.maximum_committees_per_slot, dtype=np.bool_)
        committees[[aggregate.committee for aggregate in aggregates]] = True
        merged.append(
            {
                "aggregation_bits": bits(
                    np.concatenate([aggregate.bits for aggregate in aggregates]), delimited=True
                ),
                "data": _attestation_data(aggregates[0], 0),
                "signature": signature(aggregates[0].head_root),
                "committee_bits": bits(committees, delimited=False),
            }
        )
    return merged


def _deposit_data(chain: Chain, deposit: Deposit) -> dict[str, object]:
    return {
        "pubkey": chain.pubkeys[deposit.validator_index],
        "withdrawal_credentials": chain.credentials(deposit.validator_index),
        "amount": str(deposit.amount),
        "signature": signature(chain.genesis_validators_root),
    }


def _deposit(chain: Chain, deposit: Deposit) -> dict[str, object]:
    return {"proof": [chain.genesis_validators_root] * 33, "data": _deposit_data(chain, deposit)}


def pending_deposit(chain: Chain, deposit: Deposit) -> dict[str, object]:
    """Return an entry of the deposit queue (electra)."""
    return _deposit_data(chain, deposit) | {"slot": str(deposit.slot)}


def address(value: str, *, checksummed: bool) -> str:
    """Return an address; some clients answer in mixed case, for which upper case stands here."""
    return f"0x{value[2:].upper()}" if checksummed else value


def _payload(payload: Payload, *, checksummed: bool) -> dict[str, object]:
    return {
        "parent_hash": payload.parent_hash,
        "fee_recipient": address(payload.fee_recipient, checksummed=checksummed),
        "state_root": "0x" + payload.block_hash[:1:-1],
        "receipts_root": "0x" + payload.block_hash[:1:-1],
        "logs_bloom": _LOGS_BLOOM,
        "prev_randao": payload.parent_hash,
        "block_number": str(payload.block_number),
        "gas_limit": "36000000",
        "gas_used": str(payload.gas_used),
        "timestamp": str(payload.timestamp),
        "extra_data": "0x",
        "base_fee_per_gas": str(payload.base_fee_per_gas),
        "block_hash": payload.block_hash,
        "transactions": [
            f"0x{_TRANSACTION_PREFIX}{transaction.hash[2:]}" for transaction in payload.transactions
        ],
        "withdrawals": [
            {
                "index": str(withdrawal.index),
                "validator_index": str(withdrawal.validator_index),
                "address": address(withdrawal.address, checksummed=checksummed),
                "amount": str(withdrawal.amount),
            }
            for withdrawal in payload.withdrawals
        ],
        "blob_gas_used": "0",
        "excess_blob_gas": "0",
    }


def status(record: EpochRecord, index: int, balance: int, epoch: int) -> str:
    """Return a validator's status as the Beacon API defines it."""
    exit_epoch = int(record.exit_epochs[index])
    withdrawable = int(record.withdrawable_epochs[index])
    if epoch < int(record.activation_epochs[index]):
        return "pending_queued"
    if epoch < exit_epoch:
        return "active_ongoing" if exit_epoch == FAR_FUTURE_EPOCH else "active_exiting"
    if epoch < withdrawable:
        return "exited_unslashed"
    return "withdrawal_possible" if balance else "withdrawal_done"


def validators(
    chain: Chain,
    record: EpochRecord,
    balances: Gwei,
    indices: Iterable[int],
    statuses: frozenset[str],
) -> bytes:
    """Return the JSON list of validators; without `statuses` of all statuses.

    Written as text because a whole network of objects would take seconds to encode.
    """
    entries = []
    for index in indices:
        balance = int(balances[index])
        state = status(record, index, balance, record.epoch)
        if statuses and state not in statuses:
            continue
        activation = int(record.activation_epochs[index])
        entries.append(
            f'{{"index":"{index}","balance":"{balance}","status":"{state}","validator":{{'
            f'"pubkey":"{chain.pubkeys[index]}","withdrawal_credentials":"{chain.credentials(index)}",'
            f'"effective_balance":"{record.effective_balances[index]}","slashed":false,'
            f'"activation_eligibility_epoch":"{activation}","activation_epoch":"{activation}",'
            f'"exit_epoch":"{record.exit_epochs[index]}",'
            f'"withdrawable_epoch":"{record.withdrawable_epochs[index]}"}}}}'
        )
    return f"[{','.join(entries)}]".encode()
