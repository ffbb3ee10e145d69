"""An exporter's page held against what really happened on a simulated chain, figure by figure, exactly."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.bench.page import Page
from tests.bench.running import SLOTS_PER_EPOCH, Chain

_GWEI = 10**9
_BOUNDS = (1, 2, 3, 4, 8, 16, 32)
_VOTES = ("source", "target", "head")
_STATUSES = (
    "pending_initialized",
    "pending_queued",
    "active_ongoing",
    "active_exiting",
    "active_slashed",
    "exited_unslashed",
    "exited_slashed",
    "withdrawal_possible",
    "withdrawal_done",
)
_NETWORK = "network"
_TINY = 1e-9
Figures = Mapping[str, int]


@dataclass(frozen=True)
class Offer:
    """What a tier offers beside what blocks and committees show: gwei of groups, figures of the network."""

    groups: bool
    network: bool


OFFERS = {
    "ssz": Offer(groups=True, network=True),
    "json_network": Offer(groups=True, network=True),
    "json_watched": Offer(groups=True, network=False),
    "blocks": Offer(groups=False, network=False),
}


@dataclass(frozen=True)
class Wrong:
    """A figure that is not what it should be; `found` is None where it is missing."""

    series: str
    found: float | None
    expected: float


@dataclass(frozen=True)
class Comparison:
    """How many figures were compared, and those that are wrong."""

    compared: int
    wrong: tuple[Wrong, ...]


@dataclass(frozen=True)
class _Span:
    """What the page's counters cover: slots after `anchor` up to `settled`, attestations of some epochs.

    A source may tell of an epoch for groups alone, so the epochs of groups can begin one earlier.
    """

    anchor: int
    settled: int
    network_epochs: range
    group_epochs: range


async def compare(page: Page, chain: Chain, *, anchor: int, tier: str) -> Comparison:
    """Compare a page that is settled with the truth; `anchor` is the slot that the exporter began after."""
    proposals = page.table("network_proposals_total", "result")
    span_slots = int(sum(proposals.values()))
    settled = anchor + span_slots
    network = page.value("network_attestation_duties_total") or 0
    groups = sum(page.table("attestation_duties_total", "group").values())
    span = _Span(
        anchor,
        settled,
        await _attested(
            chain, anchor, settled, network, lambda truth: _duties(truth, OFFERS[tier], _NETWORK)
        ),
        await _attested(
            chain,
            anchor,
            settled,
            groups,
            lambda truth: sum(_duties(truth, OFFERS[tier], name) for name in truth if name != _NETWORK),
        ),
    )
    expected = [
        *await _slot_figures(chain, span, tier),
        *await _attestation_figures(chain, span, tier),
        *await _validator_figures(page, chain, anchor),
    ]
    found = {_series(name, labels): value for name, labels, value in page.samples}
    wrong = []
    for series, value in expected:
        own = found.get(series)
        if own is None or abs(own - value) > _TINY * max(1.0, abs(value)) * (value != int(value)):
            wrong.append(Wrong(series, own, value))
    return Comparison(len(expected), tuple(wrong))


def _duties(truth: Mapping[str, Figures], offer: Offer, name: str) -> int:
    is_full = offer.network if name == _NETWORK else offer.groups
    return truth[name]["duties" if is_full else "seen_duties"]


async def _attested(
    chain: Chain,
    anchor: int,
    settled: int,
    duties: float,
    true_duties: Callable[[Mapping[str, Figures]], int],
) -> range:
    """Return the epochs whose attestations are counted; a state also tells of the one before the first."""
    first = anchor // SLOTS_PER_EPOCH
    last = (settled + 1) // SLOTS_PER_EPOCH - 2
    total = 0
    for epoch in range(first, last + 1):
        total += true_duties(await chain.get(f"/truth/attestations/{epoch}"))
    return range(first if duties <= total else first - 1, last + 1)


async def _slot_figures(chain: Chain, span: _Span, tier: str) -> list[tuple[str, float]]:
    first_epoch = -(-span.anchor // SLOTS_PER_EPOCH)
    path = f"/truth/slots/{span.anchor + 1}/{span.settled}?first_epoch={first_epoch}"
    truth: dict[str, Figures] = await chain.get(path)
    expected: list[tuple[str, float]] = []
    for name, figures in truth.items():
        labels = _labels(name)
        twin = "network_" if name == _NETWORK else ""
        for result in ("proposed", "missed", "orphaned"):
            series = _series(f"stakewatch_{twin}proposals_total", {**labels, "result": result})
            expected.append((series, figures.get(result, 0)))
        for result, figure in (("hit", "sync_hit"), ("miss", "sync_miss")):
            series = _series(f"stakewatch_{twin}sync_committee_duties_total", {**labels, "result": result})
            expected.append((series, figures.get(figure, 0)))
        expected += _distance_figures(
            f"stakewatch_{twin}attestation_inclusion_distance_slots", labels, figures
        )
        if name == _NETWORK:
            series = _series("stakewatch_network_slashings_total", {"kind": "attester"})
            expected.append((series, figures.get("slashings", 0)))
            continue
        names = {
            "proposal_consensus_reward_gwei_total": "consensus_reward",
            "withdrawals_gwei_total": "withdrawals",
            "deposits_gwei_total": "deposits",
            "voluntary_exits_total": "exits",
        }
        if OFFERS[tier].network:
            names["sync_committee_reward_gwei_total"] = "sync_reward"
            names["sync_committee_penalty_gwei_total"] = "sync_penalty"
        expected += [
            (_series(f"stakewatch_{family}", labels), figures.get(figure, 0))
            for family, figure in names.items()
        ]
    return expected


def _distance_figures(
    family: str, labels: Mapping[str, str], figures: Figures
) -> Iterator[tuple[str, float]]:
    distances = {
        int(name.removeprefix("distance_")): number
        for name, number in figures.items()
        if name.startswith("distance_")
    }
    for bound in _BOUNDS:
        below = sum(number for distance, number in distances.items() if distance <= bound)
        yield _series(f"{family}_bucket", {**labels, "le": str(bound)}), below
    yield _series(f"{family}_count", labels), sum(distances.values())
    yield (
        _series(f"{family}_sum", labels),
        sum(distance * number for distance, number in distances.items()),
    )


async def _attestation_figures(chain: Chain, span: _Span, tier: str) -> list[tuple[str, float]]:
    sums: dict[str, dict[str, int]] = {}
    newest: Figures = {}
    for epoch in range(min(span.network_epochs.start, span.group_epochs.start), span.network_epochs.stop):
        truth: dict[str, Figures] = await chain.get(f"/truth/attestations/{epoch}")
        newest = truth[_NETWORK]
        for name, figures in truth.items():
            if epoch not in (span.network_epochs if name == _NETWORK else span.group_epochs):
                continue
            own = sums.setdefault(name, {})
            for figure, number in figures.items():
                own[figure] = own.get(figure, 0) + number
    offer = OFFERS[tier]
    expected: list[tuple[str, float]] = []
    for name, figures in sums.items():
        expected += _vote_figures(name, figures, is_full=offer.network if name == _NETWORK else offer.groups)
    if offer.network and newest:
        for vote in _VOTES:
            series = _series("stakewatch_network_participation_ratio", {"vote": vote})
            expected.append((series, newest[f"balance_{vote}"] / newest["balance"]))
    return expected


def _vote_figures(name: str, figures: Figures, *, is_full: bool) -> list[tuple[str, float]]:
    """Return what a group's or the network's attestations came to; in gwei only when `is_full`."""
    labels = _labels(name)
    expected: list[tuple[str, float]] = []
    prefix = "stakewatch_network_attestation" if name == _NETWORK else "stakewatch_attestation"
    seen = "" if is_full else "seen_"
    duties, missed = figures[f"{seen}duties"], figures[f"{seen}missed"]
    expected.append((_series(f"{prefix}_duties_total", labels), duties))
    expected.append((_series(f"{prefix}_missed_total", labels), missed))
    for vote in _VOTES:
        right = figures[f"{seen}votes_{vote}"]
        for result, number in (("correct", right), ("wrong", duties - missed - right)):
            series = _series(f"{prefix}_votes_total", {**labels, "vote": vote, "result": result})
            expected.append((series, number))
    if is_full:
        expected.append((_series(f"{prefix}_reward_gwei_total", labels), figures["reward"]))
        expected.append((_series(f"{prefix}_ideal_reward_gwei_total", labels), figures["ideal"]))
        for kind in ("source", "target", "inactivity"):
            series = _series(f"{prefix}_penalty_gwei_total", {**labels, "kind": kind})
            expected.append((series, figures[f"penalty_{kind}"]))
    return expected


async def _validator_figures(page: Page, chain: Chain, anchor: int) -> list[tuple[str, float]]:
    """Return the gauges of the newest reading, and what was earned since the first."""
    epoch = page.value("last_processed_epoch")
    if epoch is None:
        return [("stakewatch_last_processed_epoch", chain.last_slot // SLOTS_PER_EPOCH)]
    slot = int(epoch) * SLOTS_PER_EPOCH
    truth: dict[str, Figures] = await chain.get(f"/truth/validators/{slot}")
    before: dict[str, Figures] = await chain.get(f"/truth/validators/{anchor}")
    moved: dict[str, Figures] = await chain.get(f"/truth/slots/{anchor + 1}/{slot}")
    expected: list[tuple[str, float]] = []
    for name, figures in truth.items():
        labels = _labels(name)
        for status in _STATUSES:
            series = _series("stakewatch_validators", {**labels, "status": status})
            expected.append((series, figures.get(status, 0)))
        expected += [
            (_series(f"stakewatch_validators_{family}_gwei", labels), figures[family])
            for family in ("balance", "effective_balance")
        ]
        worth = [one["balance"] + one["pending"] for one in (before[name], figures)]
        earned = worth[1] - worth[0] + moved[name].get("withdrawals", 0) - moved[name].get("deposits", 0)
        expected.append((_series("stakewatch_validators_earned_gwei", labels), earned))
    return expected


def _labels(name: str) -> dict[str, str]:
    return {} if name == _NETWORK else {"group": name}


def _series(name: str, labels: Mapping[str, str]) -> str:
    pairs = sorted((label, value) for label, value in labels.items() if label != "network")
    return name + "".join(f",{label}={value}" for label, value in pairs)
