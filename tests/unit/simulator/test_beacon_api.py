"""The simulated Beacon API against the answers of a real client, and against the chain."""

import json
from pathlib import Path

import pytest

from stakewatch.simulator.chain import FULL_BALANCE, Result
from tests.unit.simulator.shapes import differences, shape
from tests.unit.simulator.small import Asker

SAMPLES = Path(__file__).parents[2] / "samples" / "beacon-api"


def real(name: str) -> object:
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("sample", "path"),
    [
        ("node_version", "/eth/v1/node/version"),
        ("node_syncing", "/eth/v1/node/syncing"),
        ("node_peer_count", "/eth/v1/node/peer_count"),
        ("config_spec", "/eth/v1/config/spec"),
        ("fork_schedule", "/eth/v1/config/fork_schedule"),
        ("genesis", "/eth/v1/beacon/genesis"),
        ("headers_head", "/eth/v1/beacon/headers/head"),
        ("header_by_slot", "/eth/v1/beacon/headers/40"),
        ("block_root", "/eth/v1/beacon/blocks/head/root"),
        ("block_v2_slot", "/eth/v2/beacon/blocks/40"),
        ("finality_head", "/eth/v1/beacon/states/head/finality_checkpoints"),
        ("finality_finalized", "/eth/v1/beacon/states/finalized/finality_checkpoints"),
        ("validators_get_ids", "/eth/v1/beacon/states/head/validators?id=0,1"),
        ("validators_get_repeat", "/eth/v1/beacon/states/head/validators?id=0&id=1"),
        ("validators_get_unknown", "/eth/v1/beacon/states/head/validators?id=9999"),
        ("validators_get_status_bad", "/eth/v1/beacon/states/head/validators?status=nonsense"),
        ("validator_one", "/eth/v1/beacon/states/head/validators/3"),
        ("committees", "/eth/v1/beacon/states/head/committees"),
        ("duties_proposer_p0", "/eth/v1/validator/duties/proposer/6"),
        ("header_missing_slot", "/eth/v1/beacon/headers/162"),
        ("block_v2_missing", "/eth/v2/beacon/blocks/162"),
        ("validator_one_404", "/eth/v1/beacon/states/head/validators/9999"),
        ("bad_state", "/eth/v1/beacon/states/xyz/validators"),
        ("duties_proposer_p2", "/eth/v1/validator/duties/proposer/9"),
        ("unknown_route", "/eth/v1/beacon/none"),
    ],
)
async def test_an_answer_has_the_shape_of_the_real_one(ask: Asker, sample: str, path: str) -> None:
    ask.fleet.advance_to(52)
    ask.fleet.chain.slots[40].block = ask.fleet.chain.slots[40].block or ask.fleet.chain.genesis_block
    answer = await ask.get("beacon-1", path)
    assert differences(shape(real(sample)), shape(answer.json())) == []
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Date" in answer.headers
    content = real(sample)
    assert isinstance(content, dict)
    assert answer.status == content.get("code", 200)


async def test_posted_questions_have_the_shape_of_the_real_answers(ask: Asker) -> None:
    validators = await ask.post("beacon-1", "/eth/v1/beacon/states/head/validators", {"ids": ["0", "1"]})
    assert differences(shape(real("validators_post_ongoing")), shape(validators.json())) == []
    balances = await ask.post("beacon-1", "/eth/v1/beacon/states/head/validator_balances", ["0", "1"])
    assert differences(shape(real("balances_post")), shape(balances.json())) == []
    bad = await ask.post("beacon-1", "/eth/v1/beacon/states/head/validators", [])
    assert (bad.status, shape(bad.json())) == (400, shape(real("bad_json")))


async def test_the_specification_of_the_minimal_preset_has_the_values_of_a_real_client(ask: Asker) -> None:
    answer = await ask.get("beacon-1", "/eth/v1/config/spec")
    ours, theirs = answer.data, real("config_spec")
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    differing = {key for key, value in theirs["data"].items() if ours[key] != value}
    named = {"CONFIG_NAME", "SECONDS_PER_SLOT", "MIN_GENESIS_TIME", "MIN_WITHDRAWABILITY_DELAY"}
    assert {key for key in differing - named if not key.endswith(("_VERSION", "_EPOCH"))} == set()


async def test_balances_of_the_api_are_those_of_the_truth(ask: Asker) -> None:
    ask.fleet.advance_to(66)
    answer = await ask.post(
        "beacon-1", "/eth/v1/beacon/states/64/validators", {"ids": list(ask.fleet.keys("alpha"))}
    )
    if ask.fleet.chain.slots[66].block is None:
        pytest.fail("this seed is expected to have a block in slot 66")
    assert isinstance(answer.data, list)
    told = {int(entry["index"]): int(entry["balance"]) for entry in answer.data}
    assert told == {index: ask.fleet.truth.balance(index, 8) for index in range(20)}


async def test_rewards_withdrawals_and_proposers_are_those_of_the_chain(ask: Asker) -> None:
    chain = ask.fleet.chain
    block = chain.block_at_or_before(chain.slot)
    rewards = (await ask.get("beacon-1", f"/eth/v1/beacon/rewards/blocks/{block.root}")).data
    assert isinstance(rewards, dict)
    assert int(rewards["total"]) == block.consensus_reward
    assert int(rewards["attestations"]) + int(rewards["sync_aggregate"]) == block.consensus_reward
    body = (await ask.get("beacon-1", "/eth/v2/beacon/blocks/head")).data
    assert isinstance(body, dict)
    payload = body["message"]["body"]["execution_payload"]
    paid = {int(one["validator_index"]): int(one["amount"]) for one in payload["withdrawals"]}
    assert paid == {one.validator_index: one.amount for one in block.payload.withdrawals}
    duties = (await ask.get("beacon-1", "/eth/v1/validator/duties/proposer/6")).data
    assert isinstance(duties, list)
    assert [int(duty["validator_index"]) for duty in duties] == list(chain.proposers(6))


async def test_a_missed_slot_has_no_block_but_a_state(ask: Asker) -> None:
    ask.fleet.chain.miss_proposal(50)
    ask.fleet.advance_to(52)
    assert ask.fleet.chain.slots[50].result is Result.MISSED
    for path in ("/eth/v1/beacon/headers/50", "/eth/v2/beacon/blocks/50", "/eth/v1/beacon/rewards/blocks/50"):
        assert (await ask.get("beacon-1", path)).status == 404
    assert (await ask.get("beacon-1", "/eth/v1/beacon/states/50/validators?id=0")).status == 200


async def test_a_state_after_the_head_is_not_found(ask: Asker) -> None:
    ask.fleet.chain.miss_proposal(50)
    ask.fleet.advance_to(50)
    assert (await ask.get("beacon-1", "/eth/v1/beacon/states/50/validators?id=0")).status == 404
    assert (await ask.get("beacon-1", "/eth/v1/beacon/states/49/validators?id=0")).status == 200


async def test_an_orphaned_block_is_found_by_its_root_only_and_not_canonical(ask: Asker) -> None:
    chain = ask.fleet.chain
    proposer = chain.proposers(6)[2]
    assert not chain.offline[proposer]
    chain.orphan_proposal(50)
    ask.fleet.advance_to(52)
    orphan = chain.slots[50].orphan
    assert orphan is not None
    header = (await ask.get("beacon-1", f"/eth/v1/beacon/headers/{orphan.root}")).data
    assert isinstance(header, dict)
    assert header["canonical"] is False
    assert (await ask.get("beacon-1", "/eth/v1/beacon/headers/50")).status == 404


async def test_filters_by_status_key_and_index_work_together(ask: Asker) -> None:
    chain = ask.fleet.chain
    chain.exit(3)
    ask.fleet.advance_to(120)
    key = ask.fleet.keys("alpha")[5]
    path = "/eth/v1/beacon/states/head/validators"
    for query, indices in {
        f"?id={key},4": ["5", "4"],
        f"?id={key.upper().replace('0X', '0x')}": ["5"],
        "?id=3,4&status=active_ongoing": ["4"],
        "?id=3,4&status=active": ["4"],
        "?id=3,4&status=exited,withdrawal": ["3"],
        f"?id=0x{'00' * 48}": [],
    }.items():
        answer = await ask.get("beacon-1", path + query)
        assert isinstance(answer.data, list)
        assert [entry["index"] for entry in answer.data] == indices, query


@pytest.mark.parametrize("name", ["-1", "1e3", "99999999999999999999999", "²", "%00", "0x12", "head;x"])
async def test_a_hostile_id_is_refused_or_not_found_and_never_an_error(ask: Asker, name: str) -> None:
    for path in (f"/eth/v1/beacon/headers/{name}", f"/eth/v1/beacon/states/{name}/validators"):
        assert (await ask.get("beacon-1", path)).status in {400, 404}


async def test_lodestar_lacks_what_the_real_1_5_1_lacks(ask: Asker) -> None:
    post = await ask.post("beacon-3", "/eth/v1/beacon/states/head/validators", {"ids": ["0"]})
    assert post.status in {404, 405}
    refused = await ask.get("beacon-3", "/eth/v1/beacon/headers/999")
    assert set(json.loads(refused.content)) == {"statusCode", "error", "message"}
    assert (await ask.get("beacon-3", "/eth/v1/beacon/rewards/blocks/head")).status == 404
    syncing = (await ask.get("beacon-3", "/eth/v1/node/syncing")).data
    assert isinstance(syncing, dict)
    assert "el_offline" not in syncing
    header = await ask.get("beacon-3", "/eth/v1/beacon/headers/head")
    assert "finalized" not in json.loads(header.content)
    assert not any(name.startswith("Eth-") for name in header.headers)
    listed = await ask.get("beacon-3", "/eth/v1/beacon/states/head/validators?status=active")
    assert listed.data == []
    repeated = await ask.get("beacon-3", "/eth/v1/beacon/states/head/validators?id=0&id=1")
    assert isinstance(repeated.data, list)
    assert len(repeated.data) == 2


async def test_the_genesis_block_can_be_asked_for(ask: Asker) -> None:
    header = (await ask.get("beacon-1", "/eth/v1/beacon/headers/genesis")).data
    assert isinstance(header, dict)
    assert header["header"]["message"]["slot"] == "0"


async def test_a_frozen_node_knows_nothing_newer_and_still_says_that_it_is_synced(ask: Asker) -> None:
    await ask.fleet.inject("frozen_head", instance="beacon-1")
    frozen_at = ask.fleet.chain.slot
    ask.fleet.advance_to(frozen_at + 5)
    syncing = (await ask.get("beacon-1", "/eth/v1/node/syncing")).data
    assert isinstance(syncing, dict)
    assert int(syncing["head_slot"]) <= frozen_at
    assert (syncing["is_syncing"], syncing["sync_distance"]) == (False, "0")
    assert (await ask.get("beacon-1", f"/eth/v1/beacon/headers/{frozen_at + 2}")).status == 404
    other = (await ask.get("beacon-2", "/eth/v1/node/syncing")).data
    assert isinstance(other, dict)
    assert int(other["head_slot"]) > frozen_at
    ask.fleet.advance_to(frozen_at + 12)
    later = (await ask.get("beacon-1", "/eth/v1/node/syncing")).data
    assert isinstance(later, dict)
    assert later["is_syncing"] is True


async def test_a_syncing_node_says_how_far_it_is_behind(ask: Asker) -> None:
    await ask.fleet.inject("syncing", instance="beacon-1", distance=30)
    syncing = (await ask.get("beacon-1", "/eth/v1/node/syncing")).data
    assert isinstance(syncing, dict)
    assert syncing["is_syncing"] is True
    assert int(syncing["sync_distance"]) >= 30
    assert (await ask.get("beacon-1", "/eth/v1/node/health")).status == 206


async def test_a_sweep_lowers_the_balances_that_the_api_tells(ask: Asker) -> None:
    await ask.fleet.inject("withdrawal_sweep")
    ask.fleet.advance_to(ask.fleet.chain.slot + 3)
    answer = await ask.get("beacon-1", "/eth/v1/beacon/states/head/validators?id=1")
    assert isinstance(answer.data, list)
    assert int(answer.data[0]["balance"]) - FULL_BALANCE < 1_000_000
