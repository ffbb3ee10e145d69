"""The account that pays on the chain; its key is no secret, the chain lives for minutes.

A library below eth_account lifts Python's recursion limit for the whole process, to where deeply nested
input overflows the C stack instead of raising RecursionError. Other tests rely on the limit: it is put back.
"""

import sys

_RECURSION_LIMIT = sys.getrecursionlimit()

from eth_account import Account  # noqa: E402 - the limit is read before

sys.setrecursionlimit(_RECURSION_LIMIT)

ACCOUNT = Account.from_key("0x" + "11" * 32)
