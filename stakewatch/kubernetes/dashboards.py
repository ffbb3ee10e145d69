"""Dashboards as ConfigMaps, which the sidecar of Grafana picks up by their label."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from stakewatch.bundle.configuration import Configuration
from stakewatch.kubernetes.manifests import Manifest, config_map, own_name

# What kube-prometheus-stack sets for the sidecar: grafana.sidecar.dashboards.label and labelValue.
_LABEL = {"grafana_dashboard": "1"}
_FOLDER = {"grafana_folder": "stakewatch"}


def dashboard_maps(boards: Mapping[str, str], configuration: Configuration) -> Iterator[Manifest]:
    """Yield a ConfigMap for each board; `boards` are texts of JSON by the name of their file.

    Raises InputError when a board is larger than a ConfigMap may be, or two would have one name.
    """
    taken: dict[str, str] = {}
    for file_name, text in sorted(boards.items()):
        # Without blanks it stays below what `kubectl apply` keeps of an object in an annotation (256 KiB).
        dense = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
        yield config_map(
            own_name(f"dashboard-{PurePath(file_name).stem}", file_name, taken),
            configuration,
            {file_name: dense},
            source=file_name,
            mend="divide it into two boards",
            labels=_LABEL,
            annotations=_FOLDER,
        )
