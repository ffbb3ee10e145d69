"""States are read right in chunks of any size, and whatever is wrong with them is told, never believed."""

import tracemalloc
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stakewatch.ethereum.key_indices import KeyIndices, KeysMovedError
from stakewatch.ethereum.state_layout import StateError, StateLayout, state_layout
from stakewatch.ethereum.state_stream import (
    NEVER,
    BeaconState,
    MalformedStateError,
    OtherStateError,
    StateReader,
    TruncatedStateError,
)
from tests.bench import mainnet_state
from tests.bench.mainnet_state import SPECIFICATION as MAINNET
from tests.unit.ethereum.states import (
    FORKS,
    GNOSIS,
    GWEI,
    MINIMAL,
    NETWORK,
    NO_KEYS,
    SAMPLES,
    Plan,
    minimal,
    plain,
    pubkey,
    random_plan,
    read,
    sample_json,
    ssz,
    uint64,
    with_validator,
)


def reader(
    layout: StateLayout, content_length: int | None, *, slot: int = 39, network: bytes = NETWORK
) -> StateReader:
    return StateReader(
        layout, slot=slot, genesis_validators_root=network, content_length=content_length, keys=NO_KEYS
    )


def sample(name: str, slot: int, chunk: int = 1 << 22) -> BeaconState:
    content = (SAMPLES / name).read_bytes()
    network = bytes.fromhex(sample_json("genesis.json")["genesis_validators_root"][2:])
    keys = frozenset(
        bytes.fromhex(entry["validator"]["pubkey"][2:]) for entry in sample_json("validators_all.json")
    )
    reading = StateReader(
        state_layout(sample_json("config_spec.json"), "deneb"),
        slot=slot,
        genesis_validators_root=network,
        content_length=len(content),
        keys=KeyIndices(keys),
    )
    for first in range(0, len(content), chunk):
        reading.feed(content[first : first + chunk])
    return reading.finish()


def assert_same(state: BeaconState, plan: Plan) -> None:
    """Compare every column with what the state was made of."""
    registry, everybody = state.registry, plan.validators
    assert registry.effective_balances.tolist() == [one.effective_balance // GWEI for one in everybody]
    assert registry.is_slashed.tolist() == [one.is_slashed for one in everybody]
    assert registry.withdrawal_prefixes.tolist() == [one.prefix for one in everybody]
    for column, epochs in (
        (registry.activation_eligibility_epochs, [one.eligibility_epoch for one in everybody]),
        (registry.activation_epochs, [one.activation_epoch for one in everybody]),
        (registry.exit_epochs, [one.exit_epoch for one in everybody]),
        (registry.withdrawable_epochs, [one.withdrawable_epoch for one in everybody]),
    ):
        assert column.tolist() == [min(epoch, NEVER) for epoch in epochs]
    assert state.balances.tolist() == [one.balance for one in everybody]
    assert state.previous_participation.tolist() == [one.previous for one in everybody]
    assert state.current_participation.tolist() == [one.current for one in everybody]
    assert state.inactivity_scores.tolist() == [one.score for one in everybody]
    assert state.slot == plan.slot
    assert state.justification_bits == plan.justified_bits
    assert (state.previous_justified_epoch, state.current_justified_epoch, state.finalized_epoch) == (
        plan.previous_justified,
        plan.current_justified,
        plan.finalized,
    )


# ---- a real client's states


@pytest.mark.parametrize("chunk", [1, 121, 1 << 22])
def test_a_real_state_says_the_same_as_its_json(chunk: int) -> None:
    state, told = sample("debug_state_ssz.ssz", 62, chunk), sample_json("debug_state_json.json")
    registry = state.registry
    for column, name in (
        (registry.effective_balances.astype(np.int64) * GWEI, "effective_balance"),
        (registry.activation_epochs, "activation_epoch"),
        (registry.activation_eligibility_epochs, "activation_eligibility_epoch"),
    ):
        assert column.tolist() == [int(one[name]) for one in told["validators"]]
    assert registry.exit_epochs.tolist() == [min(int(one["exit_epoch"]), NEVER) for one in told["validators"]]
    assert registry.is_slashed.tolist() == [one["slashed"] for one in told["validators"]]
    assert registry.withdrawal_prefixes.tolist() == [
        int(one["withdrawal_credentials"][2:4], 16) for one in told["validators"]
    ]
    assert state.balances.tolist() == [int(balance) for balance in told["balances"]]
    assert state.previous_participation.tolist() == [int(one) for one in told["previous_epoch_participation"]]
    assert state.current_participation.tolist() == [int(one) for one in told["current_epoch_participation"]]
    assert state.inactivity_scores.tolist() == [int(one) for one in told["inactivity_scores"]]
    assert state.justification_bits == (True, True, True, True)
    assert state.finalized_epoch == int(told["finalized_checkpoint"]["epoch"])
    assert state.finalized_root.hex() == told["finalized_checkpoint"]["root"][2:]
    assert state.current_justified_epoch == int(told["current_justified_checkpoint"]["epoch"])
    assert state.previous_justified_epoch == int(told["previous_justified_checkpoint"]["epoch"])
    for committee, name in (
        (state.current_sync_committee, "current_sync_committee"),
        (state.next_sync_committee, "next_sync_committee"),
    ):
        assert [row.tobytes().hex() for row in committee] == [key[2:] for key in told[name]["pubkeys"]]


def test_keys_of_a_real_state_are_found_at_the_indices_that_the_node_tells() -> None:
    found = sample("debug_state_ssz.ssz", 62).keys.indices
    assert found == {
        bytes.fromhex(entry["validator"]["pubkey"][2:]): int(entry["index"])
        for entry in sample_json("validators_all.json")
    }


def test_a_real_finalized_state_can_be_read_too() -> None:
    state = sample("debug_state_finalized_ssz.ssz", 40)
    assert (state.epoch, len(state.balances)) == (5, 64)


# ---- made states


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.parametrize("chunk", [1, 13, 4096, 1 << 22])
def test_states_of_every_fork_are_read_right_in_chunks_of_any_size(fork: str, chunk: int) -> None:
    plan = random_plan(FORKS.index(fork))
    assert_same(read(ssz(minimal(fork), plan), minimal(fork), plan.slot, chunk=chunk), plan)


@pytest.mark.parametrize("values", [MAINNET, GNOSIS], ids=["mainnet", "gnosis"])
@pytest.mark.parametrize("fork", FORKS)
def test_states_of_every_preset_are_read_right(values: dict[str, str], fork: str) -> None:
    layout = state_layout(values, fork)
    plan = replace(random_plan(3), slot=40 * int(values["SLOTS_PER_EPOCH"]))
    assert_same(read(ssz(layout, plan), layout, plan.slot), plan)


@pytest.mark.parametrize("seed", range(20))
def test_chunks_of_random_sizes_change_nothing(seed: int) -> None:
    random, plan = np.random.default_rng(seed), random_plan(seed)
    content = ssz(minimal(), plan)
    reading = reader(minimal(), len(content), slot=plan.slot)
    first = 0
    while first < len(content):
        end = first + int(random.choice([0, 1, 4, 100, 1000, 10_000]))
        reading.feed(memoryview(content)[first:end])
        first = end
    assert_same(reading.finish(), plan)


def test_validators_of_many_blocks_keep_their_order() -> None:
    plan = plain(12_000)
    for index in (0, 4333, 4334, 8667, 11_999):
        plan = with_validator(plan, index, balance=index, activation_epoch=index, previous=index % 8)
    assert_same(read(ssz(minimal(), plan), minimal(), plan.slot, chunk=100_000), plan)


@pytest.mark.parametrize("fork", FORKS)
def test_a_state_whose_length_is_not_announced_is_read_too(fork: str) -> None:
    plan, layout = plain(), minimal(fork)
    content = ssz(layout, plan)
    reading = reader(layout, None)
    reading.feed(content)
    assert_same(reading.finish(), plan)


def test_the_queues_are_counted_where_the_fork_has_them() -> None:
    plan = replace(plain(), lists={"pending_consolidations": bytes(16 * 7)})
    lengths = {"pending_deposits": 5, "pending_partial_withdrawals": 2, "pending_consolidations": 7}
    for fork in ("electra", "fulu", "gloas"):
        assert read(ssz(minimal(fork), plan), minimal(fork), 39).queue_lengths == lengths
    assert read(ssz(minimal("deneb"), plan), minimal("deneb"), 39).queue_lengths == {}


def test_keys_are_found_across_blocks() -> None:
    plan = plain(9000)
    keys = KeyIndices(frozenset(pubkey(number) for number in (0, 4332, 4333, 8999, 9000)))
    found = read(ssz(minimal(), plan), minimal(), 39, chunk=10_000, keys=keys).keys
    assert found.indices == {pubkey(number): number for number in (0, 4332, 4333, 8999)}
    assert found.searched == 9000


def test_a_key_that_moved_is_told() -> None:
    known = KeyIndices(frozenset({pubkey(3)}), {pubkey(3): 4}, searched=20)
    with pytest.raises(KeysMovedError):
        read(ssz(minimal(), plain()), minimal(), 39, keys=known)


# ---- what is refused


def test_a_state_of_another_slot_is_refused() -> None:
    with pytest.raises(OtherStateError, match="slot 39, not of slot 40"):
        read(ssz(minimal(), plain()), minimal(), 40)


def test_a_state_of_another_network_is_refused() -> None:
    content = ssz(minimal(), plain())
    with pytest.raises(OtherStateError, match="network"):
        reader(minimal(), len(content), network=bytes(32)).feed(content)


def test_a_state_of_another_fork_is_refused() -> None:
    content = ssz(minimal("fulu"), plain())
    with pytest.raises(OtherStateError, match="0x06000000, that of electra is 0x05000000"):
        read(content, minimal("electra"), 39)


def test_a_refused_state_is_refused_before_its_lists_are_sent() -> None:
    content = ssz(minimal(), plain())
    with pytest.raises(OtherStateError):
        reader(minimal(), len(content), slot=1).feed(content[: minimal().fixed_bytes])


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"code":404}'])
def test_an_answer_that_is_no_state_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(TruncatedStateError):
        reader(minimal(), len(content))
    reading = reader(minimal(), None)
    reading.feed(content)
    with pytest.raises(TruncatedStateError):
        reading.finish()


def test_a_long_page_of_html_is_refused() -> None:
    content = b"<html>" * 10_000
    with pytest.raises(OtherStateError):
        reader(minimal(), len(content)).feed(content)


@pytest.mark.parametrize("fork", ["altair", "deneb", "gloas"])
def test_a_state_that_is_cut_anywhere_is_refused(fork: str) -> None:
    layout, plan = minimal(fork), plain(3)
    content = ssz(layout, plan)
    ends = [0, 1, layout.fixed_bytes - 1, *range(layout.fixed_bytes, len(content), 7), len(content) - 1]
    for end in ends:
        reading = reader(layout, len(content))
        reading.feed(content[:end])
        with pytest.raises(TruncatedStateError, match=f"after {end} of"):
            reading.finish()


@pytest.mark.parametrize("fork", ["altair", "deneb", "gloas"])
def test_a_cut_before_the_last_list_is_seen_even_without_an_announced_length(fork: str) -> None:
    layout = minimal(fork)
    content = ssz(layout, plain(3))
    word = layout.lists[-1].position
    last = int.from_bytes(content[word : word + 4], "little")
    for end in (layout.fixed_bytes, last - 1):
        reading = reader(layout, None)
        reading.feed(content[:end])
        with pytest.raises(TruncatedStateError):
            reading.finish()


@pytest.mark.parametrize("length", [None, "announced"])
def test_bytes_after_the_end_are_refused(length: str | None) -> None:
    layout = minimal("altair")
    content = ssz(layout, plain())
    reading = reader(layout, len(content) if length else None)
    with pytest.raises(MalformedStateError, match="after the end"):
        reading.feed(content + b"\0")


@pytest.mark.parametrize("fork", [fork for fork in FORKS if fork != "bellatrix"])
@pytest.mark.parametrize("difference", [-1, 1, 3])
def test_a_length_that_ends_the_last_list_within_an_element_is_refused(fork: str, difference: int) -> None:
    # The last list of bellatrix is the payload's header, of which only its node knows how long it is.
    layout = minimal(fork)
    content = ssz(layout, replace(plain(), lists={"pending_consolidations": bytes(16)}))
    reading = reader(layout, len(content) + difference)
    with pytest.raises(MalformedStateError):
        reading.feed(content[: layout.fixed_bytes])


@pytest.mark.parametrize("fork", FORKS)
def test_every_offset_that_is_a_little_off_is_refused(fork: str) -> None:
    layout = minimal(fork)
    content = ssz(layout, plain())
    for one in layout.lists:
        if one.element_bytes == 1 and one.name not in {
            "previous_epoch_participation",
            "current_epoch_participation",
        }:
            continue
        for difference in (-1, 1):
            word = int.from_bytes(content[one.position : one.position + 4], "little") + difference
            wrong = bytearray(content)
            wrong[one.position : one.position + 4] = word.to_bytes(4, "little")
            with pytest.raises(MalformedStateError):
                read(bytes(wrong), layout, 39)


@pytest.mark.parametrize("name", ["balances", "inactivity_scores", "previous_epoch_participation"])
def test_lists_of_unequal_lengths_are_refused(name: str) -> None:
    size = {"previous_epoch_participation": 19}.get(name, 8 * 19)
    content = ssz(minimal(), replace(plain(20), lists={name: bytes(size)}))
    with pytest.raises(MalformedStateError, match=f"20 validators have 19 {name}"):
        read(content, minimal(), 39)


def test_offsets_that_go_backwards_are_refused() -> None:
    layout = minimal()
    content = bytearray(ssz(layout, plain()))
    word = layout.positions["balances"]
    content[word : word + 4] = (layout.fixed_bytes + 1).to_bytes(4, "little")
    with pytest.raises(MalformedStateError, match="validators begins at"):
        read(bytes(content), layout, 39)


def test_a_state_without_validators_is_refused() -> None:
    with pytest.raises(MalformedStateError, match="0 validators"):
        read(ssz(minimal(), plain(0)), minimal(), 39)


def test_a_huge_registry_is_refused_before_memory_is_taken_for_it() -> None:
    layout, count = minimal(), 25_000_000
    lengths = [0, 0, 121 * count, 8 * count, count, count, 8 * count]
    part = bytearray(ssz(layout, plain())[: layout.fixed_bytes])
    offset = layout.fixed_bytes
    for one, length in zip(layout.lists, [*lengths, 0, 0, 0, 0, 0], strict=True):
        part[one.position : one.position + 4] = offset.to_bytes(4, "little")
        offset += length
    tracemalloc.start()
    with pytest.raises(MalformedStateError, match="25000000 validators"):
        reader(layout, offset).feed(part)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_more_validators_than_are_accepted_are_refused() -> None:
    content = ssz(minimal(), plain(20))
    reading = StateReader(
        minimal(),
        slot=39,
        genesis_validators_root=NETWORK,
        content_length=len(content),
        keys=NO_KEYS,
        most_validators=19,
    )
    with pytest.raises(MalformedStateError, match="20 validators"):
        reading.feed(content)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"effective_balance": 32 * GWEI + 1}, "effective balance"),
        ({"effective_balance": 65_536 * GWEI}, "effective balance"),
        ({"effective_balance": 2**64 - 1}, "effective balance"),
        ({"balance": 2**63}, "balance"),
        ({"previous": 8}, "previous_epoch_participation"),
        ({"current": 255}, "current_epoch_participation"),
        ({"score": 2**32}, "inactivity score"),
    ],
)
def test_values_that_cannot_be_are_refused(changes: dict[str, int], told: str) -> None:
    content = ssz(minimal(), with_validator(plain(), 7, **changes))
    with pytest.raises(MalformedStateError, match=told):
        read(content, minimal(), 39)


def test_a_slashed_flag_that_is_no_flag_is_refused() -> None:
    content = ssz(minimal(), plain())
    registry = b"".join(one.ssz() for one in plain().validators)
    place = content.index(registry) + 121 * 7 + 88
    with pytest.raises(MalformedStateError, match="slashed"):
        read(content[:place] + b"\2" + content[place + 1 :], minimal(), 39)


@pytest.mark.parametrize("name", ["previous_justified", "current_justified", "finalized"])
def test_a_checkpoint_in_the_future_is_refused(name: str) -> None:
    future: dict[str, Any] = {name: 5}
    plan = replace(plain(), **future)
    with pytest.raises(MalformedStateError, match="cannot be in epoch 4"):
        read(ssz(minimal(), plan), minimal(), 39)


def test_an_endless_last_list_is_refused() -> None:
    layout, content = minimal("deneb"), ssz(minimal("deneb"), plain())
    reading = reader(layout, None)
    reading.feed(content)
    zeros = bytes(1 << 22)
    for _ in range(60):
        reading.feed(zeros)
    with pytest.raises(MalformedStateError, match="after the end"):
        reading.feed(zeros * 8)


def test_a_last_list_that_ends_within_an_element_is_refused() -> None:
    reading = reader(minimal("deneb"), None)
    reading.feed(ssz(minimal("deneb"), plain()) + bytes(5))
    with pytest.raises(MalformedStateError, match="historical_summaries of 69 bytes"):
        reading.finish()


@pytest.mark.parametrize("seed", range(300))
def test_flipped_bytes_never_end_in_anything_but_a_state_or_its_refusal(seed: int) -> None:
    layout, random = minimal(), np.random.default_rng(seed)
    content = bytearray(ssz(layout, plain(5)))
    words = [one.position for one in layout.lists] + list(layout.positions.values())
    places = [int(random.choice(words)) + int(random.integers(0, 4)) for _ in range(2)]
    places.append(int(random.integers(0, len(content))))
    for place in places:
        content[place] ^= int(random.integers(1, 256))
    with suppress(StateError):
        state = read(bytes(content), layout, 39)
        assert len(state.balances) == 5
        assert state.slot == 39


def test_the_state_is_never_whole_in_memory() -> None:
    count = 100_000
    layout = state_layout(mainnet_state.SPECIFICATION, "electra")
    content_length = mainnet_state.state_bytes(count)
    pieces = list(mainnet_state.chunks(count))
    tracemalloc.start()
    reading = StateReader(
        layout,
        slot=mainnet_state.SLOT,
        genesis_validators_root=mainnet_state.GENESIS_VALIDATORS_ROOT,
        content_length=content_length,
        keys=NO_KEYS,
    )
    for piece in pieces:
        reading.feed(piece)
    state = reading.finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(state.balances) == count
    # The columns have 34 bytes per validator; the fixed part of mainnet is there once and as a copy.
    assert peak < 34 * count + 2 * layout.fixed_bytes + 4 * (1 << 20)
    assert peak < content_length


def test_the_length_of_a_state_is_that_of_its_parts() -> None:
    assert sum(len(piece) for piece in mainnet_state.chunks(1000)) == mainnet_state.state_bytes(1000)


def test_numbers_are_little_endian() -> None:
    layout = state_layout(MINIMAL, "electra")
    content = ssz(layout, with_validator(plain(), 0, balance=0x0102030405060708))
    assert uint64(0x0102030405060708)[0] == 8
    assert read(content, layout, 39).balances[0] == 0x0102030405060708


def test_a_first_list_that_begins_later_than_the_fork_has_it_is_refused() -> None:
    layout = minimal()
    content = ssz(layout, plain())
    shifted = bytearray(content[: layout.fixed_bytes]) + bytes(32) + content[layout.fixed_bytes :]
    for one in layout.lists:
        word = int.from_bytes(content[one.position : one.position + 4], "little") + 32
        shifted[one.position : one.position + 4] = word.to_bytes(4, "little")
    with pytest.raises(MalformedStateError, match="the first list begins at"):
        read(bytes(shifted), layout, 39)


def test_more_historical_roots_than_the_specification_allows_are_refused() -> None:
    layout = state_layout(MINIMAL | {"HISTORICAL_ROOTS_LIMIT": "2"}, "electra")
    with pytest.raises(MalformedStateError, match="historical_roots of 96 bytes"):
        read(ssz(layout, plain()), layout, 39)


def test_justification_bits_beyond_the_four_are_refused() -> None:
    layout = minimal()
    content = bytearray(ssz(layout, plain()))
    content[layout.positions["justification_bits"]] = 0b10000
    with pytest.raises(MalformedStateError, match="cannot be in epoch 4"):
        read(bytes(content), layout, 39)


def test_an_epoch_beyond_what_the_columns_hold_is_refused() -> None:
    slot = 8 * NEVER
    with pytest.raises(MalformedStateError, match=f"cannot be in epoch {NEVER}"):
        read(ssz(minimal(), replace(plain(), slot=slot)), minimal(), slot)
    before = slot - 1
    assert read(ssz(minimal(), replace(plain(), slot=before)), minimal(), before).epoch == NEVER - 1


def test_a_last_list_of_too_many_scores_is_refused() -> None:
    layout = minimal("altair")
    content = ssz(layout, plain())
    with pytest.raises(MalformedStateError, match=f"{len(content) + 8} bytes long, not {len(content)}"):
        reader(layout, len(content) + 8).feed(content)
