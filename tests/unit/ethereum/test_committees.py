"""Committees of an epoch from a node's answer, and who an attestation speaks for."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from stakewatch.ethereum.beacon_block import Attestation
from stakewatch.ethereum.committees import Committees, bitvector, decode_committees

ROOT = "0x" + "aa" * 32


def _answer(committees: dict[tuple[int, int], object]) -> bytes:
    """Return an answer with the members of each (slot, index)."""
    return json.dumps(
        {
            "data": [
                {"slot": str(slot), "index": str(index), "validators": members}
                for (slot, index), members in committees.items()
            ]
        }
    ).encode()


def _committees() -> Committees:
    """Return epoch 2 of two slots with two committees each."""
    content = _answer({(4, 0): ["7", "3"], (4, 1): ["5"], (5, 0): ["1", "0"], (5, 1): ["2", "9", "8"]})
    return decode_committees(content, epoch=2, slots_per_epoch=2)


def _attestation(slot: int, committees: tuple[int, ...], present: str) -> Attestation:
    """Return an attestation; `present` has 1 or 0 for each member."""
    bits = np.packbits([*map(int, present), 1], bitorder="little").tobytes()
    return Attestation(slot, committees, bits, ROOT, 2, ROOT)


def test_a_real_answer_is_read(sample: Callable[[str], bytes]) -> None:
    committees = decode_committees(sample("committees.json"), epoch=7, slots_per_epoch=8)
    assert sorted(committees.members.tolist()) == list(range(64))
    assert committees.bounds.shape == (8, 3)


def test_before_electra_an_attestation_speaks_for_one_committee() -> None:
    assert _committees().attesters(_attestation(4, (0,), "10")).tolist() == [7]
    assert _committees().attesters(_attestation(5, (1,), "011")).tolist() == [9, 8]


def test_from_electra_an_attestation_speaks_for_several_committees() -> None:
    both = _attestation(5, (0, 1), "10011")
    assert _committees().attesters(both).tolist() == [1, 9, 8]


def test_committees_that_are_not_neighbours_are_put_together() -> None:
    content = _answer({(0, 0): ["1"], (0, 1): ["2", "3"], (0, 2): ["4"]})
    committees = decode_committees(content, epoch=0, slots_per_epoch=1)
    assert committees.attesters(_attestation(0, (0, 2), "11")).tolist() == [1, 4]


def test_eight_members_need_a_byte_more_for_the_end() -> None:
    members = [str(index) for index in range(8)]
    committees = decode_committees(_answer({(0, 0): members}), epoch=0, slots_per_epoch=1)
    assert committees.attesters(_attestation(0, (0,), "1" * 8)).tolist() == list(range(8))


@pytest.mark.parametrize(
    "bits",
    [b"", b"\x00", b"\x01", b"\x0e", b"\x04\x00", b"\x02\x01"],
    ids=["none", "no end", "end too early", "end too late", "byte behind", "end in another byte"],
)
def test_bits_of_another_length_are_refused(bits: bytes) -> None:
    with pytest.raises(ValueError, match="bits"):
        _committees().attesters(Attestation(4, (0,), bits, ROOT, 2, ROOT))


@pytest.mark.parametrize("committees", [(), (2,), (0, 7)])
def test_a_committee_that_is_not_there_is_refused(committees: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="committees"):
        _committees().attesters(_attestation(4, committees, "1"))


@pytest.mark.parametrize(
    "committees",
    [
        {},
        {(4, 0): ["1"]},
        {(4, 0): ["1"], (5, 1): ["2"]},
        {(4, 0): ["1"], (6, 0): ["2"]},
        {(4, 0): ["1"], (5, 0): ["1"]},
        {(4, 0): ["1"], (5, 0): ["10000000"]},
        {(4, 0): ["1"], (5, 0): ["9" * 40]},
        {(4, 0): ["1"], (5, 0): ["-2"]},
        {(4, 0): ["1"], (5, 0): ["2.5"]},
        {(4, 0): ["1"], (5, 0): ["", "2"]},
        {(4, 0): ["1"], (5, 0): [None]},
        {(4, 0): ["1"], (5, 0): "2"},
        {(4, 0): ["1"], (5, 0): {"2": 1}},
    ],
    ids=[
        "empty",
        "a slot is missing",
        "a committee is missing",
        "another epoch",
        "a validator twice",
        "an index too large",
        "an index beyond all numbers",
        "negative",
        "a fraction",
        "an empty index",
        "nothing",
        "no list",
        "an object",
    ],
)
def test_an_answer_that_cannot_be_the_epochs_committees_is_refused(
    committees: dict[tuple[int, int], object],
) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_committees(_answer(committees), epoch=2, slots_per_epoch=2)


def test_slot_and_index_that_an_old_lodestar_exchanges_are_put_right() -> None:
    entries = {(0, 0): ["7"], (1, 0): ["3"], (2, 0): ["5"], (0, 1): ["1"], (1, 1): ["0"], (2, 1): ["2"]}
    committees = decode_committees(_answer(dict(entries)), epoch=2, slots_per_epoch=2)
    assert committees.members.tolist() == [7, 3, 5, 1, 0, 2]
    assert committees.attesters(_attestation(5, (1,), "1")).tolist() == [0]


def test_a_committee_may_be_empty() -> None:
    committees = decode_committees(_answer({(0, 0): [], (0, 1): ["4"]}), epoch=0, slots_per_epoch=1)
    assert committees.attesters(_attestation(0, (1,), "1")).tolist() == [4]


def test_a_bitvector_has_its_length() -> None:
    assert bitvector(b"\x05\x01", 9).tolist() == [True, False, True, *[False] * 5, True]
    with pytest.raises(ValueError, match="bits"):
        bitvector(b"\x05", 9)
