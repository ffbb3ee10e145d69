"""Queries are held against the catalogue: what nobody exposes, and what misleads, is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stakewatch.catalogue.inventory import load_catalogue
from stakewatch.grafana.filling import fill, used
from stakewatch.grafana.series import Known, lint_queries

ROOT = Path(__file__).parents[3]
GETH = 'role="execution",implementation="geth",cluster=~"$cluster"'


@pytest.fixture(scope="module")
def known() -> Known:
    """Return the real catalogue and two recorded series."""
    recorded = frozenset({"container:memory_used:ratio", "group:stakewatch_cause:info"})
    return Known(load_catalogue(ROOT / "catalogue"), recorded)


@pytest.fixture
def rules_of(content: dict[str, Any], known: Known) -> Callable[[str], list[str]]:
    """Give a function from a panel's query to the rules that have something against it."""

    def find(expression: str) -> list[str]:
        content["panels"][0]["targets"][0]["expr"] = expression
        return [flaw.rule for flaw in lint_queries(content, known)]

    return find


@pytest.mark.parametrize(
    "expression",
    [
        f"p2p_peers{{{GETH}}}",
        f"up{{{GETH}}}",
        f"stakewatch_node_up{{{GETH}}}",
        f"rate(p2p_ingress{{{GETH}}}[$__rate_interval])",
        f"changes(chain_head_block{{{GETH}}}[5m])",
        f'chain_execution{{{GETH},quantile="0.5"}}',
        f'{{{GETH},__name__=~"rpc_duration_engine_[a-zA-Z]+V[0-9]+_success",quantile="0.95"}}',
        f'{{{GETH},__name__=~"p2p_peers|p2p_peers_inbound"}}',
        'container:memory_used:ratio{cluster=~"$cluster"}',
        'ALERTS{alertstate="firing",cluster=~"$cluster",instance=~"$instance"}',
        'ALERTS{alertstate="firing",cluster=~"$cluster|",network=~"$network|"}',
        'ALERTS{alertstate="firing",network=~"$network",group=~"$group"}',
        'stakewatch_validators{network=~"$network",group=~"$group"}',
        'group:stakewatch_cause:info{network=~"$network"}',
        f"increase(p2p_ingress{{{GETH}}}[$__range])",
        # Always 0 in Prysm's validator client, which is not asked.
        'rate(beacon_reorgs_total{role="beacon",cluster=~"$cluster"}[$__rate_interval])',
        'nbc_peers{role="beacon",implementation=~"teku|nimbus",cluster=~"$cluster"}',
        'node_memory_MemAvailable_bytes{cluster=~"${cluster}"}',
        'rate(container_cpu_usage_seconds_total{cluster=~"$cluster"}[$__rate_interval])',
    ],
)
def test_what_is_exposed_and_read_rightly_is_let_through(
    rules_of: Callable[[str], list[str]], expression: str
) -> None:
    assert rules_of(expression) == []


@pytest.mark.parametrize(
    ("expression", "rule"),
    [
        ("p2p_peers{", "target-promql"),
        ("sum(", "target-promql"),
        # Its name until 2022: the query of the AWS sample's variables.
        (f"vflux_server_active_count{{{GETH}}}", "target-catalogue"),
        (f"trie_memcache_gc_size{{{GETH}}}", "target-catalogue"),
        # Nethermind's, so a board on Geth would stay empty.
        (f"ethereum_peer_count{{{GETH}}}", "target-catalogue"),
        ('p2p_peers{role="execution",implementation="gethh",cluster=~"$cluster"}', "target-catalogue"),
        (f'{{{GETH},__name__=~"rpc_duration_engine_.*"}}', "target-catalogue"),
        (f'{{{GETH},__name__=~"rpc_durations_[a-z]+"}}', "target-catalogue"),
        (f"{{{GETH}}}", "target-catalogue"),
        ('node_cpu_info{cluster=~"$cluster"}', "target-catalogue"),
        ('container:memory:ratio{cluster=~"$cluster"}', "target-catalogue"),
        # Emptied by each scrape.
        (f"rate(chain_execution_count{{{GETH}}}[$__rate_interval])", "target-counter"),
        (f"sum(increase(chain_inserts_count{{{GETH}}}[$__rate_interval]))", "target-counter"),
        # A counter's bare value.
        ('container_cpu_usage_seconds_total{cluster=~"$cluster"}', "target-counter"),
        (f"p2p_ingress{{{GETH}}}", "target-counter"),
        (f'p2p_peers{{{GETH},quantile="0.5"}}', "target-label"),
        (f"rate(p2p_ingress{{{GETH}}}[5m])", "target-rate-interval"),
        (f"irate(p2p_ingress{{{GETH}}}[1m])", "target-rate-interval"),
        ('p2p_peers{role="execution",implementation="geth"}', "target-cluster"),
        ('p2p_peers{role="execution",implementation="geth",cluster=~"demo-.*"}', "target-cluster"),
        ('p2p_peers{role="execution",implementation="geth",cluster!~"$cluster"}', "target-cluster"),
        ('stakewatch_node_up{network=~"$network"}', "target-cluster"),
        ('container:memory_used:ratio{network=~"$network"}', "target-cluster"),
        ('ALERTS{alertstate="firing"}', "target-network"),
        ('stakewatch_validators{group=~"$group"}', "target-network"),
        ("group:stakewatch_cause:info", "target-network"),
        (
            'rate(beacon_reorgs_total{role="validator",cluster=~"$cluster"}[$__rate_interval])',
            "target-catalogue",
        ),
        (
            'nbc_peers{role="beacon",implementation=~"teku|lighthouse",cluster=~"$cluster"}',
            "target-catalogue",
        ),
    ],
)
def test_what_cannot_be_right_is_found_once(
    rules_of: Callable[[str], list[str]], expression: str, rule: str
) -> None:
    assert rules_of(expression) == [rule]


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ('label_values(up{role="execution",implementation="geth"}, cluster)', None),
        ('label_values(geth_info{role="execution",implementation="geth"}, version)', None),
        ("label_values(cluster)", "template-label-promql"),
        ("query_result(up)", "template-label-promql"),
        ("label_values(up{, cluster)", "template-label-promql"),
        ("label_values(vflux_server_active_count{}, namespace)", "target-catalogue"),
        ("label_values(geth_info, colour)", "target-label"),
    ],
)
def test_the_queries_of_variables_are_looked_at(
    content: dict[str, Any], known: Known, query: str, rule: str | None
) -> None:
    content["templating"]["list"][1]["query"]["query"] = query
    assert [flaw.rule for flaw in lint_queries(content, known)] == ([rule] if rule else [])


def test_the_queries_of_annotations_are_looked_at(content: dict[str, Any], known: Known) -> None:
    content["annotations"]["list"][1]["expr"] = 'ALARMS{cluster=~"$cluster"}'
    assert [flaw.rule for flaw in lint_queries(content, known)] == ["target-catalogue"]


def test_a_flaw_names_the_panel_the_metric_and_the_mend(content: dict[str, Any], known: Known) -> None:
    content["panels"][0]["targets"][0]["expr"] = f"rate(p2p_ingress{{{GETH}}}[5m])"
    (flaw,) = lint_queries(content, known)
    assert flaw.panel == "Peers"
    assert "rate() of p2p_ingress" in flaw.message
    assert "$__rate_interval" in flaw.mend


def test_variables_are_filled_in_all_their_forms() -> None:
    text = 'a{b=~"$one",c=~"${two}",d=~"${one:regex}",e="$1",f="$three"}'
    assert fill(text, {"one": "1", "two": "2"}) == 'a{b=~"1",c=~"2",d=~"1",e="$1",f="$three"}'
    assert used(text) == ("one", "two", "three")
