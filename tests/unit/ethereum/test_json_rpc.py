"""The JSON-RPC client on real answers of a client, and on answers that cannot be."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from stakewatch.ethereum.json_rpc import ExecutionApi
from stakewatch.ethereum.transport import Outcome, RequestError

from .conftest import SAMPLES, Handler, asking

BLOCK_HASH = "0xee89564b2675236ff59a127c5e5e75e53893a33560e621d8699638ede5cd6626"


def _sample(name: str) -> Any:  # noqa: ANN401 - JSON is of any type
    return json.loads((SAMPLES / name).read_bytes())


def _replying(reply: dict[str, Any], *, identity: object = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response({**reply, "id": asked["id"] if identity is None else identity})

    return handler


async def _refused(reply: dict[str, Any], ask: Callable[[ExecutionApi], Awaitable[object]]) -> RequestError:
    async with asking(_replying(reply)) as asked:
        with pytest.raises(RequestError) as caught:
            await ask(ExecutionApi(asked.transport))
        return caught.value


async def test_real_answers_are_read() -> None:
    answers = {
        "eth_chainId": "el_eth_chainId___.json",
        "eth_syncing": "el_eth_syncing___.json",
        "eth_blockNumber": "el_eth_blockNumber___.json",
        "eth_getBlockByNumber": "el_eth_getBlockByNumber__finalized__false__.json",
        "eth_getBlockByHash": "el_eth_getBlockByNumber__0x3c__true__.json",
        "eth_getBlockReceipts": "el_eth_getBlockReceipts__0x3c___.json",
        "net_peerCount": "el_net_peerCount___.json",
        "web3_clientVersion": "el_web3_clientVersion___.json",
    }

    async def handler(request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response({**_sample(answers[asked["method"]]), "id": asked["id"]})

    async with asking(handler) as asked:
        api = ExecutionApi(asked.transport)
        assert await api.chain_id() == 3503995
        assert not (await api.syncing()).is_syncing
        assert await api.block_number() == 118
        block = await api.latest_block()
        assert (block.number, block.timestamp) == (96, 0x6B01668E)
        assert await api.peer_count() == 0
        assert await api.version() == "EthereumJS/0.10.5/linux/node20.20.2"
        transactions = await api.transactions(BLOCK_HASH)
        receipts = await api.receipts(BLOCK_HASH)
        assert [entry.transaction_hash for entry in transactions] == [
            entry.transaction_hash for entry in receipts
        ]
        assert transactions[0].value == 10**15
        assert receipts[0].gas_used == 21000
        assert receipts[0].effective_gas_price == 10**10


async def test_a_node_that_syncs_says_how_far_it_is() -> None:
    progress = {"startingBlock": "0x0", "currentBlock": "0x10", "highestBlock": "0x20", "extra": True}
    async with asking(_replying({"result": progress})) as asked:
        syncing = await ExecutionApi(asked.transport).syncing()
    assert syncing.is_syncing
    assert (syncing.current_block, syncing.highest_block) == (16, 32)


async def test_a_geth_before_its_first_block_is_syncing() -> None:
    async with asking(_replying({"result": {"currentBlock": "0x0", "highestBlock": "0x0"}})) as asked:
        assert (await ExecutionApi(asked.transport).syncing()).is_syncing


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (-32601, Outcome.HTTP_4XX),
        (-32602, Outcome.HTTP_4XX),
        (-32603, Outcome.HTTP_5XX),
        (-32000, Outcome.HTTP_5XX),
        (-32005, Outcome.RATE_LIMITED),
    ],
)
async def test_an_error_object_is_told_apart_by_its_code(code: int, outcome: Outcome) -> None:
    error = await _refused({"error": {"code": code, "message": "no\nway"}}, lambda api: api.chain_id())
    assert error.outcome is outcome
    assert "no way" in error.what
    assert error.where == "beacon-1 eth_chainId"


async def test_an_answer_to_another_request_is_refused() -> None:
    async with asking(_replying({"result": "0x1"}, identity=999)) as asked:
        with pytest.raises(RequestError) as caught:
            await ExecutionApi(asked.transport).chain_id()
    assert caught.value.outcome is Outcome.INVALID
    assert "request 999" in caught.value.what


@pytest.mark.parametrize(
    "result", ["1", 1, "0x", "0xzz", "-0x1", "0x-1", None, True, [], {}, "0x" + "f" * 64, "0x" + "f" * 80]
)
async def test_a_quantity_that_is_none_is_refused(result: object) -> None:
    error = await _refused({"result": result}, lambda api: api.peer_count())
    assert error.outcome is Outcome.INVALID


async def test_a_reply_with_neither_result_nor_error_is_refused() -> None:
    assert "neither" in (await _refused({}, lambda api: api.chain_id())).what


@pytest.mark.parametrize("result", [True, "0x1", None, {"currentBlock": "0x1"}])
async def test_a_syncing_answer_that_says_nothing_is_refused(result: object) -> None:
    assert (await _refused({"result": result}, lambda api: api.syncing())).outcome is Outcome.INVALID


async def test_an_unknown_block_is_refused() -> None:
    for ask in (
        lambda api: api.latest_block(),
        lambda api: api.transactions(BLOCK_HASH),
        lambda api: api.receipts(BLOCK_HASH),
    ):
        assert "does not know" in (await _refused({"result": None}, ask)).what


async def test_receipts_of_another_block_are_refused() -> None:
    reply = _sample("el_eth_getBlockReceipts__0x3c___.json")
    error = await _refused(reply, lambda api: api.receipts("0x" + "11" * 32))
    assert "another block" in error.what


async def test_transactions_of_another_block_are_refused() -> None:
    reply = _sample("el_eth_getBlockByNumber__0x3c__true__.json")
    error = await _refused(reply, lambda api: api.transactions("0x" + "11" * 32))
    assert "another block" in error.what


async def test_a_contract_creation_has_no_recipient() -> None:
    reply = _sample("el_eth_getBlockByNumber__0x3c__true__.json")
    reply["result"]["transactions"][0]["to"] = None
    async with asking(_replying(reply)) as asked:
        transactions = await ExecutionApi(asked.transport).transactions(BLOCK_HASH)
    assert transactions[0].recipient is None


async def test_what_could_steer_a_terminal_is_taken_out_of_a_version_and_a_refusal() -> None:
    reply = {"jsonrpc": "2.0", "result": "Geth\n\x1b]0;owned\x07/v1 \u202e"}
    async with asking(_replying(reply)) as asked:
        assert await ExecutionApi(asked.transport).version() == "Geth ?]0;owned?/v1 ?"
    refusal = {"jsonrpc": "2.0", "error": {"code": -32000, "message": "no\x1b[2J\nheader"}}
    assert "no?[2J header" in (await _refused(refusal, ExecutionApi.version)).what


async def test_a_header_that_is_far_too_large_is_refused() -> None:
    reply = _sample("el_eth_getBlockByNumber__finalized__false__.json")
    reply["result"]["extraData"] = "0x" + "00" * 2_100_000
    assert "larger than" in (await _refused(reply, ExecutionApi.latest_block)).what
