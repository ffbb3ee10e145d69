"""The page that /metrics serves: what is known now, as samples, built before it is asked for."""

import importlib.metadata
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stakewatch.bundle.configuration import Configuration, Node
from stakewatch_exporter import families
from stakewatch_exporter.agreement import Chain, dissenters
from stakewatch_exporter.epoch_result import Tier
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.follower import Follower
from stakewatch_exporter.health import Check, beacon_checks, execution_checks
from stakewatch_exporter.nodes import BeaconWatch, ExecutionWatch

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)+")


@dataclass(frozen=True)
class Fleet:
    """The watches of all nodes and the chain that they agree on."""

    configuration: Configuration
    beacons: tuple[BeaconWatch, ...]
    executions: tuple[ExecutionWatch, ...]

    @property
    def watches(self) -> tuple[BeaconWatch | ExecutionWatch, ...]:
        """All watches, beacon nodes first."""
        return (*self.beacons, *self.executions)

    def execution(self, instance: str | None) -> ExecutionWatch | None:
        """Return the watch of an execution node."""
        return next((watch for watch in self.executions if watch.node.instance == instance), None)

    def checks(self, chain: Chain | None) -> dict[str, Mapping[str, Check]]:
        """Return the checks of every node by instance."""
        health = self.configuration.health
        chain_ids = Counter(
            chain_id for watch in self.executions if (chain_id := watch.chain_id.get()) is not None
        )
        usual = chain_ids.most_common(1)[0][0] if chain_ids else None
        checks: dict[str, Mapping[str, Check]] = {}
        for beacon in self.beacons:
            pair = self.execution(beacon.node.execution_node)
            checks[beacon.node.instance] = beacon_checks(beacon, chain=chain, pair=pair, health=health)
        for execution in self.executions:
            checks[execution.node.instance] = execution_checks(
                execution, chain=chain, health=health, usual_chain_id=usual
            )
        return checks


def is_healthy(watch: BeaconWatch | ExecutionWatch, checks: Mapping[str, Check]) -> bool:
    """Whether a node answers and passes every check."""
    return watch.contact.is_up and all(check.passes for check in checks.values())


def version_numbers(text: str) -> tuple[int, ...] | None:
    """Return the numbers of a version such as `Geth/v1.17.0-stable/linux`, None when there are none."""
    found = _VERSION.search(text)
    return None if found is None else tuple(int(part) for part in found.group().split("."))


def is_outdated(version: str, expected: str) -> bool | None:
    """Whether a version is below the expected one; None when one of them cannot be read."""
    own, wanted = version_numbers(version), version_numbers(expected)
    if own is None or wanted is None:
        return None
    length = max(len(own), len(wanted))
    return own + (0,) * (length - len(own)) < wanted + (0,) * (length - len(wanted))


def _node_labels(node: Node) -> dict[str, str]:
    return {
        "cluster": node.cluster,
        "region": node.region,
        "instance": node.instance,
        "role": node.role.value,
        "implementation": node.implementation,
    }


def _known(family: families.Family, labels: Mapping[str, str], value: float | None) -> Iterable[Sample]:
    if value is not None:
        yield Sample(family, labels, int(value) if isinstance(value, bool) else value)


def node_samples(fleet: Fleet, chain: Chain | None) -> Iterable[Sample]:
    """Return the samples of the family group `nodes`."""
    all_checks = fleet.checks(chain)
    ours = [watch for watch in fleet.beacons if chain is not None and is_on_chain(watch, chain)]
    disagreeing = _root_disagreements(ours)
    schedules = {
        watch.node.instance: schedule
        for watch in fleet.beacons
        if (schedule := watch.fork_schedule.get()) is not None
    }
    mismatching = dissenters(schedules)
    for watch in fleet.watches:
        labels = _node_labels(watch.node)
        checks = all_checks[watch.node.instance]
        yield from _common_samples(fleet.configuration, watch, labels, checks)
        if isinstance(watch, BeaconWatch):
            yield from _beacon_samples(watch, labels, chain if watch in ours else None)
            instance = watch.node.instance
            yield from _known(families.BEACON_ROOT_DISAGREEMENT, labels, disagreeing.get(instance))
            yield from _known(families.BEACON_FORK_SCHEDULE_MISMATCH, labels, mismatching.get(instance))
        else:
            yield from _execution_samples(
                watch, labels, watch.newest_payload if checks["same_chain"].passes else None
            )


def is_on_chain(watch: BeaconWatch, chain: Chain) -> bool:
    """Whether a beacon node follows our chain."""
    own = watch.chain.get()
    return own is not None and own.identity == chain.identity


def _root_disagreements(watches: Iterable[BeaconWatch]) -> dict[str, bool]:
    """Compare each node at the newest slot at which another one can be compared with it."""
    answering = [watch for watch in watches if watch.contact.is_up]
    at_slot: dict[int, dict[str, str | None]] = {}
    for watch in answering:
        for slot, root in watch.roots.items():
            at_slot.setdefault(slot, {})[watch.node.instance] = root
    found: dict[str, bool] = {}
    for slot in sorted(at_slot):
        found.update(dissenters(at_slot[slot]))
    return found


def _common_samples(
    configuration: Configuration,
    watch: BeaconWatch | ExecutionWatch,
    labels: Mapping[str, str],
    checks: Mapping[str, Check],
) -> Iterable[Sample]:
    node = watch.node
    yield Sample(families.NODE_UP, labels, int(watch.contact.is_up))
    yield Sample(families.NODE_HEALTHY, labels, int(is_healthy(watch, checks)))
    for name, check in checks.items():
        yield Sample(families.NODE_CHECK, {**labels, "check": name}, int(check.passes))
    version = watch.version.get()
    if version is not None:
        yield Sample(families.NODE_INFO, {**labels, "version": version}, 1)
        expected = configuration.expected_versions.get(node.implementation)
        if expected is not None:
            yield from _known(families.NODE_VERSION_OUTDATED, labels, is_outdated(version, expected))
    if node.machine is not None or node.zone is not None:
        place = {"machine": node.machine or "", "zone": node.zone or ""}
        yield Sample(families.NODE_LOCATION_INFO, {**labels, **place}, 1)
    yield from _known(families.NODE_PEERS, labels, watch.peers.get())
    syncing = watch.syncing.get()
    yield from _known(families.NODE_SYNCING, labels, None if syncing is None else syncing.is_syncing)
    if syncing is not None:
        yield from _known(families.NODE_SYNC_SECONDS_LEFT, labels, watch.sync_seconds_left())
    if watch.contact.is_up:
        yield from _known(families.NODE_CLOCK_OFFSET, labels, watch.contact.clock_offset_seconds)


def _beacon_samples(watch: BeaconWatch, labels: Mapping[str, str], chain: Chain | None) -> Iterable[Sample]:
    if watch.node.execution_node is not None:
        pair = {**labels, "execution_node": watch.node.execution_node}
        yield Sample(families.BEACON_EXECUTION_PAIR_INFO, pair, 1)
    head = watch.head.get()
    if head is not None:
        yield Sample(families.BEACON_HEAD_SLOT, labels, head.slot)
        if chain is not None:
            yield Sample(families.BEACON_HEAD_TIMESTAMP, labels, chain.clock.start_of(head.slot))
            distance = max(0, chain.clock.slot_at(time.time()) - head.slot)
            yield Sample(families.BEACON_SYNC_DISTANCE, labels, distance)
    syncing = watch.syncing.get()
    if syncing is not None:
        yield from _known(families.BEACON_OPTIMISTIC, labels, syncing.is_optimistic)
        yield from _known(families.BEACON_EXECUTION_OFFLINE, labels, syncing.execution_offline)
    finality = watch.finality.get()
    if finality is not None:
        yield Sample(families.BEACON_JUSTIFIED_EPOCH, labels, finality.justified.epoch)
        yield Sample(families.BEACON_FINALIZED_EPOCH, labels, finality.finalized.epoch)


def _execution_samples(
    watch: ExecutionWatch, labels: Mapping[str, str], newest_payload: int | None
) -> Iterable[Sample]:
    head = watch.head.get()
    if head is not None:
        yield Sample(families.EXECUTION_HEAD_BLOCK, labels, head.number)
        yield Sample(families.EXECUTION_HEAD_TIMESTAMP, labels, head.timestamp)
        if newest_payload is not None:
            yield Sample(families.EXECUTION_BEHIND_BLOCKS, labels, max(0, newest_payload - head.number))
    if watch.contact.is_up:
        yield from _known(families.EXECUTION_CHAIN_ID, labels, watch.chain_id.get())


def fleet_samples(fleet: Fleet, chain: Chain | None) -> Iterable[Sample]:
    """Return the samples of the family group `fleet`."""
    configuration = fleet.configuration
    roles = {
        *((node.role.value, node.implementation) for node in configuration.nodes),
        *(("validator", client.implementation) for client in configuration.validator_clients),
    }
    for role, implementation in sorted(roles):
        expected = configuration.expected_versions.get(implementation)
        if expected is not None:
            labels = {"role": role, "implementation": implementation, "version": expected}
            yield Sample(families.EXPECTED_VERSION_INFO, labels, 1)
    checks = fleet.checks(chain)
    watches = {watch.node.instance: watch for watch in fleet.beacons}
    for client in configuration.validator_clients:
        known = [watches[name] for name in client.beacon_nodes if name in watches]
        # A validator client turns to the first node that is in sync, else to the first that answers.
        usable = [
            watch for watch in known if watch.contact.is_up and checks[watch.node.instance]["synced"].passes
        ]
        usable.extend(watch for watch in known if watch.contact.is_up)
        in_use = usable[0].node.instance if usable else None
        for number, beacon_node in enumerate(client.beacon_nodes):
            labels = {"validator_client": client.instance, "beacon_node": beacon_node}
            priority = "primary" if number == 0 else "backup"
            yield Sample(families.TOPOLOGY_INFO, {**labels, "priority": priority}, 1)
            yield Sample(
                families.TOPOLOGY_ACTIVE, {**labels, "source": "assumed"}, int(beacon_node == in_use)
            )
    if chain is not None:
        yield Sample(families.GENESIS_TIMESTAMP, {}, chain.genesis_seconds)
        yield Sample(families.SECONDS_PER_SLOT, {}, chain.clock.slot_seconds)


@dataclass(frozen=True)
class Network:
    """What our nodes say of the whole network; None where no node in step can tell."""

    finality_delay_epochs: int | None
    is_leaking: bool | None


def network_state(fleet: Fleet, chain: Chain | None) -> Network:
    """Return the finality delay as consensus-specs defines it: previous epoch minus finalised epoch."""
    if chain is None:
        return Network(None, None)
    clock = chain.clock
    slot = clock.slot_at(time.time())
    # A node that stands still cannot tell whether the network finalises; one in step can.
    finalised = [
        finality.finalized.epoch
        for watch in fleet.beacons
        if is_on_chain(watch, chain)
        and watch.contact.is_up
        and (head := watch.head.get()) is not None
        and slot - head.slot <= clock.slots_per_epoch
        and (finality := watch.finality.get()) is not None
    ]
    if not finalised:
        return Network(None, None)
    delay = max(0, clock.epoch_of(slot) - 1 - max(finalised))
    return Network(delay, delay > chain.specification.epochs_to_inactivity_penalty)


def network_samples(network: Network) -> Iterable[Sample]:
    """Return the samples of the family group `network`."""
    yield from _known(families.NETWORK_FINALITY_DELAY, {}, network.finality_delay_epochs)
    yield from _known(families.NETWORK_INACTIVITY_LEAK, {}, network.is_leaking)


def group_samples(configuration: Configuration) -> Iterable[Sample]:
    """Return what the configuration says of groups."""
    for group in configuration.groups:
        own = {f"label_{name}": value for name, value in sorted(group.labels.items())}
        labels = {"group": group.name, "validator_client": group.validator_client, **own}
        yield Sample(families.GROUP_INFO, labels, 1)


def revision() -> str:
    """Return the commit that was installed, where the installation knows it (PEP 610), else `unknown`."""
    text = importlib.metadata.distribution("stakewatch").read_text("direct_url.json")
    commit = json.loads(text).get("vcs_info", {}).get("commit_id") if text else None
    return commit if isinstance(commit, str) else "unknown"


def own_samples(
    fleet: Fleet,
    follower: Follower | None,
    *,
    nodes_at: float,
    build: Mapping[str, str],
    keys_cut: Mapping[str, int],
    tier: Tier | None,
) -> Iterable[Sample]:
    """Return the samples of the family group `itself` and the count of what limits cut."""
    yield Sample(families.BUILD_INFO, build, 1)
    progress = None if follower is None else follower.progress
    yield Sample(families.LAST_UPDATE, {"source": "nodes"}, nodes_at)
    yield Sample(families.LAST_UPDATE, {"source": "slots"}, 0 if progress is None else progress.slots_at)
    if fleet.configuration.groups:
        yield Sample(families.LAST_UPDATE, {"source": "state"}, 0 if progress is None else progress.state_at)
    if progress is not None and progress.head is not None:
        yield Sample(families.LAST_PROCESSED_SLOT, {}, progress.head.slot)
    for one in Tier:
        yield Sample(families.SOURCE_TIER, {"tier": one.value}, int(one is tier))
    for name, number in keys_cut.items():
        yield Sample(families.OFFENDERS_CUT, {"family": name}, number)
    for watch in fleet.watches:
        yield from watch.traffic.samples()
