"""What one node sees of a chain at this moment, and how its implementation differs from the others."""

from dataclasses import dataclass

from stakewatch.simulator.blocks import Block
from stakewatch.simulator.chain import Chain, EpochRecord

# A node calls itself syncing once its head is this much older than the clock (Lodestar, Lighthouse).
_SYNCED_WITHIN_SLOTS = 8


@dataclass(frozen=True)
class Sight:
    """How far a node has seen a chain; it stays as it is when the chain moves on, reorganises or forgets.

    `head` is the newest slot that was processed, `epoch` that of the head block, whose state tells finality.
    """

    head: int
    head_block: Block
    epoch: EpochRecord
    finalized_block: Block
    justified_block: Block


def sight(chain: Chain, head: int) -> Sight:
    """Return what a node knows that has processed the slots up to `head`; genesis where that is forgotten."""
    head = max(head, chain.first_slot(chain.oldest_epoch))
    block = _newest(chain, head)
    epoch = chain.epochs[max(chain.epoch_of(block.slot), chain.oldest_epoch)]
    return Sight(
        head=head,
        head_block=block,
        epoch=epoch,
        finalized_block=_newest(chain, chain.first_slot(epoch.finalized.epoch)),
        justified_block=_newest(chain, chain.first_slot(epoch.current_justified.epoch)),
    )


def _newest(chain: Chain, slot: int) -> Block:
    try:
        return chain.block_at_or_before(slot)
    except KeyError:
        return chain.genesis_block


@dataclass(frozen=True)
class View:
    """A node's own view: what it has seen of a chain, and its state besides."""

    chain: Chain
    sight: Sight
    peers: int
    syncing: bool = False
    optimistic: bool = False
    execution_offline: bool = False

    @property
    def head(self) -> int:
        """The newest slot that the node has processed; later blocks are unknown to it."""
        return self.sight.head

    @property
    def head_block(self) -> Block:
        """The newest block that the node knows."""
        return self.sight.head_block

    @property
    def epoch(self) -> EpochRecord:
        """The epoch of the node's head block, whose state tells justification and finality."""
        return self.sight.epoch

    @property
    def finalized_block(self) -> Block:
        """The newest block that the node knows to be finalized."""
        return self.sight.finalized_block

    @property
    def justified_block(self) -> Block:
        """The newest block that the node knows to be justified."""
        return self.sight.justified_block

    @property
    def sync_distance(self) -> int:
        """Slots between the clock and the node's head block, 0 while the node takes itself for synced."""
        distance = self.chain.slot - self.head_block.slot
        return distance if self.syncing or distance > _SYNCED_WITHIN_SLOTS else 0

    @property
    def is_syncing(self) -> bool:
        """What the node says of itself."""
        return self.sync_distance > 0


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
