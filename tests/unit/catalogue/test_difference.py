"""Two versions of a component: what differs, and what of a bundle would break."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue.components import Component, load_component
from stakewatch.catalogue.difference import broken_by, changes
from stakewatch.cli.catalogue import command

RULES = """\
groups:
  - name: a
    rules:
      # why
      - alert: PeersFew
        expr: peers{kind="in"} < 3
      # why
      - alert: Failing
        expr: rate(jobs_total[5m]) > 0
"""
METRICS: Mapping[str, dict[str, Any]] = {
    "peers": {"type": "gauge", "labels": ["kind"]},
    "jobs_total": {"type": "counter", "labels": []},
}


def component(path: Path, metrics: Mapping[str, Mapping[str, Any]] = METRICS) -> Path:
    content = {
        "component": "Thing",
        "repository": "r",
        "commit": "c",
        "version": "1",
        "completeness": "all",
        "metrics": [{"name": name, "source": "a:1", **one} for name, one in metrics.items()],
        "patterns": [],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def loaded(tmp_path: Path, name: str, metrics: Mapping[str, Mapping[str, Any]]) -> Component:
    return load_component(component(tmp_path / name, metrics))


def told(tmp_path: Path, after: Mapping[str, Mapping[str, Any]]) -> list[str]:
    old, new = loaded(tmp_path, "old.json", METRICS), loaded(tmp_path, "new.json", after)
    return [f"{one.metric} {one.what}" for one in changes(old, new)]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    root = tmp_path / "bundle"
    (root / "rules").mkdir(parents=True)
    (root / "rules" / "a.yaml").write_text(RULES, encoding="utf-8")
    component(root / "catalogue" / "components" / "thing.json")
    (root / "dashboards").mkdir()
    return Bundle(root)


def test_two_that_are_the_same_do_not_differ(tmp_path: Path) -> None:
    assert told(tmp_path, METRICS) == []


@pytest.mark.parametrize(
    ("metric", "fields", "what"),
    [
        ("peers", {"type": "counter"}, "peers is a counter, and was a gauge"),
        ("peers", {"labels": []}, "peers has no label kind any more"),
        ("peers", {"labels": ["kind", "way"]}, "peers has the label way now"),
        ("jobs_total", {"linked_in_constant_zero": True}, "jobs_total is always 0 now"),
        ("jobs_total", {"resets_on_scrape": True}, "jobs_total starts at 0 with every scrape now"),
        ("jobs_total", {"default_enabled": False}, "jobs_total needs a flag now"),
    ],
)
def test_what_differs_is_said(tmp_path: Path, metric: str, fields: dict[str, Any], what: str) -> None:
    assert told(tmp_path, {**METRICS, metric: {**METRICS[metric], **fields}}) == [what]


def test_metrics_that_are_gone_and_new_are_said(tmp_path: Path) -> None:
    after = {"peers": METRICS["peers"], "works_total": METRICS["jobs_total"]}
    assert told(tmp_path, after) == ["jobs_total is gone", "works_total is new (counter)"]


def test_rules_that_read_what_is_gone_are_named_with_their_lines(bundle: Bundle, tmp_path: Path) -> None:
    old = bundle.catalogue / "components" / "thing.json"
    new = component(tmp_path / "new.json", {"peers": {"type": "gauge", "labels": []}})
    found = broken_by(bundle, Configuration(), old, new, "thing")
    assert [(one.finding.path, one.finding.line) for one in found if one.check == "rules/catalogue"] == [
        (bundle.rules / "a.yaml", 6),
        (bundle.rules / "a.yaml", 9),
    ]


def test_a_counter_that_became_a_gauge_breaks_its_rate(bundle: Bundle, tmp_path: Path) -> None:
    old = bundle.catalogue / "components" / "thing.json"
    metrics = {"peers": {"type": "counter", "labels": ["kind"]}, "jobs_total": METRICS["jobs_total"]}
    new = component(tmp_path / "new.json", metrics)
    (one,) = broken_by(bundle, Configuration(), old, new, "thing")
    assert one.check == "rules/pitfalls"
    assert "counter-compared" in one.finding.message


def test_nothing_breaks_by_what_is_only_more_and_the_bundle_is_left_alone(
    bundle: Bundle, tmp_path: Path
) -> None:
    old = bundle.catalogue / "components" / "thing.json"
    before = old.read_bytes()
    new = component(tmp_path / "new.json", {**METRICS, "more": {"type": "gauge", "labels": []}})
    assert broken_by(bundle, Configuration(), old, new, "thing") == ()
    assert old.read_bytes() == before


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, list(words))
    return result.exit_code, result.output


def test_the_command_names_what_breaks_and_exits_with_1(bundle: Bundle, tmp_path: Path) -> None:
    page = tmp_path / "page.prom"
    page.write_text('# TYPE peers gauge\npeers{kind="in"} 1\n', encoding="utf-8")
    code, output = run("diff", "thing", str(page), "--bundle", str(bundle.root))
    assert code == 1
    assert "jobs_total is gone" in output
    assert "a.yaml:9: rules/catalogue: Failing" in output
    assert "a page shows only what was used already" in output
    code, output = run("diff", "thing", "thing", "--bundle", str(bundle.root))
    assert (code, output.strip()) == (0, "0 differences, 0 places would break")


def test_the_command_prints_json_for_programs(bundle: Bundle, tmp_path: Path) -> None:
    new = component(tmp_path / "new.json", {"peers": METRICS["peers"]})
    code, output = run("diff", "thing", str(new), "--json", "--bundle", str(bundle.root))
    content = json.loads(output)
    assert code == 1
    assert content["changes"] == [{"metric": "jobs_total", "what": "is gone"}]
    assert content["broken"][0]["line"] == 9


def test_an_unknown_component_is_an_error(bundle: Bundle) -> None:
    result = CliRunner().invoke(command, ["diff", "thin", "thing", "--bundle", str(bundle.root)])
    assert "there is no component" in str(result.exception)


def test_the_command_learns_and_with_dry_run_only_tells(bundle: Bundle, tmp_path: Path) -> None:
    page = tmp_path / "page.prom"
    page.write_text("# TYPE fresh gauge\nfresh 1\npeers 2\n", encoding="utf-8")
    path = bundle.catalogue / "components" / "thing.json"
    before = path.read_text(encoding="utf-8")
    words = ["add", str(page), "--component", "thing", "--version", "2", "--bundle", str(bundle.root)]
    code, output = run(*words, "--dry-run")
    assert code == 0
    assert "new: fresh" in output
    assert "nothing written" in output
    assert path.read_text(encoding="utf-8") == before
    assert run(*words)[0] == 0
    assert load_component(path).find("fresh")
    assert run(*words, "--role", "beacon")[0] == 2


def test_the_command_takes_a_strange_page_only_by_force(bundle: Bundle, tmp_path: Path) -> None:
    page = tmp_path / "page.prom"
    page.write_text("fresh 1\n", encoding="utf-8")
    words = ["add", str(page), "--component", "thing", "--version", "2", "--bundle", str(bundle.root)]
    refused = CliRunner().invoke(command, words)
    assert "only 0 of the page's 1 metrics are known of thing" in str(refused.exception)
    assert run(*words, "--force")[0] == 0
