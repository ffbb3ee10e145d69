"""A small fleet, and who asks its APIs."""

from dataclasses import dataclass

import aiohttp
import msgspec

from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, Group, ValidatorClient

SMALL = FleetPlan(
    beacon_nodes=(
        BeaconNode("beacon-1", "lighthouse", "execution-1", "machine-1"),
        BeaconNode("beacon-2", "prysm", "execution-2", "machine-2"),
        BeaconNode("beacon-3", "lodestar", "execution-3", "machine-2"),
        BeaconNode("beacon-4", "teku", "execution-4", "machine-2"),
        BeaconNode("beacon-5", "nimbus", "execution-5", "machine-2"),
    ),
    execution_nodes=(
        ExecutionNode("execution-1", "geth", "machine-1"),
        ExecutionNode("execution-2", "nethermind", "machine-2"),
        ExecutionNode("execution-3", "besu", "machine-2"),
        ExecutionNode("execution-4", "reth", "machine-2"),
        ExecutionNode("execution-5", "erigon", "machine-2"),
    ),
    validator_clients=(
        ValidatorClient("validators-1", "lighthouse", ("beacon-1", "beacon-2"), "machine-1"),
        ValidatorClient("validators-2", "prysm", ("beacon-2",), "machine-2"),
        ValidatorClient("validators-3", "teku", ("beacon-4", "beacon-5"), "machine-2"),
    ),
    groups=(
        Group("alpha", "validators-1", 20),
        Group("bravo", "validators-2", 10),
        Group("charlie", "validators-3", 10),
    ),
    validators=256,
)


@dataclass(frozen=True)
class Answer:
    """What an API answered."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> object:
        return msgspec.json.decode(self.content)

    @property
    def data(self) -> object:
        content = self.json()
        assert isinstance(content, dict)
        return content["data"]


@dataclass(frozen=True)
class Asker:
    """Asks the APIs of a fleet."""

    fleet: Fleet
    session: aiohttp.ClientSession

    async def get(self, instance: str, path: str) -> Answer:
        async with self.session.get(self.fleet.apis[instance].url + path) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def post(self, instance: str, path: str, content: object) -> Answer:
        async with self.session.post(self.fleet.apis[instance].url + path, json=content) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def call(self, instance: str, method: str, parameters: list[object]) -> object:
        answer = await self.post(
            instance, "/", {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        )
        content = answer.json()
        assert isinstance(content, dict)
        assert (content["jsonrpc"], content["id"]) == ("2.0", 1)
        return content["result"] if "result" in content else content["error"]
