"""kubeconform on the DaemonSets of the shippers."""

import json
import subprocess
from pathlib import Path

import pytest

from stakewatch.programs.find import locate
from tests.integration.kubernetes.schemas import write_schemas

FOLDER = Path(__file__).parents[3] / "loki" / "kubernetes"


def flaws(path: Path, schemas: Path) -> dict[str, str]:
    """Return what kubeconform has against the objects of a file, by kind."""
    location = write_schemas(schemas)
    run = subprocess.run(
        [locate("kubeconform").path, "-strict", "-output", "json", "-schema-location", location, path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return {one["kind"]: one["msg"] for one in json.loads(run.stdout)["resources"] or []}


@pytest.mark.parametrize("shipper", ["alloy", "promtail"])
def test_every_object_fits_the_schema_of_its_kind(shipper: str, tmp_path: Path) -> None:
    assert flaws(FOLDER / f"{shipper}.yaml", tmp_path) == {}


@pytest.mark.parametrize(
    ("written", "misspelt", "kind"),
    [
        ("tolerations", "toleration", "DaemonSet"),
        ("roleRef", "role", "ClusterRoleBinding"),
        ("verbs", "verb", "ClusterRole"),
    ],
)
def test_an_object_with_a_field_that_its_kind_does_not_have_is_refused(
    written: str, misspelt: str, kind: str, tmp_path: Path
) -> None:
    text = (FOLDER / "alloy.yaml").read_text(encoding="utf-8")
    assert written in text
    path = tmp_path / "alloy.yaml"
    path.write_text(text.replace(written, misspelt), encoding="utf-8")
    assert "problem validating schema" in flaws(path, tmp_path)[kind]
