"""What nodes say compared with each other: which chain is ours, who differs from the others."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from stakewatch.ethereum.clock import SlotClock
from stakewatch.ethereum.specification import GENESIS_VALIDATORS_ROOTS, Specification


@dataclass(frozen=True)
class Chain:
    """A chain as one beacon node describes it."""

    validators_root: str
    genesis_seconds: int
    specification: Specification

    @property
    def clock(self) -> SlotClock:
        """The chain's slot clock."""
        return SlotClock(
            self.genesis_seconds, self.specification.slot_milliseconds, self.specification.slots_per_epoch
        )

    @property
    def identity(self) -> tuple[str, int, int, int]:
        """What two nodes of one chain agree on."""
        return (
            self.validators_root,
            self.genesis_seconds,
            self.specification.slot_milliseconds,
            self.specification.slots_per_epoch,
        )


def elect_chain(
    chains: Sequence[Chain | None], *, network: str, remembered_root: str | None = None
) -> Chain | None:
    """Return the chain that is ours, of what beacon nodes in their configured order describe.

    A network known by name is known by its root. For another one the majority decides, on a tie the chain
    that was ours before, then the first node's. None when no node of our network has answered yet.
    """
    known = [chain for chain in chains if chain is not None]
    root = GENESIS_VALIDATORS_ROOTS.get(network)
    if root is not None:
        known = [chain for chain in known if chain.validators_root == root]
    if not known:
        return None
    votes = Counter(chain.identity for chain in known)
    most = max(votes.values())
    leaders = [chain for chain in known if votes[chain.identity] == most]
    remembered = [chain for chain in leaders if chain.validators_root == remembered_root]
    return (remembered or leaders)[0]


def dissenters(values: Mapping[str, Hashable]) -> dict[str, bool]:
    """Return for each name whether its value differs from the others'; empty with fewer than two values.

    Those outside a majority of more than half differ; without such a majority all do.
    """
    if len(values) <= 1:
        return {}
    value, votes = Counter(values.values()).most_common(1)[0]
    if votes * 2 <= len(values):
        return dict.fromkeys(values, True)
    return {name: own != value for name, own in values.items()}
