"""DaemonSets: what runs a shipper on every machine of a cluster, with its configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

from stakewatch.bundle.configuration import Configuration
from stakewatch.kubernetes.manifests import Manifest, config_map, manifest
from stakewatch.kubernetes.relabelling import place
from stakewatch.logs import alloy, promtail
from stakewatch.logs.collection import Shipping, journal_rules, pod_rules
from stakewatch.logs.pipelines import Pipelines
from stakewatch.logs.positions import REWIND, rewinding
from stakewatch.logs.river import Block, Reference, print_blocks

LOKI_URL = "http://loki:3100"
ALLOY_IMAGE = "grafana/alloy:v1.8.3"
PROMTAIL_IMAGE = "grafana/promtail:3.5.0"
_SOURCE = "loki/pipelines.yaml"
_MEND = "remove pipelines of programs that you do not run"
_API = "rbac.authorization.k8s.io"


def alloy_manifests(pipelines: Pipelines, configuration: Configuration) -> Sequence[Manifest]:
    """Return Alloy as a DaemonSet with all that it needs.

    Raises InputError when the configuration does not fit into a ConfigMap.
    """
    name = "stakewatch-logs-alloy"
    folder, storage = "/etc/alloy", "/var/lib/alloy"
    # Where its components of these names keep them.
    positions = [f"{storage}/loki.source.file.{one}/positions.yml" for one in ("pods", "audit")]
    arguments = [
        "run",
        f"{folder}/config.alloy",
        f"--storage.path={storage}",
        "--server.http.listen-addr=0.0.0.0:12345",
        "--disable-reporting",
    ]
    return [
        *_access(name, configuration),
        config_map(
            name,
            configuration,
            {"config.alloy": _alloy(pipelines, configuration), REWIND.name: _rewind()},
            source=_SOURCE,
            mend=_MEND,
        ),
        _daemon_set(
            name,
            configuration,
            {
                "image": ALLOY_IMAGE,
                "command": rewinding(f"{folder}/{REWIND.name}", positions, "/bin/alloy"),
                "args": arguments,
                **_served(12345, "/-/ready"),
            },
            folder=folder,
            storage=storage,
        ),
    ]


def promtail_manifests(pipelines: Pipelines, configuration: Configuration) -> Sequence[Manifest]:
    """Return Promtail as a DaemonSet with all that it needs; raises as `alloy_manifests` does."""
    name = "stakewatch-logs-promtail"
    folder, storage = "/etc/promtail", "/var/lib/promtail"
    positions = f"{storage}/positions.yaml"
    return [
        *_access(name, configuration),
        config_map(
            name,
            configuration,
            {"promtail.yaml": _promtail(pipelines, configuration, positions), REWIND.name: _rewind()},
            source=_SOURCE,
            mend=_MEND,
        ),
        _daemon_set(
            name,
            configuration,
            {
                "image": PROMTAIL_IMAGE,
                "command": rewinding(f"{folder}/{REWIND.name}", [positions], "/usr/bin/promtail"),
                "args": [f"-config.file={folder}/promtail.yaml"],
                **_served(9080, "/ready"),
            },
            folder=folder,
            storage=storage,
        ),
    ]


def _alloy(pipelines: Pipelines, configuration: Configuration) -> str:
    here = place(configuration)
    # Only this machine's pods are asked for, so that the API server is not asked for all of them by each.
    selectors = Block(
        "selectors", attributes={"role": "pod", "field": Reference('"spec.nodeName=" + sys.env("HOSTNAME")')}
    )
    return print_blocks(
        [
            Block("logging", attributes={"level": "warn", "format": "logfmt"}),
            Block("discovery.kubernetes", "pods", {"role": "pod"}, (selectors,)),
            Block(
                "discovery.relabel",
                "pods",
                {"targets": Reference("discovery.kubernetes.pods.targets")},
                alloy.relabelling(pod_rules(configuration)),
            ),
            *alloy.files_of("pods", Reference("discovery.relabel.pods.output")),
            *alloy.journal(journal_rules(pipelines), here),
            *alloy.audit(here),
            *alloy.shipped(pipelines, Shipping(loki_url=LOKI_URL)),
        ],
        heading=alloy.HEADING,
    )


def _promtail(pipelines: Pipelines, configuration: Configuration, positions: str) -> str:
    here = place(configuration)
    shipping = Shipping(
        loki_url=LOKI_URL,
        positions=positions,
        listen_address="0.0.0.0",  # noqa: S104 - in its pod
    )
    pods = {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [dict(rule) for rule in pod_rules(configuration)],
        "pipeline_stages": promtail.stages_as_data(pipelines),
    }
    jobs = [pods, promtail.journal_job(journal_rules(pipelines), here), promtail.audit_job(here)]
    return promtail.configuration_text(shipping, jobs)


def _rewind() -> str:
    return REWIND.read_text(encoding="utf-8")


def _access(name: str, configuration: Configuration) -> Sequence[Manifest]:
    """Return the account and what it may do: see pods, and nothing else."""
    role = _cluster_wide("ClusterRole", name, configuration)
    binding = _cluster_wide("ClusterRoleBinding", name, configuration)
    subject = {"kind": "ServiceAccount", "name": name, "namespace": configuration.kubernetes.namespace}
    return [
        manifest("v1", "ServiceAccount", name, configuration),
        {**role, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]},
        {
            **binding,
            "roleRef": {"apiGroup": _API, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    ]


def _cluster_wide(kind: str, name: str, configuration: Configuration) -> dict[str, Any]:
    made = manifest(f"{_API}/v1", kind, name, configuration)
    metadata = {key: value for key, value in made["metadata"].items() if key != "namespace"}
    return {**made, "metadata": metadata}


def _served(port: int, path: str) -> Mapping[str, Any]:
    return {
        "ports": [{"name": "metrics", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": path, "port": "metrics"}, "periodSeconds": 10},
    }


def _daemon_set(
    name: str, configuration: Configuration, container: Mapping[str, Any], *, folder: str, storage: str
) -> Manifest:
    labels = {"app.kubernetes.io/name": name}
    mounts = [
        {"name": "configuration", "mountPath": folder, "readOnly": True},
        {"name": "logs", "mountPath": "/var/log", "readOnly": True},
        # Journal and positions are of this machine.
        {"name": "machine-id", "mountPath": "/etc/machine-id", "readOnly": True},
        {"name": "positions", "mountPath": storage},
        {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod
    ]
    volumes = [
        {"name": "configuration", "configMap": {"name": name}},
        {"name": "logs", "hostPath": {"path": "/var/log"}},
        {"name": "machine-id", "hostPath": {"path": "/etc/machine-id", "type": "File"}},
        {"name": "positions", "hostPath": {"path": f"/var/lib/{name}", "type": "DirectoryOrCreate"}},
        {"name": "temporary", "emptyDir": {}},
    ]
    pod = {
        "serviceAccountName": name,
        # Also on machines that are kept for something else: their logs are wanted too.
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "shipper",
                **container,
                "env": [{"name": "HOSTNAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "resources": {
                    "requests": {"cpu": "50m", "memory": "128Mi"},
                    "limits": {"memory": "512Mi"},
                },
                "securityContext": {
                    # The files of containers belong to root.
                    "runAsUser": 0,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }
    return manifest(
        "apps/v1",
        "DaemonSet",
        name,
        configuration,
        spec={
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    )
