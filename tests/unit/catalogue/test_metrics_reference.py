"""`docs/exporter-metrics.md` is what the exporter's contract gives, and says something about every metric."""

import shutil
from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue.checks import metrics_page
from stakewatch.catalogue.contract import load_contract
from stakewatch.catalogue.metrics_reference import metrics_reference

ROOT = Path(__file__).parents[3]
CONTRACT = load_contract(ROOT / "catalogue" / "exporter-metrics.yaml")


def test_the_committed_page_is_what_the_contract_gives() -> None:
    page = (ROOT / "docs" / "exporter-metrics.md").read_text(encoding="utf-8")
    assert page == metrics_reference(CONTRACT), (
        "run: stakewatch metrics --reference > docs/exporter-metrics.md"
    )


@pytest.mark.parametrize("name", CONTRACT.families)
def test_every_metric_has_one_row_with_a_meaning(name: str) -> None:
    rows = [line for line in metrics_reference(CONTRACT).splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    assert CONTRACT.families[name].meaning


def test_the_tier_of_a_twin_is_its_own() -> None:
    families = CONTRACT.families
    assert families["stakewatch_attestation_reward_gwei_total"].lowest_tier == "json_watched"
    assert families["stakewatch_network_attestation_reward_gwei_total"].lowest_tier == "json_network"
    assert families["stakewatch_network_attestation_duties_total"].lowest_tier == "blocks"
    assert families["stakewatch_node_up"].lowest_tier is None


def test_a_page_of_another_contract_is_found_and_none_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    shutil.copytree(ROOT / "catalogue", tmp_path / "catalogue")
    bundle = Bundle(tmp_path)
    assert not list(metrics_page(bundle, Configuration()))
    page = tmp_path / "docs" / "exporter-metrics.md"
    page.parent.mkdir()
    page.write_text(metrics_reference(CONTRACT), encoding="utf-8")
    assert not list(metrics_page(bundle, Configuration()))
    page.write_text("old\n")
    (finding,) = metrics_page(bundle, Configuration())
    assert finding.path == page
    assert "stakewatch metrics --reference" in (finding.mend or "")
