"""What the Prometheus operator makes of monitors, and what Prometheus discovers, without a cluster.

The scrape configurations follow the operator's own (pkg/prometheus/promcfg.go, v0.93): selection, the labels
that it sets, then the monitor's relabelings. In place of the discovery of Kubernetes stands a file with the
labels that it would find.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Relabelling = dict[str, Any]


def scrape_job(monitor: Mapping[str, Any], discovery: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scrape job of a PodMonitor or ServiceMonitor with one endpoint, and this discovery."""
    spec = monitor["spec"]
    is_of_pods = monitor["kind"] == "PodMonitor"
    (endpoint,) = spec["podMetricsEndpoints" if is_of_pods else "endpoints"]
    name = f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"
    port = "pod_container_port_name" if is_of_pods else "endpoint_port_name"
    return {
        "job_name": f"{monitor['kind']}/{name}",
        "honor_labels": endpoint.get("honorLabels", False),
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["scrapeTimeout"],
        **discovery,
        "relabel_configs": [
            _drop("pod_phase", "Failed|Succeeded"),
            *_selection(spec["selector"], "pod" if is_of_pods else "service"),
            {**_of(port), "regex": re.escape(endpoint["port"]), "action": "keep"},
            *_own_labels(is_of_pods=is_of_pods),
            {"target_label": "job", "replacement": name},
            {"target_label": "endpoint", "replacement": endpoint["port"]},
            *(snake_case(rule) for rule in endpoint["relabelings"]),
        ],
    }


def pod(
    name: str, labels: Mapping[str, str], *, port: str = "metrics", phase: str = "Running"
) -> dict[str, Any]:
    """Return what Prometheus discovers of one port of a pod, as an entry for file_sd_configs."""
    return _target(
        {
            "namespace": "staking",
            "pod_name": name,
            "pod_phase": phase,
            "pod_node_name": "machine-a",
            "pod_container_name": "client",
            "pod_container_port_name": port,
        },
        labels,
        "pod",
    )


def endpoint(service: str, labels: Mapping[str, str], *, name: str) -> dict[str, Any]:
    """Return what Prometheus discovers of a pod behind a Service, as an entry for file_sd_configs."""
    return _target(
        {
            "namespace": "monitoring",
            "service_name": service,
            "endpoint_port_name": "metrics",
            "endpoint_address_target_kind": "Pod",
            "endpoint_address_target_name": name,
            "pod_name": name,
            "pod_phase": "Running",
            "pod_node_name": "machine-b",
            "pod_container_name": "exporter",
        },
        labels,
        "service",
    )


def snake_case(content: Any) -> Any:  # noqa: ANN401 - any part of a configuration
    """Return the operator's form of a part of Prometheus' configuration as Prometheus has it."""
    if isinstance(content, list):
        return [snake_case(one) for one in content]
    if isinstance(content, Mapping):
        return {
            re.sub(r"(?<!^)([A-Z])", r"_\1", key).lower(): snake_case(value) for key, value in content.items()
        }
    return content


def _target(meta: Mapping[str, str], labels: Mapping[str, str], of: str) -> dict[str, Any]:
    found = {f"__meta_kubernetes_{name}": value for name, value in meta.items()}
    for name, value in labels.items():
        found[f"__meta_kubernetes_{of}_label_{_sanitised(name)}"] = value
        found[f"__meta_kubernetes_{of}_labelpresent_{_sanitised(name)}"] = "true"
    # Nobody listens on this port of loopback: the labels of a target do not depend on its answer.
    return {"targets": ["127.0.0.1:1"], "labels": found}


def _sanitised(label: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _of(*names: str) -> Relabelling:
    return {"source_labels": [f"__meta_kubernetes_{name}" for name in names]}


def _drop(name: str, regex: str) -> Relabelling:
    return {**_of(name), "regex": f"({regex})", "action": "drop"}


def _selection(selector: Mapping[str, Any], of: str) -> Iterator[Relabelling]:
    for label, value in selector.get("matchLabels", {}).items():
        yield {**_with_presence(of, label), "regex": f"({re.escape(value)});true", "action": "keep"}
    for one in selector.get("matchExpressions", []):
        label, values = one["key"], "|".join(map(re.escape, one.get("values", [])))
        present = _of(f"{of}_labelpresent_{_sanitised(label)}")
        yield {
            "In": {**_with_presence(of, label), "regex": f"({values});true", "action": "keep"},
            "NotIn": {**_with_presence(of, label), "regex": f"({values});true", "action": "drop"},
            "Exists": {**present, "regex": "true", "action": "keep"},
            "DoesNotExist": {**present, "regex": "true", "action": "drop"},
        }[one["operator"]]


def _with_presence(of: str, label: str) -> Relabelling:
    return _of(f"{of}_label_{_sanitised(label)}", f"{of}_labelpresent_{_sanitised(label)}")


def _own_labels(*, is_of_pods: bool) -> Iterator[Relabelling]:
    if not is_of_pods:
        for kind, target in (("Node", "node"), ("Pod", "pod")):
            yield {
                **_of("endpoint_address_target_kind", "endpoint_address_target_name"),
                "regex": f"{kind};(.*)",
                "target_label": target,
            }
        yield {**_of("service_name"), "target_label": "service"}
    yield {**_of("namespace"), "target_label": "namespace"}
    yield {**_of("pod_container_name"), "target_label": "container"}
    yield {**_of("pod_name"), "target_label": "pod"}
