"""Attestations, slashings, exits, sync bits and consolidations in a block's JSON."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stakewatch.ethereum.beacon_block import Attestation, decode_block

ROOT = "0x" + "aa" * 32
SLASHED = {"attesting_indices": ["3", "5", "8"]}


@pytest.fixture
def answer(sample: Callable[[str], bytes]) -> dict[str, Any]:
    """Return the answer of a real client about a deneb block of slot 60."""
    content: dict[str, Any] = json.loads(sample("block_v2_slot.json"))
    return content


def _body(answer: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = answer["data"]["message"]["body"]
    return body


def test_a_real_blocks_attestations_are_read(answer: dict[str, Any]) -> None:
    block = decode_block(json.dumps(answer).encode(), ROOT)
    assert [(one.slot, one.committees, one.bits) for one in block.attestations] == [
        (59, (1,), b"\x1f"),
        (59, (0,), b"\x1f"),
    ]
    assert {one.target_epoch for one in block.attestations} == {7}
    assert block.sync_bits == b"\xff" * 4
    assert block.exits == block.proposer_slashings == block.attester_slashings == ()


def test_from_electra_the_committees_stand_in_bits(answer: dict[str, Any]) -> None:
    answer["version"] = "electra"
    first = _body(answer)["attestations"][0]
    first["data"]["index"] = "0"
    first["committee_bits"] = "0x0500000000000001"
    block = decode_block(json.dumps(answer).encode(), ROOT)
    assert block.attestations[0].committees == (0, 2, 56)
    assert isinstance(block.attestations[0], Attestation)


def test_slashed_is_who_stands_in_both_attestations(answer: dict[str, Any]) -> None:
    _body(answer)["attester_slashings"] = [
        {"attestation_1": SLASHED, "attestation_2": {"attesting_indices": ["5", "9", "3"]}}
    ]
    header = {"message": {"proposer_index": "17"}}
    _body(answer)["proposer_slashings"] = [{"signed_header_1": header, "signed_header_2": header}]
    _body(answer)["voluntary_exits"] = [{"message": {"epoch": "7", "validator_index": "21"}}]
    block = decode_block(json.dumps(answer).encode(), ROOT)
    assert block.attester_slashings == (3, 5)
    assert block.proposer_slashings == (17,)
    assert block.exits == (21,)


def test_consolidations_are_read_in_lower_case(answer: dict[str, Any]) -> None:
    answer["version"] = "electra"
    _body(answer)["execution_requests"] = {
        "deposits": [],
        "withdrawals": [],
        "consolidations": [
            {
                "source_address": "0x" + "AB" * 20,
                "source_pubkey": "0x" + "CD" * 48,
                "target_pubkey": "0x" + "EF" * 48,
            }
        ],
    }
    (only,) = decode_block(json.dumps(answer).encode(), ROOT).consolidations
    assert (only.source_address, only.source_pubkey) == ("0x" + "ab" * 20, "0x" + "cd" * 48)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"aggregation_bits": "1f"}, "hex"),
        ({"aggregation_bits": "0xzz"}, "hex"),
        ({"committee_bits": "0xq"}, "hex"),
    ],
)
def test_bits_that_are_none_are_refused(answer: dict[str, Any], change: dict[str, str], says: str) -> None:
    _body(answer)["attestations"][0].update(change)
    with pytest.raises(ValueError, match=says):
        decode_block(json.dumps(answer).encode(), ROOT)


@pytest.mark.parametrize("slot", ["60", "61"])
def test_an_attestation_to_a_slot_that_had_not_been_is_refused(answer: dict[str, Any], slot: str) -> None:
    _body(answer)["attestations"][0]["data"]["slot"] = slot
    with pytest.raises(ValueError, match="attestation of slot"):
        decode_block(json.dumps(answer).encode(), ROOT)
