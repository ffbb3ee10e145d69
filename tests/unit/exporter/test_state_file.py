"""The state file: books go on after a restart, and what cannot be used is set aside."""

import json
import os
import stat
from collections import Counter
from pathlib import Path

import pytest

from stakewatch.ethereum.rewards import ExecutionReward, RewardSource
from stakewatch_exporter import state_file
from stakewatch_exporter.ledger import Ledger, ProposalRewards
from stakewatch_exporter.state_file import StateFileError

from .conftest import ETH, block, follow, groups, ledger, root, validators

CHAIN = "0x" + "aa" * 32
FULL = 32 * ETH


def _books() -> Ledger:
    books = ledger(
        8, block(9, 8, proposer=0, withdrawals={0: 700}, deposits={1: 5}), block(10, 9, proposer=2)
    )
    books.take_duties({14: 1})
    books.read(1, 8, validators({0: FULL + 650, 1: FULL, 2: FULL}), {})
    books.rewards[root(9)] = ProposalRewards(consensus_gwei=70)
    books.rewards[root(10)] = ProposalRewards(
        execution=ExecutionReward(RewardSource.BUILDER, 10**21, is_mismatch=False)
    )
    books.settle(9, is_final=True)
    books.corrections["balance_jump"] = 3
    books.epochs_skipped = 2
    return books


def _content(books: Ledger) -> bytes:
    return state_file.encode(state_file.saved_state(books, network="demonet", root=CHAIN))


def _restored(path: Path) -> Ledger:
    saved = state_file.load(path, network="demonet")
    assert saved is not None
    return state_file.restored_ledger(saved, groups(), validators_root=CHAIN, slots_per_epoch=8)


def test_books_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = _books()
    state_file.write(path, _content(before))
    after = _restored(path)
    assert after.counters == before.counters
    assert after.accounts == before.accounts
    assert after.branch == ()
    assert after.tree.newest_slot == before.tree.newest_slot
    assert after.orphans == {(10, 2)}
    assert after.duties == before.duties
    assert after.rewards == before.rewards
    assert after.unpaid == before.unpaid
    assert after.corrections == Counter({"balance_jump": 3, "deep_reorg": 0})
    assert after.epochs_skipped == 2
    assert after.last_epoch == 1
    # Blocks that were not settled are fetched again.
    follow(after, block(10, 9, proposer=2), block(16, 10, withdrawals={0: 40}))
    after.read(2, 16, validators({0: FULL + 10, 1: FULL + 25, 2: FULL}), {})
    assert {index: account.earned for index, account in after.accounts.items()} == {0: 100, 1: 20, 2: 0}


def test_votes_that_are_damaged_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    content = json.loads(_content(_books()))
    for text in ("eAFjYGAAAAA=", "no base 64", "AAAA"):
        content["book"]["flags"] = {"1": text}
        path.write_text(json.dumps(content))
        with pytest.raises(StateFileError):
            _restored(path)


def test_a_source_of_rewards_that_the_file_does_not_know_begins_at_nought(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    content = json.loads(_content(_books()))
    content["counters"]["alpha"]["execution_wei"] = {"builder": 5}
    path.write_text(json.dumps(content))
    assert _restored(path).counters["alpha"].execution_wei == {
        RewardSource.LOCAL: 0,
        RewardSource.BUILDER: 5,
        RewardSource.UNKNOWN: 0,
    }


def test_a_restart_in_the_same_epoch_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state_file.write(path, _content(_books()))
    first = _content(_restored(path))
    state_file.write(path, first)
    assert _content(_restored(path)) == first


def test_the_file_is_for_its_owner_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state_file.write(path, b"{}")
    state_file.write(path, b"{ }")
    assert path.read_bytes() == b"{ }"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_the_folder_of_the_file_is_made_but_not_what_leads_to_it(tmp_path: Path) -> None:
    state_file.write(tmp_path / "state" / "exporter.json", b"{}")
    assert (tmp_path / "state" / "exporter.json").read_bytes() == b"{}"
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    with pytest.raises(FileNotFoundError):
        state_file.write(tmp_path / "disk" / "state" / "exporter.json", b"{}")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    state_file.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        state_file.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert state_file.load(tmp_path / "state.json", network="demonet") is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe", b'{"version": "1"}', b"[" * 100_000]
)
def test_a_file_that_is_no_state_is_corrupt(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(StateFileError) as caught:
        state_file.load(path, network="demonet")
    assert caught.value.kind == "corrupt"


def test_a_file_cut_off_anywhere_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    content = _content(_books())
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(StateFileError):
            state_file.load(path, network="demonet")


def test_a_file_of_another_network_version_or_chain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    content = _content(_books())
    path.write_bytes(content)
    with pytest.raises(StateFileError) as network:
        state_file.load(path, network="mainnet")
    assert network.value.kind == "other-network"
    saved = state_file.load(path, network="demonet")
    assert saved is not None
    with pytest.raises(StateFileError) as chain:
        state_file.restored_ledger(saved, groups(), validators_root="0x" + "bb" * 32, slots_per_epoch=8)
    assert chain.value.kind == "other-network"
    path.write_text(json.dumps({**json.loads(content), "version": 1}))
    with pytest.raises(StateFileError) as version:
        state_file.load(path, network="demonet")
    assert version.value.kind == "other-version"


def test_a_group_that_is_gone_takes_its_counters_along(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state_file.write(path, _content(_books()))
    saved = state_file.load(path, network="demonet")
    assert saved is not None
    books = state_file.restored_ledger(saved, groups()[1:], validators_root=CHAIN, slots_per_epoch=8)
    assert list(books.counters) == ["bravo"]
    assert books.unpaid == {}


def test_what_is_set_aside_is_kept_under_a_telling_name(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"broken")
    kept = state_file.set_aside(path, "corrupt")
    assert kept.name.startswith("state.json.corrupt-")
    assert kept.read_bytes() == b"broken"
    assert not path.exists()
