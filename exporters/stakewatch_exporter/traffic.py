"""What was asked of each node and how it ended: counts by outcome, durations as histograms."""

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field

from stakewatch.bundle.configuration import Node, Role, Signer, ValidatorClient
from stakewatch.ethereum.transport import Endpoint, Exchange, Outcome
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.families import REQUEST_DURATION, REQUESTS

_ENDPOINTS: dict[Role, tuple[Endpoint, ...]] = {
    Role.BEACON: (
        Endpoint.NODE,
        Endpoint.CONFIG,
        Endpoint.HEADERS,
        Endpoint.STATES,
        Endpoint.BLOCKS,
        Endpoint.REWARDS,
        Endpoint.DUTIES,
    ),
    Role.EXECUTION: (Endpoint.NODE, Endpoint.BLOCKS, Endpoint.RECEIPTS),
    Role.VALIDATOR: (Endpoint.KEYS,),
    Role.SIGNER: (Endpoint.KEYS,),
}


@dataclass
class _Count:
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(REQUEST_DURATION.buckets) + 1))
    seconds: float = 0.0


class Traffic:
    """Counts the exchanges with one node; every outcome is there from the start."""

    def __init__(self, node: Node | ValidatorClient | Signer) -> None:
        self._labels = {
            "instance": node.instance,
            "role": node.role.value,
            "implementation": node.implementation,
        }
        self._counts = {endpoint: _Count() for endpoint in _ENDPOINTS[node.role]}

    def add(self, exchange: Exchange) -> None:
        """Count one exchange."""
        count = self._counts[exchange.endpoint]
        count.outcomes[exchange.outcome] += 1
        count.buckets[bisect.bisect_left(REQUEST_DURATION.buckets, exchange.seconds)] += 1
        count.seconds += exchange.seconds

    def samples(self) -> Iterable[Sample]:
        """Return the samples of both families."""
        for endpoint, count in self._counts.items():
            labels = {**self._labels, "endpoint": endpoint.value}
            for outcome, number in count.outcomes.items():
                yield Sample(REQUESTS, {**labels, "outcome": outcome.value}, number)
            yield Sample(REQUEST_DURATION, labels, count.seconds, tuple(count.buckets))
