"""The plan of a simulated fleet: which processes, machines and keys there are."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

from stakewatch.errors import InputError

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
BeaconImplementation = Literal["lighthouse", "prysm", "teku", "nimbus", "lodestar"]
ExecutionImplementation = Literal["geth", "nethermind", "besu", "reth", "erigon"]
ValidatorImplementation = Literal["lighthouse", "prysm", "teku"]
_LARGEST_PLAN = 1024 * 1024


class BeaconNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A beacon node, its execution node and the machine that both run on."""

    instance: Name
    implementation: BeaconImplementation
    execution_node: Name
    machine: Name


class ExecutionNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An execution node and the machine that it runs on."""

    instance: Name
    implementation: ExecutionImplementation
    machine: Name


class ValidatorClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A validator client and its beacon nodes, the primary first."""

    instance: Name
    implementation: ValidatorImplementation
    beacon_nodes: tuple[Name, ...]
    machine: Name


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys that one validator client holds; `keys` is how many."""

    name: Name
    validator_client: Name
    keys: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class FleetPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fleet and the chain that it works on; groups hold the lowest validator indices, in their order.

    The chain is `past_epochs` old when the fleet starts, so that it is finalizing from the first request on.
    """

    beacon_nodes: tuple[BeaconNode, ...]
    execution_nodes: tuple[ExecutionNode, ...]
    validator_clients: tuple[ValidatorClient, ...] = ()
    groups: tuple[Group, ...] = ()
    network: Name = "demonet"
    cluster: Name = "demo-1"
    region: Name = "eu-west-1"
    preset: Literal["minimal", "mainnet"] = "minimal"
    fork: Literal["deneb", "electra"] = "deneb"
    seconds_per_slot: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 1
    validators: Annotated[int, msgspec.Meta(ge=64, le=4_000_000)] = 4000
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 1
    past_epochs: Annotated[int, msgspec.Meta(ge=0, le=200)] = 6

    @property
    def machines(self) -> tuple[str, ...]:
        """All machines in the order of their names."""
        return tuple(sorted({process.machine for process in self.processes}))

    @property
    def processes(self) -> tuple[BeaconNode | ExecutionNode | ValidatorClient, ...]:
        """All staking processes."""
        return (*self.beacon_nodes, *self.execution_nodes, *self.validator_clients)

    @property
    def nodes(self) -> tuple[BeaconNode | ExecutionNode, ...]:
        """All processes that have an API."""
        return (*self.beacon_nodes, *self.execution_nodes)

    @property
    def keys(self) -> int:
        """Keys of all groups."""
        return sum(group.keys for group in self.groups)

    def indices(self, group_name: str) -> range:
        """Return the validator indices of a group."""
        first = 0
        for group in self.groups:
            if group.name == group_name:
                return range(first, first + group.keys)
            first += group.keys
        raise InputError(
            f"no group is named {group_name!r}",
            mend=f"name one of {', '.join(group.name for group in self.groups) or 'none, there are none'}",
        )


DEMO = FleetPlan(
    beacon_nodes=(
        BeaconNode("beacon-1", "lighthouse", "execution-1", "machine-1"),
        BeaconNode("beacon-2", "prysm", "execution-2", "machine-2"),
        BeaconNode("beacon-3", "teku", "execution-3", "machine-3"),
        BeaconNode("beacon-4", "nimbus", "execution-4", "machine-1"),
    ),
    execution_nodes=(
        ExecutionNode("execution-1", "geth", "machine-1"),
        ExecutionNode("execution-2", "nethermind", "machine-2"),
        ExecutionNode("execution-3", "reth", "machine-3"),
        ExecutionNode("execution-4", "erigon", "machine-1"),
    ),
    validator_clients=(
        ValidatorClient("validators-1", "lighthouse", ("beacon-1", "beacon-2"), "machine-1"),
        ValidatorClient("validators-2", "prysm", ("beacon-2",), "machine-2"),
        ValidatorClient("validators-3", "teku", ("beacon-3", "beacon-4"), "machine-3"),
    ),
    groups=(
        Group("alpha", "validators-1", 300),
        Group("bravo", "validators-1", 200),
        Group("charlie", "validators-2", 300),
        Group("delta", "validators-3", 150),
        Group("echo", "validators-3", 50),
    ),
)


def load_plan(path: Path) -> FleetPlan:
    """Read a plan file (YAML).

    Raises InputError when the file is missing, is no plan, or its names do not fit together.
    """
    where = str(path)
    try:
        if path.stat().st_size > _LARGEST_PLAN:
            raise InputError("the plan is larger than 1 MiB", where=where, mend="give a smaller file")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"the plan cannot be read: {error.strerror}", where=where, mend="name a plan file, or `demo`"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"the plan is not YAML: {' '.join(str(error).split())}", where=where, mend="mend its syntax"
        ) from error
    try:
        plan = msgspec.convert(content, FleetPlan)
    except msgspec.ValidationError as error:
        raise InputError(str(error), where=where, mend="mend the field that it names") from error
    check_plan(plan, where)
    return plan


def check_plan(plan: FleetPlan, where: str | None = None) -> None:
    """Raise InputError when names of a plan are given twice or not at all, or the keys are too many."""
    _refuse_twice("instance", [process.instance for process in plan.processes], where)
    _refuse_twice("group", [group.name for group in plan.groups], where)
    executions = {node.instance for node in plan.execution_nodes}
    beacons = {node.instance for node in plan.beacon_nodes}
    clients = {client.instance for client in plan.validator_clients}
    for node in plan.beacon_nodes:
        _refuse_unknown("execution node", node.execution_node, executions, where)
    for client in plan.validator_clients:
        for beacon in client.beacon_nodes:
            _refuse_unknown("beacon node", beacon, beacons, where)
    for group in plan.groups:
        _refuse_unknown("validator client", group.validator_client, clients, where)
    if not 1 <= plan.keys <= plan.validators:
        raise InputError(
            f"the groups hold {plan.keys} keys on a network of {plan.validators} validators",
            where=where,
            mend="give at least one key, and no more than `validators`",
        )


def _refuse_twice(kind: str, names: list[str], where: str | None) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the {kind} {name!r} stands twice", where=where, mend="rename one of them")


def _refuse_unknown(kind: str, name: str, known: set[str], where: str | None) -> None:
    if name not in known:
        raise InputError(
            f"there is no {kind} named {name!r}",
            where=where,
            mend=f"name one of {', '.join(sorted(known)) or 'none, there are none'}",
        )
