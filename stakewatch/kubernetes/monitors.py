"""What the operator is told to scrape: pods of the StakeWise charts, labelled pods, and the exporter."""

from collections.abc import Mapping
from typing import Any

from stakewatch.bundle.configuration import Configuration
from stakewatch.kubernetes import relabelling
from stakewatch.kubernetes.manifests import OPERATOR_API, Manifest, manifest, object_name, selected
from stakewatch.kubernetes.relabelling import Relabelling

METRICS_PORT = "metrics"
_TIMES = {"interval": "15s", "scrapeTimeout": "10s"}


def pod_monitors(configuration: Configuration) -> list[Manifest]:
    """Return the monitors of staking pods: no pod is scraped by two of them."""
    is_labelled = {"key": relabelling.ROLE_LABEL, "operator": "Exists"}
    charts = sorted(chart for charts in relabelling.STAKEWISE_CHARTS.values() for chart in charts)
    return [
        _pod_monitor(
            "stakewise-charts",
            configuration,
            [
                {"key": relabelling.CHART_LABEL, "operator": "In", "values": charts},
                {**is_labelled, "operator": "DoesNotExist"},
            ],
            relabelling.of_stakewise_pods(configuration),
        ),
        _pod_monitor(
            "labelled-pods",
            configuration,
            [is_labelled, {"key": relabelling.IMPLEMENTATION_LABEL, "operator": "Exists"}],
            relabelling.of_labelled_pods(configuration),
        ),
    ]


def volume_monitor(configuration: Configuration) -> Manifest:
    """Return the monitor of the EBS CSI driver's nodes; their Service is there with `node.enableMetrics`."""
    return _service_monitor(
        "ebs-csi-node",
        configuration,
        labels={"app": "ebs-csi-node"},
        namespaces={"any": True},
        rules=relabelling.of_platform(configuration, instance=relabelling.NODE_OF_POD),
    )


def exporter_monitor(configuration: Configuration, labels: Mapping[str, str]) -> Manifest:
    """Return the monitor of the exporter's Service, which carries `labels`."""
    return _service_monitor(
        "exporter",
        configuration,
        labels=labels,
        namespaces={"matchNames": [configuration.kubernetes.namespace]},
        rules=relabelling.of_exporter(configuration),
        # Its node series carry the labels of the node that they speak about.
        honorLabels=True,
    )


def _service_monitor(
    stem: str,
    configuration: Configuration,
    *,
    labels: Mapping[str, str],
    namespaces: Mapping[str, Any],
    rules: list[Relabelling],
    **endpoint: bool,
) -> Manifest:
    return manifest(
        OPERATOR_API,
        "ServiceMonitor",
        object_name(stem),
        configuration,
        labels=selected(configuration),
        spec={
            "selector": {"matchLabels": labels},
            "namespaceSelector": namespaces,
            "endpoints": [{"port": METRICS_PORT, **_TIMES, **endpoint, "relabelings": rules}],
        },
    )


def _pod_monitor(
    stem: str, configuration: Configuration, selection: list[dict[str, Any]], rules: list[Relabelling]
) -> Manifest:
    namespaces = configuration.kubernetes.staking_namespaces
    return manifest(
        OPERATOR_API,
        "PodMonitor",
        object_name(stem),
        configuration,
        labels=selected(configuration),
        spec={
            "namespaceSelector": {"matchNames": list(namespaces)} if namespaces else {"any": True},
            "selector": {"matchExpressions": selection},
            "podMetricsEndpoints": [{"port": METRICS_PORT, **_TIMES, "relabelings": rules}],
        },
    )
