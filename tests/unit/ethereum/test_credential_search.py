"""Validators of given withdrawal credentials are found in a state, whatever its chunks; others are not."""

from functools import lru_cache

import pytest

from stakewatch.ethereum.credential_search import CredentialSearch, credentials_of
from stakewatch.ethereum.state_layout import StateLayout, state_layout
from stakewatch.simulator.mainnet.api import FORK, MainnetApi
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.registry import MainnetParameters
from stakewatch.simulator.mainnet.ssz import state_pieces


@lru_cache(1)
def served() -> tuple[MainnetChain, StateLayout, bytes]:
    chain = MainnetChain(MainnetParameters(validators=3000, active=2000, watched=20, groups=2, epochs=1))
    api = MainnetApi(chain, seconds_per_slot=12, epochs_past=0)
    _, pieces = state_pieces(chain, chain.first_slot + 3, 0)
    return chain, state_layout(api.specification, FORK), b"".join(pieces)


def wanted_of(index: int) -> bytes:
    credentials: bytes = served()[0].registry.records["withdrawal_credentials"][index].tobytes()
    return credentials


def found(wanted: frozenset[bytes], *, chunk: int, length: int | None = None) -> dict[bytes, tuple[str, ...]]:
    chain, layout, content = served()
    search = CredentialSearch(layout, wanted, slot=chain.first_slot + 3)
    content = content[:length]
    for first in range(0, len(content), chunk):
        search.feed(content[first : first + chunk])
    return search.finish()


@pytest.mark.parametrize("chunk", [1 << 22, 100_003])
def test_validators_are_found_by_their_credentials(chunk: int) -> None:
    chain = served()[0]
    first, last, nobody = wanted_of(0), wanted_of(2999), bytes(31) + b"\7"
    assert found(frozenset({first, last, nobody}), chunk=chunk) == {
        first: (chain.registry.pubkey(0),),
        last: (chain.registry.pubkey(2999),),
        nobody: (),
    }


def test_credentials_that_end_alike_are_told_apart() -> None:
    alike = bytes(28) + wanted_of(5)[-4:]
    assert found(frozenset({alike}), chunk=1 << 22) == {alike: ()}


def test_an_address_stands_for_both_kinds_of_credentials() -> None:
    address = wanted_of(9)[12:]
    both = credentials_of([f"0x{address.hex()}"])
    assert both == {b"\1" + bytes(11) + address, b"\2" + bytes(11) + address}
    assert credentials_of([f"0x{wanted_of(9).hex()}"]) == {wanted_of(9)}
    keys = found(both, chunk=1 << 22)
    assert [key for own in keys.values() for key in own] == [served()[0].registry.pubkey(9)]


def test_a_state_that_is_cut_off_is_no_answer() -> None:
    for length in (0, 1000, 2_800_000):
        with pytest.raises(ValueError, match="before its validators"):
            found(frozenset({wanted_of(0)}), chunk=1 << 20, length=length)


def test_another_state_or_impossible_offsets_are_refused() -> None:
    chain, layout, content = served()
    with pytest.raises(ValueError, match="not of slot"):
        CredentialSearch(layout, frozenset(), slot=chain.first_slot + 4).feed(content)
    position = next(field.position for field in layout.lists if field.name == "validators")
    for number in (0, 7, 2**32 - 1):
        bent = bytearray(content)
        bent[position : position + 4] = number.to_bytes(4, "little")
        with pytest.raises(ValueError, match="cannot stand"):
            CredentialSearch(layout, frozenset(), slot=chain.first_slot + 3).feed(bytes(bent))
