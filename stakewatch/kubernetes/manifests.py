"""What all manifests share: names, labels, and limits of what the API server takes."""

import re
from collections.abc import Mapping
from typing import Any

from stakewatch.bundle.configuration import Configuration
from stakewatch.errors import InputError

Manifest = Mapping[str, Any]

# A ConfigMap holds 1 MiB: https://kubernetes.io/docs/concepts/configuration/configmap/#motivation
_CONFIG_MAP_BYTES = 1024 * 1024
OPERATOR_API = "monitoring.coreos.com/v1"
_LONGEST_NAME = 63


def object_name(stem: str) -> str:
    """Return the name of an object that is made of the file or thing `stem`, as Kubernetes takes names.

    Raises InputError when nothing that could be a name is left of it, or it is too long.
    """
    name = f"stakewatch-{re.sub(r'[^a-z0-9]+', '-', stem.lower()).strip('-')}"
    if name.endswith("-") or len(name) > _LONGEST_NAME:
        raise InputError(
            "this cannot name an object of Kubernetes",
            where=stem,
            mend=f"use letters and digits, at most {_LONGEST_NAME - len('stakewatch-')} of them",
        )
    return name


def own_name(stem: str, source: str, taken: dict[str, str]) -> str:
    """Return the object's name for `stem` and remember in `taken` that `source` has it.

    Raises InputError when it cannot be a name, or another source has it.
    """
    name = object_name(stem)
    if name in taken:
        raise InputError(
            f"its object would be {name}, like that of {taken[name]}",
            where=source,
            mend="rename one of the two files",
        )
    taken[name] = source
    return name


def manifest(
    api_version: str,
    kind: str,
    name: str,
    configuration: Configuration,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **content: Any,  # noqa: ANN401 - the fields that this kind has
) -> Manifest:
    """Return an object in the configured namespace, with the labels by which ours are found again."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": configuration.kubernetes.namespace,
        "labels": {
            "app.kubernetes.io/part-of": "stakewatch",
            "app.kubernetes.io/managed-by": "stakewatch",
            **(labels or {}),
        },
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def config_map(
    name: str,
    configuration: Configuration,
    data: Mapping[str, str],
    *,
    source: str,
    mend: str,
    **more: Mapping[str, str],
) -> Manifest:
    """Return a ConfigMap with `data`, made of `source`; `more` is what `manifest` takes.

    Raises InputError with `mend` when it is larger than a ConfigMap may be.
    """
    size = sum(len(text.encode()) for text in data.values())
    if size > _CONFIG_MAP_BYTES:
        raise InputError(
            f"has {size:,} bytes as it is built; a ConfigMap holds {_CONFIG_MAP_BYTES:,}",
            where=source,
            mend=mend,
        )
    return manifest("v1", "ConfigMap", name, configuration, data=dict(data), **more)


def selected(configuration: Configuration) -> dict[str, str]:
    """Return the label by which the Prometheus of kube-prometheus-stack selects rules and monitors.

    Without it they are created and never read, and nothing says so.
    """
    return {"release": configuration.kubernetes.release}


def storage_class(configuration: Configuration) -> dict[str, str]:
    """Return what a claim says of its class; without it, it waits for ever where a cluster has no default."""
    name = configuration.kubernetes.storage_class
    return {} if name is None else {"storageClassName": name}
