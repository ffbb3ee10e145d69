"""The Beacon API of one simulated node, as far as an operator's tools ask it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stakewatch.simulator import beacon_json
from stakewatch.simulator.blocks import Block
from stakewatch.simulator.chain import Chain
from stakewatch.simulator.presets import FAR_FUTURE_EPOCH, specification
from stakewatch.simulator.ssz_state import ssz_state
from stakewatch.simulator.views import Implementation, View

_ROOT = re.compile(r"0x[0-9a-fA-F]{64}")
_LARGEST_REQUEST = 16 * 1024 * 1024
_SSZ = "application/octet-stream"
_FORKS = ("genesis", "altair", "bellatrix", "capella", "deneb", "electra")
_UMBRELLAS = {
    "pending": ("pending_initialized", "pending_queued"),
    "active": ("active_ongoing", "active_exiting", "active_slashed"),
    "exited": ("exited_unslashed", "exited_slashed"),
    "withdrawal": ("withdrawal_possible", "withdrawal_done"),
}


class _RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Ids(msgspec.Struct):
    """The body of POST validators."""

    ids: list[str] | None = None
    statuses: list[str] | None = None


@dataclass(frozen=True)
class _State:
    """A state that a request asks for."""

    slot: int
    finalized: bool


def fork_versions(chain: Chain) -> dict[str, tuple[str, int]]:
    """Return the forks of a chain with version and epoch; the last bytes tell networks apart."""
    electra = 0 if chain.parameters.fork == "electra" else FAR_FUTURE_EPOCH
    suffix = f"{chain.parameters.seed % 256:02x}"
    return {
        fork: (f"0x{number:02x}0000{suffix}", electra if fork == "electra" else 0)
        for number, fork in enumerate(_FORKS)
    }


class BeaconApi:
    """Answers for one node; `view` is asked anew for each request, `application` serves it."""

    def __init__(self, implementation: Implementation, view: Callable[[], View]) -> None:
        self._implementation = implementation
        self._view = view

    def application(self, *middlewares: Middleware) -> web.Application:
        """Return a new application; one is needed each time that the server starts."""
        application = web.Application(
            client_max_size=_LARGEST_REQUEST, middlewares=[*middlewares, self._errors]
        )
        application.add_routes(
            [
                web.get("/eth/v1/node/version", self._version),
                web.get("/eth/v1/node/syncing", self._syncing),
                web.get("/eth/v1/node/peer_count", self._peer_count),
                web.get("/eth/v1/node/health", self._health),
                web.get("/eth/v1/node/identity", self._identity),
                web.get("/eth/v1/config/spec", self._specification),
                web.get("/eth/v1/config/fork_schedule", self._fork_schedule),
                web.get("/eth/v1/beacon/genesis", self._genesis),
                web.get("/eth/v1/beacon/headers/{block}", self._header),
                web.get("/eth/v1/beacon/blocks/{block}/root", self._block_root),
                web.get("/eth/v2/beacon/blocks/{block}", self._block),
                web.get("/eth/v1/beacon/states/{state}/finality_checkpoints", self._finality),
                web.get("/eth/v1/beacon/states/{state}/committees", self._committees),
                web.get("/eth/v1/beacon/states/{state}/sync_committees", self._sync_committees),
                web.get("/eth/v1/beacon/states/{state}/pending_deposits", self._pending_deposits),
                web.get("/eth/v1/beacon/states/{state}/validators", self._validators),
                web.get("/eth/v1/beacon/states/{state}/validators/{validator}", self._validator),
                web.get("/eth/v1/validator/duties/proposer/{epoch}", self._proposer_duties),
                web.get("/eth/v2/debug/beacon/states/{state}", self._debug_state),
            ]
        )
        if self._implementation.has_validators_post:
            application.add_routes(
                [
                    web.post("/eth/v1/beacon/states/{state}/validators", self._post_validators),
                    web.post("/eth/v1/beacon/states/{state}/validator_balances", self._post_balances),
                ]
            )
        if self._implementation.has_rewards:
            application.add_routes([web.get("/eth/v1/beacon/rewards/blocks/{block}", self._rewards)])
        return application

    # ---- the node itself

    async def _version(self, _: web.Request) -> web.Response:
        return self._answer({"version": self._implementation.version})

    async def _syncing(self, _: web.Request) -> web.Response:
        view = self._view()
        data: dict[str, object] = {
            "head_slot": str(view.head_block.slot),
            "sync_distance": str(view.sync_distance),
            "is_syncing": view.is_syncing,
            "is_optimistic": view.optimistic,
        }
        if self._implementation.tells_execution_offline:
            data["el_offline"] = view.execution_offline
        return self._answer(data)

    async def _peer_count(self, _: web.Request) -> web.Response:
        return self._answer(
            {
                "disconnected": "12",
                "connecting": "0",
                "connected": str(self._view().peers),
                "disconnecting": "0",
            }
        )

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=206 if self._view().is_syncing else 200)

    async def _identity(self, _: web.Request) -> web.Response:
        peer = "16Uiu2HAm" + self._view().chain.genesis_validators_root[2:46]
        return self._answer(
            {
                "peer_id": peer,
                "enr": "enr:-" + peer,
                "p2p_addresses": [f"/ip4/127.0.0.1/tcp/9000/p2p/{peer}"],
                "discovery_addresses": ["/ip4/127.0.0.1/udp/9000"],
                "metadata": {"seq_number": "1", "attnets": "0x6000000000000000", "syncnets": "0x0f"},
            }
        )

    # ---- the network

    async def _specification(self, _: web.Request) -> web.Response:
        chain = self._view().chain
        parameters = chain.parameters
        return self._answer(
            specification(
                chain.preset,
                network=parameters.network,
                seconds_per_slot=parameters.seconds_per_slot,
                genesis_time=parameters.genesis_time,
                chain_id=parameters.chain_id,
                fork_versions=fork_versions(chain),
            )
        )

    async def _fork_schedule(self, _: web.Request) -> web.Response:
        versions = list(fork_versions(self._view().chain).values())
        return self._answer(
            [
                {"previous_version": previous, "current_version": current, "epoch": str(epoch)}
                for (previous, _), (current, epoch) in zip(
                    [versions[0], *versions[:-1]], versions, strict=True
                )
            ]
        )

    async def _genesis(self, _: web.Request) -> web.Response:
        chain = self._view().chain
        return self._answer(
            {
                "genesis_validators_root": chain.genesis_validators_root,
                "genesis_time": str(chain.parameters.genesis_time),
                "genesis_fork_version": fork_versions(chain)["genesis"][0],
            }
        )

    # ---- blocks

    async def _header(self, request: web.Request) -> web.Response:
        view = self._view()
        block = _find_block(view, request.match_info["block"])
        record = view.chain.slots.get(block.slot)
        data = {
            "root": block.root,
            "canonical": block is view.head_block or record is None or record.orphan is not block,
            "header": beacon_json.header(block),
        }
        return self._answer_about(view, data, finalized=_is_finalized(view, block.slot))

    async def _block_root(self, request: web.Request) -> web.Response:
        view = self._view()
        block = _find_block(view, request.match_info["block"])
        return self._answer_about(view, {"root": block.root}, finalized=_is_finalized(view, block.slot))

    async def _block(self, request: web.Request) -> web.Response:
        view = self._view()
        block = _find_block(view, request.match_info["block"])
        data = beacon_json.signed_block(
            view.chain, block, checksummed=self._implementation.has_checksummed_addresses
        )
        return self._answer_about(
            view, data, finalized=_is_finalized(view, block.slot), version=view.chain.parameters.fork
        )

    async def _rewards(self, request: web.Request) -> web.Response:
        view = self._view()
        block = _find_block(view, request.match_info["block"])
        data = {
            "proposer_index": str(block.proposer_index),
            "total": str(block.consensus_reward),
            "attestations": str(block.attestations_reward),
            "sync_aggregate": str(block.sync_aggregate_reward),
            "proposer_slashings": "0",
            "attester_slashings": "0",
        }
        return self._answer_about(view, data, finalized=_is_finalized(view, block.slot))

    # ---- states

    async def _finality(self, request: web.Request) -> web.Response:
        view = self._view()
        state = _find_state(view, request.match_info["state"])
        record = view.chain.epochs[view.chain.epoch_of(state.slot)]
        data = {
            "previous_justified": beacon_json.checkpoint(record.previous_justified),
            "current_justified": beacon_json.checkpoint(record.current_justified),
            "finalized": beacon_json.checkpoint(record.finalized),
        }
        return self._answer_about(view, data, finalized=state.finalized)

    async def _committees(self, request: web.Request) -> web.Response:
        view = self._view()
        state = _find_state(view, request.match_info["state"])
        chain = view.chain
        epoch = _number(request.query.get("epoch"), chain.epoch_of(state.slot))
        if epoch not in chain.epochs or epoch > chain.epoch_of(state.slot) + 1:
            raise _RefusedError(400, f"Epoch {epoch} is out of range for this state")
        slots = range(chain.first_slot(epoch), chain.first_slot(epoch + 1))
        wanted_slot = _number(request.query.get("slot"), -1)
        wanted_index = _number(request.query.get("index"), -1)
        data = [
            {"index": str(number), "slot": str(slot), "validators": [str(member) for member in members]}
            for slot, committees in zip(slots, chain.epochs[epoch].committees, strict=True)
            for number, members in enumerate(committees)
            if wanted_slot in {-1, slot} and wanted_index in {-1, number}
        ]
        return self._answer_about(view, data, finalized=state.finalized)

    async def _sync_committees(self, request: web.Request) -> web.Response:
        view = self._view()
        state = _find_state(view, request.match_info["state"])
        chain = view.chain
        own = chain.epoch_of(state.slot)
        epoch = _number(request.query.get("epoch"), own)
        length = chain.preset.epochs_per_sync_committee_period
        if not own // length <= epoch // length <= own // length + 1:
            raise _RefusedError(400, f"Epoch {epoch} is out of range for this state")
        record = chain.epochs[own]
        is_own = epoch // length == own // length
        members = record.sync_committee if is_own else record.next_sync_committee
        seats = [str(index) for index in members]
        size = max(1, len(seats) // 4)
        aggregates = [seats[first : first + size] for first in range(0, len(seats), size)]
        data = {"validators": seats, "validator_aggregates": aggregates}
        return self._answer_about(view, data, finalized=state.finalized)

    async def _pending_deposits(self, request: web.Request) -> web.Response:
        view = self._view()
        state = _find_state(view, request.match_info["state"])
        if view.chain.parameters.fork != "electra":
            raise _RefusedError(400, "Pending deposits are not known before the electra fork")
        deposits = view.chain.slots[state.slot].pending_deposits
        data = [beacon_json.pending_deposit(view.chain, deposit) for deposit in deposits]
        return self._answer_about(view, data, finalized=state.finalized, version="electra")

    async def _validators(self, request: web.Request) -> web.Response:
        ids, statuses = request.query.getall("id", []), request.query.getall("status", [])
        if self._implementation.has_comma_lists:
            ids = [one for part in ids for one in part.split(",")]
            statuses = [one for part in statuses for one in part.split(",")]
        return self._validators_answer(request, ids, statuses)

    async def _post_validators(self, request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=_Ids)
        except msgspec.DecodeError as error:
            raise _RefusedError(400, str(error)) from error
        return self._validators_answer(request, wanted.ids or [], wanted.statuses or [])

    def _validators_answer(self, request: web.Request, ids: list[str], statuses: list[str]) -> web.Response:
        view = self._view()
        state = _find_state(view, request.match_info["state"])
        if self._implementation.has_umbrella_statuses:
            statuses = [one for name in statuses for one in _UMBRELLAS.get(name, (name,))]
        chain = view.chain
        entries = beacon_json.validators(
            chain,
            chain.epochs[chain.epoch_of(state.slot)],
            chain.balances_at(state.slot),
            _indices(chain, ids) if ids else range(chain.parameters.validators),
            frozenset(statuses),
        )
        return self._answer_about(view, msgspec.Raw(entries), finalized=state.finalized)

    async def _validator(self, request: web.Request) -> web.Response:
        view = self._view()
        state = _find_state(view, request.match_info["state"])
        chain = view.chain
        indices = _indices(chain, [request.match_info["validator"]])
        if not indices:
            raise _RefusedError(404, "Validator not found")
        entries = beacon_json.validators(
            chain,
            chain.epochs[chain.epoch_of(state.slot)],
            chain.balances_at(state.slot),
            indices,
            frozenset(),
        )
        return self._answer_about(view, msgspec.Raw(entries[1:-1]), finalized=state.finalized)

    async def _post_balances(self, request: web.Request) -> web.Response:
        try:
            ids = msgspec.json.decode(await request.read(), type=list[str])
        except msgspec.DecodeError as error:
            raise _RefusedError(400, str(error)) from error
        view = self._view()
        state = _find_state(view, request.match_info["state"])
        indices = np.array(_indices(view.chain, ids), dtype=np.int64)
        balances = view.chain.balances_at(state.slot)[indices]
        data = [
            {"index": str(index), "balance": str(balance)}
            for index, balance in zip(indices, balances, strict=True)
        ]
        return self._answer_about(view, data, finalized=state.finalized)

    async def _debug_state(self, request: web.Request) -> web.Response:
        if _SSZ not in request.headers.get("Accept", ""):
            raise _RefusedError(406, f"Only {_SSZ} is offered")
        view = self._view()
        chain, fork = view.chain, view.chain.parameters.fork
        state = _find_state(view, request.match_info["state"])
        try:
            content = ssz_state(chain, state.slot, bytes.fromhex(fork_versions(chain)[fork][0][2:]))
        except KeyError as error:
            raise _RefusedError(404, f"No state found for id '{state.slot}'") from error
        headers = {"Eth-Consensus-Version": fork}
        return web.Response(body=content, headers=headers, content_type=_SSZ)

    # ---- duties

    async def _proposer_duties(self, request: web.Request) -> web.Response:
        view = self._view()
        chain = view.chain
        epoch = _number(request.match_info["epoch"], 0)
        current = chain.epoch_of(chain.slot)
        if not current - 1 <= epoch <= current + 1:
            raise _RefusedError(
                400, f"Requested epoch {epoch} must be within one epoch of the current epoch {current}"
            )
        data = [
            {"slot": str(slot), "validator_index": str(index), "pubkey": chain.pubkeys[index]}
            for slot, index in enumerate(chain.proposers(epoch), start=chain.first_slot(epoch))
        ]
        dependent = chain.block_at_or_before(max(chain.first_slot(min(epoch, current)) - 1, 0)).root
        return self._reply(
            {"data": data, "execution_optimistic": view.optimistic, "dependent_root": dependent}
        )

    # ---- the form of all answers

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except _RefusedError as error:
            return self._refusal(error.code, error.message)
        except web.HTTPNotFound:
            return self._refusal(404, f"Route {request.method}:{request.path} not found")
        except web.HTTPMethodNotAllowed as error:
            return self._refusal(error.status, error.reason)

    def _refusal(self, code: int, message: str) -> web.Response:
        if self._implementation.tells_finality:
            return _json({"code": code, "message": message}, status=code)
        reason = {400: "Bad Request", 404: "Not Found"}.get(code, "Error")
        return _json({"statusCode": code, "error": reason, "message": message}, status=code)

    def _answer(self, data: object) -> web.Response:
        return self._reply({"data": data})

    def _answer_about(
        self, view: View, data: object, *, finalized: bool, version: str | None = None
    ) -> web.Response:
        """Answer about a block or state, with what the client says about its certainty."""
        content: dict[str, object] = {"data": data, "execution_optimistic": view.optimistic}
        headers = {}
        if self._implementation.tells_finality:
            content["finalized"] = finalized
            headers["Eth-Execution-Optimistic"] = str(view.optimistic).lower()
            headers["Eth-Consensus-Finalized"] = str(finalized).lower()
        if version:
            content["version"] = version
            if self._implementation.tells_finality:
                headers["Eth-Consensus-Version"] = version
        return self._reply(content, headers)

    def _reply(self, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> web.Response:
        return _json(content, headers=headers)


def _json(
    content: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(content),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > len(str(FAR_FUTURE_EPOCH)):
        raise _RefusedError(400, f"Invalid number '{text[:40]}'")
    return int(text)


def _indices(chain: Chain, ids: Iterable[str]) -> list[int]:
    """Return the indices of known validators; unknown ones are left out, as clients do."""
    found = []
    for one in ids:
        index = chain.index_of(one) if one.startswith("0x") else _number(one, 0)
        if index is not None and index < chain.parameters.validators:
            found.append(index)
    return found


def _is_finalized(view: View, slot: int) -> bool:
    return slot <= view.chain.first_slot(view.epoch.finalized.epoch)


def _find_block(view: View, name: str) -> Block:
    """Return the block of a block id; a node knows nothing after its head."""
    chain = view.chain
    named = {
        "head": lambda: view.head_block,
        "finalized": lambda: view.finalized_block,
        "justified": lambda: view.justified_block,
        "genesis": lambda: chain.genesis_block,
    }
    try:
        if name in named:
            return named[name]()
        if _ROOT.fullmatch(name):
            block: Block | None = chain.blocks[name.lower()]
        elif name.isdigit():
            block = chain.slots[_number(name, 0)].block
        else:
            raise _RefusedError(400, f"Invalid block id '{name[:80]}'")
    except KeyError:
        block = None
    if block is None or block.slot > view.head:
        raise _RefusedError(404, f"No block found for id '{name[:80]}'")
    return block


def _find_state(view: View, name: str) -> _State:
    """Return the state of a state id; states after the head and forgotten ones are not found."""
    chain = view.chain
    named = {
        "head": view.head_block.slot,
        "finalized": chain.first_slot(view.epoch.finalized.epoch),
        "justified": chain.first_slot(view.epoch.current_justified.epoch),
        "genesis": 0,
    }
    if name in named:
        slot = named[name]
    elif _ROOT.fullmatch(name):
        slot = next((block.slot for block in chain.blocks.values() if block.state_root == name), -1)
    elif name.isdigit():
        slot = _number(name, 0)
    else:
        raise _RefusedError(400, f"Invalid block id '{name[:80]}'")
    if slot > view.head_block.slot or chain.epoch_of(slot) not in chain.epochs:
        raise _RefusedError(404, f"No state found for id '{name[:80]}'")
    return _State(slot=slot, finalized=_is_finalized(view, slot))
