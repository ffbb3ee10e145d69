"""The state file: what lets counters and books go on after a restart. Written in one step, mode 0600."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from stakewatch.bundle.configuration import Group
from stakewatch.ethereum.rewards import RewardSource
from stakewatch_exporter.blocks import Anchor, BlockTree
from stakewatch_exporter.counters import GroupCounters, NetworkCounters
from stakewatch_exporter.duty_book import DutyBook, SlotOutcome
from stakewatch_exporter.epoch_result import EpochResult
from stakewatch_exporter.ledger import Account, Ledger, OwnProposal, ProposalRewards

_VERSION = 2


class SavedBook(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is kept of the books of duties; `flags` are packed, by epoch."""

    network: NetworkCounters
    results: dict[int, EpochResult]
    settled: EpochResult | None
    misses: dict[int, int]
    imperfect: dict[int, tuple[int, ...]]
    seats: dict[int, tuple[int, ...]]
    active_balances: dict[int, int]
    shares: dict[str, float]
    outcomes: dict[int, SlotOutcome]
    roots: list[tuple[int, str]]
    first_epoch: int
    flags: dict[int, str]
    incomplete: tuple[int, ...]


class SavedState(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The content of the file; `accounts` by validator index.

    Blocks that are not settled are not kept but fetched again, `known_slot` tells how far they went;
    `orphans` are slot and proposer of each, since a node may not have them any more.
    """

    version: int
    network: str
    genesis_validators_root: str
    anchor: Anchor
    known_slot: int
    orphans: tuple[tuple[int, int], ...]
    book: SavedBook
    accounts: dict[int, Account]
    last_epoch: int | None
    counters: dict[str, GroupCounters]
    duties: dict[int, int]
    rewards: dict[str, ProposalRewards]
    unpaid: dict[str, OwnProposal]
    corrections: dict[str, int]
    epochs_skipped: int


class StateFileError(Exception):
    """The file is there but cannot be used; `kind` says why, for the name that it is set aside under."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


_DECODER = msgspec.json.Decoder(SavedState)


def saved_state(ledger: Ledger, *, network: str, root: str) -> SavedState:
    """Return what of a ledger is to be kept."""
    return SavedState(
        version=_VERSION,
        network=network,
        genesis_validators_root=root,
        anchor=ledger.tree.anchor,
        known_slot=ledger.tree.newest_slot,
        orphans=tuple(
            sorted(ledger.orphans.union((block.slot, block.proposer_index) for block in ledger.tree.blocks))
        ),
        book=_saved_book(ledger.book),
        accounts=ledger.accounts,
        last_epoch=ledger.last_epoch,
        counters=ledger.counters,
        duties=ledger.duties,
        rewards=ledger.rewards,
        unpaid=ledger.unpaid,
        corrections=dict(ledger.corrections),
        epochs_skipped=ledger.epochs_skipped,
    )


def _saved_book(book: DutyBook) -> SavedBook:
    return SavedBook(
        network=book.network,
        results=book.results,
        settled=book.settled,
        misses=book.misses,
        imperfect={epoch: tuple(sorted(indices)) for epoch, indices in book.imperfect.items()},
        seats=book.seats,
        active_balances=book.active_balances,
        shares=book.shares,
        outcomes=book.outcomes,
        roots=book.roots,
        first_epoch=book.attesters.first_epoch,
        flags=book.attesters.saved(),
        incomplete=tuple(sorted(book.attesters.incomplete)),
    )


def _restore_book(book: DutyBook, saved: SavedBook, names: Iterable[str]) -> None:
    """Take up the saved books of duties, for the groups of today. Raises ValueError when they are damaged."""
    names = frozenset(names)
    book.attesters.restore(saved.first_epoch, saved.flags, saved.incomplete)
    if saved.roots:
        book.roots = saved.roots
    book.network = saved.network
    book.results = {
        epoch: result for epoch, result in saved.results.items() if names <= frozenset(result.groups or names)
    }
    book.settled = saved.settled
    book.latest = max(
        (result for result in (saved.settled, *book.results.values()) if result is not None),
        key=lambda result: result.epoch,
        default=None,
    )
    book.misses = saved.misses
    book.imperfect = {epoch: frozenset(indices) for epoch, indices in saved.imperfect.items()}
    book.seats = saved.seats
    book.active_balances = saved.active_balances
    book.shares = {name: share for name, share in saved.shares.items() if name in names}
    book.outcomes = saved.outcomes


def restored_ledger(
    saved: SavedState, groups: Iterable[Group], *, validators_root: str, slots_per_epoch: int
) -> Ledger:
    """Return the ledger that a state describes, for the groups of today.

    Raises StateFileError when it belongs to another chain or is damaged.
    """
    if saved.genesis_validators_root != validators_root:
        raise StateFileError("other-network", f"it belongs to the chain {saved.genesis_validators_root}")
    tree = BlockTree(saved.anchor, known_slot=saved.known_slot)
    ledger = Ledger(groups, tree, slots_per_epoch=slots_per_epoch)
    try:
        _restore_book(ledger.book, saved.book, ledger.counters)
    except ValueError as error:
        raise StateFileError("corrupt", str(error)) from error
    ledger.orphans = set(saved.orphans)
    for name, counters in saved.counters.items():
        if name in ledger.counters:
            counters.execution_wei = {**dict.fromkeys(RewardSource, 0), **counters.execution_wei}
            ledger.counters[name] = counters
    ledger.accounts = saved.accounts
    ledger.duties = saved.duties
    ledger.rewards = saved.rewards
    ledger.unpaid = {
        root: proposal for root, proposal in saved.unpaid.items() if proposal.group in ledger.counters
    }
    ledger.corrections.update(saved.corrections)
    ledger.epochs_skipped = saved.epochs_skipped
    ledger.restored_epoch = saved.last_epoch
    return ledger


def encode(saved: SavedState) -> bytes:
    """Return the file's content."""
    return msgspec.json.encode(saved)


def write(path: Path, content: bytes) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one.

    Its folder is made where only that is missing: a longer path that is not there is a disk that is not.
    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as partial:
        try:
            partial.write(content)
            partial.flush()
            os.fsync(partial.fileno())
            Path(partial.name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(partial.name).unlink()
            raise


def load(path: Path, *, network: str) -> SavedState | None:
    """Return the saved state, None when there is no file.

    Raises StateFileError when the file cannot be used, OSError when it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        saved = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateFileError("corrupt", str(error)) from error
    if saved.version != _VERSION:
        raise StateFileError("other-version", f"it has version {saved.version}, this is {_VERSION}")
    if saved.network != network:
        raise StateFileError("other-network", f"it belongs to {saved.network}, not to {network}")
    return saved


def set_aside(path: Path, kind: str) -> Path:
    """Rename the file so that it is kept but not used; return its new path. Raises OSError."""
    kept = path.with_name(f"{path.name}.{kind}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    path.replace(kept)
    return kept
