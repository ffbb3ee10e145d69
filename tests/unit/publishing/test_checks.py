"""What no workspace takes is found by `stakewatch check`, before anybody is asked."""

from pathlib import Path
from types import MappingProxyType

import pytest

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.destinations import Destination
from stakewatch.bundle.folder import Bundle
from stakewatch.publishing.checks import check_amp
from tests.unit.publishing.amp_scene import rules

ROOT = Path(__file__).parents[3]
WORKSPACE = MappingProxyType({"region": "eu-west-1", "workspace": "ws-1"})
PUBLISHED = Configuration(publish=(Destination("there", "amp", WORKSPACE),))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "fine.yaml").write_text(rules("fine"))
    return Bundle(tmp_path)


def found(bundle: Bundle, configuration: Configuration = PUBLISHED) -> list[Finding]:
    return list(check_amp(bundle, configuration))


def test_the_rules_of_the_bundle_are_taken() -> None:
    assert found(Bundle(ROOT)) == []


def test_names_that_are_too_long_are_found_at_their_file(bundle: Bundle) -> None:
    path = bundle.rules / f"{'n' * 120}.yaml"
    path.write_text(rules("long"))
    (one,) = found(bundle)
    assert one.path == path
    assert "131 characters" in one.message
    (bundle.rules / "fine.yaml").write_text(rules("g" * 710))
    assert len(found(bundle)) == 2


def test_two_files_of_one_name_are_found(bundle: Bundle) -> None:
    (bundle.rules / "a").mkdir()
    (bundle.rules / "a" / "b.yaml").write_text(rules("one"))
    (bundle.rules / "a-b.yaml").write_text(rules("two"))
    (one,) = found(bundle)
    assert "rule namespace stakewatch-a-b, as rules/a" in one.message


def test_what_is_not_published_there_is_not_looked_at(bundle: Bundle) -> None:
    (bundle.rules / "fine.yaml").write_text(rules("g" * 710))
    assert len(found(bundle)) == 1
    assert found(bundle, Configuration()) == []
    skipping = MappingProxyType({**WORKSPACE, "skip_groups": ["g" * 710]})
    assert found(bundle, Configuration(publish=(Destination("there", "amp", skipping),))) == []
    grafana = Destination("there", "grafana", MappingProxyType({"url": "https://g"}))
    assert found(bundle, Configuration(publish=(grafana,))) == []
