"""What one node sees of a chain at this moment, and how its implementation differs from the others."""

from dataclasses import dataclass

from stakewatch.simulator.blocks import Block
from stakewatch.simulator.chain import Chain, EpochRecord

# A node calls itself syncing once its head is this much older than the clock (Lodestar, Lighthouse).
_SYNCED_WITHIN_SLOTS = 8


@dataclass(frozen=True)
class View:
    """A node's own view: `head` is the newest slot that it has processed, later blocks are unknown to it."""

    chain: Chain
    head: int
    peers: int
    syncing: bool = False
    optimistic: bool = False
    execution_offline: bool = False

    @property
    def head_block(self) -> Block:
        """The newest block that the node knows."""
        return self.chain.block_at_or_before(self.head)

    @property
    def epoch(self) -> EpochRecord:
        """The epoch of the node's head block, whose state tells justification and finality."""
        return self.chain.epochs[self.chain.epoch_of(self.head_block.slot)]

    @property
    def finalized_block(self) -> Block:
        """The newest block that the node knows to be finalized."""
        return self._checkpoint_block(self.epoch.finalized.epoch)

    @property
    def justified_block(self) -> Block:
        """The newest block that the node knows to be justified."""
        return self._checkpoint_block(self.epoch.current_justified.epoch)

    @property
    def sync_distance(self) -> int:
        """Slots between the clock and the node's head block, 0 while the node takes itself for synced."""
        distance = self.chain.slot - self.head_block.slot
        return distance if self.syncing or distance > _SYNCED_WITHIN_SLOTS else 0

    @property
    def is_syncing(self) -> bool:
        """What the node says of itself."""
        return self.sync_distance > 0

    def _checkpoint_block(self, epoch: int) -> Block:
        return self.chain.block_at_or_before(self.chain.first_slot(epoch))


@dataclass(frozen=True)
class Implementation:
    """A client program: its name for itself, and where its API differs from the specification.

    The differences of Lodestar are those of 1.5.1, seen on a real one.
    """

    name: str
    version: str
    has_validators_post: bool = True
    has_rewards: bool = True
    has_comma_lists: bool = True
    has_umbrella_statuses: bool = True
    tells_execution_offline: bool = True
    tells_finality: bool = True
    has_checksummed_addresses: bool = False


IMPLEMENTATIONS = {
    implementation.name: implementation
    for implementation in (
        Implementation("lighthouse", "Lighthouse/v8.1.0-edba56b/x86_64-linux"),
        Implementation("prysm", "Prysm/v7.1.6 (linux amd64)"),
        Implementation("teku", "teku/v26.8.0/linux-x86_64/-eclipseadoptium-openjdk64bitservervm-java-25"),
        Implementation("nimbus", "Nimbus/v24.12.0-4e440277-stateofus"),
        Implementation(
            "lodestar",
            "Lodestar/v1.5.1",
            has_validators_post=False,
            has_rewards=False,
            has_comma_lists=False,
            has_umbrella_statuses=False,
            tells_execution_offline=False,
            tells_finality=False,
            has_checksummed_addresses=True,
        ),
        Implementation("geth", "Geth/v1.17.0-stable/linux-amd64/go1.26.8"),
        Implementation("nethermind", "Nethermind/v1.39.0+2b0c6ee3/linux-x64/dotnet10.0.1"),
        Implementation("besu", "besu/v26.8.0/linux-x86_64/openjdk-java-25"),
        Implementation("reth", "reth/v2.5.1-8f4d3c2/x86_64-unknown-linux-gnu"),
        Implementation("erigon", "erigon/3.2.2/linux-amd64/go1.25.1"),
    )
}
