"""Build targets of the rules: the rule files as configured, and a Prometheus that loads them."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.targets import target
from stakewatch.rules.amp_alertmanager import amp_definition, receivers_path
from stakewatch.rules.files import load_rule_files, print_rule_file
from stakewatch.rules.overriding import apply_configuration
from stakewatch.rules.scraping import exporter_address, exporter_job, exporter_target
from stakewatch.rules.target_files import KINDS, target_files

_PROMETHEUS_ADDRESS = "127.0.0.1:9090"
_ALERTMANAGER_ADDRESS = "127.0.0.1:9093"
_HEADING = """\
# Built from stakewatch.yaml and the bundle: change those. What is scraped beside the exporter stands in the
# bundle, as for file_sd_configs: targets/staking/*.yaml, each target with the labels cluster, region,
# network, role, implementation, instance (and __metrics_path__ where it is not /metrics), and
# targets/platform/*.yaml with cluster and region.
"""
_AMP_HEADING = """\
# Built from alertmanager/alertmanager.yaml, alertmanager/amp/receivers.yaml and alertmanager/templates:
# change those. `aws amp put-alert-manager-definition --data fileb://definition.yaml` takes it.
"""
_PROMETHEUS: Mapping[str, object] = {
    "global": {
        "scrape_interval": "15s",
        "scrape_timeout": "10s",
        "evaluation_interval": "30s",
    },
    "rule_files": ["rules/*.yaml"],
    "alerting": {"alertmanagers": [{"static_configs": [{"targets": [_ALERTMANAGER_ADDRESS]}]}]},
    "scrape_configs": [
        {
            "job_name": "staking",
            "file_sd_configs": [{"files": ["targets/staking/*.yaml"]}],
        },
        {
            "job_name": "platform",
            "file_sd_configs": [{"files": ["targets/platform/*.yaml"]}],
        },
        # What the rules of the group local_prometheus are about.
        {
            "job_name": "monitoring",
            "file_sd_configs": [{"files": ["targets/monitoring.yaml"]}],
        },
        exporter_job(file_sd_configs=[{"files": ["targets/exporter.yaml"]}]),
    ],
}


@target("rules", "rule files with the overrides and links of stakewatch.yaml")
def build_rules(bundle: Bundle, configuration: Configuration, folder: Path) -> None:
    """Write every rule file into `folder`, under its own name.

    Raises InputError when a rule file is broken or an override does not fit.
    """
    for rule_file in apply_configuration(load_rule_files(bundle.rules), configuration):
        inside = rule_file.path.relative_to(bundle.rules)
        path = folder / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        heading = f"Built from rules/{inside.as_posix()} and stakewatch.yaml: change those."
        path.write_text(print_rule_file(rule_file.groups, heading=heading), encoding="utf-8")


@target("prometheus", "a plain Prometheus: rules, scraping by the label contract, Alertmanager")
def build_prometheus(bundle: Bundle, configuration: Configuration, folder: Path) -> None:
    """Write prometheus.yaml, the rules, the targets, and the Alertmanager configuration.

    What is scraped beside the exporter stands in files of the bundle's owner, `targets/staking/*.yaml` and
    `targets/platform/*.yaml` in the bundle, which are copied.
    Raises InputError when a rule file or a target file is broken, or an override does not fit.
    """
    (folder / "rules").mkdir()
    build_rules(bundle, configuration, folder / "rules")
    (folder / "prometheus.yaml").write_text(
        _HEADING + yaml.safe_dump(_PROMETHEUS, sort_keys=False), encoding="utf-8"
    )
    targets = folder / "targets"
    targets.mkdir()
    (targets / "exporter.yaml").write_text(
        yaml.safe_dump(_exporter_target(configuration), sort_keys=False), encoding="utf-8"
    )
    (targets / "monitoring.yaml").write_text(
        yaml.safe_dump(_monitoring_targets(configuration), sort_keys=False), encoding="utf-8"
    )
    for kind in KINDS:
        (targets / kind).mkdir()
        for path in target_files(bundle.root, kind):
            shutil.copyfile(path, targets / kind / path.name)
    for path in sorted(bundle.alertmanager.glob("*.yaml")):
        shutil.copyfile(path, folder / path.name)
    for path in sorted(bundle.alertmanager.glob("templates/*.tmpl")):
        (folder / "templates").mkdir(exist_ok=True)
        shutil.copyfile(path, folder / "templates" / path.name)


@target("amp-alertmanager", "the Alertmanager definition for Amazon Managed Service for Prometheus")
def build_amp_alertmanager(bundle: Bundle, _configuration: Configuration, folder: Path) -> None:
    """Write definition.yaml: the bundle's routes and inhibition with alertmanager/amp/receivers.yaml.

    A bundle without that file gets an empty folder. Raises InputError for what the service would refuse.
    """
    if receivers_path(bundle.alertmanager).is_file():
        text = amp_definition(bundle.alertmanager)
        (folder / "definition.yaml").write_text(_AMP_HEADING + text, encoding="utf-8")


def _exporter_target(configuration: Configuration) -> list[dict[str, object]]:
    address = exporter_address(configuration.exporter)
    return [exporter_target(address, network=configuration.network, place=_place(configuration))]


def _monitoring_targets(configuration: Configuration) -> list[dict[str, object]]:
    """Return Prometheus itself and its Alertmanager, at the addresses that they listen on by default."""
    return [{"targets": [_PROMETHEUS_ADDRESS, _ALERTMANAGER_ADDRESS], "labels": _place(configuration)}]


def _place(configuration: Configuration) -> dict[str, str]:
    nodes = configuration.nodes
    return {"cluster": nodes[0].cluster, "region": nodes[0].region} if nodes else {}
