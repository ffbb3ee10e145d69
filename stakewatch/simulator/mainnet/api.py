"""The Beacon API of one node of a large chain: states, committees, rewards, written as they go out."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stakewatch.simulator.mainnet import block_json, rows, truth
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.ssz import pending_deposits, state_pieces
from stakewatch.simulator.mainnet.votes import SLOTS_PER_EPOCH
from stakewatch.simulator.presets import FAR_FUTURE_EPOCH, GWEI, MAINNET, specification

FORK = "fulu"
VERSION = "Lighthouse/v8.1.0-edba56b/x86_64-linux"
_SSZ = "application/octet-stream"
_LARGEST_REQUEST = 64 * 1024 * 1024
_FORKS = ("genesis", "altair", "bellatrix", "capella", "deneb", "electra", "fulu")
_BLOCKS_KEPT = 64
_ROWS_KEPT = 2


class MainnetApi:
    """Answers for a chain whose first slots are past and whose others come by the clock after `start`.

    What can be asked for is bounded by the head as on a real node; after the last slot made it stands still.
    With `whole` no answer is streamed, so that a middleware can have its way with it.
    `allow` may take endpoints away: it gets method and path (`GET /eth/...`) and says whether it is served.
    """

    def __init__(
        self,
        chain: MainnetChain,
        *,
        seconds_per_slot: float,
        epochs_past: int,
        whole: bool = False,
        allow: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.chain = chain
        self.seconds_per_slot = seconds_per_slot
        self._first_head = chain.first_slot + epochs_past * SLOTS_PER_EPOCH
        self._allow = allow
        self._whole = whole
        self.genesis_time = 0
        self.bytes_sent = 0
        self.start()
        self._block = lru_cache(_BLOCKS_KEPT)(partial(block_json.signed_block, chain))
        self._slots = {chain.root(one): one for one in chain.slots if chain.slots[one].has_block}
        self._rows = lru_cache(_ROWS_KEPT)(partial(rows.ValidatorRows, chain))

    def start(self) -> None:
        """Let the clock begin with a slot in two seconds' time."""
        self.genesis_time = int(time.time() + 2 - self._first_head * self.seconds_per_slot)

    @property
    def clock_slot(self) -> int:
        """The slot by the clock."""
        return int((time.time() - self.genesis_time) / self.seconds_per_slot)

    @property
    def head(self) -> int:
        """The newest slot with a block that can be fetched."""
        slot = max(min(self.clock_slot, self.chain.last_slot), self.chain.first_slot)
        while not self.chain.slots[slot].has_block:
            slot -= 1
        return slot

    def application(self, *middlewares: Middleware) -> web.Application:
        """Return a new application that serves it."""
        application = web.Application(
            client_max_size=_LARGEST_REQUEST, middlewares=[*middlewares, self._errors]
        )
        states, beacon = "/eth/v1/beacon/states/{state}", "/eth/v1/beacon"
        application.add_routes(
            [
                web.get("/eth/v1/node/version", self._version),
                web.get("/eth/v1/node/syncing", self._syncing),
                web.get("/eth/v1/node/peer_count", self._peers),
                web.get("/eth/v1/config/spec", self._specification),
                web.get("/eth/v1/config/fork_schedule", self._schedule),
                web.get(f"{beacon}/genesis", self._genesis),
                web.get(f"{beacon}/headers/{{block}}", self._header),
                web.get("/eth/v2/beacon/blocks/{block}", self._whole_block),
                web.get("/eth/v2/beacon/blocks/{block}/attestations", self._attestations),
                web.get(f"{beacon}/blocks/{{block}}/root", self._block_root),
                web.get(f"{states}/finality_checkpoints", self._finality),
                web.get(f"{states}/committees", self._committees),
                web.get(f"{states}/sync_committees", self._sync_committees),
                web.get(f"{states}/pending_deposits", self._pending_deposits),
                web.get(f"{states}/validators", self._validators),
                web.post(f"{states}/validators", self._posted_validators),
                web.post(f"{states}/validator_balances", self._posted_balances),
                web.get(f"{beacon}/rewards/blocks/{{block}}", self._block_rewards),
                web.post(f"{beacon}/rewards/attestations/{{epoch}}", self._attestation_rewards),
                web.post(f"{beacon}/rewards/sync_committee/{{block}}", self._sync_rewards),
                web.get("/eth/v1/validator/duties/proposer/{epoch}", self._duties),
                web.get("/eth/v2/debug/beacon/states/{state}", self._debug_state),
                web.get("/truth/attestations/{epoch}", self._attestation_truth),
                web.get("/truth/slots/{first}/{last}", self._slot_truth),
                web.get("/truth/validators/{slot}", self._validator_truth),
                web.get("/truth/epochs/{epoch}", self._epoch_truth),
                web.get("/truth/now", self._now),
                web.post("/start", self._start),
            ]
        )
        return application

    # ---- the node and the network

    async def _version(self, _: web.Request) -> web.StreamResponse:
        return self._answer({"version": VERSION})

    async def _syncing(self, _: web.Request) -> web.StreamResponse:
        return self._answer(
            {
                "head_slot": str(self.head),
                "sync_distance": "0",
                "is_syncing": False,
                "is_optimistic": False,
                "el_offline": False,
            }
        )

    async def _peers(self, _: web.Request) -> web.StreamResponse:
        return self._answer({"connected": "80", "connecting": "0", "disconnected": "9", "disconnecting": "0"})

    @property
    def specification(self) -> dict[str, str]:
        """What config/spec answers."""
        values = specification(
            MAINNET,
            network=self.chain.parameters.network,
            seconds_per_slot=max(1, int(self.seconds_per_slot)),
            genesis_time=self.genesis_time,
            chain_id=1,
            fork_versions={fork: (f"0x{number:02x}000000", 0) for number, fork in enumerate(_FORKS)},
        )
        # Slots of less than a second can only be told in the unit of later forks.
        return values | {"SLOT_DURATION_MS": str(int(self.seconds_per_slot * 1000))}

    async def _specification(self, _: web.Request) -> web.StreamResponse:
        return self._answer(self.specification)

    async def _schedule(self, _: web.Request) -> web.StreamResponse:
        return self._answer(
            [
                {
                    "previous_version": f"0x{max(number - 1, 0):02x}000000",
                    "current_version": f"0x{number:02x}000000",
                    "epoch": "0",
                }
                for number in range(len(_FORKS))
            ]
        )

    async def _genesis(self, _: web.Request) -> web.StreamResponse:
        return self._answer(
            {
                "genesis_time": str(self.genesis_time),
                "genesis_validators_root": self.chain.genesis_validators_root,
                "genesis_fork_version": "0x00000000",
            }
        )

    # ---- blocks

    def _slot_of(self, name: str) -> int:
        """Return the slot of a block id. Raises HTTPNotFound when the node has no such block."""
        chain, head = self.chain, self.head
        epoch = head // SLOTS_PER_EPOCH
        named = {
            "head": head,
            "finalized": (epoch - 2) * SLOTS_PER_EPOCH,
            "justified": (epoch - 1) * SLOTS_PER_EPOCH,
        }
        if name.startswith("0x"):
            slot = self._slots.get(name, -1)
        else:
            slot = named.get(name, int(name) if name.isdigit() else -1)
        if slot not in chain.slots or slot > head or not chain.slots[slot].has_block:
            raise web.HTTPNotFound(text=f"no block {name[:80]}")
        return slot

    async def _header(self, request: web.Request) -> web.StreamResponse:
        slot = self._slot_of(request.match_info["block"])
        return self._answer(
            {
                "root": self.chain.root(slot),
                "canonical": True,
                "header": block_json.signed_header(self.chain, slot),
            }
        )

    async def _block_root(self, request: web.Request) -> web.StreamResponse:
        return self._answer({"root": self.chain.root(self._slot_of(request.match_info["block"]))})

    async def _whole_block(self, request: web.Request) -> web.StreamResponse:
        slot = self._slot_of(request.match_info["block"])
        return self._answer(msgspec.Raw(self._block(slot, self._timestamp(slot))), version=FORK)

    async def _attestations(self, request: web.Request) -> web.StreamResponse:
        slot = self._slot_of(request.match_info["block"])
        return self._answer(block_json.attestations(self.chain, slot), version=FORK)

    def _timestamp(self, slot: int) -> int:
        return int(self.genesis_time + slot * self.seconds_per_slot)

    async def _block_rewards(self, request: web.Request) -> web.StreamResponse:
        slot = self.chain.slots[self._slot_of(request.match_info["block"])]
        return self._answer(
            {
                "proposer_index": str(slot.proposer_index),
                "total": str(slot.consensus_reward),
                "attestations": str(slot.attestations_reward),
                "sync_aggregate": str(slot.sync_reward),
                "proposer_slashings": "0",
                "attester_slashings": str(slot.slashing_reward),
            }
        )

    async def _sync_rewards(self, request: web.Request) -> web.StreamResponse:
        slot = self.chain.slots[self._slot_of(request.match_info["block"])]
        seats = self.chain.sync_committee
        indices = await self._indices(request)
        amounts = np.where(slot.sync_bits, slot.sync_reward_each, -slot.sync_reward_each)
        return self._answer(
            [
                {"validator_index": str(index), "reward": str(int(amounts[seats == index].sum()))}
                for index in (dict.fromkeys(seats.tolist()) if indices is None else indices.tolist())
                if index in seats
            ]
        )

    # ---- states

    def _state(self, name: str) -> int:
        """Return the slot of a state id. Raises HTTPNotFound when the node has no such state."""
        head = self.head
        epoch = head // SLOTS_PER_EPOCH
        named = {
            "head": head,
            "finalized": (epoch - 2) * SLOTS_PER_EPOCH,
            "justified": (epoch - 1) * SLOTS_PER_EPOCH,
        }
        slot = named.get(name, int(name) if name.isdigit() else -1)
        # A node also has the state of an empty slot once its clock has passed it.
        if slot not in self.chain.slots or slot > max(head, min(self.clock_slot, self.chain.last_slot)):
            raise web.HTTPNotFound(text=f"no state {name[:80]}")
        return slot

    async def _finality(self, request: web.Request) -> web.StreamResponse:
        epoch = self._state(request.match_info["state"]) // SLOTS_PER_EPOCH

        def checkpoint(number: int) -> dict[str, str]:
            return {"epoch": str(number), "root": self.chain.checkpoint_root(number)}

        return self._answer(
            {
                "previous_justified": checkpoint(epoch - 2),
                "current_justified": checkpoint(epoch - 1),
                "finalized": checkpoint(epoch - 2),
            }
        )

    async def _committees(self, request: web.Request) -> web.StreamResponse:
        slot = self._state(request.match_info["state"])
        epoch = _query(request, "epoch", slot // SLOTS_PER_EPOCH)
        wanted = _query(request, "slot", -1)
        if epoch not in self.chain.epochs or epoch > slot // SLOTS_PER_EPOCH + 1:
            raise web.HTTPBadRequest(text=f"epoch {epoch} is out of range")
        return self._answer(msgspec.Raw(await asyncio.to_thread(self._committee_text, epoch, wanted)))

    def _committee_text(self, epoch: int, wanted: int) -> bytes:
        votes = self.chain.epochs[epoch].votes
        first = epoch * SLOTS_PER_EPOCH
        entries = []
        for slot in range(first, first + SLOTS_PER_EPOCH):
            if wanted not in {-1, slot}:
                continue
            members = votes.members[votes.of_slot(slot)]
            bounds = votes.committee_bounds(slot).tolist()
            for number, (start, end) in enumerate(pairwise(bounds)):
                head = f'{{"index":"{number}","slot":"{slot}","validators":'.encode()
                entries.append(head + rows.number_list(members[start:end]) + b"}")
        return b"[" + b",".join(entries) + b"]"

    async def _sync_committees(self, request: web.Request) -> web.StreamResponse:
        self._state(request.match_info["state"])
        seats = [str(index) for index in self.chain.sync_committee.tolist()]
        size = len(seats) // 4
        return self._answer(
            {
                "validators": seats,
                "validator_aggregates": [seats[first : first + size] for first in range(0, len(seats), size)],
            }
        )

    async def _pending_deposits(self, request: web.Request) -> web.StreamResponse:
        slot = self._state(request.match_info["state"])
        return self._answer(
            [
                block_json.deposit_data(self.chain, deposit.validator_index, deposit.amount)
                | {"slot": str(deposit.slot)}
                for deposit in pending_deposits(self.chain, slot)
            ],
            version=FORK,
        )

    async def _validators(self, request: web.Request) -> web.StreamResponse:
        slot = self._state(request.match_info["state"])
        ids = [one for part in request.query.getall("id", []) for one in part.split(",")]
        state = await asyncio.to_thread(self._rows, slot)
        if ids:
            return self._answer(msgspec.Raw(_some(state, self._known(ids))))
        return await self._stream(request, [b'{"data":['], state.pieces(), [b'],"finalized":false}'])

    async def _posted_validators(self, request: web.Request) -> web.StreamResponse:
        slot = self._state(request.match_info["state"])
        wanted = msgspec.json.decode(await request.read() or b"{}", type=dict[str, list[str] | None])
        state = await asyncio.to_thread(self._rows, slot)
        ids = wanted.get("ids")
        if ids:
            return self._answer(msgspec.Raw(_some(state, self._known(ids))))
        return await self._stream(request, [b'{"data":['], state.pieces(), [b'],"finalized":false}'])

    async def _posted_balances(self, request: web.Request) -> web.StreamResponse:
        slot = self._state(request.match_info["state"])
        indices = await self._indices(request)
        if indices is None:
            indices = np.arange(self.chain.parameters.validators)
        balances = self.chain.balances_at(slot)[indices]
        return self._answer(msgspec.Raw(b"[" + rows.balance_rows(indices, balances) + b"]"))

    async def _debug_state(self, request: web.Request) -> web.StreamResponse:
        if _SSZ not in request.headers.get("Accept", ""):
            raise web.HTTPNotAcceptable(text=f"only {_SSZ} is offered")
        slot = self._state(request.match_info["state"])
        length, pieces = await asyncio.to_thread(state_pieces, self.chain, slot, self.genesis_time)
        headers = {"Eth-Consensus-Version": FORK}
        if self._whole:
            return web.Response(body=b"".join(pieces), content_type=_SSZ, headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_type = _SSZ
        response.content_length = length
        await response.prepare(request)
        for piece in pieces:
            self.bytes_sent += len(piece)
            await response.write(piece)
        return response

    # ---- rewards and duties

    async def _attestation_rewards(self, request: web.Request) -> web.StreamResponse:
        epoch = _number(request.match_info["epoch"])
        # Rewards are known once the epoch after the next has begun.
        if epoch not in self.chain.attestations or self.head // SLOTS_PER_EPOCH < epoch + 2:
            raise web.HTTPNotFound(text=f"no rewards of epoch {epoch} yet")
        indices = await self._indices(request)
        known = self.chain.attestations[epoch]
        if indices is None:
            indices = np.flatnonzero(known.eligible)
        effective = self.chain.epochs[epoch + 1].effective
        ideal = msgspec.json.encode(
            [
                {
                    "effective_balance": str(increments * GWEI),
                    "head": str(known.rewards[2][increments]),
                    "target": str(known.rewards[1][increments]),
                    "source": str(known.rewards[0][increments]),
                    "inactivity": "0",
                }
                for increments in range(1, len(known.rewards[0]))
            ]
        )

        def pieces() -> Iterator[bytes]:
            for first in range(0, len(indices), rows.BLOCK):
                part = indices[first : first + rows.BLOCK]
                text = rows.reward_rows(part, known.parts(part, effective[part]))
                yield text if first + rows.BLOCK < len(indices) else text[:-1]

        head = b'{"execution_optimistic":false,"finalized":false,"data":{"ideal_rewards":' + ideal
        return await self._stream(request, [head, b',"total_rewards":['], pieces(), [b"]}}"])

    async def _duties(self, request: web.Request) -> web.StreamResponse:
        epoch = _number(request.match_info["epoch"])
        if abs(epoch - self.clock_slot // SLOTS_PER_EPOCH) > 1:
            raise web.HTTPBadRequest(text=f"epoch {epoch} is out of range")
        first = epoch * SLOTS_PER_EPOCH
        deciding = self.chain.root(min(first - 1, self.head))
        return self._reply(
            {
                "dependent_root": deciding,
                "execution_optimistic": False,
                "data": [
                    {
                        "slot": str(slot),
                        "validator_index": str(index),
                        "pubkey": self.chain.registry.pubkey(index),
                    }
                    for slot, index in enumerate(self.chain.proposers(epoch), start=first)
                ],
            }
        )

    # ---- truth

    async def _attestation_truth(self, request: web.Request) -> web.StreamResponse:
        return self._reply(truth.attestation_truth(self.chain, _number(request.match_info["epoch"])))

    async def _slot_truth(self, request: web.Request) -> web.StreamResponse:
        first, last = (_number(request.match_info[name]) for name in ("first", "last"))
        return self._reply(truth.slot_truth(self.chain, first, last, _query(request, "first_epoch", 0)))

    async def _epoch_truth(self, request: web.Request) -> web.StreamResponse:
        epoch = self.chain.epochs[_number(request.match_info["epoch"])]
        active = {
            "active_validators": epoch.active_validators,
            "active_balance": epoch.active_increments * GWEI,
        }
        return self._reply(active)

    async def _validator_truth(self, request: web.Request) -> web.StreamResponse:
        return self._reply(truth.validator_truth(self.chain, _number(request.match_info["slot"])))

    async def _now(self, _: web.Request) -> web.StreamResponse:
        return self._reply({"head": self.head, "clock": self.clock_slot, "bytes_sent": self.bytes_sent})

    async def _start(self, _: web.Request) -> web.StreamResponse:
        self.start()
        return self._reply({"genesis_time": self.genesis_time})

    # ---- the form of all answers

    def _known(self, ids: Iterable[str]) -> npt.NDArray[np.int64]:
        """Return the indices of ids; of public keys only those of watched validators are known."""
        found = (
            self.chain.registry.index_of.get(one) if one.startswith("0x") else _number(one) for one in ids
        )
        count = self.chain.parameters.validators
        return np.array([one for one in found if one is not None and one < count], dtype=np.int64)

    async def _indices(self, request: web.Request) -> npt.NDArray[np.int64] | None:
        ids = msgspec.json.decode(await request.read() or b"[]", type=list[str])
        return self._known(ids) if ids else None

    async def _stream(
        self, request: web.Request, head: list[bytes], pieces: Iterator[bytes], tail: list[bytes]
    ) -> web.StreamResponse:
        if self._whole:
            body = b"".join((*head, *pieces, *tail))
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for part in head:
            await response.write(part)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            self.bytes_sent += len(piece)
            await response.write(piece)
        for part in tail:
            await response.write(part)
        return response

    def _answer(self, data: object, *, version: str | None = None) -> web.StreamResponse:
        content = {"data": data, "execution_optimistic": False, "finalized": False}
        return self._reply(content if version is None else content | {"version": version})

    def _reply(self, content: object) -> web.StreamResponse:
        body = msgspec.json.encode(content)
        self.bytes_sent += len(body)
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._allow(f"{request.method} {request.path}"):
            return web.json_response({"code": 404, "message": "not served"}, status=404)
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPBadRequest, web.HTTPNotAcceptable) as error:
            body = {"code": error.status, "message": error.text}
            return web.json_response(body, status=error.status)


def _some(state: rows.ValidatorRows, indices: npt.NDArray[np.int64]) -> bytes:
    return b"[" + (state.text(indices, is_last=True) if len(indices) else b"") + b"]"


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > len(str(FAR_FUTURE_EPOCH)):
        raise web.HTTPBadRequest(text=f"no number: {text[:40]}")
    return int(text)


def _query(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    return default if text is None else _number(text)
