"""The state file: what lets counters and books go on after a restart. Written in one step, mode 0600."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from stakewatch.bundle.configuration import Group
from stakewatch.ethereum.beacon_block import Block
from stakewatch.ethereum.rewards import RewardSource
from stakewatch_exporter.blocks import Anchor, BlockTree
from stakewatch_exporter.ledger import Account, GroupCounters, Ledger, OwnProposal, ProposalRewards

_VERSION = 1


class SavedState(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The content of the file; `accounts` by validator index, `head_root` ends the canonical branch."""

    version: int
    network: str
    genesis_validators_root: str
    anchor: Anchor
    head_root: str
    blocks: tuple[Block, ...]
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
        head_root=ledger.branch[-1].root if ledger.branch else ledger.tree.anchor.root,
        blocks=ledger.tree.blocks,
        accounts=ledger.accounts,
        last_epoch=ledger.last_epoch,
        counters=ledger.counters,
        duties=ledger.duties,
        rewards=ledger.rewards,
        unpaid=ledger.unpaid,
        corrections=dict(ledger.corrections),
        epochs_skipped=ledger.epochs_skipped,
    )


def restored_ledger(saved: SavedState, groups: Iterable[Group], *, validators_root: str) -> Ledger:
    """Return the ledger that a state describes, for the groups of today.

    Raises StateFileError when it belongs to another chain or its blocks do not hang together.
    """
    if saved.genesis_validators_root != validators_root:
        raise StateFileError("other-network", f"it belongs to the chain {saved.genesis_validators_root}")
    ledger = Ledger(groups, BlockTree(saved.anchor, saved.blocks))
    try:
        ledger.follow(saved.head_root)
    except KeyError as error:
        raise StateFileError("corrupt", "its blocks do not hang together") from error
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

    Raises OSError.
    """
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
