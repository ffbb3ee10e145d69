"""A fleet on real sockets: how its servers fail, come back, and what that does to the keys."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from stakewatch.bundle.configuration import load_configuration
from stakewatch.errors import InputError, StakewatchError
from stakewatch.simulator.chain import Result
from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.plan import DEMO

GENESIS = "/eth/v1/beacon/genesis"
SMALL_DEMO = msgspec.structs.replace(DEMO, validators=1200)


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(SMALL_DEMO, clock="hand") as fleet:
        yield fleet


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        yield session


async def get(session: aiohttp.ClientSession, fleet: Fleet, instance: str) -> tuple[int, bytes]:
    async with session.get(fleet.apis[instance].url + GENESIS) as response:
        return response.status, await response.read()


@pytest.mark.parametrize(("fault", "status"), [("http_500", 500), ("http_404", 404), ("http_429", 429)])
async def test_an_api_that_refuses_does_so_until_it_is_mended(
    fleet: Fleet, session: aiohttp.ClientSession, fault: str, status: int
) -> None:
    await fleet.inject(fault, instance="beacon-1")
    assert (await get(session, fleet, "beacon-1"))[0] == status
    assert (await get(session, fleet, "beacon-2"))[0] == 200
    await fleet.clear()
    assert (await get(session, fleet, "beacon-1"))[0] == 200


async def test_429_says_when_to_come_back(fleet: Fleet, session: aiohttp.ClientSession) -> None:
    await fleet.inject("http_429", instance="execution-1", retry_after_seconds=7)
    async with session.post(fleet.apis["execution-1"].url, json={}) as response:
        assert response.headers["Retry-After"] == "7"


async def test_a_web_page_comes_with_200(fleet: Fleet, session: aiohttp.ClientSession) -> None:
    await fleet.inject("html", instance="beacon-1")
    status, body = await get(session, fleet, "beacon-1")
    assert status == 200
    assert body.startswith(b"<!DOCTYPE html>")


async def test_a_truncated_answer_breaks_off_before_its_promised_length(
    fleet: Fleet, session: aiohttp.ClientSession
) -> None:
    await fleet.inject("truncated", instance="beacon-1")
    with pytest.raises(aiohttp.ClientPayloadError):
        await get(session, fleet, "beacon-1")


async def test_wrong_types_are_json_of_the_same_form_with_other_values(
    fleet: Fleet, session: aiohttp.ClientSession
) -> None:
    _, right = await get(session, fleet, "beacon-1")
    await fleet.inject("wrong_types", instance="beacon-1")
    seen = set()
    for _ in range(12):
        status, body = await get(session, fleet, "beacon-1")
        data, good = msgspec.json.decode(body)["data"], msgspec.json.decode(right)["data"]
        assert status == 200
        assert data.keys() == good.keys()
        assert data["genesis_time"] != good["genesis_time"]
        seen.add(type(data["genesis_time"]))
    assert len(seen) > 4


async def test_a_hanging_node_never_answers_and_stops_at_once(
    fleet: Fleet, session: aiohttp.ClientSession
) -> None:
    await fleet.inject("hang", instance="beacon-1")
    with pytest.raises(TimeoutError):
        async with session.get(
            fleet.apis["beacon-1"].url + GENESIS, timeout=aiohttp.ClientTimeout(total=0.3)
        ):
            pytest.fail("it answered")
    waiting = asyncio.create_task(get(session, fleet, "beacon-1"))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await fleet.inject("down", instance="beacon-1")
    assert time.monotonic() - began < 1
    with pytest.raises(aiohttp.ClientError):
        await waiting


async def test_a_slow_node_answers_right_but_late(fleet: Fleet, session: aiohttp.ClientSession) -> None:
    await fleet.inject("slow", instance="beacon-1", seconds=0.3)
    began = time.monotonic()
    assert (await get(session, fleet, "beacon-1"))[0] == 200
    assert time.monotonic() - began >= 0.3


async def test_a_dead_process_refuses_connections_and_comes_back_on_its_port(
    fleet: Fleet, session: aiohttp.ClientSession
) -> None:
    url, metrics = fleet.apis["beacon-1"].url, fleet.metrics["beacon-1"].url
    await get(session, fleet, "beacon-1")
    await fleet.inject("down", instance="beacon-1")
    for address in (url + GENESIS, f"{metrics}/metrics"):
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(address)
    await fleet.clear("down", "beacon-1")
    assert fleet.apis["beacon-1"].url == url
    assert (await get(session, fleet, "beacon-1"))[0] == 200
    async with session.get(f"{metrics}/metrics") as response:
        assert b"beacon_head_slot" in await response.read()


async def test_another_networks_node_answers_well_about_another_chain(
    fleet: Fleet, session: aiohttp.ClientSession
) -> None:
    await fleet.inject("other_network", instance="beacon-1")
    await fleet.inject("other_network", instance="execution-1")
    _, ours = await get(session, fleet, "beacon-2")
    _, theirs = await get(session, fleet, "beacon-1")
    own, foreign = msgspec.json.decode(ours)["data"], msgspec.json.decode(theirs)["data"]
    assert own["genesis_validators_root"] != foreign["genesis_validators_root"]
    fleet.advance_to(fleet.chain.slot + 3)
    assert fleet.view("beacon-1").head_block.root != fleet.view("beacon-2").head_block.root
    assert fleet.view("beacon-1").chain.slot == fleet.chain.slot
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    async with session.post(fleet.apis["execution-1"].url, json=call) as response:
        assert (await response.json())["result"] != hex(fleet.chain.parameters.chain_id)


async def test_keys_of_a_client_without_backup_lose_when_its_beacon_node_dies(fleet: Fleet) -> None:
    first = fleet.chain.epoch_of(fleet.chain.slot)
    slots = fleet.chain.preset.slots_per_epoch
    await fleet.inject("down", instance="beacon-2")
    fleet.advance_to(fleet.chain.first_slot(first + 4))
    earned = fleet.truth.earned_by_all(first + 3, first + 4)
    assert (earned[500:800] < 0).all()
    assert (earned[:500] > 0).all()
    assert (earned[800:1000] > 0).all()
    await fleet.clear()
    fleet.advance_to(fleet.chain.slot + 4 * slots)
    assert (fleet.truth.earned_by_all(first + 7, first + 8)[500:800] > 0).all()


async def test_a_dead_execution_node_freezes_its_beacon_nodes_head_and_the_other_way_round(
    fleet: Fleet,
) -> None:
    await fleet.inject("down", instance="execution-3")
    await fleet.inject("down", instance="beacon-1")
    before = fleet.chain.slot
    fleet.advance_to(before + 5)
    assert fleet.view("beacon-3").head_block.slot <= before
    assert fleet.view("beacon-3").execution_offline
    assert fleet.view("execution-1").head_block.slot <= before
    assert fleet.view("execution-2").head_block.slot > before
    await fleet.clear()
    assert fleet.view("beacon-3").head_block.slot > before
    assert not fleet.view("beacon-3").execution_offline


@pytest.mark.parametrize(
    ("fault", "result"), [("missed_proposal", Result.MISSED), ("orphaned_proposal", Result.ORPHANED)]
)
async def test_the_next_proposal_of_a_group_can_fail(fleet: Fleet, fault: str, result: Result) -> None:
    begin = fleet.chain.slot
    await fleet.inject(fault, group="delta")
    fleet.advance_to(begin + 200)
    results = [
        one.result for one in fleet.truth.proposals(begin + 2, begin + 199, fleet.plan.indices("delta"))
    ]
    assert results[0] is result
    assert set(results[1:]) == {Result.PROPOSED}


async def test_lost_finality_stops_and_comes_back(fleet: Fleet) -> None:
    await fleet.inject("finality_lost", share=1.0)
    # In this plan the network at large is small, so most watched keys have to go as well.
    await fleet.inject("keys_offline", share=0.5)
    fleet.advance_to(fleet.chain.slot + 80)
    assert fleet.view("beacon-1").epoch.inactivity_leak
    frozen = fleet.view("beacon-1").epoch.finalized.epoch
    await fleet.clear()
    fleet.advance_to(fleet.chain.slot + 40)
    assert fleet.view("beacon-1").epoch.finalized.epoch > frozen


async def test_the_configuration_is_one_that_stakewatch_accepts(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "stakewatch.yaml"
    for folder in (None, tmp_path):
        file.write_text(fleet.configuration_text(folder), encoding="utf-8")
        configuration = load_configuration(file)
        assert {node.instance: node.url for node in configuration.nodes} == fleet.urls
        assert {group.name: group.keys for group in configuration.groups} == {
            group.name: fleet.keys(group.name) for group in fleet.plan.groups
        }
        index = fleet.plan.indices("delta")[0]
        (delta,) = (group for group in configuration.groups if group.name == "delta")
        assert delta.fee_recipients == (fleet.chain.fee_recipient(index),)


async def test_the_real_clock_moves_the_chain_slot_by_slot() -> None:
    async with Fleet(SMALL_DEMO) as fleet:
        before = fleet.chain.slot
        await asyncio.sleep(2.2)
        assert 1 <= fleet.chain.slot - before <= 3
        expected = fleet.chain.slot_at(time.time() - 0.1)
        assert abs(fleet.chain.slot - expected) <= 1


async def test_a_clock_that_dies_is_noticed_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(SMALL_DEMO)

    def explode(slot: int) -> None:
        raise ArithmeticError(f"slot {slot}")

    await fleet.__aenter__()
    monkeypatch.setattr(fleet, "advance_to", explode)
    await asyncio.wait_for(fleet.failed.wait(), 3)
    with pytest.raises(ArithmeticError, match="slot "):
        await fleet.__aexit__(None, None, None)
    assert not any(server.is_running for server in fleet.servers)


async def test_an_unknown_fault_changes_nothing(fleet: Fleet) -> None:
    with pytest.raises(InputError):
        await fleet.inject("down", instance="nobody")
    assert all(server.is_running for server in fleet.servers)


async def test_every_server_listens_on_loopback_only(fleet: Fleet) -> None:
    assert len(fleet.servers) == 8 + 11 + 3 + 1
    assert {server.address.split(":")[0] for server in fleet.servers} == {"127.0.0.1"}
    assert len({server.port for server in fleet.servers}) == len(fleet.servers)


async def test_a_node_whose_head_froze_long_ago_still_answers(
    session: aiohttp.ClientSession,
) -> None:
    async with Fleet(SMALL_DEMO, clock="hand") as fleet:
        await fleet.inject("down", instance="execution-3")
        await fleet.inject("syncing", instance="beacon-4", distance=10**6)
        fleet.advance_to(fleet.chain.slot + 8 * 300)
        for instance in ("beacon-3", "beacon-4"):
            for path, statuses in {
                "/eth/v1/node/syncing": {200},
                "/eth/v1/beacon/headers/head": {200},
                "/eth/v1/beacon/headers/finalized": {200},
                "/eth/v1/beacon/states/head/finality_checkpoints": {200, 404},
                "/eth/v1/beacon/states/head/validators?id=1": {200, 404},
                "/eth/v2/beacon/blocks/head": {200},
            }.items():
                async with session.get(fleet.apis[instance].url + path) as response:
                    assert response.status in statuses, (instance, path)
            async with session.get(f"{fleet.metrics[instance].url}/metrics") as response:
                assert response.status == 200


async def test_a_port_that_somebody_took_is_said_and_not_a_crash(fleet: Fleet) -> None:
    await fleet.inject("down", instance="beacon-1")
    taken = socket.create_server(("127.0.0.1", fleet.apis["beacon-1"].port))
    with taken, pytest.raises(StakewatchError, match="cannot listen"):
        await fleet.clear()
    await fleet.clear()
    assert fleet.apis["beacon-1"].is_running
