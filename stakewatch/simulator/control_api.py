"""The control API of a running simulator: what is true, which faults there are, inject and clear them."""

from collections.abc import Mapping

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from stakewatch.errors import StakewatchError
from stakewatch.simulator.attesting import beacon_in_use
from stakewatch.simulator.faults import KINDS, Fault
from stakewatch.simulator.fleet import Fleet

_LARGEST_REQUEST = 1024 * 1024
_RECENT_SLOTS = 64
_HOSTS = frozenset({"127.0.0.1", "localhost"})


def control_application(fleet: Fleet) -> web.Application:
    """Return the application: GET /truth, GET /faults, POST /faults/NAME, DELETE /faults.

    POST takes the fault's arguments as a JSON object; DELETE takes `name` and `target` in the query, both
    optional. Errors are {"error": TEXT} with 400.
    """

    async def truth(_: web.Request) -> web.Response:
        return _json(describe(fleet))

    async def list_faults(_: web.Request) -> web.Response:
        return _json(
            {
                "active": [_fault(fault) for fault in fleet.faults.active],
                "kinds": [
                    {
                        "name": kind.name,
                        "describes": kind.describes,
                        "target": kind.target.value,
                        "arguments": list(kind.numbers),
                        "momentary": kind.momentary,
                    }
                    for kind in KINDS.values()
                ],
            }
        )

    async def inject(request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return _json({"error": "send a JSON object with content type application/json"}, 400)
        try:
            arguments = msgspec.json.decode(await request.read(), type=dict[str, object])
        except msgspec.DecodeError as error:
            return _json({"error": f"the arguments are no JSON object: {error}"}, 400)
        fault = await fleet.inject(request.match_info["name"], **arguments)
        return _json({"injected": _fault(fault)})

    async def clear(request: web.Request) -> web.Response:
        cleared = await fleet.clear(request.query.get("name"), request.query.get("target"))
        return _json({"cleared": [_fault(fault) for fault in cleared]})

    application = web.Application(client_max_size=_LARGEST_REQUEST, middlewares=[_guard])
    application.add_routes(
        [
            web.get("/truth", truth),
            web.get("/faults", list_faults),
            web.post("/faults/{name}", inject),
            web.delete("/faults", clear),
        ]
    )
    return application


def describe(fleet: Fleet) -> dict[str, object]:
    """Return the state of the chain, of each group and client, and of each node as it sees itself.

    Amounts in gwei but `execution_reward_wei`; `earned` and `not_earning` are about the last two epochs.
    """
    chain = fleet.chain
    epoch = chain.epoch_of(chain.slot)
    record = chain.epochs[epoch]
    since = max(epoch - 2, chain.oldest_epoch)
    earned = fleet.truth.earned_by_all(since, epoch)
    balances = chain.balances_at(chain.slot)
    watched = range(fleet.plan.keys)
    return {
        "slot": chain.slot,
        "epoch": epoch,
        "genesis_time": chain.parameters.genesis_time,
        "finalized_epoch": record.finalized.epoch,
        "justified_epoch": record.current_justified.epoch,
        "inactivity_leak": record.inactivity_leak,
        "head_root": chain.block_at_or_before(chain.slot).root,
        "groups": {
            group.name: {
                "keys": group.keys,
                "balance": int(balances[list(fleet.plan.indices(group.name))].sum()),
                "earned": int(earned[list(fleet.plan.indices(group.name))].sum()),
                "not_earning": sum(int(earned[index]) <= 0 for index in fleet.plan.indices(group.name)),
                "offline": int(chain.offline[list(fleet.plan.indices(group.name))].sum()),
            }
            for group in fleet.plan.groups
        },
        "validator_clients": {
            client.instance: {"beacon_in_use": beacon_in_use(fleet.plan, fleet.faults, client)}
            for client in fleet.plan.validator_clients
        },
        "nodes": {
            node.instance: {
                "head_slot": fleet.view(node.instance).head_block.slot,
                "block_number": fleet.view(node.instance).head_block.payload.block_number,
                "peers": fleet.view(node.instance).peers,
            }
            for node in fleet.plan.nodes
        },
        "proposals": [
            {
                "slot": proposal.slot,
                "validator_index": proposal.validator_index,
                "result": proposal.result.value,
                "consensus_reward": proposal.consensus_reward,
                "execution_reward_wei": str(proposal.execution_reward),
                "source": proposal.source.value if proposal.source else None,
            }
            for proposal in fleet.truth.proposals(
                max(chain.slot - _RECENT_SLOTS, chain.first_slot(chain.oldest_epoch)), chain.slot, watched
            )
        ],
        "faults": [_fault(fault) for fault in fleet.faults.active],
    }


def _fault(fault: Fault) -> dict[str, object]:
    return {
        "name": fault.kind.name,
        "describes": fault.kind.describes,
        "target": fault.target,
        "arguments": dict(fault.numbers),
        "keys": len(fault.indices),
    }


def _json(content: Mapping[str, object], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a web page elsewhere could send here, and word our errors."""
    if request.url.host not in _HOSTS:
        return _json({"error": "this server answers on loopback only"}, 403)
    try:
        return await handler(request)
    except StakewatchError as error:
        return _json({"error": str(error)}, 400)
    except web.HTTPException as error:
        return _json({"error": error.reason}, error.status)
