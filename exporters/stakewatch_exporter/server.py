"""The HTTP server: metrics, liveness, readiness, health per node, offenders."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from stakewatch.errors import InputError
from stakewatch_exporter.exposition import CONTENT_TYPE
from stakewatch_exporter.page import Page

_SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True)
class Pages:
    """What the server shows; the functions answer at once."""

    metrics: Page
    is_ready: Callable[[], bool]
    health: Callable[[str], Mapping[str, object] | None]
    offenders: Callable[[], Mapping[str, object]]


def _json(content: Mapping[str, object], status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(content, indent=2).encode() + b"\n", status=status, content_type="application/json"
    )


def application(pages: Pages) -> web.Application:
    """Return the application that serves the pages."""

    async def metrics(request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE}
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=pages.metrics.text(), headers=headers)
        # In a thread: pages of many keys are large, and the loop has nodes to talk to.
        body = await asyncio.to_thread(pages.metrics.packed)
        return web.Response(body=body, headers={**headers, "Content-Encoding": "gzip"})

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.Response:
        if pages.is_ready():
            return web.Response(text="ready\n")
        return web.Response(text="not every node has been asked yet\n", status=503)

    async def health(request: web.Request) -> web.Response:
        instance = request.match_info["instance"]
        content = pages.health(instance)
        if content is None:
            return _json({"error": "no node of this name is watched"}, 404)
        return _json(content, 200 if content["healthy"] else 503)

    async def offenders(_: web.Request) -> web.Response:
        return _json(pages.offenders())

    app = web.Application()
    app.add_routes(
        [
            web.get("/metrics", metrics),
            web.get("/healthz", alive),
            web.get("/readyz", ready),
            web.get("/health/{instance}", health),
            web.get("/offenders", offenders),
        ]
    )
    return app


@asynccontextmanager
async def serving(pages: Pages, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve the pages; yields the address, whose port is a free one when 0 was asked for.

    Raises InputError when the address cannot be listened on.
    """
    runner = web.AppRunner(application(pages), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise InputError(
                f"cannot listen there: {error.strerror}",
                where=f"{host}:{port}",
                mend="choose a free address with --listen HOST:PORT or exporter.listen in stakewatch.yaml",
            ) from error
        address = runner.addresses[0]
        yield str(address[0]), int(address[1])
    finally:
        await runner.cleanup()
