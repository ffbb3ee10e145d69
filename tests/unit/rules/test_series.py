"""What rules read, held against the catalogue."""

from pathlib import Path

import pytest

from stakewatch.catalogue import load_catalogue
from stakewatch.rules.series import Known, flaws

KNOWN = Known(
    catalogue=load_catalogue(Path(__file__).parents[3] / "catalogue"),
    recorded=frozenset({"level:metric:operation"}),
)


def messages(expression: str) -> list[str]:
    found = list(flaws(expression, KNOWN))
    assert all(flaw.mend and 0 <= flaw.start < len(expression) for flaw in found)
    return [flaw.message for flaw in found]


@pytest.mark.parametrize(
    "expression",
    [
        'max by (instance) (stakewatch_node_up{role="beacon"}) == 0',
        'stakewatch_topology_info{priority="primary"}',
        'stakewatch_node_up{exporter="hoodi/exporter-1"}',
        'stakewatch_validators{status=~"active_.*"}',
        'stakewatch_group_info{label_mev="on"}',
        'rate(stakewatch_request_duration_seconds_bucket{le="0.5"}[5m])',
        'p2p_peer_count{role="beacon", state="Connected"}',
        'p2p_peers{role="execution", implementation=~"geth|erigon"}',
        'up{role!="", container!=""}',
        'container_memory_rss{container!="", container!="POD"}',
        "level:metric:operation > 1",
        'rate(process_cpu_seconds_total{role="beacon", implementation="lighthouse"}[5m])',
        '{__name__=~"chain_head_block|chain_head_header", role="execution"}',
    ],
)
def test_what_exists_is_let_through(expression: str) -> None:
    assert messages(expression) == []


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ('stakewatch_node_upp{role="beacon"}', "no component of the catalogue exposes stakewatch_node_upp"),
        ("level:metric:other", "no rule records it"),
        ('p2p_peers{role="beacon"}', "nothing that this selects exposes p2p_peers"),
        ('libp2p_peers{implementation="prysm"}', "nothing that this selects exposes libp2p_peers"),
        ("beacon_head_slot", "is always 0 in prysm_validator"),
        ('chain_account_commits{role="execution"}', "starts at 0 with every scrape"),
        ('p2p_peer_count{role="beacon", stat="Connected"}', "has no label stat"),
        ('stakewatch_topology_info{priority="primry"}', 'has no priority "primry"'),
        ('stakewatch_node_up{role="baecon"}', 'there is no role "baecon"'),
        ('up{implementation=~"geth|erigonn"}', 'there is no implementation "erigonn"'),
        ('up{implementation=~"nothing.*"}', 'there is no implementation "nothing.*"'),
        ('{role="beacon"}', "it cannot be known which series this reads"),
        ("node_cpu_info", "only when a flag switches it on"),
    ],
)
def test_what_does_not_exist_or_misleads_is_found(expression: str, message: str) -> None:
    assert any(message in found for found in messages(expression)), messages(expression)


def test_a_misspelt_metric_is_answered_with_the_nearest() -> None:
    (flaw,) = flaws('stakewatch_node_pers{role="beacon"}', KNOWN)
    assert "stakewatch_node_peers" in flaw.mend


def test_the_role_keeps_the_validator_client_s_frozen_zeros_out() -> None:
    assert messages('beacon_head_slot{role="beacon"}') == []
