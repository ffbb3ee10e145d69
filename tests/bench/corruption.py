"""Ways in which a beacon node's answer can be wrong: each takes a request or an answer and spoils it."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_NEVER_SECONDS = 3600.0
_PAGE = b"<!DOCTYPE html><html><head><title>Please log in</title></head></html>"
_SSZ = "application/octet-stream"
# Where a mainnet state of fulu has its slot and the offset words of two lists.
_SLOT_AT, _VALIDATORS_AT, _BALANCES_AT = 40, 524552, 524556
_HEX = re.compile(rb'"0x[0-9a-f]{16,}"')
_SLOT = re.compile(rb'"slot":"(\d+)"')
_NUMBER_IN_PATH = re.compile(r"/(\d+)(?=/|$)")


class Fault(StrEnum):
    """What is wrong with an answer."""

    HTTP_500 = "500"
    HTTP_404 = "404"
    HTTP_429 = "429"
    HANG = "hang"
    CUT = "cut in the middle"
    FRAMING = "framing flipped"
    LENGTHS = "lengths flipped"
    OFFSETS = "offsets flipped"
    SLOT = "slot flipped"
    OTHER_SLOT = "another slot's answer"
    HTML = "HTML"
    EMPTY = "empty list"
    OTHER_NETWORK = "another network"


ENDPOINTS: Mapping[str, str] = {
    "node/version": r"GET /eth/v1/node/version",
    "node/syncing": r"GET /eth/v1/node/syncing",
    "node/peer_count": r"GET /eth/v1/node/peer_count",
    "config/spec": r"GET /eth/v1/config/spec",
    "config/fork_schedule": r"GET /eth/v1/config/fork_schedule",
    "beacon/genesis": r"GET /eth/v1/beacon/genesis",
    "headers/head": r"GET /eth/v1/beacon/headers/head",
    "headers/{slot}": r"GET /eth/v1/beacon/headers/\d+",
    "blocks/{root}": r"GET /eth/v2/beacon/blocks/0x\w+",
    "finality_checkpoints": r"GET /eth/v1/beacon/states/\w+/finality_checkpoints",
    "committees": r"GET /eth/v1/beacon/states/\w+/committees",
    "sync_committees": r"GET /eth/v1/beacon/states/\w+/sync_committees",
    "pending_deposits": r"GET /eth/v1/beacon/states/\w+/pending_deposits",
    "validators, ours": r"POST /eth/v1/beacon/states/\w+/validators",
    "validators, all": r"GET /eth/v1/beacon/states/\w+/validators",
    "rewards/blocks": r"GET /eth/v1/beacon/rewards/blocks/\w+",
    "rewards/attestations": r"POST /eth/v1/beacon/rewards/attestations/\d+",
    "duties/proposer": r"GET /eth/v1/validator/duties/proposer/\d+",
    "debug/states": r"GET /eth/v2/debug/beacon/states/\w+",
}
# These are only asked when another endpoint fails, so that one fails with them.
ALSO_FAILING: Mapping[str, str] = {
    "config/spec": "node/syncing",
    "config/fork_schedule": "node/syncing",
    "beacon/genesis": "node/syncing",
    "validators, all": "debug/states",
    "rewards/attestations": "debug/states",
}


_LISTS = frozenset(
    {
        "config/fork_schedule",
        "committees",
        "pending_deposits",
        "validators, ours",
        "validators, all",
        "duties/proposer",
        "debug/states",
    }
)
_WITH_SLOT = frozenset(
    {
        "headers/head",
        "headers/{slot}",
        "blocks/{root}",
        "committees",
        "pending_deposits",
        "duties/proposer",
        "debug/states",
    }
)
# Whose answers say which slot, epoch or block they are about; the others have nothing to be held against.
_TELLING = frozenset(
    {"headers/head", "headers/{slot}", "blocks/{root}", "committees", "duties/proposer", "debug/states"}
)


def applies(fault: Fault, endpoint: str) -> bool:
    """Whether an endpoint's answer has what a fault is about."""
    match fault:
        case Fault.OFFSETS:
            return endpoint == "debug/states"
        case Fault.EMPTY:
            return endpoint in _LISTS
        case Fault.SLOT:
            return endpoint in _WITH_SLOT
        case Fault.OTHER_SLOT:
            return endpoint in _TELLING
        case _:
            return True


@dataclass
class Switch:
    """What is wrong at the moment; `hits` counts the answers that were spoilt.

    `last` is the endpoint that was broken last. `earlier` gives the name of an earlier block or state for
    `head` or a root.
    """

    endpoint: str | None = None
    fault: Fault | None = None
    hits: int = 0
    last: str = ""
    earlier: Callable[[str], str] = str
    other_network: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = field(
        default=None, repr=False
    )

    def matches(self, request: web.Request) -> Fault | None:
        """Return what is to be done with the answer to a request."""
        if self.endpoint is None:
            return None
        asked = f"{request.method} {request.path}"
        if re.fullmatch(ENDPOINTS[self.endpoint], asked):
            return self.fault
        also = ALSO_FAILING.get(self.endpoint)
        return Fault.HTTP_500 if also is not None and re.fullmatch(ENDPOINTS[also], asked) else None


def spoiling(switch: Switch) -> Middleware:
    """Return a middleware that spoils answers as a switch says at the time of the request."""

    @web.middleware
    async def spoil(request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = switch.matches(request)
        if fault is None:
            return await handler(request)
        if fault is Fault.HANG:
            # It never comes back from there.
            switch.hits += 1
        answer = await _spoilt(request, handler, fault, switch)
        if answer is None:
            return await handler(request)
        if fault is switch.fault:
            switch.hits += 1
        return answer

    return spoil


async def _spoilt(
    request: web.Request, handler: Handler, fault: Fault, switch: Switch
) -> web.StreamResponse | None:
    """Return the spoilt answer, None where this fault cannot be in it."""
    match fault:
        case Fault.HTTP_500 | Fault.HTTP_404 | Fault.HTTP_429:
            headers = {"Retry-After": "2"} if fault is Fault.HTTP_429 else None
            answer: web.StreamResponse | None = web.json_response(
                {"code": int(fault), "message": "no"}, status=int(fault), headers=headers
            )
        case Fault.HANG:
            await asyncio.sleep(_NEVER_SECONDS)
            answer = web.Response(status=504)
        case Fault.HTML:
            answer = web.Response(body=_PAGE, content_type="text/html")
        case Fault.OTHER_NETWORK if switch.other_network is not None:
            answer = await switch.other_network(request)
        case Fault.OTHER_SLOT:
            answer = await _other_slot(request, handler, switch.earlier)
        case _:
            answer = await _changed(request, await handler(request), fault)
    return answer


async def _changed(
    request: web.Request, response: web.StreamResponse, fault: Fault
) -> web.StreamResponse | None:
    """Return an answer with its bytes changed, None where it has nothing that the fault is about."""
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or response.status != web.HTTPOk.status_code:
        return response
    if fault is Fault.CUT:
        return await _cut(request, response, body)
    changed = changed_state(body, fault) if response.content_type == _SSZ else changed_json(body, fault)
    if changed is None:
        return None
    return web.Response(body=changed, content_type=response.content_type, headers=_kept(response))


def _kept(response: web.StreamResponse) -> dict[str, str]:
    version = response.headers.get("Eth-Consensus-Version")
    return {} if version is None else {"Eth-Consensus-Version": version}


async def _other_slot(
    request: web.Request, handler: Handler, earlier_name: Callable[[str], str]
) -> web.StreamResponse | None:
    """Answer about an earlier slot or epoch than the one that was asked for."""
    found = _NUMBER_IN_PATH.search(request.path)
    if found is None:
        for name, value in request.match_info.items():
            request.match_info[name] = earlier_name(value)
        return await handler(request) if request.match_info else None
    number = int(found[1])
    earlier = number - (3 if "/states/" in request.path or "/headers/" in request.path else 1)
    name = next(name for name, value in request.match_info.items() if value == found[1])
    request.match_info[name] = str(earlier)
    return await handler(request)


async def _cut(request: web.Request, response: web.StreamResponse, body: bytes) -> web.StreamResponse:
    """Promise the whole answer, send half of it, and close the connection."""
    cut = web.StreamResponse(headers={"Content-Type": response.headers["Content-Type"], **_kept(response)})
    cut.content_length = len(body)
    with suppress(ConnectionError):
        await cut.prepare(request)
        await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut


def changed_state(body: bytes, fault: Fault) -> bytes | None:
    """Return a state whose bytes are flipped where the fault is about them, None where it has no such."""
    places = {
        Fault.LENGTHS: (_BALANCES_AT, 4, 121),
        Fault.OFFSETS: (_VALIDATORS_AT, 4, 2**31),
        Fault.SLOT: (_SLOT_AT, 8, 1),
    }
    if fault in places:
        return _added(body, *places[fault])
    if fault is Fault.FRAMING:
        return body[: len(body) // 3] + body[len(body) // 3 + 5 :]
    return b"" if fault is Fault.EMPTY else None


def _added(body: bytes, place: int, length: int, amount: int) -> bytes:
    number = int.from_bytes(body[place : place + length], "little") + amount
    return body[:place] + number.to_bytes(length + 1, "little")[:length] + body[place + length :]


def changed_json(body: bytes, fault: Fault) -> bytes | None:
    """Return an answer that is spoilt as text, None where it has nothing that the fault is about."""
    changed = None
    if fault is Fault.FRAMING:
        place = body.rfind(b'"', 0, max(len(body) // 2, 2))
        changed = body[:place] + b"\x07" + body[place + 1 :]
    elif fault is Fault.LENGTHS and (found := _HEX.search(body)):
        changed = body[: found.end() - 2] + body[found.end() - 1 :]
    elif fault is Fault.SLOT and (slot := _SLOT.search(body)):
        changed = body[: slot.start(1)] + str(int(slot[1]) + 1).encode() + body[slot.end(1) :]
    elif fault is Fault.EMPTY:
        content = json.loads(body)
        if isinstance(content, dict) and isinstance(content.get("data"), list):
            changed = json.dumps({**content, "data": []}).encode()
    return changed
