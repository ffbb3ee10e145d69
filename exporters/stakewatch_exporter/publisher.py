"""Writes what is known now into the page, each section when it is out of date."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

import stakewatch
from stakewatch.bundle.configuration import Configuration
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.duty_samples import (
    counter_samples,
    figure_samples,
    head_samples,
)
from stakewatch_exporter.epoch_result import Tier
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.figures import GroupFigures, group_figures, live_keys, shares, slashed_keys
from stakewatch_exporter.follower import Follower
from stakewatch_exporter.key_samples import (
    NO_FAULTS,
    key_faults,
    key_figures,
    key_samples,
    keys_cut,
    offender_samples,
    offenders_cut,
)
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.page import Page
from stakewatch_exporter.snapshot import (
    Fleet,
    Network,
    fleet_samples,
    group_samples,
    network_samples,
    network_state,
    node_samples,
    own_samples,
    revision,
)

# Those that change least stand first: what stands before a changed section is not checked anew.
_SECTIONS = ("keys", "groups", "offenders", "figures", "counters", "head", "nodes")


@dataclass(frozen=True)
class Knowledge:
    """What the exporter knows at a moment; `others` are samples that its other parts have ready.

    `ledger` is None while there are no figures, or new groups have none yet; then its sections stay.
    """

    configuration: Configuration
    fleet: Fleet
    chain: Chain | None
    follower: Follower | None
    ledger: Ledger | None
    tier: Tier | None
    nodes_at: float
    others: tuple[Sample, ...]


class Publisher:
    """Holds the page; `publish` writes all but single keys, `publish_keys` those."""

    def __init__(self, network: str) -> None:
        self.page = Page(network, _SECTIONS)
        self._cut: Counter[str] = Counter(keys_cut(0, limit=0) | offenders_cut(NO_FAULTS, limit=0))
        self._figures: dict[str, GroupFigures] = {}
        self._figures_of: object = None
        self._build = {"version": stakewatch.__version__, "revision": revision()}

    def publish(self, now: Knowledge) -> None:
        """Write the sections that are out of date, but that of single keys."""
        network = network_state(now.fleet, now.chain)
        groups = now.configuration.groups
        self.page.update("groups", groups, lambda: group_samples(now.configuration))
        if now.ledger is not None and now.chain is not None:
            self._publish_ledger(now.ledger, now.chain, network)
        self.page.update(
            "nodes",
            object(),
            lambda: (
                *node_samples(now.fleet, now.chain),
                *fleet_samples(now.fleet, now.chain),
                *network_samples(network),
                *now.others,
                *own_samples(
                    now.fleet,
                    now.follower,
                    nodes_at=now.nodes_at,
                    build=self._build,
                    keys_cut=self._cut,
                    tier=now.tier,
                ),
            ),
        )

    def _publish_ledger(self, ledger: Ledger, chain: Chain, network: Network) -> None:
        book, clock = ledger.book, chain.clock
        # Objects stand for what they hold: another content is always another object.
        reading = ledger.readings[-1] if ledger.readings else None
        known = (
            _Same(ledger, reading, book.latest, book.settled),
            tuple(book.seats),
            network.is_leaking,
            (*ledger.corrections.values(), ledger.epochs_skipped),
        )
        # A group's balance is the sum of its keys' on every page: both change at once.
        keys_are_shown = self.page.is_current("keys", _Same(ledger, reading))
        if keys_are_shown and not self.page.is_current("figures", known):
            figures = self._group_figures(ledger, network)
            if book.latest is not None and book.latest.figures is not None:
                book.shares = shares(figures, book.latest.figures.active_balance)
            self.page.update("figures", known, lambda: figure_samples(ledger, figures, clock))
        self.page.update("counters", (_Same(ledger), ledger.revision), lambda: counter_samples(ledger))
        head = ledger.branch[-1] if ledger.branch else ledger.tree.anchor
        coming = _Same(ledger, head), clock.slot_at(time.time()), len(ledger.upcoming), tuple(book.seats)
        self.page.update("head", coming, lambda: head_samples(ledger, clock))

    def _group_figures(self, ledger: Ledger, network: Network) -> dict[str, GroupFigures]:
        """Return the groups' figures, which a new result changes only in a leak or by keys that signed."""
        reading = ledger.readings[-1] if ledger.readings else None
        latest = ledger.book.latest if network.is_leaking else None
        known = _Same(ledger, reading, latest), network.is_leaking, live_keys(ledger)
        if self._figures_of != known:
            self._figures = group_figures(ledger, is_leaking=network.is_leaking)
            self._figures_of = known
        return self._figures

    async def publish_keys(self, now: Knowledge) -> None:
        """Write the section of single keys if it is out of date, and with it the groups' figures.

        The keys are written in a thread, it may be megabytes.
        """
        ledger = now.ledger
        if ledger is None:
            return
        book = ledger.book
        settings = now.configuration.exporter
        limit, offender_limit = settings.per_key_limit, settings.offender_limit
        at_fault = _Same(ledger, book.latest, book.settled), tuple(slashed_keys(ledger)), ledger.keys.revision
        if not self.page.is_current("offenders", at_fault):
            faults = key_faults(ledger)
            self.page.update("offenders", at_fault, lambda: offender_samples(faults, limit=offender_limit))
            self._cut.update(offenders_cut(faults, limit=offender_limit))
        while not self.page.is_current("keys", key := _Same(ledger, _reading(ledger))):
            figures = key_figures(ledger)
            samples = key_samples(figures, limit=limit)
            section = await asyncio.to_thread(self.page.written, key, samples)
            if key != _Same(ledger, _reading(ledger)):
                # A newer epoch was read meanwhile.
                continue
            self.page.replace("keys", section)
            if now.chain is not None:
                self._publish_ledger(ledger, now.chain, network_state(now.fleet, now.chain))
            if _reading(ledger) is not None:
                self._cut.update(keys_cut(len(figures.keys), limit=limit))


def _reading(ledger: Ledger) -> object:
    return ledger.readings[-1] if ledger.readings else None


class _Same:
    """Equal to another one that holds the very same objects."""

    def __init__(self, *things: object) -> None:
        self._things = things

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Same)
            and len(self._things) == len(other._things)
            and all(mine is theirs for mine, theirs in zip(self._things, other._things, strict=True))
        )

    def __hash__(self) -> int:
        return hash(tuple(map(id, self._things)))
