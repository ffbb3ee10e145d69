"""The simulated JSON-RPC interface against the answers of a real client, and against the chain."""

import json
from pathlib import Path

import pytest

from stakewatch.simulator.blocks import Source
from tests.unit.simulator.shapes import differences, shape
from tests.unit.simulator.small import Asker

SAMPLES = Path(__file__).parents[2] / "samples" / "beacon-api"


def real(name: str) -> object:
    content = json.loads((SAMPLES / f"el_{name}.json").read_text(encoding="utf-8"))
    return content.get("result", content.get("error"))


@pytest.mark.parametrize(
    ("sample", "method", "parameters"),
    [
        ("eth_chainId___", "eth_chainId", []),
        ("eth_blockNumber___", "eth_blockNumber", []),
        ("eth_syncing___", "eth_syncing", []),
        ("net_peerCount___", "net_peerCount", []),
        ("net_version___", "net_version", []),
        ("web3_clientVersion___", "web3_clientVersion", []),
        ("eth_getBlockByNumber__0x3c__true__", "eth_getBlockByNumber", ["latest", True]),
        ("eth_getBlockByNumber__finalized__false__", "eth_getBlockByNumber", ["finalized", False]),
        ("eth_getBlockByNumber__safe__false__", "eth_getBlockByNumber", ["safe", False]),
        ("eth_getBlockReceipts__0x3c___", "eth_getBlockReceipts", ["latest"]),
        ("eth_nonsense___", "eth_nonsense", []),
    ],
)
async def test_an_answer_has_the_shape_of_the_real_one(
    ask: Asker, sample: str, method: str, parameters: list[object]
) -> None:
    answer = await ask.call("execution-1", method, parameters)
    assert differences(shape(real(sample)), shape(answer)) == []


async def test_tips_by_receipts_are_the_reward_of_a_local_payload(ask: Asker) -> None:
    chain = ask.fleet.chain
    proposals = [one for one in ask.fleet.truth.proposals(1, chain.slot) if one.source is Source.LOCAL]
    assert proposals
    for proposal in proposals:
        payload = chain.block_at_or_before(proposal.slot).payload
        block = await ask.call("execution-1", "eth_getBlockByHash", [payload.block_hash, False])
        receipts = await ask.call("execution-1", "eth_getBlockReceipts", [payload.block_hash])
        assert isinstance(block, dict)
        assert isinstance(receipts, list)
        base_fee = int(block["baseFeePerGas"], 16)
        tips = sum(
            (int(receipt["effectiveGasPrice"], 16) - base_fee) * int(receipt["gasUsed"], 16)
            for receipt in receipts
        )
        assert tips == proposal.execution_reward
        assert block["miner"] == chain.fee_recipient(proposal.validator_index)


async def test_a_builders_payment_is_a_transaction_from_the_coinbase_to_the_proposer(ask: Asker) -> None:
    chain = ask.fleet.chain
    proposal = next(one for one in ask.fleet.truth.proposals(1, chain.slot) if one.source is Source.BUILDER)
    payload = chain.block_at_or_before(proposal.slot).payload
    block = await ask.call("execution-1", "eth_getBlockByHash", [payload.block_hash, True])
    assert isinstance(block, dict)
    ours = chain.fee_recipient(proposal.validator_index)
    paid = [
        int(transaction["value"], 16)
        for transaction in block["transactions"]
        if transaction["from"] == block["miner"] and transaction["to"] == ours
    ]
    assert paid == [proposal.execution_reward]


async def test_what_nobody_knows_is_null(ask: Asker) -> None:
    assert await ask.call("execution-1", "eth_getBlockByNumber", ["0xffffff", False]) is None
    assert await ask.call("execution-1", "eth_getBlockByHash", ["0x" + "00" * 32, False]) is None
    assert await ask.call("execution-1", "eth_getBlockReceipts", ["0x" + "00" * 32]) is None


@pytest.mark.parametrize(
    "parameters", [[], ["latest"], [1, True], ["pending", True], ["0xzz", True], [None, 3]]
)
async def test_wrong_arguments_get_an_error_object(ask: Asker, parameters: list[object]) -> None:
    answer = await ask.call("execution-1", "eth_getBlockByNumber", [parameters])
    assert isinstance(answer, dict)
    assert answer["code"] == -32602


async def test_batches_are_answered_one_by_one_and_nonsense_with_errors(ask: Asker) -> None:
    batch = await ask.post(
        "execution-1",
        "/",
        [
            {"jsonrpc": "2.0", "id": 7, "method": "eth_chainId", "params": []},
            {"jsonrpc": "2.0", "id": 8, "method": "nope", "params": []},
            "nonsense",
        ],
    )
    answers = batch.json()
    assert isinstance(answers, list)
    assert [answer["id"] for answer in answers] == [7, 8, None]
    assert "result" in answers[0]
    assert [answer["error"]["code"] for answer in answers[1:]] == [-32601, -32600]
    empty = (await ask.post("execution-1", "/", [])).json()
    assert isinstance(empty, dict)
    assert empty["error"]["code"] == -32600
    async with ask.session.post(ask.fleet.apis["execution-1"].url, data=b"{") as response:
        assert (await response.json())["error"]["code"] == -32700


async def test_a_syncing_node_answers_an_object_with_its_blocks(ask: Asker) -> None:
    await ask.fleet.inject("syncing", instance="execution-1", distance=20)
    answer = await ask.call("execution-1", "eth_syncing", [])
    assert isinstance(answer, dict)
    assert int(answer["currentBlock"], 16) < int(answer["highestBlock"], 16)
    number = await ask.call("execution-1", "eth_blockNumber", [])
    assert number == answer["currentBlock"]


async def test_a_node_does_not_know_blocks_after_its_frozen_head(ask: Asker) -> None:
    await ask.fleet.inject("frozen_head", instance="execution-1")
    before = await ask.call("execution-1", "eth_blockNumber", [])
    ask.fleet.advance_to(ask.fleet.chain.slot + 4)
    assert await ask.call("execution-1", "eth_blockNumber", []) == before
    newest = ask.fleet.chain.block_at_or_before(ask.fleet.chain.slot).payload
    assert await ask.call("execution-1", "eth_getBlockByHash", [newest.block_hash, False]) is None
    assert await ask.call("execution-2", "eth_getBlockByHash", [newest.block_hash, False]) is not None
