"""`stakewatch.yaml` as types: the fleet, when it is healthy, and what differs from the rule files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from stakewatch.bundle.destinations import Destination, destinations
from stakewatch.bundle.document import Data, Document, read_document, read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.keys import MAXIMUM_KEYS, ListedKey, listed_keys
from stakewatch.bundle.kubernetes import KubernetesSettings, kubernetes_settings
from stakewatch.bundle.problems import Problem, as_error, quoted
from stakewatch.bundle.references import duplicate_keys, members, reference_problems
from stakewatch.bundle.validation import schema, schema_problems

_MOST_PROBLEMS = 1000


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
class Keymanager:
    """The keymanager API of a validator client; `token_file` holds its bearer token."""

    url: str
    token_file: str | None = None


@dataclass(frozen=True)
class ValidatorClient:
    """A validator client and the beacon nodes it is configured with, the primary first.

    Clients of one `distributed_cluster` hold the same keys by design.
    """

    instance: str
    implementation: str
    cluster: str
    region: str
    beacon_nodes: tuple[str, ...]
    keymanager: Keymanager | None = None
    distributed_cluster: str | None = None

    @property
    def role(self) -> Literal[Role.VALIDATOR]:
        """The label `role`."""
        return Role.VALIDATOR


@dataclass(frozen=True)
class Signer:
    """A remote signer whose list of keys the exporter reads."""

    instance: str
    implementation: str
    url: str
    cluster: str
    region: str

    @property
    def role(self) -> Literal[Role.SIGNER]:
        """The label `role`."""
        return Role.SIGNER


@dataclass(frozen=True)
class KeySource:
    """Where a group's keys come from when the file does not list them: one of the three is given.

    `keymanager` and `signer` name instances; `withdrawal_credentials` are lower-case, 0x and 40 hex digits
    (an address) or 64 (whole credentials).
    """

    keymanager: str | None = None
    signer: str | None = None
    withdrawal_credentials: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Keys that one validator client holds and that are reported together.

    `keys` are public keys (0x and 96 lower-case hex characters) or decimal validator indices;
    `labels` become `label_<name>` on `stakewatch_group_info`; `fee_recipients` are lower-case addresses.
    A disabled group is one whose keys must not sign. With a `source` the keys are learnt while the exporter
    runs, and `keys` is empty at first. `signers` are the instances of remote signers that must hold the keys.
    """

    name: str
    validator_client: str
    keys: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fee_recipients: tuple[str, ...] = ()
    enabled: bool = True
    source: KeySource | None = None
    signers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Health:
    """When a node counts as healthy, for the exporter and for the health gate."""

    minimum_beacon_peers: int = 20
    minimum_execution_peers: int = 10
    maximum_head_age_slots: int = 4


@dataclass(frozen=True)
class Objectives:
    """What the fleet promises itself, for the alerts on budgets; None is what the rule file has.

    `attestation_inclusion` is the share of attestations that should be included in the chain; `place` is
    where a person wrote it.
    """

    attestation_inclusion: float | None = None
    place: str = field(default="stakewatch.yaml", compare=False)


@dataclass(frozen=True)
class Override:
    """What a user changes of one alert; a field that is None stays as the rule file has it.

    `duration` is the alert's `for`, a Prometheus duration such as `10m`; `place` is where a person wrote it.
    """

    threshold: float | None = None
    duration: str | None = None
    severity: Literal["critical", "warning", "info"] | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    enabled: bool = True
    place: str = field(default="stakewatch.yaml", compare=False)


@dataclass(frozen=True)
class ExporterSettings:
    """How the exporter listens and asks; `address` is where Prometheus reaches it if not where it listens."""

    listen_host: str = "127.0.0.1"
    listen_port: int = 9120
    address: str | None = None
    interval_seconds: float = 6.0
    request_timeout_seconds: float = 4.0
    keys_interval_seconds: float = 30.0
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
    """The whole of `stakewatch.yaml`; the defaults work without a file.

    `files` are those that it was read from, the key files among them; empty when it was not read from any.
    """

    network: str = "mainnet"
    nodes: tuple[Node, ...] = ()
    validator_clients: tuple[ValidatorClient, ...] = ()
    signers: tuple[Signer, ...] = ()
    groups: tuple[Group, ...] = ()
    health: Health = field(default_factory=Health)
    expected_versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    objectives: Objectives = field(default_factory=Objectives)
    overrides: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))
    exporter: ExporterSettings = field(default_factory=ExporterSettings)
    urls: Urls = field(default_factory=Urls)
    publish: tuple[Destination, ...] = ()
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    files: tuple[Path, ...] = field(default=(), compare=False)

    @property
    def beacon_nodes(self) -> tuple[Node, ...]:
        """Beacon nodes in the order in which the exporter asks them."""
        return tuple(node for node in self.nodes if node.role is Role.BEACON)

    @property
    def execution_nodes(self) -> tuple[Node, ...]:
        """Execution nodes in the order in which the exporter asks them."""
        return tuple(node for node in self.nodes if node.role is Role.EXECUTION)


def load_configuration(path: Path) -> Configuration:
    """Return what the file at `path` says, defaults filled in.

    Relative paths in it (key files, the state file) are relative to its folder.
    Raises InputError with file, line and mend of everything that is wrong with it.
    """
    return load_configuration_text(read_text(path), path)


def load_configuration_text(text: str, path: Path) -> Configuration:
    """Return what `text` says, as if it stood at `path`; raises as `load_configuration` does."""
    document = read_document(text, path)
    problems = list(document.problems)
    if document.data is None and not problems:
        mend = (
            "describe the fleet in it, as docs/configuration.md says, or remove it: without it defaults hold"
        )
        problems.append(Problem(path=path, line=1, what="the file is empty", mend=mend))
    problems += islice(schema_problems(document, schema()), _MOST_PROBLEMS)
    problems += islice(reference_problems(document), _MOST_PROBLEMS)
    keys, key_problems = _keys(document)
    problems += key_problems
    if problems:
        raise as_error(problems)
    return _configuration(document, keys)


def bundle_configuration(bundle: Bundle, path: Path | None = None) -> Configuration:
    """Return the configuration at `path`, else that of the bundle's `stakewatch.yaml`, else the defaults.

    Raises InputError as `load_configuration` does; only a missing `stakewatch.yaml` is no error.
    """
    if path is None:
        path = bundle.root / "stakewatch.yaml"
        if not path.exists():
            return Configuration()
    return load_configuration(path)


def _keys(document: Document) -> tuple[list[tuple[str, ...]], list[Problem]]:
    """Return the keys of each group in the order of the groups, and what is wrong with them."""
    groups: list[tuple[str, list[ListedKey]]] = []
    problems: list[Problem] = []
    number = 0
    for place, entry in members(document, "groups"):
        listed: list[ListedKey] = []
        before = len(problems)
        for key in listed_keys(document, entry.get("keys"), (*place, "keys")):
            if isinstance(key, Problem):
                problems.append(key)
                if len(problems) >= _MOST_PROBLEMS:
                    return [], problems
                continue
            listed.append(key)
            number += 1
            if number > MAXIMUM_KEYS:
                what = f"there are more than {MAXIMUM_KEYS:,} keys"
                mend = "is it the right file? Split the fleet between two exporters"
                return [], [Problem(path=key.path, line=key.line, what=what, mend=mend)]
        if _is_file(entry.get("keys")) and not listed and len(problems) == before:
            line = document.line((*place, "keys"))
            what = f"the key file of group {quoted(entry.get('name'))} holds no key"
            mend = "is it the right file? A group without keys is not watched: remove it"
            problems.append(Problem(path=document.path, line=line, what=what, mend=mend))
        groups.append((str(entry.get("name")), listed))
    problems += islice(duplicate_keys(groups), _MOST_PROBLEMS)
    return [tuple(key.key for key in listed) for _, listed in groups], problems


def _is_file(keys: Data) -> bool:
    return isinstance(keys, dict) and "file" in keys


def _key_source(keys: Data) -> KeySource | None:
    if not isinstance(keys, dict) or "file" in keys:
        return None
    entry: dict[str, Any] = keys
    credentials = entry.get("withdrawal_credentials") or []
    return KeySource(
        keymanager=entry.get("keymanager"),
        signer=entry.get("signer"),
        withdrawal_credentials=tuple(dict.fromkeys(one.lower() for one in credentials)),
    )


def _keymanager(entry: dict[str, Any] | None, folder: Path) -> Keymanager | None:
    if entry is None:
        return None
    token_file = entry.get("token_file")
    return Keymanager(
        url=entry["url"].rstrip("/"), token_file=None if token_file is None else str(folder / token_file)
    )


def _configuration(document: Document, keys: list[tuple[str, ...]]) -> Configuration:
    """Build the types from a document in which nothing is wrong."""
    data: Any = document.data or {}
    fleet: dict[str, Any] = data.get("fleet") or {}
    place = {key: fleet[key] for key in ("cluster", "region") if key in fleet}
    nodes = [
        Node(**{**place, **entry, "role": role, "url": entry["url"].rstrip("/")})
        for role, name in ((Role.BEACON, "beacon_nodes"), (Role.EXECUTION, "execution_nodes"))
        for entry in fleet.get(name) or []
    ]
    folder = document.path.parent
    clients = [
        ValidatorClient(
            **{
                **place,
                **entry,
                "beacon_nodes": tuple(entry["beacon_nodes"]),
                "keymanager": _keymanager(entry.get("keymanager"), folder),
            }
        )
        for entry in fleet.get("validator_clients") or []
    ]
    signers = [
        Signer(**{**place, **entry, "url": entry["url"].rstrip("/")}) for entry in fleet.get("signers") or []
    ]
    groups = [
        Group(
            name=entry["name"],
            validator_client=entry["validator_client"],
            keys=group_keys,
            labels=MappingProxyType(entry.get("labels") or {}),
            fee_recipients=tuple(address.lower() for address in entry.get("fee_recipients") or []),
            enabled=entry.get("enabled", True),
            source=_key_source(entry["keys"]),
            signers=tuple(dict.fromkeys(entry.get("signers") or [])),
        )
        for entry, group_keys in zip(fleet.get("groups") or [], keys, strict=True)
    ]
    return Configuration(
        network=data.get("network", "mainnet"),
        nodes=tuple(nodes),
        validator_clients=tuple(clients),
        signers=tuple(signers),
        groups=tuple(groups),
        health=Health(**{name: int(value) for name, value in (data.get("health") or {}).items()}),
        expected_versions=MappingProxyType(data.get("expected_versions") or {}),
        objectives=Objectives(
            **{name: float(share) for name, share in (data.get("objectives") or {}).items()},
            place=f"{document.path}:{document.line(('objectives',))}",
        ),
        overrides=MappingProxyType(
            {
                alert: _override(entry, f"{document.path}:{document.line(('overrides', alert))}")
                for alert, entry in (data.get("overrides") or {}).items()
            }
        ),
        exporter=_exporter(data.get("exporter") or {}, folder),
        urls=Urls(**{name: url.rstrip("/") for name, url in (data.get("urls") or {}).items()}),
        publish=destinations(document, data),
        kubernetes=kubernetes_settings(data.get("kubernetes") or {}),
        files=(
            document.path,
            *(
                folder / entry["keys"]["file"]
                for entry in fleet.get("groups") or []
                if _is_file(entry["keys"])
            ),
        ),
    )


def _override(entry: dict[str, Any], place: str) -> Override:
    threshold = entry.get("threshold")
    return Override(
        threshold=None if threshold is None else float(threshold),
        duration=entry.get("for"),
        severity=entry.get("severity"),
        labels=MappingProxyType(entry.get("labels") or {}),
        enabled=entry.get("enabled", True),
        place=place,
    )


def _exporter(entry: dict[str, Any], folder: Path) -> ExporterSettings:
    settings: dict[str, Any] = {}
    for key in ("interval_seconds", "request_timeout_seconds", "keys_interval_seconds"):
        if key in entry:
            settings[key] = float(entry[key])
    for key in ("per_key_limit", "offender_limit"):
        if key in entry:
            settings[key] = int(entry[key])
    if "address" in entry:
        settings["address"] = entry["address"]
    if "listen" in entry:
        host, _, port = entry["listen"].rpartition(":")
        settings |= {"listen_host": host.strip("[]"), "listen_port": int(port)}
    if entry.get("state_file") is not None:
        settings["state_file"] = str(folder / entry["state_file"])
    return ExporterSettings(**settings)
