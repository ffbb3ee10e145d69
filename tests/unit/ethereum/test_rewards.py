"""The execution reward of a block."""

from dataclasses import replace

import pytest

from stakewatch.ethereum.json_rpc import Receipt, Transaction
from stakewatch.ethereum.rewards import ExecutionReward, RewardSource, execution_reward, priority_fees

BASE_FEE = 7
OURS = "0x" + "0f" * 20
BUILDER = "0x" + "b0" * 20
USER = "0x" + "55" * 20


def _transaction(number: int, sender: str, recipient: str | None, value: int) -> Transaction:
    return Transaction(f"0x{number:064x}", sender, recipient, value)


def _receipt(number: int, *, price: int = BASE_FEE, succeeded: bool = True) -> Receipt:
    return Receipt(f"0x{number:064x}", "0x" + "11" * 32, 21000, price, succeeded)


def _reward(
    coinbase: str, *transactions: Transaction, ours: frozenset[str] = frozenset({OURS}), tip: int = 2
) -> ExecutionReward:
    receipts = [_receipt(number, price=BASE_FEE + tip) for number in range(len(transactions))]
    return execution_reward(
        coinbase=coinbase,
        base_fee_per_gas=BASE_FEE,
        transactions=transactions,
        receipts=receipts,
        fee_recipients=ours,
    )


def test_fees_are_what_was_paid_above_the_base_fee() -> None:
    receipts = [_receipt(0, price=10), replace(_receipt(1, price=8), gas_used=100)]
    assert priority_fees(receipts, 7) == 3 * 21000 + 100


def test_a_receipt_below_the_base_fee_is_refused() -> None:
    with pytest.raises(ValueError, match="less than the base fee"):
        priority_fees([_receipt(0, price=6)], 7)


def test_a_reverted_transaction_pays_its_fee_too() -> None:
    assert priority_fees([_receipt(0, price=9, succeeded=False)], 7) == 2 * 21000


def test_our_own_payload_pays_its_fees() -> None:
    reward = _reward(OURS, _transaction(0, USER, BUILDER, 5), _transaction(1, USER, USER, 0))
    assert reward == ExecutionReward(RewardSource.LOCAL, 2 * 2 * 21000, is_mismatch=False)


def test_an_empty_block_of_our_own_pays_nothing() -> None:
    assert _reward(OURS) == ExecutionReward(RewardSource.LOCAL, 0, is_mismatch=False)


def test_a_builders_payment_need_not_be_the_last_transaction() -> None:
    reward = _reward(
        BUILDER,
        _transaction(0, USER, USER, 1),
        _transaction(1, BUILDER, OURS, 900),
        _transaction(2, BUILDER, USER, 30),
    )
    assert reward == ExecutionReward(RewardSource.BUILDER, 900, is_mismatch=False)


def test_several_payments_of_a_builder_add_up() -> None:
    reward = _reward(BUILDER, _transaction(0, BUILDER, OURS, 900), _transaction(1, BUILDER, OURS, 50))
    assert reward.wei == 950


def test_a_last_transaction_of_another_sender_to_us_is_the_payment() -> None:
    assert _reward(BUILDER, _transaction(0, USER, OURS, 700)) == ExecutionReward(
        RewardSource.BUILDER, 700, is_mismatch=False
    )


def test_somebody_sending_us_money_is_no_payment() -> None:
    reward = _reward(BUILDER, _transaction(0, USER, OURS, 700), _transaction(1, BUILDER, USER, 1))
    assert reward == ExecutionReward(RewardSource.UNKNOWN, 0, is_mismatch=True)


def test_a_payment_that_was_reverted_is_none() -> None:
    reward = execution_reward(
        coinbase=BUILDER,
        base_fee_per_gas=BASE_FEE,
        transactions=[_transaction(0, BUILDER, OURS, 900)],
        receipts=[_receipt(0, succeeded=False)],
        fee_recipients={OURS},
    )
    assert reward == ExecutionReward(RewardSource.UNKNOWN, 0, is_mismatch=True)


def test_an_empty_block_for_somebody_else_is_a_mismatch() -> None:
    assert _reward(BUILDER).is_mismatch


def test_without_expected_recipients_the_usual_form_decides_and_nothing_mismatches() -> None:
    nobody: frozenset[str] = frozenset()
    bought = _reward(BUILDER, _transaction(0, BUILDER, USER, 900), ours=nobody)
    assert bought == ExecutionReward(RewardSource.UNKNOWN, 900, is_mismatch=False)
    built = _reward(USER, _transaction(0, BUILDER, USER, 900), ours=nobody)
    assert built == ExecutionReward(RewardSource.UNKNOWN, 2 * 21000, is_mismatch=False)


def test_receipts_of_other_transactions_are_refused() -> None:
    with pytest.raises(ValueError, match="not those"):
        execution_reward(
            coinbase=OURS,
            base_fee_per_gas=BASE_FEE,
            transactions=[_transaction(0, USER, USER, 1), _transaction(1, USER, USER, 1)],
            receipts=[_receipt(0)],
            fee_recipients={OURS},
        )
