"""`kubernetes` of `stakewatch.yaml`: the cluster that manifests are written for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import stakewatch


@dataclass(frozen=True)
class RemoteWrite:
    """Where the cluster's Prometheus sends all samples; `destination` is an entry of `publish`.

    The first role is that of Prometheus' service account, the second one is assumed to send.
    """

    destination: str
    service_account_role_arn: str | None = None
    assume_role_arn: str | None = None


@dataclass(frozen=True)
class KubernetesSettings:
    """A cluster with kube-prometheus-stack; None for `cluster` and `region` is what the first node has.

    No `staking_namespaces` are all, no `storage_class` is the cluster's default.
    """

    cluster: str | None = None
    region: str | None = None
    namespace: str = "monitoring"
    release: str = "kube-prometheus-stack"
    staking_namespaces: tuple[str, ...] = ()
    storage_class: str | None = None
    exporter_image: str = f"stakewatch-exporter:{stakewatch.__version__}"
    remote_write: RemoteWrite | None = None


def kubernetes_settings(entry: Mapping[str, Any]) -> KubernetesSettings:
    """Return the settings of a section in which nothing is wrong."""
    remote_write = entry.get("remote_write")
    return KubernetesSettings(
        **{
            **entry,
            "staking_namespaces": tuple(dict.fromkeys(entry.get("staking_namespaces") or ())),
            "remote_write": None if remote_write is None else RemoteWrite(**remote_write),
        }
    )
