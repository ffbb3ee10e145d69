"""What a proposer earns on the execution side of its block: priority fees, or a builder's payment.

Blob fees are burned, so they are not part of it. What the coinbase gets by internal calls stands in no
receipt and is not counted: the figure is a lower bound for such blocks.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stakewatch.ethereum.json_rpc import Receipt, Transaction


class RewardSource(StrEnum):
    """Where the execution reward of a block came from."""

    LOCAL = "local"
    BUILDER = "builder"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ExecutionReward:
    """The execution reward of one block in wei.

    `is_mismatch` is True when neither the block's fees nor a payment in it went to an expected fee recipient.
    """

    source: RewardSource
    wei: int
    is_mismatch: bool


def priority_fees(receipts: Sequence[Receipt], base_fee_per_gas: int) -> int:
    """Return the sum over receipts of (effective gas price - base fee) * gas used, in wei.

    Per receipt and never from cumulative or header gas, whose meaning changes with EIP-7778.
    Raises ValueError when a receipt paid less than the base fee, which a valid block cannot contain.
    """
    total = 0
    for receipt in receipts:
        tip = receipt.effective_gas_price - base_fee_per_gas
        if tip < 0:
            raise ValueError(f"transaction {receipt.transaction_hash} paid less than the base fee")
        total += tip * receipt.gas_used
    return total


def execution_reward(
    *,
    coinbase: str,
    base_fee_per_gas: int,
    transactions: Sequence[Transaction],
    receipts: Sequence[Receipt],
    fee_recipients: Collection[str],
) -> ExecutionReward:
    """Return what a block paid its proposer, whose expected fee recipients are given in lower case.

    The block's coinbase is ours: its priority fees. Else a builder's: what the coinbase sent to us in any
    transaction of the block (refunds may follow the payment), or what its last transaction sent to us.
    Without an expected fee recipient the usual form decides: a last transaction from the coinbase is a
    builder's payment, all else is taken as built locally; its source stays unknown.
    Raises ValueError when receipts and transactions do not belong together.
    """
    if [receipt.transaction_hash for receipt in receipts] != [
        transaction.transaction_hash for transaction in transactions
    ]:
        raise ValueError("the receipts are not those of the block's transactions")
    fees = priority_fees(receipts, base_fee_per_gas)
    if coinbase in fee_recipients:
        return ExecutionReward(RewardSource.LOCAL, fees, is_mismatch=False)
    paid = [
        transaction
        for transaction, receipt in zip(transactions, receipts, strict=True)
        if receipt.succeeded and transaction.value > 0
    ]
    last = transactions[-1:]
    if not fee_recipients:
        is_payment = bool(last) and last[0] in paid and last[0].sender == coinbase
        return ExecutionReward(RewardSource.UNKNOWN, last[0].value if is_payment else fees, is_mismatch=False)
    to_us = [transaction for transaction in paid if transaction.recipient in fee_recipients]
    payments = [transaction for transaction in to_us if transaction.sender == coinbase]
    if not payments:
        payments = [transaction for transaction in to_us if transaction in last]
    if payments:
        return ExecutionReward(
            RewardSource.BUILDER, sum(transaction.value for transaction in payments), is_mismatch=False
        )
    return ExecutionReward(RewardSource.UNKNOWN, 0, is_mismatch=True)
