"""Answers as a broken server gives them: the middleware that applies a node's API fault."""

import asyncio
import json
from collections.abc import Callable
from itertools import cycle

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stakewatch.simulator.faults import Fault

# A time that no client waits for; the server cancels the handler when it stops or the client leaves.
_NEVER_SECONDS = 3600.0
_PAGE = "<!DOCTYPE html><html><head><title>Please log in</title></head><body>hotel wifi</body></html>"
_WRONG_VALUES: tuple[object, ...] = (None, "NaN", -1, "-1", 1e300, "9" * 60, [], {}, True, "0x", "")


def misbehaving(find: Callable[[], Fault | None], delay_seconds: Callable[[], float]) -> Middleware:
    """Return a middleware that does what `find` says at the time of each request, after `delay_seconds`."""
    wrong = cycle(_WRONG_VALUES)

    @web.middleware
    async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(delay_seconds())
        fault = find()
        if fault is None:
            return await handler(request)
        match fault.kind.name:
            case "hang":
                await asyncio.sleep(_NEVER_SECONDS)
                response: web.StreamResponse = _refuse(504, "Gateway Timeout")
            case "http_500":
                response = _refuse(500, "Internal Server Error")
            case "http_404":
                response = _refuse(404, "Not Found")
            case "http_429":
                retry_after = str(int(fault.number("retry_after_seconds")))
                response = _refuse(429, "Too Many Requests", {"Retry-After": retry_after})
            case "html":
                response = web.Response(text=_PAGE, content_type="text/html")
            case "truncated":
                response = await _truncate(request, await handler(request))
            case "wrong_types":
                response = _replace_numbers(await handler(request), lambda: next(wrong))
            case _:
                response = await handler(request)
        return response

    return misbehave


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"code": status, "message": message}, status=status, headers=headers)


def _body(response: web.StreamResponse) -> bytes:
    return response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""


async def _truncate(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Promise the whole answer, send half of it, and cut the connection."""
    body = _body(response)
    cut = web.StreamResponse(status=response.status, headers={"Content-Type": response.content_type})
    cut.content_length = len(body) + 2
    await cut.prepare(request)
    await cut.write(body[: (len(body) + 1) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut


def _replace_numbers(response: web.StreamResponse, wrong: Callable[[], object]) -> web.StreamResponse:
    """Put a wrong value in the place of every number of a JSON answer."""
    body = _body(response)
    if not body:
        return response

    def replace(value: object) -> object:
        if isinstance(value, dict):
            return {key: replace(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replace(item) for item in value]
        if isinstance(value, str) and _is_number(value):
            return wrong()
        return wrong() if isinstance(value, int | bool) else value

    return web.json_response(replace(json.loads(body)), status=response.status)


def _is_number(text: str) -> bool:
    digits = text.removeprefix("0x")
    return digits.isdigit() or (text.startswith("0x") and len(text) <= 18)  # noqa: PLR2004 - 64 bits in hex
