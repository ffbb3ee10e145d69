"""The check `catalogue/schema`."""

import json
from pathlib import Path
from typing import Any

import pytest

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue.checks import catalogue_schema

ROOT = Path(__file__).parents[3]


def findings(root: Path) -> list[Finding]:
    return list(catalogue_schema(Bundle(root), Configuration()))


def component(root: Path, metrics: list[dict[str, Any]]) -> Path:
    path = root / "catalogue" / "components" / "thing.json"
    path.parent.mkdir(parents=True)
    words = dict.fromkeys(("component", "repository", "commit", "version", "completeness"), "x")
    path.write_text(json.dumps({**words, "patterns": [], "metrics": metrics}, indent=1))
    return path


def metric(name: str, **more: object) -> dict[str, Any]:
    return {"name": name, "type": "gauge", "labels": [], "source": "a:1", **more}


def test_the_catalogue_of_this_bundle_has_no_findings() -> None:
    assert findings(ROOT) == []


def test_no_catalogue_is_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (metric("b", typo=1), "'typo' was unexpected"),
        (metric("b", series=["a b"]), "'a b' does not match"),
        (metric("b", monotonic="yes"), "'yes' is not of type 'boolean'"),
        (metric("b", labels=["a", "a"]), "non-unique"),
        (metric("b", dynamic_labels="("), "is not a 'regex'"),
        (metric("b", type="guage"), "'guage' is not one of"),
    ],
)
def test_a_metric_that_breaks_the_schema_is_found_at_its_line(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    path = component(tmp_path, [metric("a"), wrong])
    (found,) = findings(tmp_path)
    assert message in found.message
    assert path.read_text().splitlines()[found.line - 1].strip() == '"name": "b",'


def test_a_metric_that_stands_twice_is_found(tmp_path: Path) -> None:
    component(tmp_path, [metric("a"), metric("a")])
    (found,) = findings(tmp_path)
    assert found.message == "the metric a stands a second time"


@pytest.mark.parametrize(("text", "line"), [("", 1), ('{\n"a": }', 2), ("\udcff", 1), ("[" * 100_000, 1)])
def test_a_file_that_is_no_json_is_found(tmp_path: Path, text: str, line: int) -> None:
    path = component(tmp_path, [])
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    (found,) = findings(tmp_path)
    assert found.message.startswith("not valid JSON")
    assert found.line == line


@pytest.mark.parametrize("content", [[], 5, {"metrics": {"0": 1}}, {"metrics": ["x"]}])
def test_json_of_another_shape_is_found_and_does_not_end_the_check(tmp_path: Path, content: object) -> None:
    component(tmp_path, []).write_text(json.dumps(content))
    assert findings(tmp_path)


def test_a_broken_contract_is_found_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "catalogue" / "exporter-metrics.yaml"
    path.parent.mkdir()
    path.write_text("nodes: []\nnodes: []\n")
    (found,) = findings(tmp_path)
    assert found.path == path
    assert "stands a second time" in found.message
