"""What the processes, their machines and the platform show themselves, as `healthy.yaml` has it."""

import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from stakewatch.rules.replay.board import Board, Numbers, Values
from stakewatch.rules.replay.fleet import NAMESPACE, SIGNED_REMOTELY, Process
from stakewatch.rules.replay.truth import Truth

_HEALTHY = Path(__file__).with_name("healthy.yaml")
_ABSENT = "absent"
_MONTH_SECONDS = 30 * 86_400
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SWING_SECONDS = 5_000
_PROBED_AFTER_SECONDS = 20
_MAPPED = frozenset({"erigon", "reth"})
Spec = Mapping[str, Any]


def load_healthy() -> Mapping[str, Mapping[str, Spec]]:
    """Return what healthy components show: metric to specification, by component."""
    content = yaml.safe_load(_HEALTHY.read_text(encoding="utf-8"))
    return {
        component: {name: one if isinstance(one, dict) else {"value": one} for name, one in metrics.items()}
        for component, metrics in content.items()
        if component != _ABSENT
    }


def load_absent() -> Mapping[str, str]:
    """Return what a healthy fleet does not show: series to reason."""
    content: dict[str, str] = yaml.safe_load(_HEALTHY.read_text(encoding="utf-8"))[_ABSENT]
    return content


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
            metrics = dict(healthy.get(component) or healthy[process.implementation])
            if process.role == "validator" and process.implementation in SIGNED_REMOTELY:
                metrics |= healthy[f"{component}-remote"]
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
                _filled(
                    healthy["kube-state-metrics-machine"],
                    {"machine": machine.instance, "zone": machine.zone},
                )
            )
        for number, (cluster, region) in enumerate(
            sorted({(one.cluster, one.region) for one in fleet.machines})
        ):
            place = {"cluster": cluster, "region": region}
            self._target(
                {"job": "kube-state-metrics", **place, "instance": f"kube-state-metrics-{cluster}"}, None
            )
            if number == 0:
                for name in ("prometheus", "alertmanager", "alloy", "cert-manager"):
                    self._target({"job": name, **place, "instance": f"{name}-1"}, None).add_all(healthy[name])

    def start(self) -> None:
        """Bring the series into arrays; the board is frozen."""
        for target in self._targets:
            target.freeze()

    def update(self, at: float) -> None:
        """Write what a scrape at this time gets from every target."""
        for target in self._targets:
            target.update(at)

    def _target(
        self,
        labels: Mapping[str, str],
        process: Process | None,
        *,
        up: bool = True,
        about: Process | None = None,
    ) -> "_Target":
        target = _Target(self._board, self._truth, labels, process, up=up, about=about or process)
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
        state = {"job": "kube-state-metrics", **place, "instance": f"kube-state-metrics-{process.cluster}"}
        filling = {
            "pod": process.pod,
            "container": process.implementation,
            "machine": process.machine,
            "statefulset": process.instance,
            "claim": f"data-{process.pod}",
            "volume": f"pvc-{process.instance}",
            "volume_id": f"vol-{zlib.crc32(process.pod.encode()):017x}",
        }
        parts = [("kube-state-metrics-pod", state)]
        if process.role in {"beacon", "execution"}:
            csi = {"job": "ebs-csi-node", **place, "instance": process.machine}
            parts += [
                ("kube-state-metrics-volume", state),
                ("kubelet-volume", kubelet),
                ("aws-ebs-csi-driver", csi),
            ]
        for name, labels in parts:
            target = self._target(labels, None, up=False, about=process)
            target.add_all(_filled(healthy[name], filling))


def _filled(metrics: Mapping[str, Spec], filling: Mapping[str, str]) -> Mapping[str, Spec]:
    """Return specifications with names such as `{pod}` in their labels filled in."""
    return {
        name: {
            **spec,
            "labels": {label: text.format_map(filling) for label, text in spec.get("labels", {}).items()},
        }
        for name, spec in metrics.items()
    }


class _Target:
    """One target's series: those of a process that is down end, and begin anew with its next start.

    `about` is the process that quantities are taken from, also where the target itself lives on.
    """

    def __init__(
        self,
        board: Board,
        truth: Truth,
        labels: Mapping[str, str],
        process: Process | None,
        *,
        up: bool,
        about: Process | None,
    ) -> None:
        self._about = about
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
        if "mean" in spec or "summary" in spec:
            self._add_distribution(name, spec, own)
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

    def _ready(self, at: float, _: float) -> float:
        """Return 1 for a pod that has passed its readiness probe since its start."""
        if self._about is None:
            return 1.0
        instance = self._about.instance
        down = self._truth.is_down(instance, at)
        return float(not down and at - self._truth.started(instance, at) >= _PROBED_AFTER_SECONDS)

    def _head(self, at: float, _: float) -> float:
        """Return the slot of the process' head."""
        if self._about is None:
            return float(self._truth.newest_block(at))
        return float(self._truth.head_of(self._about.instance, at))

    def _add_distribution(self, name: str, spec: Spec, labels: Mapping[str, str]) -> None:
        """Add a histogram or a summary; observations spread evenly from 0.4 to 1.6 times the mean."""
        rate, mean = spec["rate"], spec.get("mean") or spec["summary"]
        if "mean" in spec:
            scale = 1.0 if mean < _BOUNDS[-1] else 1000.0
            for bound in (*(bound * scale for bound in _BOUNDS), math.inf):
                share = min(1.0, max(0.0, (bound / mean - 0.4) / 1.2))
                shown = "+Inf" if math.isinf(bound) else f"{bound:g}"
                number = self._board.add(f"{name}_bucket", labels, le=shown)
                self._growing.append((number, rate * share, 0))
        else:
            number = self._board.add(name, labels, quantile="0.95")
            self._constant.append((number, 1.55 * mean))
        self._growing.append((self._board.add(f"{name}_sum", labels), rate * mean, 0))
        self._growing.append((self._board.add(f"{name}_count", labels), rate, 0))

    def _quantity(self, name: str) -> Callable[[float, float], float]:
        """Return what gives a quantity of the truth from the time and the process' age."""
        truth = self._truth
        quantities: dict[str, Callable[[float, float], float]] = {
            "time": lambda at, _: at,
            "next_month": lambda at, _: at + _MONTH_SECONDS,
            "start": lambda at, age: at - age,
            "clock": lambda at, _: truth.slot_at(at),
            "head": self._head,
            "peers": lambda _, age: float(int(min(64, age / 4))),
            "ready": self._ready,
        }
        return quantities[name]


def _label_sets(spec: Spec, keys: list[str]) -> Iterator[Mapping[str, str]]:
    fixed = dict(spec.get("labels", {}))
    if spec.get("keys"):
        yield from ({**fixed, "pubkey": key} for key in keys)
        return
    each = spec.get("each", {})
    for values in itertools.product(*each.values()):
        yield {**fixed, **dict(zip(each, values, strict=True))}
