"""The exporter in a cluster: its configuration, a Deployment that may do nothing else, a Service."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stakewatch.bundle.configuration import Configuration, ExporterSettings
from stakewatch.bundle.document import read_document, read_text
from stakewatch.bundle.printing import as_yaml
from stakewatch.kubernetes.manifests import Manifest, config_map, manifest, object_name, storage_class
from stakewatch.kubernetes.monitors import METRICS_PORT, exporter_monitor

LABELS = {"app.kubernetes.io/name": "stakewatch-exporter"}
TOKENS = "stakewatch-exporter-tokens"
_NAME = object_name("exporter")
_USER = 65532
_FOLDER = "/etc/stakewatch"
_STATE = "/var/lib/stakewatch"
_SECTIONS_OF_OTHERS = ("publish", "kubernetes")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - inside of its pod, behind its NetworkPolicy


def exporter_manifests(configuration: Configuration) -> Iterator[Manifest]:
    """Yield the exporter's objects; none where `stakewatch.yaml` names no node, as it would not start.

    Tokens of keymanager APIs are expected in the Secret TOKENS, under `<instance of the client>.token`.
    Raises InputError when a key file is too large for a ConfigMap.
    """
    if not configuration.nodes or not configuration.files:
        return
    content, key_files = _content(configuration)
    keys = [_key_map(number, text, path, configuration) for number, (path, text) in enumerate(key_files)]
    yield config_map(
        _NAME,
        configuration,
        {"stakewatch.yaml": content},
        source=str(configuration.files[0]),
        mend="move long lists of keys into key files, one per group",
    )
    yield from keys
    yield manifest("v1", "ServiceAccount", _NAME, configuration, automountServiceAccountToken=False)
    yield manifest(
        "v1",
        "PersistentVolumeClaim",
        object_name("exporter-state"),
        configuration,
        spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            **storage_class(configuration),
        },
    )
    yield _deployment(configuration, content, len(keys))
    yield manifest(
        "v1",
        "Service",
        _NAME,
        configuration,
        labels=LABELS,
        spec={
            "selector": LABELS,
            "ports": [{"name": METRICS_PORT, "port": _port(configuration), "targetPort": METRICS_PORT}],
        },
    )
    yield _network_policy(configuration)
    yield exporter_monitor(configuration, LABELS)


def _content(configuration: Configuration) -> tuple[str, list[tuple[Path, str]]]:
    """Return `stakewatch.yaml` as the exporter reads it in its container, and its key files with their texts.

    It names files where they are mounted, and says nothing of what only other commands read.
    """
    path = configuration.files[0]
    data: Any = read_document(read_text(path), path).data
    for section in _SECTIONS_OF_OTHERS:
        data.pop(section, None)
    key_files: list[tuple[Path, str]] = []
    for group in data["fleet"].get("groups") or []:
        if isinstance(group["keys"], dict) and "file" in group["keys"]:
            source = path.parent / group["keys"]["file"]
            group["keys"]["file"] = f"keys/{len(key_files)}.keys"
            key_files.append((source, read_text(source)))
    for client in data["fleet"].get("validator_clients") or []:
        if (client.get("keymanager") or {}).get("token_file"):
            client["keymanager"]["token_file"] = f"tokens/{client['instance']}.token"
    data["exporter"] = {**(data.get("exporter") or {}), "state_file": f"{_STATE}/exporter.json"}
    text = as_yaml(data, heading=f"Built from {path.name}: change that.")
    return text, key_files


def _key_map(number: int, text: str, path: Path, configuration: Configuration) -> Manifest:
    return config_map(
        object_name(f"exporter-keys-{number}"),
        configuration,
        {"keys": text},
        source=str(path),
        mend="divide the group, or let the exporter ask a keymanager API or a signer for its keys",
    )


def _tokens(configuration: Configuration) -> list[str]:
    """Return the keys of the Secret that must be there."""
    return [
        f"{client.instance}.token"
        for client in configuration.validator_clients
        if client.keymanager is not None and client.keymanager.token_file is not None
    ]


def _sources(configuration: Configuration, key_maps: int) -> list[dict[str, Any]]:
    """Return what is mounted as one folder: the configuration, the key files, the tokens."""
    sources: list[dict[str, Any]] = [
        {
            "configMap": {
                "name": _NAME,
                "items": [{"key": "stakewatch.yaml", "path": "stakewatch.yaml"}],
            }
        }
    ]
    sources += [
        {
            "configMap": {
                "name": object_name(f"exporter-keys-{number}"),
                "items": [{"key": "keys", "path": f"keys/{number}.keys"}],
            }
        }
        for number in range(key_maps)
    ]
    if tokens := _tokens(configuration):
        items = [{"key": token, "path": f"tokens/{token}", "mode": 0o440} for token in tokens]
        sources.append({"secret": {"name": TOKENS, "items": items}})
    return sources


def _deployment(configuration: Configuration, content: str, key_maps: int) -> Manifest:
    return manifest(
        "apps/v1",
        "Deployment",
        _NAME,
        configuration,
        labels=LABELS,
        spec={
            "replicas": 1,
            # Two would write one state file.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {
                    "labels": LABELS,
                    # A changed configuration needs a restart; key files and tokens are read again.
                    "annotations": {"stakewatch-configuration": hashlib.sha256(content.encode()).hexdigest()},
                },
                "spec": {
                    "serviceAccountName": _NAME,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": _USER,
                        "runAsGroup": _USER,
                        # The tokens and the state belong to this group.
                        "fsGroup": _USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [_container(configuration)],
                    "volumes": [
                        {
                            "name": "configuration",
                            "projected": {
                                "defaultMode": 0o444,
                                "sources": _sources(configuration, key_maps),
                            },
                        },
                        {
                            "name": "state",
                            "persistentVolumeClaim": {"claimName": object_name("exporter-state")},
                        },
                        {"name": "temporary", "emptyDir": {"sizeLimit": "16Mi"}},
                    ],
                },
            },
        },
    )


def _container(configuration: Configuration) -> dict[str, Any]:
    def asked(path: str, **more: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": METRICS_PORT}, "timeoutSeconds": 5, **more}

    return {
        "name": "exporter",
        "image": configuration.kubernetes.exporter_image,
        "args": ["--config", f"{_FOLDER}/stakewatch.yaml", "--listen", _listen(configuration)],
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "ports": [{"name": METRICS_PORT, "containerPort": _port(configuration)}],
        "startupProbe": asked("/healthz", periodSeconds=2, failureThreshold=60),
        "livenessProbe": asked("/healthz", periodSeconds=10, failureThreshold=6),
        "readinessProbe": asked("/readyz", periodSeconds=10, failureThreshold=3),
        # docs/exporter.md, Sizing: the work of an epoch comes at once.
        "resources": {
            "requests": {"cpu": "100m", "memory": "512Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "configuration", "mountPath": _FOLDER, "readOnly": True},
            {"name": "state", "mountPath": _STATE},
            {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
    }


def _network_policy(configuration: Configuration) -> Manifest:
    """Return who may ask the exporter, and on which ports it may ask others.

    A policy sees the port of the pod that answers, not that of a Service before it.
    """
    prometheus = {
        "namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": configuration.kubernetes.namespace}
        },
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }
    return manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        _NAME,
        configuration,
        spec={
            "podSelector": {"matchLabels": LABELS},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [prometheus], "ports": [{"protocol": "TCP", "port": METRICS_PORT}]}],
            "egress": [
                {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
                {"ports": [{"protocol": "TCP", "port": port} for port in _ports(configuration)]},
            ],
        },
    )


def _ports(configuration: Configuration) -> list[int]:
    """Return the ports of everything that the exporter asks."""
    urls = [node.url for node in configuration.nodes] + [signer.url for signer in configuration.signers]
    urls += [client.keymanager.url for client in configuration.validator_clients if client.keymanager]
    parts = [urlsplit(url) for url in urls]
    return sorted({one.port or _DEFAULT_PORTS[one.scheme] for one in parts})


def _listen(configuration: Configuration) -> str:
    """Return where the exporter listens in its pod: as configured, unless nobody would reach it there."""
    host = configuration.exporter.listen_host
    host = _ALL_ADDRESSES if host in _LOOPBACK else host
    return f"[{host}]:{_port(configuration)}" if ":" in host else f"{host}:{_port(configuration)}"


def _port(configuration: Configuration) -> int:
    """Return the port of the exporter; any free one would be none that a monitor finds."""
    return configuration.exporter.listen_port or ExporterSettings.listen_port
