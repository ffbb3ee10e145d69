"""What a page teaches the catalogue: more, never less, and what people wrote stays."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stakewatch.catalogue.checks import component_schema
from stakewatch.catalogue.components import load_component
from stakewatch.catalogue.exposition import parse_page
from stakewatch.catalogue.learning import Learned, component_of_page, learn, save
from stakewatch.errors import InputError

ROOT = Path(__file__).parents[3]
PAGE = """\
# TYPE peers gauge
peers{direction="in"} 1
# TYPE jobs_total counter
jobs_total 3
# TYPE shard_7_size gauge
shard_7_size 3
"""
KNOWN: dict[str, Any] = {
    "component": "Thing",
    "repository": "r",
    "commit": "c",
    "version": "1",
    "completeness": "all",
    "metrics": [
        {"name": "peers", "type": "gauge", "labels": ["kind"], "source": "a:1", "note": "mine"},
        {"name": "rare_total", "type": "counter", "labels": [], "source": "a:2"},
    ],
    "patterns": [{"pattern": "^shard_[0-9]+_size$", "type": "gauge", "labels": [], "source": "a:3"}],
}


def learned(folder: Path, page: str = PAGE, name: str = "thing", **more: Any) -> Learned:  # noqa: ANN401 - for learn
    return learn(folder, name, parse_page(page, "page"), version="2", source="a scrape", **more)


def known(folder: Path, content: dict[str, Any] = KNOWN) -> Path:
    path = folder / "components" / "thing.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_new_component_is_one_that_the_schema_accepts(tmp_path: Path) -> None:
    found = learned(tmp_path, implementation="thing", role="beacon")
    assert found.added == ("jobs_total", "peers", "shard_7_size")
    save(found)
    content = json.loads(found.path.read_text(encoding="utf-8"))
    Draft202012Validator(component_schema()).validate(content)
    component = load_component(found.path)
    assert (component.version, component.role) == ("2", "beacon")
    (peers,) = component.find("peers")
    assert peers.labels == ("direction",)


def test_a_known_component_keeps_what_people_wrote_and_what_the_page_does_not_show(tmp_path: Path) -> None:
    path = known(tmp_path)
    found = learned(tmp_path)
    assert found.added == ("jobs_total",)
    assert found.changed == ("peers has the label direction too",)
    assert found.unseen == ("rare_total",)
    assert json.loads(path.read_text(encoding="utf-8")) == KNOWN
    save(found)
    content = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator(component_schema()).validate(content)
    assert content["version"] == "2"
    assert content["metrics"][0] == {**KNOWN["metrics"][0], "labels": ["kind", "direction"]}
    assert not list(path.parent.glob("*.partial"))


def test_the_same_page_teaches_nothing_twice(tmp_path: Path) -> None:
    save(learned(tmp_path))
    again = learned(tmp_path)
    assert (again.added, again.changed) == ((), ())


def test_another_type_is_said_and_an_untyped_page_says_nothing(tmp_path: Path) -> None:
    known(tmp_path)
    assert (
        "peers is a counter, and was known as a gauge"
        in learned(tmp_path, "# TYPE peers counter\npeers 1\n").changed
    )
    assert learned(tmp_path, "peers 1\n").changed == ()


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", ".hidden", "a b"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is no name"):
        learned(tmp_path, name=name)


def test_a_component_that_is_broken_is_not_written_over(tmp_path: Path) -> None:
    known(tmp_path, {"component": "x"})
    with pytest.raises(InputError):
        learned(tmp_path)


def page_of(*names: str) -> str:
    return "".join(f"{name} 1\n" for name in names)


@pytest.mark.parametrize(
    "names",
    [
        ("peers", "a", "b"),
        # A pattern knows the first.
        ("shard_9_size", "a", "b"),
        ("a",),
    ],
)
def test_a_page_that_shares_less_than_half_of_the_names_is_refused_and_nothing_is_written(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    path = known(tmp_path, {**KNOWN, "metrics": [*KNOWN["metrics"], {**KNOWN["metrics"][1], "name": "more"}]})
    before = path.read_bytes()
    with pytest.raises(InputError) as refused:
        learned(tmp_path, page_of(*names))
    assert f"of the page's {len(names)} metrics are known of thing" in refused.value.what
    assert "--force" in str(refused.value.mend)
    assert "is it --component" not in str(refused.value.mend)
    assert path.read_bytes() == before
    assert learned(tmp_path, page_of(*names), force=True).added


def test_a_page_that_knows_all_that_a_small_component_has_may_have_much_more(tmp_path: Path) -> None:
    known(tmp_path)
    assert learned(tmp_path, page_of("peers", *(f"new_{place}" for place in range(50)))).added


@pytest.mark.parametrize(
    ("sample", "component", "owner"),
    [
        ("geth-1.17", "lighthouse_beacon", "geth"),
        ("lodestar-validator-1.22", "lodestar_beacon", "lodestar_validator"),
        ("lodestar-beacon-1.5.1", "lodestar_validator", "lodestar_beacon"),
        ("node_exporter-1.5", "prometheus", "node_exporter"),
    ],
)
def test_another_programs_page_is_refused_and_its_component_is_named(
    sample: str, component: str, owner: str
) -> None:
    page = (ROOT / "tests" / "samples" / f"{sample}.prom").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=f"is it --component {owner}, which has"):
        learned(ROOT / "catalogue", page, component)
    assert learned(ROOT / "catalogue", page, owner).path.stem == owner


def test_a_page_alone_is_a_component_too(tmp_path: Path) -> None:
    component = component_of_page("thing", parse_page(PAGE, "page"), tmp_path)
    assert component.find("jobs_total")
    assert not component.find("rare_total")
