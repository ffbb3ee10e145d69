"""What a scrape of each simulated process, machine and kubelet gets at this moment."""

import time
from collections.abc import Callable, Mapping

from stakewatch.simulator.attesting import SigningRecord, is_usable
from stakewatch.simulator.beacon_metrics import BEACON_METRICS
from stakewatch.simulator.chain import Chain, Result
from stakewatch.simulator.execution_metrics import EXECUTION_METRICS
from stakewatch.simulator.exposition import render
from stakewatch.simulator.faults import FaultSwitch
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, ValidatorClient
from stakewatch.simulator.platform_metrics import LIMITS, Container, Machine, cadvisor, node_exporter
from stakewatch.simulator.process import Process
from stakewatch.simulator.validator_metrics import VALIDATOR_METRICS, Duties
from stakewatch.simulator.views import View, sight

# Processes ran for that long before the fleet started, each a minute longer than the one before.
_EARLIER_SECONDS = 3600.0
_UPTIME_OF_MACHINES = 40 * 86_400
# Clients that map their database: the kernel keeps its pages up to the container's limit.
_MAPPED = frozenset({"erigon", "reth"})
_MAPPED_WORKING_SET = 0.93


class Scrapes:
    """The text of every scrape of a fleet; `urls` returns the nodes' addresses by instance."""

    def __init__(
        self,
        plan: FleetPlan,
        chain: Chain,
        *,
        faults: FaultSwitch,
        signing: SigningRecord,
        view: Callable[[str], View],
        urls: Callable[[], Mapping[str, str]],
    ) -> None:
        self._plan = plan
        self._chain = chain
        self._faults = faults
        self._signing = signing
        self._view = view
        self._urls = urls
        self._begin = time.time()
        self._started = {
            process.instance: self._begin - _EARLIER_SECONDS - 60 * number
            for number, process in enumerate(plan.processes)
        }
        self._first_slots = {process.instance: 0 for process in plan.processes}
        self._last_heads: dict[str, int] = {}

    def restarted(self, instance: str) -> None:
        """Let a process' counters start again from now."""
        self._started[instance] = time.time()
        self._first_slots[instance] = self._chain.slot
        self._last_heads.pop(instance, None)
        for group in self._plan.groups:
            if group.validator_client == instance:
                self._signing.forget(self._plan.indices(group.name))

    def process(self, instance: str) -> bytes:
        """Return the metrics of a staking process; reading Geth's empties its timers."""
        one = next(process for process in self._plan.processes if process.instance == instance)
        match one:
            case BeaconNode():
                families = BEACON_METRICS[one.implementation](self._state(one, self._view(instance)))
            case ExecutionNode():
                families = EXECUTION_METRICS[one.implementation](self._state(one, self._view(instance)))
            case ValidatorClient():
                view = View(chain=self._chain, sight=sight(self._chain, self._chain.slot), peers=0)
                families = VALIDATOR_METRICS[one.implementation](self._state(one, view), self._duties(one))
        return render(families)

    def machine(self, name: str) -> bytes:
        """Return the metrics of a machine's node_exporter."""
        now = time.time()
        fault = self._faults.find("machine_memory", name)
        usual = 0.5 + 0.03 * self._plan.machines.index(name) + 0.01 * (self._chain.slot // 5 % 3)
        return render(
            node_exporter(
                Machine(
                    name=name,
                    booted=self._begin - _UPTIME_OF_MACHINES,
                    now=now,
                    memory=fault.number("ratio") if fault else usual,
                )
            )
        )

    def kubelet(self) -> bytes:
        """Return the metrics of all containers."""
        return render(cadvisor(self._container(process) for process in self._plan.processes))

    def _state(self, one: BeaconNode | ExecutionNode | ValidatorClient, view: View) -> Process:
        slot = view.head_block.slot
        fresh = slot - self._last_heads.get(one.instance, slot - 1)
        self._last_heads[one.instance] = slot
        first = self._first_slots[one.instance]
        return Process(
            instance=one.instance,
            implementation=one.implementation,
            started=self._started[one.instance],
            now=time.time(),
            memory=self._memory(one),
            view=view,
            blocks=max(0, slot - first),
            fresh_blocks=max(0, fresh),
            reorganisations=sum(
                record.result is Result.ORPHANED and record.slot > first
                for record in view.chain.slots.values()
            ),
        )

    def _memory(self, one: BeaconNode | ExecutionNode | ValidatorClient) -> float:
        """Return the bytes that a process holds, database pages not counted."""
        fault = self._faults.find("container_memory", one.instance)
        if fault is not None:
            return fault.number("ratio") * LIMITS[role_of(one)]
        wobble = self._chain.slot // 4 % 4
        usual = 0.4 + 0.01 * (sum(one.instance.encode()) % 15 + wobble)
        return usual * LIMITS[role_of(one)]

    def _container(self, one: BeaconNode | ExecutionNode | ValidatorClient) -> Container:
        limit = LIMITS[role_of(one)]
        memory = self._memory(one)
        mapped = one.implementation in _MAPPED
        return Container(
            pod=pod_of(one.instance),
            name=one.implementation,
            image=f"docker.io/{one.implementation}/{one.implementation}:stable",
            limit=limit,
            working_set=int(max(memory, _MAPPED_WORKING_SET * limit) if mapped else memory),
            rss=int(memory if mapped else memory * 0.95),
            started=self._started[one.instance],
            now=time.time(),
            alive=self._faults.find("down", one.instance) is None,
        )

    def _duties(self, client: ValidatorClient) -> Duties:
        indices = tuple(
            index
            for group in self._plan.groups
            if group.validator_client == client.instance
            for index in self._plan.indices(group.name)
        )
        wanted = list(indices)
        epoch = self._chain.epochs[self._chain.epoch_of(self._chain.slot)]
        return Duties(
            pubkeys=tuple(self._chain.pubkeys[index] for index in indices),
            indices=indices,
            attested=tuple(self._signing.attested[wanted].tolist()),
            failed=tuple(self._signing.failed[wanted].tolist()),
            last_slots=tuple(self._signing.last_slots[wanted].tolist()),
            balances=tuple(epoch.balances[wanted].tolist()),
            proposed=int(self._signing.proposed[wanted].sum()),
            usable=sum(is_usable(self._plan, self._faults, name) for name in client.beacon_nodes),
            configured=len(client.beacon_nodes),
            beacon_urls=tuple(self._urls()[name] for name in client.beacon_nodes),
        )


def role_of(process: BeaconNode | ExecutionNode | ValidatorClient) -> str:
    """Return the label `role` of a process."""
    match process:
        case BeaconNode():
            return "beacon"
        case ExecutionNode():
            return "execution"
        case ValidatorClient():
            return "validator"


def pod_of(instance: str) -> str:
    """Return the pod of a process: each is the first of a StatefulSet of its own."""
    return f"{instance}-0"


def metrics_path(implementation: str) -> str:
    """Return where an implementation serves its metrics."""
    return "/debug/metrics/prometheus" if implementation in {"geth", "erigon"} else "/metrics"
