"""What a watch remembers and how long it pauses."""

import time

import aiohttp
import pytest

from stakewatch.bundle.configuration import ExporterSettings, Node, Role
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError
from stakewatch_exporter.log import Changes
from stakewatch_exporter.nodes import BeaconWatch, Latest

NODE = Node("beacon-1", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r")


def _limited(seconds: float | None) -> RequestError:
    return RequestError(
        "later", outcome=Outcome.RATE_LIMITED, endpoint=Endpoint.NODE, retry_after_seconds=seconds
    )


async def _watch(interval: float = 6.0) -> BeaconWatch:
    async with aiohttp.ClientSession() as session:
        return BeaconWatch(NODE, session, ExporterSettings(interval_seconds=interval), Changes())


def test_a_value_is_known_until_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    latest: Latest[int] = Latest(10)
    assert latest.get() is None
    latest.set(0)
    assert latest.get() == 0
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11)
    assert latest.get() is None


async def test_pauses_grow_with_failures_up_to_half_a_minute() -> None:
    watch = await _watch()
    pauses = []
    for failures in range(6):
        watch.contact.failed_rounds = failures
        pauses.append(watch.pause_seconds())
    for pause, expected in zip(pauses, (6, 6, 12, 24, 24, 24), strict=True):
        assert pause == pytest.approx(expected, rel=0.11)


async def test_an_interval_longer_than_half_a_minute_is_kept() -> None:
    watch = await _watch(60)
    watch.contact.failed_rounds = 9
    assert watch.pause_seconds() == pytest.approx(60, rel=0.11)


async def test_who_limits_our_requests_is_left_alone_for_as_long_as_it_asks() -> None:
    watch = await _watch()
    watch.heed(_limited(None))
    assert watch.contact.quiet_until == 0
    watch.heed(_limited(100))
    watch.heed(_limited(5))
    assert watch.contact.is_quiet
    assert 99 < watch.pause_seconds() <= 100


async def test_how_long_a_sync_takes_is_told_from_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = await _watch()
    assert watch.sync_seconds_left() is None
    began = time.monotonic()
    for second, distance in ((0, 1000), (100, 900), (200, 800)):
        monkeypatch.setattr(time, "monotonic", lambda second=second: began + second)
        watch._distance.add(distance)
    assert watch.sync_seconds_left() == pytest.approx(800)
    monkeypatch.setattr(time, "monotonic", lambda: began + 300)
    watch._distance.add(1200)
    assert watch.sync_seconds_left() is None
    monkeypatch.setattr(time, "monotonic", lambda: began + 890)
    watch._distance.add(1)
    assert watch.sync_seconds_left() == 0
