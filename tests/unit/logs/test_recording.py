"""Recording rules on logs: what is refused, and that catalogue and pipelines know what they record."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.logs.recording import load_recording_rules, recording_rules_folder
from stakewatch.logs.recording_checks import COMPONENT, recorded

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Return a bundle with our rules on logs, pipelines and catalogue, to be broken."""
    for name in ("loki", "catalogue"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    return Bundle(tmp_path)


def change(path: Path, how: Callable[[Any], object]) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    how(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def messages(bundle: Bundle) -> list[str]:
    return [finding.message for finding in recorded(bundle, Configuration())]


def test_our_rules_are_known_to_the_catalogue(bundle: Bundle) -> None:
    assert messages(bundle) == []
    rules = load_recording_rules(recording_rules_folder(bundle))
    assert {rule.group for rule in rules} == {"client_logs", "security_logs"}
    assert all(rule.line > 1 for rule in rules)


def test_a_bundle_without_rules_on_logs_is_none_of_our_business(tmp_path: Path) -> None:
    assert messages(Bundle(tmp_path)) == []


def catalogue_of(bundle: Bundle) -> Path:
    return bundle.catalogue / "components" / f"{COMPONENT}.json"


def test_a_series_that_the_catalogue_does_not_know_is_found(bundle: Bundle) -> None:
    change(catalogue_of(bundle), lambda content: content["metrics"].pop())
    assert len(messages(bundle)) == 1
    assert "does not know" in messages(bundle)[0]


def test_a_series_that_nothing_records_is_found(bundle: Bundle) -> None:
    (recording_rules_folder(bundle) / "security.yaml").unlink()
    assert all("no rule on logs records" in message for message in messages(bundle))
    assert len(messages(bundle)) == 2


def test_other_labels_are_found(bundle: Bundle) -> None:
    change(catalogue_of(bundle), lambda content: content["metrics"][0]["labels"].remove("error_class"))
    assert "other labels" in messages(bundle)[0]


def test_an_error_class_that_the_pipelines_do_not_have_is_found(bundle: Bundle) -> None:
    change(
        catalogue_of(bundle),
        lambda content: content["metrics"][0]["label_values"]["error_class"].append("tired"),
    )
    assert "other error classes" in messages(bundle)[0]


def test_a_catalogue_without_the_component_knows_no_series(bundle: Bundle) -> None:
    catalogue_of(bundle).unlink()
    assert len(messages(bundle)) == len(load_recording_rules(recording_rules_folder(bundle)))


RULE = {"record": "instance:lines:count5m", "expr": 'sum by (a, b) (count_over_time({a="b"}[5m]))'}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no groups"),
        ({"groups": {}}, "no groups"),
        ({"groups": [7]}, "no rules"),
        ({"groups": [{"name": "a", "interval": "15s"}]}, "no rules"),
        ({"groups": [{"name": "a", "interval": "15s", "rules": [7]}]}, "not a record"),
        (
            {"groups": [{"name": "a", "interval": "15s", "rules": [{"alert": "A", "expr": "1"}]}]},
            "not a record",
        ),
        ({"groups": [{"name": "a", "interval": "15s", "rules": [{**RULE, "labels": {}}]}]}, "not a record"),
        ({"groups": [{"name": "a", "interval": "15s", "rules": [{**RULE, "record": "lines"}]}]}, "no name"),
        (
            {"groups": [{"name": "a", "interval": "15s", "rules": [{**RULE, "expr": "sum(x)"}]}]},
            "which labels",
        ),
        ({"groups": [{"name": "a", "interval": "15s", "rules": [RULE, RULE]}]}, "recorded twice"),
        ({"groups": [{"name": "a", "rules": [RULE]}]}, "often enough"),
        ({"groups": [{"name": "a", "interval": "30s", "rules": [RULE]}]}, "often enough"),
        ({"groups": [{"name": "a", "interval": "0s", "rules": [RULE]}]}, "often enough"),
        ({"groups": [{"name": "a", "interval": "1m", "rules": [RULE]}]}, "often enough"),
    ],
)
def test_a_rule_that_would_not_do_what_was_meant_is_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    (tmp_path / "rules.yaml").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_recording_rules(tmp_path)


def test_one_name_in_two_files_is_refused(tmp_path: Path) -> None:
    content = {"groups": [{"name": "a", "interval": "15s", "rules": [RULE]}]}
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="recorded twice"):
        load_recording_rules(tmp_path)


def test_a_file_that_is_no_yaml_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("groups: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"rules\.yaml:"):
        load_recording_rules(tmp_path)
