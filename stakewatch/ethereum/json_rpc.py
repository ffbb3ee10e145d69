"""The JSON-RPC of one execution node: one method per call, answers as types, implausible ones refused.

Source: ethereum/execution-apis; error codes of EIP-1474.
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from stakewatch.ethereum.transport import Endpoint, Outcome, RefusalError, Transport, plain

_Answer = TypeVar("_Answer")
_SMALL = 1 << 20
_BLOCK_LIMIT = 64 << 20
# A header with the hashes of its transactions; asked for in every round.
_HEADER_LIMIT = 4 << 20
_SLOW = 5.0
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MOST_BLOCKS = 2**63 - 1
_LIMIT_EXCEEDED = -32005
# Errors in what we asked; the others are the node's own trouble.
_OUR_FAULT = frozenset({-32700, -32600, -32601, -32602, -32004, -32006})
_VERSION_CHARACTERS = 400


@dataclass(frozen=True)
class ExecutionSyncing:
    """`eth_syncing`; both numbers are None when the node says that it is in sync."""

    current_block: int | None
    highest_block: int | None

    @property
    def is_syncing(self) -> bool:
        """Whether the node says that it is syncing."""
        return self.current_block is not None


@dataclass(frozen=True)
class ExecutionBlock:
    """An execution block's header; times in Unix seconds."""

    number: int
    block_hash: str
    timestamp: int


@dataclass(frozen=True)
class Transaction:
    """A transaction in its block; `recipient` is None when it creates a contract, `value` in wei."""

    transaction_hash: str
    sender: str
    recipient: str | None
    value: int


@dataclass(frozen=True)
class Receipt:
    """What a transaction cost; gas after refunds, price in wei, `succeeded` False when it was reverted."""

    transaction_hash: str
    block_hash: str
    gas_used: int
    effective_gas_price: int
    succeeded: bool


class _Error(msgspec.Struct):
    code: int
    message: str = ""


class _Reply(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


class _SyncProgress(msgspec.Struct, rename="camel"):
    current_block: str
    highest_block: str


class _BlockFields(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    timestamp: str


class _TransactionFields(msgspec.Struct, rename={"sender": "from", "recipient": "to"}):
    hash: str
    sender: str
    value: str
    recipient: str | None = None


class _FullBlockFields(msgspec.Struct):
    hash: str
    transactions: list[_TransactionFields]


class _ReceiptFields(msgspec.Struct, rename="camel"):
    transaction_hash: str
    block_hash: str
    gas_used: str
    effective_gas_price: str
    status: str = "0x1"


def _refusal(error: _Error) -> RefusalError:
    if error.code == _LIMIT_EXCEEDED:
        outcome = Outcome.RATE_LIMITED
    else:
        outcome = Outcome.HTTP_4XX if error.code in _OUR_FAULT else Outcome.HTTP_5XX
    return RefusalError(f"it refused with error {error.code}: {error.message}", outcome)


def _quantity(text: object) -> int:
    if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
        raise ValueError(f"not a quantity: {str(text)[:60]!r}")
    return int(text, 16)


def _number(text: object) -> int:
    number = _quantity(text)
    if number > _MOST_BLOCKS:
        raise ValueError(f"{number} is too large for what it should be")
    return number


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"not the hexadecimal text that it should be: {text[:80]!r}")
    return text.lower()


def _syncing(raw: bytes) -> ExecutionSyncing:
    answer = msgspec.json.decode(raw, type=bool | _SyncProgress)
    if answer is False:
        return ExecutionSyncing(None, None)
    if answer is True:
        raise ValueError("eth_syncing is true, which says nothing")
    return ExecutionSyncing(_number(answer.current_block), _number(answer.highest_block))


def _block(raw: bytes) -> ExecutionBlock:
    block = msgspec.json.decode(raw, type=_BlockFields | None)
    if block is None:
        raise ValueError("it does not know the block")
    return ExecutionBlock(_number(block.number), _matching(_HASH, block.hash), _number(block.timestamp))


def _transactions(raw: bytes, block_hash: str) -> tuple[Transaction, ...]:
    block = msgspec.json.decode(raw, type=_FullBlockFields | None)
    if block is None:
        raise ValueError("it does not know the block")
    if _matching(_HASH, block.hash) != block_hash:
        raise ValueError("it answered another block")
    return tuple(
        Transaction(
            transaction_hash=_matching(_HASH, fields.hash),
            sender=_matching(_ADDRESS, fields.sender),
            recipient=None if fields.recipient is None else _matching(_ADDRESS, fields.recipient),
            value=_quantity(fields.value),
        )
        for fields in block.transactions
    )


def _receipts(raw: bytes, block_hash: str) -> tuple[Receipt, ...]:
    found = msgspec.json.decode(raw, type=list[_ReceiptFields] | None)
    if found is None:
        raise ValueError("it does not know the block")
    receipts = tuple(
        Receipt(
            transaction_hash=_matching(_HASH, fields.transaction_hash),
            block_hash=_matching(_HASH, fields.block_hash),
            gas_used=_number(fields.gas_used),
            effective_gas_price=_quantity(fields.effective_gas_price),
            succeeded=_quantity(fields.status) == 1,
        )
        for fields in found
    )
    if any(receipt.block_hash != block_hash for receipt in receipts):
        raise ValueError("it answered receipts of another block")
    return receipts


def _version(raw: bytes) -> str:
    version = msgspec.json.decode(raw, type=str)
    if len(version) > _VERSION_CHARACTERS:
        raise ValueError("its version is too long to be one")
    return plain(version)


class ExecutionApi:
    """The JSON-RPC calls that we use of one execution node; every method raises RequestError."""

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self._transport = transport
        self._identities = itertools.count(1)

    async def chain_id(self) -> int:
        """`eth_chainId`."""
        return await self._call("eth_chainId", [], endpoint=Endpoint.NODE, decode=_decode_number)

    async def syncing(self) -> ExecutionSyncing:
        """`eth_syncing`."""
        return await self._call("eth_syncing", [], endpoint=Endpoint.NODE, decode=_syncing)

    async def peer_count(self) -> int:
        """`net_peerCount`."""
        return await self._call("net_peerCount", [], endpoint=Endpoint.NODE, decode=_decode_number)

    async def version(self) -> str:
        """`web3_clientVersion`."""
        return await self._call("web3_clientVersion", [], endpoint=Endpoint.NODE, decode=_version)

    async def block_number(self) -> int:
        """`eth_blockNumber`: the number of the newest block."""
        return await self._call("eth_blockNumber", [], endpoint=Endpoint.BLOCKS, decode=_decode_number)

    async def latest_block(self) -> ExecutionBlock:
        """`eth_getBlockByNumber` of `latest`, without transactions."""
        return await self._call(
            "eth_getBlockByNumber",
            ["latest", False],
            endpoint=Endpoint.BLOCKS,
            decode=_block,
            limit_bytes=_HEADER_LIMIT,
        )

    async def transactions(self, block_hash: str) -> tuple[Transaction, ...]:
        """`eth_getBlockByHash`: the transactions of a block in their order."""
        return await self._call(
            "eth_getBlockByHash",
            [block_hash, True],
            endpoint=Endpoint.RECEIPTS,
            decode=lambda raw: _transactions(raw, block_hash),
            limit_bytes=_BLOCK_LIMIT,
            timeout_factor=_SLOW,
        )

    async def receipts(self, block_hash: str) -> tuple[Receipt, ...]:
        """`eth_getBlockReceipts` by hash, so that a reorganisation cannot give those of another block."""
        return await self._call(
            "eth_getBlockReceipts",
            [block_hash],
            endpoint=Endpoint.RECEIPTS,
            decode=lambda raw: _receipts(raw, block_hash),
            limit_bytes=_BLOCK_LIMIT,
            timeout_factor=_SLOW,
        )

    async def _call(
        self,
        method: str,
        parameters: list[Any],
        *,
        endpoint: Endpoint,
        decode: Callable[[bytes], _Answer],
        limit_bytes: int = _SMALL,
        timeout_factor: float = 1.0,
    ) -> _Answer:
        identity = next(self._identities)

        def decode_reply(content: bytes) -> _Answer:
            reply = msgspec.json.decode(content, type=_Reply)
            if reply.error is not None:
                raise _refusal(reply.error)
            if reply.id != identity:
                raise ValueError(f"it answered request {reply.id!r} instead of {identity}")
            if not bytes(reply.result):
                raise ValueError("neither a result nor an error")
            return decode(bytes(reply.result))

        return await self._transport.exchange(
            "POST",
            "",
            endpoint=endpoint,
            decode=decode_reply,
            limit_bytes=limit_bytes,
            body=msgspec.json.encode(
                {"jsonrpc": "2.0", "id": identity, "method": method, "params": parameters}
            ),
            timeout_factor=timeout_factor,
            subject=method,
        )


def _decode_number(raw: bytes) -> int:
    return _number(msgspec.json.decode(raw))
