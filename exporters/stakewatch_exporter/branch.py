"""Whether what a node answers belongs to the branch that is followed."""

from stakewatch_exporter.ledger import Ledger, witness
from stakewatch_exporter.nodes import BeaconWatch


class UnusableError(Exception):
    """What a node answers does not fit to the branch that is followed."""


class OtherBranchError(UnusableError):
    """A node's head does not descend from what is settled."""


async def check_branch(watch: BeaconWatch, ledger: Ledger, slot: int) -> None:
    """Check that the node has our branch's first block at or after a slot, or its newest.

    Raises UnusableError when it has not, RequestError when it does not say.
    """
    block = witness(ledger.branch, slot) or (ledger.branch[-1] if ledger.branch else None)
    if block is None:
        return
    header = await watch.api.header_at(block.slot)
    if header is None or header.root != block.root:
        raise UnusableError(f"it has another block at slot {block.slot} than the branch that is followed")
