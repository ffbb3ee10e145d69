"""kubeconform, promtool and amtool on what is built for a cluster."""

import dataclasses
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.kubernetes import KubernetesSettings
from stakewatch.kubernetes.values import FILE
from stakewatch.programs.find import locate
from tests.integration.kubernetes.building import REPOSITORY, built, fleet, objects
from tests.integration.kubernetes.operator import snake_case
from tests.integration.kubernetes.schemas import write_schemas

Flaws = dict[str, str]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet")
    return built(folder, fleet(folder))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what is built where the cluster evaluates all rules itself."""
    folder = tmp_path_factory.mktemp("alone")
    return built(folder, dataclasses.replace(fleet(folder), kubernetes=KubernetesSettings()))


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Flaws]:
    """Return a function that gives what kubeconform has against files, by kind and name."""
    location = write_schemas(tmp_path_factory.mktemp("schemas"))

    def flaws(*paths: Path) -> Flaws:
        run = subprocess.run(
            [locate("kubeconform").path, "-strict", "-output", "json", "-schema-location", location, *paths],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found = json.loads(run.stdout)["resources"] or []
        assert run.returncode == (1 if found else 0), run.stderr
        return {f"{one['kind']}/{one['name']}": one["msg"] for one in found}

    return flaws


def manifests(folder: Path) -> list[Path]:
    return [
        folder / name for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    ]


def test_every_manifest_fits_the_schema_of_its_kind(
    product: Path, everything: Path, validate: Callable[..., Flaws]
) -> None:
    for folder in (product, everything):
        names = {path.name for path in manifests(folder)}
        assert names == {
            "rules.yaml",
            "dashboards.yaml",
            "monitors.yaml",
            "exporter.yaml",
            "storage-class.yaml",
        }
        assert validate(*manifests(folder)) == {}


@pytest.mark.parametrize(
    "change",
    [
        (
            "exporter.yaml",
            "readOnlyRootFilesystem",
            "readOnlyRootFileSystem",
            "Deployment/stakewatch-exporter",
        ),
        (
            "exporter.yaml",
            "  selector:\n    matchLabels:",
            "  selectors:\n    matchLabels:",
            "Deployment/stakewatch-exporter",
        ),
        ("exporter.yaml", "cpu: '1'", "cpu: 1", "Deployment/stakewatch-exporter"),
        ("exporter.yaml", "policyTypes", "policyType", "NetworkPolicy/stakewatch-exporter"),
        ("monitors.yaml", "sourceLabels", "source_labels", "PodMonitor/stakewatch-labelled-pods"),
        ("monitors.yaml", "interval: 15s", "interval: 15", "PodMonitor/stakewatch-labelled-pods"),
        ("rules.yaml", "  - name:", "  - nome:", "PrometheusRule/stakewatch-monitoring"),
        ("storage-class.yaml", "reclaimPolicy", "reclaimpolicy", "StorageClass/stakewatch-gp3"),
    ],
)
def test_a_manifest_with_a_field_that_its_kind_does_not_have_is_refused(
    product: Path, tmp_path: Path, validate: Callable[..., Flaws], change: tuple[str, str, str, str]
) -> None:
    file, written, misspelt, refused = change
    text = (product / file).read_text(encoding="utf-8")
    assert written in text
    (tmp_path / file).write_text(text.replace(written, misspelt), encoding="utf-8")
    assert "problem validating schema" in validate(tmp_path / file)[refused]


def test_the_pod_of_ones_own_that_the_page_shows_is_one(
    tmp_path: Path, validate: Callable[..., Flaws]
) -> None:
    page = (REPOSITORY / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(apiVersion: .*?)^```$", page, re.MULTILINE | re.DOTALL)
    path = tmp_path / "statefulset.yaml"
    path.write_text(block, encoding="utf-8")
    assert validate(path) == {}
    path.write_text(block.replace("containerPort", "port"), encoding="utf-8")
    assert "StatefulSet/teku" in validate(path)


def values(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
    return content


def test_prometheus_takes_the_remote_write_of_the_values(product: Path, tmp_path: Path) -> None:
    specification = values(product)["prometheus"]["prometheusSpec"]
    configuration = {
        "global": {"external_labels": specification["externalLabels"]},
        "remote_write": snake_case(specification["remoteWrite"]),
    }
    assert configuration["remote_write"][0]["sigv4"] == {
        "region": "eu-west-1",
        "role_arn": "arn:aws:iam::210987654321:role/workspace",
    }
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    run = subprocess.run(
        [locate("promtool").path, "check", "config", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_alertmanager_takes_the_routes_and_templates_of_the_values(product: Path, tmp_path: Path) -> None:
    alertmanager = values(product)["alertmanager"]
    assert alertmanager["config"]["templates"] == ["/etc/alertmanager/config/*.tmpl"]
    assert set(alertmanager["templateFiles"]) == {"stakewatch.tmpl"}
    for name, text in alertmanager["templateFiles"].items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = tmp_path / "alertmanager.yaml"
    path.write_text(
        yaml.safe_dump({**alertmanager["config"], "templates": [f"{tmp_path}/*.tmpl"]}), encoding="utf-8"
    )
    run = subprocess.run(
        [locate("amtool").path, "check-config", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "1 templates" in run.stdout


def test_promtool_takes_the_rules_of_the_objects(everything: Path, tmp_path: Path) -> None:
    files = list(rule_files(everything, tmp_path))
    assert len(files) == len(list(Bundle(REPOSITORY).rules.glob("*.yaml")))
    run = subprocess.run(
        [locate("promtool").path, "check", "rules", *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def rule_files(folder: Path, into: Path) -> Iterator[Path]:
    for one in objects(folder / "rules.yaml"):
        path = into / f"{one['metadata']['name']}.yaml"
        path.write_text(yaml.safe_dump(one["spec"]), encoding="utf-8")
        yield path
