"""The values of kube-prometheus-stack: what a person wrote, and what follows from the rest of the bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.document import Document, read_document, read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import as_error
from stakewatch.errors import InputError
from stakewatch.kubernetes import relabelling
from stakewatch.kubernetes.manifests import storage_class
from stakewatch.kubernetes.workspace import workspace_of
from stakewatch.rules.routes import read_routes, read_templates

Values = dict[str, Any]

FILE = "kube-prometheus-stack.values.yaml"
# RetentionTooShort: 90 days where nothing else keeps the samples. Before a workspace, for looking back.
_RETENTION = "90d"
_RETENTION_BEFORE_A_WORKSPACE = "15d"
# Where the operator mounts what `alertmanager.templateFiles` holds.
_TEMPLATES = "/etc/alertmanager/config/*.tmpl"


def chart_values(bundle: Bundle, configuration: Configuration) -> Values:
    """Return the values: those of the bundle's file, and what is added to them.

    Mappings are merged, lists are joined. Raises InputError when the file is broken or sets what follows from
    stakewatch.yaml, or when samples are to be sent and nothing says which cluster they are from.
    """
    path = values_path(bundle)
    written: Values = {}
    if path.is_file():
        document = read_values(path)
        if document.problems:
            raise as_error(document.problems)
        written = dict(document.data) if isinstance(document.data, dict) else {}
    return _merged(written, _added(bundle, configuration), path, "")


def values_path(bundle: Bundle) -> Path:
    """Return where a person's values stand."""
    return bundle.root / "kubernetes" / FILE


def read_values(path: Path) -> Document:
    """Return the values that a person wrote, with their lines. Raises InputError when they are no YAML."""
    return read_document(read_text(path), path)


def _added(bundle: Bundle, configuration: Configuration) -> Values:
    here = relabelling.place(configuration)
    by_pod = relabelling.of_platform(configuration, instance="pod")
    by_node_of_pod = relabelling.of_platform(configuration, instance=relabelling.NODE_OF_POD)
    # The kubelet serves several pages: without this label they would be one target.
    kubelet = [
        {"sourceLabels": ["__metrics_path__"], "targetLabel": "metrics_path"},
        *relabelling.of_platform(configuration, instance="node"),
    ]
    relabelled = {"serviceMonitor": {"relabelings": by_pod}}
    prometheus: Values = {
        **relabelled,
        "prometheusSpec": {"externalLabels": here, "retention": _RETENTION},
    }
    if claim := storage_class(configuration):
        prometheus["prometheusSpec"]["storageSpec"] = {"volumeClaimTemplate": {"spec": claim}}
    _send(prometheus, configuration)
    return {
        "prometheus": prometheus,
        "alertmanager": {**relabelled, **_alertmanager(bundle)},
        "kubelet": {
            "serviceMonitor": dict.fromkeys(
                ("relabelings", "cAdvisorRelabelings", "probesRelabelings"), kubelet
            )
        },
        # The API server is no pod, and where it runs is nobody's business: it keeps its address.
        "kubeApiServer": {"serviceMonitor": {"relabelings": relabelling.of_place(configuration)}},
        "coreDns": relabelled,
        "prometheusOperator": relabelled,
        # Its series speak of other pods: their labels `namespace` and `pod` must stay.
        "kube-state-metrics": {
            "prometheus": {"monitor": {"http": {"honorLabels": True, "relabelings": by_node_of_pod}}}
        },
        "prometheus-node-exporter": {"prometheus": {"monitor": {"relabelings": by_node_of_pod}}},
    }


def _send(prometheus: Values, configuration: Configuration) -> None:
    """Add what sending to a workspace needs, if there is one."""
    workspace = workspace_of(configuration)
    if workspace is None:
        return
    if "cluster" not in relabelling.place(configuration):
        raise InputError(
            "samples are sent, and nothing says which cluster they are from",
            where="stakewatch.yaml, kubernetes.remote_write",
            mend="add kubernetes.cluster: it tells two replicas from two clusters",
        )
    signature = {"region": workspace.region}
    if workspace.assume_role_arn:
        signature["roleArn"] = workspace.assume_role_arn
    prometheus["prometheusSpec"] |= {
        "retention": _RETENTION_BEFORE_A_WORKSPACE,
        "remoteWrite": [
            {
                "name": "workspace",
                "url": workspace.remote_write_url,
                "sigv4": signature,
                # https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-onboard-ingest-metrics-new-Prometheus.html
                "queueConfig": {"maxSamplesPerSend": 1000, "maxShards": 200, "capacity": 2500},
            }
        ],
    }
    if workspace.service_account_role_arn:
        annotation = {"eks.amazonaws.com/role-arn": workspace.service_account_role_arn}
        prometheus["serviceAccount"] = {"annotations": annotation}


def _alertmanager(bundle: Bundle) -> Values:
    """Return the routes and templates of the bundle, where the chart wants them."""
    path = bundle.alertmanager / "alertmanager.yaml"
    if not path.is_file():
        return {}
    content = read_routes(path)
    templates = read_templates(content, bundle.alertmanager)
    return {"config": {**content, "templates": [_TEMPLATES]}, "templateFiles": templates}


def _merged(written: Values, added: Mapping[str, Any], path: Path, place: str) -> Values:
    merged = dict(written)
    for key, value in added.items():
        inside = f"{place}.{key}" if place else key
        if merged.get(key) is None:
            merged[key] = value
        elif isinstance(merged[key], dict) and isinstance(value, Mapping):
            merged[key] = _merged(merged[key], value, path, inside)
        elif isinstance(merged[key], list) and isinstance(value, list):
            merged[key] = [*value, *merged[key]]
        else:
            raise InputError(
                f"{inside} follows from stakewatch.yaml and the rest of the bundle",
                where=str(path),
                mend="remove it here",
            )
    return merged
