"""What the processes, their machines and the platform show themselves, as `healthy.yaml` has it."""

import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.bench.rules.board import Board, Numbers, Values
from tests.bench.rules.fleet import NAMESPACE, Machine, Process
from tests.bench.rules.truth import SLOT_SECONDS, Truth

_HEALTHY = Path(__file__).with_name("healthy.yaml")
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SWING_SECONDS = 5_000
_MAPPED = frozenset({"erigon", "reth"})
Spec = Mapping[str, Any]


def load_healthy() -> Mapping[str, Mapping[str, Spec]]:
    """Return what healthy components show: metric to specification, by component."""
    content = yaml.safe_load(_HEALTHY.read_text(encoding="utf-8"))
    return {
        component: {name: one if isinstance(one, dict) else {"value": one} for name, one in metrics.items()}
        for component, metrics in content.items()
    }


class ClientModel:
    """Writes all series but the exporter's onto a board; `update` is called once per scrape."""

    def __init__(self, board: Board, truth: Truth) -> None:
        self._board = board
        self._truth = truth
        healthy = load_healthy()
        fleet = truth.fleet
        self._targets: list[_Target] = []
        for process in fleet.processes.values():
            component = f"{process.implementation}_{process.role}"
            metrics = healthy.get(component) or healthy[process.implementation]
            target = self._target(process.labels, process)
            target.add_all(metrics, keys=self._keys(process))
            self._add_container(process, healthy)
        for machine in fleet.machines:
            place = {"cluster": machine.cluster, "region": machine.region}
            labels = {"job": "node-exporter", **place, "instance": machine.instance}
            self._target(labels, None).add_all(healthy["node_exporter"])
            state = {
                "job": "kube-state-metrics",
                **place,
                "instance": f"kube-state-metrics-{machine.cluster}",
            }
            self._target(state, None, up=False).add_all(
                _with_labels(healthy["kube-state-metrics-machine"], machine=machine)
            )
        for number, (cluster, region) in enumerate(
            sorted({(one.cluster, one.region) for one in fleet.machines})
        ):
            place = {"cluster": cluster, "region": region}
            self._target(
                {"job": "kube-state-metrics", **place, "instance": f"kube-state-metrics-{cluster}"}, None
            )
            if number == 0:
                for name in ("prometheus", "alertmanager"):
                    self._target({"job": name, **place, "instance": f"{name}-1"}, None).add_all(healthy[name])

    def start(self) -> None:
        """Bring the series into arrays; the board is frozen."""
        for target in self._targets:
            target.freeze()

    def update(self, at: float) -> None:
        """Write what a scrape at this time gets from every target."""
        for target in self._targets:
            target.update(at)

    def _target(self, labels: Mapping[str, str], process: Process | None, *, up: bool = True) -> "_Target":
        target = _Target(self._board, self._truth, labels, process, up=up)
        self._targets.append(target)
        return target

    def _keys(self, process: Process) -> list[str]:
        fleet = self._truth.fleet
        return [
            fleet.pubkey(key)
            for group in fleet.groups
            if group.validator_client == process.instance
            for key in range(group.first_key, group.first_key + group.keys)
        ]

    def _add_container(self, process: Process, healthy: Mapping[str, Mapping[str, Spec]]) -> None:
        """Add what the kubelet and kube-state-metrics say of a process' pod and container."""
        place = {"cluster": process.cluster, "region": process.region}
        kubelet = {"job": "kubelet", **place, "instance": process.machine}
        pod = {"namespace": NAMESPACE, "pod": process.pod}
        image = f"{process.implementation}:stable"
        container = {
            **kubelet,
            **pod,
            "container": process.implementation,
            "image": image,
            "name": process.pod,
        }
        metrics = dict(healthy["cadvisor-kubelet"])
        if process.implementation in _MAPPED:
            # They map their database: the kernel keeps its pages up to the limit.
            metrics["container_memory_working_set_bytes"] = {"around": 1.55e10}
        self._target({**container, "id": f"/kubepods/{process.pod}"}, process, up=False).add_all(metrics)
        sandbox = {**kubelet, **pod, "container": "", "image": "pause", "name": f"{process.pod}-pause"}
        self._target({**sandbox, "id": f"/kubepods/{process.pod}/pause"}, None, up=False).add_all(
            {"container_memory_rss": {"value": 3e5}, "container_memory_working_set_bytes": {"value": 3e5}}
        )
        state = {
            "job": "kube-state-metrics",
            **place,
            "instance": f"kube-state-metrics-{process.cluster}",
            **pod,
        }
        self._target(state, None, up=False).add_all(
            _with_labels(healthy["kube-state-metrics-pod"], process=process)
        )


def _with_labels(
    metrics: Mapping[str, Spec], *, process: Process | None = None, machine: Machine | None = None
) -> Mapping[str, Spec]:
    """Return specifications with the labels that depend on a pod or a machine filled in."""
    known: dict[str, tuple[str, str]] = {}
    if process is not None:
        known = {"node": ("node", process.machine), "container": ("container", process.implementation)}
    if machine is not None:
        known = {
            "node": ("node", machine.instance),
            "zone": ("label_topology_kubernetes_io_zone", machine.zone),
        }
    return {
        name: {
            **spec,
            "labels": {
                **spec.get("labels", {}),
                **dict(known[one] for one in (*spec.get("pod_labels", ()), *spec.get("machine_labels", ()))),
            },
        }
        for name, spec in metrics.items()
    }


class _Target:
    """One target's series: those of a process that is down end, and begin anew with its next start."""

    def __init__(
        self, board: Board, truth: Truth, labels: Mapping[str, str], process: Process | None, *, up: bool
    ) -> None:
        self._board, self._truth, self._labels, self._process = board, truth, labels, process
        self._up = board.add("up", labels) if up else None
        self._constant: list[tuple[int, float]] = []
        self._growing: list[tuple[int, float, float]] = []
        self._swinging: list[tuple[int, float]] = []
        self._following: list[tuple[int, Callable[[float, float], float]]] = []
        self._arrays: tuple[Numbers, Values, Values] | None = None
        self._swings: tuple[Numbers, Values, Values] | None = None
        self._all = np.zeros(0, dtype=np.int64)
        self._running: bool | None = None

    def add_all(self, metrics: Mapping[str, Spec], keys: list[str] | None = None) -> None:
        """Add the series of these metrics; `keys` are those of a validator client."""
        for name, spec in metrics.items():
            for labels in _label_sets(spec, keys or []):
                self._add(name, spec, labels)

    def freeze(self) -> None:
        """Make arrays of what grows and swings."""
        growing = self._growing
        self._arrays = (
            np.array([one[0] for one in growing], dtype=np.int64),
            np.array([one[1] for one in growing]),
            np.array([one[2] for one in growing]),
        )
        numbers = np.array([one[0] for one in self._swinging], dtype=np.int64)
        phases = np.array([zlib.crc32(f"{self._labels}/{number}".encode()) % 628 / 100 for number in numbers])
        self._swings = (numbers, np.array([one[1] for one in self._swinging]), phases)
        others = [number for number, _ in (*self._constant, *self._following)]
        self._all = np.concatenate([self._arrays[0], numbers, np.array(others, dtype=np.int64)])

    def update(self, at: float) -> None:
        """Write the values of this time."""
        process, truth, board = self._process, self._truth, self._board
        running = process is None or not truth.is_down(process.instance, at)
        if self._up is not None:
            board.put(self._up, float(running))
        if not running:
            if self._running is not False:
                board.live[self._all] = False
            self._running = False
            return
        if not self._running:
            for number, value in self._constant:
                board.put(number, value)
        self._running = True
        age = at - (truth.genesis - 40 * 86_400 if process is None else truth.started(process.instance, at))
        if self._arrays is None or self._swings is None:
            raise AssertionError("not frozen")
        numbers, rates, bases = self._arrays
        board.put(numbers, np.floor(bases + rates * age))
        numbers, typical, phases = self._swings
        board.put(numbers, typical * (1 + 0.1 * np.sin(phases + at / _SWING_SECONDS)))
        for number, follow in self._following:
            board.put(number, follow(at, age))

    def _add(self, name: str, spec: Spec, labels: Mapping[str, str]) -> None:
        own = {**self._labels, **labels}
        if "mean" in spec:
            self._add_histogram(name, spec, own)
            return
        number = self._board.add(name, own)
        if "rate" in spec:
            self._growing.append((number, spec["rate"], spec.get("base", 0)))
        elif "around" in spec:
            self._swinging.append((number, spec["around"]))
        elif "follow" in spec:
            self._following.append((number, self._quantity(spec["follow"])))
        else:
            self._constant.append((number, spec["value"]))

    def _add_histogram(self, name: str, spec: Spec, labels: Mapping[str, str]) -> None:
        rate, mean = spec["rate"], spec["mean"]
        scale = 1.0 if mean < _BOUNDS[-1] else 1000.0
        for bound in (*(bound * scale for bound in _BOUNDS), math.inf):
            # Spread evenly from 0.4 to 1.6 times the mean.
            share = min(1.0, max(0.0, (bound / mean - 0.4) / 1.2))
            shown = "+Inf" if math.isinf(bound) else f"{bound:g}"
            number = self._board.add(f"{name}_bucket", labels, le=shown)
            self._growing.append((number, rate * share, 0))
        self._growing.append((self._board.add(f"{name}_sum", labels), rate * mean, 0))
        self._growing.append((self._board.add(f"{name}_count", labels), rate, 0))

    def _quantity(self, name: str) -> Callable[[float, float], float]:
        truth = self._truth
        sync = truth.noise.seconds_to_sync
        match name:
            case "time":
                return lambda at, _: at
            case "start":
                return lambda at, age: at - age
            case "clock":
                return lambda at, _: truth.slot_at(at)
            case "head":
                return lambda at, age: truth.slot_at(at - 4) - max(0.0, (sync - age) // SLOT_SECONDS)
            case "peers":
                return lambda _, age: float(int(min(64, age / 4)))
        raise ValueError(f"there is no quantity {name!r} to follow")


def _label_sets(spec: Spec, keys: list[str]) -> Iterator[Mapping[str, str]]:
    fixed = dict(spec.get("labels", {}))
    if spec.get("keys"):
        yield from ({**fixed, "pubkey": key} for key in keys)
        return
    each = spec.get("each", {})
    for values in itertools.product(*each.values()):
        yield {**fixed, **dict(zip(each, values, strict=True))}
