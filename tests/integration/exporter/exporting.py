"""An exporter over a simulated fleet, in this process, and its pages read back."""

import asyncio
import dataclasses
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from stakewatch.bundle.configuration import Configuration, load_configuration_text
from stakewatch.simulator.fleet import Fleet
from stakewatch_exporter import log
from stakewatch_exporter.service import Service, running


@dataclass(frozen=True)
class Page:
    """Samples of a page as (name, labels, value)."""

    samples: tuple[tuple[str, dict[str, str], float], ...]

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the values of all series of a name that carry these labels."""
        return [
            value
            for found, own, value in self.samples
            if found == name and all(own.get(label) == wanted for label, wanted in labels.items())
        ]

    def value(self, name: str, **labels: str) -> float:
        """Return the value of the one series of a name that carries these labels."""
        (value,) = self.values(name, **labels)
        return value


def read_page(text: str) -> Page:
    """Parse a page with Prometheus' own Python parser; a family that stands twice is an error."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return Page(
        tuple((sample.name, sample.labels, sample.value) for family in families for sample in family.samples)
    )


def configured(
    fleet: Fleet, *, state_file: Path | None = None, timeout_seconds: float = 1.0
) -> Configuration:
    """Return the configuration that watches a fleet, on a free port."""
    configuration = load_configuration_text(fleet.configuration_text(), Path("stakewatch.yaml"))
    settings = dataclasses.replace(
        configuration.exporter,
        listen_port=0,
        interval_seconds=0.5,
        request_timeout_seconds=timeout_seconds,
        state_file=None if state_file is None else str(state_file),
    )
    return dataclasses.replace(configuration, exporter=settings)


@dataclass(frozen=True)
class Exporter:
    """A running exporter and what it logged."""

    service: Service
    session: aiohttp.ClientSession
    logged: io.StringIO

    async def text(self, path: str = "/metrics") -> tuple[int, str]:
        """Return status and text of a page."""
        async with self.session.get(self.service.url + path) as response:
            return response.status, await response.text()

    async def page(self) -> Page:
        """Return the metrics."""
        status, text = await self.text()
        assert status == 200
        return read_page(text)

    async def wait_for(self, what: str, condition: Callable[[Page], bool], seconds: float = 30.0) -> Page:
        """Return the first page on which a condition holds; fail after so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            page = await self.page()
            if condition(page):
                return page
            await asyncio.sleep(0.2)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.logged.getvalue()}")

    async def wait_for_log(self, event: str) -> None:
        """Return once an event was logged: it may be a moment later than what the page says of it."""
        await self.wait_for(event, lambda _page: event in self.logged.getvalue())


@asynccontextmanager
async def exporting(configuration: Configuration) -> AsyncIterator[Exporter]:
    """Run the exporter until the block ends."""
    logged = io.StringIO()
    log.write_to(logged)
    async with running(configuration) as service, aiohttp.ClientSession() as session:
        yield Exporter(service, session, logged)
