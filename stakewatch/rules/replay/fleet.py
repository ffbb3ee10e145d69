"""The fleet that the measures of the rules are about: processes, machines, groups of keys, who uses what."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NETWORK = "mainnet"
NAMESPACE = "staking"
EXPORTER = "exporter-1"
BEACON = ("lighthouse", "prysm", "teku", "nimbus", "lodestar")
EXECUTION = ("geth", "nethermind", "besu", "erigon", "reth")
# Keys of these clients are in a remote signer; of the others, on their disk.
SIGNED_REMOTELY = ("teku", "lodestar")
VALIDATOR = ("lighthouse", "prysm", "teku", "nimbus", "lodestar")
_CLUSTERS = (("eks-1", "eu-west-1"), ("eks-2", "eu-central-1"))


@dataclass(frozen=True)
class Process:
    """A staking process in a container; `machine` is the instance of its machine's node_exporter."""

    instance: str
    role: str
    implementation: str
    cluster: str
    region: str
    machine: str
    network: str = NETWORK

    @property
    def pod(self) -> str:
        """Its pod: a stateful set of one."""
        return f"{self.instance}-0"

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that its own metrics get when they are scraped."""
        return {
            "job": "staking",
            "cluster": self.cluster,
            "region": self.region,
            "network": self.network,
            "role": self.role,
            "implementation": self.implementation,
            "instance": self.instance,
            "namespace": NAMESPACE,
            "pod": self.pod,
            "container": self.implementation,
        }

    @property
    def watched_labels(self) -> Mapping[str, str]:
        """The labels that the exporter gives to what it says about this process."""
        names = ("cluster", "region", "network", "role", "implementation", "instance")
        return {name: self.labels[name] for name in names}


@dataclass(frozen=True)
class Machine:
    """A Kubernetes node."""

    instance: str
    cluster: str
    region: str
    zone: str


@dataclass(frozen=True)
class Group:
    """Keys with consecutive numbers, all in one validator client."""

    name: str
    validator_client: str
    first_key: int
    keys: int


@dataclass(frozen=True)
class Fleet:
    """Processes by instance; `pairs` names each beacon node's execution node, `uses` a client's nodes.

    `uses` maps a validator client to its primary beacon node and its backup, None where it has none.
    """

    processes: Mapping[str, Process]
    machines: tuple[Machine, ...]
    groups: tuple[Group, ...]
    pairs: Mapping[str, str]
    uses: Mapping[str, tuple[str, str | None]]

    @property
    def network(self) -> str:
        """The network that all processes are on."""
        return next(iter(self.processes.values())).network

    @property
    def exporter(self) -> Mapping[str, str]:
        """The labels of the exporter that watches it all."""
        first = next(iter(self.processes.values()))
        return {
            "job": "exporter",
            "cluster": first.cluster,
            "region": first.region,
            "network": self.network,
            "role": "exporter",
            "implementation": "stakewatch",
            "instance": EXPORTER,
            "exporter": f"{self.network}/{EXPORTER}",
            "namespace": "monitoring",
            "pod": "stakewatch-exporter-0",
            "container": "exporter",
        }

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return sum(group.keys for group in self.groups)

    def of_role(self, *roles: str) -> tuple[Process, ...]:
        """Return the processes with one of these roles."""
        return tuple(process for process in self.processes.values() if process.role in roles)

    def groups_behind(self, beacon_node: str) -> tuple[Group, ...]:
        """Return the groups whose client's primary is this beacon node."""
        return tuple(group for group in self.groups if self.uses[group.validator_client][0] == beacon_node)

    def pubkey(self, key: int) -> str:
        """Return the public key of a key's number: of the right form, not a point of the curve."""
        return f"0x{key + 1:096x}"


def spread_fleet(*, keys: int = 10_000, groups: int = 40, nodes: int = 60) -> Fleet:
    """Return a fleet in two clusters: half of the nodes beacon, half execution, all implementations.

    Two groups share a validator client; each client has a primary beacon node of its cluster, and a backup.
    """
    pairs = nodes // 2
    clients = groups // 2
    processes, pairing = _nodes(pairs)
    uses: dict[str, tuple[str, str | None]] = {}
    for number in range(clients):
        process = _process("validator", VALIDATOR, number, machine_offset=pairs)
        processes[process.instance] = process
        own = [name for name in pairing if processes[name].cluster == process.cluster]
        primary = number // 2 % len(own)
        uses[process.instance] = (own[primary], own[(primary + 1) % len(own)])
    processes.update(_helpers(pairs + clients))
    return Fleet(
        processes=processes,
        machines=_machines(processes.values()),
        groups=tuple(_groups(groups, keys // groups, 2)),
        pairs=pairing,
        uses=uses,
    )


def shared_fleet(*, keys: int = 10_000, groups: int = 40, others: int = 10) -> Fleet:
    """Return a fleet in which `groups` with all `keys` hang on one beacon node, beacon-1, without a backup.

    `others` are further groups of the same size; each two have a beacon node of their own, and a backup.
    """
    size = keys // groups
    count = (groups + others) // 2
    processes, pairing = _nodes(12)
    uses: dict[str, tuple[str, str | None]] = {}
    nodes = list(pairing)
    for number in range(count):
        process = _process("validator", VALIDATOR, number, machine_offset=12)
        processes[process.instance] = process
        further = 1 + (number - groups // 2) % (len(nodes) - 2)
        uses[process.instance] = (
            (nodes[0], None) if number < groups // 2 else (nodes[further], nodes[further + 1])
        )
    processes.update(_helpers(12 + count))
    return Fleet(
        processes=processes,
        machines=_machines(processes.values()),
        groups=tuple(_groups(groups + others, size, 2)),
        pairs=pairing,
        uses=uses,
    )


def drawn_fleet(
    pairs: Sequence[Mapping[str, str]],
    clients: Sequence[Mapping[str, Any]],
    signers: Sequence[str],
    network: str,
) -> Fleet:
    """Return a fleet as somebody drew it: beacon-1 with execution-1, beacon-2 …; validator-1 …; signer-1 ….

    A pair names the implementations `beacon` and `execution`; a client its `implementation`, the instances
    `primary` and `backup`, and `groups` with their numbers of keys. Each may name its `cluster`.
    """
    processes: dict[str, Process] = {}

    def add(role: str, number: int, implementation: str, cluster: str) -> str:
        process = Process(
            instance=f"{role}-{number + 1}",
            role=role,
            implementation=implementation,
            cluster=cluster,
            region=dict(_CLUSTERS).get(cluster, _CLUSTERS[0][1]),
            # A beacon node and its execution node share a machine.
            machine=f"ip-10-0-{'pair' if role in {'beacon', 'execution'} else role}-{number + 1}.internal",
            network=network,
        )
        processes[process.instance] = process
        return process.instance

    pairing = {}
    for number, pair in enumerate(pairs):
        cluster = pair.get("cluster", _CLUSTERS[0][0])
        beacon = add("beacon", number, pair["beacon"], cluster)
        pairing[beacon] = add("execution", number, pair["execution"], cluster)
    groups: list[Group] = []
    uses: dict[str, tuple[str, str | None]] = {}
    first = 0
    for number, client in enumerate(clients):
        name = add("validator", number, client["implementation"], client.get("cluster", _CLUSTERS[0][0]))
        uses[name] = (client["primary"], client.get("backup"))
        for group, keys in client["groups"].items():
            groups.append(Group(group, name, first, keys))
            first += keys
    for number, implementation in enumerate(signers):
        add("signer", number, implementation, _CLUSTERS[0][0])
    return Fleet(processes, _machines(processes.values()), tuple(groups), pairing, uses)


def _nodes(pairs: int) -> tuple[dict[str, Process], dict[str, str]]:
    processes: dict[str, Process] = {}
    pairing: dict[str, str] = {}
    for number in range(pairs):
        beacon = _process("beacon", BEACON, number)
        # Another rhythm, so that every beacon client meets every execution client.
        execution = _process("execution", EXECUTION, number, implementation=number // 2 + number)
        processes[beacon.instance], processes[execution.instance] = beacon, execution
        pairing[beacon.instance] = execution.instance
    return processes, pairing


def _helpers(machine_offset: int) -> dict[str, Process]:
    """Return a remote signer and a relay proxy for each cluster."""
    helpers = [
        _process(role, (implementation,), number, machine_offset=machine_offset)
        for role, implementation in (("signer", "web3signer"), ("relay", "mev-boost"))
        for number in range(len(_CLUSTERS))
    ]
    return {process.instance: process for process in helpers}


def _process(
    role: str,
    implementations: tuple[str, ...],
    number: int,
    *,
    machine_offset: int = 0,
    implementation: int | None = None,
) -> Process:
    cluster, region = _CLUSTERS[number % len(_CLUSTERS)]
    chosen = number // 2 if implementation is None else implementation
    return Process(
        instance=f"{role}-{number + 1}",
        role=role,
        implementation=implementations[chosen % len(implementations)],
        cluster=cluster,
        region=region,
        machine=f"ip-10-0-{(machine_offset + number) // 200}-{(machine_offset + number) % 200}.internal",
    )


def _machines(processes: Iterable[Process]) -> tuple[Machine, ...]:
    found: dict[str, Machine] = {}
    for process in processes:
        zone = f"{process.region}{'abc'[len(found) % 3]}"
        found.setdefault(process.machine, Machine(process.machine, process.cluster, process.region, zone))
    return tuple(found.values())


def _groups(count: int, size: int, per_client: int) -> Iterator[Group]:
    for number in range(count):
        yield Group(
            name=f"group-{number + 1}",
            validator_client=f"validator-{number // per_client + 1}",
            first_key=number * size,
            keys=size,
        )
