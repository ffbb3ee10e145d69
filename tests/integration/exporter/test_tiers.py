"""The tiers on a chain moved by hand: what each counts is exact, and a better one is taken up again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from stakewatch.ethereum.epoch_api import EpochApi
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError
from stakewatch.simulator.ssz_state import participation
from stakewatch_exporter.committee_reader import CommitteeReader
from stakewatch_exporter.counters import AttestationCounters
from stakewatch_exporter.epoch_reader import EpochReader
from stakewatch_exporter.epoch_result import Tier
from stakewatch_exporter.log import Changes

from .test_following import KEYS, SLOTS_PER_EPOCH, Course, moved_by_hand

OFFLINE = [3, 4, 5]


@dataclass
class Reading:
    """A course with readers of epochs and committees beside the follower."""

    course: Course
    reader: EpochReader
    committees: CommitteeReader
    tiers: list[Tier] = field(default_factory=list)

    async def epochs(self, number: int) -> None:
        """Move on by so many epochs, slot by slot, every reader after every slot."""
        for _ in range(number * SLOTS_PER_EPOCH):
            await self.course.advance()
            ledger = self.course.ledger
            self.committees._committees_next_at = self.committees._seats_next_at = 0.0
            await self.committees.prepare(self.course.watches, ledger)
            for _ in range(4):
                if self.reader._work is not None:
                    self.reader._work.next_at = 0.0
                await self.reader.read(self.course.watches, ledger)
        if self.reader.tier is not None:
            self.tiers.append(self.reader.tier)

    def wrong(self, own: list[int] | None) -> dict[str, tuple[int, int]]:
        """Return (counted, true) of what differs over all settled epochs, of some validators or of all."""
        chain, book = self.course.fleet.chain, self.course.ledger.book
        assert book.settled is not None
        alpha = self.course.ledger.counters["alpha"]
        counted = book.network.attestations if own is None else alpha.attestations
        indices = list(range(chain.parameters.validators)) if own is None else own
        true = AttestationCounters()
        for epoch in range(book.settled.epoch - counted.duties // len(indices) + 1, book.settled.epoch + 1):
            flags = participation(chain, epoch, chain.first_slot(epoch + 2) - 1)[indices]
            true.duties += len(indices)
            true.missed += int((flags == 0).sum())
            for bit, vote in enumerate(("source", "target", "head")):
                hit = int((flags >> bit & 1).sum())
                correct, wrong = f"{vote}_correct", f"{vote}_wrong"
                setattr(true, correct, getattr(true, correct) + hit)
                setattr(true, wrong, getattr(true, wrong) + int((flags != 0).sum()) - hit)
        kinds = [f"{vote}_{kind}" for vote in ("source", "target", "head") for kind in ("correct", "wrong")]
        names = ("duties", "missed", *kinds)
        pairs = {name: (getattr(counted, name), getattr(true, name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@asynccontextmanager
async def _reading() -> AsyncIterator[Reading]:
    async with moved_by_hand() as moved:
        moved.ledger.patience_slots = 4 * SLOTS_PER_EPOCH
        changes = Changes()
        follower = moved.follower
        yield Reading(
            moved,
            EpochReader(lambda: follower.chain, changes),
            CommitteeReader(lambda: follower.chain, changes),
        )


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Let all nodes refuse their states while `states` is set."""
    switch = {"states": False}
    honest = EpochApi.state

    async def state(self: EpochApi, slot: int, *arguments: object, **options: object) -> object:
        if switch["states"]:
            raise RequestError("forbidden", outcome=Outcome.HTTP_4XX, endpoint=Endpoint.STATES, status=403)
        return await honest(self, slot, *arguments, **options)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr(EpochApi, "state", state)
    return switch


async def test_states_and_blocks_count_the_same_and_the_truth(refusing: dict[str, bool]) -> None:
    for is_refused, tier in ((False, Tier.SSZ), (True, Tier.BLOCKS)):
        refusing["states"] = is_refused
        async with _reading() as reading:
            await reading.epochs(2)
            await reading.course.fleet.inject("keys_offline", indices=OFFLINE)
            await reading.epochs(8)
            assert reading.tiers[-1] is tier
            counted = reading.course.ledger.counters["alpha"].attestations
            assert counted.duties >= 5 * KEYS
            assert counted.missed >= 3 * len(OFFLINE)
            assert reading.wrong(list(range(KEYS))) == {}
            assert reading.wrong(None) == {}
            assert set(reading.course.ledger.book.misses) == set(OFFLINE)
            assert (counted.reward > 0) is (tier is Tier.SSZ)


async def test_a_better_tier_is_taken_up_again(refusing: dict[str, bool]) -> None:
    async with _reading() as reading:
        await reading.epochs(3)
        refusing["states"] = True
        await reading.epochs(3)
        refusing["states"] = False
        for _ in range(8):
            await reading.epochs(1)
        assert reading.tiers[0] is Tier.SSZ
        assert Tier.BLOCKS in reading.tiers
        assert reading.tiers[-1] is Tier.SSZ
        assert reading.wrong(list(range(KEYS))) == {}
        assert reading.course.ledger.epochs_skipped == 0


async def test_reorganisations_change_no_settled_counter(refusing: dict[str, bool]) -> None:
    refusing["states"] = False
    async with _reading() as reading:
        chain = reading.course.fleet.chain
        await reading.epochs(2)
        for slot in (chain.slot + 3, chain.slot + SLOTS_PER_EPOCH * 2 - 1, chain.slot + SLOTS_PER_EPOCH * 3):
            chain.orphan_proposal(slot)
        before = 0
        for _ in range(9):
            await reading.epochs(1)
            counted = reading.course.ledger.book.network
            assert counted.proposed >= before
            before = counted.proposed
        assert reading.wrong(None) == {}
        network = reading.course.ledger.book.network
        assert network.orphaned >= 2
