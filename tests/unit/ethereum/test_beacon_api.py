"""The Beacon API client on real answers of a client, and on answers that cannot be."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from stakewatch.ethereum.beacon_api import BeaconApi, Status
from stakewatch.ethereum.transport import Outcome, RequestError

from .conftest import SAMPLES, Handler, asking

PUBKEY = "0x" + "ab" * 48


def _answering(body: bytes, status: int = 200) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    return handler


def _sample(name: str) -> Any:  # noqa: ANN401 - JSON is of any type
    return json.loads((SAMPLES / name).read_bytes())


async def _refused(body: object, ask: Callable[[BeaconApi], Any]) -> str:
    async with asking(_answering(json.dumps(body).encode())) as asked:
        with pytest.raises(RequestError) as caught:
            await ask(BeaconApi(asked.transport))
        assert caught.value.outcome is Outcome.INVALID
        return caught.value.what


async def test_real_answers_are_read() -> None:
    answers = {
        "/eth/v1/node/version": "node_version.json",
        "/eth/v1/node/syncing": "node_syncing.json",
        "/eth/v1/node/peer_count": "node_peer_count.json",
        "/eth/v1/config/spec": "config_spec.json",
        "/eth/v1/config/fork_schedule": "fork_schedule.json",
        "/eth/v1/beacon/genesis": "genesis.json",
        "/eth/v1/beacon/headers/head": "headers_head.json",
        "/eth/v1/beacon/headers/61": "header_by_slot.json",
        "/eth/v1/beacon/states/head/finality_checkpoints": "finality_head.json",
        "/eth/v1/validator/duties/proposer/7": "duties_proposer_p0.json",
    }

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=(SAMPLES / answers[request.path]).read_bytes())

    async with asking(handler) as asked:
        api = BeaconApi(asked.transport)
        assert await api.version() == "Lodestar/v1.22.0"
        syncing = await api.syncing()
        assert (syncing.head_slot, syncing.is_syncing, syncing.execution_offline) == (62, False, False)
        assert await api.peer_count() == 1
        assert (await api.specification()).slots_per_epoch == 8
        schedule = await api.fork_schedule()
        assert schedule[-1] == ("0x04000001", 0)
        assert len(schedule) == 5
        genesis = await api.genesis()
        assert genesis.time_seconds == 1795253710
        head = await api.head(newest_slot=62)
        assert (head.slot, head.proposer_index) == (62, 53)
        header = await api.header_at(61)
        assert header is not None
        assert header.root == head.parent_root
        finality = await api.finality()
        assert (finality.finalized.epoch, finality.justified.epoch) == (5, 6)
        duties = await api.proposer_duties(7, slots_per_epoch=8)
        assert duties.proposers[56] == 43
        assert len(duties.proposers) == 8


async def test_a_real_block_gives_its_withdrawals_and_payload() -> None:
    root = "0x" + "11" * 32
    async with asking(_answering((SAMPLES / "block_v2_slot.json").read_bytes())) as asked:
        block = await BeaconApi(asked.transport).block(root)
    assert (block.root, block.slot, block.proposer_index, block.is_complete) == (root, 60, 23, True)
    assert block.withdrawals[0] == (14, 5247717)
    assert len(block.withdrawals) == 4
    assert block.deposits == ()
    assert block.payload is not None
    assert (block.payload.block_number, block.payload.base_fee_per_gas) == (60, 331504)


async def test_deposits_of_both_kinds_are_read() -> None:
    body = _sample("block_v2_slot.json")
    body["version"] = "electra"
    content = body["data"]["message"]["body"]
    content["deposits"] = [
        {"proof": [], "data": {"pubkey": PUBKEY.upper().replace("0X", "0x"), "amount": "5"}}
    ]
    content["execution_requests"] = {
        "deposits": [{"pubkey": PUBKEY, "amount": "7", "index": "0"}],
        "withdrawals": [],
        "consolidations": [],
    }
    async with asking(_answering(json.dumps(body).encode())) as asked:
        block = await BeaconApi(asked.transport).block("0x" + "11" * 32)
    assert block.deposits == ((PUBKEY, 5), (PUBKEY, 7))


async def test_a_block_of_an_unknown_fork_is_not_complete() -> None:
    body = _sample("block_v2_slot.json")
    body["version"] = "gloas"
    del body["data"]["message"]["body"]["execution_payload"]
    async with asking(_answering(json.dumps(body).encode())) as asked:
        block = await BeaconApi(asked.transport).block("0x" + "11" * 32)
    assert not block.is_complete
    assert block.payload is None


async def test_a_block_without_the_withdrawals_of_its_fork_is_refused() -> None:
    body = _sample("block_v2_slot.json")
    del body["data"]["message"]["body"]["execution_payload"]["withdrawals"]
    assert "without withdrawals" in await _refused(body, lambda api: api.block("0x" + "11" * 32))


async def test_a_block_that_moves_more_than_any_can_is_refused() -> None:
    body = _sample("block_v2_slot.json")
    move = {"index": "1", "validator_index": "1", "address": "0x" + "11" * 20, "amount": "1"}
    body["data"]["message"]["body"]["execution_payload"]["withdrawals"] = [move] * 1025
    assert "length <= 1024" in await _refused(body, lambda api: api.block("0x" + "11" * 32))


async def test_an_empty_slot_has_no_header() -> None:
    body = (SAMPLES / "header_missing_slot.json").read_bytes()
    async with asking(_answering(body, 404)) as asked:
        assert await BeaconApi(asked.transport).header_at(162) is None


async def test_a_header_of_another_slot_is_refused() -> None:
    assert "answered slot 61" in await _refused(_sample("header_by_slot.json"), lambda api: api.header_at(60))


async def test_a_head_in_the_future_is_refused() -> None:
    says = await _refused(_sample("headers_head.json"), lambda api: api.head(newest_slot=61))
    assert "at most 61" in says


async def test_a_finalised_epoch_newer_than_the_justified_one_is_refused() -> None:
    body = _sample("finality_head.json")
    body["data"]["finalized"]["epoch"] = "9"
    assert "newer than justified" in await _refused(body, lambda api: api.finality())


@pytest.mark.parametrize("value", [-1, "-1", "1e-3", 1.5, None, "0x10", True, [], {}, "9" * 60, "NaN", ""])
async def test_numbers_that_are_none_are_refused(value: object) -> None:
    body = _sample("node_syncing.json")
    body["data"]["head_slot"] = value
    await _refused(body, lambda api: api.syncing())


async def test_what_an_old_client_does_not_say_is_unknown() -> None:
    body = _sample("node_syncing.json")
    del body["data"]["el_offline"], body["data"]["is_optimistic"]
    async with asking(_answering(json.dumps(body).encode())) as asked:
        syncing = await BeaconApi(asked.transport).syncing()
    assert syncing.execution_offline is None
    assert syncing.is_optimistic is None


def _validator(index: int, pubkey: str = PUBKEY) -> dict[str, Any]:
    entry = _sample("validators_at_slot.json")["data"][0]
    entry["index"] = str(index)
    entry["validator"]["pubkey"] = pubkey
    return dict(entry)


async def test_validators_are_asked_by_post() -> None:
    bodies: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        assert request.method == "POST"
        bodies.append(await request.json())
        return web.json_response({"data": [_validator(4)]})

    async with asking(handler) as asked:
        found = await BeaconApi(asked.transport).validators("56", ["4", "0x" + "cd" * 48])
    assert bodies == [{"ids": ["4", "0x" + "cd" * 48]}]
    assert found[4].status is Status.ACTIVE_ONGOING
    assert found[4].balance == 32000033540
    assert found[4].exit_epoch == 2**64 - 1
    assert not found[4].is_slashed


async def test_a_client_without_post_is_asked_by_get_in_pieces_from_then_on() -> None:
    methods: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        methods.append(request.method)
        assert len(request.path_qs) < 4096
        if request.method == "POST":
            return web.json_response({"statusCode": 404, "error": "Not Found"}, status=404)
        ids = request.query.getall("id")
        return web.json_response({"data": [_validator(int(name)) for name in ids]})

    asked_for = [str(index) for index in range(1000, 2000)]
    async with asking(handler) as asked:
        api = BeaconApi(asked.transport)
        first = await api.validators("56", asked_for)
        assert sorted(first) == list(range(1000, 2000))
        assert methods[0] == "POST"
        assert methods.count("GET") >= 2
        methods.clear()
        await api.validators("64", asked_for)
        assert "POST" not in methods


async def test_nobody_is_asked_about_no_validators() -> None:
    async with asking(_answering(b"", 500)) as asked:
        assert await BeaconApi(asked.transport).validators("56", []) == {}
        assert asked.exchanges == []


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([_validator(4), _validator(4)], "twice"),
        ([_validator(5)], "not asked for"),
        ([{**_validator(4), "balance": "-3"}], "another form"),
        ([{**_validator(4), "balance": str(10**19)}], "another form"),
        ([{**_validator(4), "status": "happy"}], "another form"),
        ([_validator(4, "0x1234")], "another form"),
    ],
)
async def test_validators_that_cannot_be_are_refused(entries: list[object], says: str) -> None:
    other = "0x" + "cd" * 48
    for entry in entries:
        if isinstance(entry, dict) and entry["index"] == "5":
            entry["validator"]["pubkey"] = other
    assert says in await _refused({"data": entries}, lambda api: api.validators("56", ["4"]))


async def test_an_epoch_beyond_64_bits_is_refused() -> None:
    entry = _validator(4)
    entry["validator"]["exit_epoch"] = str(2**64)
    assert "64 bits" in await _refused({"data": [entry]}, lambda api: api.validators("56", ["4"]))


async def test_pending_deposits_are_added_up_by_key() -> None:
    data = [{"pubkey": PUBKEY, "amount": "3", "slot": "1"}, {"pubkey": PUBKEY, "amount": "4", "slot": "2"}]
    async with asking(_answering(json.dumps({"data": data}).encode())) as asked:
        assert await BeaconApi(asked.transport).pending_deposits("56") == {PUBKEY: 7}


REWARD = {
    "proposer_index": "9",
    "total": "60",
    "attestations": "50",
    "sync_aggregate": "10",
    "proposer_slashings": "0",
    "attester_slashings": "0",
}


async def test_the_reward_of_a_block_is_its_total() -> None:
    async with asking(_answering(json.dumps({"data": REWARD}).encode())) as asked:
        assert await BeaconApi(asked.transport).block_reward("0x11", proposer_index=9) == 60


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"proposer_index": "8"}, "block of 9"),
        ({"total": "61"}, "add up"),
        ({"total": "32000055900", "sync_aggregate": "32000055850"}, "more than a block can pay"),
        ({"total": "60.5"}, "another form"),
    ],
)
async def test_a_reward_that_cannot_be_is_refused(change: dict[str, str], says: str) -> None:
    body = {"data": {**REWARD, **change}}
    assert says in await _refused(body, lambda api: api.block_reward("0x11", proposer_index=9))


@pytest.mark.parametrize("epoch", [6, 8])
async def test_duties_of_another_epoch_are_refused(epoch: int) -> None:
    body = _sample("duties_proposer_p0.json")
    says = await _refused(body, lambda api: api.proposer_duties(epoch, slots_per_epoch=8))
    assert "another epoch" in says


async def test_two_proposers_in_one_slot_are_refused() -> None:
    body = _sample("duties_proposer_p0.json")
    body["data"].append(body["data"][0])
    assert "two proposers" in await _refused(body, lambda api: api.proposer_duties(7, slots_per_epoch=8))
