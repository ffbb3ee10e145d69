"""Which keys can attest: what the faults of a fleet mean for its validator clients, and who signed what."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stakewatch.simulator.chain import Chain, Result
from stakewatch.simulator.faults import FaultSwitch
from stakewatch.simulator.plan import FleetPlan, ValidatorClient

# States in which a validator client turns away from a beacon node although it answers.
_UNFIT = ("frozen_head", "syncing", "optimistic")


def is_usable(plan: FleetPlan, faults: FaultSwitch, beacon: str) -> bool:
    """Tell whether a validator client can work with a beacon node; it needs its execution node as well."""
    node = next(one for one in plan.beacon_nodes if one.instance == beacon)
    if faults.api_fault(beacon) or faults.api_fault(node.execution_node):
        return False
    return not any(faults.find(name, beacon) for name in _UNFIT)


def beacon_in_use(plan: FleetPlan, faults: FaultSwitch, client: ValidatorClient) -> str | None:
    """Return the beacon node that a validator client works with now: the first that is usable."""
    return next((name for name in client.beacon_nodes if is_usable(plan, faults, name)), None)


def offline_keys(plan: FleetPlan, faults: FaultSwitch) -> npt.NDArray[np.bool_]:
    """Return which validators cannot attest now (bool, one per validator index)."""
    offline = np.zeros(plan.validators, dtype=np.bool_)
    clients = {client.instance: client for client in plan.validator_clients}
    for group in plan.groups:
        client = clients[group.validator_client]
        if faults.find("down", client.instance) or beacon_in_use(plan, faults, client) is None:
            indices = plan.indices(group.name)
            offline[indices.start : indices.stop] = True
    for fault in faults.active:
        if fault.kind.name == "keys_offline":
            offline[list(fault.indices)] = True
        elif fault.kind.name == "finality_lost":
            others = plan.validators - plan.keys
            offline[plan.keys : plan.keys + round(others * fault.number("share"))] = True
    return offline


@dataclass
class SigningRecord:
    """What the fleet's keys signed, as their clients count it (int64, one entry per watched key)."""

    attested: npt.NDArray[np.int64]
    failed: npt.NDArray[np.int64]
    last_slots: npt.NDArray[np.int64]
    proposed: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.proposed = np.zeros_like(self.attested)

    def note(self, chain: Chain) -> None:
        """Count the duties of the slot that the chain has reached."""
        epoch = chain.epochs[chain.epoch_of(chain.slot)]
        members = np.concatenate(epoch.committees[chain.slot % chain.preset.slots_per_epoch])
        members = members[members < len(self.attested)]
        able = members[~chain.offline[members]]
        self.attested[able] += 1
        self.last_slots[able] = chain.slot
        self.failed[members[chain.offline[members]]] += 1
        record = chain.slots[chain.slot]
        if record.result is Result.PROPOSED and record.proposer_index < len(self.proposed):
            self.proposed[record.proposer_index] += 1

    def forget(self, indices: range) -> None:
        """Start the counts of some keys again, as a restarted client does."""
        for counts in (self.attested, self.failed, self.last_slots, self.proposed):
            counts[indices.start : indices.stop] = 0


def signing_record(keys: int) -> SigningRecord:
    """Return the record of that many keys before their first duty."""
    return SigningRecord(*(np.zeros(keys, dtype=np.int64) for _ in range(3)))
