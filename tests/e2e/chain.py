"""The chain's own answers, asked with nothing of ours in between: the truth that we compare with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import requests

from tests.e2e.devnet import Pair

_REQUEST_SECONDS = 4.0
WEI_PER_GWEI = 10**9


@dataclass(frozen=True)
class Header:
    """Where a block stands in the chain."""

    root: str
    slot: int
    parent_root: str


@dataclass(frozen=True)
class Block:
    """A block: who proposed it, whom its payload pays, what it withdraws (gwei by validator).

    `sync_bits` tells which seats of the sync committee took part, the lowest bit first.
    """

    slot: int
    proposer: int
    execution_hash: str
    execution_number: int
    fee_recipient: str
    withdrawals: Mapping[int, int]
    sync_bits: bytes = b""


@dataclass(frozen=True)
class Validator:
    """A validator as one state has it; balances in gwei."""

    index: int
    public_key: str
    status: str
    balance: int
    effective_balance: int


def ask(pair: Pair, path: str) -> Any:  # noqa: ANN401 - JSON, typed by the caller
    """Return `data` of a Beacon API answer.

    Raises requests.RequestException, HTTPError among them.
    """
    answer = requests.get(f"{pair.beacon_url}/eth/v1/{path}", timeout=_REQUEST_SECONDS)
    answer.raise_for_status()
    return answer.json()["data"]


def call(pair: Pair, method: str, parameters: Sequence[object] = ()) -> Any:  # noqa: ANN401 - JSON, typed by the caller
    """Return `result` of a JSON-RPC answer of the execution node.

    Raises requests.RequestException, and RuntimeError for an error object.
    """
    question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    answer = requests.post(pair.execution_url, json=question, timeout=_REQUEST_SECONDS)
    answer.raise_for_status()
    content = answer.json()
    if "error" in content:
        raise RuntimeError(f"{pair.execution} answers {method} with {content['error']}")
    return content["result"]


def header_of(pair: Pair, block: str) -> Header | None:
    """Return the header of a block by root, slot or as `head`, None when the node has none there."""
    try:
        answer = ask(pair, f"beacon/headers/{block}")
    except requests.HTTPError as error:
        if error.response.status_code == requests.codes.not_found:
            return None
        raise
    message = answer["header"]["message"]
    return Header(answer["root"], int(message["slot"]), message["parent_root"])


def head_slot(pair: Pair) -> int:
    """Slot of the head block."""
    return int(ask(pair, "beacon/headers/head")["header"]["message"]["slot"])


def beacon_peers(pair: Pair) -> int:
    """Peers that the beacon node is connected to."""
    return int(ask(pair, "node/peer_count")["connected"])


def execution_peers(pair: Pair) -> int:
    """Peers that the execution node is connected to."""
    return int(call(pair, "net_peerCount"), 16)


def finalized_epoch(pair: Pair) -> int:
    """Epoch that the head state calls final."""
    return int(ask(pair, "beacon/states/head/finality_checkpoints")["finalized"]["epoch"])


def validators_at(pair: Pair, state: str) -> tuple[Validator, ...] | None:
    """Return all validators of a state by index, None when the node no longer has it or its slot is empty."""
    try:
        answers = ask(pair, f"beacon/states/{state}/validators")
    except requests.HTTPError as error:
        if error.response.status_code == requests.codes.not_found:
            return None
        raise
    found = (
        Validator(
            index=int(answer["index"]),
            public_key=answer["validator"]["pubkey"],
            status=answer["status"],
            balance=int(answer["balance"]),
            effective_balance=int(answer["validator"]["effective_balance"]),
        )
        for answer in answers
    )
    return tuple(sorted(found, key=lambda validator: validator.index))


def encoded_state(pair: Pair, slot: int) -> bytes:
    """Return the state after a slot's block as SSZ. Raises requests.RequestException."""
    answer = requests.get(
        f"{pair.beacon_url}/eth/v2/debug/beacon/states/{slot}",
        headers={"Accept": "application/octet-stream"},
        timeout=_REQUEST_SECONDS,
    )
    answer.raise_for_status()
    return answer.content


def block_of(pair: Pair, root: str) -> Block:
    """Return the block of a root. Raises requests.RequestException."""
    answer = requests.get(f"{pair.beacon_url}/eth/v2/beacon/blocks/{root}", timeout=_REQUEST_SECONDS)
    answer.raise_for_status()
    message = answer.json()["data"]["message"]
    payload = message["body"]["execution_payload"]
    withdrawals: dict[int, int] = {}
    for withdrawal in payload["withdrawals"]:
        index = int(withdrawal["validator_index"])
        withdrawals[index] = withdrawals.get(index, 0) + int(withdrawal["amount"])
    return Block(
        slot=int(message["slot"]),
        proposer=int(message["proposer_index"]),
        execution_hash=payload["block_hash"],
        execution_number=int(payload["block_number"]),
        fee_recipient=payload["fee_recipient"].lower(),
        withdrawals=MappingProxyType(withdrawals),
        sync_bits=bytes.fromhex(message["body"]["sync_aggregate"]["sync_committee_bits"][2:]),
    )


def tips_wei(pair: Pair, block: Block) -> int:
    """Add up what the transactions of a block paid its fee recipient, by their receipts."""
    base_fee = int(call(pair, "eth_getBlockByHash", (block.execution_hash, False))["baseFeePerGas"], 16)
    return sum(
        (int(receipt["effectiveGasPrice"], 16) - base_fee) * int(receipt["gasUsed"], 16)
        for receipt in call(pair, "eth_getBlockReceipts", (block.execution_hash,))
    )


def balance_wei(pair: Pair, address: str, block_number: int) -> int:
    """Balance of an account after a block."""
    return int(call(pair, "eth_getBalance", (address, hex(block_number))), 16)
