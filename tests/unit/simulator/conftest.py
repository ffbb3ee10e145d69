"""A small fleet whose chain moves by hand, and a client for its APIs."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from stakewatch.simulator.fleet import Fleet
from tests.unit.simulator.small import SMALL, Asker


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(SMALL, clock="hand") as fleet:
        yield fleet


@pytest.fixture
async def ask(fleet: Fleet) -> AsyncIterator[Asker]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield Asker(fleet, session)
