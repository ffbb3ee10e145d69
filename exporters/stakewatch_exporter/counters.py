"""The settled counters of a group and of the network; they never go down. Amounts in gwei."""

from dataclasses import dataclass, field

from stakewatch.ethereum.attestation_rewards import AttestationTotals
from stakewatch.ethereum.rewards import RewardSource
from stakewatch_exporter.families import DISTANCES


def _no_distances() -> list[int]:
    return [0] * (len(DISTANCES) + 1)


@dataclass
class AttestationCounters:
    """Attestations; `distances` counts inclusions per bucket, not cumulative, the rest last."""

    duties: int = 0
    missed: int = 0
    source_correct: int = 0
    source_wrong: int = 0
    target_correct: int = 0
    target_wrong: int = 0
    head_correct: int = 0
    head_wrong: int = 0
    reward: int = 0
    ideal_reward: int = 0
    source_penalty: int = 0
    target_penalty: int = 0
    inactivity_penalty: int = 0
    distances: list[int] = field(default_factory=_no_distances)
    distance_sum: int = 0

    def add(self, totals: AttestationTotals) -> None:
        """Count an epoch; a vote that was given and is not timely is a wrong one."""
        voted = totals.duties - totals.missed
        self.duties += totals.duties
        self.missed += totals.missed
        self.source_correct += totals.source_votes
        self.source_wrong += voted - totals.source_votes
        self.target_correct += totals.target_votes
        self.target_wrong += voted - totals.target_votes
        self.head_correct += totals.head_votes
        self.head_wrong += voted - totals.head_votes
        self.reward += totals.reward
        self.ideal_reward += totals.ideal_reward
        self.source_penalty += totals.source_penalty
        self.target_penalty += totals.target_penalty
        self.inactivity_penalty += totals.inactivity_penalty

    def include(self, distance: int, number: int) -> None:
        """Count so many attestations that were included that many slots after their own."""
        place = next((at for at, bound in enumerate(DISTANCES) if distance <= bound), len(DISTANCES))
        self.distances[place] += number
        self.distance_sum += distance * number


@dataclass
class GroupCounters:
    """Settled counters of one group; amounts in gwei but `execution_wei`."""

    withdrawals: int = 0
    deposits: int = 0
    voluntary_exits: int = 0
    consolidations: int = 0
    proposed: int = 0
    missed: int = 0
    orphaned: int = 0
    proposals_expected: float = 0.0
    consensus_reward: int = 0
    fee_recipient_mismatches: int = 0
    execution_wei: dict[RewardSource, int] = field(default_factory=lambda: dict.fromkeys(RewardSource, 0))
    sync_hits: int = 0
    sync_misses: int = 0
    sync_reward: int = 0
    sync_penalty: int = 0
    attestations: AttestationCounters = field(default_factory=AttestationCounters)


@dataclass
class NetworkCounters:
    """Settled counters of the whole network; slashings count validators."""

    proposed: int = 0
    missed: int = 0
    orphaned: int = 0
    sync_hits: int = 0
    sync_misses: int = 0
    proposer_slashings: int = 0
    attester_slashings: int = 0
    attestations: AttestationCounters = field(default_factory=AttestationCounters)
