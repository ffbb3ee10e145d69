"""Blocks and validators made by hand, and a ledger over them."""

from collections.abc import Mapping

from stakewatch.bundle.configuration import Group
from stakewatch.ethereum.beacon_api import Status, Validator
from stakewatch.ethereum.beacon_block import Block, Payload
from stakewatch.ethereum.specification import FAR_FUTURE_EPOCH
from stakewatch_exporter.blocks import Anchor, BlockTree
from stakewatch_exporter.ledger import Ledger

ETH = 10**9
FEE_RECIPIENT = "0x" + "0f" * 20


def pubkey(index: int) -> str:
    """Return the pubkey of a validator index."""
    return f"0x{index:096x}"


def root(name: object) -> str:
    """Return a root that tells its name."""
    return "0x" + str(name).encode().hex().rjust(64, "0")


def block(
    slot: int,
    parent: object,
    *,
    name: object = None,
    proposer: int = 99,
    withdrawals: Mapping[int, int] | None = None,
    deposits: Mapping[int, int] | None = None,
    is_complete: bool = True,
) -> Block:
    """Return a block; amounts by validator index."""
    return Block(
        root=root(slot if name is None else name),
        slot=slot,
        proposer_index=proposer,
        parent_root=root(parent),
        payload=Payload(slot, root(f"e{slot}"), FEE_RECIPIENT, 7),
        withdrawals=tuple((withdrawals or {}).items()),
        deposits=tuple((pubkey(index), amount) for index, amount in (deposits or {}).items()),
        is_complete=is_complete,
    )


def validator(
    index: int,
    balance: int = 32 * ETH,
    *,
    status: Status = Status.ACTIVE_ONGOING,
    activation_epoch: int = 0,
    is_slashed: bool = False,
) -> Validator:
    """Return a validator as a state has it."""
    return Validator(
        index=index,
        pubkey=pubkey(index),
        status=status,
        balance=balance,
        effective_balance=32 * ETH,
        is_slashed=is_slashed,
        activation_epoch=activation_epoch,
        exit_epoch=FAR_FUTURE_EPOCH,
    )


def validators(balances: Mapping[int, int]) -> dict[int, Validator]:
    """Return validators by index with the given balances in gwei."""
    return {index: validator(index, balance) for index, balance in balances.items()}


def groups(alpha: int = 2, bravo: int = 1) -> tuple[Group, ...]:
    """Return two groups with so many keys, the lowest indices first."""
    return (
        Group("alpha", "validators-1", tuple(pubkey(index) for index in range(alpha))),
        Group("bravo", "validators-2", tuple(str(index) for index in range(alpha, alpha + bravo))),
    )


def ledger(anchor_slot: int = 0, *blocks: Block) -> Ledger:
    """Return the ledger of two groups (0 and 1; 2) that follows the last of the blocks."""
    made = Ledger(groups(), BlockTree(Anchor(anchor_slot, root(anchor_slot))))
    follow(made, *blocks)
    return made


def follow(books: Ledger, *blocks: Block) -> None:
    """Let a ledger follow the last of further blocks."""
    books.tree.add(blocks)
    if blocks:
        books.follow(blocks[-1].root)
