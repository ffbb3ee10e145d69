"""Keys are found at their indices, looked for once, and noticed when they move."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from stakewatch.ethereum.key_indices import KeyIndices, KeySearch, KeysMovedError
from tests.unit.ethereum.states import pubkey


def registry(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng([seed, count]).integers(0, 256, (count, 48), dtype=np.uint8)


def search(known: KeyIndices, pubkeys: npt.NDArray[np.uint8], block: int = 64) -> KeyIndices:
    looking = KeySearch(known)
    for first in range(0, len(pubkeys), block):
        looking.look(first, pubkeys[first : first + block])
    return looking.found(len(pubkeys))


@pytest.mark.parametrize("block", [1, 7, 64, 5000])
def test_every_watched_key_is_found_whatever_the_blocks(block: int) -> None:
    pubkeys = registry(3000)
    wanted = {pubkeys[index].tobytes(): index for index in (0, 1, 63, 64, 2998, 2999)}
    found = search(KeyIndices(frozenset(wanted) | {pubkey(1)}), pubkeys, block)
    assert found.indices == wanted
    assert found.searched == 3000


def test_all_keys_of_a_registry_can_be_watched() -> None:
    pubkeys = registry(3000)
    found = search(KeyIndices(frozenset(row.tobytes() for row in pubkeys)), pubkeys)
    assert sorted(found.indices.values()) == list(range(3000))


def test_a_key_that_differs_in_one_byte_only_is_another_key() -> None:
    pubkeys = registry(10)
    almost = bytes((pubkeys[4, 0] ^ 1,)) + pubkeys[4, 1:].tobytes()
    assert search(KeyIndices(frozenset({almost})), pubkeys).indices == {}


def test_nobody_watched_is_nobody_found() -> None:
    assert search(KeyIndices(frozenset()), registry(10)).indices == {}


def test_later_only_new_indices_are_looked_through() -> None:
    pubkeys = registry(200)
    hidden, fresh = pubkeys[50].tobytes(), pubkeys[150].tobytes()
    known = KeyIndices(frozenset({hidden, fresh}), searched=100)
    assert search(known, pubkeys).indices == {fresh: 150}


def test_a_later_search_keeps_what_the_first_one_found() -> None:
    pubkeys = registry(200)
    watched = frozenset({pubkeys[50].tobytes(), pubkeys[150].tobytes()})
    first = search(KeyIndices(watched), pubkeys[:100])
    assert sorted(first.indices.values()) == [50]
    assert search(first, pubkeys).indices == {pubkeys[50].tobytes(): 50, pubkeys[150].tobytes(): 150}


def test_a_known_key_at_another_index_is_noticed() -> None:
    pubkeys = registry(200)
    known = search(KeyIndices(frozenset({pubkeys[50].tobytes()})), pubkeys)
    pubkeys[50], pubkeys[51] = pubkeys[51].copy(), pubkeys[50].copy()
    with pytest.raises(KeysMovedError, match="no longer"):
        search(known, pubkeys)


def test_a_known_key_beyond_the_end_is_noticed() -> None:
    pubkeys = registry(200)
    known = search(KeyIndices(frozenset({pubkeys[150].tobytes()})), pubkeys)
    with pytest.raises(KeysMovedError, match="there are 100"):
        search(known, pubkeys[:100])


def test_a_key_that_stands_twice_is_noticed() -> None:
    pubkeys = registry(200)
    pubkeys[180] = pubkeys[20]
    with pytest.raises(KeysMovedError, match="20 and 180"):
        search(KeyIndices(frozenset({pubkeys[20].tobytes()})), pubkeys)


def test_what_was_known_is_not_changed_by_a_search() -> None:
    pubkeys = registry(200)
    known = KeyIndices(frozenset({pubkeys[1].tobytes()}))
    before = replace(known)
    search(known, pubkeys)
    assert known == before


def test_a_search_that_begins_within_a_block_tells_the_right_index() -> None:
    pubkeys = registry(200)
    known = KeyIndices(frozenset({pubkeys[99].tobytes(), pubkeys[110].tobytes()}), searched=100)
    assert search(known, pubkeys, block=64).indices == {pubkeys[110].tobytes(): 110}


def test_a_known_key_just_beyond_the_end_is_noticed() -> None:
    pubkeys = registry(200)
    known = search(KeyIndices(frozenset({pubkeys[150].tobytes()})), pubkeys)
    with pytest.raises(KeysMovedError, match="there are 150"):
        search(known, pubkeys[:150])
    assert search(known, pubkeys[:151]).indices == known.indices
