"""A node that answers what a test tells it to, and a transport that asks it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from stakewatch.ethereum.transport import Exchange, Transport

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SAMPLES = Path(__file__).parents[2] / "samples" / "beacon-api"


@dataclass
class Asked:
    """A transport to a node, and the exchanges that it told of."""

    transport: Transport
    exchanges: list[Exchange] = field(default_factory=list)


@asynccontextmanager
async def asking(handler: Handler, *, timeout_seconds: float = 5.0) -> AsyncIterator[Asked]:
    """Serve every path with one handler on loopback, with a transport to it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    exchanges: list[Exchange] = []
    try:
        async with aiohttp.ClientSession() as session:
            transport = Transport(
                session,
                f"http://{host}:{port}",
                name="beacon-1",
                timeout_seconds=timeout_seconds,
                observe=exchanges.append,
            )
            yield Asked(transport, exchanges)
    finally:
        await runner.cleanup()


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    """Return the bytes of a real answer by its file's name."""
    return lambda name: (SAMPLES / name).read_bytes()
