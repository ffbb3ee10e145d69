"""The build target of this room: manifests to apply, and values for the chart that reads them."""

import shutil
from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.printing import as_yaml
from stakewatch.bundle.targets import target
from stakewatch.grafana.extra import require_extra
from stakewatch.kubernetes.dashboards import dashboard_maps
from stakewatch.kubernetes.exporter import exporter_manifests
from stakewatch.kubernetes.monitors import pod_monitors, volume_monitor
from stakewatch.kubernetes.prometheus_rules import prometheus_rules
from stakewatch.kubernetes.values import FILE, chart_values
from stakewatch.rules.files import load_rule_files
from stakewatch.rules.overriding import apply_configuration

_HEADING = "Built from stakewatch.yaml and the bundle: change those."
_STORAGE_CLASS = Path("kubernetes") / "storage-class.yaml"


@target("kubernetes", "manifests for a cluster, and values for kube-prometheus-stack")
def build_kubernetes(bundle: Bundle, configuration: Configuration, folder: Path) -> None:
    """Write a file of manifests per concern, a kustomization that names them, and the chart's values.

    Raises InputError when a rule file, a board or the values are wrong, or do not fit into their objects;
    StakewatchError without the extra for dashboards.
    """
    require_extra()
    # Only now, so that the other targets are built without the extra too.
    from stakewatch.grafana.generation import generate, load_boards  # noqa: PLC0415
    from stakewatch.grafana.setting import setting_of  # noqa: PLC0415

    rule_files = apply_configuration(load_rule_files(bundle.rules), configuration)
    boards = generate(load_boards(bundle), setting_of(bundle, configuration))
    files = {
        "rules.yaml": list(prometheus_rules(rule_files, configuration)),
        "dashboards.yaml": list(dashboard_maps(boards, configuration)),
        "monitors.yaml": [*pod_monitors(configuration), volume_monitor(configuration)],
        "exporter.yaml": list(exporter_manifests(configuration)),
    }
    resources = [name for name, manifests in files.items() if manifests]
    for name in resources:
        (folder / name).write_text(as_yaml(*files[name], heading=_HEADING), encoding="utf-8")
    storage_class = bundle.root / _STORAGE_CLASS
    if storage_class.is_file():
        shutil.copyfile(storage_class, folder / storage_class.name)
        resources.append(storage_class.name)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    }
    (folder / "kustomization.yaml").write_text(as_yaml(kustomization, heading=_HEADING), encoding="utf-8")
    values = chart_values(bundle, configuration)
    (folder / FILE).write_text(as_yaml(values, heading=_HEADING), encoding="utf-8")
