"""Learns who attests and who sits in sync committees: once per epoch and once per period."""

import logging
import time
from collections.abc import Callable, Sequence

from stakewatch.ethereum.state_layout import SpecificationError
from stakewatch.ethereum.transport import RequestError
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.attesters import KnownCommittees
from stakewatch_exporter.blocks import root_at
from stakewatch_exporter.branch import UnusableError, check_branch
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.log import Changes
from stakewatch_exporter.nodes import BeaconWatch
from stakewatch_exporter.seats import SeatParameters, seat_parameters

_SEATS_PAUSE_SLOTS = 4
_MOST_DOUBLINGS = 4


class CommitteeReader:
    """Learns the committees of one chain; `prepare` is its one verb."""

    def __init__(self, chain: Callable[[], Chain], changes: Changes) -> None:
        self._chain = chain
        self._changes = changes
        self._failures = 0
        self._committees_next_at = 0.0
        self._seats_next_at = 0.0

    async def prepare(self, watches: Sequence[BeaconWatch], ledger: Ledger) -> bool:
        """Learn committees and sync committees that are needed and not known; return whether any was learnt.

        Never raises RequestError.
        """
        learnt = await self._committees(watches, ledger)
        return await self._seats(watches, ledger) or learnt

    async def _committees(self, watches: Sequence[BeaconWatch], ledger: Ledger) -> bool:
        wanted = self._wanted_committees(ledger)
        if not wanted or time.monotonic() < self._committees_next_at:
            return False
        learnt = False
        for epoch, deciding in wanted:
            if await self._learn_committees(watches, ledger, epoch, deciding):
                learnt = True
                self._failures = 0
            else:
                self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
                pause = 2.0**self._failures * self._chain().clock.slot_seconds
                self._committees_next_at = time.monotonic() + pause
        return learnt

    def _wanted_committees(self, ledger: Ledger) -> list[tuple[int, str]]:
        """Return epoch and deciding root of the committees that are missing or another branch's."""
        clock, attesters = self._chain().clock, ledger.book.attesters
        anchor = ledger.tree.anchor
        wanted = []
        first = max(attesters.first_epoch, clock.epoch_of(anchor.slot + 1) - 1)
        for epoch in range(first, clock.epoch_of(_head(ledger)) + 1):
            # The seed is fixed by what the epoch before the one before has left.
            decided = clock.first_slot(epoch - 1) - 1
            deciding = root_at(anchor, ledger.branch, decided)
            known = attesters.committees.get(epoch)
            if known is None or (decided > anchor.slot and known.deciding_root != deciding):
                wanted.append((epoch, deciding))
        return wanted

    async def _learn_committees(
        self, watches: Sequence[BeaconWatch], ledger: Ledger, epoch: int, deciding: str
    ) -> bool:
        clock = self._chain().clock
        # A state knows the committees of its own epoch and of the one before; the newest of them, at a block,
        # since old states are forgotten first and some clients have none of empty slots.
        newest = clock.first_slot(epoch + 2) - 1
        slot = max((block.slot for block in ledger.branch if block.slot <= newest), default=newest)
        slot = min(max(slot, clock.first_slot(epoch)), _head(ledger))
        for watch in watches:
            try:
                committees = await watch.epochs.committees(
                    str(slot), epoch, slots_per_epoch=clock.slots_per_epoch
                )
                await check_branch(watch, ledger, slot)
            except (RequestError, UnusableError) as error:
                self._failed(watch, "committees", error)
                continue
            ledger.book.attesters.committees[epoch] = KnownCommittees(committees, deciding)
            self._works(watch, "committees")
            return True
        return False

    async def _seats(self, watches: Sequence[BeaconWatch], ledger: Ledger) -> bool:
        clock, book = self._chain().clock, ledger.book
        parameters = book.seat_parameters or self._parameters()
        if parameters is None:
            return False
        book.seat_parameters = parameters
        present = parameters.period(clock.epoch_of(_head(ledger)))
        first = parameters.period(clock.epoch_of(ledger.tree.anchor.slot + 1))
        book.seats = {period: seats for period, seats in book.seats.items() if period >= first}
        wanted = [period for period in range(first, present + 2) if period not in book.seats]
        if not wanted or time.monotonic() < self._seats_next_at:
            return False
        learnt = False
        for period in wanted:
            if await self._learn_seats(watches, ledger, period, parameters):
                learnt = True
            else:
                self._seats_next_at = time.monotonic() + _SEATS_PAUSE_SLOTS * clock.slot_seconds
        return learnt

    def _parameters(self) -> SeatParameters | None:
        try:
            return seat_parameters(self._chain().specification.values)
        except SpecificationError as error:
            self._changes.report(
                ("specification",),
                str(error),
                logging.WARNING,
                "specification_incomplete",
                reason=error,
                next="nothing is said about sync committees",
            )
            return None

    async def _learn_seats(
        self, watches: Sequence[BeaconWatch], ledger: Ledger, period: int, parameters: SeatParameters
    ) -> bool:
        clock = self._chain().clock
        head = _head(ledger)
        first_epoch = period * parameters.epochs_per_period
        # A state knows its own period and the next, so an older period is asked of its own last slot.
        slot = min(head, clock.first_slot(first_epoch + parameters.epochs_per_period) - 1)
        epoch = max(first_epoch, min(clock.epoch_of(slot), first_epoch + parameters.epochs_per_period - 1))
        for watch in watches:
            try:
                seats = await watch.epochs.sync_committee(str(slot), epoch)
            except RequestError as error:
                self._failed(watch, "sync_committee", error)
                continue
            ledger.book.seats[period] = tuple(seats.tolist())
            self._works(watch, "sync_committee")
            return True
        return False

    def _works(self, watch: BeaconWatch, what: str) -> None:
        self._changes.settle(
            (what, watch.node.instance), "ok", f"{what}_works_again", instance=watch.node.instance
        )

    def _failed(self, watch: BeaconWatch, what: str, error: Exception) -> None:
        if isinstance(error, RequestError):
            watch.heed(error)
        self._changes.report(
            (what, watch.node.instance),
            "fails",
            logging.WARNING,
            f"{what}_fails",
            instance=watch.node.instance,
            reason=error,
            next="the next node is asked, all other figures go on",
        )


def _head(ledger: Ledger) -> int:
    return ledger.branch[-1].slot if ledger.branch else ledger.tree.anchor.slot
