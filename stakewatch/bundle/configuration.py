"""`stakewatch.yaml` as types: the fleet, its objectives, thresholds and overrides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal


class Role(StrEnum):
    """The label `role` of a staking process."""

    EXECUTION = "execution"
    BEACON = "beacon"
    VALIDATOR = "validator"
    SIGNER = "signer"
    RELAY = "relay"
    PROXY = "proxy"
    EXPORTER = "exporter"


@dataclass(frozen=True)
class Node:
    """A beacon or execution node that the exporter watches through its API.

    `url` is the base of the Beacon API or the JSON-RPC endpoint, without a trailing slash.
    `execution_node` names the paired execution node (beacon nodes only).
    """

    instance: str
    role: Literal[Role.BEACON, Role.EXECUTION]
    implementation: str
    url: str
    cluster: str
    region: str
    execution_node: str | None = None
    machine: str | None = None
    zone: str | None = None


@dataclass(frozen=True)
class ValidatorClient:
    """A validator client and the beacon nodes it is configured with, the primary first."""

    instance: str
    implementation: str
    cluster: str
    region: str
    beacon_nodes: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Keys that one validator client holds and that are reported together.

    `keys` are public keys (0x and 96 lower-case hex characters) or decimal validator indices;
    `labels` become `label_<name>` on `stakewatch_group_info`; `fee_recipients` are lower-case addresses.
    A disabled group is one whose keys must not sign.
    """

    name: str
    validator_client: str
    keys: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fee_recipients: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True)
class Health:
    """When a node counts as healthy, for the exporter and for the health gate."""

    minimum_beacon_peers: int = 20
    minimum_execution_peers: int = 10
    maximum_head_age_slots: int = 4


@dataclass(frozen=True)
class Objectives:
    """Service levels that the burn alerts measure against, as ratios."""

    attestations_included: float = 0.99


@dataclass(frozen=True)
class Override:
    """What a user changes of one alert; a field that is None stays as the rule file has it.

    `duration` is the alert's `for`, a Prometheus duration such as `10m`.
    """

    threshold: float | None = None
    duration: str | None = None
    severity: Literal["critical", "warning", "info"] | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    enabled: bool = True


@dataclass(frozen=True)
class ExporterSettings:
    """How the exporter listens and asks."""

    listen_host: str = "127.0.0.1"
    listen_port: int = 9120
    interval_seconds: float = 6.0
    request_timeout_seconds: float = 4.0
    state_file: str | None = None
    per_key_limit: int = 10_000
    offender_limit: int = 1_000


@dataclass(frozen=True)
class Urls:
    """Bases of the links that alerts carry, without a trailing slash."""

    runbooks: str = "https://stakewatch.example/runbooks"
    grafana: str = "https://grafana.example"


@dataclass(frozen=True)
class Configuration:
    """The whole of `stakewatch.yaml`; the defaults work without a file."""

    network: str = "mainnet"
    nodes: tuple[Node, ...] = ()
    validator_clients: tuple[ValidatorClient, ...] = ()
    groups: tuple[Group, ...] = ()
    health: Health = field(default_factory=Health)
    objectives: Objectives = field(default_factory=Objectives)
    expected_versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    overrides: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))
    evaluator: Literal["prometheus", "amp"] = "prometheus"
    exporter: ExporterSettings = field(default_factory=ExporterSettings)
    urls: Urls = field(default_factory=Urls)

    @property
    def beacon_nodes(self) -> tuple[Node, ...]:
        """Beacon nodes in the order in which the exporter asks them."""
        return tuple(node for node in self.nodes if node.role is Role.BEACON)

    @property
    def execution_nodes(self) -> tuple[Node, ...]:
        """Execution nodes in the order in which the exporter asks them."""
        return tuple(node for node in self.nodes if node.role is Role.EXECUTION)
