"""The fault switch: what can go wrong in a simulated fleet, and what is wrong at this moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from types import MappingProxyType

from stakewatch.errors import InputError
from stakewatch.simulator.plan import FleetPlan


class Target(StrEnum):
    """What a fault is about."""

    PROCESS = "a beacon node, execution node or validator client (instance)"
    NODE = "a beacon or execution node (instance)"
    BEACON = "a beacon node (instance)"
    KEYS = "keys: all, those of a group, a count or share of them, or given indices"
    MACHINE = "a machine (machine)"
    CHAIN = "the chain"


@dataclass(frozen=True)
class Number:
    """A number that a fault takes; without a default it must be given."""

    minimum: float
    maximum: float
    default: float | None = None
    whole: bool = False


@dataclass(frozen=True)
class FaultKind:
    """A fault by name; `momentary` ones happen once and are not there to be cleared."""

    name: str
    describes: str
    target: Target
    numbers: Mapping[str, Number] = field(default_factory=lambda: MappingProxyType({}))
    momentary: bool = False
    breaks_api: bool = False


@dataclass(frozen=True)
class Fault:
    """A fault that was injected; `indices` are the validators that a fault of keys is about."""

    identity: int
    kind: FaultKind
    target: str | None
    numbers: Mapping[str, float]
    indices: tuple[int, ...] = ()

    def number(self, name: str) -> float:
        """Return the value of one of its numbers."""
        return self.numbers[name]


def _api(name: str, describes: str, **numbers: Number) -> FaultKind:
    return FaultKind(name, describes, Target.NODE, MappingProxyType(numbers), breaks_api=True)


_SHARE = Number(0, 1)
KINDS: Mapping[str, FaultKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            FaultKind(
                "down",
                "the process is dead: its API and its metrics refuse connections",
                Target.PROCESS,
                breaks_api=True,
            ),
            _api("hang", "the API takes requests and never answers"),
            _api("http_500", "the API answers 500 to everything"),
            _api("http_404", "the API answers 404 to everything"),
            _api(
                "http_429",
                "the API answers 429 with Retry-After to everything",
                retry_after_seconds=Number(0, 86_400, 5, whole=True),
            ),
            _api("html", "the API answers 200 with a web page, as a captive proxy does"),
            _api("truncated", "answers break off in the middle"),
            _api("wrong_types", "answers are JSON, but numbers are of wrong types, huge or negative"),
            FaultKind(
                "slow",
                "answers come late",
                Target.NODE,
                MappingProxyType({"seconds": Number(0, 60, 2)}),
            ),
            _api("other_network", "the node answers well, about another chain"),
            FaultKind(
                "frozen_head", "the node's head stands still while it says that it is fine", Target.NODE
            ),
            FaultKind(
                "syncing",
                "the node is far behind, and says so",
                Target.NODE,
                MappingProxyType({"distance": Number(9, 10**7, 32, whole=True)}),
            ),
            FaultKind(
                "optimistic",
                "the beacon node follows a head that its execution node has not checked",
                Target.BEACON,
            ),
            FaultKind(
                "few_peers",
                "the node has few peers",
                Target.NODE,
                MappingProxyType({"count": Number(0, 1000, whole=True)}),
            ),
            FaultKind(
                "keys_offline",
                "keys stop to attest and to propose",
                Target.KEYS,
                MappingProxyType({"count": Number(1, 10**7, 10**7, whole=True), "share": Number(0, 1, 1)}),
            ),
            FaultKind(
                "machine_memory",
                "a machine uses that share of its memory",
                Target.MACHINE,
                MappingProxyType({"ratio": _SHARE}),
            ),
            FaultKind(
                "container_memory",
                "a container's working set is that share of its limit",
                Target.PROCESS,
                MappingProxyType({"ratio": _SHARE}),
            ),
            FaultKind(
                "withdrawal_sweep",
                "a withdrawal sweep takes all keys back to 32 ETH within an epoch: no fault at all",
                Target.CHAIN,
                momentary=True,
            ),
            FaultKind(
                "finality_lost",
                "that share of the network at large stops to attest",
                Target.CHAIN,
                MappingProxyType({"share": Number(0, 1, 0.6)}),
            ),
            FaultKind(
                "missed_proposal", "the next proposal of these keys is missed", Target.KEYS, momentary=True
            ),
            FaultKind(
                "orphaned_proposal",
                "the next block of these keys is replaced by the block after it",
                Target.KEYS,
                momentary=True,
            ),
        )
    }
)


class FaultSwitch:
    """The faults that are there now; it only knows them, the fleet acts on them."""

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan
        self._identities = count(1)
        self._active: list[Fault] = []

    @property
    def active(self) -> tuple[Fault, ...]:
        """All faults that have not been cleared, the oldest first."""
        return tuple(self._active)

    def inject(self, name: str, arguments: Mapping[str, object]) -> Fault:
        """Add a fault; one of the same name and target is replaced.

        Raises InputError for an unknown name, target or argument, or a number out of bounds.
        """
        kind = KINDS.get(name)
        if kind is None:
            raise InputError(f"there is no fault {name[:80]!r}", mend=f"name one of {', '.join(KINDS)}")
        rest = dict(arguments)
        target, indices = self._target(kind, rest)
        numbers = {
            parameter: _number(kind, parameter, rest.pop(parameter, None), bounds)
            for parameter, bounds in kind.numbers.items()
        }
        if rest:
            raise InputError(
                f"the fault {name!r} has no argument {', '.join(sorted(rest))}",
                mend=f"it is about {kind.target} and takes {', '.join(kind.numbers) or 'nothing else'}",
            )
        if kind.name == "keys_offline":
            chosen = min(int(numbers["count"]), round(numbers["share"] * len(indices)))
            indices = indices[:chosen]
        fault = Fault(next(self._identities), kind, target, MappingProxyType(numbers), indices)
        if not kind.momentary:
            self._active = [one for one in self._active if (one.kind.name, one.target) != (kind.name, target)]
            self._active.append(fault)
        return fault

    def clear(self, name: str | None = None, target: str | None = None) -> tuple[Fault, ...]:
        """Remove the faults of a name, of a target, or all, and return them."""
        cleared = tuple(
            fault
            for fault in self._active
            if name in {None, fault.kind.name} and target in {None, fault.target}
        )
        self._active = [fault for fault in self._active if fault not in cleared]
        return cleared

    def find(self, name: str, target: str | None = None) -> Fault | None:
        """Return the newest fault of this name on a target."""
        return next(
            (
                fault
                for fault in reversed(self._active)
                if fault.kind.name == name and target in {None, fault.target}
            ),
            None,
        )

    def api_fault(self, instance: str) -> Fault | None:
        """Return the newest fault that breaks a node's API."""
        return next(
            (fault for fault in reversed(self._active) if fault.target == instance and fault.kind.breaks_api),
            None,
        )

    def _target(self, kind: FaultKind, rest: dict[str, object]) -> tuple[str | None, tuple[int, ...]]:
        plan = self._plan
        beacons = [node.instance for node in plan.beacon_nodes]
        executions = [node.instance for node in plan.execution_nodes]
        clients = [client.instance for client in plan.validator_clients]
        match kind.target:
            case Target.PROCESS:
                return _name(kind, rest, "instance", [*beacons, *executions, *clients]), ()
            case Target.NODE:
                return _name(kind, rest, "instance", [*beacons, *executions]), ()
            case Target.BEACON:
                return _name(kind, rest, "instance", beacons), ()
            case Target.MACHINE:
                return _name(kind, rest, "machine", plan.machines), ()
            case Target.KEYS:
                return self._keys(kind, rest)
            case Target.CHAIN:
                return None, ()

    def _keys(self, kind: FaultKind, rest: dict[str, object]) -> tuple[str, tuple[int, ...]]:
        indices = rest.pop("indices", None)
        if indices is not None:
            if not isinstance(indices, Iterable) or isinstance(indices, str | bytes):
                raise _wrong(kind, "indices", "a list of validator indices")
            chosen = tuple(indices)
            if not chosen or not all(
                type(index) is int and 0 <= index < self._plan.validators for index in chosen
            ):
                raise _wrong(kind, "indices", f"indices from 0 to {self._plan.validators - 1}")
            return f"indices {','.join(str(index) for index in chosen[:8])}", tuple(dict.fromkeys(chosen))
        group = rest.pop("group", None)
        if group is None:
            return "all groups", tuple(range(self._plan.keys))
        if not isinstance(group, str):
            raise _wrong(kind, "group", "a group's name")
        return f"group {group}", tuple(self._plan.indices(group))


def _name(kind: FaultKind, rest: dict[str, object], argument: str, known: Iterable[str]) -> str:
    value = rest.pop(argument, None)
    if not isinstance(value, str) or value not in known:
        raise _wrong(kind, argument, f"one of {', '.join(known)}")
    return value


def _number(kind: FaultKind, name: str, value: object, bounds: Number) -> float:
    if value is None and bounds.default is not None:
        return bounds.default
    expected = f"a number from {bounds.minimum:g} to {bounds.maximum:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(kind, name, expected)
    if not bounds.minimum <= value <= bounds.maximum or (bounds.whole and value != int(value)):
        raise _wrong(kind, name, expected)
    return float(value)


def _wrong(kind: FaultKind, argument: str, expected: str) -> InputError:
    return InputError(f"the fault {kind.name!r} has no good {argument!r}", mend=f"give {expected}")
