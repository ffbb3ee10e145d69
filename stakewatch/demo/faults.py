"""The faults that the demo can show, each with the alerts it must raise and those it must hold back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Expectation:
    """An alert that must come with these labels; `inhibited_by` names the alert that must silence it."""

    alert: str
    labels: Mapping[str, str]
    inhibited_by: str | None = None

    def matches(self, alert: str, labels: Mapping[str, str]) -> bool:
        """Tell whether an alert with these labels is the one expected."""
        return alert == self.alert and all(labels.get(name) == value for name, value in self.labels.items())

    def __str__(self) -> str:
        labels = ", ".join(f"{name}={value}" for name, value in self.labels.items())
        return f"{self.alert}({labels})"


@dataclass(frozen=True)
class DemoFault:
    """One fault: what is broken in the simulator, what must follow, and why.

    `simulator_fault` and `arguments` go to the simulator's fault switch. `quiet_seconds` is how long the demo
    looks for alerts that must not come; a fault that expects nothing is judged after that time alone.
    What is `possible` may come, by chance or on a slow machine, and need not.
    """

    name: str
    describes: str
    why: str
    simulator_fault: str
    arguments: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    expected: tuple[Expectation, ...] = ()
    quiet_seconds: float = 12.0
    possible: tuple[Expectation, ...] = ()


def _fault(  # noqa: PLR0917 - the columns of the table below
    name: str,
    describes: str,
    why: str,
    simulator_fault: str,
    arguments: dict[str, object],
    expected: tuple[Expectation, ...],
    quiet_seconds: float = 12.0,
    possible: tuple[Expectation, ...] = (),
) -> DemoFault:
    return DemoFault(
        name=name,
        describes=describes,
        why=why,
        simulator_fault=simulator_fault,
        arguments=MappingProxyType(arguments),
        expected=expected,
        quiet_seconds=quiet_seconds,
        possible=possible,
    )


FAULTS: tuple[DemoFault, ...] = (
    _fault(
        "beacon-down",
        "a beacon node that a validator client depends on dies",
        "the 300 keys of validators-2 have no backup node and stop attesting: on-call gets one page that "
        "names the beacon node, and the group's alert is held back because the page already names its cause",
        "down",
        {"instance": "beacon-2"},
        (
            Expectation("BeaconNodeDown", {"instance": "beacon-2"}),
            Expectation("ValidatorGroupNotEarning", {"group": "charlie"}, inhibited_by="BeaconNodeDown"),
        ),
        possible=(
            # It is also the backup of another client.
            Expectation("SharedBeaconBackupMissing", {"validator_client": "validators-1"}),
            # A block that falls due in the first slots is missed, and a ticket, before the page is out.
            Expectation("ValidatorProposalMissed", {"group": "charlie"}),
        ),
    ),
    _fault(
        "execution-down",
        "an execution node dies",
        "its JSON-RPC refuses connections, so the exporter says it is down before any client metric does; "
        "its beacon node says so too, and is held back because the page already names the cause",
        "down",
        {"instance": "execution-3"},
        (
            Expectation("ExecutionNodeDown", {"instance": "execution-3"}),
            Expectation(
                "BeaconNodeExecutionOffline", {"instance": "beacon-3"}, inhibited_by="ExecutionNodeDown"
            ),
        ),
    ),
    _fault(
        "beacon-errors",
        "a beacon node answers 500 to everything",
        "its process lives and its port is open, but it is of no use to a validator: that is down as well",
        "http_500",
        {"instance": "beacon-3"},
        (Expectation("BeaconNodeDown", {"instance": "beacon-3"}),),
    ),
    _fault(
        "beacon-hangs",
        "a beacon node takes requests and never answers",
        "the exporter gives up after its time-out and goes on with the other nodes undisturbed",
        "hang",
        {"instance": "beacon-4"},
        (Expectation("BeaconNodeDown", {"instance": "beacon-4"}),),
    ),
    _fault(
        "beacon-peers",
        "a beacon node loses its peers",
        "a node without peers sees blocks late and its attestations spread slowly, long before it is down",
        "few_peers",
        {"instance": "beacon-1", "count": 3},
        (Expectation("BeaconNodePeersLow", {"instance": "beacon-1"}),),
    ),
    _fault(
        "execution-peers",
        "an execution node loses its peers",
        "it can no longer fetch blocks that its beacon node does not hand it",
        "few_peers",
        {"instance": "execution-1", "count": 1},
        (Expectation("ExecutionPeersLow", {"instance": "execution-1"}),),
    ),
    _fault(
        "two-keys",
        "two keys of 300 stop attesting",
        "both earn nothing for 15 minutes: a ticket each that names the key; the group itself stays silent",
        "keys_offline",
        {"group": "alpha", "count": 2},
        (Expectation("ValidatorBalanceNotGrowing", {"group": "alpha"}),),
        # The second miss in a row is noted for the record, before earnings are known.
        possible=(
            Expectation("ValidatorConsecutiveMisses", {"group": "alpha"}),
            Expectation("ValidatorProposalMissed", {"group": "alpha"}),
        ),
    ),
    _fault(
        "group-stops",
        "all 150 keys of a group stop attesting",
        "the group's alert speaks once instead of 150 alerts, one per key",
        "keys_offline",
        {"group": "delta"},
        (Expectation("ValidatorGroupNotEarning", {"group": "delta"}),),
        # The first slot that one of them should have filled comes before that.
        possible=(Expectation("ValidatorProposalMissed", {"group": "delta"}),),
    ),
    _fault(
        "machine-memory",
        "a machine's memory is 92 % in use",
        "page cache does not count as in use, so 85 % is real pressure and the OOM killer is near",
        "machine_memory",
        {"machine": "machine-2", "ratio": 0.92},
        (Expectation("NodeMemoryHigh", {}),),
    ),
    _fault(
        "container-memory",
        "a container's memory is at 93 % of its limit",
        "at the limit the kernel kills the process, and a beacon node takes minutes to be back in step",
        "container_memory",
        {"instance": "beacon-1", "ratio": 0.93},
        (Expectation("ContainerMemoryHigh", {}),),
    ),
    _fault(
        "withdrawals",
        "a withdrawal sweep takes the balance of all keys back to 32 ETH",
        "no fault at all: balances fall, earnings do not, and nothing fires (the usual balance rule would, "
        "about 1,100 times a day with 10,000 keys)",
        "withdrawal_sweep",
        {},
        (),
        60.0,
    ),
)


# What the demo's own fleet raises while nothing is wrong: no fault is judged by it.
STANDING: tuple[Expectation, ...] = (
    Expectation("Watchdog", {}),
    # It has one beacon node only, so that a fault of that node shows in its keys.
    Expectation("SharedBeaconBackupMissing", {"validator_client": "validators-2"}),
    # Three machines in one zone, and as many implementations as there are.
    Expectation("SharedBeaconPairColocated", {}),
    Expectation("SharedBeaconPairDiffers", {}),
    # With epochs of eight seconds and a third of all keys somebody is about to propose all the time.
    Expectation("ValidatorDutyUpcoming", {}),
)


def is_standing(alert: str, labels: Mapping[str, str]) -> bool:
    """Tell whether the demo's healthy fleet raises this alert."""
    return any(one.matches(alert, labels) for one in STANDING)


def find_fault(name: str) -> DemoFault | None:
    """Return the fault of this name."""
    return next((fault for fault in FAULTS if fault.name == name), None)
