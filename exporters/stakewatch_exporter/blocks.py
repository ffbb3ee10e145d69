"""The blocks after the last settled slot, as a tree that reorganisations may grow branches on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stakewatch.ethereum.beacon_block import Block


@dataclass(frozen=True)
class Anchor:
    """A settled slot and the root of the last canonical block at or before it.

    `is_final` tells a finalised one, which no reorganisation can take back.
    """

    slot: int
    root: str
    is_final: bool = False


class BlockTree:
    """Blocks above an anchor by root; a branch is the blocks from the anchor up to a head, in order.

    `known_slot` is how far blocks were known before, when they are to be fetched again.
    """

    def __init__(self, anchor: Anchor, blocks: Iterable[Block] = (), *, known_slot: int = 0) -> None:
        self.anchor = anchor
        self._known_slot = max(known_slot, anchor.slot)
        self._blocks = {block.root: block for block in blocks}

    def __contains__(self, root: str) -> bool:
        return root == self.anchor.root or root in self._blocks

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks of all branches."""
        return tuple(self._blocks.values())

    @property
    def newest_slot(self) -> int:
        """Slot of the newest block, here or known before, or the anchor's."""
        return max((block.slot for block in self._blocks.values()), default=self._known_slot)

    def slot(self, root: str) -> int:
        """Return the slot of a block, of the anchor its settled slot; KeyError when it is not here."""
        return self.anchor.slot if root == self.anchor.root else self._blocks[root].slot

    def add(self, blocks: Iterable[Block]) -> None:
        """Take in blocks whose parents are here or among them."""
        self._blocks.update({block.root: block for block in blocks})

    def branch(self, head_root: str) -> tuple[Block, ...]:
        """Return the blocks from the anchor up to a head.

        Raises KeyError when the head does not descend from the anchor, slot by slot.
        """
        found: list[Block] = []
        root = head_root
        while root != self.anchor.root:
            block = self._blocks[root]
            if found and block.slot >= found[-1].slot:
                raise KeyError(root)
            found.append(block)
            root = block.parent_root
        return tuple(reversed(found))

    def advance(self, anchor: Anchor) -> None:
        """Move the anchor up its branch and forget all blocks up to its slot."""
        self.anchor = anchor
        self._known_slot = max(self._known_slot, anchor.slot)
        self._blocks = {root: block for root, block in self._blocks.items() if block.slot > anchor.slot}


def root_at(anchor: Anchor, branch: Sequence[Block], slot: int) -> str:
    """Return the root of the last block of a branch at or before a slot."""
    root = anchor.root
    for block in branch:
        if block.slot > slot:
            break
        root = block.root
    return root
