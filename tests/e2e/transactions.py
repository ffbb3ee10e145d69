"""A payer on the chain: transactions with tips, so that proposals earn something on the execution layer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from tests.e2e.account import ACCOUNT
from tests.e2e.chain import WEI_PER_GWEI, call
from tests.e2e.devnet import CHAIN_ID, SECONDS_PER_SLOT, Pair

_TRANSFER_GAS = 21_000
_RECIPIENT = bytes.fromhex("00" * 18 + "beef")


@contextmanager
def paying(pairs: tuple[Pair, ...]) -> Iterator[None]:
    """Send one or two transfers per slot to the first execution node until the block ends.

    The tips change from one to the next, so that two blocks hardly ever earn the same.
    Raises what stopped the payer, if anything did, when the block ends.
    """
    ended = threading.Event()
    failures: list[Exception] = []

    def pay() -> None:
        try:
            for nonce in count():
                _transfer(pairs[0], nonce, tip_gwei=10 + nonce % 7)
                if nonce % 3 != 0 and ended.wait(SECONDS_PER_SLOT):
                    return
        except Exception as error:  # noqa: BLE001 - handed to the caller's thread below
            failures.append(error)

    thread = threading.Thread(target=pay, name="payer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failures:
        raise failures[0]


def _transfer(pair: Pair, nonce: int, tip_gwei: int) -> None:
    signed = ACCOUNT.sign_transaction(
        {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": nonce,
            "to": _RECIPIENT,
            "value": 1,
            "gas": _TRANSFER_GAS,
            "maxPriorityFeePerGas": tip_gwei * WEI_PER_GWEI,
            "maxFeePerGas": 100 * WEI_PER_GWEI,
        }
    )
    call(pair, "eth_sendRawTransaction", ("0x" + signed.raw_transaction.hex().removeprefix("0x"),))
